/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: which line of B is which one of A? Its number says little: whoever changed the program
 * has moved lines. So lines are the same if file, function and text are. Of equal texts in one
 * function, the first one of A is the first one of B and so on; those that have no figures count,
 * too. Indentation does not matter.
 *
 * Where a text is unknown in one side, the line's number must be the same.
 *
 * Files are the same if their names are, or for libraries what is behind the prefix of the
 * installation, or what is behind the folder of the program (model_diff_files.c). Before
 * Python 3.11 functions have plain names ("get"), from then on qualified ones
 * ("Cache.get"): if the sides differ in that, the plain names count.
 *
 * The same goes for frames of stacks, but there each line counts, also one that has no figures and
 * only called others. */
#include "model/model_diff_private.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* What it takes to look a text up, as bytes that are read. */
#define LOOKUP 64

/* Of lines that have the same number in the same function after all, so many are compared with each
 * one. There are two, one of each side, unless files of several names are the same. */
#define NAMESAKES 64

/* A function has few lines. Of a longer one (a module that was generated) lines further down are
 * matched by number. */
#define WINDOW_LINES 20000

struct entry { /* a line of one process or of a program's sum */
	int side;
	const struct model_process *process;
	const struct model_line *line;
	const char *file, *function; /* as they are compared */
	const char *text;	     /* without indentation; NULL: unknown */
	size_t text_length;
	unsigned rank; /* how often the function has this text further up */
	size_t row;
};

struct matching {
	const struct model_diff_program *program;
	struct diff_files files;
	const struct model_diff *diff;
	struct diff_texts *texts;
	struct entry *entries;
	size_t count, room;
	struct model_diff_line *rows;
	size_t row_count, row_room;
	bool plain; /* plain names of functions */
	bool all;   /* lines without figures, too */
};

/* --- collecting --- */

static bool has_figures(const struct model_line *line)
{
	return line->increment_bytes || line->grown_bytes || line->freed_bytes ||
	       line->minor_faults || line->major_faults || line->cow_faults ||
	       line->resident_bytes > 0;
}

static const char *function_key(const struct matching *m, const char *function)
{
	const char *dot = m->plain ? strrchr(function, '.') : NULL;

	return dot && dot[1] ? dot + 1 : function;
}

static int collect(struct matching *m, const struct diff_unit *unit)
{
	const char *file = NULL, *key = NULL;
	const struct model_process *process = &unit->program->sum;
	const struct model_line *line;
	size_t i;

	for (i = 0; i < process->line_count; i++) {
		line = &process->lines[i];
		if (!m->all && !has_figures(line))
			continue;
		if (!ARRAY_HAS_ROOM(m->entries, m->count, m->room))
			return -ENOMEM;
		/* Lines of a file often follow one another. */
		if (file != line->location->file)
			key = model_diff_file_key(m->program, &m->files, unit->side,
						  line->location->file);
		file = line->location->file;
		m->entries[m->count++] = (struct entry){
			.side = unit->side,
			.process = process,
			.line = line,
			.file = key,
			.function = function_key(m, line->location->function),
		};
	}
	return 0;
}

/* True for Python 3.11 and newer, whose functions have qualified names. */
static bool is_qualified(const char *python)
{
	char *end;
	long major = strtol(python, &end, 10);

	return major > 3 || (major == 3 && *end == '.' && strtol(end + 1, NULL, 10) >= 11);
}

/* True if not all of the pair's processes have functions with the same kind of name. */
static bool needs_plain_names(const struct diff_unit *units, size_t count, size_t pair)
{
	const char *python;
	bool seen[2] = {false};
	size_t i;

	for (i = 0; i < count; i++) {
		python = units[i].program->sum.python;
		if (units[i].pair == pair && *python)
			seen[is_qualified(python)] = true;
	}
	return seen[0] && seen[1];
}

/* --- texts --- */

/* False: no more work may be done on texts. */
static bool spend(const struct matching *m, uint64_t work)
{
	bool can = m->texts->left >= work;

	m->texts->left = can ? m->texts->left - work : 0;
	return can;
}

