/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines of the open process, and the source around one of them. Lines of other processes are
 * not kept: a host can have a hundred thousand of them, and only one process is shown. At a reset
 * the figures of all lines are noted once, so that any process can be opened later. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "screen/screen_names.h"
#include "screen/screen_private.h"

#define FALLBACK_MIN 5.0 /* seconds of history from which its rate is used */

struct screen_base_line {
	struct {
		const char *file, *function;
		int line, pid;
		uint32_t id, unused;
	} key;
	struct screen_figures figures;
	UT_hash_handle hh;
};

static struct screen_figures figures_of(const struct model_line *line)
{
	return (struct screen_figures){
		.rss_bytes = line->resident_bytes,
		.growth_bytes = line->increment_bytes,
		.total_bytes = line->total_bytes,
		.grown_bytes = line->grown_bytes,
		.freed_bytes = line->freed_bytes,
		.faults = line->minor_faults + line->major_faults,
	};
}

/* --- the baseline --- */

void screen_base_lines_free(struct screen_data *data)
{
	struct screen_base_line *line, *next;

	HASH_ITER(hh, data->base_lines, line, next)
	{
		HASH_DEL(data->base_lines, line);
		free(line);
	}
}

static int note_line(struct screen_data *data, const struct model_process *process,
		     const struct model_line *from)
{
	struct screen_base_line *line = calloc(1, sizeof(*line));

	if (!line)
		return -ENOMEM;
	line->key.file = from->location->file;
	line->key.function = from->location->function;
	line->key.line = from->location->line;
	line->key.pid = process->pid;
	line->key.id = process->id;
	line->figures = figures_of(from);
	if (!HASH_INSERT(data->base_lines, key, line))
		return 0;
	free(line);
	return -ENOMEM;
}

static struct screen_figures base_of(const struct screen_data *data,
				     const struct screen_process *process,
				     const struct screen_line *line)
{
	struct screen_base_line *found, wanted = {};

	wanted.key.file = line->key.file;
	wanted.key.function = line->key.function;
	wanted.key.line = line->key.line;
	wanted.key.pid = process->key.pid;
	wanted.key.id = process->key.id;
	HASH_FIND(hh, data->base_lines, &wanted.key, sizeof(wanted.key), found);
	return found ? found->figures : (struct screen_figures){};
}

int screen_base_lines_set(struct screen_data *data, const struct model *model)
{
	struct screen_process *open = screen_data_process(data, data->open_process);
	struct screen_line *line, *next;
	int err = 0;

	screen_base_lines_free(data);
	for (size_t i = 0; i < model->process_count; i++) {
		const struct model_process *process = model->processes[i];

		for (size_t j = 0; j < process->line_count && !err; j++)
			err = note_line(data, process, &process->lines[j]);
	}
	HASH_ITER(hh, data->lines, line, next)
	{
		if (open)
			line->base = base_of(data, open, line);
		history_clear(&line->object.history);
		history_clear(&line->total_history);
	}
	return err;
}

/* --- lines --- */

static void free_line(struct screen_data *data, struct screen_line *line)
{
	HASH_DEL(data->lines, line);
	free(line->file);
	free(line->function);
	free(line->text);
	free(line);
}

void screen_data_open(struct screen_data *data, uint64_t process)
{
	struct screen_line *line, *next;

	if (process && data->open_process == process)
		return;
	HASH_ITER(hh, data->lines, line, next)
	free_line(data, line);
	screen_source_clear(&data->source);
	data->open_process = process;
}

static struct screen_line *new_line(struct screen_data *data, const struct screen_process *process,
				    const struct model_location *location)
{
	struct screen_line *line = calloc(1, sizeof(*line));

	if (!line)
		return NULL;
	screen_object_init(data, &line->object);
	line->key.file = location->file;
	line->key.function = location->function;
	line->key.line = location->line;
	line->file = strdup(location->file);
	line->function = strdup(location->function);
	line->library = screen_is_library(location->file);
	if (line->file && line->function && !HASH_INSERT(data->lines, key, line)) {
		line->base = base_of(data, process, line);
		return line;
	}
	free(line->file);
	free(line->function);
	free(line);
	return NULL;
}

/* The line at this place, new or known; NULL: out of memory. */
static struct screen_line *line_at(struct screen_data *data, const struct screen_process *process,
				   const struct model_location *location)
{
	struct screen_line *line, wanted = {};

	wanted.key.file = location->file;
	wanted.key.function = location->function;
	wanted.key.line = location->line;
	HASH_FIND(hh, data->lines, &wanted.key, sizeof(wanted.key), line);
	/* The model has freed the names, and others are at their addresses now. */
	if (line &&
	    (strcmp(line->file, location->file) || strcmp(line->function, location->function))) {
		free_line(data, line);
		line = NULL;
	}
	return line ? line : new_line(data, process, location);
}

