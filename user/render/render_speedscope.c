/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stacks for speedscope (https://www.speedscope.app): one profile for each metric that has
 * something to say, of all processes; the outermost frame is the process, and if threads
 * are told, the next one is the thread.
 *
 * Invariant: the weights of a profile add up to what the report has. What belongs to no line is a
 * frame of its own. A weight can't be negative: see render_folded.c.
 *
 * The file is written piece by piece: for each metric first the stacks, then their weights, and at
 * the end the frames, which are known only then. The output is ASCII. Left out: notes, and
 * processes that were skipped. */
#include "render/render_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json_text.h"
#include "render/json_parts.h"
#include "render/stack_rows.h"

static const struct metric {
	const char *name, *unit;
} metrics[] = {
	[RENDER_GROWN] = {"grown", "bytes"},
	{"freed", "bytes"},
	{"net (grown - freed)", "bytes"},
	{"copied on write", "bytes"},
	{"page faults", "none"},
	{"resident, by first touch", "bytes"},
	{"stalled", "nanoseconds"},
	{"brought into the page cache", "bytes"},
	{"the kernel's own memory", "bytes"},
	{"filled by huge pages", "bytes"},
	{"brought back from swap", "bytes"},
	{"waited for swap", "nanoseconds"},
};
_Static_assert(sizeof(metrics) / sizeof(metrics[0]) == RENDER_METRICS, "each metric has its name");

/* One of these is what a frame of the file stands for. */
struct frame {
	const struct model_location *location;
	const char *text;
	const struct model_process *process; /* if all are NULL: ended ones that are in no other */
};

struct speedscope {
	FILE *out;
	struct model *model;
	enum render_metric metric;
	struct places places;
	struct frame *frames; /* by number */
	size_t frame_count, room;
	int64_t total; /* of the weights so far */
	bool more;     /* not the first of its array */
};

/* A stack has many numbers, and printf() is slow. */
static void put_number(FILE *out, uint64_t number, bool more)
{
	char digits[24], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	if (more)
		*--at = ',';
	fwrite(at, 1, digits + sizeof(digits) - at, out);
}

/* Writes the number of the frame, which is added if it is new. */
static int put_frame(struct speedscope *s, const struct frame *frame, bool more)
{
	const void *thing = frame->text	     ? (const void *)frame->text
			    : frame->process ? (const void *)frame->process
					     : (const void *)s->model;
	bool is_new;
	ssize_t number = frame->location ? place_number(&s->places, frame->location, &is_new)
					 : place_number_of(&s->places, thing, &is_new);

	if (number < 0)
		return (int)number;
	if (is_new) {
		if (!ARRAY_HAS_ROOM(s->frames, s->frame_count, s->room))
			return -ENOMEM;
		s->frames[s->frame_count++] = *frame;
	}
	put_number(s->out, number, more);
	return 0;
}

static int put_text(struct speedscope *s, const char *text)
{
	return put_frame(s, &(struct frame){.text = text}, true);
}

static int put_stack(const struct stack_row *row, void *arg)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	struct speedscope *s = arg;
	int64_t amount = row->amounts[s->metric];
	unsigned depth = stack_row_frames(row, frames);
	int err;

	if (!amount)
		return 0;
	fputs(s->more ? ",\n[" : "\n[", s->out);
	s->more = true;
	err = put_frame(s, &(struct frame){.process = row->process}, false);
	if (!err && amount < 0)
		err = put_text(s, STACK_ROW_BELOW);
	if (!err && row->thread)
		err = put_frame(s, &(struct frame){.location = row->thread}, true);
	if (!err && row->truncated)
		err = put_text(s, STACK_ROW_TRUNCATED);
	while (depth-- && !err)
		err = put_frame(s, &(struct frame){.location = frames[depth]}, true);
	if (!err && row->instead)
		err = put_text(s, row->instead);
	fputc(']', s->out);
	return err ?: ferror(s->out) ? -EIO : 0;
}

static int put_weight(const struct stack_row *row, void *arg)
{
	struct speedscope *s = arg;
	int64_t amount = row->amounts[s->metric];

	if (!amount)
		return 0;
	amount = amount < 0 ? -amount : amount;
	put_number(s->out, amount, s->more);
	s->more = true;
	s->total += amount;
	return ferror(s->out) ? -EIO : 0;
}

