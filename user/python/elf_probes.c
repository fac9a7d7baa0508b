/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "python/elf_probes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/budget.h"
#include "pymem_line.h"
#include "python/usdt_args.h"

#define NOTES_MAX (1024 * 1024)
#define CHUNK	  (16 * 1024)
#define TEXT_MAX  (64ull * 1024 * 1024) /* the most bytes of constants that are searched */

ssize_t elf_read_at(int fd, void *buf, size_t size, uint64_t offset)
{
	size_t done = 0;
	int err;

	if (offset > INT64_MAX - size)
		return 0;
	while (done < size) {
		ssize_t n = pread(fd, (char *)buf + done, size - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += n;
	}
	err = budget_spend(done);
	return err ? err : (ssize_t)done;
}

/* A note of the provider "python". */
struct probe_note {
	uint64_t location, base, semaphore;
	const char *name, *args;
};

/* Takes a note apart. False: it belongs to another provider, or is malformed. */
static bool parse_note(const char *desc, size_t len, struct probe_note *note)
{
	const char *provider = desc + 3 * sizeof(uint64_t), *end = desc + len;

	if (len <= 3 * sizeof(uint64_t) || end[-1] != '\0')
		return false;
	memcpy(&note->location, desc, sizeof(uint64_t));
	memcpy(&note->base, desc + sizeof(uint64_t), sizeof(uint64_t));
	memcpy(&note->semaphore, desc + 2 * sizeof(uint64_t), sizeof(uint64_t));
	note->name = provider + strlen(provider) + 1;
	if (note->name >= end || strcmp(provider, "python") != 0)
		return false;
	note->args = note->name + strlen(note->name) + 1;
	if (note->args >= end)
		note->args = "";
	return true;
}

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Calls `fn` for each note of Python's probes, until it returns something other than 0, which is
 * then returned. */
static int each_note(const char *notes, size_t size,
		     int (*fn)(const struct probe_note *note, void *arg), void *arg)
{
	struct probe_note found;
	Elf64_Nhdr note;
	size_t at = 0;
	int err = 0;

	while (!err && at + sizeof(note) <= size) {
		size_t left, name_len;

		memcpy(&note, notes + at, sizeof(note));
		at += sizeof(note);
		left = size - at;
		name_len = align4(note.n_namesz);
		if (name_len > left || note.n_descsz > left - name_len)
			break;
		if (note.n_type == 3 && note.n_namesz == sizeof("stapsdt") &&
		    memcmp(notes + at, "stapsdt", sizeof("stapsdt")) == 0 &&
		    parse_note(notes + at + name_len, note.n_descsz, &found))
			err = fn(&found, arg);
		at += name_len + align4(note.n_descsz);
		if (at > size)
			break;
	}
	return err;
}

/* Reads the notes. The caller frees them. `*size` becomes the number of bytes read. NULL with errno
 * set. */
static char *read_notes(int fd, uint64_t offset, uint64_t *size)
{
	char *notes = malloc(*size + 1); /* + 1: an empty section is no error */
	ssize_t n;

	if (!notes)
		return NULL;
	n = elf_read_at(fd, notes, *size, offset);
	if (n < 0) {
		free(notes);
		errno = -(int)n;
		return NULL;
	}
	*size = n;
	return notes;
}

static int take_probe(const struct probe_note *note, void *arg)
{
	struct elf_probes *probes = arg;

	if (strcmp(note->name, "line") == 0)
		probes->line = true;
	if (strcmp(note->name, "function__entry") == 0)
		probes->function_entry = true;
	return 0;
}

int elf_probes_read(int fd, uint64_t offset, uint64_t size, struct elf_probes *probes)
{
	char *notes;

	memset(probes, 0, sizeof(*probes));
	if (size > NOTES_MAX)
		size = NOTES_MAX;
	notes = read_notes(fd, offset, &size);
	if (!notes)
		return -errno;
	each_note(notes, size, take_probe, probes);
	free(notes);
	return 0;
}

struct sites_reader {
	const struct elf_probe_notes *notes;
	struct elf_probe_sites *sites;
};

/* The file offset of what is loaded at `address`. 0: it is in no segment of this kind. */
static uint64_t file_offset(const struct elf_probe_notes *notes, uint64_t address, bool executable)
{
	for (unsigned i = 0; i < notes->segment_count; i++) {
		const Elf64_Phdr *s = &notes->segments[i];

		if (s->p_type == PT_LOAD && address >= s->p_vaddr &&
		    address - s->p_vaddr < s->p_filesz && executable == !!(s->p_flags & PF_X))
			return s->p_offset + (address - s->p_vaddr);
	}
	return 0;
}

static int find_site(const struct elf_probe_notes *notes, const struct probe_note *note,
		     bool places, struct elf_probe_site *site)
{
	/* Prelinking moves a file but does not change its notes. */
	uint64_t moved = notes->base ? notes->base - note->base : 0;
	uint32_t name, line;
	int err;

	memset(site, 0, sizeof(*site));
	site->address = note->location + moved;
	site->offset = file_offset(notes, site->address, true);
	if (note->semaphore)
		site->semaphore = file_offset(notes, note->semaphore + moved, false);
	if (!site->offset || (note->semaphore && !site->semaphore))
		return -ENOEXEC;
	if (!places)
		return 0;
	err = usdt_arg_parse(note->args, 1, &name);
	if (!err)
		err = usdt_arg_parse(note->args, 2, &line);
	if (!err)
		site->place = PYMEM_PLACE(name, line);
	return err == -ENOENT ? -EOPNOTSUPP : err;
}

/* The place of a probe that is none of ours, if it is guarded by a semaphore of its own. */
static void take_quiet(const struct sites_reader *reader, const struct probe_note *note)
{
	struct elf_probe_site *quiet = &reader->sites->quiet, found;

	if (!quiet->offset && note->semaphore && !find_site(reader->notes, note, false, &found))
		*quiet = found;
}

static int take_site(const struct probe_note *note, void *arg)
{
	static const char *const names[ELF_PROBES] = {
		[ELF_PROBE_GC_START] = "gc__start",
		[ELF_PROBE_GC_DONE] = "gc__done",
		[ELF_PROBE_RETURN] = "function__return",
		[ELF_PROBE_ENTRY] = "function__entry",
		[ELF_PROBE_LINE] = "line",
	};
	struct sites_reader *reader = arg;
	struct elf_probe_sites *sites = reader->sites;
	int i;

	for (i = 0; i < ELF_PROBES && strcmp(note->name, names[i]) != 0; i++)
		;
	if (i == ELF_PROBES) {
		take_quiet(reader, note);
		return 0;
	}
	if (sites->count[i] == ELF_PROBE_SITES_MOST)
		return -E2BIG;
	return find_site(reader->notes, note, i >= ELF_PROBE_RETURN,
			 &sites->site[i][sites->count[i]++]);
}

/* True if one of our probes has that place, too. */
static bool is_site(const struct elf_probe_sites *sites, uint64_t offset)
{
	for (int i = 0; i < ELF_PROBES; i++)
		for (unsigned j = 0; j < sites->count[i]; j++)
			if (sites->site[i][j].offset == offset)
				return true;
	return false;
}

int elf_probe_sites_suffice(const struct elf_probe_sites *sites, bool functions)
{
	if (!functions)
		return sites->count[ELF_PROBE_LINE] ? 0 : -ENOENT;
	return sites->entry_wants_line && !sites->quiet.offset ? -EADDRNOTAVAIL : 0;
}

int elf_probe_sites_read(int fd, const struct elf_probe_notes *notes, struct elf_probe_sites *sites)
{
	struct sites_reader reader = {notes, sites};
	uint64_t size = notes->size;
	char *text;
	int err;

	memset(sites, 0, sizeof(*sites));
	if (size > NOTES_MAX)
		return -EFBIG;
	text = read_notes(fd, notes->offset, &size);
	if (!text)
		return -errno;
	err = each_note(text, size, take_site, &reader);
	free(text);
	for (int i = 0; !err && i < ELF_PROBE_LINE; i++)
		if (!sites->count[i])
			err = -ENOENT;
	if (sites->count[ELF_PROBE_LINE] && sites->site[ELF_PROBE_LINE][0].semaphore &&
	    !is_site(sites, sites->quiet.offset))
		sites->quiet.semaphore = sites->site[ELF_PROBE_LINE][0].semaphore;
	else
		sites->quiet.offset = 0;
	return err;
}

int elf_probes_abort(int fd, uint64_t offset, uint64_t size)
{
	/* An assertion of Python/ceval.c, TARGET(DO_TRACING). */
	static const char text[] = "cframe.use_tracing";
	char chunk[CHUNK];
	uint64_t at = 0;
	ssize_t n;

	if (size > TEXT_MAX)
		size = TEXT_MAX;
	while (at < size) {
		n = elf_read_at(fd, chunk, size - at < CHUNK ? size - at : CHUNK, offset + at);
		if (n < 0)
			return n;
		if (memmem(chunk, n, text, sizeof(text)))
			return 1;
		if (n < CHUNK)
			break;
		at += CHUNK - sizeof(text); /* it may lie across the end of a chunk */
	}
	return 0;
}
