/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* base/toml: what is taken of TOML 1.0 and what it means, what is refused by its name, and what is
 * no TOML. Most documents are from the specification. toml_compare.py compares thousands with
 * another reader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/toml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* All of it in one line: name=iNUMBER, f, b, s"TEXT", [ ]. */
static void shown(char *out, size_t size, const struct toml *t)
{
	FILE *file = fmemopen(out, size, "w");

	assert_non_null(file);
	*out = '\0';
	for (size_t i = 0; i < t->count; i++) {
		const struct toml_entry *entry = &t->entries[i];

		fprintf(file, "%s%s=%s", i ? " " : "", entry->name, entry->is_array ? "[" : "");
		for (size_t j = 0; j < entry->count; j++) {
			const struct toml_value *value = &t->values[entry->first + j];
			const char *quote = value->type == TOML_STRING ? "\"" : "";

			fprintf(file, "%s%c%s%s%s", j ? "," : "", "sifb"[value->type], quote,
				value -> text, quote);
		}
		fputs(entry->is_array ? "]" : "", file);
	}
	fclose(file);
}

static const struct {
	const char *document, *means;
} good[] = {
	{"", ""},
	{"\n\n \t \r\n# a comment", ""},
	{"# This is a full-line comment\nkey = \"value\"  # This is a comment at the end of a "
	 "line\n"
	 "another = \"# This is not a comment\"\n",
	 "key=s\"value\" another=s\"# This is not a comment\""},
	{"# \xc3\xa4 \xf0\x9f\x90\x8d\ttab", ""},
	/* keys */
	{"key = \"\"\nbare_key=1\nbare-key\t=\t2\n1234 = 3\n-=4\n_=5",
	 "key=s\"\" bare_key=i1 bare-key=i2 "
	 "1234=i3 -=i4 _=i5"},
	{"true = true\ninf = 'x'\n0x1 = 1", "true=btrue inf=s\"x\" 0x1=i1"},
	{"A = 1\na = 2", "A=i1 a=i2"},
	{" a = 1\r\n b = 2\r\n\r\n", "a=i1 b=i2"},
	/* strings */
	{"s = \"I'm a string. \\\"You can quote me\\\". Name\\tJos\\u00E9\\nLocation\\tSF.\"",
	 "s=s\"I'm a string. \"You can quote me\". Name\tJos\xc3\xa9\nLocation\tSF.\""},
	{"s = \"\\b\\t\\n\\f\\r\\\"\\\\\"", "s=s\"\b\t\n\f\r\"\\\""},
	{"s = \"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uD7FF\\uE000\\uFFFF\"",
	 "s=s\"\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\""},
	{"s = \"\\U00010000\\U0010FFFF\\U000003B4\"",
	 "s=s\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xce\xb4\""},
	{"s = \"a\tb \xe2\x82\xac\"", "s=s\"a\tb \xe2\x82\xac\""},
	{"winpath = 'C:\\Users\\nodejs\\templates'\nquoted = 'Tom \"Dubs\" Preston-Werner'\n"
	 "regex    = '<\\i\\c*\\s*>'",
	 "winpath=s\"C:\\Users\\nodejs\\templates\" quoted=s\"Tom \"Dubs\" Preston-Werner\" "
	 "regex=s\"<\\i\\c*\\s*>\""},
	{"s = ''\nt = '\t'#x", "s=s\"\" t=s\"\t\""},
	/* integers */
	{"i = +99\nj = 42\nk = 0\nl = -17", "i=i99 j=i42 k=i0 l=i-17"},
	{"i = 1_000\nj = 5_349_221\nk = 53_49_221\nl = 1_2_3_4_5",
	 "i=i1000 j=i5349221 k=i5349221 l=i12345"},
	{"i = 9223372036854775807\nj = -9223372036854775808",
	 "i=i9223372036854775807 j=i-9223372036854775808"},
	{"i = -0\nj = +0", "i=i0 j=i0"},
	/* floats */
	{"f = +1.0\ng = 3.1415\nh = -0.01", "f=f1.0 g=f3.1415 h=f-0.01"},
	{"f = 5e+22\ng = 1e06\nh = -2E-2\ni = 6.626e-34", "f=f5e+22 g=f1e06 h=f-2E-2 i=f6.626e-34"},
	{"f = 224_617.445_991_228\ng = 1_0e1_0\nh = 0e0\ni = -0.0",
	 "f=f224617.445991228 g=f10e10 h=f0e0 i=f-0.0"},
	/* booleans */
	{"bool1 = true\nbool2 = false# x", "bool1=btrue bool2=bfalse"},
	/* arrays */
	{"integers = [ 1, 2, 3 ]\ncolors = [ \"red\", \"yellow\", \"green\" ]\nnone = []\nn = [ ]",
	 "integers=[i1,i2,i3] colors=[s\"red\",s\"yellow\",s\"green\"] none=[] n=[]"},
	{"numbers = [ 0.1, 0.2, 0.5, 1, 2, 5 ]\nm = [true,'a']",
	 "numbers=[f0.1,f0.2,f0.5,i1,i2,i5] m=[btrue,s\"a\"]"},
	{"integers2 = [\n  1, 2, 3\n]\nintegers3 = [\n  1,\r\n  2, # this is ok\n]\n# end",
	 "integers2=[i1,i2,i3] integers3=[i1,i2]"},
	{"a = [ # one\n\n # two\n 1 # three\n , # four\n '#,]' # five\n # six\n ] # seven\nb = 1",
	 "a=[i1,s\"#,]\"] b=i1"},
};

