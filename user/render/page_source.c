/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The source text of a page: the surroundings of each line that is in the report, or whole files
 * (--format html). Files whose lines changed most come first; what is beyond the limits is counted,
 * and the page says so.
 *
 * A file is read as the first process sees it that has a line of it. */
#include "render/page_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "render/render_answer.h"

#define BYTES_MOST  (1 << 20) /* of text in a page */
#define LINES_MOST  20000     /* of the report whose source is looked for */
#define WHOLE_MOST  5000      /* lines of a file that is there as a whole */
#define LINES_ABOUT 4	      /* before and behind a line */

struct wanted { /* a line of a file */
	const char *file;
	int line;
	const struct model_process *process;
	int64_t owner; /* the process's number in the page's data */
	int side;      /* of a diff; else 0 */
	size_t rank;   /* 0: of all, it changed most */
};

struct file { /* its lines are neighbours in the list */
	const struct wanted *lines;
	size_t count, rank;
};

struct sources {
	struct page *page;
	struct render_options options[MODEL_DIFF_SIDES]; /* with the texts of each side */
	struct wanted *wanted;
	size_t wanted_count;
	struct file *files;
	size_t file_count, put, left_out;
	size_t bytes;
};

static int by_place(const void *left, const void *right)
{
	const struct wanted *a = left, *b = right;
	int order = a->file == b->file ? 0 : strcmp(a->file, b->file);

	if (!order)
		order = a->side - b->side;
	if (order)
		return order;
	return a->line != b->line ? (a->line > b->line ? 1 : -1)
				  : (a->rank > b->rank) - (a->rank < b->rank);
}

