/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The dynamic symbols are read whole, with their names: 1 MiB in builds of CPython. */
#include "python/elf_symbols.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "python/elf_probes.h"

#define SEGMENTS_MAX 64
#define SECTIONS_MAX 4096
#define TABLE_MAX    (16u << 20) /* bytes of symbols, or of names */

struct symbols {
	int fd;
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS_MAX];
	Elf64_Sym *symbols;
	size_t count;
	char *names; /* ended by a NUL */
	size_t names_size;
};

static int read_all(int fd, void *buf, size_t size, uint64_t offset)
{
	ssize_t n = elf_read_at(fd, buf, size, offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -ENOEXEC;
}

static int read_header(struct symbols *s)
{
	Elf64_Ehdr *header = &s->header;
	int err = read_all(s->fd, header, sizeof(*header), 0);

	if (err)
		return err;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > SEGMENTS_MAX ||
	    header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shnum > SECTIONS_MAX)
		return -ENOEXEC;
	return read_all(s->fd, s->segments, header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
}

/* `size` bytes of the file, and a NUL. NULL with errno set. */
static void *read_table(int fd, uint64_t offset, uint64_t size)
{
	char *table;
	int err;

	if (size > TABLE_MAX) {
		errno = EFBIG;
		return NULL;
	}
	table = malloc(size + 1);
	if (!table)
		return NULL;
	err = read_all(fd, table, size, offset);
	if (err) {
		free(table);
		errno = -err;
		return NULL;
	}
	table[size] = '\0';
	return table;
}

static int read_symbols(struct symbols *s, const Elf64_Shdr *symbols, const Elf64_Shdr *names)
{
	s->symbols = read_table(s->fd, symbols->sh_offset, symbols->sh_size);
	if (!s->symbols)
		return -errno;
	s->count = symbols->sh_size / sizeof(Elf64_Sym);
	s->names = read_table(s->fd, names->sh_offset, names->sh_size);
	s->names_size = names->sh_size;
	return s->names ? 0 : -errno;
}

static int read_dynamic(struct symbols *s)
{
	size_t count = s->header.e_shnum;
	Elf64_Shdr *sections = read_table(s->fd, s->header.e_shoff, count * sizeof(*sections));
	int err = -ENOEXEC;

	if (!sections)
		return -errno;
	for (size_t i = 0; i < count; i++) {
		if (sections[i].sh_type != SHT_DYNSYM || sections[i].sh_link >= count)
			continue;
		err = read_symbols(s, &sections[i], &sections[sections[i].sh_link]);
		break;
	}
	free(sections);
	return err;
}

/* The file offset of the code that is loaded at `address`. 0: the file does not have it. */
static uint64_t file_offset(const struct symbols *s, uint64_t address)
{
	for (unsigned i = 0; i < s->header.e_phnum; i++) {
		const Elf64_Phdr *segment = &s->segments[i];
		uint64_t within = address - segment->p_vaddr;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X &&
		    address >= segment->p_vaddr && within < segment->p_filesz)
			return segment->p_offset + within;
	}
	return 0;
}

static struct elf_symbol found_symbol(const struct symbols *s, const Elf64_Sym *symbol)
{
	struct elf_symbol found = {.address = symbol->st_value};

	if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC)
		found.offset = file_offset(s, symbol->st_value);
	return found;
}

int elf_symbols_find(int fd, const char *const *names, size_t count, struct elf_symbol *found)
{
	struct symbols s = {.fd = fd};
	int err = read_header(&s) ?: read_dynamic(&s);

	memset(found, 0, count * sizeof(*found));
	for (size_t i = 0; !err && i < s.count; i++) {
		const Elf64_Sym *symbol = &s.symbols[i];

		if (symbol->st_shndx == SHN_UNDEF || symbol->st_name >= s.names_size)
			continue;
		for (size_t k = 0; k < count; k++)
			if (!strcmp(s.names + symbol->st_name, names[k]))
				found[k] = found_symbol(&s, symbol);
	}
	free(s.symbols);
	free(s.names);
	return err;
}
