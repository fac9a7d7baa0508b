/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* elf_probes.c: the text of an assertion, wherever it lies. (Notes: test_elf_image.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf_probes.h"

#define SIZE 100000

/* What is said of SIZE bytes behind 10 others, with `text` (its NUL too) at `at`. */
static int said_of(const char *text, size_t at, uint64_t size)
{
	char path[] = "/tmp/test_elf_probes.XXXXXX", *bytes = calloc(1, SIZE + 10);
	int fd = mkstemp(path), found;

	assert_true(fd >= 0);
	memcpy(bytes + 10 + at, text, strlen(text) + 1);
	assert_int_equal(write(fd, bytes, SIZE + 10), SIZE + 10);
	found = elf_probes_abort(fd, 10, size);
	close(fd);
	unlink(path);
	free(bytes);
	return found;
}

static void test_anywhere(void **state)
{
	size_t at;

	(void)state;
	for (at = 0; at < SIZE - 40; at += 977)
		assert_int_equal(said_of("cframe.use_tracing", at, SIZE), 1);
	/* Around the end of each piece that is read. */
	for (at = 16 * 1024 - 64; at < 16 * 1024 + 8; at++)
		assert_int_equal(said_of("cframe.use_tracing", at, SIZE), 1);
	assert_int_equal(said_of("cframe.use_tracing", SIZE - 19, SIZE), 1);
}

static void test_not_there(void **state)
{
	(void)state;
	assert_int_equal(said_of("cframe.use_tracing", SIZE - 19, SIZE - 1), 0);
	assert_int_equal(said_of("cframe.use_tracing == 0", 500, SIZE), 0);
	assert_int_equal(said_of("", 0, SIZE), 0);
	assert_int_equal(said_of("", 0, 0), 0);
	/* A section that says it is larger than the file. */
	assert_int_equal(said_of("", 0, UINT64_MAX), 0);
	assert_true(elf_probes_abort(-1, 0, 100) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anywhere),
		cmocka_unit_test(test_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
