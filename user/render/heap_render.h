/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Renderers of what `heap` found: a report in, text out. A new format is one file and one line in
 * the registry (heap_verdict.c knows no format). */
#ifndef HEAP_RENDER_H
#define HEAP_RENDER_H

#include <stdio.h>

#include "model/heap_look.h"
#include "render/render.h"

struct heap_renderer {
	const char *name; /* as --format takes it */
	/* Of `options`, width, color and top count. 0; -errno of the stream; -ENOMEM. */
	int (*emit)(FILE *out, const struct heap_report *report,
		    const struct render_options *options);
};

/* NULL if there is none of that name. */
const struct heap_renderer *heap_renderer_find(const char *name);
/* All of them, ended by NULL. */
extern const struct heap_renderer *const heap_renderers[];

/* The answer in a few sentences made of figures: does it grow, what keeps it, is it live or the
 * allocator's. Text of the target in it is raw. The caller frees it; NULL: out of memory. */
char *heap_verdict(const struct heap_look *look);

/* The same of several processes together, in a sentence or two: their RSS, what it grew by, and the
 * holder that grew most, or keeps most, and in which of them. */
char *heap_overview(const struct heap_report *report);

#endif