/* Sets the text of the entry to that of line `number` without the spaces around it. */
static void take_text(const struct matching *m, struct entry *entry, int number, const char **text,
		      size_t *length)
{
	const char *found = NULL;

	const struct model_diff_texts *from = m->texts->from;

	if (from && from->text && number > 0 && spend(m, LOOKUP))
		found = from->text(from->arg[entry->side], entry->process,
				   entry->line->location->file, number);
	*text = NULL;
	*length = 0;
	if (!found || !spend(m, strlen(found)))
		return;
	found += strspn(found, " \t\f");
	*length = strlen(found);
	while (*length && strchr(" \t\f\r", found[*length - 1]))
		--*length;
	*text = *length ? found : NULL; /* no code is on an empty line */
}

static int compare_pointers(const void *a, const void *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* The lines of one function of one program in one side become neighbours, from the top down. */
static int by_place(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = compare_pointers(a->process, b->process);

	if (!order)
		order = strcmp(a->line->location->file, b->line->location->file);
	if (!order)
		order = strcmp(a->line->location->function, b->line->location->function);
	return order ? order
		     : (a->line->location->line > b->line->location->line) -
			       (a->line->location->line < b->line->location->line);
}

static bool is_same_function(const struct entry *a, const struct entry *b)
{
	return a->process == b->process &&
	       !strcmp(a->line->location->file, b->line->location->file) &&
	       !strcmp(a->line->location->function, b->line->location->function);
}

static uint64_t hash_text(const char *text, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	while (length--)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ull;
	return hash;
}

/* Finds the texts and ranks of `count` lines of one function, the first of which is `group`.
 * `hashes` has room for WINDOW_LINES. */
static void rank_function(const struct matching *m, struct entry *group, size_t count,
			  uint64_t *hashes)
{
	int first = group->line->location->first_line, last;
	const char *text;
	size_t i, length;
	int at, known = 0;

	if (first < 1 || first > group->line->location->line)
		first = group->line->location->line;
	for (i = 0; i < count; i++) {
		m->texts->hurried += !m->texts->left;
		last = group[i].line->location->line;
		if (last < 1 || last - first >= WINDOW_LINES)
			continue;
		take_text(m, &group[i], last, &group[i].text, &group[i].text_length);
		if (!group[i].text)
			continue;
		for (; known <= last - first && m->texts->left; known++) {
			take_text(m, &group[i], first + known, &text, &length);
			hashes[known] = hash_text(text ? text : "", length);
		}
		if (!spend(m, (uint64_t)(last - first))) {
			group[i].text = NULL;
			continue;
		}
		for (at = 0; at < last - first; at++)
			group[i].rank += hashes[at] == hashes[last - first];
	}
}

static int rank_entries(struct matching *m)
{
	uint64_t *hashes = calloc(WINDOW_LINES, sizeof(*hashes));
	size_t first, end;

	if (!hashes)
		return -ENOMEM;
	if (m->count)
		qsort(m->entries, m->count, sizeof(*m->entries), by_place);
	for (first = 0; first < m->count; first = end) {
		for (end = first + 1; end < m->count; end++)
			if (!is_same_function(&m->entries[first], &m->entries[end]))
				break;
		rank_function(m, m->entries + first, end - first, hashes);
	}
	free(hashes);
	return 0;
}

/* --- rows --- */

static int compare_texts(const struct entry *a, const struct entry *b)
{
	size_t shorter = a->text_length < b->text_length ? a->text_length : b->text_length;
	int order;

	if (!a->text || !b->text)
		return (a->text == NULL) - (b->text == NULL);
	order = memcmp(a->text, b->text, shorter);
	return order ? order
		     : (a->text_length > b->text_length) - (a->text_length < b->text_length);
}

/* The order in which lines that are the same are neighbours. */
static int by_identity(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->file, b->file), x, y;

	if (!order)
		order = strcmp(a->function, b->function);
	if (!order)
		order = compare_texts(a, b);
	if (order)
		return order;
	x = a->text ? (int)a->rank : a->line->location->line;
	y = b->text ? (int)b->rank : b->line->location->line;
	return (x > y) - (x < y);
}

