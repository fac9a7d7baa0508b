/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers for people share: sizes, places, columns of figures, the head of a
 * process. For render_*.c only. */
#ifndef RENDER_PARTS_H
#define RENDER_PARTS_H

#include <stddef.h>

#include "render/render.h"

/* What one field of the target's may take where the width is unlimited, in columns. */
#define PARTS_FIELD_MAX 2048
#define PARTS_TEXT_MAX	500

/* "12.3 MiB", "-7.4 MiB", "36 KiB" (below 0.1 MiB), "0.0 MiB"; `sign`: with a plus too. */
void parts_size(char *text, size_t size, int64_t bytes, bool sign);

/* The same for text_wrap(): never broken before its unit. */
void parts_amount(char *text, size_t size, int64_t bytes, bool sign);
#define NBSP "\xc2\xa0"

/* Turns a style on; "" turns it off. Nothing unless colours are allowed. */
void parts_style(FILE *out, const struct render_options *options, const char *style);
#define STYLE_HEAD  "1"
#define STYLE_QUIET "2"
#define STYLE_ALERT "33"
#define STYLE_OFF   ""

/* `file:line function` in at most `columns` (0: as long as it is): first the prefixes that
 * are the same for all libraries go, then the path's front, then the function's end.
 * Returns columns written. */
unsigned parts_place(FILE *out, const struct model_location *location, unsigned columns);
unsigned parts_place_columns(const struct model_location *location);

/* Source text with its tabs as spaces; without its indentation if `trim`. Where there is
 * none, says why, but for code that never had a file. At most `columns`, 0: PARTS_TEXT_MAX.
 * `state` gets what source_line() says. */
void parts_source(FILE *out, const struct render_options *options,
		  const struct model_process *process, const char *file, int line, unsigned columns,
		  bool trim, enum source_state *state);

/* A line that says which process it is: its PID and its command (`cmdline` ended by NULL; NULL:
 * none is known). */
void parts_title(FILE *out, const struct render_options *options, int pid, const char *comm,
		 char *const *cmdline);

/* The head of a process: that line, and one that says how it is profiled. */
void parts_head(FILE *out, const struct model *model, const struct model_process *process,
		const struct render_options *options);

/* The processes that are not reported one by one, in one sentence. */
void parts_rest(FILE *out, const struct model *model, const struct render_options *options);

/* Lines at the end of a report: a process that was left out (`comm` may be ""), a note. */
void parts_skip(FILE *out, const struct render_options *options, int pid, const char *comm,
		const char *reason);
void parts_note(FILE *out, const struct render_options *options, const char *note);

/* All of them. */
void parts_tail(FILE *out, const struct model *model, const struct render_options *options);

/* The columns of figures that fit. */
#define PARTS_COLUMNS 11
struct parts_column;
struct parts_columns {
	const struct parts_column *column[PARTS_COLUMNS];
	unsigned width[PARTS_COLUMNS];
	unsigned count;
	unsigned total; /* columns of a row, separators of two spaces included */
};

/* Chooses among the columns that say something of `lines`: those that fit `room` (0: all),
 * the increment and the one sorted by in any case. Each is `least` wide or wider. */
void parts_choose(struct parts_columns *chosen, const struct model_line *lines, size_t count,
		  uint64_t page_size, unsigned least, unsigned room, enum model_sort sort);
void parts_titles(FILE *out, const struct parts_columns *chosen);
/* The figures of `line`; NULL: blanks. */
void parts_figures(FILE *out, const struct parts_columns *chosen, const struct model_line *line,
		   uint64_t page_size);

/* Lines of one function that are all shown. Of a longer one, what has no figures is left out. */
#define PARTS_LINES_MOST 20000

/* render_runs.c: lines `first` to `last` of `function` as memory_profiler prints them, for a
 * process whose lines were seen to run; if those are more than PARTS_LINES_MOST, the first and what
 * changed anything. `changed` is set if the source is not what runs. 0 or -ENOMEM. */
int parts_runs(FILE *out, const struct model_process *process, const struct render_options *options,
	       const struct model_location *function, long first, long last, bool *changed);

/* Says that of a function with many lines those are left out that `lack`. */
void parts_cut(FILE *out, const struct render_options *options, const char *lack);

/* The end of every renderer: 0, or -errno of the stream. */
int parts_finish(FILE *out);

/* render_function.c: the annotated source of options->function. As renderer.emit(). */
int render_function(FILE *out, struct model *model, const struct render_options *options);

extern const struct renderer render_table, render_json;

#endif
