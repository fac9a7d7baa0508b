/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths that a person can find in the source: "pkg.mod.NAME['key'].attr", "thread 3 worker():rows",
 * "C code: libfoo.so". */
#ifndef HEAP_NAMES_H
#define HEAP_NAMES_H

#include "heap/step.h"

#define NAMES_PATH_BYTES 512
/* Words that may be looked through for all the paths of a report: a second or so. */
#define NAMES_WORDS_MAX (1ull << 28)

/* The path of `block`, cut at `size`. False, and "": it is free. */
bool names_find(const struct heap_graph *graph, uint32_t block, struct step_budget *budget,
		char *text, size_t size);

/* Is it a dict of variables or attributes: of a module, a class, an instance? */
bool names_is_namespace(const struct heap_graph *graph, uint32_t block);

/* Does its way begin with what a running function has on its value stack, or C code on its own,
 * without a name? */
bool names_is_temporary(const struct heap_graph *graph, uint32_t block);

/* The strongest root that `block` is; NULL: it is none that was found. */
const struct heap_root *names_root(const struct heap_graph *graph, uint32_t block);

#endif
