/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernel/kernel_sites.c: which functions of the kernel allocate what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel/kernel_sites.h"

static struct pymem_site sites[PYMEM_SITES];

static size_t read_text(const char *text)
{
	FILE *symbols = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	size_t count;

	assert_non_null(symbols);
	memset(sites, 0xff, sizeof(sites));
	count = kernel_sites_read(symbols, sites);
	fclose(symbols);
	return count;
}

/* A function ends where the next one begins; data, other names and names that only begin alike are
 * left out. */
static void test_found(void **state)
{
	(void)state;
	assert_int_equal(read_text("ffffffff81000000 T _text\n"
				   "ffffffff81000100 t sk_prot_alloc.isra.0\n"
				   "ffffffff81000100 t another_name_of_it\n"
				   "ffffffff81000180 T sk_prot_alloc_more\n"
				   "ffffffff81000200 T alloc_pipe_info\n"
				   "ffffffff81000240 D alloc_inode\n"
				   "ffffffff81000300 T alloc_empty_file\n"
				   "ffffffff81000380 T a_module_has [m]\n"),
			 3);
	assert_int_equal(sites[0].start, 0xffffffff81000100);
	assert_int_equal(sites[0].end, 0xffffffff81000180);
	assert_int_equal(sites[0].kind, PYMEM_KERNEL_SOCKETS);
	assert_int_equal(sites[1].kind, PYMEM_KERNEL_PIPES);
	assert_int_equal(sites[1].end, 0xffffffff81000240);
	assert_int_equal(sites[2].kind, PYMEM_KERNEL_FILES);
}

/* Modules come last, whatever their addresses are. The last function has no end. */
static void test_order(void **state)
{
	(void)state;
	assert_int_equal(read_text("ffffffff81000200 T alloc_pipe_info\n"
				   "ffffffff81000240 T next\n"
				   "ffffffff80000100 t sock_alloc_inode [m]\n"
				   "ffffffff80000140 t next [m]\n"
				   "ffffffff80000180 t alloc_inode [m]\n"),
			 2);
	assert_int_equal(sites[0].start, 0xffffffff80000100);
	assert_int_equal(sites[1].start, 0xffffffff81000200);
}

/* Hidden addresses, garbage, an empty file: nothing is known. */
static void test_hidden(void **state)
{
	char *many = malloc(256 * 64), *at = many;

	(void)state;
	assert_int_equal(read_text("0000000000000000 T alloc_pipe_info\n"
				   "0000000000000000 T next\n"),
			 0);
	assert_int_equal(read_text("\n\n\x01\xff T\nzzz alloc_inode\n"), 0);
	/* No more than there is room for. */
	assert_non_null(many);
	for (int i = 0; i < 200; i++)
		at += sprintf(at, "%x T alloc_inode\n", 0x1000 + i * 16);
	assert_int_equal(read_text(many), PYMEM_SITES);
	free(many);
}

static bool shows(const char *text)
{
	char path[] = "/tmp/test_kernel_sites.XXXXXX";
	int fd = mkstemp(path);
	bool found;

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	found = kernel_shows_symbols(path);
	unlink(path);
	return found;
}

/* The first function tells: kernels up to 6.14 begin with what lies at 0 in each CPU's memory. */
static void test_shows(void **state)
{
	(void)state;
	assert_true(shows("ffffffff81000000 T _text\n"));
	assert_true(
		shows("0000000000000000 A fixed_percpu_data\n0000000000001000 A cpu_debug_store\n"
		      "ffffffff81000000 T _stext\n"));
	assert_false(shows("0000000000000000 A fixed_percpu_data\n0000000000000000 T _stext\n"
			   "ffffffff81000000 T next\n"));
	assert_false(shows("0000000000000000 A fixed_percpu_data\n"));
	assert_false(shows(""));
	assert_false(kernel_shows_symbols("/nonexistent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
