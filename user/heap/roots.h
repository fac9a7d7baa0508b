/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where references begin: variables of modules, locals of running functions, what C code has. */
#ifndef HEAP_ROOTS_H
#define HEAP_ROOTS_H

#include <stddef.h>

#include "heap/graph.h"
#include "heap/view.h"

enum root_kind {
	ROOT_MODULE_DICT,   /* `where`: the module's name in sys.modules, a str; `index`: its place
			       there */
	ROOT_MODULE_OBJECT, /* the same, of what is no module object */
	ROOT_LOCAL,	    /* `where`: a code object; `index`: the variable; `thread` */
	ROOT_TEMPORARY,	    /* likewise, of the value stack: it has no name */
	ROOT_GLOBALS,	    /* of a function that runs in a namespace which is no module's */
	ROOT_DATA,	    /* `where`: the address of the word */
};

struct heap_root {
	uint32_t block;
	uint8_t kind; /* enum root_kind */
	uint8_t tier; /* enum root_tier */
	uint16_t interp;
	uint32_t index, thread; /* threads are numbered from the oldest: 0 */
	uint64_t where;
};

struct heap_roots {
	struct heap_root *list;
	size_t count, room;
	uint64_t modules; /* address of the dict sys.modules of the first interpreter; 0: not found
			   */
};

void heap_roots_fini(struct heap_roots *roots);

/* Each appends what it finds: 0, -ENOMEM. */
int heap_roots_add(struct heap_roots *roots, struct heap_root root);
int heap_roots_modules(struct heap_roots *roots, const struct heap_view *view);
int heap_roots_frames(struct heap_roots *roots, const struct heap_view *view);

/* Words of C data and of stacks that are references: `take` says whether a block is a root, or
 * nothing new. */
int heap_roots_data(struct heap_roots *roots, const struct heap_view *view,
		    bool (*take)(void *arg, uint32_t block), void *arg);

/* Calls `fn` for each interpreter until it returns other than 0, which is returned. */
int heap_each_interp(const struct heap_view *view,
		     int (*fn)(void *arg, uint64_t interp, unsigned number), void *arg);

#endif
