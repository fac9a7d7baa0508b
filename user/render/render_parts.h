/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers for people share: sizes, places, columns of figures, the head of a process.
 * Only render_*.c include this. */
#ifndef RENDER_PARTS_H
#define RENDER_PARTS_H

#include <stddef.h>

#include "render/render.h"

/* The most columns of one field that a target chose, and of one source line, where the width has no
 * limit. */
#define PARTS_FIELD_MAX 2048
#define PARTS_TEXT_MAX	500

/* Writes "12.3 MiB", "-7.4 MiB", "36 KiB" (below 0.1 MiB) or "0.0 MiB" into `text`. `sign`: with
 * "+" if positive. */
void parts_size(char *text, size_t size, int64_t bytes, bool sign);

/* As parts_size(), with a no-break space before the unit, so that text_wrap() does not break it. */
void parts_amount(char *text, size_t size, int64_t bytes, bool sign);
#define NBSP "\xc2\xa0"

/* Writes a time that is mostly short: "1.23 s", "4.5 ms", "0.012 ms". */
void parts_time(char *text, size_t size, uint64_t ns);

/* Writes what the process waited for memory that its threads had to free themselves: "3.4 s in 1803
 * stalls (3.4 s at the limit of a control group), 288.7 MiB reclaimed". */
void parts_stalls(FILE *out, const struct model_process *process);

/* Writes what the process brought into the page cache: "64.0 MiB of files brought into the page
 * cache, 60.1 MiB still there". With `group` also which control group it is accounted to. */
void parts_cached(FILE *out, const struct model_process *process, bool group);

/* What people call the kinds of the kernel's own memory. */
extern const char *const parts_kernel_names[PYMEM_KERNEL_COUNT];
/* True if any of the figures is not 0. */
bool parts_has_kernel(const struct pymem_kernel *sums);
/* Writes how much of its own memory the kernel took for the process: "+24.3 MiB of the kernel's own
 * memory: 24.3 MiB page tables; 8 KiB by no line". */
void parts_kernel(FILE *out, const struct model_process *process);

/* Writes the path of such a file, escaped, cut at its front to `columns` (0: no limit). */
void parts_cached_path(FILE *out, const struct model_cached_file *file, unsigned columns);

/* Prints the files that the process brought there, the largest ones, or all if options->top is 0.
 * Nothing if there are none. */
void parts_cached_files(FILE *out, const struct model_process *process,
			const struct render_options *options);

/* What is only counted if it is asked for. */
struct parts_extra {
	const char *title, *label; /* "Huge pages", and for a table */
	bool (*has)(const struct model_process *process, const uint64_t sums[PYMEM_EXTRA_COUNT]);
	/* Writes a clause: "64 filled 128.0 MiB at the first touch; at most …". */
	void (*write)(FILE *out, const struct model *model, const struct model_process *process);
	/* What of a line, or with NULL of the whole process, matters most. */
	uint64_t (*ranks)(const struct model *model, const struct model_process *process,
			  const struct model_line *line);
	bool names_line; /* a table has no column of it, and names the line that has most */
	bool at_most;	 /* what a line has is a bound, of which no share can be told */
};

/* The kind behind `extra` (NULL: the first) that the process has some of. NULL: there is none. */
const struct parts_extra *parts_next_extra(const struct parts_extra *extra,
					   const struct model_process *process);
/* Prints a paragraph for each kind. 0 or -ENOMEM. */
int parts_extras(FILE *out, const struct model *model, const struct model_process *process,
		 const struct render_options *options);
/* Writes how much of it the line has that has most, up to the line's name: "; 93 % of it by ". The
 * line; NULL: no line has any, and nothing is written. */
const struct model_line *parts_extra_most(FILE *out, const struct parts_extra *extra,
					  const struct model *model,
					  const struct model_process *process);

/* Turns a style on; STYLE_OFF turns it off. Writes nothing unless options->color. */
void parts_style(FILE *out, const struct render_options *options, const char *style);
#define STYLE_HEAD  "1"
#define STYLE_QUIET "2"
#define STYLE_ALERT "33"
#define STYLE_MOST  "31"
#define STYLE_FREED "32"
#define STYLE_OFF   ""

/* Writes `file:line function` in at most `columns` (0: no limit). If that is too long, it leaves
 * out first the prefix that all libraries share, then the front of the path, then the end of the
 * function's name. Returns the columns written. parts_place_columns(): those of the whole. */
