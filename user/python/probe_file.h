/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file that line probes are attached to: opened, and its notes read, by the examiner. */
#ifndef PROBE_FILE_H
#define PROBE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "python/elf_probes.h"

/* What is found of one. Plain data: it goes over a socket. */
struct probe_file {
	int fd; /* for the kernel to look it up by; not to be read by who must not hang */
	uint32_t pad;
	uint64_t dev, inode; /* by fstat() */
	struct elf_probe_sites sites;
};

/* The very file that `pid` has mapped executable and that has this device and inode in
 * /proc/PID/maps. 0: the caller closes the descriptor. -ESRCH: it has ended; -ESTALE: it lives
 * and has the file mapped no more; -EREMOTEIO: that lies on a file system that a user's program may
 * serve; -errno of elf_image_probe_sites() and proc_open_mapping(). */
int probe_file_open_mapped(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file);

/* The file that executing `program` would run, #! lines followed, if it is an interpreter with line
 * probes, with `fixed` one that is always loaded at its own addresses. 0 likewise; -ENOENT: it is
 * no such file; -errno. */
int probe_file_open_program(const char *program, bool fixed, struct probe_file *file);

#endif
