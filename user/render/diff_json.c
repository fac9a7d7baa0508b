/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A diff for programs: schema "pymem-bpf-diff/1" (docs/JSON.md, docs/json-schema-diff.json).
 *
 * All programs and lines are written, whatever -n says, each line on a line of its own. Amounts are
 * those of the sides, whatever the report compares by; what is per second says so. Output is
 * ASCII. */
#include "render/diff_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "render/diff_heap.h"
#include "render/json_line.h"
#include "render/json_parts.h"

static const char *const sides[MODEL_DIFF_SIDES] = {"a", "b"};

static bool has_lengths(const struct model_diff *diff)
{
	return diff->side[0].seconds > 0 && diff->side[1].seconds > 0;
}

/* `bytes` of a side per second; null if it has no length. */
static json_t *rate_value(const struct model_diff *diff, int side, int64_t bytes)
{
	double seconds = diff->side[side].seconds;

	return seconds > 0 ? json_real((double)bytes / seconds) : json_null();
}

static json_t *rate_difference_value(const struct model_diff *diff, int64_t a, int64_t b)
{
	if (!has_lengths(diff))
		return json_null();
	return json_real((double)b / diff->side[1].seconds - (double)a / diff->side[0].seconds);
}

/* Writes "difference_bytes" and the same per second. The stream has other members before. */
static int put_difference(FILE *out, const char *indent, const struct model_diff *diff, int64_t a,
			  int64_t b)
{
	struct json_member members[] = {
		{"difference_bytes", json_integer(b - a)},
		{"difference_bytes_per_second", rate_difference_value(diff, a, b)},
	};

	return JSON_PUT_MEMBERS(out, indent, members, true);
}

/* --- a line --- */

static json_t *text_value(const struct diff_report *report, const struct model_diff_line *line)
{
	int side = line->at[MODEL_DIFF_B] ? MODEL_DIFF_B : MODEL_DIFF_A;
	const struct model_location *at = line->at[side];
	const char *text = NULL;
	char cut[4 * PARTS_TEXT_MAX + 1];

	if (report->side[side].sources && at->line > 0)
		text = source_line(report->side[side].sources, &line->process[side]->root, at->file,
				   at->line, NULL);
	if (!text)
		return json_null();
	snprintf(cut, sizeof(cut), "%s", text + strspn(text, " \t\f"));
	return json_text(cut);
}

static int put_line_side(FILE *out, const struct model_diff *diff,
			 const struct model_diff_line *line, int side)
{
	const struct model_diff_figures *f = &line->side[side];
	const struct model_location *at = line->at[side];
	struct json_member members[] = {
		{"file", at ? json_text(at->file) : json_null()},
		{"line", at ? json_integer(at->line) : json_null()},
		{"function", at ? json_text(at->function) : json_null()},
		{"increment_bytes", json_integer(f->increment_bytes)},
		{"increment_bytes_per_second", rate_value(diff, side, f->increment_bytes)},
		{"grown_bytes", json_count(f->grown_bytes)},
		{"freed_bytes", json_count(f->freed_bytes)},
		{"copied_bytes", json_count(f->copied_bytes)},
		{"faults", json_count(f->faults)},
		{"resident_bytes", json_known(f->resident_bytes)},
	};
	int err;

	fprintf(out, "\"%s\":{", sides[side]);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputs(side == MODEL_DIFF_A ? "}," : "}", out);
	return err;
}

static int put_line(FILE *out, const struct diff_report *report, const struct model_diff_line *line)
{
	static const char *const matches[] = {
		[MODEL_DIFF_TEXT] = "text",
		[MODEL_DIFF_NUMBER] = "number",
	};
	struct json_member members[] = {
		{"matched_by", json_text_or_null(matches[line->match])},
		{"text", text_value(report, line)},
	};
	int err;

	fputs("\n    {", out);
	err = put_line_side(out, report->diff, line, MODEL_DIFF_A);
	err = put_line_side(out, report->diff, line, MODEL_DIFF_B) ?: err;
	err = put_difference(out, "", report->diff, line->side[0].increment_bytes,
			     line->side[1].increment_bytes)
		      ?: err;
	err = JSON_PUT_MEMBERS(out, "", members, true) ?: err;
	fputc('}', out);
	return err;
}

