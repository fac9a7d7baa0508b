/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which pages of a process are resident: what the kernel counts as RSS. The process can hold this
 * call up, like each call that needs its page tables. */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pagemap_run {	/* resident pages without a gap */
	uint64_t start; /* address */
	uint64_t pages;
};

/* The resident pages of `pid`, in order of address. Left out: the page of zeros, and memory of
 * devices. Huge pages of hugetlbfs, which are no part of RSS, are not told apart. The caller frees
 * `*runs`. 0, -ESRCH, -EFBIG: too many runs, or -errno. */
int pagemap_resident(pid_t pid, struct pagemap_run **runs, size_t *count);

#endif
