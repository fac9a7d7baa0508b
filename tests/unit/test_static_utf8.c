/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The locales that are in the static program, against the C library's own C.UTF-8. */
#include "../../packaging/static/utf8.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

char *__real_nl_langinfo(nl_item item)
{
	return nl_langinfo(item);
}

static int begin(void **state)
{
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return -1;
	return __wrap_setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

/* What the environment says; the first of the three names that is set counts. */
static void test_environment(void **state)
{
	static const struct {
		const char *all, *type, *lang;
		bool utf8;
	} cases[] = {
		{"", "", "", false},
		{"", "", "C", false},
		{"", "", "en_US.UTF-8", true},
		{"", "", "de_DE.utf8@euro", true},
		{"", "C.UTF-8", "C", true},
		{"C", "C.UTF-8", "C.UTF-8", false},
		{"", "", "de_DE.ISO-8859-1", false},
		{"", "", "UTF-8", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("LC_ALL", cases[i].all, 1);
		setenv("LC_CTYPE", cases[i].type, 1);
		setenv("LANG", cases[i].lang, 1);
		assert_non_null(__wrap_setlocale(LC_CTYPE, ""));
		assert_string_equal(__wrap_setlocale(LC_CTYPE, NULL),
				    cases[i].utf8 ? "C.UTF-8" : "C");
		if (cases[i].utf8)
			assert_string_equal(__wrap_nl_langinfo(CODESET), "UTF-8");
		assert_int_equal(__wrap_wcwidth(0x65e5), cases[i].utf8 ? 2 : -1);
		assert_int_equal(__wrap_mblen("\303\244", 2), cases[i].utf8 ? 2 : -1);
	}
	assert_null(__wrap_setlocale(LC_ALL, "de_DE.UTF-8"));
	assert_string_equal(__wrap_setlocale(LC_NUMERIC, NULL), "C");
}

static void test_every_code(void **state)
{
	char expected[MB_LEN_MAX], bytes[MB_LEN_MAX];
	mbstate_t blank = {};
	wchar_t code;
	size_t length;

	(void)state;
	for (wchar_t wide = 0; wide < 0x110000; wide++) {
		length = wcrtomb(expected, wide, &blank);
		assert_int_equal(__wrap_wcrtomb(bytes, wide, NULL), length);
		memset(&blank, 0, sizeof(blank));
		if (length == INVALID)
			continue;
		assert_memory_equal(bytes, expected, length);
		assert_int_equal(__wrap_mbrtowc(&code, bytes, length, NULL), wide ? length : 0);
		assert_int_equal(code, wide);
		if (length > 1)
			assert_int_equal(__wrap_mbrtowc(&code, bytes, length - 1, NULL),
					 INCOMPLETE);
	}
	assert_int_equal(__wrap_wcrtomb(bytes, 0x110000, NULL), INVALID);
	for (int byte = -1; byte < 256; byte++) {
		assert_int_equal(__wrap_btowc(byte), btowc(byte));
		assert_int_equal(__wrap_wctob((wint_t)byte), wctob((wint_t)byte));
	}
}

/* What follows a byte after which not all is allowed. The C library goes beyond U+10FFFF. */
static void test_invalid(void **state)
{
	static const unsigned char begins[] = {0x41, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4};
	wchar_t ours, theirs;

	(void)state;
	for (size_t i = 0; i < sizeof(begins); i++)
		for (unsigned rest = 0; rest < 0x10000; rest++) {
			const char text[] = {(char)begins[i], (char)(rest >> 8), (char)rest,
					     '\x80'};
			mbstate_t blank = {};
			size_t length = mbrtowc(&theirs, text, sizeof(text), &blank);

			if (begins[i] == 0xf4 && rest >> 8 >= 0x90)
				length = INVALID;
			assert_int_equal(__wrap_mbrtowc(&ours, text, sizeof(text), NULL), length);
			if (length <= sizeof(text))
				assert_int_equal(ours, theirs);
		}
	assert_int_equal(__wrap_mbrtowc(&ours, "", 0, NULL), INCOMPLETE);
	assert_int_equal(__wrap_mbrtowc(&ours, "\xf5\x80\x80\x80", 4, NULL), INVALID);
}

static void test_strings(void **state)
{
	static const wchar_t wide[] = L"a\u00e4\u65e5\U0001f40d";
	const wchar_t *at = wide;
	wchar_t back[8];
	char out[16];

	(void)state;
	assert_int_equal(__wrap_wcstombs(NULL, wide, 0), 10);
	assert_int_equal(__wrap_wcsrtombs(out, &at, sizeof(out), NULL), 10);
	assert_null(at);
	assert_string_equal(out, "a\303\244\346\227\245\360\237\220\215");
	at = wide;
	/* Only whole characters, and where it stopped. */
	assert_int_equal(__wrap_wcsrtombs(out, &at, 5, NULL), 3);
	assert_ptr_equal(at, wide + 2);
	at = wide;
	/* All, but no room for the end. */
	assert_int_equal(__wrap_wcsrtombs(out, &at, 10, NULL), 10);
	assert_ptr_equal(at, wide + 4);
	assert_int_equal(__wrap_mbstowcs(back, "a\303\244\346\227\245\360\237\220\215", 8), 4);
	assert_memory_equal(back, wide, sizeof(wide));
	assert_int_equal(__wrap_mbstowcs(NULL, "a\303\244", 0), 2);
	assert_int_equal(__wrap_mbstowcs(back, "a\303", 8), INVALID);
	assert_int_equal(__wrap_wcwidth(0x1f40d), 2);
	assert_int_equal(__wrap_wcwidth(0x301), 0);
	assert_int_equal(__wrap_wcwidth('\n'), -1);
	assert_int_equal(__wrap_wcwidth(0), 0);
	assert_false(__wrap_iswprint(0x85));
	assert_true(__wrap_iswprint(0xe4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment),
		cmocka_unit_test_setup(test_every_code, begin),
		cmocka_unit_test_setup(test_invalid, begin),
		cmocka_unit_test_setup(test_strings, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
