/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The annotated source of a function, in the layout of memory_profiler's %mprun.
 *
 * The figures do not say where a function ends. That is read from the source, by indentation. A
 * small part of Python's lexer (brackets, strings, comments, continued lines) tells in which lines
 * indentation counts. A line with figures is shown wherever it is.
 *
 * Lambdas, comprehensions and modules have no block of their own. Of these, the lines from the
 * first to the last with figures are shown. */
#include "render/render_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define TEXT_LEAST   30 /* columns of source that are worth more than one column of figures */
#define FIGURE_LEAST 12 /* columns of a figure, as in memory_profiler's table */

struct view { /* one function of one process */
	FILE *out;
	const struct model *model;
	const struct model_process *process;
	const struct render_options *options;
	const struct model_line *lines; /* of the function, sorted by line number */
	size_t count;
	const struct model_function *calls; /* what the exact engine counted of it; NULL: nothing */
	bool changed;			    /* the source has changed since the process started */
	bool cut;			    /* only lines with figures are shown */
};

struct lexer {		/* state between two lines of Python */
	unsigned depth; /* of open brackets */
	char quote;	/* quote of an open triple-quoted string; 0: none */
	bool continued; /* the last line ended with a backslash */
};

static bool opens_line(const struct lexer *lexer)
{
	return !lexer->depth && !lexer->quote && !lexer->continued;
}

/* Moves past a string that begins, or goes on, at `at`. Stops at the end of the line if the string
 * is still open. */
static const char *skip_string(struct lexer *lexer, const char *at)
{
	char quote = lexer->quote;
	bool triple = quote;

	if (!triple) {
		quote = *at;
		triple = at[1] == quote && at[2] == quote;
		at += triple ? 3 : 1;
	}
	lexer->quote = triple ? quote : 0;
	for (; *at; at++) {
		if (*at == '\\' && at[1]) {
			at++;
		} else if (*at == quote && !triple) {
			return at + 1;
		} else if (*at == quote && at[1] == quote && at[2] == quote) {
			lexer->quote = 0;
			return at + 3;
		}
	}
	return at;
}

static void lex_line(struct lexer *lexer, const char *at)
{
	lexer->continued = false;
	if (lexer->quote)
		at = skip_string(lexer, at);
	while (*at && *at != '#') {
		if (*at == '\'' || *at == '"') {
			at = skip_string(lexer, at);
			continue;
		}
		if (strchr("([{", *at))
			lexer->depth++;
		else if (strchr(")]}", *at) && lexer->depth)
			lexer->depth--;
		else if (*at == '\\' && !at[1])
			lexer->continued = true;
		at++;
	}
}

static unsigned indentation(const char *text, const char **start)
{
	unsigned columns = 0;

	for (; *text == ' ' || *text == '\t' || *text == '\f'; text++)
		columns = *text == '\f' ? 0 : *text == ' ' ? columns + 1 : (columns / 8 + 1) * 8;
	*start = text;
	return columns;
}

static bool starts_with_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	return !strncmp(text, word, length) && (text[length] == ' ' || text[length] == '\t');
}

static const char *line_text(const struct view *view, long line)
{
	return view->options->sources ? source_line(view->options->sources, &view->process->root,
						    view->lines->location->file, (int)line, NULL)
				      : NULL;
}

/* The last line of the def or class that begins (decorators included) at line `first`. 0: there is
 * none. A block of more than PARTS_LINES_MOST lines ends at the first line beyond them. */
static long block_end(const struct view *view, long first)
{
	struct lexer lexer = {0};
	unsigned outer = 0, columns;
	bool in_body = false, is_head;
	const char *text, *start;
	long line, last = 0;

	for (line = first; line <= first + PARTS_LINES_MOST; line++) {
		text = line_text(view, line);
		if (!text)
			break;
		columns = indentation(text, &start);
		if (opens_line(&lexer) && *start && *start != '#') {
			is_head = starts_with_word(start, "def") ||
				  starts_with_word(start, "async") ||
				  starts_with_word(start, "class");
			if (in_body && columns <= outer)
				break;
			if (!in_body && !is_head && *start != '@')
				return 0;
			if (!in_body)
				outer = columns;
			in_body = in_body || is_head;
		}
		/* Blank lines and comments belong to the block only if more of it follows. */
		if ((*start && *start != '#') || !opens_line(&lexer))
			last = line;
		lex_line(&lexer, text);
	}
	return in_body ? last : 0;
}

/* False for "<module>", "<lambda>", "f.<locals>.<listcomp>", which have no block. */
static bool has_block(const struct view *view)
{
	const char *name = view->lines->location->function, *dot = strrchr(name, '.');

	return *(dot ? dot + 1 : name) != '<';
}

static void print_text(struct view *view, int line, unsigned used)
{
	const struct render_options *options = view->options;
	enum source_state state;

	parts_source(view->out, options, view->process, view->lines->location->file, line,
		     !options->width		 ? 0
		     : options->width > used + 8 ? options->width - used
						 : 8,
		     false, &state);
	view->changed |= state == SOURCE_CHANGED;
	fputc('\n', view->out);
}

