/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* elf_image.c and elf_version.c with real interpreters, with the same files truncated and
 * corrupted, and with files whose headers contain wrong sizes. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "python/elf_image.h"
#include "python/elf_version.h"
#include "pythons.h"

static struct test_pythons pythons;

static int examine(const char *path, struct elf_image *image)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	assert_true(fd >= 0);
	err = elf_image_read(fd, image);
	close(fd);
	return err;
}

/* A file in memory with the first `limit` bytes of `path`. */
static int copy_of(const char *path, size_t limit)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("copy", MFD_CLOEXEC);
	char buf[65536];
	ssize_t n;

	assert_true(from >= 0 && to >= 0);
	while (limit > 0 && (n = read(from, buf, limit < sizeof(buf) ? limit : sizeof(buf))) > 0) {
		assert_int_equal(write(to, buf, (size_t)n), n);
		limit -= (size_t)n;
	}
	close(from);
	return to;
}

static void test_real_interpreters(void **state)
{
	struct elf_image image;

	(void)state;
	assert_true(pythons.count > 0);
	for (size_t i = 0; i < pythons.count; i++) {
		const struct test_python *python = &pythons.list[i];
		unsigned major, minor, micro;

		print_message("  %s: %s\n", python->library, python->version);
		assert_int_equal(examine(python->library, &image), 0);
		assert_true(image.is_python);
		assert_string_equal(image.version, python->version);
		assert_int_equal(sscanf(python->version, "%u.%u.%u", &major, &minor, &micro), 3);
		assert_int_equal(image.major, major);
		assert_int_equal(image.minor, minor);
		assert_int_equal(image.micro, micro);
		assert_int_equal(image.is_python2, major == 2);
		assert_true(image.runtime_vaddr != 0);
		assert_false(image.debug_build);
		/* pyenv's are not stripped: the static variable of 3.6 must be found. */
		if (strstr(python->library, ".pyenv") && major == 3 && minor == 6)
			assert_true(image.interp_head_vaddr != 0);
	}
}

static void test_not_python(void **state)
{
	struct elf_image image;

	(void)state;
	assert_int_equal(examine("/bin/true", &image), 0);
	assert_false(image.is_python);
	assert_int_equal(examine("/proc/self/exe", &image), 0);
	assert_false(image.is_python);
	assert_int_equal(examine("/etc/passwd", &image), -ENOEXEC);
	assert_int_equal(examine("/dev/null", &image), -ENOEXEC);
	assert_int_equal(examine("/", &image), -EISDIR);
}

static const char *smallest_library(void)
{
	const char *best = NULL;
	off_t size = 0;
	struct stat st;

	for (size_t i = 0; i < pythons.count; i++) {
		if (stat(pythons.list[i].library, &st) == 0 && (!best || st.st_size < size)) {
			best = pythons.list[i].library;
			size = st.st_size;
		}
	}
	assert_non_null(best);
	return best;
}

static void test_truncated(void **state)
{
	const char *path = smallest_library();
	struct elf_image image;
	struct stat st;
	int fd, err;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	fd = copy_of(path, SIZE_MAX);
	assert_int_equal(elf_image_read(fd, &image), 0);
	assert_true(image.is_python);
	/* The list of sections is at the end of the file; without it the file is not whole. */
	for (off_t size = st.st_size - 1; size > 64; size -= size / 7 + 1) {
		assert_int_equal(ftruncate(fd, size), 0);
		err = elf_image_read(fd, &image);
		assert_int_equal(err, -ENOEXEC);
		assert_false(image.is_python);
	}
	for (off_t size = 0; size < 64; size += 21) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(elf_image_read(fd, &image), -ENOEXEC);
	}
	close(fd);
}

/* Any result is right, as long as nothing crashes, the sanitizer is silent, and the error is one
 * that a corrupt file can cause. */
