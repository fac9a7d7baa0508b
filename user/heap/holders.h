/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holders: the blocks that retain much, found from the top of the dominator tree down. Each has a
 * path that a person can find in the source ("pkg.mod.NAME['key'].attr"). */
#ifndef HEAP_HOLDERS_H
#define HEAP_HOLDERS_H

#include <stddef.h>

#include "heap/graph.h"

/* One of the two holders of a row of blocks that lie in both. */
struct holder_part {
	uint32_t block;	  /* BLOCK_NONE: a module, or there is none */
	uint64_t entries; /* of a container; else 0 */
};

struct holder {
	uint32_t block;
	uint64_t object; /* address, by which a later look recognises it; 0: a row of blocks that
			    lie in two holders */
	char *path;	 /* raw bytes of the target: escaped when printed */
	char *type;
	uint64_t entries; /* of a container; 0 */
	bool has_entries;
	uint64_t retained_bytes;
	enum root_tier tier;
	char *shared_by; /* who shares it, if no single holder dominates it; NULL */
	/* Since an earlier look, by heap_holders_compare(); else 0 and false. */
	int64_t entries_grown, grown_bytes;
	bool is_new;	   /* it was not there before, or held next to nothing */
	bool is_temporary; /* a temporary of a running function, without a name */
	/* Of a row of blocks that lie in two holders: these blocks, `entries` of them in order, and
	 * the two holders. Else NULL. */
	uint32_t *members;
	struct holder_part parts[2];
};

/* Finds at most `most` holders, those with most retained bytes, largest first. heap_holders_free()
 * frees the array. A container is preferred to what is in it. An object whose largest child has
 * nine tenths of it is left to that child. Blocks that lie in two holders have a row of their own:
 * `path` names both, `object` is 0. 0, -ENOMEM. */
int heap_holders_find(struct heap_graph *graph, size_t most, struct holder **holders,
		      size_t *count);
void heap_holders_free(struct holder *holders, size_t count);

/* What is kept of a first look when all else of it is freed: address, type, entries and retained
 * bytes of each object that retains something, and the paths of the largest. */
struct holders_past;

/* 0, -ENOMEM. The caller owns *past. */
int heap_holders_keep(struct heap_graph *graph, struct holders_past **past);
void heap_holders_past_free(struct holders_past *past);

/* As heap_holders_find(), with what grew since `past`, in order of growth. Half of the rows are
 * those that grew most, the others those that retain most. A container that replaced another is
 * recognised by its path. */
int heap_holders_compare(struct heap_graph *graph, const struct holders_past *past, size_t most,
			 struct holder **holders, size_t *count);

/* Writes the path of one block (at most `size` bytes): "" if none was found. 0; -1: `size` is 0. */
int heap_holders_path(struct heap_graph *graph, uint32_t block, char *buf, size_t size);

#endif
