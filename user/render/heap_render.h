/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Renderers of heap reports: a report in, text out. A new format is one file and one line in the
 * registry. The sentences (heap_verdict.c) are the same for all formats. */
#ifndef HEAP_RENDER_H
#define HEAP_RENDER_H

#include <stdio.h>

#include "model/heap_look.h"
#include "render/render.h"

struct heap_renderer {
	const char *name; /* as --format takes it */
	/* Writes the report. Of `options`, only width, color and top count. 0; -errno of the
	 * stream; -ENOMEM. */
	int (*emit)(FILE *out, const struct heap_report *report,
		    const struct render_options *options);
};

/* The renderer of that name; NULL: there is none. */
const struct heap_renderer *heap_renderer_find(const char *name);
/* All renderers; NULL ends the list. */
extern const struct heap_renderer *const heap_renderers[];

/* The answer in a few sentences with figures: does memory grow, what keeps it, is it live or free
 * in an allocator. Text of the target in it is not escaped. The caller frees it; NULL: out of
 * memory. */
char *heap_verdict(const struct heap_look *look);

/* The same in one line, without no-break spaces, which are for text that is wrapped. */
char *heap_verdict_line(const struct heap_look *look);

/* The same for several processes together, in a sentence or two: their RSS, what it grew by, the
 * holder that grew most (after one look: that keeps most), and in which process. */
char *heap_overview(const struct heap_report *report);

#endif
