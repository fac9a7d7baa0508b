/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a heap report says first, for each shape that a heap can have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "heap_looks.h"
#include "render/heap_parts.h"

/* The verdict with plain spaces; the look is freed. */
static char *verdict_of(struct heap_look *look)
{
	char *text, *at;

	assert_int_equal(heap_look_sort_holders(look), 0);
	text = at = heap_verdict(look);
	assert_non_null(text);
	while ((at = strstr(at, NBSP))) {
		*at = ' ';
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
	heap_look_free(look);
	return text;
}

static void expect(struct heap_look *look, const char *wanted)
{
	char *text = verdict_of(look);

	assert_string_equal(text, wanted);
	free(text);
}

static void expect_part(struct heap_look *look, const char *wanted)
{
	char *text = verdict_of(look);

	if (!strstr(text, wanted))
		fail_msg("\"%s\" is not in: %s", wanted, text);
	free(text);
}

static void test_growing(void **state)
{
	(void)state;
	expect(look_growing(),
	       "Grows by 8.8 MiB/min: kept by shop.AUDIT (list, 1,200,000 entries, +21,400), put "
	       "there by /srv/app/shop.py:19 audit, 97 % of what live memory grew by. 462.0 MiB of "
	       "494.7 MiB are live; the largest holder is shop.AUDIT, 431.0 MiB.");
}

/* What a running function made since the first look is not what is kept. */
static void test_replacing(void **state)
{
	(void)state;
	expect(look_replacing(),
	       "Grows by 3.0 MiB/min: kept by __main__.kept (list, 600,000 entries, +20,000), "
	       "while "
	       "all that lives changed by -4.0 MiB. 86.0 MiB of 99.0 MiB are live; the largest "
	       "holder is __main__.kept, 60.0 MiB.");
}

static void test_spread(void **state)
{
	(void)state;
	expect(look_spread(),
	       "Grows by 9.0 MiB/min of live memory, of which no single holder has half: a.A +3.0 "
	       "MiB, b.B +2.0 MiB. 90.0 MiB of 99.0 MiB are live; the largest holder is a.A, 20.0 "
	       "MiB.");
}

static void test_not_growing(void **state)
{
	(void)state;
	expect(look_bounded(),
	       "Does not grow: in 20.0 s what lives changed by +20 KiB. 40.0 MiB of 49.0 MiB are "
	       "live; the largest holder is app.load.cache, 33.0 MiB.");
}

/* Paths that say themselves who has it. */
static void test_who(void **state)
{
	static const char *const paths[][2] = {
		{"held by C: libfoo.so", ": held by C: libfoo.so ("},
		{"in a.X and in b.Y", ": kept in a.X and in b.Y ("},
		{"inner.X", ": kept by inner.X ("},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct heap_look *look = look_bounded();

		free(look->holders[0].path);
		look->holders[0].path = looks_copy(paths[i][0]);
		look->holders[0].grown_bytes = 3 * MIB;
		look->holders[0].entries_grown = 1;
		expect_part(look, paths[i][1]);
	}
}

/* What grew is in a function's hands. */
static void test_work(void **state)
{
	struct heap_look *look = look_bounded();

	(void)state;
	look->balance.objects += 2 * MIB;
	look_sum(look);
	look_holder(look, "main thread report():<temporary>", "list", 900, 900, 3 * MIB, 2 * MIB);
	look->holders[1].is_local = look->holders[1].is_temporary = true;
	expect(look,
	       "Does not grow: in 20.0 s what lives changed by +2.0 MiB, +2.0 MiB of it what "
	       "functions work on (most in main thread report():<temporary>), which may pass. "
	       "42.0 MiB of 51.0 MiB are live; the largest holder is app.load.cache, 33.0 "
	       "MiB.");
}

static void test_c_code(void **state)
{
	(void)state;
	expect(look_c_leak(),
	       "Grows by 30.0 MiB/min in malloc, used by C code and by no Python object. 69.0 MiB "
	       "of "
	       "78.0 MiB are live; the largest holder is __main__.names, 1.0 MiB. 60.0 MiB of it "
	       "are in malloc, used by C code and by no Python object.");
}

static void test_garbage(void **state)
{
	struct heap_look *look = look_garbage(0);

	(void)state;
	expect(look_garbage(10),
	       "Grows by 36.0 MiB/min in cycles that nobody reaches and no collection has freed. "
	       "50.0 MiB of 59.0 MiB are live. 40.0 MiB (400,000 objects) are cycles that nobody "
	       "reaches; the collector is disabled, so that only gc.collect() frees them.");
	look->gc_enabled = true;
	expect(look, "50.0 MiB of 59.0 MiB are live. 40.0 MiB (400,000 objects) are cycles that "
		     "nobody reaches, waiting for the collector.");
	look = look_garbage(0);
	look->gc_known = false;
	expect_part(look, "nobody reaches, waiting");
	look = look_garbage(0);
	look->garbage_bytes = MIB - 1;
	expect(look, "50.0 MiB of 59.0 MiB are live.");
}

static void test_rest(void **state)
{
	(void)state;
	expect(look_files(), "RSS grows by 5.0 MiB/min, and what lives does not: most of it is "
			     "files, +5.0 MiB. 20.0 MiB of 34.0 MiB are live.");
}

static void test_one_look(void **state)
{
	(void)state;
	expect(look_live(), "612.0 MiB of 625.0 MiB are live, 540.0 MiB of it held by "
			    "app.cache.SESSIONS (dict, 1,214,003 entries).");
}

static void test_free_memory(void **state)
{
	(void)state;
	expect(look_fragmented(),
	       "31.0 MiB of 182.0 MiB are live, 4.0 MiB of it held by app.SURVIVORS (list, 9,000 "
	       "entries). 142.0 MiB are free in Python's own pools, for objects to come; 94 % of "
	       "the pools in use are at most half full, pinned by app.Node, str and buffers.");
	expect(look_untrimmed(), "12.0 MiB of 101.0 MiB are live. 80.0 MiB are free in malloc: "
				 "malloc_trim(0) would give back 78.0 MiB.");
}

static void test_opaque(void **state)
{
	(void)state;
	expect(look_opaque(), "10.0 MiB of 49.0 MiB are live. Memory of jemalloc can't be read: "
			      "30.0 MiB are in no holder's figures.");
}

static void test_swapped(void **state)
{
	struct heap_look *look = look_opaque();

	(void)state;
	look->swapped_bytes = 35 * MIB;
	expect_part(look, "10.0 MiB of 49.0 MiB are live. 35.0 MiB more are swapped out and were "
			  "not read: what only they lead to is in no figure.");
	look = look_opaque();
	look->swapped_bytes = 35 * MIB;
	look->balance.malloc_used = 20 * MIB;
	look_sum(look);
	expect_part(look, "20.0 MiB of it are in malloc, used by C code and by no Python object. "
			  "35.0 MiB more are swapped out");
	look = look_opaque();
	look->swapped_bytes = MIB;
	expect_part(look, "10.0 MiB of 49.0 MiB are live. Memory of jemalloc");
}

/* Growth just below and just above what is told from noise. */
static void test_noise(void **state)
{
	struct heap_look *look = look_bounded();

	(void)state;
	look->holders[0].grown_bytes = 64 * KIB - 1;
	expect_part(look, "Does not grow");
	look = look_bounded();
	look->holders[0].grown_bytes = 64 * KIB;
	look->holders[0].entries_grown = 1;
	expect_part(look, "Grows by 0.2 MiB/min: kept by app.load.cache");
	/* As many entries as before, a little larger, while what lives is as it was. */
	look = look_bounded();
	look->holders[0].grown_bytes = 33 * MIB / 20 - 1;
	expect_part(look, "Does not grow");
	look = look_bounded();
	look->holders[0].grown_bytes = 33 * MIB / 20;
	expect_part(look, "Grows by");
	look = look_bounded();
	look->holders[0].grown_bytes = 1 * MIB;
	look->balance.objects += 512 * KIB;
	look_sum(look);
	expect_part(look, "Grows by 3.0 MiB/min: kept by app.load.cache");
	/* Half of what lives: no less. */
	look = look_growing();
	look->holders[0].grown_bytes = 2 * MIB;
	expect_part(look,
		    "of live memory, of which no single holder has half: shop.AUDIT +2.0 MiB.");
}

static void test_names(void **state)
{
	struct heap_look *look = look_live();
	char name[400];

	(void)state;
	free(look->holders[0].path);
	look->holders[0].path = looks_copy("");
	look->holders[0].shared_by = looks_copy("a.b and c.d");
	expect_part(look, "held by (no name) (dict, 1,214,003 entries), shared by a.b and c.d.");
	/* Cut between characters. */
	memset(name, 'x', sizeof(name));
	memcpy(name + 159, "\xc3\xa4", 2);
	name[399] = '\0';
	look = look_live();
	free(look->holders[0].path);
	look->holders[0].path = looks_copy(name);
	expect_part(look, "x… (dict");
}

/* Numbers at their limits and hostile names: it ends, and has a bound. */
static void test_hostile(void **state)
{
	char *text = verdict_of(look_hostile());

	(void)state;
	assert_true(strlen(text) < 4000);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growing),	    cmocka_unit_test(test_replacing),
		cmocka_unit_test(test_spread),	    cmocka_unit_test(test_not_growing),
		cmocka_unit_test(test_work),	    cmocka_unit_test(test_who),
		cmocka_unit_test(test_c_code),	    cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_rest),	    cmocka_unit_test(test_one_look),
		cmocka_unit_test(test_free_memory), cmocka_unit_test(test_opaque),
		cmocka_unit_test(test_swapped),	    cmocka_unit_test(test_noise),
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
