/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A web page of a report: one file, which needs no network. It is what user/render/web/ was built
 * into, with the report's data as JSON in its middle (docs/VIEWS.md describes both).
 *
 * The page begins with what the table begins with. Nothing that a target chose is HTML: it is text
 * in JSON, escaped (script_stream.h), and the page's program shows it as text only. */
#include "render/page_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json_text.h"
#include "base/text.h"
#include "render/render_answer.h"
#include "render/script_stream.h"

/* From user/render/web/: web_page_begin and web_page_end, or WEB_PAGE_ABSENT. */
#include "render/web_page.h"

#ifndef WEB_PAGE_ABSENT
#define WEB_PAGE_ABSENT NULL
#endif

#define SCHEMA "pymem-bpf-page/1"

/* --- places and texts --- */

static bool is_of_diff(const struct page_place *place)
{
	return place->at[MODEL_DIFF_A] || place->at[MODEL_DIFF_B];
}

ssize_t page_place(struct page *page, const struct page_place *place)
{
	struct page_places *places = &page->places;
	const void *thing = place->text	     ? (const void *)place->text
			    : place->process ? (const void *)place->process
			    : place->program ? (const void *)place->program
					     : (const void *)page->model;
	bool is_new;
	ssize_t number = place->location ? place_number(&places->numbers, place->location, &is_new)
			 : is_of_diff(place)
				 ? place_number_of_both(&places->numbers, place->at, &is_new)
				 : place_number_of(&places->numbers, thing, &is_new);

	if (number >= 0 && is_new) {
		if (!ARRAY_HAS_ROOM(places->list, places->count, places->room))
			return -ENOMEM;
		places->list[places->count++] = *place;
	}
	return number;
}

ssize_t page_text(struct page *page, const char *text)
{
	struct page_texts *texts = &page->texts;
	bool is_new;
	ssize_t number = place_number_of(&texts->numbers, text, &is_new);

	if (number >= 0 && is_new) {
		if (!ARRAY_HAS_ROOM(texts->list, texts->count, texts->room))
			return -ENOMEM;
		texts->list[texts->count++] = text;
	}
	return number;
}

/* What a place is: the third number of each. */
enum kind { KIND_OWN, KIND_LIBRARY, KIND_TEXT, KIND_PROCESS, KIND_THREAD };

int64_t page_process(const struct page *page, const struct model_process *process)
{
	size_t i;

	for (i = 0; i < model_row_count(page->model); i++)
		if (model_row(page->model, i) == process)
			return (int64_t)i;
	return -1;
}

/* The number of what is no line, behind the kind: a program of a diff is numbered as it is
 * sorted. */
static int64_t owner_of(const struct page *page, const struct page_place *place)
{
	if (page->report)
		return place->program ? place->program - page->report->diff->programs : -1;
	return page_process(page, place->process);
}

/* The location that is shown: of a line of a diff, that in B if it is there. */
static const struct model_location *shown_of(const struct page_place *place)
{
	return place->location ?: place->at[MODEL_DIFF_B] ?: place->at[MODEL_DIFF_A];
}

/* Writes the kind, the file, the line and the function of a place. */
static int put_place(struct page *page, const struct page_place *place)
{
	const struct model_location *location = shown_of(place);
	ssize_t file = 0, function = 0;
	int64_t line = 0;
	int kind = KIND_PROCESS;

	if (location) {
		kind = location->thread ? KIND_THREAD : location->library ? KIND_LIBRARY : KIND_OWN;
		file = page_text(page, location->file);
		function = page_text(page, location->function);
		line = location->line;
	} else if (place->text) {
		kind = KIND_TEXT;
		function = page_text(page, place->text);
	} else {
		line = owner_of(page, place);
	}
	if (file < 0 || function < 0)
		return -ENOMEM;
	json_put_number(page->out, kind);
	fputc(',', page->out);
	json_put_number(page->out, file);
	fputc(',', page->out);
	json_put_number(page->out, line);
	fputc(',', page->out);
	json_put_number(page->out, function);
	return 0;
}

/* Writes in which sides a place is, as bits, and if it is in both, its file, line and function in
 * A. */
static int put_before(struct page *page, const struct page_place *place)
{
	const struct model_location *const *at = place->at;
	bool both = at[MODEL_DIFF_A] && at[MODEL_DIFF_B];
	ssize_t file = both ? page_text(page, at[MODEL_DIFF_A]->file) : 0;
	ssize_t function = both ? page_text(page, at[MODEL_DIFF_A]->function) : 0;

	if (file < 0 || function < 0)
		return -ENOMEM;
	fprintf(page->out, "%d,%zd,%d,%zd", (at[MODEL_DIFF_A] ? 1 : 0) + (at[MODEL_DIFF_B] ? 2 : 0),
		file, both ? at[MODEL_DIFF_A]->line : 0, function);
	return 0;
}

static int put_places_before(struct page *page)
{
	size_t i;
	int err = 0;

	fputs("],\n\"before\":[", page->out);
	for (i = 0; i < page->places.count && !err; i++) {
		if (i)
			fputc(',', page->out);
		err = put_before(page, &page->places.list[i]);
	}
	return err;
}

int page_put_places(struct page *page)
{
	char text[STACK_ROW_TEXT];
	size_t i;
	int err = 0;

	fputs(",\n\"places\":[", page->out);
	for (i = 0; i < page->places.count && !err; i++) {
		if (i)
			fputc(',', page->out);
		err = put_place(page, &page->places.list[i]);
	}
	if (page->report && !err)
		err = put_places_before(page);
	fputs("],\n\"texts\":[", page->out);
	for (i = 0; i < page->texts.count && !err; i++) {
		if (i)
			fputc(',', page->out);
		stack_row_text(text, page->texts.list[i]);
		err = json_put(page->out, json_text(text));
	}
	fputc(']', page->out);
	return err;
}