static void test_good(void **state)
{
	struct toml_error why;
	struct toml t = {};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		if (toml_parse(&t, good[i].document, strlen(good[i].document), &why))
			fail_msg("%s: %u:%u: %s", good[i].document, why.line, why.column, why.what);
		shown(text, sizeof(text), &t);
		assert_string_equal(text, good[i].means);
		toml_fini(&t);
		assert_true(!t.count && !t.value_count && !t.memory);
	}
}

struct wrong {
	const char *document;
	unsigned line, column;
	const char *words;
};

/* What TOML has, and this reader has not. */
static const struct wrong others[] = {
	{"[table]\na = 1", 1, 1, "a table, [ ], is not taken: leave this line out"},
	{"a = 1\n  [ j . \"x\" ]", 2, 3, "a table"},
	{"\n[[products]]", 2, 1,
	 "an array of tables, [[ ]], is not taken: write lists as NAME = [\"one\""},
	{"a = { x = 1 }", 1, 5,
	 "an inline table, { }, is not taken: write each name in a line of its own"},
	{"a = [ {}, 1 ]", 1, 7, "an inline table"},
	{"physical.color = \"orange\"", 1, 9, "a dotted name is not taken: write it without a dot"},
	{"a . b = 1", 1, 3, "a dotted name"},
	{"3.14159 = \"pi\"", 1, 2, "a dotted name"},
	{"\"127.0.0.1\" = \"value\"", 1, 1,
	 "a name in quotes is not taken: write it without quotes"},
	{"'quoted' = 1", 1, 1, "a name in quotes"},
	{"\"\" = 1", 1, 1, "a name in quotes"},
	{"odt1 = 1979-05-27T07:32:00Z", 1, 8, "a date or time is not taken: put it in quotes"},
	{"odt4 = 1979-05-27 07:32:00Z", 1, 8, "a date or time"},
	{"ld1 = 1979-05-27", 1, 7, "a date or time"},
	{"lt1 = 07:32:00", 1, 7, "a date or time"},
	{"a = [1,\n 00:32:00.999999]", 2, 2, "a date or time"},
	{"s = \"\"\"\nRoses are red\"\"\"", 1, 5,
	 "a text of several lines, \"\"\", is not taken: write it in one"},
	{"s = '''x'''", 1, 5, "a text of several lines, ''', is not taken"},
	{"a = [1, \"\"\"\"\"\"]", 1, 9, "a text of several lines"},
	{"i = 0xDEADBEEF", 1, 5,
	 "a hexadecimal, octal or binary number is not taken: write it in decimal"},
	{"i = 0o755", 1, 5, "a hexadecimal, octal or binary number"},
	{"i = 0b11010110", 1, 5, "a hexadecimal, octal or binary number"},
	{"f = inf", 1, 5, "inf is not taken: write a number"},
	{"f = [-inf, 1]", 1, 6, "inf is not taken: write a number"},
	{"f = +nan # x", 1, 5, "nan is not taken: write a number"},
	{"a = [ [ 1, 2 ], [\"a\"] ]", 1, 7,
	 "an array within an array is not taken: write all its values in one"},
	{"i = 9223372036854775808", 1, 5, "a whole number of more than 64 bits is not taken"},
	{"i = -9_223_372_036_854_775_809", 1, 5, "a whole number of more than 64 bits"},
	{"s = \"a\\u0000\"", 1, 7, "a NUL character is not taken: leave it out"},
	{"s = \"\\U00000000\"", 1, 6, "a NUL character is not taken"},
	{"\xef\xbb\xbf"
	 "a = 1",
	 1, 1, "a byte order mark is not taken: save the file without it"},
};

