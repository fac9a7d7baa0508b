/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Renderers: a model in, text out. Pure but for reading source files. A new format is
 * one file and one line in the registry (render.c). */
#ifndef RENDER_H
#define RENDER_H

#include <stdio.h>
#include <stdbool.h>

#include "model/model.h"

struct render_options {
	unsigned width; /* columns of the terminal; 0: unlimited (not a terminal) */
	bool color;	/* SGR codes allowed */
	unsigned top;	/* lines per process; 0: all */
	enum model_sort sort;
	const char *function;	      /* -f: annotate this function; NULL: the table */
	struct source_cache *sources; /* may be NULL: no source text */
	bool peak;		      /* with -f, exact engine: a column of peaks */
	bool live;		      /* being redrawn: keep it short */
};

struct renderer {
	const char *name; /* as --format takes it */
	const char *help;
	bool for_people; /* what tells them little may be summed up */
	/* 0; -errno of the stream; -ENOENT: options->function was never seen. */
	int (*emit)(FILE *out, struct model *model, const struct render_options *options);
};

/* NULL if there is none of that name. */
const struct renderer *renderer_find(const char *name);
/* All of them, ended by NULL. */
extern const struct renderer *const renderers[];

#endif
