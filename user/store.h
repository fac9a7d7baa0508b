/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel side handed over by name: stacks and code objects. Each is kept under
 * the key the counters go by, until its image is forgotten; code objects are decoded when
 * first asked for. */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "py_code.h"
#include "py_layout.h"
#include "pymem.h"

/* For what one image hands over: names, line tables and stacks are the target's, and there is no
 * end to what it can make up. */
#define STORE_IMAGE_BYTES (256u << 20)

struct store_line { /* a resolved instruction of a code object */
	int32_t lasti;
	int line; /* as py_code_line() returns it */
	UT_hash_handle hh;
};

struct store_code {
	struct {
		uint64_t code, fingerprint;
		uint32_t proc, pad;
	} key;
	struct pymem_msg_code *message; /* until decoded; its table is not in it */
	unsigned char *table;
	uint32_t table_length, table_have;
	uint64_t table_addr;
	bool decoded;
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

struct store {
	struct store_code *codes;
	struct store_stack *stacks;
	struct store_image *images;
	size_t image_bytes; /* that one image may take */
	uint64_t malformed; /* messages that were not as they should be */
	uint64_t refused;   /* for which there was no room */
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

/* The code object of a frame, decoded with `layout`; NULL if it was never delivered.
 * `pid` (0: none) is asked for what the kernel side could not read, unless it is gone. */
struct store_code *store_code(struct store *store, uint32_t proc,
			      const struct pymem_msg_frame *frame, const struct py_layout *layout,
			      int pid);

/* The line of byte offset `lasti`; remembered. As py_code_line(). */
int store_line(struct store_code *code, int32_t lasti);

#endif
