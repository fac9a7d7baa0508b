/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* subids.c: which lines of /etc/subuid count, whose they are, and that prefixes make up a range
 * exactly. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "os/subids.h"

#define PASSWD                                 \
	"root:x:0:0::/root:/bin/sh\n"          \
	"alice:x:1000:1000::/home/a:/bin/sh\n" \
	"bob:x:1001:1001::/home/b:/bin/sh\n"

static struct subid_range seen[16];
static size_t seen_count;
static int stop_with;

static int see(const struct subid_range *range, void *arg)
{
	(void)arg;
	seen[seen_count++] = *range;
	return stop_with;
}

static int read_text(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	FILE *passwd = fmemopen(PASSWD, strlen(PASSWD), "r");
	int err;

	seen_count = 0;
	err = subids_each(file, passwd, see, NULL);
	fclose(file);
	fclose(passwd);
	return err;
}

static void expect(size_t at, uid_t first, uint32_t count, uid_t user)
{
	assert_int_equal(seen[at].first, first);
	assert_int_equal(seen[at].count, count);
	assert_int_equal(seen[at].user, user);
}

static void test_ranges(void **state)
{
	(void)state;
	assert_int_equal(read_text("alice:100000:65536\n"
				   "bob:165536:65536\n"
				   "alice:4294967294:2\n"
				   "1003:300000:1"), /* no line feed at the end */
			 0);
	assert_int_equal(seen_count, 4);
	expect(0, 100000, 65536, 1000);
	expect(1, 165536, 65536, 1001);
	expect(2, 4294967294U, 2, 1000);
	expect(3, 300000, 1, 1003);
}

/* A user of another directory has a range all the same: it is one account. */
static void test_name_that_is_not_known(void **state)
{
	(void)state;
	assert_int_equal(read_text("ldapuser:500000:65536\n"), 0);
	assert_int_equal(seen_count, 1);
	expect(0, 500000, 65536, 500000);
}

static void test_root(void **state)
{
	(void)state;
	assert_int_equal(read_text("root:100000:65536\n0:200000:65536\n"), 0);
	assert_int_equal(seen_count, 0);
}

static void test_wrong_lines(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		"alice",
		"alice:100000",
		"alice:100000:",
		"alice::65536",
		":100000:65536",
		"alice:100000:0",
		"alice:-1:65536",
		"alice:1e5:65536",
		"alice:100000:65536:",
		"alice: 100000:65536",
		"alice:4294967296:1",
		"alice:4294967295:2",
		"#alice:100000:65536",
		"alice:99999999999999999999:1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s\nbob:7:8\n", lines[i]);
		assert_int_equal(read_text(text), 0);
		assert_int_equal(seen_count, 1);
		expect(0, 7, 8, 1001);
	}
}

static void test_error_ends_it(void **state)
{
	(void)state;
	stop_with = -ENOSPC;
	assert_int_equal(read_text("alice:1:1\nalice:2:1\n"), -ENOSPC);
	assert_int_equal(seen_count, 1);
	stop_with = 0;
}

/* One after another, each aligned to its size, from the first to the last of the range. */
static void test_prefixes(void **state)
{
	static const struct subid_range ranges[] = {
		{.first = 100000, .count = 65536},     {.first = 0, .count = 1},
		{.first = 1, .count = UINT32_MAX},     {.first = UINT32_MAX, .count = 1},
		{.first = 1, .count = UINT32_MAX - 1}, {.first = 65536, .count = 65536},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct subid_prefix prefixes[SUBIDS_PREFIXES_MAX];
		size_t n = subids_prefixes(&ranges[i], prefixes);
		uint64_t at = ranges[i].first;

		assert_true(n >= 1 && n <= SUBIDS_PREFIXES_MAX);
		for (size_t j = 0; j < n; j++) {
			uint64_t size = 1ULL << (32 - prefixes[j].bits);

			assert_int_equal(prefixes[j].first, at);
			assert_int_equal(at % size, 0);
			at += size;
		}
		assert_int_equal(at, (uint64_t)ranges[i].first + ranges[i].count);
		/* Doubling none of two neighbours: as few as there can be. */
		for (size_t j = 1; j < n; j++)
			assert_true(prefixes[j - 1].bits != prefixes[j].bits ||
				    prefixes[j - 1].first & 1U << (32 - prefixes[j].bits));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),	      cmocka_unit_test(test_name_that_is_not_known),
		cmocka_unit_test(test_root),	      cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_error_ends_it), cmocka_unit_test(test_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
