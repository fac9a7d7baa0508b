/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* py_layouts.c against CPython's headers, and with hostile offsets.
 *
 * py_debug_offsets.h (generated) has, for each build, the offsets that it publishes and the layout
 * that offsetof gives. Both must lead to the same record. check_layouts.py asks live processes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "python/py_layouts.h"
#include "data/py_debug_offsets.h"

#define CASES (sizeof(py_debug_cases) / sizeof(py_debug_cases[0]))

#define WORD_VERSION  1
#define WORD_THREADED 2

static int from_words(const uint64_t *words, size_t count, struct py_layout *layout)
{
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	void *copy = malloc(count * sizeof(*words));
	int err;

	assert_non_null(copy);
	memcpy(copy, words, count * sizeof(*words));
	err = py_layout_from_debug_offsets(copy, count * sizeof(*words), layout);
	free(copy);
	return err;
}

static void test_table_versions(void **state)
{
	struct py_layout layout;

	(void)state;
	for (unsigned minor = 6; minor <= 12; minor++) {
		assert_int_equal(py_layout_from_table(3, minor, &layout), 0);
		assert_int_equal(layout.version, 0x300 | minor);
		assert_true(layout.frame_size > 0 && layout.frame_size <= 128);
		assert_int_equal(!!(layout.flags & PY_FRAME_OBJECT), minor <= 10);
		assert_int_equal(!!(layout.flags & PY_LASTI_CODEUNIT), minor == 10);
		assert_int_equal(!!(layout.flags & PY_TSTATE_CFRAME), minor >= 11);
		assert_int_equal(!!(layout.flags & PY_LINES_LNOTAB), minor < 10);
		assert_int_equal(!!(layout.flags & PY_LINES_LINETABLE), minor == 10);
		assert_int_equal(!!(layout.flags & PY_LINES_LOCATIONS), minor > 10);
		assert_int_equal(layout.owner_cstack, minor == 12 ? 3 : 0xff);
		assert_int_equal(layout.owner_interpreter, 0xff);
	}
	assert_int_equal(py_layout_from_table(3, 5, &layout), -ENOENT);
	assert_int_equal(py_layout_from_table(3, 13, &layout), -ENOENT);
	assert_int_equal(py_layout_from_table(2, 7, &layout), -ENOENT);
	assert_int_equal(py_layout_from_table(0, 0x30b, &layout), -ENOENT);
	assert_int_equal(py_layout_from_table(3 + (1u << 24), 11, &layout), -ENOENT);
}

static void test_published_equals_headers(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		const struct py_debug_case *c = &py_debug_cases[i];
		struct py_layout layout;

		assert_true(c->words * 8 <= PY_DEBUG_OFFSETS_MAX);
		assert_int_equal(from_words(c->published, c->words, &layout), 0);
		assert_memory_equal(&layout, &c->layout, sizeof(layout));
		assert_int_equal(!!(layout.flags & PY_FREE_THREADED), c->published[WORD_THREADED]);
		seen |= 1u << (2 * (layout.version - 0x30d) + c->published[WORD_THREADED]);
	}
	assert_int_equal(seen, 0x3f); /* 3.13 to 3.15, default and free-threaded */
}

static void test_short_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		struct py_layout layout;

		for (size_t words = 0; words < py_debug_cases[i].words; words++)
			assert_int_equal(from_words(py_debug_cases[i].published, words, &layout),
					 -EINVAL);
	}
	assert_int_equal(py_layout_from_debug_offsets("xdebugpy", 8, &(struct py_layout){0}),
			 -EINVAL);
}

static int with_word(const struct py_debug_case *c, size_t word, uint64_t value,
		     struct py_layout *layout)
{
	uint64_t words[160];

	memcpy(words, c->published, sizeof(words));
	words[word] = value;
	return from_words(words, c->words, layout);
}

static void test_unknown_versions(void **state)
{
	const struct py_debug_case *c = &py_debug_cases[0];
	struct py_layout layout;

	(void)state;
	assert_int_equal(with_word(c, 0, 0x7970677562656479, &layout), -EINVAL);
	assert_int_equal(with_word(c, WORD_VERSION, 0x030c00f0, &layout), -ENOENT);
	assert_int_equal(with_word(c, WORD_VERSION, 0x031000f0, &layout), -ENOENT);
	assert_int_equal(with_word(c, WORD_VERSION, 0x040d00f0, &layout), -ENOENT);
	assert_int_equal(with_word(c, WORD_VERSION, 0x030d00b4, &layout), -ENOENT); /* beta 4 */
	assert_int_equal(with_word(c, WORD_VERSION, 0x030d00c1, &layout), 0);	    /* rc 1 */
	assert_int_equal(with_word(c, WORD_VERSION, 0x1030d00f0, &layout), -EINVAL);
	assert_int_equal(with_word(c, WORD_THREADED, 2, &layout), -EINVAL);
	assert_int_equal(with_word(c, WORD_THREADED, 1ull << 32, &layout), -EINVAL);
}

/* Whatever one word is changed to, the layout is refused or still valid. */
static void test_hostile_words(void **state)
{
	static const uint64_t values[] = {0,	  1,	   7,	     255,	 0xfffe,
					  0xffff, 0x10000, 1u << 31, UINT64_MAX, UINT64_MAX - 7};

	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		const struct py_debug_case *c = &py_debug_cases[i];
		size_t refused = 0;

		for (size_t word = 3; word < c->words; word++) {
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				struct py_layout layout;
				int err = with_word(c, word, values[v], &layout);

				refused += values[v] == UINT64_MAX && err == -EINVAL;
				if (err) {
					assert_int_equal(err, -EINVAL);
					continue;
				}
				assert_true(layout.frame_size <= 256);
				assert_true(layout.frame_code + 8 <= layout.frame_size);
				assert_true(layout.frame_instr + 8 <= layout.frame_size);
				assert_true(layout.frame_back + 8 <= layout.frame_size);
				assert_true(layout.frame_owner < layout.frame_size);
				assert_int_equal(layout.code_bytecode % 2, 0);
			}
		}
		/* Each published member that is used, and no other, can make it invalid. */
		assert_int_equal(refused, 22 + (c->layout.version == 0x30f) +
						  2 * !!(c->layout.flags & PY_TLBC));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_versions),
		cmocka_unit_test(test_published_equals_headers),
		cmocka_unit_test(test_short_is_refused),
		cmocka_unit_test(test_unknown_versions),
		cmocka_unit_test(test_hostile_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
