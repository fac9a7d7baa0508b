/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* uthash, but without its exit() where memory runs out. To be included in its place. */
#ifndef HASH_H
#define HASH_H

#include <errno.h>
#include <stddef.h>

/* malloc(); a test's own may fail instead. */
void *hash_alloc(size_t bytes);

#define HASH_NONFATAL_OOM   1
#define uthash_malloc(size) hash_alloc(size)
#include <uthash.h>

/* Adds `element` to the hash `head` under `field`. 0, or -ENOMEM: it is not in it, and all others
 * are as they were. */
#define HASH_INSERT(head, field, element)                                     \
	({                                                                    \
		HASH_ADD(hh, head, field, sizeof((element)->field), element); \
		(element)->hh.tbl ? 0 : -ENOMEM;                              \
	})

#endif
