/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this process gives up once its BPF programs are loaded. */
#ifndef CONFINE_H
#define CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a command still does afterwards, besides reading and changing its own BPF maps. */
enum confine_need {
	/* Asks the examiner (examiner.h), which was forked before and keeps the rights to read
	 * memory and files of others. This process only kills one that hangs. */
	CONFINE_EXAMINE = 1 << 0,
	/* Reads what /proc says of any process, but no memory and no other files. */
	CONFINE_LOOK = 1 << 1,
	CONFINE_PROBES = 1 << 2, /* attaches uprobes */
	CONFINE_TRACE = 1 << 3,	 /* uses ptrace(2), until confine_end_trace() */
	CONFINE_SIGNAL = 1 << 4, /* sends signals to a command, whose user may have changed */
	CONFINE_REPORT = 1 << 5, /* gives a report its name, in a folder of any user */
	CONFINE_UNLINK = 1 << 6, /* removes its socket */
	/* Is an examiner, or starts examiners. An examiner reads memory and files of processes, and
	 * source files with the rights of the processes' users. No BPF. */
	CONFINE_READ = 1 << 7,
	/* Reads memory of one process and the file of its interpreter, and still uses BPF. Only for
	 * a child that does little else (births_child.c). */
	CONFINE_PEEK = 1 << 8,
	CONFINE_HURRY = 1 << 9, /* takes a real-time priority while a target stands still */
	/* Makes new files when it is asked to, and nothing else: no BPF, no process is looked at or
	 * started. */
	CONFINE_WRITE = 1 << 10,
	/* Reads files that it has opened before: no BPF. */
	CONFINE_PLAIN = 1 << 11,
	/* Only passes on what an examiner says, which it asks as with CONFINE_EXAMINE: no BPF. */
	CONFINE_RELAY = 1 << 12,
	/* Makes new files and removes files, as its user may without capabilities, for as long as
	 * it runs. It opens none that exists for writing. */
	CONFINE_CREATE = 1 << 13,
	/* Gives files other names, in the place of some that are there: with CONFINE_CREATE. */
	CONFINE_REPLACE = 1 << 14,
	/* Connects to a server on the network, over TCP. It can't listen. */
	CONFINE_CONNECT = 1 << 15,
	/* Asks name servers, over TCP and UDP, and does nothing else: no BPF, no process is looked
	 * at or started, no service of the host is talked to. */
	CONFINE_RESOLVE = 1 << 16,
};

struct confined {
	uint64_t dropped, kept; /* capabilities that this process had; bit N is number N */
	int bounding_error;	/* 0, or -errno: the bounding set is unchanged */
	int filter_error;	/* 0, or -errno: there is no seccomp filter */
};

/* Drops for good, for this process and all that it forks from now on: all capabilities that `needs`
 * (enum confine_need, ORed) does not require; the right to gain any by exec (no_new_privs); and
 * system calls that none of the needs uses (a seccomp filter). If the kernel has no seccomp,
 * `filter_error` says so. Children that were forked before keep what they have. 0, or -errno: the
 * caller must end, since it may have more rights than it should. */
int confine(unsigned needs, struct confined *confined);

/* Forbids ptrace(2) from now on, if confine() has installed a filter. 0 or -errno. */
int confine_end_trace(void);

/* Calls confine() and prints on stderr what failed, after "pymem-bpf COMMAND: " (`command` may be
 * NULL); with verbosity >= 1 also what was dropped. 0, or an exit status. */
int confine_or_say(unsigned needs, const char *command, int verbosity);

/* Writes the names of `capabilities` into `names`, cut at `size`: "CAP_KILL, CAP_BPF" or "none". */
void confine_names(uint64_t capabilities, char *names, size_t size);

/* Installs the seccomp filter. Only confine() calls it. 0 or -errno. */
int confine_filter_calls(unsigned needs);

#endif
