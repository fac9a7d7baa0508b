/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of `heap` for programs: schema "pymem-bpf-heap/1" (docs/JSON.md,
 * docs/json-schema-heap.json).
 *
 * All rows are written, whatever -n says, each on a line of its own. What needs two looks is null
 * after one. Output is ASCII.
 */
#include "render/heap_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "render/json_parts.h"

struct heap_writer {
	FILE *out;
	const struct heap_look *look;
};

static size_t count_texts(char *const *texts)
{
	size_t count = 0;

	while (texts && texts[count])
		count++;
	return count;
}

/* A difference of two looks; null if there was one. */
static json_t *grown_value(const struct heap_look *look, int64_t grown)
{
	return look->seconds > 0 ? json_integer(grown) : json_null();
}

static json_t *pauses_value(const struct heap_look *look)
{
	json_t *array = json_array();

	for (int i = 0; array && i < 2; i++) {
		if (look->paused_ms[i] < 0 ||
		    !json_array_append_new(array, json_real(look->paused_ms[i])))
			continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

static json_t *balance_value(const struct heap_balance *balance)
{
	json_t *object = json_object();
	int err = object ? 0 : -1;

#define BALANCE_SET(name, text) \
	err = err ?: json_object_set_new(object, #name, json_count(balance->name));
	HEAP_BALANCE(BALANCE_SET)
#undef BALANCE_SET
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *verdict_value(const struct heap_look *look)
{
	char *verdict = heap_verdict_line(look);
	json_t *value;

	if (!verdict)
		return NULL;
	value = json_text(verdict);
	free(verdict);
	return value;
}

static json_t *pools_value(const struct heap_look *look)
{
	json_t *tenths = json_array(), *pins = json_array();
	int err = tenths && pins ? 0 : -1;

	for (int i = 0; i < 10 && !err; i++)
		err = json_array_append_new(tenths, json_count(look->pools_by_fullness[i]));
	for (size_t i = 0; i < look->pin_count && !err; i++)
		err = json_array_append_new(
			pins, json_pack("{s:o, s:o, s:o}", "type", json_text(look->pins[i].type),
					"bytes", json_count(look->pins[i].bytes), "pools",
					json_count(look->pins[i].pools)));
	if (!err)
		return json_pack("{s:o, s:o, s:o}", "count", json_count(look->pools), "by_fullness",
				 tenths, "pinned_by", pins);
	json_decref(tenths);
	json_decref(pins);
	return NULL;
}

static json_t *generation_value(const struct heap_generation *g)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "count", json_count(g->count), "threshold",
			 json_count(g->threshold), "collections", json_count(g->collections),
			 "collected", json_count(g->collected), "uncollectable",
			 json_count(g->uncollectable));
}

static json_t *collector_value(const struct heap_look *look)
{
	json_t *generations;
	int err;

	if (!look->gc_known)
		return json_null();
	generations = json_array();
	err = generations ? 0 : -1;
	for (unsigned i = 0; i < look->generation_count && !err; i++)
		err = json_array_append_new(generations, generation_value(&look->generations[i]));
	if (err) {
		json_decref(generations);
		return NULL;
	}
	return json_pack("{s:b, s:o, s:o, s:o}", "enabled", look->gc_enabled, "generations",
			 generations, "frozen", json_count(look->gc_frozen), "uncollectable",
			 json_count(look->gc_uncollectable));
}

/* --- rows --- */

static int put_row(struct heap_writer *w, size_t i, const struct json_member *members, size_t count)
{
	int err;

	fputs(i ? ",\n    {" : "\n    {", w->out);
	err = json_put_members(w->out, "", members, count, false);
	fputc('}', w->out);
	return err;
}

#define PUT_ROW(w, i, members) put_row(w, i, members, sizeof(members) / sizeof((members)[0]))

static int put_type(struct heap_writer *w, size_t i)
{
	const struct heap_type_row *row = &w->look->types[i];
	struct json_member members[] = {
		{"type", json_text(row->type)},
		{"objects", json_count(row->objects)},
		{"bytes", json_count(row->bytes)},
		{"objects_grown", grown_value(w->look, row->objects_grown)},
		{"bytes_grown", grown_value(w->look, row->bytes_grown)},
	};

	return PUT_ROW(w, i, members);
}

static int put_holder(struct heap_writer *w, size_t i)
{
	const struct heap_holder_row *row = &w->look->holders[i];
	bool two = w->look->seconds > 0;
	struct json_member members[] = {
		{"path", json_text(row->path)},
		{"type", json_text(row->type)},
		{"entries", row->has_entries ? json_count(row->entries) : json_null()},
		{"retained_bytes", json_count(row->retained_bytes)},
		{"grown_bytes", grown_value(w->look, row->grown_bytes)},
		{"entries_grown",
		 row->has_entries ? grown_value(w->look, row->entries_grown) : json_null()},
		{"new", two ? json_boolean(row->is_new) : json_null()},
		{"local", json_boolean(row->is_local)},
		{"temporary", json_boolean(row->is_temporary)},
		{"unreached", json_boolean(row->is_unreached)},
		{"shared_by", json_text_or_null(row->shared_by)},
	};

	return PUT_ROW(w, i, members);
}

static int put_birth(struct heap_writer *w, size_t i)
{
	const struct heap_birth_row *row = &w->look->births[i];
	struct json_member members[] = {
		{"holder", json_text(row->holder)},
		{"file", json_text(row->file)},
		{"line", json_integer(row->line)},
		{"function", json_text(row->function)},
		{"stack", json_strings(row->stack, count_texts(row->stack))},
		{"made", json_text_or_null(row->made)},
		{"type", json_text_or_null(row->type)},
		{"method", json_text(row->method)},
		{"insertions", json_count(row->insertions)},
		{"entries", json_count(row->entries)},
		{"share", json_real(row->share)},
	};

	return PUT_ROW(w, i, members);
}

static json_t *now_value(const struct heap_touched_row *row)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < row->now_count; i++) {
		if (!json_array_append_new(array, json_pack("{s:o, s:o}", "what",
							    json_text(row->now[i].what), "bytes",
							    json_count(row->now[i].bytes))))
			continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

static int put_touched(struct heap_writer *w, size_t i)
{
	const struct heap_touched_row *row = &w->look->touched[i];
	struct json_member members[] = {
		{"file", json_text(row->file)},
		{"line", json_integer(row->line)},
		{"function", json_text(row->function)},
		{"resident_bytes", json_count(row->resident_bytes)},
		{"now", now_value(row)},
	};

	return PUT_ROW(w, i, members);
}

static int put_list(struct heap_writer *w, const char *name, size_t count,
		    int (*put)(struct heap_writer *w, size_t i))
{
	int err = 0;

	fprintf(w->out, ",\n   \"%s\":[", name);
	for (size_t i = 0; i < count && !err && !ferror(w->out); i++)
		err = put(w, i);
	fputc(']', w->out);
	return err;
}

/* --- a process, a report --- */

static int put_look(FILE *out, const struct heap_look *look)
{
	struct heap_writer w = {.out = out, .look = look};
	bool two = look->seconds > 0;
	struct json_member head[] = {
		{"pid", json_integer(look->pid)},
		{"ns_pid", json_unless_zero(look->ns_pid)},
		{"comm", json_text(look->comm)},
		{"cmdline", json_strings(look->cmdline, count_texts(look->cmdline))},
		{"python", json_text(look->python)},
		{"allocator", json_text(look->allocator)},
		{"opaque", json_text_or_null(look->opaque)},
		{"seconds", two ? json_real(look->seconds) : json_null()},
		{"paused_ms", pauses_value(look)},
		{"rss_bytes", json_count(look->rss_bytes)},
		{"rss_first_bytes", two ? json_count(look->rss_first_bytes) : json_null()},
		{"swapped_bytes", json_count(look->swapped_bytes)},
		{"balance", balance_value(&look->balance)},
		{"balance_first", two ? balance_value(&look->balance_first) : json_null()},
		{"trimmable_bytes", json_count(look->trimmable_bytes)},
		{"pools", pools_value(look)},
		{"garbage_bytes", json_count(look->garbage_bytes)},
		{"garbage_objects", json_count(look->garbage_objects)},
		{"gc", collector_value(look)},
		{"types_only", json_boolean(look->types_only)},
		{"verdict", verdict_value(look)},
	};
	struct json_member tail[] = {
		{"touched_before_bytes",
		 look->touched_known ? json_count(look->touched_before_bytes) : json_null()},
		{"touched_unknown_bytes",
		 look->touched_known ? json_count(look->touched_unknown_bytes) : json_null()},
		{"skipped", json_strings(look->skipped, count_texts(look->skipped))},
		{"notes", json_strings(look->notes, count_texts(look->notes))},
	};
	int err;

	fputs("\n  {", out);
	err = JSON_PUT_MEMBERS(out, "\n   ", head, false);
	err = put_list(&w, "types", look->type_count, put_type) ?: err;
	err = put_list(&w, "holders", look->holder_count, put_holder) ?: err;
	err = put_list(&w, "births", look->birth_count, put_birth) ?: err;
	err = put_list(&w, "touched", look->touched_count, put_touched) ?: err;
	err = JSON_PUT_MEMBERS(out, "\n   ", tail, true) ?: err;
	fputc('}', out);
	return err;
}

static int put_skips(FILE *out, const struct heap_report *report)
{
	int err = 0;

	fputs(",\n \"skipped\":[", out);
	for (size_t i = 0; i < report->skip_count && !err; i++) {
		struct json_member members[] = {
			{"pid", json_integer(report->skips[i].pid)},
			{"comm", json_text(report->skips[i].comm)},
			{"reason", json_text(report->skips[i].reason)},
		};

		fputs(i ? ",\n  {" : "\n  {", out);
		err = JSON_PUT_MEMBERS(out, "", members, false);
		fputc('}', out);
	}
	fputc(']', out);
	return err;
}

static int json_emit(FILE *out, const struct heap_report *report,
		     const struct render_options *options)
{
	struct json_member head[] = {
		{"schema", json_string("pymem-bpf-heap/1")},
		{"host", json_text(report->host)},
		{"kernel", json_text(report->kernel)},
		{"version", json_text(report->version)},
		{"start", json_time(report->start)},
		{"end", json_time(report->end)},
	};
	int err;

	(void)options;
	fputc('{', out);
	err = JSON_PUT_MEMBERS(out, "\n ", head, false);
	fputs(",\n \"processes\":[", out);
	for (size_t i = 0; i < report->look_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_look(out, report->looks[i]);
	}
	fputc(']', out);
	err = put_skips(out, report) ?: err;
	fputs("\n}\n", out);
	return err ?: parts_flush(out);
}

const struct heap_renderer heap_json = {
	.name = "json",
	.emit = json_emit,
};
