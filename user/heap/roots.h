/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where references begin: variables of modules, locals of running functions, words of C code. */
#ifndef HEAP_ROOTS_H
#define HEAP_ROOTS_H

#include <stddef.h>

#include "heap/graph.h"
#include "heap/view.h"

enum root_kind {
	ROOT_MODULE_DICT,   /* `where`: the module's name in sys.modules, a str; `index`: its place
			       among all modules */
	ROOT_MODULE_OBJECT, /* the same, of an object in sys.modules that is no module */
	ROOT_LOCAL,	    /* `where`: a code object; `index`: the variable; `thread` */
	ROOT_TEMPORARY,	    /* the same, of the value stack: it has no name */
	ROOT_GLOBALS,	    /* the globals or locals dict of a running function */
	ROOT_DATA,	    /* `where`: the address of a word in C data or on a stack */
};

struct heap_root {
	uint32_t block;
	uint8_t kind; /* enum root_kind */
	uint8_t tier; /* enum root_tier */
	uint16_t interp;
	uint32_t index, thread; /* threads are numbered from 0, the oldest */
	uint64_t where;
};

struct heap_roots {
	struct heap_root *list;
	size_t count, room;
	uint64_t modules; /* address of the dict sys.modules of the interpreter that is first in the
			     list; 0: not found */
};

void heap_roots_fini(struct heap_roots *roots);

/* Each appends what it finds: 0, -ENOMEM. */
int heap_roots_add(struct heap_roots *roots, struct heap_root root);
int heap_roots_modules(struct heap_roots *roots, const struct heap_view *view);
int heap_roots_frames(struct heap_roots *roots, const struct heap_view *view);

/* Appends a root for each word of C data and of stacks that refers to a block, if take() accepts
 * the block. 0, -ENOMEM. */
int heap_roots_data(struct heap_roots *roots, const struct heap_view *view,
		    bool (*take)(void *arg, uint32_t block), void *arg);

/* Calls `fn` for each interpreter, newest first, with its address and a number from 0 on. Ends when
 * `fn` returns other than 0, and returns that. */
int heap_each_interp(const struct heap_view *view,
		     int (*fn)(void *arg, uint64_t interp, unsigned number), void *arg);

#endif