/* --- the answer --- */

struct words {
	struct page *page;
	bool more;
};

json_t *page_lines(const char *text)
{
	json_t *lines = json_array();
	size_t length;
	char *line;

	for (; lines && *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		line = strndup(text, length);
		if (!line || json_array_append_new(lines, json_text(line))) {
			json_decref(lines);
			lines = NULL;
		}
		free(line);
	}
	return lines;
}

static int put_words(const char *text, void *arg)
{
	struct words *words = arg;
	FILE *out = words->page->out;

	fputs(words->more ? ",\n " : "\n ", out);
	words->more = true;
	return json_put(out, page_lines(text));
}

static int put_answer(struct page *page)
{
	struct words words = {.page = page};
	int err;

	fputs(",\n\"answer\":[", page->out);
	err = answer_words(page->model, page->options, put_words, &words);
	fputc(']', page->out);
	return err;
}

/* A text that a target may have chosen, escaped. */
json_t *page_harmless(const char *text)
{
	size_t size = 4 * strlen(text ? text : "") + 1;
	char *escaped = malloc(size);
	json_t *value = NULL;

	if (escaped) {
		text_escape(escaped, size, text ? text : "");
		value = json_text(escaped);
	}
	free(escaped);
	return value;
}

static int put_asides(struct page *page)
{
	const struct model *model = page->model;
	size_t i;
	int err = 0;

	fputs(",\n\"skipped\":[", page->out);
	for (i = 0; i < model->skip_count && !err; i++) {
		struct json_member members[] = {
			{"pid", json_integer(model->skips[i].pid)},
			{"comm", page_harmless(model->skips[i].comm)},
			{"reason", page_harmless(model->skips[i].reason)},
		};

		fputs(i ? ",\n {" : "\n {", page->out);
		err = JSON_PUT_MEMBERS(page->out, "", members, false);
		fputc('}', page->out);
	}
	fputs("],\n\"notes\":[", page->out);
	for (i = 0; i < model->note_count && !err; i++) {
		fputs(i ? ",\n " : "\n ", page->out);
		err = json_put(page->out, page_harmless(model->notes[i]));
	}
	fputc(']', page->out);
	return err;
}

/* --- the page --- */

static int put_data(struct page *page)
{
	const struct model *model = page->model;
	struct json_member members[] = {
		{"schema", json_string(SCHEMA)},
		{"format", json_string(page->whole ? "html" : "flamegraph")},
		{"version", page_harmless(model->version)},
		{"host", page_harmless(model->host)},
		{"kernel", page_harmless(model->kernel)},
		{"start", json_time(model->start)},
		{"end", json_time(model->end)},
		{"seconds", json_real(model->end - model->start)},
		{"page_size", json_count(model->page_size)},
		{"metric", json_string(stack_metric_names[page->options->metric ?: RENDER_GROWN])},
		{"redacted", json_boolean(page->options->redacted)},
	};
	int err;

	fputc('{', page->out);
	err = JSON_PUT_MEMBERS(page->out, "\n", members, false) ?: put_answer(page);
	if (!err)
		err = put_asides(page) ?: page_put_stacks(page) ?: page_put_causes(page);
	if (!err)
		err = page_put_processes(page);
	if (!err && page->whole)
		err = page_put_lines(page) ?: page_put_time(page) ?: page_put_heap(page);
	if (!err)
		err = page_put_sources(page) ?: page_put_places(page);
	fputs("\n}\n", page->out);
	return err;
}

static void page_fini(struct page *page)
{
	free(page->places.list);
	free(page->texts.list);
	free(page->frames.list);
	places_free(&page->places.numbers);
	places_free(&page->texts.numbers);
}

const char *const web_page_absent = WEB_PAGE_ABSENT;

int page_write(FILE *out, struct page *page, int (*put)(struct page *page))
{
	int err;

	if (web_page_absent)
		return -ENOSYS;
	fwrite(web_page_begin, 1, sizeof(web_page_begin), out);
	page->out = script_stream_open(out);
	if (!page->out)
		return -ENOMEM;
	err = put(page);
	/* What failed on the stream, parts_flush() finds out. */
	fclose(page->out);
	page_fini(page);
	fwrite(web_page_end, 1, sizeof(web_page_end), out);
	return err && err != -EIO ? err : parts_flush(out);
}

static int page_emit(FILE *out, struct model *model, const struct render_options *options,
		     bool whole)
{
	struct page page = {
		.model = model, .rows = &page_rows_of_model, .options = options, .whole = whole};

	return model_sort_processes(model, options->sort) ?: page_write(out, &page, put_data);
}

static int flamegraph_emit(FILE *out, struct model *model, const struct render_options *options)
{
	return page_emit(out, model, options, false);
}

static int html_emit(FILE *out, struct model *model, const struct render_options *options)
{
	return page_emit(out, model, options, true);
}

const struct renderer render_flamegraph = {
	.name = "flamegraph",
	.for_people = true,
	.stacks = true,
	.takes_metric = true,
	.binary = true,
	.page = true,
	.absent = WEB_PAGE_ABSENT,
	.emit = flamegraph_emit,
};

const struct renderer render_html = {
	.name = "html",
	.for_people = true,
	.stacks = true,
	.takes_metric = true,
	.binary = true,
	.page = true,
	.times = true,
	.absent = WEB_PAGE_ABSENT,
	.emit = html_emit,
};