/* What is no TOML. */
static const struct wrong bad[] = {
	/* the format of before */
	{"rotate = 1h", 1, 10, "a text needs quotes: write rotate = \"1h\""},
	{"a = 1\nalarm = growth>50MiB/h over 20min # x", 2, 9,
	 "write alarm = \"growth>50MiB/h over 20min\""},
	{"listen = 127.0.0.1:9746\r\n", 1, 10, "write listen = \"127.0.0.1:9746\""},
	{"store = /var/lib/#1", 1, 9, "write store = \"/var/lib/#1\""},
	{"store = a\"b", 1, 9, "write store = 'a\"b'"},
	{"store = a\"b'", 1, 9, "write \" before and after it, and \\ before each \" and \\ in it"},
	{"store = a2345678901234567890123456789012345678901234567890", 1, 9,
	 "write \" before and after it"},
	{"alarm = [limit>90%, 'x']", 1, 10, "a text needs quotes: write \"limit>90%\""},
	{"store = \xe2\x80\xae", 1, 9, "write store = \"\\u202e\""},
	{"no-sources", 1, 11, "a value is missing: write no-sources = true, or another value"},
	{"quiet # x", 1, 7, "a value is missing: write quiet = true"},
	{"quiet = True", 1, 9, "write true or false in small letters"},
	{"quiet = yes", 1, 9, "write quiet = \"yes\""},
	{"size = 16 MiB", 1, 11, "there is more after the value: end the line here"},
	/* lines and keys */
	{"key = # INVALID", 1, 7,
	 "a value is missing: write a number, a text in quotes, true or false"},
	{"key =", 1, 6, "a value is missing"},
	{"key\n= 1", 1, 4, "a value is missing"},
	{"key =\n1", 1, 6, "a value is missing"},
	{"first = \"Tom\" last = \"Preston-Werner\"", 1, 15, "there is more after the value"},
	{"a = 1 b = 2", 1, 7, "there is more after the value"},
	{"a = true1", 1, 5, "a text needs quotes"},
	{"= \"no key name\"", 1, 1, "a name is missing: write it before the ="},
	{"a\xc3\xa4 = 1", 1, 2, "write = between the name and its value"},
	{"\xc3\xa4 = 1", 1, 1, "a name is of letters, digits, _ and -"},
	{"a: 1", 1, 2, "write = between the name and its value"},
	{"a b = 1", 1, 3, "write = between the name and its value"},
	{"name = \"Tom\"\n\n name = \"Pradyun\"", 3, 2,
	 "name is there twice, first in line 1: write several values as name = [\"one\", \"two\"]"},
	/* characters */
	{"a = \"\x01\"", 1, 6,
	 "a control character, U+0001: in a text write \\u0001, elsewhere leave it out"},
	{"# \x7f", 1, 3, "a control character, U+007F"},
	{"a = '\x1b[2J'", 1, 6, "a control character, U+001B"},
	{"a = 1\v", 1, 6, "a control character, U+000B"},
	{"a = 1\rb = 2", 1, 6, "a carriage return without a line feed"},
	{"# x\r", 1, 4, "a carriage return without a line feed"},
	{"a = '\xc3\xa4\xc3'", 1, 7, "the byte 0xc3 is not valid UTF-8: save the file as UTF-8"},
	{"# \xff", 1, 3, "the byte 0xff is not valid UTF-8"},
	{"a = '\xed\xa0\x80'", 1, 6, "the byte 0xed"},
	{"a = '\xc0\xaf'", 1, 6, "the byte 0xc0"},
	{"a = '\xe0\x80\xaf'", 1, 6, "the byte 0xe0"},
	{"a = '\xf5\x80\x80\x80'", 1, 6, "the byte 0xf5"},
	{"a = '\xf4\x90\x80\x80'", 1, 6, "the byte 0xf4"},
	{"a = '\xf0\x80\x80\x80'", 1, 6, "the byte 0xf0"},
	{"\n\n# \xe2\x82", 3, 3, "the byte 0xe2"},
	/* strings */
	{"a = \"x", 1, 5, "a text without its second quote: write \" after it, in the same line"},
	{"a = 'x\n'", 1, 5, "a text without its second quote: write ' after it"},
	{"a = \"x\r\n\"", 1, 5, "a text without its second quote"},
	{"a = \"x\\\"", 1, 5, "a text without its second quote"},
	{"a = \"x\\", 1, 7, "this is no escape"},
	{"a = \"C:\\Program\"", 1, 8,
	 "this is no escape: write \\\\ for a backslash, or put the text in single"},
	{"a = \"\\x41\"", 1, 6, "this is no escape"},
	{"a = \"\\e\"", 1, 6, "this is no escape"},
	{"a = \"x\\\n y\"", 1, 7, "this is no escape"},
	{"a = \"\\u12\"", 1, 6, "write 4 hexadecimal digits after \\u"},
	{"a = \"\\u12g4\"", 1, 6, "write 4 hexadecimal digits after \\u"},
	{"a = \"\\U0001F40\"", 1, 6, "write 8 hexadecimal digits after \\U"},
	{"a = \"\\uD800\"", 1, 6, "there is no character U+D800"},
	{"a = \"\\uDFFF\"", 1, 6, "there is no character U+DFFF"},
	{"a = \"\\U00110000\"", 1, 6, "there is no character U+110000"},
	{"a = \"\\UFFFFFFFF\"", 1, 6, "there is no character U+FFFFFFFF"},
	{"a = 'that's'", 1, 11, "there is more"},
	{"a = \"b\"c", 1, 8, "there is more"},
	/* numbers */
	{"a = 01", 1, 5, "a number has no 0 before it, and _ only between two digits"},
	{"a = -00", 1, 5, "a number has no 0 before it"},
	{"a = 1__0", 1, 5, "_ only between two digits"},
	{"a = _1", 1, 5, "_ only between two digits"},
	{"a = 1_", 1, 5, "_ only between two digits"},
	{"a = .7", 1, 5, "a number has one point with digits before and after it"},
	{"a = 7.", 1, 5, "a number has one point with digits before and after it"},
	{"a = 03.5", 1, 5, "a number has one point"},
	{"a = 1.2.3", 1, 5, "a number has one point"},
	{"a = 3.e+20", 1, 5, "a text needs quotes"},
	{"a = 1e", 1, 5, "a text needs quotes"},
	{"a = 1e1.5", 1, 5, "a text needs quotes"},
	{"a = 1._5", 1, 5, "a number has one point"},
	{"a = + 1", 1, 5, "a text needs quotes"},
	{"a = --1", 1, 5, "a text needs quotes"},
	{"a = 1,2", 1, 6, "there is more"},
	{"a = 0X1", 1, 5, "a text needs quotes"},
	{"a = 0b2", 1, 5, "a hexadecimal, octal or binary"},
	{"a = INF", 1, 5, "a text needs quotes"},
	/* arrays */
	{"a = [1, 2", 1, 10, "an array without its end: write ] after it"},
	{"a = [\n1,\n\n", 4, 1, "an array without its end"},
	{"a = [", 1, 6, "an array without its end"},
	{"a = [1 2]", 1, 8, "write a comma between values of an array, or ] after the last one"},
	{"a = [1\n'b']", 2, 1, "write a comma between values"},
	{"a = [,]", 1, 6, "a value is missing"},
	{"a = [1,,2]", 1, 8, "a value is missing"},
	{"a = [1]]", 1, 8, "there is more"},
	{"a = [1] 2", 1, 9, "there is more"},
	{"a = ]", 1, 5, "a value is missing"},
};

