/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernel_btf.c with type information made by hand, cut off everywhere, and with that of the running
 * kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/kernel_btf.h"

#define HEADER 24

static char path[64];

struct file { /* BTF being built */
	uint32_t types[200000];
	size_t words;
	char strings[65536];
	size_t bytes;
};

static uint32_t string(struct file *f, const char *text)
{
	uint32_t at = f->bytes;

	strcpy(f->strings + at, text);
	f->bytes += strlen(text) + 1;
	return at;
}

static void type(struct file *f, const char *name, unsigned kind, unsigned vlen)
{
	f->types[f->words++] = *name ? string(f, name) : 0;
	f->types[f->words++] = kind << 24 | vlen;
	f->types[f->words++] = 4;
}

static void words(struct file *f, size_t count)
{
	while (count--)
		f->types[f->words++] = 0;
}

static void enumerator(struct file *f, const char *name, uint32_t value)
{
	f->types[f->words++] = string(f, name);
	f->types[f->words++] = value;
}

static struct file *file_new(void)
{
	struct file *f = calloc(1, sizeof(*f));

	string(f, "");
	return f;
}

/* All kinds up to ENUM64, with what follows each. */
static struct file *sample(void)
{
	struct file *f = file_new();

	type(f, "int", BTF_KIND_INT, 0);
	words(f, 1);
	type(f, "", BTF_KIND_ARRAY, 0);
	words(f, 3);
	type(f, "twice", BTF_KIND_STRUCT, 2);
	words(f, 6);
	type(f, "one_of", BTF_KIND_UNION, 1);
	words(f, 3);
	type(f, "colours", BTF_KIND_ENUM, 2);
	enumerator(f, "RED", 1);
	enumerator(f, "GREEN", 2);
	type(f, "", BTF_KIND_FUNC_PROTO, 3);
	words(f, 6);
	type(f, "called", BTF_KIND_FUNC, 1);
	type(f, "variable", BTF_KIND_VAR, 0);
	words(f, 1);
	type(f, ".data", BTF_KIND_DATASEC, 2);
	words(f, 6);
	type(f, "tagged", BTF_KIND_DECL_TAG, 0);
	words(f, 1);
	type(f, "large", BTF_KIND_ENUM64, 2);
	words(f, 6);
	type(f, "real", BTF_KIND_FLOAT, 0);
	type(f, "", BTF_KIND_PTR, 0);
	type(f, "later", BTF_KIND_FWD, 0);
	type(f, "", BTF_KIND_VOLATILE, 0);
	type(f, "", BTF_KIND_CONST, 0);
	type(f, "", BTF_KIND_RESTRICT, 0);
	type(f, "user", BTF_KIND_TYPE_TAG, 0);
	type(f, "alias", BTF_KIND_TYPEDEF, 0);
	type(f, "tastes", BTF_KIND_ENUM, 1);
	enumerator(f, "SWEET", 1);
	return f;
}

/* Writes it to a file without its last `cut` bytes, behind a header of `header_bytes` and with a
 * gap between types and strings. Returns the size without the cut. */
static size_t save_with(const struct file *f, size_t cut, uint32_t header_bytes,
			uint32_t type_bytes)
{
	const uint32_t gap = 12;
	struct btf_header header = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = header_bytes,
		.type_len = type_bytes,
		.str_off = f->words * 4 + gap,
		.str_len = f->bytes,
	};
	size_t size = header_bytes + header.str_off + header.str_len;
	char *all = calloc(1, size);
	int fd;

	memcpy(all, &header, HEADER);
	memset(all + HEADER, 0xff, header_bytes - HEADER); /* as newer kernels have it */
	memcpy(all + header_bytes, f->types, f->words * 4);
	memcpy(all + header_bytes + header.str_off, f->strings, f->bytes);
	strcpy(path, "/tmp/test_kernel_btf.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(write(fd, all, size - cut) == (ssize_t)(size - cut));
	close(fd);
	free(all);
	return size;
}

static size_t save(const struct file *f, size_t cut)
{
	return save_with(f, cut, HEADER, f->words * 4);
}

static int find(struct kernel_btf_wanted *wanted, size_t count)
{
	int err = kernel_btf_find(path, wanted, count);

	unlink(path);
	return err;
}

