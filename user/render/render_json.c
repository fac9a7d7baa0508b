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
#include "model/program.h"
#include "model/program_label.h"
#include "render/json_line.h"
#include "render/json_parts.h"
#include "render/last_words.h"
#include "render/render_groups.h"
#include "render/render_memory.h"

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
		value = json_huge(model, sums);
		if (json_object_set_new(value, "page_bytes", json_count(model->huge_page_bytes)))
			err = -ENOMEM;
		err = put_extra(out, "huge", value, json_huge(model, process->lost_extras)) ?: err;
	}
	if (model->extras & PYMEM_EXTRA_SWAP)
		err = put_extra(out, "swap", json_swap(model, sums),
				json_swap(model, process->lost_extras))
			      ?: err;
	if (model->extras & PYMEM_EXTRA_EXTERNAL) {
		fputs(",\n   \"taken\":", out);
		err = json_put(out, taken_value(process)) ?: err;
	}
	return err;
}

static json_t *cached_file_value(const struct model_cached_file *file)
{
	json_t *value = json_cached(&file->amounts), *line = json_null();

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
	json_t *value = json_cached(&process->cached);
	int err;

	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		lost[i] = (int64_t)process->cached_lost_bytes[i];
	if (json_object_set_new(value, "lost_bytes", json_losses(lost))) {
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

/* Writes "away": what lines had touched first, and is not resident any more. */
static int put_away(FILE *out, const struct model_process *process)
{
	uint64_t swapped = 0, gone = 0;

	for (size_t i = 0; i < process->line_count; i++) {
		swapped += process->lines[i].swapped_now_bytes;
		gone += process->lines[i].gone_bytes;
	}
	fputs(",\n   \"away\":", out);
	return json_put(out,
			json_pack("{s:o, s:o, s:o}", "swapped_bytes",
				  json_integer((int64_t)swapped + process->swapped_unknown_bytes),
				  "swapped_unknown_bytes",
				  json_integer(process->swapped_unknown_bytes), "gone_bytes",
				  json_count(gone)));
}

/* Writes "kernel_memory": the sum, by kind, and what is in no line. */
static int put_kernel(FILE *out, const struct model_process *process)
{
	const struct pymem_kernel *sums = &process->kernel;

	fputs(",\n   \"kernel_memory\":", out);
	return json_put(out, json_pack("{s:I, s:o, s:o, s:o}", "bytes",
				       (json_int_t)model_kernel_bytes(sums), "unknown_bytes",
				       json_count(sums->unknown), "kinds", json_kernel(sums),
				       "lost_bytes", json_losses(process->kernel_lost_bytes)));
}

/* What a process has besides its head: after "lines", each with a comma before. */
static int put_behind_lines(FILE *out, const struct model *model,
			    const struct model_process *process)
{
	int err = 0;

	if (process->functions_counted)
		err = parts_functions_json(out, process);
	if (model->cache_known)
		err = put_cached(out, process) ?: err;
	err = put_extras(out, model, process) ?: err;
	if (process->away_known)
		err = put_away(out, process) ?: err;
	if (model->kernel_known)
		err = put_kernel(out, process) ?: err;
	return err;
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
		{"lost_bytes", json_losses(process->lost_bytes)},
		{"resident_before_bytes", json_known(process->resident_before_bytes)},
		{"resident_unknown_bytes", process->resident_known
						   ? json_integer(process->resident_unknown_bytes)
						   : json_null()},
		{"truncated_stacks", json_count(process->truncated_stacks)},
		{"lost_faults", json_count(process->lost_faults)},
		{"stalls", json_counted_if(stalls_known, stalls)},
		{"stalled_ns", json_counted_if(stalls_known, stalled_ns)},
		{"lost_stalls", json_counted_if(stalls_known, process->lost_stalls)},
		{"lost_stalled_ns", json_counted_if(stalls_known, process->lost_stall_ns)},
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
		err = json_put_line(out, model, &process->lines[i]);
	}
	fputc(']', out);
	err = put_behind_lines(out, model, process) ?: err;
	fputc('}', out);
	return err;
}

/* What lines changed that are in the sum's line of all others. */
static int64_t other_lines(const struct model_process *sum)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < sum->line_count; i++)
		bytes += sum->lines[i].others ? sum->lines[i].increment_bytes : 0;
	return bytes;
}

/* Writes a sum of ended processes of a program. */
static int put_folded(FILE *out, const struct model *model, struct model_process *sum,
		      enum model_sort sort)
{
	struct program program;
	char name[256];
	bool more = false;
	size_t count = 0;
	int err;

	while (sum->cmdline[count])
		count++;
	program_parse(&program, sum->cmdline, sum->comm);
	program_label(&program, name, sizeof(name));
	struct json_member members[] = {
		{"program", json_text(name)},
		{"cmdline", json_strings(sum->cmdline, count)},
		{"cgroup", json_text_or_null(sum->cgroup)},
		{"container", json_container(model, sum->cgroup)},
		{"python", json_text_or_null(sum->python)},
		{"processes", json_count(sum->folded)},
		{"change_bytes", json_integer(sum->rss_end_bytes - sum->rss_start_bytes)},
		{"growth_bytes", json_integer(sum->folded_growth_bytes)},
		{"rss_peak_bytes", json_integer(sum->rss_peak_bytes)},
		{"charged_bytes", json_integer(sum->charged_bytes)},
		{"lost_bytes", json_losses(sum->lost_bytes)},
		{"lost_faults", json_count(sum->lost_faults)},
		{"other_lines_bytes", json_integer(other_lines(sum))},
	};

	model_sort_lines(sum, sort);
	fputs("\n   {", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputs(",\n   \"lines\":[", out);
	for (size_t i = 0; i < sum->line_count && !err && !ferror(out); i++) {
		if (sum->lines[i].others)
			continue;
		if (more)
			fputc(',', out);
		more = true;
		err = json_put_line(out, model, &sum->lines[i]);
	}
	fputs("]}", out);
	return err;
}

/* Writes "ended". The caller leaves it out if each process is reported one by one. */
static int put_gathered(FILE *out, const struct model *model, enum model_sort sort)
{
	const struct model_gathered *gathered = &model->gathered;
	struct json_member members[] = {
		{"processes", json_count(gathered->processes)},
		{"change_bytes", json_integer(gathered->change_bytes)},
		{"charged_bytes", json_integer(gathered->charged_bytes)},
		{"lost_bytes", json_losses(gathered->lost_bytes)},
	};
	int err;

	fputs(",\n \"ended\":{", out);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputs(",\n  \"programs\":[", out);
	for (size_t i = 0; i < model->folded_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_folded(out, model, model->folded[i], sort);
	}
	fputs("]}", out);
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
		err = put_gathered(out, model, options->sort) ?: err;
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