static uint64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
}

static void add_figures(struct model_diff_figures *sum, const struct model_diff_figures *more)
{
	sum->increment_bytes += more->increment_bytes;
	sum->grown_bytes += more->grown_bytes;
	sum->freed_bytes += more->freed_bytes;
	sum->copied_bytes += more->copied_bytes;
	sum->faults += more->faults;
	if (sum->resident_bytes < 0 || more->resident_bytes < 0)
		sum->resident_bytes = -1;
	else
		sum->resident_bytes += more->resident_bytes;
}

/* Adds the line to its row. */
static void add_entry(const struct matching *m, struct model_diff_line *row,
		      const struct entry *entry)
{
	const struct model_line *line = entry->line;
	uint64_t page = m->diff->side[entry->side].model->page_size;
	struct model_diff_figures figures = {
		.increment_bytes = line->increment_bytes,
		.grown_bytes = line->grown_bytes,
		.freed_bytes = line->freed_bytes,
		.copied_bytes = line->cow_faults * page,
		.faults = line->minor_faults + line->major_faults,
		.resident_bytes = line->resident_bytes,
	};
	struct model_diff_figures *sum = &row->side[entry->side];

	if (!row->at[entry->side] ||
	    size_of(line->increment_bytes) > size_of(sum->increment_bytes)) {
		row->at[entry->side] = line->location;
		row->process[entry->side] = entry->process;
	}
	row->text_known = row->text_known && entry->text;
	add_figures(sum, &figures);
}

/* Makes a row of each group of equal lines. */
static int make_rows(struct matching *m)
{
	struct model_diff_line *row;
	size_t i;

	if (m->count)
		qsort(m->entries, m->count, sizeof(*m->entries), by_identity);
	for (i = 0; i < m->count; i++) {
		if (!i || by_identity(&m->entries[i - 1], &m->entries[i])) {
			if (!ARRAY_HAS_ROOM(m->rows, m->row_count, m->row_room))
				return -ENOMEM;
			m->rows[m->row_count++] = (struct model_diff_line){.text_known = true};
		}
		row = &m->rows[m->row_count - 1];
		m->entries[i].row = m->row_count - 1;
		add_entry(m, row, &m->entries[i]);
	}
	for (i = 0; i < m->row_count; i++) {
		row = &m->rows[i];
		if (row->at[0] && row->at[1])
			row->match = row->text_known ? MODEL_DIFF_TEXT : MODEL_DIFF_NUMBER;
	}
	return 0;
}

/* --- lines whose text is unknown in one side only --- */

static int by_number(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->file, b->file);

	if (!order)
		order = strcmp(a->function, b->function);
	return order ? order
		     : (a->line->location->line > b->line->location->line) -
			       (a->line->location->line < b->line->location->line);
}

/* Joins two rows of one side each, if the text of one of them is unknown. True: `other` is part of
 * `one` now. */
static bool join_rows(struct matching *m, size_t one, size_t other)
{
	struct model_diff_line *a = &m->rows[one], *b = &m->rows[other];
	int side = a->at[MODEL_DIFF_B] ? MODEL_DIFF_B : MODEL_DIFF_A;
	int missing = !side;

	if (!a->at[side] || a->at[missing] || !b->at[missing] || b->at[side] ||
	    (a->text_known && b->text_known))
		return false;
	a->at[missing] = b->at[missing];
	a->process[missing] = b->process[missing];
	a->side[missing] = b->side[missing];
	a->text_known = false;
	a->match = MODEL_DIFF_NUMBER;
	*b = (struct model_diff_line){0};
	return true;
}

/* Takes out the rows that have become part of others. `joined`: which row each one is in. */
static void close_ranks(struct matching *m, size_t *joined)
{
	size_t i, kept = 0;

	for (i = 0; i < m->row_count; i++) {
		if (!m->rows[i].at[0] && !m->rows[i].at[1])
			continue;
		m->rows[kept] = m->rows[i];
		joined[i] = kept++;
	}
	m->row_count = kept;
}

