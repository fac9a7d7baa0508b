/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: decide from an ELF file alone whether it contains a CPython interpreter, which version,
 * and where its root symbol is. This must be fast, since it is done for each library on the host,
 * and must not trust the file.
 *
 * The file is read with pread() in pieces of fixed size. It is never mapped, since a file that
 * shrinks would raise SIGBUS. No size in it leads to an allocation beyond the limits below. libelf
 * is not used: it allocates by the file's own section count, and we need nothing of what it does
 * beyond reading (other classes and byte orders).
 *
 * Symbols: the string table is searched for the few names that matter. The symbol table is read
 * only if one of them is found. So a file without Python costs one pass over .dynstr and .strtab. A
 * program that exports nothing and is stripped still has the section .PyRuntime (3.10 and later).
 *
 * Left out: files without section headers (sstrip, UPX), and classes other than the machine's. */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/elf_image.h"
#include "python/elf_probes.h"
#include "python/elf_version.h"

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#else
#error "which e_machine has this processor?"
#endif
#define NATIVE_DATA (__BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)

#define SEGMENTS_MAX	  64
#define SECTIONS_MAX	  4096
#define SECTION_NAMES_MAX (256 * 1024)
#define TABLE_MAX	  (256ull * 1024 * 1024) /* bytes of a table that are searched, at most */
#define CHUNK		  (2730 * sizeof(Elf64_Sym)) /* about 64 KiB; a whole number of symbols */
#define HOMONYMS_MAX	  4 /* how often one name may occur in a string table */

enum wanted {
	WANT_RUNTIME,
	WANT_TSTATE_CURRENT,
	WANT_VERSION,
	WANT_INTERP_HEAD,
	WANT_PYTHON2,
	WANT_DEBUG,
	WANT_TRACE_REFS,
	WANT_COUNT,
};

static const char *const wanted_names[WANT_COUNT] = {
	[WANT_RUNTIME] = "_PyRuntime",
	[WANT_TSTATE_CURRENT] = "_PyThreadState_Current",
	[WANT_VERSION] = "Py_Version",
	[WANT_INTERP_HEAD] = "interp_head",
	[WANT_PYTHON2] = "PyString_FromString",
	[WANT_DEBUG] = "_Py_NegativeRefcount", /* only with Py_REF_DEBUG, which Py_DEBUG implies */
	/* With Py_TRACE_REFS, modsupport.h gives PyModule_Create2 this name, so that extensions of
	 * other builds can't be loaded. */
	[WANT_TRACE_REFS] = "PyModule_Create2TraceRefs",
};

struct elf_file {
	int fd;
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS_MAX];
	Elf64_Shdr *sections;
	size_t section_count;
	char *names; /* the contents of .shstrtab, with a NUL at the end */
	size_t names_len;
	unsigned char *chunk; /* CHUNK bytes to work with */
	bool found[WANT_COUNT];
	uint64_t value[WANT_COUNT];
};

struct name_offsets {
	uint32_t offset[WANT_COUNT][HOMONYMS_MAX];
	unsigned count[WANT_COUNT];
};

/* Reads all `len` bytes. 0, -errno, or -ENOEXEC: the file ends before. */
static int read_exactly(int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = elf_read_at(fd, buf, len, offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -ENOEXEC;
}

static int read_headers(struct elf_file *file)
{
	Elf64_Ehdr *header = &file->header;
	int err = read_exactly(file->fd, header, sizeof(*header), 0);

	if (err)
		return err;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != NATIVE_DATA ||
	    header->e_machine != NATIVE_MACHINE ||
	    (header->e_type != ET_EXEC && header->e_type != ET_DYN))
		return -ENOEXEC;
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
	    header->e_phnum > SEGMENTS_MAX)
		return -ENOEXEC;
	return read_exactly(file->fd, file->segments, header->e_phnum * sizeof(Elf64_Phdr),
			    header->e_phoff);
}