static void test_each_kind(void **state)
{
	struct kernel_btf_wanted wanted[] = {
		{.name = "twice", .kind = BTF_KIND_STRUCT},
		{.name = "twice", .kind = BTF_KIND_UNION},
		{.name = "one_of", .kind = BTF_KIND_UNION},
		{.name = "alias", .kind = BTF_KIND_TYPEDEF},
		{.name = "alia", .kind = BTF_KIND_TYPEDEF},
		{.name = "aliases", .kind = BTF_KIND_TYPEDEF},
		{.name = "colours", .kind = BTF_KIND_ENUM, .member = "GREEN"},
		{.name = "colours", .kind = BTF_KIND_ENUM, .member = "BLUE"},
		{.name = "colours", .kind = BTF_KIND_ENUM, .member = "SWEET"},
		{.name = "tastes", .kind = BTF_KIND_ENUM, .member = "SWEET"},
		{.name = "SWEET", .kind = BTF_KIND_ENUM},
	};
	static const bool there[] = {true, false, true,	 true, false, false,
				     true, false, false, true, false};
	struct file *f = sample();
	size_t i;

	(void)state;
	save(f, 0);
	wanted[1].found = true; /* from an earlier call */
	assert_int_equal(find(wanted, 11), 0);
	for (i = 0; i < 11; i++)
		assert_int_equal(wanted[i].found, there[i]);
	free(f);
}

static void member(struct file *f, const char *name)
{
	f->types[f->words++] = string(f, name);
	words(f, 2);
}

/* Members of structures, and the numbers of types. */
static void test_members(void **state)
{
	struct kernel_btf_wanted wanted[] = {
		{.name = "event", .kind = BTF_KIND_STRUCT, .member = "number"},
		{.name = "event", .kind = BTF_KIND_STRUCT, .member = "path"},
		{.name = "other", .kind = BTF_KIND_STRUCT, .member = "number"},
		{.name = "event", .kind = BTF_KIND_ENUM, .member = "number"},
		{.name = "event", .kind = BTF_KIND_STRUCT},
		{.name = "does", .kind = BTF_KIND_FUNC},
	};
	static const bool there[] = {true, false, false, false, true, true};
	struct file *f = file_new();
	size_t i;

	(void)state;
	type(f, "other", BTF_KIND_STRUCT, 1);
	member(f, "path");
	type(f, "event", BTF_KIND_STRUCT, 2);
	member(f, "mm");
	member(f, "number");
	type(f, "does", BTF_KIND_FUNC, 0);
	save(f, 0);
	assert_int_equal(find(wanted, 6), 0);
	for (i = 0; i < 6; i++)
		assert_int_equal(wanted[i].found, there[i]);
	assert_int_equal(wanted[0].id, 2);
	assert_int_equal(wanted[4].id, 2);
	assert_int_equal(wanted[5].id, 3);
	free(f);
}

/* Types and strings that are longer than the window. */
static void test_long(void **state)
{
	struct kernel_btf_wanted wanted[] = {
		{.name = "last", .kind = BTF_KIND_STRUCT},
		{.name = "many", .kind = BTF_KIND_ENUM, .member = "E4999"},
	};
	struct file *f = file_new();
	char name[16];
	int i;

	(void)state;
	type(f, "wide", BTF_KIND_STRUCT, 6000);
	words(f, 18000);
	type(f, "many", BTF_KIND_ENUM, 5000);
	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "E%d", i);
		enumerator(f, name, i);
	}
	type(f, "last", BTF_KIND_STRUCT, 0);
	save(f, 0);
	assert_int_equal(find(wanted, 2), 0);
	assert_true(wanted[0].found && wanted[1].found);
	free(f);
}

static void test_cut_off(void **state)
{
	struct kernel_btf_wanted wanted[] = {{.name = "alias", .kind = BTF_KIND_TYPEDEF}};
	struct file *f = sample();
	size_t size = save(f, 0), cut;

	(void)state;
	unlink(path);
	for (cut = 1; cut <= size; cut++) {
		save(f, cut);
		assert_int_equal(find(wanted, 1), -EINVAL);
	}
	free(f);
}

