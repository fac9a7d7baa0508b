/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Renderers turn a model into text. Apart from reading source files they are pure. A new format is
 * one file and one row of RENDERERS: docs/ADDING.md. */
#ifndef RENDER_H
#define RENDER_H

#include <stdio.h>
#include <stdbool.h>

#include "model/heap_times.h"
#include "model/model.h"
#include "model/timeline.h"

/* What was shown where, so that a live screen keeps its order. All zeros at first. The caller keeps
 * it from one drawing to the next, and does not read it. */
#define RENDER_MEMORY 1024
struct render_memory {
	uint64_t keys[RENDER_MEMORY];
	size_t count;
};

/* What a stack is worth in formats that have one figure for each. 0 is none of them. */
enum render_metric {
	RENDER_GROWN = 1,  /* bytes that it added to RSS */
	RENDER_FREED,	   /* bytes that it took away */
	RENDER_NET,	   /* the difference of these two */
	RENDER_COPIED,	   /* bytes of pages that its writes copied */
	RENDER_FAULTS,	   /* number of page faults, minor and major */
	RENDER_RESIDENT,   /* bytes resident now that it touched first; needs resident_known */
	RENDER_STALLED,	   /* nanoseconds that it waited for reclaim; needs stalls_known */
	RENDER_CACHED,	   /* bytes that it brought into the page cache; needs cache_known */
	RENDER_KERNEL,	   /* bytes of the kernel's own memory, net; needs kernel_known */
	RENDER_HUGE,	   /* bytes that huge pages filled; needs PYMEM_EXTRA_HUGE */
	RENDER_SWAPPED_IN, /* bytes brought back from swap, and how long it waited for that, in ns;
			    */
	RENDER_SWAP_WAIT,  /* need PYMEM_EXTRA_WAITS */
	RENDER_METRICS
};

struct render_options {
	unsigned width;	 /* columns of the terminal; 0: no limit (not a terminal) */
	unsigned height; /* with `live`: rows of the screen; 0: no limit */
	bool color;	 /* colours (SGR codes) may be written */
	unsigned top;	 /* lines shown of each process; 0: all */
	enum model_sort sort;
	const char *function;	      /* -f: the function to annotate; NULL: the table */
	struct source_cache *sources; /* NULL: no source text */
	bool peak;		      /* with -f and the exact engine: a column of peaks */
	bool live;		      /* the screen is redrawn: keep it short */
	enum model_by by;	      /* what rows are gathered by; for renderer.groups */
	bool host;		      /* the report is on a whole host: begin with its programs */
	bool every;		      /* with `host`: processes that did not change, too */
	struct render_memory *memory; /* with `live`; NULL: there is none */
	bool verbose;		      /* all processes, all lines, all figures */
	bool cgroup;		      /* control groups as tables (render_memory.h) */
	bool redacted;		      /* the model is (model_redact()), which the report says */
	bool tree;		      /* stacks as a tree: needs model.trees_kept */
	enum render_metric metric;    /* for renderer.takes_metric; 0: RENDER_GROWN */
	/* For renderer.times, of this model. NULL: not known. */
	const struct timeline *timeline;
	const struct heap_times *heap_times;
};

struct renderer {
	const char *name;  /* the word after --format */
	bool for_people;   /* true: lines of the import system are gathered under their importers */
	bool redraws;	   /* true: on a terminal, a live report is drawn once a second */
	bool stacks;	   /* true: it needs model.trees_kept */
	bool takes_metric; /* true: render_options.metric counts */
	bool binary;	   /* true: not for a terminal, nor for a pager */
	bool page;	   /* true: a web page; then `binary` is true, too */
	bool times;	   /* true: it shows render_options.timeline and heap_times */
	const char *absent; /* why this program was built without it; NULL: it was not */
	bool groups;	    /* true: render_options.by counts */
	bool memory;	    /* true: it has model.memory_groups, and render_options.cgroup counts */
	bool functions;	    /* true: it has the functions that the exact engine counted */
	bool only_rows; /* true: it has no place for notes and for processes that were skipped */
	/* Writes the report; may sort the model. 0; -errno of the stream; -ENOMEM; -ENOENT: no line
	 * of options->function is known. */
	int (*emit)(FILE *out, struct model *model, const struct render_options *options);
};

/* All formats, in the order of the help. X(NAME): render_NAME.c defines render_NAME; page.c those
 * of web pages. */
#define RENDERERS(X)   \
	X(table)       \
	X(json)        \
	X(csv)         \
	X(folded)      \
	X(pprof)       \
	X(speedscope)  \
	X(openmetrics) \
	X(flamegraph)  \
	X(html)

#define RENDERER_DECLARE(id) extern const struct renderer render_##id;
RENDERERS(RENDERER_DECLARE)
#undef RENDERER_DECLARE

/* Does the model have no figure of that kind? Then writes into `why` which metric it is, and what
 * helps. `recorded`: the model is a recording's. */
bool render_metric_missing(const struct model *model, enum render_metric metric, bool recorded,
			   char *why, size_t size);

/* Prints on `out` what a format with only_rows leaves out: processes that were skipped, and
 * notes. */
void render_asides(FILE *out, const struct model *model);

/* The renderer of that name; NULL: there is none. */
const struct renderer *renderer_find(const char *name);
/* All renderers; NULL ends the list. */
extern const struct renderer *const renderers[];

#endif