/* --- what heaps kept --- */

static json_t *looks_value(const struct model_diff_heap_side *side)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "processes", json_count(side->looks), "types_only",
			 json_count(side->types_only), "first",
			 side->looks ? json_time(side->first) : json_null(), "last",
			 side->looks ? json_time(side->last) : json_null());
}

static json_t *kept_side_value(const struct model_diff_kept *kept, int index)
{
	const struct model_diff_kept_side *side = &kept->side[index];

	return json_pack("{s:o, s:o, s:I, s:I, s:o, s:o}", kept->path ? "entries" : "objects",
			 json_known(side->number), kept->path ? "retained_bytes" : "bytes",
			 side->unsure ? json_null() : json_integer(side->least_bytes),
			 "least_bytes", (json_int_t)side->least_bytes, "most_bytes",
			 (json_int_t)side->most_bytes, "looks", json_count(side->looks),
			 "unlisted_looks", json_count(side->unsure));
}

static int put_kept(FILE *out, const struct model_diff *diff, const struct model_diff_kept *kept)
{
	char cut[DIFF_PATH_TEXT];
	bool known = kept->least_bytes == kept->most_bytes;
	struct json_member members[] = {
		{"type", json_text(kept->type)},
		{"a", kept_side_value(kept, MODEL_DIFF_A)},
		{"b", kept_side_value(kept, MODEL_DIFF_B)},
		{"difference_bytes", known ? json_integer(kept->least_bytes) : json_null()},
		{"difference_least_bytes", json_integer(kept->least_bytes)},
		{"difference_most_bytes", json_integer(kept->most_bytes)},
	};
	struct json_member path[] = {
		{"path", kept->path ? json_text(diff_kept_path(diff, kept, cut)) : NULL}};
	int err = 0;

	fputs("\n    {", out);
	if (kept->path)
		err = JSON_PUT_MEMBERS(out, "", path, false);
	err = JSON_PUT_MEMBERS(out, "", members, kept->path) ?: err;
	fputc('}', out);
	return err;
}

/* Writes the array; null if it is not known. */
static int put_kept_list(FILE *out, const struct model_diff *diff, const char *name, bool known,
			 const struct model_diff_kept *kept, size_t count)
{
	int err = 0;

	fprintf(out, ",\n   \"%s\":%s", name, known ? "[" : "null");
	for (size_t i = 0; i < count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_kept(out, diff, &kept[i]);
	}
	if (known)
		fputc(']', out);
	return err;
}

static int put_heap(FILE *out, const struct model_diff *diff, const struct model_diff_heap *heap)
{
	static const struct model_diff_heap none;
	json_t *looks = json_null();
	int err;

	if (heap)
		looks = json_pack("{s:o, s:o}", "a", looks_value(&heap->side[MODEL_DIFF_A]), "b",
				  looks_value(&heap->side[MODEL_DIFF_B]));
	else
		heap = &none;
	struct json_member members[] = {{"looks", looks}};
	err = JSON_PUT_MEMBERS(out, "\n   ", members, true);
	err = put_kept_list(out, diff, "holders", heap->has_holders, heap->holders,
			    heap->holder_count)
		      ?: err;
	return put_kept_list(out, diff, "types", heap->has_types, heap->types, heap->type_count)
		       ?: err;
}

/* --- a program --- */

static json_t *command_value(const struct model_process *process)
{
	size_t count = 0;

	while (process->cmdline && process->cmdline[count])
		count++;
	return json_strings(process->cmdline, count);
}

