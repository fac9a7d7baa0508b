/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of CPython's probes does a file have, and can they be used? */
#ifndef ELF_PROBES_H
#define ELF_PROBES_H

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

/* Does 3.11 abort when line probes are switched on? Where the probe is wanted, its evaluation loop
 * takes the way of a trace function, and there asserts that one is set. Builds without
 * assertions, as they are released, do not have the text of that in their constants: `size` bytes
 * of the file from `offset` on. 1, 0 or -errno. */
int elf_probes_abort(int fd, uint64_t offset, uint64_t size);

#endif