static int join_by_number(struct matching *m)
{
	size_t *joined = calloc(m->row_count + 1, sizeof(*joined));
	size_t *moved = calloc(m->row_count + 1, sizeof(*moved));
	size_t i, j;

	if (!joined || !moved) {
		free(joined);
		free(moved);
		return -ENOMEM;
	}
	for (i = 0; i < m->row_count; i++)
		joined[i] = i;
	if (m->count)
		qsort(m->entries, m->count, sizeof(*m->entries), by_number);
	for (i = 0; i < m->count; i++)
		for (j = i + 1; j < m->count && j - i <= NAMESAKES &&
				!by_number(&m->entries[i], &m->entries[j]);
		     j++)
			if (m->entries[i].row != m->entries[j].row &&
			    join_rows(m, m->entries[i].row, m->entries[j].row))
				joined[m->entries[j].row] = m->entries[i].row;
	close_ranks(m, moved);
	for (i = 0; i < m->count; i++)
		m->entries[i].row = moved[joined[m->entries[i].row]];
	free(joined);
	free(moved);
	return 0;
}

/* Where a side has no such line, nothing of it is resident. */
static void settle_resident(struct matching *m, const struct model_diff_program *program)
{
	const struct model_process *process;
	size_t i;
	int side;

	for (side = 0; side < MODEL_DIFF_SIDES; side++) {
		process = program->side[side].process;
		for (i = 0; i < m->row_count; i++)
			if (!m->rows[i].at[side] && process && !process->resident_known)
				m->rows[i].side[side].resident_bytes = -1;
	}
}

/* Fills m->rows and m->entries. The caller frees them, whatever is returned: 0 or -ENOMEM. */
static int match(struct matching *m, struct model_diff_program *program,
		 const struct diff_unit *units, size_t count, size_t pair)
{
	size_t i;
	int err = model_diff_files_init(&m->files, units, count, pair);

	m->program = program;
	m->plain = needs_plain_names(units, count, pair);
	if (!err)
		model_diff_find_folders(program, &m->files);
	for (i = 0; i < count && !err; i++)
		if (units[i].pair == pair)
			err = collect(m, &units[i]);
	err = err ?: rank_entries(m);
	err = err ?: make_rows(m);
	err = err ?: join_by_number(m);
	model_diff_files_fini(&m->files);
	return err;
}

int model_diff_match_lines(struct model_diff_program *program, const struct diff_unit *units,
			   size_t count, size_t pair, const struct model_diff *diff,
			   struct diff_texts *texts)
{
	struct matching m = {.diff = diff, .texts = texts};
	int err = match(&m, program, units, count, pair);

	if (!err)
		settle_resident(&m, program);
	free(m.entries);
	program->lines = m.rows;
	program->line_count = err ? 0 : m.row_count;
	return err;
}

int model_diff_match_frames(struct model_diff_program *program, const struct diff_unit *units,
			    size_t count, size_t pair, const struct model_diff *diff,
			    struct diff_texts *texts, diff_frame_fn *fn, void *arg)
{
	struct matching m = {.diff = diff, .texts = texts, .all = true};
	int err = match(&m, program, units, count, pair);
	size_t i;

	program->frames = err ? NULL : calloc(m.row_count + 1, sizeof(*program->frames));
	err = err ?: program->frames ? 0 : -ENOMEM;
	for (i = 0; i < m.row_count && !err; i++)
		for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
			program->frames[i].at[side] = m.rows[i].at[side];
			program->frames[i].process[side] = m.rows[i].process[side];
		}
	program->frame_count = err ? 0 : m.row_count;
	for (i = 0; i < m.count && !err; i++)
		err = fn(m.entries[i].process, m.entries[i].line->location, m.entries[i].row, arg);
	free(m.rows);
	free(m.entries);
	return err;
}