static int put_program_side(FILE *out, const struct model_diff *diff,
			    const struct model_diff_program *program, int index)
{
	const struct model_diff_program_side *side = &program->side[index];
	const struct model_process *p = side->process;
	int64_t change = model_diff_change(side);
	struct json_member members[] = {
		{"processes", json_count(side->processes)},
		{"exited", json_count(side->exited)},
		{"pid",
		 p && side->processes == 1 && !p->folded ? json_integer(p->pid) : json_null()},
		{"comm", p ? json_text(p->comm) : json_null()},
		{"cmdline", p ? command_value(p) : json_null()},
		{"cgroup", json_text_or_null(p ? p->cgroup : NULL)},
		{"python", json_text_or_null(p ? p->python : NULL)},
		{"rss_start_bytes", json_integer(side->rss_start_bytes)},
		{"rss_end_bytes", json_integer(side->rss_end_bytes)},
		{"rss_peak_bytes", json_integer(side->rss_peak_bytes)},
		{"rss_peak_exact", json_boolean(!side->rss_peak_at_least)},
		{"growth_bytes", json_integer(side->growth_bytes)},
		{"change_bytes", json_integer(change)},
		{"change_bytes_per_second", rate_value(diff, index, change)},
		{"charged_bytes", json_integer(side->charged_bytes)},
		{"lost_bytes", json_losses(side->lost_bytes)},
		{"unaccounted_bytes", json_integer(side->unaccounted_bytes)},
		{"truncated_stacks", json_count(side->truncated_stacks)},
		{"lost_faults", json_count(side->lost_faults)},
		{"skipped", json_text_or_null(p ? p->note : NULL)},
	};
	int err;

	fprintf(out, ",\n   \"%s\":{", sides[index]);
	err = JSON_PUT_MEMBERS(out, "", members, false);
	fputc('}', out);
	return err;
}

