/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a host has some hundred Pythons, of which few grow. A reader wants to know which
 * programs grow before he reads of any process.
 *
 * Processes of one program at one place (a container, a service) are one row. The growth of a
 * program is the sum over its processes that run: one that has ended needs no memory any more. If
 * Pss is known of each process it replaces RSS, so that shared pages count once. */
#include "render/render_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/cgroup_name.h"
#include "model/program.h"
#include "model/program_label.h"
#include "render/render_parts.h"

/* A change of less is not worth a row: an import, a cache. */
#define CHANGE_LEAST (64 * 1024)
#define MIB	     (1024.0 * 1024)
#define GAP	     NBSP NBSP " " /* three columns, where a line may end */
#define PLACE_LEAST  20		   /* columns of the top line */
#define NAME_MOST    24
#define WHERE_MOST   24

struct row { /* a program at a place */
	struct program program;
	char name[64], where[CGROUP_PLACE_MAX];
	bool container;
	size_t processes;
	int64_t growth, rss;
	const struct model_line *top; /* the line that grew most; NULL: none grew */
	int64_t top_bytes;
};

struct host {
	const struct model *model;
	struct row *rows;
	size_t count, programs, containers, processes;
	size_t *row_of; /* by process: index of its row; -1: it has ended */
	int64_t growth, rss;
	bool shared_once;
};

/* A line of a process, and the row that it belongs to. */
struct found {
	size_t row;
	const struct model_line *line;
};

static int64_t change_of(const struct model_process *process)
{
	return process->rss_end_bytes - process->rss_start_bytes;
}

/* Processes of a server have the same name where they have set titles, which differ. */
static bool is_same(const struct row *a, const struct row *b)
{
	bool titles = a->program.kind == PROGRAM_OTHER && b->program.kind == PROGRAM_OTHER;

	return !strcmp(a->name, b->name) && (titles || program_same(&a->program, &b->program));
}

/* The row of the process; a new one if there is none. */
static struct row *row_for(struct host *h, const struct model_process *process)
{
	struct row new = {}, *row;

	program_parse(&new.program, process->cmdline, process->comm);
	program_label(&new.program, new.name, sizeof(new.name));
	new.container = cgroup_name(process->cgroup, new.where, sizeof(new.where));
	for (row = h->rows; row < h->rows + h->count; row++)
		if (is_same(row, &new) && !strcmp(row->where, new.where))
			return row;
	h->rows[h->count] = new;
	return &h->rows[h->count++];
}

static void add_process(struct host *h, size_t i)
{
	const struct model_process *process = h->model->processes[i];
	int64_t rss = h->shared_once ? process->pss_bytes : process->rss_end_bytes;
	struct row *row = row_for(h, process);

	h->row_of[i] = (size_t)(row - h->rows);
	h->processes++;
	row->processes++;
	row->growth += change_of(process);
	row->rss += rss;
	h->growth += change_of(process);
	h->rss += rss;
}

/* How many different programs, and containers, the rows have. */
static void count_rows(struct host *h)
{
	size_t i, j;

	for (i = 0; i < h->count; i++) {
		for (j = 0; j < i && !is_same(&h->rows[j], &h->rows[i]); j++)
			;
		h->programs += j == i;
		for (j = 0; j < i && strcmp(h->rows[j].where, h->rows[i].where) != 0; j++)
			;
		h->containers += j == i && h->rows[i].container;
	}
}

static int by_place(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	const struct model_location *p = x->line->location, *q = y->line->location;
	int order;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	order = strcmp(p->file, q->file);
	if (!order)
		order = (p->line > q->line) - (p->line < q->line);
	return order ? order : strcmp(p->function, q->function);
}

/* Lines of all processes, in the order of rows and places. `*count` becomes their number. The
 * caller frees them. NULL: out of memory. */
static struct found *list_lines(const struct host *h, size_t *count)
{
	const struct model *model = h->model;
	struct found *all;
	size_t i, j, n = 0;

	for (i = 0; i < model->process_count; i++)
		n += model->processes[i]->line_count;
	all = calloc(n + 1, sizeof(*all));
	for (i = n = 0; all && i < model->process_count; i++) {
		const struct model_process *process = model->processes[i];

		for (j = 0; j < process->line_count && h->row_of[i] != (size_t)-1; j++)
			if (process->lines[j].increment_bytes)
				all[n++] = (struct found){h->row_of[i], &process->lines[j]};
	}
	if (all)
		qsort(all, n, sizeof(*all), by_place);
	*count = n;
	return all;
}

