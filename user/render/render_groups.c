/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: who asks by container, by unit or by user wants to know which of them grows, and how far
 * it is from its limit, before he reads of any process or line.
 *
 * Rows come by growth, and add up: what has no row of its own is one row. If Pss is known of each
 * process that runs, it replaces RSS, so that no page counts twice. */
#include "render/render_groups.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/cgroup_name.h"
#include "render/render_host.h"
#include "render/render_memory.h"
#include "render/render_parts.h"

#define MIB	    (1024.0 * 1024)
#define NAME_MOST   48 /* "containerd:0123456789ab in docker:0123456789ab" */
#define NAME_SMALL  20
#define WHERE_MOST  36 /* UID of a Pod */
#define WHERE_SMALL 20 /* "docker… of user 1000" */
#define FIGURES	    36 /* columns of those that each row has */
#define PLACE_LEAST 20 /* columns of the top line */
#define PLACE_SMALL 8
#define LIVE_REST   8	  /* rows of a live screen that are none of the table */
#define LEAST	    52429 /* bytes: less is shown as 0.0 MiB */

const char *const render_by_names[] = {
	[MODEL_BY_LINE] = "",		[MODEL_BY_PROCESS] = "process",
	[MODEL_BY_PROGRAM] = "program", [MODEL_BY_CONTAINER] = "container",
	[MODEL_BY_UNIT] = "unit",	[MODEL_BY_USER] = "user",
};

static const struct {
	const char *title, *where; /* of columns; NULL: none */
	const char *none;	   /* what is in no such group */
} words[] = {
	[MODEL_BY_LINE] = {"PROGRAM", "WHERE", ""},
	[MODEL_BY_PROCESS] = {"PROCESS", "WHERE", ""},
	[MODEL_BY_PROGRAM] = {"PROGRAM", "WHERE", ""},
	[MODEL_BY_CONTAINER] = {"CONTAINER", "POD", "(no container)"},
	[MODEL_BY_UNIT] = {"UNIT", "CONTAINER", "(no unit)"},
	[MODEL_BY_USER] = {"USER", NULL, "(unknown)"},
};

/* What is known of containers' groups, and so has columns. */
struct known {
	bool used, limit, kills, pressure;
};

struct groups {
	FILE *out;
	const struct model *model;
	const struct render_options *options;
	struct group_sums sums;
	const struct group_sum **rows; /* by growth */
	size_t shown;
	double seconds;
	int64_t grown; /* by groups that grew */
	bool shared_once;
	struct known known;
	unsigned name, where; /* columns; `where` 0: it is not shown */
	bool place;	      /* there is room for the top line */
};

/* --- texts --- */

void groups_name(char *text, size_t size, enum model_by by, const struct group_sum *sum)
{
	char number[TEXT_PID];

	if (sum->rest)
		snprintf(text, size, "%s", GROUP_SUMS_REST);
	else if (!*sum->name)
		snprintf(text, size, "%s", words[by].none);
	else if (by != MODEL_BY_PROCESS)
		snprintf(text, size, "%s", sum->name);
	if (sum->rest || !*sum->name || by != MODEL_BY_PROCESS)
		return;
	text_pid(number, sizeof(number), sum->first->pid, sum->first->ns_pid, " ");
	snprintf(text, size, "PID %s %s", number, sum->name);
}

/* The group as the subject of a sentence. */
static void subject(char *text, size_t size, enum model_by by, const struct group_sum *sum)
{
	char name[GROUP_SUMS_NAME + 32];

	groups_name(name, sizeof(name), by, sum);
	if (sum->rest)
		snprintf(text, size, "What has no row of its own");
	else if (!*sum->name && by == MODEL_BY_USER)
		snprintf(text, size, "Processes of unknown users");
	else if (!*sum->name)
		snprintf(text, size, "What runs in no %s", render_by_names[by]);
	else if (by == MODEL_BY_USER)
		snprintf(text, size, "User %s", name);
	else if (*sum->where)
		snprintf(text, size, "%s (%s)", name, sum->where);
	else
		snprintf(text, size, "%s", name);
}

static void put_duration(FILE *out, double seconds)
{
	fprintf(out, "%.*f" NBSP "s", seconds < 10 ? 1 : 0, seconds);
}

/* --- the answer --- */

