/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One process that `heap` was asked for. */
#ifndef HEAP_SUBJECT_H
#define HEAP_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "heap/look.h"
#include "os/proc.h"

struct subject {
	struct heap_target target;
	struct proc_info info;
	struct heap_past *past; /* of the first of two looks */
	bool given_up;		/* it is among the report's skips */
	/* Why the lines that touch its pages are not recorded; "": they are, or nobody asked for
	 * them. */
	char untouched[512];
};

/* Finds out what target.pid runs, and fills `info` (the caller calls proc_info_fini(), also after a
 * failure), target.python and target.layout. 0, or -errno with the reason in `why` (at most `size`
 * bytes), without the PID. */
int heap_subject_identify(struct subject *subject, char *why, size_t size);
/* Writes into `why` (at most `size` bytes) the reason for which the memory of the process may not
 * be read. */
void heap_subject_forbidden(pid_t pid, char *why, size_t size);
/* True if target.pid is still the process that was identified, and not another one with its PID. */
bool heap_subject_is_same(const struct subject *subject);
/* Copies to the look, which owns the copies, what is known of the process beside its heap: its
 * name, its command line, and a note if `untouched` says something. 0 or -ENOMEM. */
int heap_subject_describe(const struct subject *subject, struct heap_look *look);

#endif