static void refused(const struct wrong *wrong, size_t count)
{
	struct toml_error why;
	struct toml t = {};

	for (size_t i = 0; i < count; i++) {
		const char *document = wrong[i].document;

		if (!toml_parse(&t, document, strlen(document), &why))
			fail_msg("%s: it is taken", document);
		/* What TOML has is never called wrong. */
		if (wrong == others && !strstr(why.what, " is not taken: "))
			fail_msg("%s: %s", document, why.what);
		if (why.line != wrong[i].line || why.column != wrong[i].column ||
		    !strstr(why.what, wrong[i].words))
			fail_msg("%s: %u:%u: %s", document, why.line, why.column, why.what);
		assert_true(!t.count && !t.value_count && !t.memory);
	}
}

static void test_others(void **state)
{
	(void)state;
	refused(others, COUNT(others));
}

static void test_bad(void **state)
{
	(void)state;
	refused(bad, COUNT(bad));
}

static void test_nul(void **state)
{
	static const char document[] = "a = 1\n#\0\n";
	struct toml_error why;
	struct toml t = {};

	(void)state;
	assert_int_equal(toml_parse(&t, document, sizeof(document) - 1, &why), -EINVAL);
	assert_true(why.line == 2 && why.column == 2);
	assert_non_null(strstr(why.what, "a NUL character, U+0000: leave it out"));
	/* The size counts, not what follows. */
	assert_int_equal(toml_parse(&t, "a = 12345", 6, &why), 0);
	assert_string_equal(t.values[0].text, "12");
	toml_fini(&t);
	assert_int_equal(toml_parse(&t, NULL, 0, &why), 0);
	toml_fini(&t);
}