/* A file without sections is a valid program; nothing more can be found out about it. */
static int read_sections(struct elf_file *file)
{
	const Elf64_Ehdr *header = &file->header;
	const Elf64_Shdr *names;
	ssize_t n;
	int err;

	if (header->e_shoff == 0 || header->e_shnum == 0 || header->e_shnum > SECTIONS_MAX ||
	    header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shstrndx >= header->e_shnum)
		return 0;
	file->sections = calloc(header->e_shnum, sizeof(Elf64_Shdr));
	if (!file->sections)
		return -ENOMEM;
	err = read_exactly(file->fd, file->sections, header->e_shnum * sizeof(Elf64_Shdr),
			   header->e_shoff);
	if (err)
		return err;
	names = &file->sections[header->e_shstrndx];
	if (names->sh_type != SHT_STRTAB)
		return -ENOEXEC;
	file->names_len = names->sh_size < SECTION_NAMES_MAX ? names->sh_size : SECTION_NAMES_MAX;
	file->names = calloc(1, file->names_len + 1);
	if (!file->names)
		return -ENOMEM;
	n = elf_read_at(file->fd, file->names, file->names_len, names->sh_offset);
	if (n < 0)
		return (int)n;
	file->section_count = header->e_shnum;
	return 0;
}

static const Elf64_Shdr *section_named(const struct elf_file *file, const char *name)
{
	for (size_t i = 0; i < file->section_count; i++) {
		const Elf64_Shdr *section = &file->sections[i];

		if (section->sh_name < file->names_len &&
		    strcmp(file->names + section->sh_name, name) == 0)
			return section;
	}
	return NULL;
}

static const Elf64_Shdr *section_of_type(const struct elf_file *file, uint32_t type)
{
	for (size_t i = 0; i < file->section_count; i++) {
		if (file->sections[i].sh_type == type)
			return &file->sections[i];
	}
	return NULL;
}

/* Notes where the names that matter end in chunk[0, len), which lies at `base` in the table.
 * Linkers let a name share the tail of a longer one, so what stands before it does not matter. */
static void names_in_chunk(const unsigned char *chunk, size_t len, uint64_t base,
			   struct name_offsets *offsets)
{
	for (int want = 0; want < WANT_COUNT; want++) {
		size_t size = strlen(wanted_names[want]) + 1;
		const unsigned char *at = chunk;

		while ((at = memmem(at, len - (size_t)(at - chunk), wanted_names[want], size))) {
			uint64_t offset = base + (uint64_t)(at - chunk);

			/* Chunks overlap, so a name may be seen twice. */
			if (offsets->count[want] < HOMONYMS_MAX &&
			    (offsets->count[want] == 0 ||
			     offsets->offset[want][offsets->count[want] - 1] < offset))
				offsets->offset[want][offsets->count[want]++] = (uint32_t)offset;
			at += size;
		}
	}
}

/* The first step of a table, at or after `base`, that contains data. The holes of a sparse file
 * read as zeros; nothing here looks for these, and a file can have any amount of them. */
static uint64_t skip_hole(const struct elf_file *file, const Elf64_Shdr *section, uint64_t base,
			  size_t step)
{
	uint64_t at = section->sh_offset + base;
	off_t data = at > INT64_MAX ? -1 : lseek(file->fd, (off_t)at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? UINT64_MAX : base;
	return base + ((uint64_t)data - at) / step * step;
}

static int find_names(struct elf_file *file, const Elf64_Shdr *strings,
		      struct name_offsets *offsets)
{
	const size_t overlap = sizeof("_PyThreadState_Current") - 1; /* the longest name */
	uint64_t size = strings->sh_size < TABLE_MAX ? strings->sh_size : TABLE_MAX;

	memset(offsets, 0, sizeof(*offsets));
	for (uint64_t base = 0; base < size; base += CHUNK - overlap) {
		size_t len;
		ssize_t n;

		base = skip_hole(file, strings, base, CHUNK - overlap);
		if (base >= size)
			break;
		len = size - base < CHUNK ? size - base : CHUNK;
		n = elf_read_at(file->fd, file->chunk, len, strings->sh_offset + base);
		if (n < 0)
			return (int)n;
		names_in_chunk(file->chunk, (size_t)n, base, offsets);
		if ((size_t)n < CHUNK)
			break;
	}
	return 0;
}

static void take_symbol(struct elf_file *file, const Elf64_Sym *symbol,
			const struct name_offsets *offsets)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF ||
	    (type != STT_OBJECT && type != STT_FUNC && type != STT_NOTYPE))
		return;
	for (int want = 0; want < WANT_COUNT; want++) {
		for (unsigned i = 0; i < offsets->count[want]; i++) {
			if (symbol->st_name != offsets->offset[want][i] || file->found[want])
				continue;
			file->found[want] = true;
			file->value[want] = symbol->st_value;
		}
	}
}