static void print_row(struct view *view, const struct parts_columns *columns, int number,
		      const struct model_line *line)
{
	if (number)
		fprintf(view->out, "%6d ", number);
	else
		fprintf(view->out, "%6s ", "?");
	parts_figures(view->out, columns, line, view->model->page_size);
	fputs("   ", view->out);
	print_text(view, number, 7 + columns->total + 3);
}

/* `line`, or the number of lines of the file, whichever is less. */
static long count_up_to(const struct view *view, long line)
{
	int count = source_line_count(view->options->sources, &view->process->root,
				      view->lines->location->file);

	return line < count ? line : count;
}

/* Prints each line of the block and each line with figures, in order. The target chooses the line
 * numbers, so only those inside the block are visited one by one. */
static void print_rows(struct view *view, const struct parts_columns *columns)
{
	const struct model_line *line = view->lines, *end = line + view->count, *row;
	long block, last, number, before = 0;

	for (; line < end && line->location->line <= 0; line++)
		print_row(view, columns, 0, line);
	block = view->lines->location->first_line;
	if (block <= 0)
		block = line < end ? line->location->line : 1;
	last = has_block(view) ? block_end(view, block) : 0;
	/* The function has no block: show what is between its lines with figures. */
	if (!last && line < end && line_text(view, block))
		last = end[-1].location->line;
	view->cut = last - block >= PARTS_LINES_MOST;
	if (view->cut)
		last = 0;
	else if (last)
		last = count_up_to(view, last);
	while (line < end || block <= last) {
		row = line < end && (block > last || line->location->line <= block) ? line++ : NULL;
		number = row ? row->location->line : block;
		if (number == block)
			block++;
		if (before && number > before + 1)
			fprintf(view->out, "%6s\n", "...");
		print_row(view, columns, (int)number, row);
		before = number;
	}
}

static void print_file_name(struct view *view, const struct model_location *location, bool function)
{
	const char *file = location->file;
	unsigned width = view->options->width;

	fputs("Filename: ", view->out);
	text_print(view->out, *file ? file : "(no file name)",
		   !width	? PARTS_FIELD_MAX
		   : width > 18 ? width - 10
				: 8,
		   true);
	if (function) {
		fputs("\nFunction: ", view->out);
		text_print(view->out, location->function,
			   !width	? PARTS_FIELD_MAX
			   : width > 18 ? width - 10
					: 8,
			   false);
	}
	fputs("\n\n", view->out);
}

static bool knows_runs(const struct view *view)
{
	size_t i;

	for (i = 0; i < view->count; i++) {
		if (view->lines[i].occurrences >= 0)
			return true;
	}
	return false;
}

/* The table of the exact engine: from the first line of the function to its end, or to the last
 * line that ran. */
static int print_runs(struct view *view)
{
	const struct model_line *lines = view->lines;
	long first = lines->location->first_line, last;

	if (first <= 0)
		first = lines->location->line;
	last = has_block(view) ? block_end(view, first) : 0;
	if (last < lines[view->count - 1].location->line)
		last = lines[view->count - 1].location->line;
	return parts_runs(view->out, view->process, view->options, lines->location, first, last,
			  &view->changed);
}

static void print_changed(const struct view *view)
{
	if (!view->changed)
		return;
	parts_style(view->out, view->options, STYLE_ALERT);
	text_wrap(view->out, "The source changed since the process started.", 0,
		  view->options->width, 0);
	parts_style(view->out, view->options, STYLE_OFF);
	fputc('\n', view->out);
}

static void print_function(struct view *view)
{
	static const char *const unknown = "Mem usage and occurrences are known with --lines only.";
	static const char *const title = "Line Contents";
	unsigned width = view->options->width, room = 0, i, rule;
	struct parts_columns columns;

	if (width)
		room = width > 10 + TEXT_LEAST ? width - 10 - TEXT_LEAST : 1;
	parts_choose(&columns, view->lines, view->count, view->model->page_size,
		     room && room < 5 * (FIGURE_LEAST + 2) ? 9 : FIGURE_LEAST, room,
		     view->options->sort);
	print_file_name(view, view->lines->location, true);
	if (view->calls) {
		parts_calls(view->out, view->options, view->calls);
		fputc('\n', view->out);
	}
	parts_style(view->out, view->options, STYLE_HEAD);
	fputs("Line # ", view->out);
	parts_titles(view->out, &columns);
	fprintf(view->out, "   %s\n", title);
	parts_style(view->out, view->options, STYLE_OFF);
	rule = 7 + columns.total + 3 + (unsigned)strlen(title);
	for (i = 0; i < rule; i++)
		fputc('=', view->out);
	fputc('\n', view->out);
	print_rows(view, &columns);
	fputc('\n', view->out);
	text_wrap(view->out, unknown, 0, width, 0);
	fputc('\n', view->out);
	if (view->cut)
		parts_cut(view->out, view->options, "no figures");
	print_changed(view);
}

