/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of the lines that were executing when an object was made has to do with its holder? */
#ifndef BIRTHS_KEEPER_H
#define BIRTHS_KEEPER_H

#include "heap/births.h"

#define KEEPER_NAMES 4

/* What the code that fills a holder is likely to name. */
struct keeper_names {
	uint32_t hashes[KEEPER_NAMES]; /* births_name_hash() of globals and attributes */
	unsigned count;
	const char *function; /* whose local variable the holder is, function_size bytes of the
				 path; NULL: it is none */
	size_t function_size;
};

/* Of a holder's path: of `app.cache.SESSIONS['x']` it is SESSIONS, of `in app.A and in app.b.C` A
 * and C, of `main thread work():rows` the function work. There are none if the path ends in
 * something else. *names borrows the path. */
void keeper_names_of(const char *path, struct keeper_names *names);

/* Index of the innermost line of the stack whose function names the holder; 0, the line that made
 * the object, if none does. */
unsigned keeper_find(const struct keeper_names *names, const struct birth_stack *stack);

#endif
