/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines in a look: begun after the first census, joined with the second, and where one is
 * missing, why. */
#ifndef HEAP_LOOK_BIRTHS_H
#define HEAP_LOOK_BIRTHS_H

#include "heap/census.h"
#include "heap/holders.h"
#include "heap/look.h"

/* Lines are looked for from now on. What keeps them from being found is said at the end. */
void look_births_begin(struct census *census, const struct heap_target *target);

/* Rows of the second look, and notes. 0, -ENOMEM. */
int look_births_add(struct heap_look *look, const struct census *census,
		    const struct heap_target *target, const struct holder *holders, size_t count);

/* If the holder that grew most, the look's first, has no line, says why. 0, -ENOMEM. */
int look_births_explain(struct heap_look *look, const struct census *census,
			const struct heap_target *target);

#endif