static double rate_of(const struct screen_data *data, const struct screen_history *history,
		      int64_t bytes)
{
	double newest = history->times[(history->first + history->count - 1) % HISTORY_SAMPLES];

	/* The history began when the process was opened. As long as it is too short, the rate is
	 * that since the reset. */
	if (newest - history->times[history->first] >= FALLBACK_MIN)
		return history_per_minute(history);
	return data->now - data->reset < 2 ? NAN : (double)bytes * 60 / (data->now - data->reset);
}

static uint64_t since(uint64_t now, uint64_t base)
{
	return now > base ? now - base : 0;
}

/* Adds the line's figures, which are those of data->now, to its histories, and computes its
 * rates. */
static void note_rates(struct screen_data *data, const struct screen_process *process,
		       struct screen_line *line)
{
	struct screen_figures *now = &line->object.now;

	history_add(&line->object.history, data->now, now->growth_bytes);
	history_add(&line->total_history, data->now, now->total_bytes);
	now->per_minute =
		process->ended ? NAN : rate_of(data, &line->object.history, now->growth_bytes);
	now->total_per_minute =
		process->ended ? NAN : rate_of(data, &line->total_history, now->total_bytes);
}

static int take_line(struct screen_data *data, const struct screen_process *process,
		     const struct model_line *from)
{
	struct screen_line *line = line_at(data, process, from->location);
	struct screen_figures figures = figures_of(from), *now;

	if (!line)
		return -ENOMEM;
	now = &line->object.now;
	line->object.seen = data->sample;
	now->rss_bytes = figures.rss_bytes;
	now->growth_bytes = figures.growth_bytes - line->base.growth_bytes;
	now->total_bytes = figures.total_bytes - line->base.total_bytes;
	now->grown_bytes = since(figures.grown_bytes, line->base.grown_bytes);
	now->freed_bytes = since(figures.freed_bytes, line->base.freed_bytes);
	now->faults = since(figures.faults, line->base.faults);
	note_rates(data, process, line);
	return 0;
}

void screen_lines_pass(struct screen_data *data)
{
	struct screen_process *open = screen_data_process(data, data->open_process);
	struct screen_line *line, *next;

	if (!open)
		return;
	HASH_ITER(hh, data->lines, line, next)
	note_rates(data, open, line);
	screen_source_fill(data);
}

int screen_lines_take(struct screen_data *data, const struct screen_process *process,
		      const struct model_process *from)
{
	struct screen_line *line, *next;
	int err = 0;

	if (!from)
		return 0;
	for (size_t i = 0; i < from->line_count && !err; i++)
		err = take_line(data, process, &from->lines[i]);
	if (err)
		return err;
	HASH_ITER(hh, data->lines, line, next)
	{
		if (line->object.seen != data->sample)
			free_line(data, line);
	}
	screen_source_fill(data);
	return 0;
}

/* --- source --- */

void screen_source_clear(struct screen_source *source)
{
	for (int i = 0; i < source->count; i++)
		free(source->texts[i]);
	free(source->texts);
	free(source->objects);
	free(source->file);
	*source = (struct screen_source){};
}

int screen_source_begin(struct screen_data *data, const char *file, int first, int count)
{
	struct screen_source *source = &data->source;

	screen_source_clear(source);
	source->file = strdup(file);
	source->texts = calloc((size_t)count, sizeof(*source->texts));
	source->objects = calloc((size_t)count, sizeof(*source->objects));
	if (!source->file || !source->texts || !source->objects) {
		free(source->file);
		free(source->texts);
		free(source->objects);
		*source = (struct screen_source){};
		return -ENOMEM;
	}
	source->first = first;
	source->count = count;
	for (int i = 0; i < count; i++)
		screen_object_init(data, &source->objects[i]);
	return 0;
}

static void add_line(struct screen_figures *sum, const struct screen_figures *line)
{
	sum->growth_bytes += line->growth_bytes;
	sum->total_bytes += line->total_bytes;
	sum->grown_bytes += line->grown_bytes;
	sum->freed_bytes += line->freed_bytes;
	sum->faults += line->faults;
	if (!isnan(line->per_minute))
		sum->per_minute = (isnan(sum->per_minute) ? 0 : sum->per_minute) + line->per_minute;
	if (!isnan(line->total_per_minute))
		sum->total_per_minute = (isnan(sum->total_per_minute) ? 0 : sum->total_per_minute) +
					line->total_per_minute;
}

void screen_source_fill(struct screen_data *data)
{
	struct screen_source *source = &data->source;
	struct screen_line *line, *next;

	if (!source->count)
		return;
	for (int i = 0; i < source->count; i++)
		source->objects[i].now = (struct screen_figures){.rss_bytes = -1,
								 .per_minute = NAN,
								 .total_per_minute = NAN,
								 .limit_share = NAN};
	HASH_ITER(hh, data->lines, line, next)
	{
		int at = line->key.line - source->first;

		if (at >= 0 && at < source->count && !strcmp(line->file, source->file))
			add_line(&source->objects[at].now, &line->object.now);
	}
}