static bool is_named(const char *function, const char *name)
{
	const char *last = strrchr(function, '.');

	return !strcmp(function, name) || (last && !strcmp(last + 1, name));
}

/* True if `name` means this function: its qualified name, the last part of that, or file:name where
 * the path ends in `file`. */
static bool matches(const struct model_location *location, const char *name)
{
	const char *colon = strrchr(name, ':');
	size_t length = colon ? (size_t)(colon - name) : 0, have = strlen(location->file);
	const char *tail;

	if (is_named(location->function, name))
		return true;
	if (!length || length > have || !is_named(location->function, colon + 1))
		return false;
	tail = location->file + have - length;
	return !strncmp(tail, name, length) && (tail == location->file || tail[-1] == '/');
}

static int compare(const void *left, const void *right)
{
	const struct model_location *a = ((const struct model_line *)left)->location;
	const struct model_location *b = ((const struct model_line *)right)->location;
	int order = strcmp(a->file, b->file);

	if (!order)
		order = (a->first_line > b->first_line) - (a->first_line < b->first_line);
	if (!order)
		order = strcmp(a->function, b->function);
	return order ? order : (a->line > b->line) - (a->line < b->line);
}

static bool same_function(const struct model_line *a, const struct model_line *b)
{
	return a->location->file == b->location->file &&
	       a->location->function == b->location->function &&
	       a->location->first_line == b->location->first_line;
}

/* A copy of the process's lines that belong to the functions asked for, sorted. The caller frees
 * it. NULL: out of memory. */
static struct model_line *take_lines(const struct model_process *process, const char *name,
				     size_t *count)
{
	struct model_line *lines = calloc(process->line_count + 1, sizeof(*lines));
	size_t i;

	*count = 0;
	for (i = 0; lines && i < process->line_count; i++) {
		if (matches(process->lines[i].location, name))
			lines[(*count)++] = process->lines[i];
	}
	if (lines)
		qsort(lines, *count, sizeof(*lines), compare);
	return lines;
}

static bool is_of(const struct model_location *a, const struct model_location *b)
{
	return a->file == b->file && a->function == b->function && a->first_line == b->first_line;
}

/* What was counted of the function of a line. NULL: nothing. */
static const struct model_function *calls_of(const struct model_process *process,
					     const struct model_location *line)
{
	for (size_t i = 0; i < process->function_count; i++)
		if (is_of(process->functions[i].location, line))
			return &process->functions[i];
	return NULL;
}

/* True if a line of the function is among `count` of `lines`. */
static bool has_lines(const struct model_line *lines, size_t count,
		      const struct model_location *function)
{
	for (size_t i = 0; i < count; i++)
		if (is_of(lines[i].location, function))
			return true;
	return false;
}

static void begin_function(const struct view *view, size_t *found)
{
	if (++*found > 1)
		fputc('\n', view->out);
}

/* Prints the functions that were called and changed nothing by themselves: they have no lines. */
static void print_idle(struct view *view, const struct model_line *lines, size_t count,
		       size_t *found)
{
	const struct model_process *process = view->process;
	bool headed = count > 0;

	for (size_t i = 0; i < process->function_count; i++) {
		view->calls = &process->functions[i];
		if (!matches(view->calls->location, view->options->function) ||
		    has_lines(lines, count, view->calls->location))
			continue;
		begin_function(view, found);
		if (!headed) {
			parts_head(view->out, view->model, process, view->options);
			fputc('\n', view->out);
		}
		headed = true;
		print_file_name(view, view->calls->location, true);
		parts_calls(view->out, view->options, view->calls);
	}
}

static int print_process(FILE *out, struct model *model, const struct model_process *process,
			 const struct render_options *options, size_t *found)
{
	struct view view = {.out = out, .model = model, .process = process, .options = options};
	struct model_line *lines;
	size_t count, i;
	int err = 0;

	lines = take_lines(process, options->function, &count);
	if (!lines)
		return -ENOMEM;
	for (i = 0; i < count && !err; i += view.count) {
		begin_function(&view, found);
		if (!i) {
			parts_head(out, model, process, options);
			fputc('\n', out);
		}
		view.lines = &lines[i];
		view.changed = false;
		view.calls = calls_of(process, view.lines->location);
		for (view.count = 1; i + view.count < count; view.count++) {
			if (!same_function(&lines[i], &lines[i + view.count]))
				break;
		}
		if (knows_runs(&view)) {
			print_file_name(&view, view.lines->location, false);
			err = print_runs(&view);
			print_changed(&view);
		} else {
			print_function(&view);
		}
	}
	if (!err)
		print_idle(&view, lines, count, found);
	free(lines);
	return err;
}

int render_function(FILE *out, struct model *model, const struct render_options *options)
{
	size_t found = 0, i;
	int err = 0;

	for (i = 0; i < model_row_count(model) && !err && !ferror(out); i++)
		err = print_process(out, model, model_row(model, i), options, &found);
	if (!err && !found && !ferror(out))
		return -ENOENT;
	if (err)
		return err;
	parts_tail(out, model, options);
	return parts_flush(out);
}