/* Cut off inside a type: in its head, its elements, its enumerators. */
static void test_types_cut_off(void **state)
{
	struct kernel_btf_wanted wanted[] = {{.name = "alias", .kind = BTF_KIND_TYPEDEF}};
	static const struct {
		unsigned kind, vlen, words;
	} lasts[] = {{BTF_KIND_PTR, 0, 0},     {BTF_KIND_INT, 0, 1},   {BTF_KIND_ARRAY, 0, 3},
		     {BTF_KIND_STRUCT, 3, 9},  {BTF_KIND_ENUM, 3, 6},  {BTF_KIND_FUNC_PROTO, 2, 4},
		     {BTF_KIND_DATASEC, 2, 6}, {BTF_KIND_ENUM64, 2, 6}};
	size_t i, bytes;

	(void)state;
	for (i = 0; i < sizeof(lasts) / sizeof(lasts[0]); i++) {
		struct file *f = file_new();

		type(f, "", lasts[i].kind, lasts[i].vlen);
		words(f, lasts[i].words);
		for (bytes = 1; bytes < f->words * 4; bytes++) {
			save_with(f, 0, HEADER, bytes);
			assert_int_equal(find(wanted, 1), -EINVAL);
		}
		save_with(f, 0, HEADER, bytes);
		assert_int_equal(find(wanted, 1), 0);
		free(f);
	}
}

/* As in later kernels: a longer header, and more than 65,535 elements. */
static void test_newer(void **state)
{
	struct kernel_btf_wanted wanted[] = {{.name = "alias", .kind = BTF_KIND_TYPEDEF}};
	struct file *f = sample();

	(void)state;
	save_with(f, 0, 32, f->words * 4);
	assert_int_equal(find(wanted, 1), 0);
	assert_true(wanted[0].found);
	save_with(f, 0, 20 + HEADER, f->words * 4);
	assert_int_equal(find(wanted, 1), 0);
	assert_true(wanted[0].found);
	f->words = 0;
	type(f, "wide", BTF_KIND_ENUM, 70000);
	words(f, 140000);
	type(f, "alias", BTF_KIND_TYPEDEF, 0);
	save(f, 0);
	assert_int_equal(find(wanted, 1), 0);
	assert_true(wanted[0].found);
	free(f);
}

static void test_malformed(void **state)
{
	struct kernel_btf_wanted wanted[] = {{.name = "alias", .kind = BTF_KIND_TYPEDEF}};
	struct file *f = sample();

	(void)state;
	f->strings[f->bytes - 1] = 'x'; /* no end */
	save(f, 0);
	assert_int_equal(find(wanted, 1), -EINVAL);
	free(f);
	f = file_new(); /* members that do not exist */
	type(f, "short", BTF_KIND_STRUCT, 65535);
	save(f, 0);
	assert_int_equal(find(wanted, 1), -EINVAL);
	free(f);
	f = file_new();
	type(f, "short", BTF_KIND_ENUM, 65535);
	save(f, 0);
	assert_int_equal(find(wanted, 1), -EINVAL);
	free(f);
	f = file_new();
	memset(f->strings, 'x', sizeof(f->strings)); /* longer than any name */
	f->bytes = sizeof(f->strings);
	save(f, 0);
	assert_int_equal(find(wanted, 1), -EINVAL);
	free(f);
	f = file_new();
	type(f, "new", 100, 0);
	save(f, 0);
	assert_int_equal(find(wanted, 1), -ENOTSUP);
	free(f);
	assert_int_equal(kernel_btf_find("/nonexistent", wanted, 1), -ENOENT);
	assert_int_equal(kernel_btf_find("/proc/self/stat", wanted, 1), -EINVAL);
}

static void test_running_kernel(void **state)
{
	struct kernel_btf_wanted wanted[] = {
		{.name = "task_struct", .kind = BTF_KIND_STRUCT},
		{.name = "pid_t", .kind = BTF_KIND_TYPEDEF},
		{.name = "bpf_map_type", .kind = BTF_KIND_ENUM, .member = "BPF_MAP_TYPE_HASH"},
		{.name = "no_kernel_has_this", .kind = BTF_KIND_STRUCT},
		{.name = "task_struct", .kind = BTF_KIND_TYPEDEF},
		{.name = "bpf_map_type",
		 .kind = BTF_KIND_ENUM,
		 .member = "BPF_FUNC_map_lookup_elem"},
	};

	(void)state;
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		skip();
	assert_int_equal(kernel_btf_find("/sys/kernel/btf/vmlinux", wanted, 6), 0);
	assert_true(wanted[0].found && wanted[1].found && wanted[2].found);
	assert_false(wanted[3].found || wanted[4].found || wanted[5].found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),     cmocka_unit_test(test_members),
		cmocka_unit_test(test_long),	      cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_types_cut_off), cmocka_unit_test(test_newer),
		cmocka_unit_test(test_malformed),     cmocka_unit_test(test_running_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
