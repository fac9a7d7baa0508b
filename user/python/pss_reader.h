/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A helper process that reads the PSS of others, for one that may not wait.
 *
 * For PSS the kernel walks through all page tables of a process, and holds its lock on mappings
 * meanwhile, unless somebody else waits for that. A target can hold that up. So a helper that was
 * forked before asks an examiner of its own (examiner.h), which gives up in time. There is one
 * request at a time. */
#ifndef PSS_READER_H
#define PSS_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/proc.h"

struct pss_reader {   /* all zeros: there is none, and pss_reader_end() does nothing */
	pid_t helper; /* 0: none */
	int socket;   /* readable when there is an answer, or the helper has ended */
	int pidfd;
};

struct pss_answer {
	struct proc_rollup rollup; /* of `error` 0 */
	uint64_t took_ns;	   /* CLOCK_MONOTONIC */
	/* 0, or -errno of examiner_read_rollup(). -ENOTSUP: this kernel has no such file, for no
	 * process. */
	int32_t error;
};

/* Forks the helper. Call it first, so that the helper has no copy of anything that comes later, and
 * before rights are given up. 0 or -errno. */
int pss_reader_fork(struct pss_reader *reader);
/* Asks for process `pid`; the request before was answered. 0, or -errno: the helper is gone. */
int pss_reader_ask(const struct pss_reader *reader, pid_t pid);
/* Takes the answer. 0; -EAGAIN: there is none yet; another -errno: the helper is gone. */
int pss_reader_take(const struct pss_reader *reader, struct pss_answer *answer);
/* Ends the helper: asks it to, and kills it if it does not. The socket is closed. */
void pss_reader_end(struct pss_reader *reader);

#endif
