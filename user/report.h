/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the kernel side's maps to a model that renderers can print. */
#ifndef REPORT_H
#define REPORT_H

#include "model.h"
#include "tracker.h"

/* Builds the model of all that is known now. With `final`, the sources are detached and
 * the figures settled; else threads may be collecting meanwhile, and what is in flight is
 * told as unsettled. `start`: seconds since the epoch. NULL with errno set. */
struct model *report_build(struct tracker *tracker, double start, bool final);

/* Keeps what ended images were charged, and frees it in the kernel. 0 or -errno. */
int report_harvest(struct tracker *tracker);

#endif
