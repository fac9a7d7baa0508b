/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the profile command shows its report, and the live one on a terminal. */
#ifndef PROFILE_LIVE_H
#define PROFILE_LIVE_H

#include "cli/profile_options.h"
#include "render/render.h"
#include "report/profiler.h"

/* The options of renderers that follow from those of the command. Fields that depend on the output,
 * such as width and color, are zero. What pointers lead to belongs to `options` and `profiler`. */
struct render_options profile_render_options(const struct profile_options *options,
					     struct profiler *profiler);

/* Draws the report on stdout, a terminal, as `renderer` makes it. `shown` is what renderers
 * remember from one drawing to the next; zeros at first. 0 or -errno. */
int profile_live_draw(const struct profile_options *options, struct profiler *profiler,
		      const struct renderer *renderer, struct render_memory *shown);

#endif
