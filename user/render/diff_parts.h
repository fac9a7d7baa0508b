/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers of diffs share. Only diff_*.c of this folder include this. */
#ifndef DIFF_PARTS_H
#define DIFF_PARTS_H

#include "render/diff_render.h"
#include "render/render_parts.h"

extern const char diff_letter[MODEL_DIFF_SIDES]; /* 'A' and 'B' */

/* The unit of time of rates: such that the largest of them is not too small a number. By amounts:
 * 0. diff_unit_name(): "s", "min", "h"; by amounts "". */
double diff_unit(const struct model_diff *diff);
const char *diff_unit_name(const struct model_diff *diff);

/* What `bytes` of a side are in the unit of the report: bytes, or bytes per unit of time. */
int64_t diff_scaled(const struct model_diff *diff, int side, int64_t bytes);
/* The same for the difference of two amounts. */
int64_t diff_scaled_difference(const struct model_diff *diff, int64_t a, int64_t b);

/* How large a difference, as model_diff_difference() has it, must be to mean something: more than
 * noise, where the two changed by `a` and `b` altogether. */
double diff_least(const struct model_diff *diff, int64_t a, int64_t b);
double diff_program_least(const struct model_diff *diff, const struct model_diff_program *program);
/* diff_is_notable(): true if the line differs by `least` in its increment, in what it copied, or in
 * both what it grew and what it freed, of which the increment says nothing. */
bool diff_copies_differ(const struct model_diff *diff, const struct model_diff_line *line,
			double least);
bool diff_churn_differs(const struct model_diff *diff, const struct model_diff_line *line,
			double least);
bool diff_is_notable(const struct model_diff *diff, const struct model_diff_line *line,
		     double least);
/* True if nothing of the program differs by as much. */
bool diff_is_still(const struct model_diff *diff, const struct model_diff_program *program);

/* The place that is shown of a line: that in B if it is there. */
const struct model_location *diff_shown(const struct model_diff_line *line);

/* The length of the folder that all own files of the program are in. diff_place() writes a place
 * without it, as parts_place() does. */
size_t diff_folder(const struct model_diff_program *program);
unsigned diff_place(FILE *out, const struct model_location *location, size_t folder,
		    unsigned columns);
unsigned diff_place_columns(const struct model_location *location, size_t folder);

/* Writes the program's name, cut at `size`. */
void diff_program_name(const struct model_diff_program *program, char *name, size_t size);

/* Parts of the table, whose lines the web page has, too. Each ends with a line feed, and text of
 * targets is escaped. diff_write_input(): what a side is: "A  before.pymem: 60.2 s from …".
 * diff_write_side(): what a program is there: "A  PID 8536, …". diff_write_remarks(): what a reader
 * must know of how a program was matched, and of its figures. diff_write_end(): processes that are
 * only a sum, those that were skipped, and notes. */
void diff_write_input(FILE *out, const struct diff_report *report,
		      const struct render_options *options, int side);
void diff_write_side(FILE *out, const struct model_diff *diff,
		     const struct model_diff_program *program, const struct render_options *options,
		     int index);
void diff_write_remarks(FILE *out, const struct model_diff_program *program,
			const struct render_options *options);
void diff_write_end(FILE *out, const struct diff_report *report,
		    const struct render_options *options);

extern const struct diff_renderer diff_table, diff_json, diff_flamegraph, diff_html;

#endif
