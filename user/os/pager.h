/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that shows a long report page by page, with --pager. */
#ifndef PAGER_H
#define PAGER_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct pager { /* private; {} is none */
	pid_t pid;
	int fd; /* what is written there is what it shows */
	FILE *file;
	bool colors;
};

/* Forks the process that becomes the pager: PAGER from the environment, or if that is unset or
 * empty, "less -R". It runs nothing before pager_begin(). Call it before rights are given up, since
 * a program can't be run afterwards; the pager has the rights that we were started with. Does
 * nothing if stdout is no terminal. 0 or -errno. */
int pager_prepare(struct pager *pager);

/* Lets the pager start with the first byte of the report. Returns the stream to write to, which
 * pager_end() closes. NULL: there is no pager. */
FILE *pager_begin(struct pager *pager);

/* True if the pager shows colours. */
bool pager_has_colors(const struct pager *pager);

/* No more will be written: waits until the user ends the pager. SIGINT is the pager's meanwhile.
 * Returns 0, or its exit status if it could not be run (126, 127). */
int pager_end(struct pager *pager);

/* Ends a pager that was never begun. Does nothing if there is none. */
void pager_abandon(struct pager *pager);

#endif
