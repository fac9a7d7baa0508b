/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* State that is made to be slow to walk, and what an event may cost then: counts, which are the
 * same on each machine (docs/DESIGN.md, "What one event may cost"). */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdint.h>

#include "oracle.h"
#include "pymem.h"
#include "python/py_process.h"

/* What events came to, at most. */
struct hostile_costs {
	long lists;	    /* reads: interpreters in a ring, with endless lists of thread states */
	long shims;	    /* reads: frames that are none; 0 where there are no such frames */
	long deep;	    /* reads: 128 code objects, each time others */
	long deep_messages; /* sent meanwhile */
	long late_messages; /* and once 4,096 code objects are remembered */
	long account;	    /* reads: the same, when the image may not name more */
};

/* Walks each kind of state many times and ends the program if an event costs more than it may, or
 * if the state is not as slow as it is meant to be. `layout`: as for walker_reset(). */
struct hostile_costs hostile_check(const struct py_process *process,
				   const struct pymem_layout *layout, const struct truth *t);

#endif
