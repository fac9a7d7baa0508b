/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which pages of a process are resident, what the kernel counts as RSS, and which are not. The
 * process can hold these calls up, like each call that needs its page tables. */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pagemap_kind {
	PAGEMAP_RESIDENT, /* left out: the page of zeros, and memory of devices */
	PAGEMAP_SWAPPED,  /* what has a swap entry. Shared memory has none */
	/* No page and no swap entry, where a file or shared memory is mapped. Few of these were
	 * ever resident. */
	PAGEMAP_ABSENT,
};

struct pagemap_run {	/* pages of a kind without a gap */
	uint64_t start; /* address */
	uint64_t pages;
};

/* The pages of `pid` that are of this kind, in order of address. Huge pages of hugetlbfs, which are
 * no part of RSS, are not told apart. The caller frees `*runs`. 0, -ESRCH, -EFBIG: too many runs,
 * or -errno. */
int pagemap_read(pid_t pid, enum pagemap_kind kind, struct pagemap_run **runs, size_t *count);

#endif
