/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A look at a process's heap: it makes snapshot, types, blocks, graph, holders and balance, in this
 * order, and from these what is reported. A second look is compared with what the first one leaves
 * behind. */
#ifndef HEAP_LOOK_MAKE_H
#define HEAP_LOOK_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/heap_look.h"
#include "py_heap_layout.h"
#include "python/py_process.h"

struct births;
struct heap_touches;

struct heap_target {
	pid_t pid;
	/* proc_start_ticks() of the process that is meant. If it is not that one any more when its
	 * memory was copied, there is no look. 0: whatever has the PID. */
	uint64_t start_ticks;
	/* Prepared by heap_births_prepare(), begun by the first look, ended by the second; NULL:
	 * none. The caller's. */
	struct births *births;
	int births_method; /* enum births_method */
	/* Watches the process, for the second look; NULL: nothing does. The caller's. */
	struct heap_touches *touches;
	struct py_process python;
	struct py_heap_layout layout;
};

struct heap_options {
	bool pause;		   /* stop it while its memory is copied */
	bool types_only;	   /* a survey, without holders. Not with `pause` */
	uint64_t memory_bytes;	   /* memory that may be taken, nearly; 0: what is available */
	size_t holders;		   /* how many are named */
	bool touched;		   /* asks target.touches who touched what */
	bool (*interrupted)(void); /* asked while a copy is made; may be NULL */
};

/* What a first look leaves behind. */
struct heap_past;
void heap_past_free(struct heap_past *past);

/* The first of two looks. 0, or -errno and in `why` (at most `size` bytes) the reason, without the
 * PID. The caller owns *past. */
int heap_look_first(const struct heap_target *target, const struct heap_options *options,
		    struct heap_past **past, char *why, size_t size);

/* The only look (`past` is NULL), or the second. If one of two looks has no holders, neither shows
 * any. Errors as above. The caller owns *look, and fills in comm and cmdline. */
int heap_look_make(const struct heap_target *target, const struct heap_options *options,
		   struct heap_past *past, struct heap_look **look, char *why, size_t size);

#endif