static void test_places(void **state)
{
	static const char document[] = "# \xc3\xa4\n  one = '\xc3\xa4'\r\n\ntwo =[ "
				       "1,'\xf0\x9f\x90\x8d\xc3\xa4', true\n  ,2]";
	static const unsigned places[][2] = {{2, 9}, {4, 8}, {4, 10}, {4, 16}, {5, 4}};
	struct toml_error why;
	struct toml t = {};

	(void)state;
	assert_int_equal(toml_parse(&t, document, sizeof(document) - 1, &why), 0);
	assert_true(t.entries[0].line == 2 && t.entries[0].column == 3);
	assert_true(t.entries[1].line == 4 && t.entries[1].column == 1);
	assert_int_equal(t.entries[1].first, 1);
	assert_int_equal(t.value_count, COUNT(places));
	for (size_t i = 0; i < COUNT(places); i++)
		if (t.values[i].line != places[i][0] || t.values[i].column != places[i][1])
			fail_msg("value %zu: %u:%u", i, t.values[i].line, t.values[i].column);
	toml_fini(&t);
}

/* Documents of so many entries and values. */
static int parse_many(size_t entries, size_t values, struct toml_error *why)
{
	char *document = NULL;
	struct toml t = {};
	size_t size;
	FILE *file = open_memstream(&document, &size);
	int err;

	for (size_t i = 1; i < entries; i++)
		fprintf(file, "n%zu = []\n", i);
	fprintf(file, "last = [");
	for (size_t i = 0; i < values; i++)
		fprintf(file, "%zu,\n", i);
	fprintf(file, "]");
	fclose(file);
	err = toml_parse(&t, document, size, why);
	if (!err && (t.count != entries || t.value_count != values))
		fail_msg("%zu entries, %zu values", t.count, t.value_count);
	toml_fini(&t);
	free(document);
	return err;
}

static void test_bounds(void **state)
{
	struct toml_error why;

	(void)state;
	assert_int_equal(parse_many(TOML_ENTRIES, TOML_VALUES, &why), 0);
	assert_int_equal(parse_many(TOML_ENTRIES + 1, 1, &why), -EINVAL);
	assert_true(why.line == TOML_ENTRIES + 1 && why.column == 1);
	assert_string_equal(why.what, "more than 64 names: leave some out");
	assert_int_equal(parse_many(1, TOML_VALUES + 1, &why), -EINVAL);
	assert_true(why.line == TOML_VALUES + 1 && why.column == 1);
	assert_string_equal(why.what, "more than 256 values: leave some out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),   cmocka_unit_test(test_others),
		cmocka_unit_test(test_bad),    cmocka_unit_test(test_nul),
		cmocka_unit_test(test_places), cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
