/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* heap/births_keeper.c: which line of a stack names the holder of what was made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "heap/births_keeper.h"
#include "heap/births_results.h"

#define LINES 4

/* Lines of functions a, b, c and d, innermost first, each of which names one word. */
static unsigned found(const char *path, const char *const words[LINES])
{
	static char *const functions[LINES] = {"a", "b", "Shop.c", "d"};
	struct birth_stack stack = {.depth = LINES};
	struct keeper_names names;
	uint32_t hashes[LINES];

	for (int i = 0; i < LINES; i++) {
		hashes[i] = births_name_hash(words[i], strlen(words[i]));
		stack.lines[i] = (struct birth_line){
			.function = functions[i], .names = &hashes[i], .name_count = 1};
	}
	keeper_names_of(path, &names);
	return keeper_find(&names, &stack);
}

static void test_paths(void **state)
{
	static const char *const words[] = {"append", "rows", "KEPT", "main"};
	static const struct {
		const char *path;
		unsigned at;
	} cases[] = {
		{"app.KEPT", 2},
		{"app.cache.KEPT", 2},
		{"app.rows", 1},
		{"app.KEPT['a key']", 2},
		{"app.KEPT[3]['x'][…]", 2},
		{"app.KEPT.__dict__", 0},
		{"app.rows['KEPT']", 1},
		{"app.none", 0},
		{"app.KEPTS", 0},
		{"app.T", 0},
		{"KEPT", 0}, /* a module */
		{"in app.none and in app.KEPT", 2},
		{"in app.__self__ and in app.rows[2]", 1},
		{"held by C: app.KEPT", 0},
		{"thread 3 b():rows", 1},
		{"main thread Shop.c():work", 2},
		{"main thread Shop.c():<temporary>", 0},
		{"main thread c():work", 0},
		{"main thread d():work.KEPT", 2},
		{"app.KEPT['a[']", 0},
		{"app.KEPT]", 0},
		{"app.12", 0},
		{"in ", 0},
		{"():x", 0},
		{":KEPT", 0},
		{".", 0},
		{"]", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("    %s\n", cases[i].path);
		assert_int_equal(found(cases[i].path, words), cases[i].at);
	}
}

/* The innermost one is taken, and a stack may be empty. */
static void test_stacks(void **state)
{
	static const char *const twice[] = {"append", "KEPT", "KEPT", "main"};
	struct birth_stack none = {0};
	struct keeper_names names;

	(void)state;
	assert_int_equal(found("app.KEPT", twice), 1);
	keeper_names_of("in a.A and in a.B and in a.C and in a.D and in a.E", &names);
	assert_int_equal(names.count, KEEPER_NAMES);
	assert_int_equal(keeper_find(&names, &none), 0);
}

/* The offset basis of FNV-1a, and "a", as its authors give them. */
static void test_hash(void **state)
{
	(void)state;
	assert_int_equal(births_name_hash("", 0), 0x811c9dc5u);
	assert_int_equal(births_name_hash("a", 1), 0xe40c292cu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