/* Writes where most of it was: " Most of it at FILE:LINE FUNCTION." */
static void put_line(FILE *out, const struct group_sum *sum)
{
	const struct group_line_sum *line = sum->lines;

	if (!sum->line_count || line->change_bytes < LEAST)
		return;
	fprintf(out, " %s at ",
		2 * line->change_bytes > sum->change_bytes ? "Most of it" : "First");
	parts_place(out, line->location, 0);
	if (2 * line->change_bytes <= sum->change_bytes)
		fprintf(out, " (%+.1f" NBSP "MiB)", (double)line->change_bytes / MIB);
	fputc('.', out);
}

/* Writes how far a container is from its limit, and what has happened there. */
static void put_limit(FILE *out, const struct groups *g, const struct group_sum *sum)
{
	const struct model_cgroup *cgroup =
		sum->first ? model_find_cgroup(g->model, sum->first->cgroup) : NULL;
	char used[40], limit[40];

	if (g->options->by != MODEL_BY_CONTAINER || !cgroup)
		return;
	if (cgroup->limit_bytes > 0 && cgroup->limited_bytes >= 0) {
		parts_amount(used, sizeof(used), cgroup->limited_bytes, false);
		parts_amount(limit, sizeof(limit), cgroup->limit_bytes, false);
		fprintf(out, " It uses %s of its limit of %s (%.0f" NBSP "%%).", used, limit,
			(double)cgroup->limited_bytes * 100 / (double)cgroup->limit_bytes);
	}
	if (cgroup->oom_kills > 0)
		fprintf(out, " %" PRId64 " of its processes %s killed for want of memory.",
			cgroup->oom_kills, cgroup->oom_kills == 1 ? "was" : "were");
}

/* Prints the sentence. 0 or -ENOMEM. */
static int print_answer(const struct groups *g)
{
	const struct group_sum *most = g->sums.count ? g->rows[0] : NULL;
	char *text = NULL, name[2 * GROUP_SUMS_NAME + 64], amount[40];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	if (!most || most->change_bytes < LEAST) {
		fprintf(out, "No %s grew in ", render_by_names[g->options->by]);
		put_duration(out, g->seconds);
		fputc('.', out);
	} else {
		subject(name, sizeof(name), g->options->by, most);
		parts_amount(amount, sizeof(amount), most->change_bytes, true);
		fprintf(out, "%s grew most: %s in ", name, amount);
		put_duration(out, g->seconds);
		fprintf(out, ", %.0f" NBSP "%% of what grew.",
			(double)most->change_bytes * 100 / (double)g->grown);
		put_line(out, most);
		put_limit(out, g, most);
	}
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	text_wrap(g->out, text, 0, g->options->width, 0);
	fputc('\n', g->out);
	free(text);
	return 0;
}

/* --- rows --- */

static int by_growth(const void *left, const void *right)
{
	const struct group_sum *a = *(const struct group_sum *const *)left;
	const struct group_sum *b = *(const struct group_sum *const *)right;

	if (a->change_bytes != b->change_bytes)
		return a->change_bytes < b->change_bytes ? 1 : -1;
	/* The order of the sums, which is one of names in the end. */
	return (a > b) - (a < b);
}

static void learn(struct groups *g, const struct group_sum *sum)
{
	const struct model_cgroup *cgroup =
		sum->first ? model_find_cgroup(g->model, sum->first->cgroup) : NULL;

	if (g->options->by != MODEL_BY_CONTAINER || !cgroup || !*sum->name)
		return;
	g->known.used |= cgroup->current_bytes >= 0;
	g->known.limit |= cgroup->limit_bytes > 0;
	g->known.kills |= cgroup->oom_kills > 0;
	g->known.pressure |= cgroup->pressure >= 0;
}

/* Columns of a row with a top line of the least width. */
static unsigned columns_of(const struct groups *g)
{
	return FIGURES + 10u * g->known.used + 17u * g->known.limit + 7u * g->known.kills +
	       10u * g->known.pressure + g->name + 2 + (g->where ? g->where + 2 : 0) + PLACE_LEAST;
}

