/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The registry of renderers of diffs, and what they share. */
#include "render/diff_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/program.h"
#include "render/diff_heap.h"

#define LEAST_BYTES (1024 * 1024 / 5.0) /* less is noise of the allocator */
#define LEAST_UNIT  (1024 * 1024 / 2.0) /* a rate is at least so much in its unit of time */
#define LEAST_PART  50			/* so is less than this part of the whole change */

const char diff_letter[MODEL_DIFF_SIDES] = {'A', 'B'};

const struct diff_renderer *const diff_renderers[] = {
	&diff_table, &diff_json, &diff_flamegraph, &diff_html, NULL,
};

const struct diff_renderer *diff_renderer_find(const char *name)
{
	for (size_t i = 0; diff_renderers[i]; i++) {
		if (!strcmp(diff_renderers[i]->name, name))
			return diff_renderers[i];
	}
	return NULL;
}

bool diff_is_exceeded(const struct diff_report *report)
{
	return report->limit_bytes && model_diff_growth(report->diff, report->limit_by_rates) >
					      (double)report->limit_bytes;
}

/* --- amounts --- */

static const struct {
	double seconds;
	const char *name;
} units[] = {{1, "s"}, {60, "min"}, {3600, "h"}};

/* The largest change of a program, or of all, per second of its side. */
static double largest_rate(const struct model_diff *diff)
{
	double largest = 0;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		double seconds = diff->side[side].seconds;

		largest = fmax(largest, fabs((double)diff->side[side].change_bytes) / seconds);
		for (size_t i = 0; i < diff->program_count; i++)
			largest = fmax(largest, fabs((double)model_diff_change(
							&diff->programs[i].side[side])) /
							seconds);
	}
	return largest;
}

static size_t unit_of(const struct model_diff *diff)
{
	double rate = largest_rate(diff);
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && rate * units[i].seconds < LEAST_UNIT)
		i++;
	return i;
}

double diff_unit(const struct model_diff *diff)
{
	return diff->by_rates ? units[unit_of(diff)].seconds : 0;
}

const char *diff_unit_name(const struct model_diff *diff)
{
	return diff->by_rates ? units[unit_of(diff)].name : "";
}

int64_t diff_scaled(const struct model_diff *diff, int side, int64_t bytes)
{
	if (!diff->by_rates)
		return bytes;
	return llround((double)bytes / diff->side[side].seconds * diff_unit(diff));
}

int64_t diff_scaled_difference(const struct model_diff *diff, int64_t a, int64_t b)
{
	if (!diff->by_rates)
		return b - a;
	return llround(((double)b / diff->side[MODEL_DIFF_B].seconds -
			(double)a / diff->side[MODEL_DIFF_A].seconds) *
		       diff_unit(diff));
}

double diff_least(const struct model_diff *diff, int64_t a, int64_t b)
{
	double whole = fmax(fabs(model_diff_difference(diff, a, 0)),
			    fabs(model_diff_difference(diff, 0, b)));

	return fmax(LEAST_BYTES, whole / LEAST_PART);
}

double diff_program_least(const struct model_diff *diff, const struct model_diff_program *program)
{
	return diff_least(diff, model_diff_change(&program->side[MODEL_DIFF_A]),
			  model_diff_change(&program->side[MODEL_DIFF_B]));
}

static double differs_by(const struct model_diff *diff, uint64_t a, uint64_t b)
{
	return fabs(model_diff_difference(diff, (int64_t)a, (int64_t)b));
}

bool diff_copies_differ(const struct model_diff *diff, const struct model_diff_line *line,
			double least)
{
	return differs_by(diff, line->side[0].copied_bytes, line->side[1].copied_bytes) >= least;
}

bool diff_churn_differs(const struct model_diff *diff, const struct model_diff_line *line,
			double least)
{
	return differs_by(diff, line->side[0].grown_bytes, line->side[1].grown_bytes) >= least &&
	       differs_by(diff, line->side[0].freed_bytes, line->side[1].freed_bytes) >= least;
}

bool diff_is_notable(const struct model_diff *diff, const struct model_diff_line *line,
		     double least)
{
	return fabs(model_diff_difference(diff, line->side[0].increment_bytes,
					  line->side[1].increment_bytes)) >= least ||
	       diff_copies_differ(diff, line, least) || diff_churn_differs(diff, line, least);
}

bool diff_is_still(const struct model_diff *diff, const struct model_diff_program *program)
{
	const struct model_diff_program_side *a = &program->side[MODEL_DIFF_A],
					     *b = &program->side[MODEL_DIFF_B];
	double least = diff_program_least(diff, program);
	int i;

	for (size_t j = 0; j < program->line_count; j++)
		if (diff_is_notable(diff, &program->lines[j], least))
			return false;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		if (fabs(model_diff_difference(diff, a->lost_bytes[i], b->lost_bytes[i])) >= least)
			return false;
	return !a->unaccounted_bytes && !b->unaccounted_bytes &&
	       !diff_heap_differs(diff, program) &&
	       fabs(model_diff_difference(diff, a->growth_bytes, b->growth_bytes)) < least &&
	       fabs(model_diff_difference(diff, model_diff_change(a), model_diff_change(b))) <
		       least;
}

/* --- places and names --- */

const struct model_location *diff_shown(const struct model_diff_line *line)
{
	return line->at[MODEL_DIFF_B] ? line->at[MODEL_DIFF_B] : line->at[MODEL_DIFF_A];
}

static bool has_folder(const struct model_location *location)
{
	return !location->library && *location->file == '/';
}

size_t diff_folder(const struct model_diff_program *program)
{
	const struct model_location *location;
	const char *first = NULL;
	size_t length = 0, same, found;

	for (size_t i = 0; i < program->line_count; i++) {
		location = diff_shown(&program->lines[i]);
		if (!has_folder(location))
			continue;
		if (!first) {
			first = location->file;
			length = (size_t)(strrchr(first, '/') - first) + 1;
		}
		for (same = found = 0;
		     same < length && location->file[same] && location->file[same] == first[same];
		     same++)
			if (first[same] == '/')
				found = same + 1;
		length = found;
	}
	return length;
}

static struct model_location shortened(const struct model_location *location, size_t folder)
{
	struct model_location shown = *location;
	const char *part = location->library ? model_library_part(location->file) : NULL;

	if (part && part[1])
		shown.file = part + 1;
	else if (has_folder(location) && folder < strlen(location->file))
		shown.file = location->file + folder;
	return shown;
}

unsigned diff_place(FILE *out, const struct model_location *location, size_t folder,
		    unsigned columns)
{
	struct model_location shown = shortened(location, folder);

	return parts_place(out, &shown, columns);
}

unsigned diff_place_columns(const struct model_location *location, size_t folder)
{
	struct model_location shown = shortened(location, folder);

	return parts_place_columns(&shown);
}

void diff_program_name(const struct model_diff_program *program, char *name, size_t size)
{
	const struct model_process *process = program->side[MODEL_DIFF_B].process
						      ? program->side[MODEL_DIFF_B].process
						      : program->side[MODEL_DIFF_A].process;
	struct program parsed;

	program_parse(&parsed, process->cmdline, process->comm);
	program_name(&parsed, name, size);
}
