/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/pagemap.c: which pages of this very process are resident. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/pagemap.h"
#include "zero_page.h"

#define PAGES 64

static size_t page;

static char *map(int protection, int flags)
{
	char *at = mmap(NULL, PAGES * page, protection, MAP_ANONYMOUS | flags, -1, 0);

	assert_true(at != MAP_FAILED);
	madvise(at, PAGES * page, MADV_NOHUGEPAGE);
	return at;
}

/* How many of the pages at `at` are told to be of the kind; none is told twice. */
static uint64_t pages_of(const char *at, enum pagemap_kind kind)
{
	uint64_t start = (uintptr_t)at, end = start + PAGES * page, found = 0, last = 0;
	struct pagemap_run *runs;
	size_t count, i;

	assert_int_equal(pagemap_read(getpid(), kind, &runs, &count), 0);
	for (i = 0; i < count; i++) {
		uint64_t from = runs[i].start, to = from + runs[i].pages * page;

		assert_true(runs[i].pages && from >= last);
		last = to;
		from = from > start ? from : start;
		to = to < end ? to : end;
		found += to > from ? (to - from) / page : 0;
	}
	free(runs);
	return found;
}

static uint64_t resident(const char *at)
{
	return pages_of(at, PAGEMAP_RESIDENT);
}

static void test_touched(void **state)
{
	char *at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	assert_int_equal(resident(at), 0);
	at[0] = at[3 * page] = at[4 * page] = at[63 * page] = 1;
	assert_int_equal(resident(at), 4);
	madvise(at + 3 * page, page, MADV_DONTNEED);
	assert_int_equal(resident(at), 3);
	munmap(at, PAGES * page);
}

/* Memory that was only read is the page of zeros, which is no part of RSS. */
static void test_zeros(void **state)
{
	volatile char *at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	if (!has_zero_page()) {
		print_message("  this kernel is started without a page of zeros\n");
		skip();
	}
	for (size_t i = 0; i < PAGES; i++)
		(void)at[i * page];
	at[5 * page] = 1;
	assert_int_equal(resident((const char *)at), 1);
	munmap((char *)at, PAGES * page);
}

/* Shared memory belongs to a file, memory of devices to none. */
static void test_shared(void **state)
{
	char *at = map(PROT_READ | PROT_WRITE, MAP_SHARED);

	(void)state;
	memset(at, 1, 7 * page);
	assert_int_equal(resident(at), 7);
	munmap(at, PAGES * page);
}

/* Of files and shared memory, what is not there; of other memory that is not told. */
static void test_absent(void **state)
{
	char *at = map(PROT_READ | PROT_WRITE, MAP_SHARED),
	     *own = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	assert_int_equal(pages_of(at, PAGEMAP_ABSENT), PAGES);
	at[0] = at[3 * page] = at[63 * page] = 1;
	assert_int_equal(pages_of(at, PAGEMAP_ABSENT), PAGES - 3);
	assert_int_equal(pages_of(own, PAGEMAP_ABSENT), 0);
	munmap(at, PAGES * page);
	munmap(own, PAGES * page);
}

/* Guards have entries that look like those of swap. */
static void test_guards(void **state)
{
	char *at = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int guarded;

	(void)state;
	memset(at, 1, PAGES * page);
	guarded = madvise(at, 5 * page, 102 /* MADV_GUARD_INSTALL, since 6.13 */);
	assert_int_equal(pages_of(at, PAGEMAP_SWAPPED), 0);
	assert_int_equal(resident(at), guarded ? PAGES : PAGES - 5);
	munmap(at, PAGES * page);
}

/* So many runs that they come in several answers. */
static void test_many_runs(void **state)
{
	size_t count = 5000, i, found = 0, runs_count;
	char *at = mmap(NULL, 2 * count * page, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE,
			-1, 0);
	struct pagemap_run *runs;

	(void)state;
	assert_true(at != MAP_FAILED);
	madvise(at, 2 * count * page, MADV_NOHUGEPAGE);
	for (i = 0; i < count; i++)
		at[2 * i * page] = 1;
	assert_int_equal(pagemap_read(getpid(), PAGEMAP_RESIDENT, &runs, &runs_count), 0);
	for (i = 0; i < runs_count; i++)
		found += runs[i].start >= (uintptr_t)at &&
			 runs[i].start < (uintptr_t)(at + 2 * count * page) && runs[i].pages == 1;
	assert_int_equal(found, count);
	free(runs);
	munmap(at, 2 * count * page);
}

static void test_gone(void **state)
{
	struct pagemap_run *runs;
	size_t count;
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(pagemap_read(child, PAGEMAP_RESIDENT, &runs, &count), -ESRCH);
	assert_null(runs);
	assert_int_equal(count, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touched), cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_shared),	cmocka_unit_test(test_many_runs),
		cmocka_unit_test(test_gone),	cmocka_unit_test(test_absent),
		cmocka_unit_test(test_guards),
	};

	page = (size_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