/* Leaves out what matters least, until a row fits. */
static void fit(struct groups *g)
{
	unsigned width = g->options->width;

	g->place = true;
	if (!width)
		return;
	if (columns_of(g) > width && g->where > WHERE_SMALL)
		g->where = WHERE_SMALL;
	if (columns_of(g) > width)
		g->where = 0;
	if (columns_of(g) > width)
		g->known.pressure = false;
	if (columns_of(g) > width)
		g->known.used = false;
	if (columns_of(g) > width)
		g->known.kills = false;
	if (columns_of(g) > width && g->name > NAME_SMALL)
		g->name = NAME_SMALL;
	if (columns_of(g) - PLACE_LEAST > width)
		g->known.limit = false;
	g->place = columns_of(g) - PLACE_LEAST + PLACE_SMALL <= width;
}

static void limit_rows(struct groups *g)
{
	const struct render_options *o = g->options;
	size_t room = o->height > LIVE_REST ? o->height - LIVE_REST : 1;

	g->shown = g->sums.count;
	if (o->top && g->shown > o->top)
		g->shown = o->top;
	if (o->live && o->height && g->shown > room)
		g->shown = room;
}

/* Sorts the rows, and chooses columns. 0 or -ENOMEM. */
static int prepare(struct groups *g)
{
	const char *where = words[g->options->by].where;
	char name[GROUP_SUMS_NAME + 32];

	g->rows = calloc(g->sums.count + 1, sizeof(struct group_sum *));
	if (!g->rows)
		return -ENOMEM;
	g->name = (unsigned)strlen(words[g->options->by].title);
	g->shared_once = g->sums.count > 0;
	for (size_t i = 0; i < g->sums.count; i++) {
		const struct group_sum *sum = &g->sums.list[i];
		unsigned columns;

		g->rows[i] = sum;
		g->grown += sum->change_bytes > 0 ? sum->change_bytes : 0;
		g->shared_once &= sum->pss_bytes >= 0;
		groups_name(name, sizeof(name), g->options->by, sum);
		columns = text_columns(name);
		g->name = columns > g->name ? columns : g->name;
		columns = text_columns(sum->where);
		g->where = columns > g->where ? columns : g->where;
		learn(g, sum);
	}
	qsort(g->rows, g->sums.count, sizeof(struct group_sum *), by_growth);
	g->name = g->name < NAME_MOST ? g->name : NAME_MOST;
	g->where = g->where < WHERE_MOST ? g->where : WHERE_MOST;
	if (g->where && where && g->where < strlen(where))
		g->where = (unsigned)strlen(where);
	fit(g);
	limit_rows(g);
	return 0;
}

/* `end`: a part of the text, which is not cut; "" if it has none. */
static unsigned print_text(FILE *out, const char *text, const char *end, unsigned columns)
{
	unsigned used;

	if (!columns)
		return 0;
	used = text_print_ended(out, text, end, columns);
	fprintf(out, "%*s  ", (int)(columns - used), "");
	return columns + 2;
}

/* The name, and what is beside it. Whose a container or a unit is has room at any width. */
static unsigned print_name(const struct groups *g, const struct group_sum *sum)
{
	enum model_by by = g->options->by;
	char name[2 * GROUP_SUMS_NAME + 8];
	bool is_place = by == MODEL_BY_UNIT || by == MODEL_BY_CONTAINER;
	size_t own;

	groups_name(name, sizeof(name), by, sum);
	own = strlen(name);
	if (by == MODEL_BY_UNIT && !g->where && *sum->where)
		snprintf(name + own, sizeof(name) - own, " in %s", sum->where);
	return print_text(g->out, name, is_place ? cgroup_name_end(name) : "", g->name) +
	       print_text(g->out, sum->where, cgroup_name_end(sum->where), g->where);
}

static unsigned put_mib(FILE *out, int64_t bytes)
{
	if (bytes < 0)
		return (unsigned)fprintf(out, "%8s  ", "-");
	return (unsigned)fprintf(out, "%8.1f  ", (double)bytes / MIB);
}

