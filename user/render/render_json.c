/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON for programs: schema "pymem-bpf/1" (docs/JSON.md, docs/json-schema.json).
 *
 * The outer structure is written piece by piece. Each line of the profile is built, written on a
 * line of its own and freed: so a profile of 100,000 lines is not kept in memory twice. The output
 * is ASCII, so a name can't send control bytes to a terminal.
 *
 * Stacks are left out. All lines are written, whatever -n and -f say. */
#include "render/render_parts.h"

#include <errno.h>
#include <jansson.h>

#include "base/json_text.h"
#include "render/json_parts.h"
#include "render/last_words.h"
#include "render/render_groups.h"
#include "render/render_memory.h"

/* What was brought into the page cache; null if nobody looked. */
static json_t *cached_value(const struct model_cache_amounts *amounts)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "bytes", json_count(amounts->bytes),
			 "there_bytes", json_integer(model_cached_there(amounts)), "gone_bytes",
			 json_count(amounts->gone_bytes), "unknown_bytes",
			 json_count(amounts->unknown_bytes), "own_group_bytes",
			 json_count(amounts->own_bytes), "other_group_bytes",
			 json_count(amounts->other_bytes));
}

static json_t *losses_value(const int64_t *lost_bytes)
{
	static const char *const names[] = {
#define LOSS_NAME(id, name, text) name,
		PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_LOSS_COUNT && !err; i++)
		err = json_object_set_new(object, names[i], json_integer(lost_bytes[i]));
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

/* An object with the kinds of the kernel's own memory, those that are not 0. */
static json_t *kernel_value(const struct pymem_kernel *sums)
{
	static const char *const names[] = {
#define KERNEL_NAME(id, name, text) name,
		PYMEM_KERNEL_KINDS(KERNEL_NAME)
#undef KERNEL_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_KERNEL_COUNT && !err; i++) {
		if (!sums->bytes[i] && !sums->gone[i] && !sums->objects[i])
			continue;
		err = json_object_set_new(object, names[i],
					  json_pack("{s:I, s:o, s:o}", "bytes",
						    (json_int_t)sums->bytes[i], "gone_bytes",
						    json_count(sums->gone[i]), "objects",
						    json_count(sums->objects[i])));
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

/* An object with the system calls that the line made; empty if it made none. */
static json_t *vm_calls_value(const struct model_line *line)
{
	static const char *const names[] = {
#define VMCALL_NAME(id, name) name,
		PYMEM_VMCALLS(VMCALL_NAME)
#undef VMCALL_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_VMCALL_COUNT && !err; i++) {
		if (!line->vm_calls[i])
			continue;
		err = json_object_set_new(object, names[i],
					  json_pack("{s:o, s:I}", "calls",
						    json_count(line->vm_calls[i]), "bytes",
						    (json_int_t)line->vm_bytes[i]));
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

/* An object with the kinds of stalls that the line had. */
static json_t *stall_kinds_value(const struct model_line *line)
{
	static const char *const names[] = {
#define STALL_NAME(id, name) name,
		PYMEM_STALLS(STALL_NAME)
#undef STALL_NAME
	};
	json_t *object = json_object();
	int i, err = object ? 0 : -1;

	for (i = 0; i < PYMEM_STALL_COUNT && !err; i++) {
		if (!line->kind_stalls[i])
			continue;
		err = json_object_set_new(object, names[i],
					  json_pack("{s:o, s:o}", "stalls",
						    json_count(line->kind_stalls[i]), "ns",
						    json_count(line->kind_ns[i])));
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static bool has_vm_calls(const struct model_line *line)
{
	int i;

	for (i = 0; i < PYMEM_VMCALL_COUNT; i++) {
		if (line->vm_calls[i])
			return true;
	}
	return false;
}

/* Writes what only the exact engine knows, of a line that was seen to run. */
static int put_runs(FILE *out, const struct model_line *line)
{
	struct json_member members[] = {
		{"run_increment_bytes", json_integer(line->run_bytes)},
		{"row_increment_bytes", json_integer(line->row_bytes)},
		{"gc_bytes", json_integer(line->gc_bytes)},
		{"collections", json_count(line->collections)},
	};

	fputc(',', out);
	return JSON_PUT_MEMBERS(out, "", members, false);
}

static json_t *counted_if(bool known, uint64_t count)
{
	return known ? json_count(count) : json_null();
}

/* --- extras --- */

static json_t *huge_value(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "pages",
			 json_count(extras[PYMEM_EXTRA_HUGE_PAGES]), "collapses",
			 json_count(extras[PYMEM_EXTRA_COLLAPSES]), "collapse_filled_bytes",
			 json_count(extras[PYMEM_EXTRA_COLLAPSE_FILLED]), "filled_bytes",
			 json_count(model_huge_bytes(model, extras)), "untouched_most_bytes",
			 json_count(model_huge_untouched(model, extras)));
}

static json_t *swap_value(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	bool waits = model->extras & PYMEM_EXTRA_WAITS;

	return json_pack("{s:o, s:o, s:o}", "out_bytes",
			 json_count(extras[PYMEM_EXTRA_SWAPPED_OUT]), "in_bytes",
			 counted_if(waits, extras[PYMEM_EXTRA_SWAPPED_IN]), "wait_ns",
			 counted_if(waits, extras[PYMEM_EXTRA_SWAPIN_NS]));
}

/* Writes what the line has of extras; nothing if it has none. */
static int put_line_extras(FILE *out, const struct model *model, const struct model_line *line)
{
	const uint64_t *extras = line->extras;
	int err = 0;

	if (extras[PYMEM_EXTRA_HUGE_PAGES] || extras[PYMEM_EXTRA_COLLAPSES]) {
		fputs(",\"huge\":", out);
		err = json_put(out, huge_value(model, extras));
	}
	if (extras[PYMEM_EXTRA_SWAPPED_IN] || extras[PYMEM_EXTRA_SWAPPED_OUT]) {
		fputs(",\"swap\":", out);
		err = json_put(out, swap_value(model, extras)) ?: err;
	}
	return err;
}

/* Writes an extra of the process: its value, with what no line has of it. */
static int put_extra(FILE *out, const char *name, json_t *value, json_t *lost)
{
	if (json_object_set_new(value, "lost", lost)) {
		json_decref(value);
		value = NULL;
	}
	fprintf(out, ",\n   \"%s\":", name);
	return json_put(out, value);
}

/* What others took: the sum, and the tasks that are known. */
static json_t *taken_value(const struct model_process *process)
{
	json_t *by = json_array();

	for (int i = 0; i < PYMEM_TAKERS; i++) {
		const struct model_taker *taker = &process->takers[i];

		if (taker->bytes &&
		    json_array_append_new(by, json_pack("{s:i, s:o, s:o}", "tid", taker->pid,
							"comm", json_text(taker->comm), "bytes",
							json_count(taker->bytes)))) {
			json_decref(by);
			return NULL;
		}
	}
	return json_pack("{s:o, s:o}", "bytes", json_count(model_extra(process, PYMEM_EXTRA_TAKEN)),
			 "by", by);
}

static int put_extras(FILE *out, const struct model *model, const struct model_process *process)
{
	uint64_t sums[PYMEM_EXTRA_COUNT];
	json_t *value;
	int err = 0;

	for (int i = 0; i < PYMEM_EXTRA_COUNT; i++)
		sums[i] = model_extra(process, (enum pymem_extra)i);
	if (model->extras & PYMEM_EXTRA_HUGE) {
		value = huge_value(model, sums);
		if (json_object_set_new(value, "page_bytes", json_count(model->huge_page_bytes)))
			err = -ENOMEM;
		err = put_extra(out, "huge", value, huge_value(model, process->lost_extras)) ?: err;
	}
	if (model->extras & PYMEM_EXTRA_SWAP)
		err = put_extra(out, "swap", swap_value(model, sums),
				swap_value(model, process->lost_extras))
			      ?: err;
	if (model->extras & PYMEM_EXTRA_EXTERNAL) {
		fputs(",\n   \"taken\":", out);
		err = json_put(out, taken_value(process)) ?: err;
	}
	return err;
}

static int put_line(FILE *out, const struct model *model, const struct model_line *line)
{
	bool stalls_known = model->stalls_known, cache_known = model->cache_known;
	struct json_member members[] = {
		{"file", json_text(line->location->file)},
		{"line", json_integer(line->location->line)},
		{"function", json_text(line->location->function)},
		{"increment_bytes", json_integer(line->increment_bytes)},
		{"total_bytes", json_integer(line->total_bytes)},
		{"grown_bytes", json_count(line->grown_bytes)},
		{"freed_bytes", json_count(line->freed_bytes)},
		{"peak_bytes", json_known(line->peak_bytes)},
		{"mem_usage_bytes", json_known(line->mem_usage_bytes)},
		{"occurrences", json_known(line->occurrences)},
		{"resident_bytes", json_known(line->resident_bytes)},
		{"anon_bytes", json_integer(line->anon_bytes)},
		{"file_bytes", json_integer(line->file_bytes)},
		{"shmem_bytes", json_integer(line->shmem_bytes)},
		{"swap_bytes", json_integer(line->swap_bytes)},
		{"minor_faults", json_count(line->minor_faults)},
		{"major_faults", json_count(line->major_faults)},
		{"cow_faults", json_count(line->cow_faults)},
		{"cow_total_faults", json_count(line->cow_total_faults)},
		{"stalls", counted_if(stalls_known, line->stalls)},
		{"stalled_ns", counted_if(stalls_known, line->stalled_ns)},
		{"reclaimed_bytes", counted_if(stalls_known, line->reclaimed_bytes)},
		{"cached_bytes", counted_if(cache_known, line->cached.bytes)},
		{"cached_there_bytes",
		 cache_known ? json_integer(model_cached_there(&line->cached)) : json_null()},
		{"kernel_bytes",
		 model->kernel_known ? json_integer(model_line_kernel_bytes(line)) : json_null()},
	};
	int err;

	fputs("\n    {", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	if (line->occurrences >= 0)
		err = put_runs(out, line) ?: err;
	if (has_vm_calls(line)) {
		fputs(",\"vm_calls\":", out);
		err = json_put(out, vm_calls_value(line)) ?: err;
	}
	if (line->stalls) {
		fputs(",\"stall_kinds\":", out);
		err = json_put(out, stall_kinds_value(line)) ?: err;
	}
	err = put_line_extras(out, model, line) ?: err;
	if (parts_has_kernel(model_line_kernel(line))) {
		fputs(",\"kernel_kinds\":", out);
		err = json_put(out, kernel_value(model_line_kernel(line))) ?: err;
	}
	fputc('}', out);
	return err;
}

static json_t *cached_file_value(const struct model_cached_file *file)
{
	json_t *value = cached_value(&file->amounts), *line = json_null();

	if (file->most)
		line = json_pack("{s:o, s:o, s:o, s:o}", "file", json_text(file->most->file),
				 "line", json_integer(file->most->line), "function",
				 json_text(file->most->function), "bytes",
				 json_count(file->most_bytes));
	if (json_object_set_new(value, "line", line) ||
	    json_object_set_new(value, "deleted", json_boolean(file->deleted)) ||
	    json_object_set_new(value, "path", file->path ? json_text(file->path) : json_null())) {
		json_decref(value);
		return NULL;
	}
	return value;
}

/* Writes "page_cache": the sum, what is in no line, and the files. */
static int put_cached(FILE *out, const struct model_process *process)
{
	int64_t lost[PYMEM_LOSS_COUNT];
	json_t *value = cached_value(&process->cached);
	int err;

	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		lost[i] = (int64_t)process->cached_lost_bytes[i];
	if (json_object_set_new(value, "lost_bytes", losses_value(lost))) {
		json_decref(value);
		value = NULL;
	}
	fputs(",\n   \"page_cache\":", out);
	err = json_put(out, value);
	fputs(",\n   \"cached_files\":[", out);
	for (size_t i = 0; i < process->cached_file_count && !err && !ferror(out); i++) {
		fputs(i ? ",\n    " : "\n    ", out);
		err = json_put(out, cached_file_value(process->cached_files[i]));
	}
	fputc(']', out);
	return err;
}

/* Writes "kernel_memory": the sum, by kind, and what is in no line. */
static int put_kernel(FILE *out, const struct model_process *process)
{
	const struct pymem_kernel *sums = &process->kernel;

	fputs(",\n   \"kernel_memory\":", out);
	return json_put(out, json_pack("{s:I, s:o, s:o, s:o}", "bytes",
				       (json_int_t)model_kernel_bytes(sums), "unknown_bytes",
				       json_count(sums->unknown), "kinds", kernel_value(sums),
				       "lost_bytes", losses_value(process->kernel_lost_bytes)));
}

static int put_process(FILE *out, const struct model *model, struct model_process *process,
		       const struct render_options *options)
{
	bool stalls_known = model->stalls_known;
	uint64_t stalls, stalled_ns;
	size_t count = 0, i;
	int err;

	while (process->cmdline[count])
		count++;
	model_stalls(process, &stalls, &stalled_ns);
	struct json_member members[] = {
		{"pid", json_integer(process->pid)},
		{"ns_pid", json_unless_zero(process->ns_pid)},
		{"ppid", json_integer(process->ppid)},
		{"comm", json_text(process->comm)},
		{"cmdline", json_strings(process->cmdline, count)},
		{"cgroup", json_text_or_null(process->cgroup)},
		{"container", json_container(model, process->cgroup)},
		{"python", json_text_or_null(process->python)},
		{"engine", json_text(process->engine)},
		{"exited", json_boolean(process->exited)},
		{"rss_start_bytes", json_integer(process->rss_start_bytes)},
		{"rss_end_bytes", json_integer(process->rss_end_bytes)},
		{"rss_peak_bytes", json_integer(process->rss_peak_bytes)},
		{"rss_peak_exact", json_boolean(!process->rss_peak_at_least)},
		{"charged_bytes", json_integer(process->charged_bytes)},
		{"lost_bytes", losses_value(process->lost_bytes)},
		{"resident_before_bytes", json_known(process->resident_before_bytes)},
		{"resident_unknown_bytes", process->resident_known
						   ? json_integer(process->resident_unknown_bytes)
						   : json_null()},
		{"truncated_stacks", json_count(process->truncated_stacks)},
		{"lost_faults", json_count(process->lost_faults)},
		{"stalls", counted_if(stalls_known, stalls)},
		{"stalled_ns", counted_if(stalls_known, stalled_ns)},
		{"lost_stalls", counted_if(stalls_known, process->lost_stalls)},
		{"lost_stalled_ns", counted_if(stalls_known, process->lost_stall_ns)},
		{"skipped", json_text_or_null(process->note)},
	};

	model_sort_lines(process, options->sort);
	fputs("\n  {", out);
	err = JSON_PUT_MEMBERS(out, "\n   ", members, false);
	if (process->death) {
		fputs(",\n   \"last_words\":", out);
		err = json_put(out, last_words_value(process, false)) ?: err;
	}
	fputs(",\n   \"lines\":[", out);
	for (i = 0; i < process->line_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_line(out, model, &process->lines[i]);
	}
	fputc(']', out);
	if (process->functions_counted)
		err = parts_functions_json(out, process) ?: err;
	if (model->cache_known)
		err = put_cached(out, process) ?: err;
	err = put_extras(out, model, process) ?: err;
	if (model->kernel_known)
		err = put_kernel(out, process) ?: err;
	fputc('}', out);
	return err;
}

/* Writes "ended". The caller leaves it out if each process is reported one by one. */
static int put_gathered(FILE *out, const struct model_gathered *gathered)
{
	struct json_member members[] = {
		{"processes", json_count(gathered->processes)},
		{"change_bytes", json_integer(gathered->change_bytes)},
		{"charged_bytes", json_integer(gathered->charged_bytes)},
		{"lost_bytes", losses_value(gathered->lost_bytes)},
	};
	int err;

	fputs(",\n \"ended\":{", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputc('}', out);
	return err;
}

static int put_skips(FILE *out, const struct model *model)
{
	size_t i;
	int err = 0;

	fputs(",\n \"skipped\":[", out);
	for (i = 0; i < model->skip_count && !err; i++) {
		struct json_member members[] = {
			{"pid", json_integer(model->skips[i].pid)},
			{"comm", json_text(model->skips[i].comm)},
			{"reason", json_text(model->skips[i].reason)},
		};

		fputs(i ? ",\n  {" : "\n  {", out);
		err = JSON_PUT_MEMBERS(out, "", members, false);
		fputc('}', out);
	}
	fputc(']', out);
	return err;
}

static int json_emit(FILE *out, struct model *model, const struct render_options *options)
{
	struct json_member members[] = {
		{"schema", json_string("pymem-bpf/1")}, {"host", json_text(model->host)},
		{"kernel", json_text(model->kernel)},	{"version", json_text(model->version)},
		{"start", json_time(model->start)},	{"end", json_time(model->end)},
	};
	struct json_member notes = {"notes", json_strings(model->notes, model->note_count)};
	size_t i;
	int err, unsorted = model_sort_processes(model, options->sort);

	fputc('{', out);
	err = JSON_PUT_MEMBERS(out, "\n ", members, false) ?: unsorted;
	if (options->by && !err)
		err = render_groups_json(out, model, options);
	fputs(",\n \"processes\":[", out);
	for (i = 0; i < model->process_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_process(out, model, model->processes[i], options);
	}
	fputc(']', out);
	if (model->gathered.processes)
		err = put_gathered(out, &model->gathered) ?: err;
	err = render_memory_json(out, model) ?: err;
	err = put_skips(out, model) ?: err;
	err = json_put_members(out, "\n ", &notes, 1, true) ?: err;
	fputs("\n}\n", out);
	return err ?: parts_flush(out);
}

const struct renderer render_json = {
	.name = "json",
	.groups = true,
	.memory = true,
	.functions = true,
	.emit = json_emit,
};