/* Looks for the names in one symbol table. What an earlier table had stays. 0 or -errno. */
static int read_symbols(struct elf_file *file, uint32_t type)
{
	const Elf64_Shdr *table = section_of_type(file, type);
	struct name_offsets offsets;
	uint64_t size;
	int err;

	if (!table || table->sh_entsize != sizeof(Elf64_Sym) ||
	    table->sh_link >= file->section_count)
		return 0;
	err = find_names(file, &file->sections[table->sh_link], &offsets);
	if (err)
		return err;
	if (offsets.count[WANT_RUNTIME] == 0 && offsets.count[WANT_TSTATE_CURRENT] == 0)
		return 0;
	size = table->sh_size < TABLE_MAX ? table->sh_size : TABLE_MAX;
	for (uint64_t base = 0; base < size; base += CHUNK) {
		Elf64_Sym symbol;
		size_t len;
		ssize_t n;

		base = skip_hole(file, table, base, CHUNK);
		if (base >= size)
			break;
		len = size - base < CHUNK ? size - base : CHUNK;
		n = elf_read_at(file->fd, file->chunk, len, table->sh_offset + base);
		if (n < 0)
			return (int)n;
		for (size_t at = 0; at + sizeof(symbol) <= (size_t)n; at += sizeof(symbol)) {
			memcpy(&symbol, file->chunk + at, sizeof(symbol));
			take_symbol(file, &symbol, &offsets);
		}
		if ((size_t)n < len)
			break;
	}
	return 0;
}

/* Reads `len` initialised bytes that a loaded image has at `vaddr`. 0 or -errno. */
static int read_vaddr(const struct elf_file *file, uint64_t vaddr, void *buf, size_t len)
{
	for (unsigned i = 0; i < file->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &file->segments[i];

		if (segment->p_type != PT_LOAD || vaddr < segment->p_vaddr ||
		    segment->p_filesz < len || vaddr - segment->p_vaddr > segment->p_filesz - len)
			continue;
		return read_exactly(file->fd, buf, len,
				    segment->p_offset + (vaddr - segment->p_vaddr));
	}
	return -ENOEXEC;
}

static int scan_section(struct elf_file *file, const char *name, struct elf_version_scan *scan)
{
	const Elf64_Shdr *section = section_named(file, name);
	uint64_t size;

	if (!section || section->sh_type != SHT_PROGBITS)
		return 0;
	size = section->sh_size < TABLE_MAX ? section->sh_size : TABLE_MAX;
	for (uint64_t base = 0; base < size; base += CHUNK) {
		size_t len;
		ssize_t n;

		base = skip_hole(file, section, base, CHUNK);
		if (base >= size)
			break;
		len = size - base < CHUNK ? size - base : CHUNK;
		n = elf_read_at(file->fd, file->chunk, len, section->sh_offset + base);
		if (n < 0)
			return (int)n;
		elf_version_scan_bytes(scan, file->chunk, (size_t)n);
		if ((size_t)n < len)
			break;
	}
	elf_version_scan_bytes(scan, (const unsigned char *)"", 1);
	return 0;
}

/* 1: `version` is filled in. 0: the file does not say. Or -errno. */
static int read_version(struct elf_file *file, bool python2, struct elf_version *version)
{
	struct elf_version_scan scan = {.major = python2 ? 2 : 3};
	uint64_t hex;
	int err;

	if (file->found[WANT_VERSION] &&
	    read_vaddr(file, file->value[WANT_VERSION], &hex, sizeof(hex)) == 0 &&
	    elf_version_from_hex(hex, version))
		return 1;
	err = scan_section(file, ".rodata", &scan);
	/* Python 2 has its "lib/python2.7" in an array of char. */
	if (!err && scan.tag_rank == 0)
		err = scan_section(file, ".data", &scan);
	return err ? err : elf_version_scan_result(&scan, version);
}

