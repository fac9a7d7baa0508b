/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A profile as --format pprof has it, of a bounded number of stacks. */
#ifndef RENDER_PPROF_H
#define RENDER_PPROF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "model/model.h"

struct pprof_bounds {
	size_t stacks; /* at most; all others are "(other)" */
	/* Only what is resident, by the stack that touched it first, in the one column inuse_space.
	 */
	bool resident;
	/* For readers that make a series of each value of a label, and pass over samples with an
	 * amount below zero: samples have no labels, and there is no rss_net. rss_growth less
	 * rss_freed is the same. */
	bool plain;
	size_t bytes; /* before they are compressed, at most; 0: any number */
};

/* Writes the model, which keeps trees, within the bounds. May sort it. 0; -errno of the stream;
 * -ENOMEM; -EFBIG: there are more than `bytes`. */
int pprof_write(FILE *out, struct model *model, const struct pprof_bounds *bounds);

#endif
