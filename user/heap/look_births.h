/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines in a look. They are looked for after the first census, and joined with the second. If
 * one is missing, a note says why. */
#ifndef HEAP_LOOK_BIRTHS_H
#define HEAP_LOOK_BIRTHS_H

#include "heap/census.h"
#include "heap/holders.h"
#include "heap/look.h"

/* Begins to look for lines. If that fails, the second look says so. */
void look_births_begin(struct census *census, const struct heap_target *target);

/* Adds rows and notes to the second look. 0, -ENOMEM. */
int look_births_add(struct heap_look *look, const struct census *census,
		    const struct heap_target *target, const struct holder *holders, size_t count);

/* If the holder that grew most, the look's first, has no line, says why. 0, -ENOMEM. */
int look_births_explain(struct heap_look *look, const struct census *census,
			const struct heap_target *target);

#endif