/* The columns on a container's group; of a row without one (`cgroup` NULL), blanks. */
static unsigned print_cgroup(const struct groups *g, const struct model_cgroup *cgroup)
{
	static const struct model_cgroup none = {NULL, -1, -1, -1, -1, -1};
	unsigned used = 0;

	cgroup = cgroup ?: &none;
	if (g->known.used)
		used += put_mib(g->out, cgroup->current_bytes);
	if (g->known.limit)
		used += put_mib(g->out, cgroup->limit_bytes);
	if (g->known.limit && cgroup->limit_bytes > 0 && cgroup->limited_bytes >= 0)
		used += (unsigned)fprintf(g->out, "%4.0f%%  ",
					  (double)cgroup->limited_bytes * 100 /
						  (double)cgroup->limit_bytes);
	else if (g->known.limit)
		used += (unsigned)fprintf(g->out, "%5s  ", "-");
	if (g->known.kills && cgroup->oom_kills >= 0)
		used += (unsigned)fprintf(g->out, "%5" PRId64 "  ", cgroup->oom_kills);
	else if (g->known.kills)
		used += (unsigned)fprintf(g->out, "%5s  ", "-");
	if (g->known.pressure && cgroup->pressure >= 0)
		used += (unsigned)fprintf(g->out, "%7.1f%%  ", cgroup->pressure);
	else if (g->known.pressure)
		used += (unsigned)fprintf(g->out, "%8s  ", "-");
	return used;
}

static void print_titles(const struct groups *g)
{
	FILE *out = g->out;

	parts_style(out, g->options, STYLE_HEAD);
	fprintf(out, "%8s  %8s  %8s  %4s  ", "MiB", "/min", g->shared_once ? "PSS" : "RSS", "N");
	if (g->known.used)
		fprintf(out, "%8s  ", "USED");
	if (g->known.limit)
		fprintf(out, "%8s  %5s  ", "LIMIT", "OF IT");
	if (g->known.kills)
		fprintf(out, "%5s  ", "KILLS");
	if (g->known.pressure)
		fprintf(out, "%8s  ", "PRESSURE");
	print_text(out, words[g->options->by].title, "", g->name);
	print_text(out, words[g->options->by].where ?: "", "", g->where);
	if (g->place)
		fputs("TOP LINE", out);
	parts_style(out, g->options, STYLE_OFF);
	fputc('\n', out);
}

static void print_row(const struct groups *g, const struct group_sum *sum)
{
	int64_t rss = g->shared_once ? sum->pss_bytes : sum->rss_bytes;
	unsigned used, width = g->options->width;
	char rate[32] = "";

	if (g->seconds > 0)
		snprintf(rate, sizeof(rate), "%+.1f",
			 (double)sum->change_bytes / MIB * 60 / g->seconds);
	used = (unsigned)fprintf(g->out, "%+8.1f  %8s  %8.1f  %4zu  ",
				 (double)sum->change_bytes / MIB, rate, (double)rss / MIB,
				 sum->processes);
	used += print_cgroup(g, sum->first && *sum->name
					? model_find_cgroup(g->model, sum->first->cgroup)
					: NULL);
	used += print_name(g, sum);
	/* 0: as much as it takes. */
	if (width)
		width = used < width ? width - used : 1;
	if (g->place && sum->line_count && sum->lines->change_bytes > 0)
		parts_place(g->out, sum->lines->location, width);
	fputc('\n', g->out);
}

static void print_more(const struct groups *g)
{
	size_t more = g->sums.count - g->shown;
	int64_t change = 0;
	char text[128], amount[40];

	for (size_t i = g->shown; i < g->sums.count; i++)
		change += g->rows[i]->change_bytes;
	if (!more)
		return;
	parts_amount(amount, sizeof(amount), change, true);
	snprintf(text, sizeof(text), "and %zu more, %s%s", more, amount,
		 g->options->live ? "" : " (-n 0 shows all)");
	text_wrap(g->out, text, 0, g->options->width, 2);
	fputc('\n', g->out);
}

int render_groups(FILE *out, struct model *model, const struct render_options *options)
{
	struct groups g = {.out = out,
			   .model = model,
			   .options = options,
			   .seconds = model->end - model->start};
	struct render_options host = *options;
	int err = group_sums_make(model, options->by, SIZE_MAX, 1, &g.sums);

	if (err)
		return err;
	host.host = true;
	err = prepare(&g) ?: print_answer(&g) ?: render_host_line(out, model, &host);
	if (!err && g.sums.count) {
		print_titles(&g);
		for (size_t i = 0; i < g.shown; i++)
			print_row(&g, g.rows[i]);
		print_more(&g);
	}
	free(g.rows);
	group_sums_free(&g.sums);
	err = err ?: render_memory(out, model, options);
	if (err)
		return err;
	parts_tail(out, model, options);
	return parts_flush(out);
}
