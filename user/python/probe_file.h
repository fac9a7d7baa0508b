/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file that line probes are attached to. The examiner opens it and reads its notes. */
#ifndef PROBE_FILE_H
#define PROBE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "python/elf_probes.h"

/* What was found of a file. Plain data, since it is sent over a socket. */
struct probe_file {
	int fd; /* for the kernel to look it up by; reading it may hang */
	uint32_t pad;
	uint64_t dev, inode; /* from fstat() */
	struct elf_probe_sites sites;
};

/* Opens the file that `pid` has mapped executable with this device and inode in /proc/PID/maps. 0:
 * the caller closes file->fd. -ESRCH: the process has ended. -ESTALE: it does not map the file any
 * more. -EREMOTEIO: a user's program may serve the file system. Else -errno as of
 * elf_image_probe_sites() and proc_open_mapping(). */
int probe_file_open_mapped(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file);

/* What a file must have, of probe_file_open_program(). */
enum probe_file_needs {
	PROBE_FILE_FIXED = 1,	  /* it is always loaded at its own addresses */
	PROBE_FILE_FUNCTIONS = 2, /* function probes; else line probes */
};

/* Opens the file that executing `program` would run; #! lines are followed. It must be an
 * interpreter with what `needs` (enum probe_file_needs) says. 0:
 * the caller closes file->fd. -ENOENT: it is no such file. Else as above. */
int probe_file_open_program(const char *program, unsigned needs, struct probe_file *file);

#endif