static void test_corrupted(void **state)
{
	int fd = copy_of(smallest_library(), SIZE_MAX), err;
	unsigned seed = 20240531, found = 0;
	struct elf_image image;
	Elf64_Ehdr header;

	(void)state;
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	for (int i = 0; i < 400; i++) {
		size_t table = header.e_shnum * sizeof(Elf64_Shdr);
		off_t at = i % 2 ? (off_t)(header.e_shoff + (unsigned)rand_r(&seed) % table)
				 : rand_r(&seed) % 1024;
		unsigned char old, new = (unsigned char)rand_r(&seed);

		assert_int_equal(pread(fd, &old, 1, at), 1);
		assert_int_equal(pwrite(fd, &new, 1, at), 1);
		err = elf_image_read(fd, &image);
		assert_true(err == 0 || err == -ENOEXEC);
		found += image.is_python;
		assert_true(memchr(image.version, '\0', sizeof(image.version)) != NULL);
		assert_int_equal(pwrite(fd, &old, 1, at), 1);
	}
	assert_true(found > 0 && found < 400); /* both kinds of results occurred */
	close(fd);
}

struct tiny {
	Elf64_Ehdr header;
	Elf64_Phdr load;
	Elf64_Shdr sections[6]; /* null, .dynsym, .dynstr, .shstrtab; see tiny_add_probe() */
	Elf64_Sym symbols[2];
	char strings[32];
	char names[48];
	char constants[64];
	struct {
		Elf64_Nhdr head;
		char name[8];
		char addresses[24];
		char text[12]; /* provider, name, arguments */
	} note;
};

static void tiny_init(struct tiny *tiny)
{
	memset(tiny, 0, sizeof(*tiny));
	memcpy(tiny->header.e_ident, "\177ELF\2\1\1", 7);
	tiny->header.e_type = ET_DYN;
#if defined(__x86_64__)
	tiny->header.e_machine = EM_X86_64;
#else
	tiny->header.e_machine = EM_AARCH64;
#endif
	tiny->header.e_phoff = offsetof(struct tiny, load);
	tiny->header.e_phentsize = sizeof(Elf64_Phdr);
	tiny->header.e_phnum = 1;
	tiny->header.e_shoff = offsetof(struct tiny, sections);
	tiny->header.e_shentsize = sizeof(Elf64_Shdr);
	tiny->header.e_shnum = 4;
	tiny->header.e_shstrndx = 3;
	tiny->load.p_type = PT_LOAD;
	tiny->load.p_vaddr = 0x10000;
	tiny->load.p_filesz = sizeof(*tiny);
	tiny->sections[1].sh_type = SHT_DYNSYM;
	tiny->sections[1].sh_link = 2;
	tiny->sections[1].sh_entsize = sizeof(Elf64_Sym);
	tiny->sections[1].sh_offset = offsetof(struct tiny, symbols);
	tiny->sections[1].sh_size = sizeof(tiny->symbols);
	tiny->sections[2].sh_type = SHT_STRTAB;
	tiny->sections[2].sh_offset = offsetof(struct tiny, strings);
	tiny->sections[2].sh_size = sizeof(tiny->strings);
	tiny->sections[3].sh_type = SHT_STRTAB;
	tiny->sections[3].sh_offset = offsetof(struct tiny, names);
	tiny->sections[3].sh_size = sizeof(tiny->names);
	memcpy(tiny->strings, "\0x_PyRuntime", 13); /* found as the tail of another name */
	tiny->symbols[1].st_name = 2;
	tiny->symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	tiny->symbols[1].st_shndx = 1;
	tiny->symbols[1].st_value = 0x12345;
}

static int examine_tiny(const struct tiny *tiny, off_t size, struct elf_image *image)
{
	int fd = memfd_create("tiny", MFD_CLOEXEC), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, tiny, sizeof(*tiny)), sizeof(*tiny));
	if (size)
		assert_int_equal(ftruncate(fd, size), 0);
	err = elf_image_read(fd, image);
	close(fd);
	return err;
}

static void test_tiny(void **state)
{
	struct elf_image image;
	struct tiny tiny;

	(void)state;
	tiny_init(&tiny);
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_true(image.is_python);
	assert_int_equal(image.runtime_vaddr, 0x12345);
	assert_int_equal(image.load_vaddr, 0x10000);
	assert_int_equal(image.major, 0);
	assert_string_equal(image.version, "");
	tiny.symbols[1].st_shndx = SHN_UNDEF; /* uses an interpreter, has none */
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_false(image.is_python);
	/* Without any names, but with the section that 3.10 and newer have. */
	memcpy(tiny.names, "\0.PyRuntime", 12);
	tiny.sections[2].sh_name = 1;
	tiny.sections[2].sh_addr = 0x6000;
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_true(image.is_python);
	assert_int_equal(image.runtime_vaddr, 0x6000);
}

