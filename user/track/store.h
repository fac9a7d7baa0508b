/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF side sends: stacks and code objects. They are kept until their image is forgotten,
 * under the keys that the counters have. A code object is decoded when it is first asked for. */
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

/* Limit for what one image sends. Names, line tables and stacks come from the target, which can
 * make up any number of them. */
#define STORE_IMAGE_BYTES (256u << 20)

/* Limit for all images together. A child shares nothing with its parent here: each has its own. */
#define STORE_ALL_BYTES (512u << 20)

/* How much of line tables is read from processes at a time; also the most for one table. */
#define STORE_FETCH_BYTES (8u << 20)

/* Limit of one line table. A module that is a literal of a million rows has half of that. */
#define STORE_TABLE_BYTES PYMEM_TABLE_KEPT

struct store_line { /* an instruction of a code object whose line was found */
	int32_t lasti;
	int line;      /* greater than 0 */
	bool known;    /* false: the function's first line, since the right one is unknown */
	bool prologue; /* py_code_in_prologue() */
	UT_hash_handle hh;
};

struct store_code {
	struct {
		uint64_t code, fingerprint;
		uint32_t proc, pad;
	} key;
	struct pymem_msg_code *message; /* until it is decoded; without its table */
	uint32_t table_length;	/* bytes of the whole table; code.linetable_len is what is here */
	size_t failed_at_bytes; /* linetable_len when reading more failed; 0: it did not */
	size_t table_room;
	uint64_t table_addr;
	bool decoded;
	bool indexed;  /* py_code_index() has seen the whole table */
	bool no_room;  /* there is no room for the whole table */
	bool mixed;    /* another code object has the same key and another table */
	unsigned gaps; /* bit N: counted in gaps[N] of the store */
	struct py_code code;
	struct store_line *lines;
	struct store_code *next; /* in the list of the image */
	UT_hash_handle hh;
};

struct store_stack {
	struct pymem_stack_key key;
	uint32_t depth;
	bool truncated;
	struct store_thread *thread;	/* that runs it; NULL: threads are not told apart */
	struct pymem_msg_frame *frames; /* innermost first */
	struct store_stack *next;	/* in the list of the image */
	UT_hash_handle hh;
};

struct store_thread {
	struct counts_thread told; /* told.name is `name` */
	char name[PYMEM_THREAD_NAME];
	struct store_thread *next; /* in the list of the image */
};

struct store_image {
	uint32_t proc;		      /* pymem_proc.id */
	struct store_thread *threads; /* newest first; PYMEM_THREADS_TOLD of them, and few more */
	struct store_stack *stacks;
	struct store_code *codes;
	size_t bytes; /* that they take, roughly */
	UT_hash_handle hh;
};

struct store_fetch { /* the rest of a line table is to be read later */
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
	size_t image_bytes;	     /* limit for one image */
	size_t all_bytes;	     /* limit for all */
	size_t bytes;		     /* that all take now */
	size_t fetched_bytes;	     /* since the last store_fetch_more() */
	struct store_fetch *fetches; /* oldest first */
	unsigned fetch_count;
	uint64_t malformed; /* number of messages with impossible contents */
	uint64_t refused;   /* number of messages for which there was no room */
	uint64_t no_memory; /* number of messages lost in part or as a whole: memory ran out */
	uint64_t gaps[COUNTS_GAP_COUNT]; /* code objects that have instructions without a line */
};

/* An empty store with the default limits. store_fini() frees all that it has. */
void store_init(struct store *store);
void store_fini(struct store *store);

/* Adds a STACK or CODE message of `size` bytes. 0; -EINVAL: it is malformed; -ENOSPC: no room;
 * -ENOMEM. */
int store_add(struct store *store, const void *data, size_t size);

/* The stack with this key. It belongs to the store, until store_forget(). NULL: it has not
 * arrived. */
struct store_stack *store_stack(struct store *store, const struct pymem_stack_key *key);

/* All that has arrived for an image. It belongs to the store, until store_forget(). NULL:
 * nothing. */
struct store_image *store_image(struct store *store, uint32_t proc);

/* Frees everything of an image. */
void store_forget(struct store *store, uint32_t proc);

/* `message`, which store_add() has taken, has a part of a line table. If no more of it is on its
 * way, reads the rest from process `pid`. That is done at once, since the code object of a module
 * is freed when it has run. After STORE_FETCH_BYTES it is put off until store_fetch_more(). */
void store_complete(struct store *store, const struct pymem_msg_code *message,
		    const struct py_layout *layout, int pid);

/* Reads what was put off, up to STORE_FETCH_BYTES. */
void store_fetch_more(struct store *store);

/* The code object of a frame, decoded with `layout`. It belongs to the store. What the BPF side
 * could not read is read from process `pid` now (0: it is not). NULL: it has not arrived. */
struct store_code *store_code(struct store *store, uint32_t proc,
			      const struct pymem_msg_frame *frame, const struct py_layout *layout,
			      int pid);

/* The line (> 0) of the instruction at byte offset `lasti`. An instruction without a line (one that
 * makes cells, cleans up, or begins a module) gets the function's first line. So does one whose
 * line is unknown; store->gaps counts these code objects. `prologue` (may be NULL) becomes what
 * py_code_in_prologue() says. */
int store_line(struct store *store, struct store_code *code, int32_t lasti, bool *prologue);

/* The first line of the function, greater than 0. */
int store_first_line(const struct store_code *code);

#endif
