/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Renderers of two profiles side by side (model/model_diff.h): a diff in, text out. A new format is
 * one file and one line in the registry. The sentences (diff_answer.c) are the same for all
 * formats. */
#ifndef DIFF_RENDER_H
#define DIFF_RENDER_H

#include <stdio.h>

#include "model/model_diff.h"
#include "render/render.h"

struct diff_report_side {
	const char *name;	      /* as the user gave it: FILE or FILE@SINCE,UNTIL */
	bool incomplete;	      /* a recording that its recorder did not end */
	struct source_cache *sources; /* NULL: no source text */
	size_t looks;		      /* at heaps: processes whose last one was read */
	size_t unreadable_looks;      /* those whose last one could not be read */
};

struct diff_report {
	const struct model_diff *diff; /* sorted */
	struct diff_report_side side[MODEL_DIFF_SIDES];
	const char *version;  /* of this program */
	uint64_t limit_bytes; /* --fail-above; 0: not given */
	bool limit_by_rates;  /* as model_diff_growth() has it */
};

struct diff_renderer {
	const char *name; /* as --format takes it */
	bool for_people;  /* lines of the import system are gathered under their importers */
	/* A web page, as that renderer makes of one model: not for a terminal, nor for a pager, and
	 * not in each program. It needs models with trees_kept. NULL: it is none. */
	const struct renderer *page;
	/* Writes the report. Of `options`, only width, color, top and verbose count. 0; -errno of
	 * the stream; -ENOMEM. */
	int (*emit)(FILE *out, const struct diff_report *report,
		    const struct render_options *options);
};

/* The renderer of that name; NULL: there is none. */
const struct diff_renderer *diff_renderer_find(const char *name);
/* All renderers; NULL ends the list. */
extern const struct diff_renderer *const diff_renderers[];

/* True if RSS grew in B by more than report->limit_bytes more than in A. */
bool diff_is_exceeded(const struct diff_report *report);

/* The answer in a sentence or two with figures: how much both grew, which lines grew more in one of
 * them; whether that is above the limit. Text of targets in it is not escaped. The caller frees it;
 * NULL: out of memory. */
char *diff_answer(const struct diff_report *report);

#endif
