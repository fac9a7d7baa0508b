/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* budget.c, and the readers of hostile files that obey it. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/budget.h"
#include "python/elf_image.h"
#include "python/elf_probes.h"
#include "os/proc.h"

static void test_none(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(budget_spend(BUDGET_PROCESS_BYTES), 0);
}

static void test_bytes(void **state)
{
	(void)state;
	budget_begin();
	budget_begin_file();
	assert_int_equal(budget_spend(BUDGET_FILE_BYTES), 0);
	assert_int_equal(budget_spend(1), -EFBIG);
	budget_begin_file();
	assert_int_equal(budget_spend(BUDGET_FILE_BYTES - 1), 0);
	budget_begin_file();
	assert_int_equal(budget_spend(1), -EDQUOT);
	budget_end();
	assert_int_equal(budget_spend(1), 0);
}

static void test_time(void **state)
{
	int err = 0;

	(void)state;
	alarm(120);
	budget_begin();
	while (!err)
		err = budget_spend(0);
	assert_int_equal(err, -EFBIG);
	while (err == -EFBIG) {
		budget_begin_file();
		do
			err = budget_spend(0);
		while (!err);
	}
	assert_int_equal(err, -EDQUOT);
	budget_end();
	alarm(0);
}

static int ignore(const struct proc_mapping *mapping, void *arg)
{
	(void)mapping;
	(void)arg;
	return 0;
}

/* A list of mappings without end: each line is a step. */
static void test_maps(void **state)
{
	int fd = memfd_create("maps", MFD_CLOEXEC);
	static const char line[] = "1000-2000 r-xp 00000000 08:01 5 /x\n";
	char block[1000 * (sizeof(line) - 1)];
	FILE *maps = fdopen(fd, "w+");

	(void)state;
	assert_non_null(maps);
	for (int i = 0; i < 1000; i++)
		memcpy(block + (size_t)i * (sizeof(line) - 1), line, sizeof(line) - 1);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(fwrite(block, sizeof(block), 1, maps), 1);
	assert_int_equal(fflush(maps), 0);
	rewind(maps);
	budget_begin();
	alarm(120);
	assert_int_equal(proc_maps_parse(maps, ignore, NULL), -EFBIG);
	alarm(0);
	budget_end();
	fclose(maps);
}

/* An ELF file whose string table has the largest size, with one name at the end of a hole. */
static void test_holes(void **state)
{
	const uint64_t base = 1 << 20, size = 255ull << 20;
	static const char name[] = "\0_PyRuntime";
	Elf64_Ehdr header;
	Elf64_Phdr segment = {.p_type = PT_LOAD, .p_filesz = 4096, .p_memsz = 4096};
	Elf64_Sym symbol = {.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
			    .st_shndx = 1,
			    .st_value = 0x1234};
	Elf64_Shdr sections[] = {
		{0},
		{.sh_type = SHT_DYNSYM,
		 .sh_offset = 8192,
		 .sh_size = sizeof(symbol),
		 .sh_link = 2,
		 .sh_entsize = sizeof(symbol)},
		{.sh_type = SHT_STRTAB, .sh_offset = base, .sh_size = size},
		{.sh_type = SHT_STRTAB, .sh_offset = 12288, .sh_size = 1},
	};
	struct elf_image image;
	int fd = memfd_create("elf", MFD_CLOEXEC), self = open("/proc/self/exe", O_RDONLY);

	(void)state;
	assert_int_equal(read(self, &header, sizeof(header)), sizeof(header));
	close(self);
	header.e_type = ET_DYN;
	header.e_phoff = sizeof(header);
	header.e_phnum = 1;
	header.e_shoff = 4096;
	header.e_shnum = 4;
	header.e_shstrndx = 3;
	symbol.st_name = (uint32_t)(size - sizeof(name) + 1);
	assert_int_equal(ftruncate(fd, (off_t)(base + size)), 0);
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(pwrite(fd, &segment, sizeof(segment), sizeof(header)), sizeof(segment));
	assert_int_equal(pwrite(fd, sections, sizeof(sections), 4096), sizeof(sections));
	assert_int_equal(pwrite(fd, &symbol, sizeof(symbol), 8192), sizeof(symbol));
	assert_int_equal(pwrite(fd, name, sizeof(name), (off_t)(base + size - sizeof(name))),
			 sizeof(name));
	budget_begin();
	budget_begin_file();
	assert_int_equal(elf_image_read(fd, &image), 0);
	assert_true(image.is_python);
	assert_int_equal(image.runtime_vaddr, 0x1234);
	/* Nothing was read of the holes, so the file has used hardly any of its budget. */
	assert_int_equal(budget_spend(BUDGET_FILE_BYTES - (1 << 20)), 0);
	budget_end();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),  cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_time),  cmocka_unit_test(test_maps),
		cmocka_unit_test(test_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