/* Adds .rodata with a version and a text, and .note.stapsdt with the line probe. */
static void tiny_add_probe(struct tiny *tiny, const char *version, const char *text)
{
	char *at = tiny->constants;

	tiny->header.e_shnum = 6;
	memcpy(tiny->names, "\0.rodata\0.note.stapsdt", 23);
	tiny->sections[4].sh_name = 1;
	tiny->sections[4].sh_type = SHT_PROGBITS;
	tiny->sections[4].sh_offset = offsetof(struct tiny, constants);
	tiny->sections[4].sh_size = sizeof(tiny->constants);
	tiny->sections[5].sh_name = 9;
	tiny->sections[5].sh_type = SHT_NOTE;
	tiny->sections[5].sh_offset = offsetof(struct tiny, note);
	tiny->sections[5].sh_size = sizeof(tiny->note);
	at += sprintf(at, "cpython-3%s", version + 2) + 1;
	*strchr(tiny->constants, '.') = '\0';
	at += sprintf(at, "%s", version) + 1;
	sprintf(at, "%s", text);
	tiny->note.head = (Elf64_Nhdr){.n_namesz = 8, .n_descsz = 36, .n_type = 3};
	memcpy(tiny->note.name, "stapsdt", 8);
	memcpy(tiny->note.text, "python\0line", 12);
}

/* Of 3.11, only a build with assertions must be left alone. */
static void test_line_probe(void **state)
{
	static const struct {
		const char *version, *text;
		bool aborts;
	} cases[] = {
		{"3.11.2", "cframe.use_tracing", true},
		{"3.11.2", "cframe.use", false},
		{"3.10.4", "cframe.use_tracing", false},
	};
	struct elf_image image;
	struct tiny tiny;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		tiny_init(&tiny);
		tiny_add_probe(&tiny, cases[i].version, cases[i].text);
		assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
		assert_string_equal(image.version, cases[i].version);
		assert_int_equal(image.line_probe_aborts, cases[i].aborts);
		assert_int_equal(image.has_line_probe, !cases[i].aborts);
		assert_false(image.has_function_probe);
	}
	tiny.sections[5].sh_type = SHT_NULL;
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_false(image.has_line_probe || image.line_probe_aborts);
}

static void test_lying_headers(void **state)
{
	struct elf_image image;
	struct tiny tiny;

	(void)state;
	tiny_init(&tiny);
	tiny.sections[1].sh_size = UINT64_MAX / 2;
	tiny.sections[2].sh_size = UINT64_MAX;
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_true(image.is_python);
	tiny.sections[2].sh_offset = UINT64_MAX - 8;
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_false(image.is_python);

	tiny_init(&tiny);
	tiny.sections[3].sh_size = UINT64_MAX;
	tiny.sections[1].sh_link = 77;
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_false(image.is_python);

	tiny_init(&tiny); /* a sparse file of 1 TiB */
	tiny.header.e_shnum = 0xfff0;
	assert_int_equal(examine_tiny(&tiny, (off_t)1 << 40, &image), 0);
	assert_false(image.is_python);
	tiny_init(&tiny);
	tiny.header.e_phnum = 0xffff;
	assert_int_equal(examine_tiny(&tiny, (off_t)1 << 40, &image), -ENOEXEC);
	tiny_init(&tiny);
	tiny.header.e_shoff = UINT64_MAX - 64;
	assert_int_equal(examine_tiny(&tiny, 0, &image), -ENOEXEC);
	tiny_init(&tiny);
	tiny.header.e_shstrndx = 9;
	assert_int_equal(examine_tiny(&tiny, 0, &image), 0);
	assert_false(image.is_python);
	tiny_init(&tiny);
	tiny.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(examine_tiny(&tiny, 0, &image), -ENOEXEC);
	tiny_init(&tiny);
	tiny.header.e_machine = EM_S390;
	assert_int_equal(examine_tiny(&tiny, 0, &image), -ENOEXEC);
}