unsigned parts_place(FILE *out, const struct model_location *location, unsigned columns);
unsigned parts_place_columns(const struct model_location *location);

/* Writes a source line with tabs as spaces; with `trim`, without its indentation. If there is none,
 * writes why, but nothing for code that never had a file. At most `columns`; 0: PARTS_TEXT_MAX.
 * `*state` becomes that of source_line(). */
void parts_source(FILE *out, const struct render_options *options,
		  const struct model_process *process, const char *file, int line, unsigned columns,
		  bool trim, enum source_state *state);

/* Prints a line with the PID, that in its own namespace (0: the same), and the command (`cmdline`
 * ended by NULL; if it is empty or NULL, `comm`). */
void parts_title(FILE *out, const struct render_options *options, int pid, int ns_pid,
		 const char *comm, char *const *cmdline);

/* Prints the head of a process: that line, and one that says how it is profiled. */
void parts_head(FILE *out, const struct model *model, const struct model_process *process,
		const struct render_options *options);

/* Prints a sentence about the processes that are no longer reported one by one; nothing if there
 * are none. */
void parts_gathered(FILE *out, const struct model *model, const struct render_options *options);

/* Print a line at the end of a report: a process that was left out (`comm` may be ""), or a
 * note. */
void parts_skip(FILE *out, const struct render_options *options, int pid, const char *comm,
		const char *reason);
void parts_note(FILE *out, const struct render_options *options, const char *note);

/* Prints all of them that the model has. */
void parts_tail(FILE *out, const struct model *model, const struct render_options *options);

/* Files that have changed since the process started: the first PARTS_CHANGED of them. */
#define PARTS_CHANGED 8
struct parts_changed {
	const char *files[PARTS_CHANGED]; /* strings of the model */
	size_t count;
};
void parts_changed_add(struct parts_changed *changed, const char *file);
void parts_changed_print(FILE *out, const struct render_options *options,
			 const struct parts_changed *changed);

/* The columns of figures that were chosen. */
#define PARTS_COLUMNS 17
struct parts_column;
struct parts_columns {
	const struct parts_column *column[PARTS_COLUMNS];
	unsigned width[PARTS_COLUMNS];
	unsigned count;
	unsigned total; /* width of a row, with two spaces between columns */
};

/* Chooses columns for `lines`: those with something to say that fit into `room` columns of text (0:
 * all of them). The increment and the column sorted by are always among them. Each is at least
 * `least` wide. parts_titles() writes their titles. */
void parts_choose(struct parts_columns *chosen, const struct model_line *lines, size_t count,
		  uint64_t page_size, unsigned least, unsigned room, enum model_sort sort);
/* Chooses columns to stand beside a column of changes: those that tell more, if there is room. A
 * column sorted by, other than the increment, is always among them. */
void parts_choose_more(struct parts_columns *chosen, const struct model_line *lines, size_t count,
		       uint64_t page_size, unsigned room, enum model_sort sort);
void parts_titles(FILE *out, const struct parts_columns *chosen);
/* Writes the figures of `line`; NULL: blanks. */
void parts_figures(FILE *out, const struct parts_columns *chosen, const struct model_line *line,
		   uint64_t page_size);

/* A function of up to this many lines is shown whole. Of a longer one only lines with figures are
 * shown. */
#define PARTS_LINES_MOST 20000

/* render_runs.c: prints lines `first` to `last` of `function` as memory_profiler does, for a
 * process whose lines were seen to run. If they are more than PARTS_LINES_MOST, prints the first
 * one and those that changed something. Sets `*changed` if the source is not what runs. 0 or
 * -ENOMEM. */
int parts_runs(FILE *out, const struct model_process *process, const struct render_options *options,
	       const struct model_location *function, long first, long last, bool *changed);

/* render_calls.c: prints in words what is known of a function that the exact engine counted. */
void parts_calls(FILE *out, const struct render_options *options,
		 const struct model_function *function);
/* render_calls_json.c: writes "functions" and what belongs to none, with a comma before. 0 or
 * -ENOMEM. */
int parts_functions_json(FILE *out, const struct model_process *process);

/* Says that the function has many lines, and that those without `lack` are not shown. */
void parts_cut(FILE *out, const struct render_options *options, const char *lack);

/* Ends each renderer: flushes `out`. 0, or -errno of the stream. */
int parts_flush(FILE *out);

/* render_function.c: prints the annotated source of options->function. Returns what renderer.emit()
 * does. */
int render_function(FILE *out, struct model *model, const struct render_options *options);

#endif