static int has_amount(const struct stack_row *row, void *arg)
{
	const struct speedscope *s = arg;

	return row->amounts[s->metric] ? 1 : 0;
}

/* Writes the profile of one metric. */
static int put_profile(struct speedscope *s, bool more)
{
	int err;

	fprintf(s->out,
		"%s\n {\"type\":\"sampled\",\"name\":\"%s\",\"unit\":\"%s\",\"startValue\":0,\n"
		" \"samples\":[",
		more ? "," : "", metrics[s->metric].name, metrics[s->metric].unit);
	s->more = false;
	err = stack_rows(s->model, put_stack, s);
	fputs("],\n \"weights\":[", s->out);
	s->more = false;
	s->total = 0;
	if (!err)
		err = stack_rows(s->model, put_weight, s);
	fprintf(s->out, "],\"endValue\":%" PRId64 "}", s->total);
	return err;
}

/* Writes a profile for each metric that has something to say; of a report of nothing, an empty
 * one. */
static int put_profiles(struct speedscope *s)
{
	bool more = false;
	int some, metric;

	fputs(",\n\"profiles\":[", s->out);
	for (metric = RENDER_GROWN; metric < RENDER_METRICS; metric++) {
		s->metric = metric;
		some = stack_rows(s->model, has_amount, s);
		if (some > 0)
			some = put_profile(s, more) ?: 1;
		if (some < 0)
			return some;
		more |= some > 0;
	}
	s->metric = RENDER_GROWN;
	some = more ? 0 : put_profile(s, false);
	fputc(']', s->out);
	return some;
}

static int put_place(FILE *out, const struct model_location *location)
{
	char function[STACK_ROW_TEXT], file[STACK_ROW_TEXT];

	stack_row_text(function, *location->function ? location->function : "?");
	stack_row_text(file, location->file);
	struct json_member members[] = {
		{"name", json_text(function)},
		{"file", json_text(file)},
		{"line", json_integer(location->line)},
	};

	return JSON_PUT_MEMBERS(out, "", members, false);
}

/* A frame that is no line: a text, a thread, a process. */
static int put_name(struct speedscope *s, const struct frame *frame)
{
	char name[STACK_ROW_NAME];
	const char *text = frame->text ?: name;

	if (frame->location)
		stack_row_thread(name, frame->location);
	else if (!frame->text)
		stack_row_process(name, s->model, frame->process);
	struct json_member member = {"name", json_text(text)};

	return json_put_members(s->out, "", &member, 1, false);
}

static int put_frames(struct speedscope *s)
{
	const struct frame *frame;
	size_t i;
	int err = 0;

	fputs(",\n\"shared\":{\"frames\":[", s->out);
	for (i = 0; i < s->frame_count && !err; i++) {
		frame = &s->frames[i];
		fputs(i ? ",\n{" : "\n{", s->out);
		if (frame->location && !frame->location->thread)
			err = put_place(s->out, frame->location);
		else
			err = put_name(s, frame);
		fputc('}', s->out);
	}
	fputs("]}", s->out);
	return err;
}

static int put_all(struct speedscope *s)
{
	char name[256], exporter[64];

	snprintf(name, sizeof(name), "pymem-bpf on %s", s->model->host);
	snprintf(exporter, sizeof(exporter), "pymem-bpf %s", s->model->version);
	struct json_member members[] = {
		{"$schema", json_string("https://www.speedscope.app/file-format-schema.json")},
		{"name", json_text(name)},
		{"exporter", json_text(exporter)},
	};
	int err;

	fputc('{', s->out);
	err = JSON_PUT_MEMBERS(s->out, "\n", members, false);
	if (!err)
		err = put_profiles(s);
	if (!err)
		err = put_frames(s);
	fputs("}\n", s->out);
	return err;
}

static int speedscope_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct speedscope s = {.out = out, .model = model};
	int err = model_sort_processes(model, options->sort);

	if (!err)
		err = put_all(&s);
	free(s.frames);
	places_free(&s.places);
	/* What failed on the stream, parts_flush() finds out. */
	return err && err != -EIO ? err : parts_flush(out);
}

const struct renderer render_speedscope = {
	.name = "speedscope",
	.stacks = true,
	.only_rows = true,
	.emit = speedscope_emit,
};
