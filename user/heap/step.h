/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a person calls a reference from one object to another: ".attr", "['key']", "[12]". */
#ifndef HEAP_STEP_H
#define HEAP_STEP_H

#include "heap/graph_private.h"

#define STEP_BYTES 160

struct step {
	char text[STEP_BYTES]; /* "": none is needed, as from an object to its __dict__ */
	bool begins; /* the path begins here: what led to this is left out, as "gen():rows" says
			enough */
	bool is_namespace;   /* the child's keys are names of attributes or variables */
	bool is_task;	     /* an asyncio task: `text` comes before that of its coroutine */
	bool is_generator;   /* the child is a generator's frame */
	uint64_t closure_of; /* the child is the closure of this function; 0 */
};

/* Limits what names cost: how many words may still be looked through, for all names together. */
struct step_budget {
	uint64_t words;
};

/* Fills *step with how `parent` refers to `child`, both blocks. `before`: the step that led to
 * `parent`. */
void step_find(const struct heap_graph *graph, uint32_t parent, uint32_t child,
	       const struct step *before, struct step_budget *budget, struct step *step);

/* Does the name begin with an underscore? If an object has several names in one place, people mean
 * one that does not: IPython's `Out` is `_oh`, too. */
static inline bool step_is_private(const char *name)
{
	return *name == '_';
}

/* Writes a key as a step: ".NAME" (`as_name`) or "['key']" of a str, "[12]" of an int, "[<type>]"
 * of another object, "[?]" if it can't be read. */
void step_of_key(const struct heap_view *view, uint64_t key, bool as_name, char *text, size_t size);

/* The attribute of `parent` that is `child`: in a slot, in the instance's values, or a member of a
 * C type. False: it has no name. */
bool step_find_attribute(const struct heap_graph *graph, uint32_t parent, uint64_t child,
			 char *text, size_t size);

/* Is `dict` the __dict__ of the object in block `parent`? */
bool step_is_dict_of(const struct heap_graph *graph, uint32_t parent, uint64_t dict);

/* The name of local variable `index` of a code object. False: it has none. */
bool step_local_name(const struct heap_view *view, uint64_t code, uint32_t index, char *text,
		     size_t size);

/* The name of a code object's function. */
void step_code_name(const struct heap_view *view, uint64_t code, char *text, size_t size);

#endif
