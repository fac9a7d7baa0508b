/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of CPython's probes does a file have, and can they be used? */
#ifndef ELF_PROBES_H
#define ELF_PROBES_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads `size` bytes of the file from `offset` on. How many, fewer at the end of the file; or
 * -errno. */
ssize_t elf_read_at(int fd, void *buf, size_t size, uint64_t offset);

struct elf_probes { /* of the provider "python" */
	bool line;
	bool function_entry;
};

/* Reads the notes (.note.stapsdt) that `size` bytes of the file from `offset` on are. Hostile
 * input: what is malformed is no probe. 0 or -errno. */
int elf_probes_read(int fd, uint64_t offset, uint64_t size, struct elf_probes *probes);

/* Those of CPython's probes that the exact engine needs, in the order in which they are attached.
 * The line probe comes last: until its semaphore is up, builds of 3.11 fire no entry either, so
 * that what a thread is seen to enter it is also seen to run. */
enum elf_probe {
	ELF_PROBE_GC_START,
	ELF_PROBE_GC_DONE,
	ELF_PROBE_RETURN,
	ELF_PROBE_ENTRY,
	ELF_PROBE_LINE,
	ELF_PROBES,
};

/* A compiler may make some copies of a probe; a file that names more of one is refused: each costs
 * two descriptors and milliseconds. */
#define ELF_PROBE_SITES_MOST 64

struct elf_probe_site {
	uint64_t address;   /* as the file's symbols have it */
	uint64_t offset;    /* of the instruction in the file */
	uint64_t semaphore; /* its offset in the file; 0: none */
	uint64_t place;	    /* PYMEM_PLACE(): where the arguments are; 0: not needed */
};

struct elf_probe_sites {
	unsigned count[ELF_PROBES];
	struct elf_probe_site site[ELF_PROBES][ELF_PROBE_SITES_MOST];
};

/* Where an ELF file has what the sites are made from. */
struct elf_probe_notes {
	uint64_t offset, size; /* of .note.stapsdt */
	uint64_t base;	       /* address of .stapsdt.base, which tells if it was prelinked; or 0 */
	const Elf64_Phdr *segments;
	unsigned segment_count;
};

/* Finds the places of all those probes, from one reading of the notes. Hostile input. 0, -errno,
 * or: -EFBIG: the notes are larger than any build's; -E2BIG: too many places of one probe; -ENOENT:
 * a probe is missing; -ENOEXEC: a place or semaphore that lies nowhere; -EOPNOTSUPP: an argument
 * that we can't read. */
int elf_probe_sites_read(int fd, const struct elf_probe_notes *notes,
			 struct elf_probe_sites *sites);

/* Does 3.11 abort when line probes are switched on? Where the probe is wanted, its evaluation loop
 * takes the way of a trace function, and there asserts that one is set. Builds without
 * assertions, as they are released, do not have the text of that in their constants: `size` bytes
 * of the file from `offset` on. 1, 0 or -errno. */
int elf_probes_abort(int fd, uint64_t offset, uint64_t size);

#endif