static int by_rank(const void *left, const void *right)
{
	const struct file *a = left, *b = right;

	return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Makes room for as many of `count` lines as are looked for. Their number; 0: out of memory. */
static size_t begin_list(struct sources *s, size_t count)
{
	count = count < LINES_MOST ? count : LINES_MOST;
	s->wanted = calloc(count + 1, sizeof(*s->wanted));
	s->files = calloc(count + 1, sizeof(*s->files));
	return s->wanted && s->files ? count : 0;
}

/* Lists the lines of the report in the order of what they changed, process by process. */
static int list_lines(struct sources *s)
{
	struct model *model = s->page->model;
	size_t i, j, count = 0;

	for (i = 0; i < model_row_count(model); i++)
		count += model_row(model, i)->line_count;
	if (!count)
		return 0;
	count = begin_list(s, count);
	if (!count)
		return -ENOMEM;
	for (i = 0; i < model_row_count(model); i++) {
		struct model_process *process = model_row(model, i);

		for (j = 0; j < process->line_count && s->wanted_count < count; j++) {
			const struct model_location *at = process->lines[j].location;

			if (at->line > 0)
				s->wanted[s->wanted_count++] =
					(struct wanted){.file = at->file,
							.line = at->line,
							.process = process,
							.owner = page_process(s->page, process),
							.rank = i + j * model_row_count(model)};
		}
	}
	return 0;
}

/* Adds the line at the place that is shown, unless there are enough. */
static void want(struct sources *s, size_t program, const struct model_location *const *at,
		 const struct model_process *const *process, size_t most)
{
	int side = at[MODEL_DIFF_B] ? MODEL_DIFF_B : MODEL_DIFF_A;

	if (s->wanted_count >= most || at[side]->line <= 0 || !s->options[side].sources)
		return;
	s->wanted[s->wanted_count] = (struct wanted){.file = at[side]->file,
						     .line = at[side]->line,
						     .process = process[side],
						     .owner = (int64_t)program,
						     .side = side,
						     .rank = s->wanted_count};
	s->wanted_count++;
}

/* The same for a diff: lines by the size of their difference, then those that called them. */
static int list_diff(struct sources *s)
{
	const struct model_diff *diff = s->page->report->diff;
	size_t i, j, count = 0;

	for (i = 0; i < diff->program_count; i++)
		count += diff->programs[i].line_count + diff->programs[i].frame_count;
	if (!count)
		return 0;
	count = begin_list(s, count);
	if (!count)
		return -ENOMEM;
	for (i = 0; i < diff->program_count; i++)
		for (j = 0; j < diff->programs[i].line_count; j++)
			want(s, i, diff->programs[i].lines[j].at,
			     diff->programs[i].lines[j].process, count);
	for (i = 0; i < diff->program_count; i++)
		for (j = 0; j < diff->programs[i].frame_count; j++)
			want(s, i, diff->programs[i].frames[j].at,
			     diff->programs[i].frames[j].process, count);
	return 0;
}

static void group_files(struct sources *s)
{
	struct file *file = NULL;
	size_t i;

	qsort(s->wanted, s->wanted_count, sizeof(*s->wanted), by_place);
	for (i = 0; i < s->wanted_count; i++) {
		const struct wanted *wanted = &s->wanted[i];

		if (!file || strcmp(file->lines->file, wanted->file) != 0 ||
		    file->lines->side != wanted->side) {
			file = &s->files[s->file_count++];
			*file = (struct file){.lines = wanted, .rank = wanted->rank};
		}
		file->count++;
		file->rank = wanted->rank < file->rank ? wanted->rank : file->rank;
	}
	qsort(s->files, s->file_count, sizeof(*s->files), by_rank);
}

/* Writes the lines from `first` to `last` as one run. */
static int put_run(struct sources *s, const struct wanted *at, int first, int last, bool more)
{
	struct answer_text text;
	enum source_state state;
	FILE *out = s->page->out;
	int err = answer_text_begin(&text), line;

	if (err)
		return err;
	for (line = first; line <= last; line++) {
		if (s->bytes + (size_t)ftell(text.out) >= BYTES_MOST) {
			s->left_out++;
			break;
		}
		parts_source(text.out, &s->options[at->side], at->process, at->file, line, 0, false,
			     &state);
		fputc('\n', text.out);
	}
	err = answer_text_end(&text);
	if (err)
		return err;
	s->bytes += text.size;
	fprintf(out, "%s[%d,", more ? "," : "", first);
	err = json_put(out, page_lines(text.data));
	fputc(']', out);
	free(text.data);
	return err;
}

/* Writes what is shown of the file, as runs of lines. */
static int put_runs(struct sources *s, const struct file *file, int last_line)
{
	size_t i = 0;
	int first, last, err = 0;
	bool more = false;

	if (s->page->whole && !s->page->report && last_line <= WHOLE_MOST)
		return put_run(s, file->lines, 1, last_line, false);
	while (i < file->count && !err && s->bytes < BYTES_MOST) {
		first = file->lines[i].line - LINES_ABOUT;
		last = first;
		for (; i < file->count && file->lines[i].line - LINES_ABOUT <= last + 1; i++)
			last = file->lines[i].line + LINES_ABOUT;
		first = first < 1 ? 1 : first;
		last = last < last_line ? last : last_line;
		if (first <= last) {
			err = put_run(s, file->lines, first, last, more);
			more = true;
		}
	}
	return err;
}

static int put_file(struct sources *s, const struct file *file)
{
	const struct wanted *at = file->lines;
	struct source_cache *cache = s->options[at->side].sources;
	FILE *out = s->page->out;
	enum source_state state;
	ssize_t number;
	int count, err;

	source_line(cache, &at->process->root, at->file, at->line, &state);
	if (state != SOURCE_OK && state != SOURCE_CHANGED)
		return 0;
	if (s->bytes >= BYTES_MOST) {
		s->left_out++;
		return 0;
	}
	number = page_text(s->page, at->file);
	if (number < 0)
		return -ENOMEM;
	count = source_line_count(cache, &at->process->root, at->file);
	fprintf(out, "%s{\"file\":%zd,\"process\":%lld,", s->put++ ? ",\n" : "\n", number,
		(long long)at->owner);
	if (s->page->report)
		fprintf(out, "\"side\":%d,", at->side);
	fprintf(out, "\"changed\":%s,\"lines\":%d,\"runs\":[",
		state == SOURCE_CHANGED ? "true" : "false", count);
	err = put_runs(s, file, count);
	fputs("]}", out);
	return err ?: ferror(out) ? -EIO : 0;
}

int page_put_sources(struct page *page)
{
	struct sources s = {.page = page};
	size_t i;
	int err = 0;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		s.options[side] = *page->options;
		if (page->report)
			s.options[side].sources = page->report->side[side].sources;
	}
	fputs(",\n\"sources\":[", page->out);
	if (page->report)
		err = list_diff(&s);
	else if (page->options->sources)
		err = list_lines(&s);
	if (!err && s.wanted_count)
		group_files(&s);
	for (i = 0; i < s.file_count && !err; i++)
		err = put_file(&s, &s.files[i]);
	fprintf(page->out, "],\n\"sources_left_out\":%zu", s.left_out);
	free(s.wanted);
	free(s.files);
	return err;
}
