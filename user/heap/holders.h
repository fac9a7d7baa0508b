/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The blocks worth naming: those that retain much, from the top of the dominator tree down, each
 * with a path that a person can find in the source ("pkg.mod.NAME['key'].attr"). */
#ifndef HEAP_HOLDERS_H
#define HEAP_HOLDERS_H

#include <stddef.h>

#include "heap/graph.h"

/* One of the two holders that what is in both lies in. */
struct holder_part {
	uint32_t block;	  /* BLOCK_NONE: a module, or there is none */
	uint64_t entries; /* of a container; 0 */
};

struct holder {
	uint32_t block;
	uint64_t object; /* address: identity between two looks */
	char *path;	 /* raw bytes of the target: escaped when printed */
	char *type;
	uint64_t entries; /* of a container; 0 */
	bool has_entries;
	uint64_t retained_bytes;
	enum root_tier tier;
	char *shared_by; /* no single holder dominates: who shares it; NULL */
	/* Since an earlier look, by heap_holders_compare(); else 0 and false. */
	int64_t entries_grown, grown_bytes;
	bool is_new;	   /* it was not there, or held next to nothing */
	bool is_temporary; /* of a running function, which has no name for it */
	/* Of what lies in two holders: `entries` blocks in order, and the two; else NULL. */
	uint32_t *members;
	struct holder_part parts[2];
};

/* The at most `most` holders with the largest retained bytes, largest first, in an array that
 * heap_holders_free() frees. A container is preferred to what is in it; an object whose largest
 * child has nine tenths of it is left to that child. Blocks that lie in two holders are a row of
 * their own, whose `path` names both and whose `object` is 0. 0, -ENOMEM. */
int heap_holders_find(struct heap_graph *graph, size_t most, struct holder **holders,
		      size_t *count);
void heap_holders_free(struct holder *holders, size_t count);

/* What is kept of a first look when all else of it is freed: of each container that holds something
 * its address, type, entries and retained bytes; of the largest also their paths. */
struct holders_past;

/* 0, -ENOMEM. The caller owns *past. */
int heap_holders_keep(struct heap_graph *graph, struct holders_past **past);
void heap_holders_past_free(struct holders_past *past);

/* As heap_holders_find(), but with what grew since `past`, in order of growth: half of them are
 * those that grew most, the others those that retain most. A container that another one has
 * replaced is known by its path. */
int heap_holders_compare(struct heap_graph *graph, const struct holders_past *past, size_t most,
			 struct holder **holders, size_t *count);

/* The path of one block (for births and pages): "" if none was found. */
int heap_holders_path(struct heap_graph *graph, uint32_t block, char *buf, size_t size);

#endif