/* The folders that are taken for one another; null if there are none. */
static json_t *folders_value(const struct model_diff_program *program)
{
	json_t *object = program->folder[0] ? json_object() : json_null();
	int err = object ? 0 : -1;

	for (int side = 0; side < MODEL_DIFF_SIDES && program->folder[0] && !err; side++) {
		char *folder = strndup(program->folder[side], program->folder_length[side]);

		err = folder ? json_object_set_new(object, sides[side], json_text(folder)) : -1;
		free(folder);
	}
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static int put_program(FILE *out, const struct diff_report *report,
		       const struct model_diff_program *program)
{
	static const char *const matches[] = {
		[MODEL_DIFF_PROGRAM_SAME] = "place",
		[MODEL_DIFF_PROGRAM_ELSEWHERE] = "arguments",
		[MODEL_DIFF_PROGRAM_NAME] = "name",
	};
	char name[256];
	size_t i;
	int err;

	diff_program_name(program, name, sizeof(name));
	struct json_member members[] = {
		{"program", json_text(name)},
		{"matched_by", json_text_or_null(matches[program->match])},
		{"folders", folders_value(program)},
	};
	fputs("\n  {", out);
	err = JSON_PUT_MEMBERS(out, "\n   ", members, false);
	err = put_program_side(out, report->diff, program, MODEL_DIFF_A) ?: err;
	err = put_program_side(out, report->diff, program, MODEL_DIFF_B) ?: err;
	err = put_difference(out, "\n   ", report->diff, model_diff_change(&program->side[0]),
			     model_diff_change(&program->side[1]))
		      ?: err;
	fputs(",\n   \"lines\":[", out);
	for (i = 0; i < program->line_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_line(out, report, &program->lines[i]);
	}
	fputc(']', out);
	err = put_heap(out, report->diff, program->heap) ?: err;
	fputc('}', out);
	return err;
}

/* --- a side --- */

static json_t *gathered_value(const struct model_gathered *gathered)
{
	return json_pack("{s:o, s:I, s:I, s:o}", "processes", json_count(gathered->processes),
			 "change_bytes", (json_int_t)gathered->change_bytes, "charged_bytes",
			 (json_int_t)gathered->charged_bytes, "lost_bytes",
			 json_losses(gathered->lost_bytes));
}

static json_t *skips_value(const struct model *model)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < model->skip_count; i++) {
		const struct model_skip *skip = &model->skips[i];

		if (!json_array_append_new(array, json_pack("{s:i, s:o, s:o}", "pid", skip->pid,
							    "comm", json_text(skip->comm), "reason",
							    json_text(skip->reason))))
			continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

static int put_side(FILE *out, const struct diff_report *report, int index)
{
	const struct model_diff_side *side = &report->diff->side[index];
	const struct model *model = side->model;
	struct json_member members[] = {
		{"name", json_text(report->side[index].name)},
		{"host", json_text(model->host)},
		{"kernel", json_text(model->kernel)},
		{"version", json_text(model->version)},
		{"start", json_time(model->start)},
		{"end", json_time(model->end)},
		{"seconds", json_real(side->seconds)},
		{"complete", json_boolean(!report->side[index].incomplete)},
		{"growth_bytes", json_integer(side->growth_bytes)},
		{"change_bytes", json_integer(side->change_bytes)},
		{"change_bytes_per_second", rate_value(report->diff, index, side->change_bytes)},
		{"looks", json_count(report->side[index].looks)},
		{"unreadable_looks", json_count(report->side[index].unreadable_looks)},
		{"ended", gathered_value(&model->unfolded)},
		{"skipped", skips_value(model)},
		{"notes", json_strings(model->notes, model->note_count)},
	};
	int err;

	fprintf(out, ",\n \"%s\":{", sides[index]);
	err = JSON_PUT_MEMBERS(out, "\n  ", members, false);
	fputc('}', out);
	return err;
}

/* --- the report --- */

static json_t *answer_value(const struct diff_report *report)
{
	char *answer = diff_answer(report), *at = answer;
	json_t *value;

	if (!answer)
		return NULL;
	/* No-break spaces are for text that is wrapped. */
	while ((at = strstr(at, NBSP))) {
		*at = ' ';
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
	}
	value = json_text(answer);
	free(answer);
	return value;
}

/* The limit of --fail-above; null if there is none. */
static json_t *limit_value(const struct diff_report *report)
{
	if (!report->limit_bytes)
		return json_null();
	return json_pack("{s:o, s:s, s:f, s:b}", "limit_bytes", json_count(report->limit_bytes),
			 "compared_by", report->limit_by_rates ? "rates" : "amounts", "more_bytes",
			 model_diff_growth(report->diff, report->limit_by_rates), "exceeded",
			 diff_is_exceeded(report));
}

static int json_emit(FILE *out, const struct diff_report *report,
		     const struct render_options *options)
{
	const struct model_diff *diff = report->diff;
	struct json_member members[] = {
		{"schema", json_string("pymem-bpf-diff/1")},
		{"version", json_text(report->version)},
		{"compared_by", json_string(diff->by_rates ? "rates" : "amounts")},
		{"answer", answer_value(report)},
		{"fail_above", limit_value(report)},
	};
	int err;

	(void)options;
	fputc('{', out);
	err = JSON_PUT_MEMBERS(out, "\n ", members, false);
	err = put_side(out, report, MODEL_DIFF_A) ?: err;
	err = put_side(out, report, MODEL_DIFF_B) ?: err;
	err = put_difference(out, "\n ", diff, diff->side[0].change_bytes,
			     diff->side[1].change_bytes)
		      ?: err;
	fputs(",\n \"programs\":[", out);
	for (size_t i = 0; i < diff->program_count && !err && !ferror(out); i++) {
		if (i)
			fputc(',', out);
		err = put_program(out, report, &diff->programs[i]);
	}
	fputs("]\n}\n", out);
	return err ?: parts_flush(out);
}

const struct diff_renderer diff_json = {
	.name = "json",
	.emit = json_emit,
};