/* Scans `bytes` in pieces of `piece` bytes. Returns the version that was found, or "". */
static const char *scan(unsigned major, const char *bytes, size_t len, size_t piece)
{
	struct elf_version_scan scan = {.major = major};
	static struct elf_version version;

	for (size_t at = 0; at < len; at += piece)
		elf_version_scan_bytes(&scan, (const unsigned char *)bytes + at,
				       len - at < piece ? len - at : piece);
	return elf_version_scan_result(&scan, &version) ? version.text : "";
}

#define LONG_PATH "/opt/some/very/long/installation/prefix/of/somebody/python-"

/* Strings in a file, and the version that follows from them. */
#define CASE(major, bytes, expected)                  \
	{                                             \
		major, bytes, sizeof(bytes), expected \
	}
static const struct {
	unsigned major;
	const char *bytes;
	size_t len;
	const char *expected;
} version_cases[] = {
	CASE(3,
	     "x\0cpython-39\0"
	     "3.9.2\0"
	     "3.40.1\0",
	     "3.9.2"),
	CASE(3, "3.9.18+\0cpython-39\0", "3.9.18+"),
	CASE(3, "cpython-310\0" LONG_PATH "3.10.13", "3.10.13"),
	CASE(3,
	     "cpython-310\0" LONG_PATH "3.10.1\0"
	     "3.10.13rc1\0",
	     "3.10.13rc1"),
	CASE(3,
	     "cpython-38\0"
	     "3.8.1\0"
	     "3.8.2\0",
	     "3.8"), /* it can't be known which is Python's */
	CASE(3,
	     "cpython-38\0"
	     "3.9.1\0",
	     "3.8"),
	CASE(3,
	     "cpython-38\0cpython-39\0"
	     "3.9.1\0",
	     ""),
	CASE(3,
	     "lib/python3.8\0cpython-39\0"
	     "3.9.1\0",
	     "3.9.1"),
	CASE(3, "3.9.1\0", ""),
	CASE(3,
	     "cpython-39\0"
	     "13.9.1\0"
	     "3.9.1.4\0"
	     "3.9.1x\0"
	     "x.3.9.1",
	     "3.9"),
	CASE(3,
	     "cpython-39\0"
	     "3.9.1234\0"
	     "3.9.\0"
	     "3.9.1rc",
	     "3.9"),
	CASE(2,
	     "lib/python2.7\0"
	     "2.7.18\0cpython-39\0",
	     "2.7.18"),
	CASE(3,
	     "cpython-\0cpython-3\0cpython-x9\0"
	     "3.9.1",
	     ""),
};

static void test_version_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(version_cases) / sizeof(version_cases[0]); i++) {
		for (size_t piece = 1; piece < 100; piece += 7)
			assert_string_equal(scan(version_cases[i].major, version_cases[i].bytes,
						 version_cases[i].len, piece),
					    version_cases[i].expected);
	}
}

static void test_version_hex(void **state)
{
	struct elf_version version;

	(void)state;
	assert_true(elf_version_from_hex(0x030b02f0, &version));
	assert_string_equal(version.text, "3.11.2");
	assert_true(elf_version_from_hex(0x030f00a3, &version));
	assert_string_equal(version.text, "3.15.0a3");
	assert_int_equal(version.minor, 15);
	assert_true(elf_version_from_hex(0x030e00c1, &version));
	assert_string_equal(version.text, "3.14.0rc1");
	assert_true(elf_version_from_hex(0x03fffffful, &version) && version.minor == 255);
	assert_false(elf_version_from_hex(0, &version));
	assert_false(elf_version_from_hex(0x030b0210, &version));
	assert_false(elf_version_from_hex(0x1030b02f0, &version));
	assert_false(elf_version_from_hex(0x020712f0, &version));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_interpreters),
		cmocka_unit_test(test_not_python),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_corrupted),
		cmocka_unit_test(test_tiny),
		cmocka_unit_test(test_line_probe),
		cmocka_unit_test(test_lying_headers),
		cmocka_unit_test(test_version_strings),
		cmocka_unit_test(test_version_hex),
	};

	pythons_find(&pythons);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
