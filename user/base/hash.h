/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* uthash without its exit() when memory runs out. Include this file instead of <uthash.h>. */
#ifndef HASH_H
#define HASH_H

#include <errno.h>
#include <stddef.h>

/* malloc(). A test may replace it by one that fails. */
void *hash_alloc(size_t bytes);

#define HASH_NONFATAL_OOM   1
#define uthash_malloc(size) hash_alloc(size)
#include <uthash.h>

/* Adds `element` to the hash table `head`; its key is the member `field`. 0, or -ENOMEM: `element`
 * is not in the table, and the table is as it was. */
#define HASH_INSERT(head, field, element)                                     \
	({                                                                    \
		HASH_ADD(hh, head, field, sizeof((element)->field), element); \
		(element)->hh.tbl ? 0 : -ENOMEM;                              \
	})

#endif
