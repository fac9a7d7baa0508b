/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* elf_probes.c: finds the text of an assertion wherever it lies, and the places of probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/elf_probes.h"

#define SIZE 100000

/* Result for a section of SIZE bytes behind 10 others; `text`, with its NUL, begins at `at`. */
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
	/* A section that claims to be larger than the file. */
	assert_int_equal(said_of("", 0, UINT64_MAX), 0);
	assert_true(elf_probes_abort(-1, 0, 100) < 0);
}

#define ROOM 65536

/* Notes made one by one, for a file whose code is loaded at 0x1000 and its data at 0x3000. Both lie
 * 0x100 further behind in the file. */
struct made {
	char text[ROOM];
	size_t size;
};

static const Elf64_Phdr segments[] = {
	{.p_type = PT_LOAD,
	 .p_flags = PF_R | PF_X,
	 .p_vaddr = 0x1000,
	 .p_offset = 0x1100,
	 .p_filesz = 0x1000},
	{.p_type = PT_LOAD,
	 .p_flags = PF_R | PF_W,
	 .p_vaddr = 0x3000,
	 .p_offset = 0x3100,
	 .p_filesz = 0x1000},
};

static void add_note(struct made *made, const char *name, uint64_t location, uint64_t semaphore,
		     const char *args)
{
	Elf64_Nhdr head = {.n_namesz = 8, .n_type = 3};
	uint64_t numbers[3] = {location, 0x500, semaphore};
	char *at = made->text + made->size;

	head.n_descsz = sizeof(numbers) + sizeof("python") + strlen(name) + 1 + strlen(args) + 1;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), "stapsdt", 8);
	at += sizeof(head) + 8;
	memcpy(at, numbers, sizeof(numbers));
	memcpy(at + sizeof(numbers), "python", 7);
	strcpy(at + sizeof(numbers) + 7, name);
	strcpy(at + sizeof(numbers) + 7 + strlen(name) + 1, args);
	made->size += sizeof(head) + 8 + ((head.n_descsz + 3) & ~3u);
}

#if defined(__x86_64__)
#define ARGS "8@%rdi 8@%rsi -4@%edx"
#else
#define ARGS "8@x0 8@x1 -4@w2"
#endif

/* All probes but the line probe. */
static void make(struct made *made)
{
	memset(made, 0, sizeof(*made));
	add_note(made, "gc__start", 0x1010, 0, "-4@$1");
	add_note(made, "gc__done", 0x1020, 0x3004, "");
	add_note(made, "function__return", 0x1030, 0x3006, ARGS);
	add_note(made, "function__entry", 0x1040, 0x3008, ARGS);
	add_note(made, "audit", 0x1050, 0x300a, "nonsense");
}

static int read_made(const struct made *made, uint64_t size, uint64_t base,
		     struct elf_probe_sites *sites)
{
	struct elf_probe_notes notes = {
		.offset = 10, .size = size, .base = base, .segments = segments, .segment_count = 2};
	char path[] = "/tmp/test_elf_probes.XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, made->text, made->size, 10), made->size);
	err = elf_probe_sites_read(fd, &notes, sites);
	close(fd);
	unlink(path);
	return err;
}

