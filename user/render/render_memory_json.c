/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balances of control groups, for programs. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "model/memory_sums.h"
#include "os/cgroup_memory.h"
#include "render/json_parts.h"
#include "render/render_memory.h"

static json_t *place_value(const struct model_location *most, int64_t bytes)
{
	if (!most)
		return json_null();
	return json_pack("{s:o, s:i, s:o, s:I}", "file", json_text_or_null(most->file), "line",
			 most->line, "function", json_text_or_null(most->function), "bytes",
			 (json_int_t)bytes);
}

static json_t *row_value(const struct memory_row *row)
{
	bool sums = row->counted;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "start_bytes",
			 row->known ? json_integer(row->start) : json_null(), "end_bytes",
			 row->known ? json_integer(row->end) : json_null(), "lines_bytes",
			 sums ? json_integer(row->lines) : json_null(), "no_line_bytes",
			 sums ? json_integer(row->no_line) : json_null(), "ended_bytes",
			 sums ? json_integer(row->ended) : json_null(), "remainder_bytes",
			 row->known ? json_integer(row->remainder) : json_null(), "most",
			 place_value(row->most, row->most_bytes));
}

static json_t *part_value(const struct memory_part *part)
{
	return json_pack("{s:I, s:I, s:I}", "change_bytes", (json_int_t)part->change,
			 "counted_bytes", (json_int_t)part->counted, "remainder_bytes",
			 (json_int_t)part->remainder);
}

/* Adds `value` to the object, which may be NULL, as a failed allocation may make both. */
static void set(json_t *object, const char *name, json_t *value, bool *failed)
{
	if (!object)
		json_decref(value);
	if (!object || json_object_set_new(object, name, value))
		*failed = true;
}

/* The figures as the kernel has them, each only where it does. */
static json_t *stat_value(const struct cgroup_stat *stat, bool *failed)
{
	static const char *const keys[CGROUP_PART_COUNT] = {
#define PART_KEY(id, key, text) key,
		CGROUP_PARTS(PART_KEY)
#undef PART_KEY
	};
	json_t *object = json_object();

	for (int i = 0; i < CGROUP_PART_COUNT; i++) {
		if (stat->bytes[i] < 0 || (i == CGROUP_KERNEL && stat->derived))
			continue;
		set(object, i == CGROUP_TOTAL ? "current" : keys[i], json_integer(stat->bytes[i]),
		    failed);
	}
	return object;
}

static json_t *group_value(const struct model *model, const struct memory_sum *sum, bool *failed)
{
	const struct cgroup_stat *end = &sum->group->end;
	const char *path = sum->group->path;
	json_t *object, *rows = json_object(), *parts = json_object();

	if (!strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1)))
		path += strlen(CGROUP_MEMORY_V1);
	for (int i = 0; i < MEMORY_ROW_COUNT; i++)
		set(rows, memory_row_names[i], row_value(&sum->rows[i]), failed);
	for (int i = 0; i < MEMORY_PART_COUNT; i++)
		if (sum->parts[i].known)
			set(parts, memory_part_names[i], part_value(&sum->parts[i]), failed);
	object = json_pack(
		"{s:o, s:i, s:b, s:b, s:b, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
		"path", json_text_or_null(path), "version", end->v1 ? 1 : 2, "root", end->root,
		"removed", sum->removed, "made_anew", sum->replaced, "processes",
		(json_int_t)sum->processes, "ended", (json_int_t)sum->ended, "unwatched",
		json_known(sum->others), "moved", (json_int_t)sum->moved, "copied_bytes",
		(json_int_t)sum->copied_bytes, "batch_bytes", (json_int_t)model->memory_batch,
		"start", stat_value(&sum->group->start, failed), "end", stat_value(end, failed),
		"rows", rows, "kernel_parts", parts);
	return object;
}

int render_memory_json(FILE *out, const struct model *model)
{
	struct memory_sums sums;
	bool failed = false;
	int err;

	if (!model->memory_group_count)
		return 0;
	err = memory_sums_make(model, SIZE_MAX, &sums);
	if (err)
		return err;
	fputs(",\n \"control_groups\":[", out);
	for (size_t i = 0; i < sums.count && !err; i++) {
		fputs(i ? ",\n  " : "\n  ", out);
		err = json_put(out, group_value(model, &sums.list[i], &failed));
	}
	fputc(']', out);
	memory_sums_free(&sums);
	return err ?: failed ? -ENOMEM : 0;
}