static int read_probes(struct elf_file *file, struct elf_image *image)
{
	const Elf64_Shdr *notes = section_named(file, ".note.stapsdt");
	const Elf64_Shdr *constants = section_named(file, ".rodata");
	struct elf_probes probes = {};
	int err = 0;

	if (notes && notes->sh_type == SHT_NOTE)
		err = elf_probes_read(file->fd, notes->sh_offset, notes->sh_size, &probes);
	if (err)
		return err;
	if (probes.line && image->major == 3 && image->minor == 11 && constants &&
	    constants->sh_type == SHT_PROGBITS) {
		err = elf_probes_abort(file->fd, constants->sh_offset, constants->sh_size);
		if (err < 0)
			return err;
	}
	image->line_probe_aborts = err;
	image->has_line_probe = probes.line && !image->line_probe_aborts;
	image->has_function_probe = probes.function_entry && !image->line_probe_aborts;
	image->entry_wants_line = probes.line && image->major == 3 && image->minor == 11;
	return 0;
}

static uint64_t load_vaddr(const struct elf_file *file)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (unsigned i = 0; i < file->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &file->segments[i];

		if (segment->p_type == PT_LOAD && segment->p_offset < page)
			return segment->p_vaddr & ~(page - 1);
	}
	return 0;
}

/* Finds the interpreter's root symbol. False: there is none. */
static bool find_root(const struct elf_file *file, struct elf_image *image)
{
	const Elf64_Shdr *section = section_named(file, ".PyRuntime");

	if (file->found[WANT_RUNTIME]) {
		image->runtime_vaddr = file->value[WANT_RUNTIME];
	} else if (section && section->sh_addr != 0) {
		image->runtime_vaddr = section->sh_addr;
	} else if (file->found[WANT_TSTATE_CURRENT]) {
		image->runtime_vaddr = file->value[WANT_TSTATE_CURRENT];
		image->interp_head_vaddr = file->value[WANT_INTERP_HEAD];
		image->is_python2 = file->found[WANT_PYTHON2];
	} else {
		return false;
	}
	image->is_python = true;
	return true;
}

static int examine(struct elf_file *file, struct elf_image *image)
{
	struct elf_version version;
	int err;

	err = read_symbols(file, SHT_DYNSYM);
	/* Programs that export nothing have their symbols in .symtab. 3.6 has interp_head there
	 * too, since it is static. */
	if (!err && !file->found[WANT_RUNTIME])
		err = read_symbols(file, SHT_SYMTAB);
	if (err || !find_root(file, image))
		return err;
	image->fixed_address = file->header.e_type == ET_EXEC;
	image->load_vaddr = load_vaddr(file);
	image->debug_build = file->found[WANT_DEBUG];
	image->traces_refs = file->found[WANT_TRACE_REFS];
	err = read_version(file, image->is_python2, &version);
	if (err < 0)
		return err;
	if (err > 0) {
		image->major = version.major;
		image->minor = version.minor;
		image->micro = version.micro;
		snprintf(image->version, sizeof(image->version), "%s", version.text);
	}
	return read_probes(file, image);
}

int elf_image_read(int fd, struct elf_image *image)
{
	struct elf_file file = {.fd = fd};
	int err;

	memset(image, 0, sizeof(*image));
	err = read_headers(&file);
	if (err)
		return err;
	file.chunk = malloc(CHUNK);
	if (!file.chunk)
		return -ENOMEM;
	err = read_sections(&file);
	if (!err)
		err = examine(&file, image);
	if (err)
		memset(image, 0, sizeof(*image));
	free(file.chunk);
	free(file.names);
	free(file.sections);
	return err;
}

int elf_image_probe_sites(int fd, struct elf_probe_sites *sites)
{
	struct elf_file file = {.fd = fd};
	const Elf64_Shdr *notes = NULL, *base;
	struct elf_probe_notes where = {};
	int err = read_headers(&file);

	if (!err)
		err = read_sections(&file);
	if (!err)
		notes = section_named(&file, ".note.stapsdt");
	if (!err && (!notes || notes->sh_type != SHT_NOTE))
		err = -ENOENT;
	if (!err) {
		base = section_named(&file, ".stapsdt.base");
		where.offset = notes->sh_offset;
		where.size = notes->sh_size;
		where.base = base ? base->sh_addr : 0;
		where.segments = file.segments;
		where.segment_count = file.header.e_phnum;
		err = elf_probe_sites_read(fd, &where, sites);
	}
	free(file.names);
	free(file.sections);
	return err;
}