static void test_sites(void **state)
{
	struct elf_probe_sites sites;
	struct made made;

	(void)state;
	make(&made);
	/* To count functions no line probe is needed; nor is there a semaphore of it to raise. */
	assert_int_equal(read_made(&made, made.size, 0, &sites), 0);
	assert_int_equal(sites.count[ELF_PROBE_LINE], 0);
	assert_int_equal(sites.quiet.offset, 0);
	assert_int_equal(elf_probe_sites_suffice(&sites, true), 0);
	assert_int_equal(elf_probe_sites_suffice(&sites, false), -ENOENT);
	sites.entry_wants_line = true;
	assert_int_equal(elf_probe_sites_suffice(&sites, true), -EADDRNOTAVAIL);
	add_note(&made, "line", 0x1060, 0x300c, ARGS);
	add_note(&made, "line", 0x1070, 0x300c, ARGS);
	assert_int_equal(read_made(&made, made.size, 0, &sites), 0);
	assert_int_equal(sites.count[ELF_PROBE_LINE], 2);
	assert_int_equal(sites.count[ELF_PROBE_GC_START], 1);
	assert_int_equal(sites.site[ELF_PROBE_LINE][1].address, 0x1070);
	assert_int_equal(sites.site[ELF_PROBE_LINE][1].offset, 0x1170);
	assert_int_equal(sites.site[ELF_PROBE_LINE][1].semaphore, 0x310c);
	assert_int_equal(sites.site[ELF_PROBE_GC_START][0].semaphore, 0);
	assert_int_equal(sites.site[ELF_PROBE_GC_START][0].place, 0);
	assert_int_not_equal(sites.site[ELF_PROBE_LINE][1].place, 0);
	/* The place of "audit", with the semaphore of lines. */
	assert_int_equal(sites.quiet.offset, 0x1150);
	assert_int_equal(sites.quiet.semaphore, 0x310c);
	assert_int_equal(elf_probe_sites_suffice(&sites, false), 0);
	sites.entry_wants_line = true;
	assert_int_equal(elf_probe_sites_suffice(&sites, true), 0);
	/* The file has moved by 0x20 since it was linked. */
	assert_int_equal(read_made(&made, made.size, 0x520, &sites), 0);
	assert_int_equal(sites.site[ELF_PROBE_LINE][1].offset, 0x1190);
	assert_int_equal(sites.site[ELF_PROBE_LINE][1].semaphore, 0x312c);
	/* A section that is longer than the file, but not too long. */
	assert_int_equal(read_made(&made, 1024 * 1024, 0, &sites), 0);
	assert_int_equal(read_made(&made, 1024 * 1024 + 1, 0, &sites), -EFBIG);
	assert_int_equal(read_made(&made, UINT64_MAX, 0, &sites), -EFBIG);
	/* Without another probe there is no such place, or if its own place can't be. */
	made = (struct made){};
	add_note(&made, "gc__start", 0x1010, 0, "-4@$1");
	add_note(&made, "gc__done", 0x1020, 0x3004, "");
	add_note(&made, "function__return", 0x1030, 0x3006, ARGS);
	add_note(&made, "line", 0x1060, 0x300c, ARGS);
	assert_int_equal(read_made(&made, made.size, 0, &sites), -ENOENT);
	add_note(&made, "function__entry", 0x1040, 0x3008, ARGS);
	add_note(&made, "audit", 0x3050, 0x300a, "");
	add_note(&made, "audit", 0x1050, 0, "");
	assert_int_equal(read_made(&made, made.size, 0, &sites), 0);
	assert_int_equal(sites.quiet.offset, 0);
	/* Cut anywhere: it is never read beyond its end, and never has all probes. */
	for (size_t size = 0; size < made.size - 1; size++)
		read_made(&made, size, 0, &sites);
	assert_int_equal(read_made(&made, made.size / 2, 0, &sites), -ENOENT);
}

static void test_refused_sites(void **state)
{
	static const struct {
		uint64_t location, semaphore;
		const char *args;
		int err;
	} cases[] = {
		{0x0fff, 0x300c, ARGS, -ENOEXEC}, /* before everything that is loaded */
		{0x2000, 0x300c, ARGS, -ENOEXEC}, /* between code and data */
		{0x3000, 0x300c, ARGS, -ENOEXEC}, /* in data */
		{0x1060, 0x1060, ARGS, -ENOEXEC}, /* a semaphore in code */
		{UINT64_MAX, UINT64_MAX, ARGS, -ENOEXEC},
		{0x1060, 0x300c, "8@$1 8@$1", -EOPNOTSUPP},
		{0x1060, 0x300c, "", -EOPNOTSUPP},
		{0x1060, 0x300c, "8@$1 8@%nothing -4@$1", -EOPNOTSUPP},
	};
	struct elf_probe_sites sites;
	struct made made;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(&made);
		add_note(&made, "line", cases[i].location, cases[i].semaphore, cases[i].args);
		assert_int_equal(read_made(&made, made.size, 0, &sites), cases[i].err);
	}
	make(&made);
	for (i = 0; i < ELF_PROBE_SITES_MOST; i++)
		add_note(&made, "line", 0x1060 + i, 0, ARGS);
	assert_int_equal(read_made(&made, made.size, 0, &sites), 0);
	add_note(&made, "line", 0x1060, 0, ARGS);
	assert_int_equal(read_made(&made, made.size, 0, &sites), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anywhere),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_sites),
		cmocka_unit_test(test_refused_sites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