/* Finds the line of each row that grew most in all its processes together. 0 or -ENOMEM. */
static int find_tops(struct host *h)
{
	size_t count, i, next;
	struct found *all = list_lines(h, &count);

	if (!all)
		return -ENOMEM;
	for (i = 0; i < count; i = next) {
		struct row *row = &h->rows[all[i].row];
		int64_t sum = 0;

		for (next = i; next < count && !by_place(&all[i], &all[next]); next++)
			sum += all[next].line->increment_bytes;
		if (sum <= row->top_bytes)
			continue;
		row->top_bytes = sum;
		row->top = all[i].line;
	}
	free(all);
	return 0;
}

static int by_growth(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->growth != y->growth)
		return x->growth < y->growth ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* Gathers the processes that run into rows, the largest growth first. `tops`: also finds the line
 * of each row that grew most. 0: the caller frees `rows` and `row_of`; or -ENOMEM. */
static int gather(struct host *h, const struct model *model, bool tops)
{
	size_t i;

	*h = (struct host){.model = model, .shared_once = model->process_count > 0};
	h->rows = calloc(model->process_count + 1, sizeof(*h->rows));
	h->row_of = calloc(model->process_count + 1, sizeof(*h->row_of));
	for (i = 0; i < model->process_count; i++)
		h->shared_once &=
			model->processes[i]->exited || model->processes[i]->pss_bytes >= 0;
	for (i = 0; h->rows && h->row_of && i < model->process_count; i++) {
		h->row_of[i] = (size_t)-1;
		if (!model->processes[i]->exited)
			add_process(h, i);
	}
	if (h->rows && h->row_of && (!tops || !find_tops(h))) {
		count_rows(h);
		qsort(h->rows, h->count, sizeof(*h->rows), by_growth);
		return 0;
	}
	free(h->rows);
	free(h->row_of);
	return -ENOMEM;
}

/* "48 MiB", "1.2 GiB", with a no-break space. */
static void amount(char *text, size_t size, int64_t bytes)
{
	if (bytes >= 1000 * MIB)
		snprintf(text, size, "%.1f" NBSP "GiB", (double)bytes / (1024 * MIB));
	else
		parts_amount(text, size, bytes, false);
}

static void count_of(char *text, size_t size, size_t count, const char *what)
{
	snprintf(text, size, "%zu" NBSP "%s%s", count, what, count == 1 ? "" : "s");
}

/* Prints how many Pythons the host has, their RSS and their growth, in one line. */
static void print_head(FILE *out, const struct host *h, double seconds,
		       const struct render_options *options)
{
	char text[512], pythons[48], programs[48], containers[64] = "", more[48], rss[48],
						   grown[48];
	char rate[64] = "";

	count_of(pythons, sizeof(pythons), h->processes, "Python");
	count_of(programs, sizeof(programs), h->programs, "program");
	if (h->containers) {
		count_of(more, sizeof(more), h->containers, "container");
		snprintf(containers, sizeof(containers), ", %s", more);
	}
	amount(rss, sizeof(rss), h->rss);
	parts_amount(grown, sizeof(grown), h->growth, true);
	if (seconds > 0)
		snprintf(rate, sizeof(rate), " (%+.1f/min)",
			 (double)h->growth / MIB * 60 / seconds);
	snprintf(text, sizeof(text),
		 "%s, %s%s" GAP "%.*f" NBSP "s" GAP "RSS" NBSP "%s%s" GAP "%s%s", pythons, programs,
		 containers, seconds < 10 ? 1 : 0, seconds, rss,
		 h->shared_once ? " (shared once)" : "", grown, rate);
	parts_style(out, options, STYLE_HEAD);
	text_wrap(out, text, 0, options->width, 2);
	parts_style(out, options, STYLE_OFF);
	fputs("\n", out);
}

/* Sets the columns of the two texts of a row, so that the rows align and the top line has some
 * room. `*where` becomes 0 if no row has a place. */
