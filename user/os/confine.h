/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this process gives up once its BPF programs are loaded. */
#ifndef CONFINE_H
#define CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a command still does afterwards, beside reading and changing its own BPF maps. */
enum confine_need {
	/* Asks an examiner (examiner.h), which was begun before and keeps what it takes to read
	 * others' memory and files; this process only ends one that hangs. */
	CONFINE_EXAMINE = 1 << 0,
	/* Reads what /proc tells of any process, but no memory and no other file. */
	CONFINE_LOOK = 1 << 1,
	CONFINE_PROBES = 1 << 2, /* attaches uprobes */
	CONFINE_TRACE = 1 << 3,	 /* ptrace(2), until confine_end_trace() */
	CONFINE_SIGNAL = 1 << 4, /* passes signals on to a command, whatever its user is by then */
	CONFINE_REPORT = 1 << 5, /* gives a report its name, in anybody's folder */
	CONFINE_UNLINK = 1 << 6, /* removes its socket */
	/* Is an examiner, or starts them: reads processes' memory and files, sources with the
	 * rights of their users; no BPF. */
	CONFINE_READ = 1 << 7,
};

struct confined {
	uint64_t dropped, kept; /* capabilities that this process had: bit N is number N */
	int bounding_error;	/* 0, or -errno: the bounding set is what it was */
	int filter_error;	/* 0, or -errno: there is no seccomp filter */
};

/* Drops, for good and for all children that are forked from now on: capabilities but for those that
 * `needs` (enum confine_need, ORed) takes, the right to gain any by exec (no_new_privs), and system
 * calls that no need has a use for (a seccomp filter; where the kernel has none, `filter_error`
 * says so). Children that were forked before keep what they have. 0, or -errno: nothing may be
 * done on with, since more may be left than is wanted. */
int confine(unsigned needs, struct confined *confined);

/* No ptrace(2) from now on, if confine() has set up a filter. 0 or -errno. */
int confine_end_trace(void);

/* confine(), with what must be said said on stderr: the failure, after "pymem-bpf COMMAND: "
 * (`command` may be NULL), or with verbosity >= 1 what was dropped. 0, or an exit status. */
int confine_or_say(unsigned needs, const char *command, int verbosity);

/* "CAP_KILL, CAP_BPF": the names of `capabilities`, cut to `size`; "none". */
void confine_names(uint64_t capabilities, char *names, size_t size);

/* The seccomp filter, for confine() only: 0 or -errno. */
int confine_filter_calls(unsigned needs);

#endif
