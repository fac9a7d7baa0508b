/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Folded stacks for flamegraph.pl and its kin: "process;caller (file:line);line (file:line)
 * amount". The amount is that of --metric.
 *
 * Invariant: the amounts of a process add up to what the report has of it. What belongs to no line
 * is a frame of its own. A count can't be negative: a stack that freed more than it added is below
 * the frame STACK_ROW_BELOW, and its amount counts as negative.
 *
 * If threads are told, the thread is a frame below the process. Nothing in a name can end a line or
 * a frame: control bytes and semicolons are escaped (\x3b), and each stack ends with a bracket, so
 * the last space is that before the amount. Left out: notes, and processes that were skipped. */
#include "render/render_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "render/stack_rows.h"

#define SEMICOLON_BYTES 4 /* of "\\x3b" */

struct folded {
	FILE *out;
	const struct model *model;
	enum render_metric metric;
	struct places places;
	char **texts; /* of each place, as it is written */
	size_t text_count, room;
	char process[SEMICOLON_BYTES * STACK_ROW_NAME]; /* of the rows that come now */
};

/* Copies `text`; each semicolon becomes an escape of four bytes. Cut at `size`. */
static void without_semicolons(char *copy, size_t size, const char *text)
{
	size_t used = 0;

	for (; *text && used + 5 < size; text++) {
		if (*text == ';')
			used += (size_t)snprintf(copy + used, 5, "\\x3b");
		else
			copy[used++] = *text;
	}
	/* Do not cut within a character. */
	while (*text && used && (*text & 0xc0) == 0x80) {
		used--;
		text--;
	}
	copy[used] = '\0';
}

/* "thread 4711 (name)", which the caller frees. NULL: out of memory. */
static char *text_of_thread(const struct model_location *thread)
{
	char plain[STACK_ROW_THREAD], text[SEMICOLON_BYTES * STACK_ROW_THREAD];

	stack_row_thread(plain, thread);
	without_semicolons(text, sizeof(text), plain);
	return strdup(text);
}

/* "function (file:line)", which the caller frees. NULL: out of memory. */
static char *text_of(const struct model_location *location)
{
	char escaped[STACK_ROW_TEXT], *text;
	/* Each is as long as its semicolons may make it, so that no name cuts off what follows. */
	char function[SEMICOLON_BYTES * STACK_ROW_TEXT], file[SEMICOLON_BYTES * STACK_ROW_TEXT];

	stack_row_text(escaped, *location->function ? location->function : "?");
	without_semicolons(function, sizeof(function), escaped);
	stack_row_text(escaped, *location->file ? location->file : "(no file name)");
	without_semicolons(file, sizeof(file), escaped);
	return asprintf(&text, "%s (%s:%d)", function, file, location->line) < 0 ? NULL : text;
}

/* The text of a frame. It belongs to `f`. NULL: out of memory. */
static const char *frame_text(struct folded *f, const struct model_location *location)
{
	bool is_new;
	ssize_t number = place_number(&f->places, location, &is_new);

	if (number < 0)
		return NULL;
	if (is_new) {
		if (!ARRAY_HAS_ROOM(f->texts, f->text_count, f->room))
			return NULL;
		f->texts[f->text_count++] =
			location->thread ? text_of_thread(location) : text_of(location);
	}
	return f->texts[number];
}

/* Writes a frame and what separates it from its caller. 0 or -ENOMEM. */
static int put_frame(struct folded *f, const struct model_location *location)
{
	const char *text = frame_text(f, location);

	if (!text)
		return -ENOMEM;
	fputc(';', f->out);
	fputs(text, f->out);
	return 0;
}

static int put_row(const struct stack_row *row, void *arg)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	struct folded *f = arg;
	int64_t amount = row->amounts[f->metric];
	unsigned depth = stack_row_frames(row, frames);
	int err = 0;

	if (!amount)
		return 0;
	fputs(f->process, f->out);
	if (amount < 0)
		fputs(";" STACK_ROW_BELOW, f->out);
	if (row->thread)
		err = put_frame(f, row->thread);
	if (row->truncated)
		fputs(";" STACK_ROW_TRUNCATED, f->out);
	while (depth-- && !err)
		err = put_frame(f, frames[depth]);
	if (err)
		return err;
	if (row->instead)
		fprintf(f->out, ";%s", row->instead);
	fprintf(f->out, " %" PRId64 "\n", amount < 0 ? -amount : amount);
	return ferror(f->out) ? -EIO : 0;
}

static void begin_process(struct folded *f, const struct model_process *process)
{
	char name[STACK_ROW_NAME];

	stack_row_process(name, f->model, process);
	without_semicolons(f->process, sizeof(f->process), name);
}

static int put_all(struct folded *f)
{
	const struct model *model = f->model;
	size_t i;
	int err = 0;

	for (i = 0; i < model_row_count(model) && !err; i++) {
		begin_process(f, model_row(model, i));
		err = stack_rows_of(model, model_row(model, i), put_row, f);
	}
	begin_process(f, NULL);
	return err ?: stack_rows_unfolded(model, put_row, f);
}

static int folded_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct folded f = {.out = out, .model = model, .metric = options->metric ?: RENDER_GROWN};
	size_t i;
	int err = model_sort_processes(model, options->sort);

	if (!err)
		err = put_all(&f);
	for (i = 0; i < f.text_count; i++)
		free(f.texts[i]);
	free(f.texts);
	places_free(&f.places);
	/* What failed on the stream, parts_flush() finds out. */
	return err && err != -EIO ? err : parts_flush(out);
}

const struct renderer render_folded = {
	.name = "folded",
	.stacks = true,
	.takes_metric = true,
	.only_rows = true,
	.emit = folded_emit,
};