static void lay_out(const struct host *h, size_t shown, unsigned *name, unsigned *where)
{
	*name = 7;
	*where = 0;
	for (size_t i = 0; i < shown; i++) {
		unsigned n = text_columns(h->rows[i].name), w = text_columns(h->rows[i].where);

		*name = n > *name ? n : *name;
		*where = w > *where ? w : *where;
	}
	*name = *name < NAME_MOST ? *name : NAME_MOST;
	*where = *where < WHERE_MOST ? *where : WHERE_MOST;
	/* The title WHERE has five columns. */
	if (*where && *where < 5)
		*where = 5;
}

/* `end`: a part of the text, which is not cut; "" if it has none. */
static void print_text(FILE *out, const char *text, const char *end, unsigned columns)
{
	unsigned used;

	if (!columns)
		return;
	used = text_print_ended(out, text, end, columns);
	fprintf(out, "%*s  ", (int)(columns - used), "");
}

static void print_row(FILE *out, const struct row *row, double seconds, unsigned name,
		      unsigned where, unsigned width)
{
	char rate[32] = "";
	unsigned used;

	if (seconds > 0)
		snprintf(rate, sizeof(rate), "%+.1f", (double)row->growth / MIB * 60 / seconds);
	used = (unsigned)fprintf(out, "%+8.1f  %8s  %8.1f  %4zu  ", (double)row->growth / MIB, rate,
				 (double)row->rss / MIB, row->processes);
	print_text(out, row->name, "", name);
	print_text(out, row->where, cgroup_name_end(row->where), where);
	used += name + 2 + (where ? where + 2 : 0);
	if (row->top)
		parts_place(out, row->top->location,
			    !width			 ? 0
			    : width > used + PLACE_LEAST ? width - used
							 : PLACE_LEAST);
	fputc('\n', out);
}

static void print_rows(FILE *out, const struct host *h, double seconds,
		       const struct render_options *options)
{
	size_t grown = 0, shown, i;
	unsigned name, where;

	while (grown < h->count && h->rows[grown].growth >= CHANGE_LEAST)
		grown++;
	shown = options->top && grown > options->top ? options->top : grown;
	if (!shown) {
		fputs("no program grew\n", out);
		return;
	}
	lay_out(h, shown, &name, &where);
	parts_style(out, options, STYLE_HEAD);
	/* The title says if it is PSS: sections below show RSS, which counts shared pages for each
	 * process. */
	fprintf(out, "%8s  %8s  %8s  %4s  ", "MiB", "/min", h->shared_once ? "PSS" : "RSS", "N");
	print_text(out, "PROGRAM", "", name);
	print_text(out, "WHERE", "", where);
	fputs("TOP LINE", out);
	parts_style(out, options, STYLE_OFF);
	fputc('\n', out);
	for (i = 0; i < shown; i++)
		print_row(out, &h->rows[i], seconds, name, where, options->width);
	if (shown < grown)
		fprintf(out, "and %zu more program%s that grew%s\n", grown - shown,
			grown - shown == 1 ? "" : "s", options->live ? "" : " (-n 0 shows all)");
}

int render_host_line(FILE *out, const struct model *model, const struct render_options *options)
{
	struct host h;
	int err = options->host ? gather(&h, model, false) : 0;

	if (err || !options->host)
		return err;
	print_head(out, &h, model->end - model->start, options);
	free(h.rows);
	free(h.row_of);
	return 0;
}

int render_host(FILE *out, const struct model *model, const struct render_options *options)
{
	double seconds = model->end - model->start;
	struct host h;
	int err;

	if (!options->host)
		return 0;
	err = gather(&h, model, true);
	if (err)
		return err;
	print_head(out, &h, seconds, options);
	print_rows(out, &h, seconds, options);
	fputc('\n', out);
	free(h.rows);
	free(h.row_of);
	return 0;
}

bool render_host_shows(const struct model_process *process, const struct render_options *options)
{
	return !options->host || options->every || llabs(change_of(process)) >= CHANGE_LEAST;
}

void render_host_rest(FILE *out, const struct model *model, const struct render_options *options)
{
	size_t rest = 0, i;
	char text[128];

	for (i = 0; i < model_row_count(model); i++)
		if (!render_host_shows(model_row(model, i), options))
			rest += model_row(model, i)->folded ?: 1;
	if (!rest)
		return;
	snprintf(text, sizeof(text), "%zu other%s did not change by as much as 64" NBSP "KiB%s",
		 rest, rest == 1 ? "" : "s", options->live ? "" : " (-v lists them)");
	text_wrap(out, text, 0, options->width, 2);
	fputc('\n', out);
}
