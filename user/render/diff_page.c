/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The web page of a diff: the page of a report (page.c) with two figures in place of one. It begins
 * with the sentences of the table, in the table's words, and has its programs, lines and heaps.
 *
 * Amounts are those of the sides, whatever is compared: the page's program makes rates of them. */
#include "render/diff_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/text.h"
#include "render/render_answer.h"

static const struct render_options plain = {0};

/* --- what stands first --- */

static json_t *answer_value(const struct diff_report *report)
{
	char *answer = diff_answer(report);
	json_t *value = answer ? page_harmless(answer) : NULL;

	free(answer);
	return value;
}

/* The lines that are written into `text`. Consumes it. */
static json_t *lines_of(struct answer_text *text)
{
	json_t *lines = answer_text_end(text) ? NULL : page_lines(text->data);

	free(text->data);
	return lines;
}

static json_t *inputs_value(const struct diff_report *report)
{
	struct answer_text text;

	if (answer_text_begin(&text))
		return NULL;
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		diff_write_input(text.out, report, &plain, side);
	return lines_of(&text);
}

static json_t *notes_value(const struct diff_report *report)
{
	struct answer_text text;

	if (answer_text_begin(&text))
		return NULL;
	diff_write_end(text.out, report, &plain);
	return lines_of(&text);
}

static json_t *side_value(const struct diff_report *report, int index)
{
	const struct model_diff_side *side = &report->diff->side[index];

	return json_pack("{s:o, s:f, s:I, s:I, s:I, s:I}", "name",
			 page_harmless(report->side[index].name), "seconds", side->seconds,
			 "change_bytes", (json_int_t)side->change_bytes, "growth_bytes",
			 (json_int_t)side->growth_bytes, "gathered",
			 (json_int_t)side->model->unfolded.processes, "gathered_bytes",
			 (json_int_t)side->model->unfolded.change_bytes);
}

/* --- programs --- */

static json_t *about_value(const struct diff_report *report,
			   const struct model_diff_program *program)
{
	struct answer_text text;

	if (answer_text_begin(&text))
		return NULL;
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		diff_write_side(text.out, report->diff, program, &plain, side);
	diff_write_remarks(text.out, program, &plain);
	return lines_of(&text);
}

/* null: the program is not in that side. */
static json_t *program_side_value(const struct model_diff_program_side *side)
{
	if (!side->processes)
		return json_null();
	return json_pack(
		"{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "processes",
		json_count(side->processes), "command", page_command(side->process), "growth_bytes",
		(json_int_t)side->growth_bytes, "change_bytes", (json_int_t)model_diff_change(side),
		"rss_end_bytes", (json_int_t)side->rss_end_bytes, "rss_peak_bytes",
		(json_int_t)side->rss_peak_bytes, "charged_bytes", (json_int_t)side->charged_bytes,
		"lost_bytes", page_losses(side->lost_bytes));
}

static int put_program(struct page *page, const struct model_diff_program *program)
{
	char name[128];

	diff_program_name(program, name, sizeof(name));
	struct json_member members[] = {
		{"name", page_harmless(name)},
		{"about", about_value(page->report, program)},
		{"a", program_side_value(&program->side[MODEL_DIFF_A])},
		{"b", program_side_value(&program->side[MODEL_DIFF_B])},
	};

	return JSON_PUT_MEMBERS(page->out, "", members, false);
}

int diff_page_put_programs(struct page *page)
{
	const struct model_diff *diff = page->report->diff;
	size_t i;
	int err = 0;

	fputs(",\n\"processes\":[", page->out);
	for (i = 0; i < diff->program_count && !err; i++) {
		fputs(i ? ",\n {" : "\n {", page->out);
		err = put_program(page, &diff->programs[i]);
		fputc('}', page->out);
	}
	fputc(']', page->out);
	return err;
}

/* --- the page --- */

static int put_data(struct page *page)
{
	const struct diff_report *report = page->report;
	const struct model_diff *diff = report->diff;
	struct json_member members[] = {
		{"schema", json_string("pymem-bpf-page/1")},
		{"format", json_string(page->whole ? "html" : "flamegraph")},
		{"version", page_harmless(report->version)},
		{"metric", json_string("net")},
		{"redacted", json_boolean(diff->redacted)},
		{"rate_seconds", json_real(diff_unit(diff))},
		{"rate_unit", json_string(diff_unit_name(diff))},
		{"answer", answer_value(report)},
		{"inputs", inputs_value(report)},
		{"notes", notes_value(report)},
		{"a", side_value(report, MODEL_DIFF_A)},
		{"b", side_value(report, MODEL_DIFF_B)},
	};
	int err;

	fputc('{', page->out);
	err = JSON_PUT_MEMBERS(page->out, "\n", members, false) ?: page_put_causes(page);
	err = err ?: page_put_stacks(page) ?: diff_page_put_programs(page);
	if (!err && page->whole)
		err = diff_page_put_lines(page) ?: diff_page_put_heap(page);
	err = err ?: page_put_sources(page) ?: page_put_places(page);
	fputs("\n}\n", page->out);
	return err;
}

static int page_emit(FILE *out, const struct diff_report *report,
		     const struct render_options *options, bool whole)
{
	struct page page = {
		.report = report, .rows = &page_rows_of_diff, .options = options, .whole = whole};

	return page_write(out, &page, put_data);
}

static int flamegraph_emit(FILE *out, const struct diff_report *report,
			   const struct render_options *options)
{
	return page_emit(out, report, options, false);
}

static int html_emit(FILE *out, const struct diff_report *report,
		     const struct render_options *options)
{
	return page_emit(out, report, options, true);
}

const struct diff_renderer diff_flamegraph = {
	.name = "flamegraph",
	.for_people = true,
	.page = &render_flamegraph,
	.emit = flamegraph_emit,
};

const struct diff_renderer diff_html = {
	.name = "html",
	.for_people = true,
	.page = &render_html,
	.emit = html_emit,
};
