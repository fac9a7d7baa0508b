/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds CPython's probes in a file, and whether they can be used. */
#ifndef ELF_PROBES_H
#define ELF_PROBES_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads `size` bytes of the file from `offset`. Returns how many, fewer at the end of the file, or
 * -errno. */
ssize_t elf_read_at(int fd, void *buf, size_t size, uint64_t offset);

struct elf_probes { /* those of the provider "python" */
	bool line;
	bool function_entry;
};

/* Reads the notes (.note.stapsdt): `size` bytes of the file from `offset`. They are hostile input;
 * a malformed note is no probe. 0 or -errno. */
int elf_probes_read(int fd, uint64_t offset, uint64_t size, struct elf_probes *probes);

/* The probes that the exact engine needs, in the order in which they are attached. The line probe
 * comes last. Until its semaphore is up, 3.11 fires no entry probe either: so a frame that is seen
 * to be entered is also seen to run. To count functions, all but the line probe are attached. */
enum elf_probe {
	ELF_PROBE_GC_START,
	ELF_PROBE_GC_DONE,
	ELF_PROBE_RETURN,
	ELF_PROBE_ENTRY,
	ELF_PROBE_LINE,
	ELF_PROBES,
};

/* A compiler may copy a probe to several places. A file with more places of one probe is refused:
 * each costs two descriptors and some milliseconds. */
#define ELF_PROBE_SITES_MOST 64

struct elf_probe_site {
	uint64_t address;   /* as in the file's symbols */
	uint64_t offset;    /* file offset of the instruction */
	uint64_t semaphore; /* file offset of its semaphore; 0: none */
	uint64_t place;	    /* PYMEM_PLACE(): where the arguments are; 0: not needed */
};

struct elf_probe_sites {
	unsigned count[ELF_PROBES];
	struct elf_probe_site site[ELF_PROBES][ELF_PROBE_SITES_MOST];
	/* A place that no thread comes to, since it is that of another probe that nobody wants,
	 * with the semaphore of the line probe. Attached there, a program raises that semaphore
	 * without an event for each line. `offset` 0: there is none. */
	struct elf_probe_site quiet;
	/* 3.11: the entry probe is silent until that semaphore is up (elf_image.entry_wants_line).
	 * Whoever knows the version sets it. */
	bool entry_wants_line;
};

/* The parts of an ELF file from which sites are found. */
struct elf_probe_notes {
	uint64_t offset, size; /* file offset and bytes of .note.stapsdt */
	uint64_t
		base; /* address of .stapsdt.base, which shows if the file was prelinked; 0: none */
	const Elf64_Phdr *segments;
	unsigned segment_count;
};

/* Finds the places of all these probes in one reading of the notes. Hostile input. 0; -EFBIG: more
 * notes than any build has; -E2BIG: too many places of one probe; -ENOENT: a probe other than the
 * line probe is missing;
 * -ENOEXEC: a place or semaphore is nowhere in the file; -EOPNOTSUPP: an argument can't be read;
 * -errno. */
int elf_probe_sites_read(int fd, const struct elf_probe_notes *notes,
			 struct elf_probe_sites *sites);

/* Whether the exact engine can be attached there, to count functions or lines. 0; -ENOENT: there is
 * no line probe to count lines; -EADDRNOTAVAIL: without `quiet`, functions could only be counted
 * with a trap for each line. */
int elf_probe_sites_suffice(const struct elf_probe_sites *sites, bool functions);

/* Returns 1 if 3.11 would abort once line probes are switched on, else 0, or -errno. With a line
 * probe its evaluation loop goes the way of a trace function, and asserts there that one is set.
 * Released builds have no assertions, so their constants do not contain the text of that one.
 * Searches `size` bytes of the file from `offset`. */
int elf_probes_abort(int fd, uint64_t offset, uint64_t size);

#endif
