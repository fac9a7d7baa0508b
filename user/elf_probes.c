/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "elf_probes.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"

#define NOTES_MAX (4 * 1024 * 1024)
#define CHUNK	  (16 * 1024)
#define TEXT_MAX  (64ull * 1024 * 1024) /* bytes searched of constants */

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

static void take_probe(const char *desc, size_t len, struct elf_probes *probes)
{
	const size_t addresses = 3 * sizeof(uint64_t); /* location, base, semaphore */
	const char *provider, *name;

	if (len <= addresses || desc[len - 1] != '\0')
		return;
	provider = desc + addresses;
	name = provider + strlen(provider) + 1;
	if (name >= desc + len || strcmp(provider, "python") != 0)
		return;
	if (strcmp(name, "line") == 0)
		probes->line = true;
	if (strcmp(name, "function__entry") == 0)
		probes->function_entry = true;
}

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static void take_notes(const char *notes, size_t size, struct elf_probes *probes)
{
	Elf64_Nhdr note;
	size_t at = 0;

	while (at + sizeof(note) <= size) {
		size_t left, name_len;

		memcpy(&note, notes + at, sizeof(note));
		at += sizeof(note);
		left = size - at;
		name_len = align4(note.n_namesz);
		if (name_len > left || note.n_descsz > left - name_len)
			break;
		if (note.n_type == 3 && note.n_namesz == sizeof("stapsdt") &&
		    memcmp(notes + at, "stapsdt", sizeof("stapsdt")) == 0)
			take_probe(notes + at + name_len, note.n_descsz, probes);
		at += name_len + align4(note.n_descsz);
	}
}

int elf_probes_read(int fd, uint64_t offset, uint64_t size, struct elf_probes *probes)
{
	char *notes;
	ssize_t n;

	memset(probes, 0, sizeof(*probes));
	if (size > NOTES_MAX)
		size = NOTES_MAX;
	notes = malloc(size + 1); /* + 1: an empty section is no error */
	if (!notes)
		return -ENOMEM;
	n = elf_read_at(fd, notes, size, offset);
	if (n > 0)
		take_notes(notes, n, probes);
	free(notes);
	return n < 0 ? n : 0;
}

int elf_probes_abort(int fd, uint64_t offset, uint64_t size)
{
	/* Python/ceval.c, TARGET(DO_TRACING). */
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
		at += CHUNK - sizeof(text); /* it may lie across the end */
	}
	return 0;
}
