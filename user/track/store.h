/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel side handed over by name: stacks and code objects. Each is kept under
 * the key the counters go by, until its image is forgotten; code objects are decoded when
 * first asked for. */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "model/counts.h"
#include "python/py_code.h"
#include "py_layout.h"
#include "pymem.h"

/* For what one image hands over: names, line tables and stacks are the target's, and there is no
 * end to what it can make up. */
#define STORE_IMAGE_BYTES (256u << 20)

/* For what all hand over together. A child takes over nothing of its parent: each has its own. */
#define STORE_ALL_BYTES (512u << 20)

/* Processes are asked for so much of their line tables at a time; or for one table. */
#define STORE_FETCH_BYTES (8u << 20)

/* Of one line table. A module that is a literal of a million rows has half of it. */
#define STORE_TABLE_BYTES PYMEM_TABLE_KEPT

struct store_line { /* a resolved instruction of a code object */
	int32_t lasti;
	int line;      /* > 0 */
	bool known;    /* the table says so; else it is the function's first line for want of it */
	bool prologue; /* py_code_in_prologue() */
	UT_hash_handle hh;
};

struct store_code {
	struct {
		uint64_t code, fingerprint;
		uint32_t proc, pad;
	} key;
	struct pymem_msg_code *message; /* until decoded; its table is not in it */
	uint32_t table_length;		/* as its object says; code.linetable_len is what is here */
	size_t failed_at_bytes;		/* no more could be had when so much was here; 0: never */
	size_t table_room;
	uint64_t table_addr;
	bool decoded;
	bool indexed;  /* py_code_index() has seen all of the table */
	bool no_room;  /* for all of its table */
	bool mixed;    /* another code object has its key, but another table */
	unsigned gaps; /* counted of it: a bit for each enum counts_gap */
	struct py_code code;
	struct store_line *lines;
	struct store_code *next; /* of the image */
	UT_hash_handle hh;
};

struct store_stack {
	struct pymem_stack_key key;
	uint32_t depth;
	bool truncated;
	struct pymem_msg_frame *frames; /* innermost first */
	struct store_stack *next;	/* of the image */
	UT_hash_handle hh;
};

struct store_image {
	uint32_t proc; /* pymem_proc.id */
	struct store_stack *stacks;
	struct store_code *codes;
	size_t bytes; /* what they take, about */
	UT_hash_handle hh;
};

struct store_fetch { /* of the rest of a line table, put off */
	struct store_fetch *next;
	uint64_t code, fingerprint;
	uint32_t proc;
	int pid;
	struct py_layout layout;
};

struct store {
	struct store_code *codes;
	struct store_stack *stacks;
	struct store_image *images;
	size_t image_bytes;	     /* that one image may take */
	size_t all_bytes;	     /* that all may take */
	size_t bytes;		     /* that they take */
	size_t fetched_bytes;	     /* since the last store_fetch_more() */
	struct store_fetch *fetches; /* put off, the first one first */
	unsigned fetch_count;
	uint64_t malformed;		 /* messages that were not as they should be */
	uint64_t refused;		 /* for which there was no room */
	uint64_t no_memory;		 /* taken not at all or in part: memory ran out */
	uint64_t gaps[COUNTS_GAP_COUNT]; /* code objects that have instructions without a line */
};

void store_init(struct store *store);
void store_fini(struct store *store);

/* Takes a STACK or CODE message of `size` bytes. 0; -EINVAL: malformed; -ENOSPC: too much for one
 * image; -ENOMEM. */
int store_add(struct store *store, const void *data, size_t size);

/* The stack of `key`; NULL if it was never delivered. */
struct store_stack *store_stack(struct store *store, const struct pymem_stack_key *key);

/* What has been handed over for an image; NULL: nothing. */
struct store_image *store_image(struct store *store, uint32_t proc);

/* Frees all of an image. */
void store_forget(struct store *store, uint32_t proc);

/* The process is asked for the rest of a line table whose part this is, if no more of it is on its
 * way; while the process lives, and at once: a module's code object is freed when it has run. After
 * STORE_FETCH_BYTES the rest is put off. `message` has been taken by store_add(). */
void store_complete(struct store *store, const struct pymem_msg_code *message,
		    const struct py_layout *layout, int pid);

/* Goes on with what was put off, for as much again. */
void store_fetch_more(struct store *store);

/* The code object of a frame, decoded with `layout`; NULL if it was never delivered.
 * `pid` (0: none) is asked for what the kernel side could not read, unless it is gone. */
struct store_code *store_code(struct store *store, uint32_t proc,
			      const struct pymem_msg_frame *frame, const struct py_layout *layout,
			      int pid);

/* The line of byte offset `lasti`, > 0; remembered. An instruction without a line (it makes cells,
 * cleans up, begins a module) counts for the function's first; likewise one whose line can't be
 * told: store->gaps has how many code objects have such. `prologue` (may be NULL): see
 * py_code_in_prologue(). */
int store_line(struct store *store, struct store_code *code, int32_t lasti, bool *prologue);

/* Where the function begins, > 0. */
int store_first_line(const struct store_code *code);

#endif
