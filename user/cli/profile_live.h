/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the profile command shows its report, and the live one on a terminal. */
#ifndef PROFILE_LIVE_H
#define PROFILE_LIVE_H

#include "cli/profile_options.h"
#include "render/render.h"
#include "report/profiler.h"

/* Draws the report on stdout, a terminal, as `renderer` makes it. `shown` is what renderers
 * remember from one drawing to the next; zeros at first. 0 or -errno. */
int profile_live_draw(const struct profile_options *options, struct profiler *profiler,
		      const struct renderer *renderer, struct render_memory *shown);

#endif
