/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What has grown from one look at a heap to another, that were made apart. */
#ifndef LOOK_GROWTH_H
#define LOOK_GROWTH_H

#include "model/heap_look.h"

/* Makes `last`, a look of one census, one of two: the first census is that of `first`, which has
 * holders if `last` has. `before` is one between the two (NULL: there is none): what it has is not
 * passing. `seconds` lie between the two. Both are sorted. 0, or -ENOMEM: `last` must not be
 * shown. */
int look_growth(struct heap_look *last, struct heap_look *first, struct heap_look *before,
		double seconds);

/* Sorts the rows of a look of one census: largest first. 0 or -ENOMEM. */
int look_sort(struct heap_look *look);

#endif
