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

/* Writes `text` with control bytes (C0, DEL, C1), invalid UTF-8 and bidirectional
 * overrides made visible (\x1b, \u202e …), at most `columns` columns wide (0: no limit,
 * else cut with "…"; `keep_end` cuts at the front instead, as for paths). Returns columns
 * written (wide characters count 2). */
unsigned text_print(FILE *out, const char *text, unsigned columns, bool keep_end);

/* The same, without a limit, into `out` of `size` bytes; cut between characters. */
void text_escape(char *out, size_t size, const char *text);

/* Columns that text_print() would write without a limit. */
unsigned text_columns(const char *text);

/* Writes `text` word by word, escaped as above, with lines of at most `columns` (0: one line);
 * it starts at `column`, later lines begin with `indent` spaces. A word wider than a line is cut;
 * no-break spaces (U+00A0) are printed as spaces. Returns the column reached. */
unsigned text_wrap(FILE *out, const char *text, unsigned column, unsigned columns, unsigned indent);

#endif
