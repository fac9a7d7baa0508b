/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A remainder without a reason reads as a mistake. Some reasons are known from the figures
 * themselves, and only those that apply are given. */
#include "render/render_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/memory_sums.h"
#include "os/cgroup_memory.h"
#include "render/render_answer.h"

#define GROUPS_SHOWN 8
#define PARTS_SHOWN  3
#define PART_LEAST   (64 << 10) /* bytes of a remainder that is named */
#define TABLE_LEAST  80		/* columns: in fewer, rows are sentences */
#define LABEL_WIDE   15
#define FIGURE_WIDE  13

struct memory_text {
	FILE *out; /* a text that is wrapped when it is whole */
	const struct model *model;
	const struct memory_sum *sum;
	bool first; /* of a list */
};

static uint64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
}

static void put_amount(FILE *out, int64_t bytes, bool sign, const char *what)
{
	char amount[40];

	parts_amount(amount, sizeof(amount), bytes, sign);
	fprintf(out, "%s%s", amount, what);
}

/* --- the remainder --- */

static void put_reason(struct memory_text *t, const char *text)
{
	fprintf(t->out, "%s%s", t->first ? " The remainder: " : "; ", text);
	t->first = false;
}

/* True if one of the rows is asked for, and its remainder is more than the kernel's figures may be
 * wrong, in that direction. */
static bool is_left(const struct memory_text *t, enum memory_row_id row, bool above)
{
	int64_t left = t->sum->rows[row].remainder;

	return t->sum->rows[row].counted && (above ? left : -left) > t->model->memory_batch;
}

static void put_others(struct memory_text *t)
{
	const struct memory_sum *sum = t->sum;
	bool capped = sum->group->end.processes >= CGROUP_PROCESSES;
	char text[128];

	if (sum->others > 0) {
		snprintf(text, sizeof(text), "%s%lld process%s of the group %s not watched",
			 capped ? "at least " : "", (long long)sum->others,
			 sum->others == 1 ? "" : "es", sum->others == 1 ? "is" : "are");
		put_reason(t, text);
	}
	if (sum->moved) {
		snprintf(text, sizeof(text),
			 "%lld process%s moved to another group: what %s since is here by lines",
			 (long long)sum->moved, sum->moved == 1 ? "" : "es",
			 sum->moved == 1 ? "it did" : "they did");
		put_reason(t, text);
	}
	if (sum->group->end.has_children && !sum->group->start.alone)
		put_reason(t, "groups below it are part of it, with processes that may not be "
			      "watched");
	if (t->model->unfolded.processes)
		put_reason(t, "some ended processes are only in a sum");
}

static void put_kernel_reasons(struct memory_text *t)
{
	int64_t objects = t->sum->parts[MEMORY_PART_OBJECTS].remainder;

	if (!t->sum->rows[MEMORY_KERNEL].counted)
		return;
	if (objects > t->model->memory_batch)
		put_reason(t, "what the kernel allocates in interrupts and in threads of its own "
			      "is counted for nobody");
	else if (-objects > t->model->memory_batch)
		put_reason(t, "of some objects the kernel does not tell that they are freed "
			      "(kfree_rcu())");
}

static void put_file_reasons(struct memory_text *t)
{
	if (is_left(t, MEMORY_FILES, false))
		put_reason(t, "files' pages that were there before have gone");
	else if (is_left(t, MEMORY_FILES, true))
		put_reason(t, "files' pages that others brought, or the kernel itself");
	if (t->sum->swapped && (is_left(t, MEMORY_FILES, false) || is_left(t, MEMORY_FILES, true)))
		put_reason(t, "swapped memory is in files as long as it is in the swap cache");
}

/* What a process had before its group was read is in what the group used at first, and in the
 * figures of the process, if that is profiled from its beginning. */
static void put_begin_reason(struct memory_text *t, bool whole)
{
	bool left = is_left(t, MEMORY_FILES, false) || is_left(t, MEMORY_KERNEL, false) ||
		    (whole && (is_left(t, MEMORY_ANON, false) || is_left(t, MEMORY_SHMEM, false)));

	if (left && t->sum->group->began)
		put_reason(t, "the group's first process is profiled from its beginning, so what "
			      "it used by the first reading is in that, too");
}

/* True if processes may have pages in common since a fork. */
static bool may_share(const struct memory_sum *sum)
{
	return !sum->group->began || sum->processes + sum->ended > 1 || sum->others > 0;
}

/* Of what --memory cgroup alone shows. */
static void put_rss_reasons(struct memory_text *t)
{
	char text[128], amount[40];

	if (is_left(t, MEMORY_ANON, false) && may_share(t->sum))
		put_reason(t, "pages that processes share after a fork are in RSS of each");
	if (is_left(t, MEMORY_ANON, true) && t->sum->copied_bytes) {
		parts_amount(amount, sizeof(amount), (int64_t)t->sum->copied_bytes, false);
		snprintf(text, sizeof(text), "%s were copied on write, which changes no RSS",
			 amount);
		put_reason(t, text);
	}
	if (is_left(t, MEMORY_ANON, true) && t->sum->ended)
		put_reason(t, "pages that an ended process shared after a fork may be there still");
	if (is_left(t, MEMORY_SHMEM, false) || is_left(t, MEMORY_SHMEM, true))
		put_reason(t, "shared memory is in RSS of who maps it, and in the group as long as "
			      "it exists");
}

/* Writes why there is a remainder, if there is one. */
static void put_reasons(struct memory_text *t, bool whole)
{
	const struct memory_sum *sum = t->sum;
	bool small = false, any = false;
	char text[128], amount[40];

	for (int i = 0; i < MEMORY_TOTAL; i++) {
		const struct memory_row *row = &sum->rows[i];
		bool shown = whole || i == MEMORY_FILES || i == MEMORY_KERNEL;

		if (!shown || !row->known || !row->counted || !row->remainder)
			continue;
		any = true;
		small |= size_of(row->remainder) <= (uint64_t)t->model->memory_batch;
	}
	/* A reason of another kind, which is told apart. */
	if (!any || sum->replaced)
		return;
	t->first = true;
	put_others(t);
	put_begin_reason(t, whole);
	put_kernel_reasons(t);
	put_file_reasons(t);
	if (whole)
		put_rss_reasons(t);
	if (small) {
		parts_amount(amount, sizeof(amount), t->model->memory_batch, false);
		snprintf(text, sizeof(text),
			 "the kernel adds up in batches, each figure may be wrong by %s", amount);
		put_reason(t, text);
	}
	if (!t->first)
		fputc('.', t->out);
}

static int by_remainder(const void *left, const void *right)
{
	uint64_t a = size_of((*(const struct memory_part *const *)left)->remainder);
	uint64_t b = size_of((*(const struct memory_part *const *)right)->remainder);

	return (a < b) - (a > b);
}

/* Writes of which kinds the remainder of the kernel's own memory is, the largest ones. */
static void put_parts(struct memory_text *t)
{
	const struct memory_part *parts[MEMORY_PART_COUNT];
	const char *lead = " (";

	/* Of v1 there is nothing to tell apart. */
	if (t->sum->group->end.v1)
		return;
	for (int i = 0; i < MEMORY_PART_COUNT; i++)
		parts[i] = &t->sum->parts[i];
	qsort(parts, MEMORY_PART_COUNT, sizeof(*parts), by_remainder);
	for (int i = 0; i < PARTS_SHOWN; i++) {
		if (size_of(parts[i]->remainder) < PART_LEAST)
			break;
		fputs(lead, t->out);
		put_amount(t->out, parts[i]->remainder, true, " ");
		fputs(memory_part_texts[parts[i] - t->sum->parts], t->out);
		lead = ", ";
	}
	if (*lead == ',')
		fputc(')', t->out);
}

/* --- what the kernel does not say --- */

static void put_unknown_parts(struct memory_text *t)
{
	const char *lead = " Not told apart by this kernel: ";

	for (int i = 0; i < MEMORY_PART_OBJECTS; i++) {
		/* Kernels that were built without compressed swap have nothing to tell. */
		if (t->sum->parts[i].known || i == MEMORY_PART_ZSWAP)
			continue;
		fprintf(t->out, "%s%s", lead, memory_part_texts[i]);
		lead = ", ";
	}
	if (*lead == ',')
		fputc('.', t->out);
}

/* Writes what of the group's figures is missing. `whole`: all kinds are asked for. */
static void put_unknown(struct memory_text *t, bool whole)
{
	const struct cgroup_stat *stat = &t->sum->group->end;
	const char *lead = " This kernel does not say of the group: ";

	if (stat->root) {
		fputs(" It is the root of all, of which the kernel keeps no sums.", t->out);
		return;
	}
	if (t->sum->removed) {
		fputs(" It was removed before the end: what it used then is not known.", t->out);
		return;
	}
	if (t->sum->replaced)
		fputs(" It was removed and made anew meanwhile, as that of a service that "
		      "restarts: what it used at first is the old one's.",
		      t->out);
	for (int i = 0; i < MEMORY_ROW_COUNT; i++) {
		const struct memory_row *row = &t->sum->rows[i];

		if (row->known ||
		    !(whole || ((i == MEMORY_FILES || i == MEMORY_KERNEL) && row->counted)))
			continue;
		fprintf(t->out, "%s%s", lead, memory_row_texts[i]);
		lead = ", ";
	}
	if (*lead == ',')
		fputc('.', t->out);
	if (!t->sum->kernel_known || !t->sum->rows[MEMORY_KERNEL].counted)
		return;
	if (stat->v1)
		fputs(" Control groups of version 1 do not say of which kinds the kernel's memory "
		      "is.",
		      t->out);
	else
		put_unknown_parts(t);
	if (stat->derived)
		fputs(" This kernel has no figure of its own memory: what is neither anonymous, "
		      "nor files, nor data in sockets.",
		      t->out);
}

/* --- in sentences --- */

static void put_row(struct memory_text *t, enum memory_row_id id, const char *lead)
{
	const struct memory_row *row = &t->sum->rows[id];

	fprintf(t->out, "%s%s ", lead, memory_row_texts[id]);
	put_amount(t->out, row->end, false, ", ");
	put_amount(t->out, row->end - row->start, true, "");
	if (row->counted) {
		fputs(": ", t->out);
		put_amount(t->out, row->lines, true, " by lines, ");
		put_amount(t->out, row->no_line, true, " by no line, ");
		if (row->ended)
			put_amount(t->out, row->ended, true, " with processes that ended, ");
		put_amount(t->out, row->remainder, true, " remainder");
	}
	if (id == MEMORY_KERNEL && row->counted)
		put_parts(t);
}

/* As in memory_sum.group, for people: the hierarchy of v1 has no name there. */
static const char *path_of(const struct memory_sum *sum)
{
	const char *path = sum->group->path;
	size_t named = strlen(CGROUP_MEMORY_V1);

	return strncmp(path, CGROUP_MEMORY_V1, named) ? path : path + named;
}

static void put_sentences(struct memory_text *t, bool whole)
{
	const char *lead = " ";
	char path[512];

	text_escape(path, sizeof(path), path_of(t->sum));
	fprintf(t->out, "Control group %s:", path);
	for (int i = 0; i < MEMORY_ROW_COUNT; i++) {
		if (!t->sum->rows[i].known ||
		    !(whole ||
		      ((i == MEMORY_FILES || i == MEMORY_KERNEL) && t->sum->rows[i].counted)))
			continue;
		put_row(t, i, lead);
		lead = "; ";
	}
	if (*lead == ';')
		fputc('.', t->out);
	put_reasons(t, whole);
	put_unknown(t, whole);
}

/* --- as a table --- */

static void put_figure(FILE *out, bool known, int64_t bytes)
{
	char text[40] = "-";

	if (known)
		parts_size(text, sizeof(text), bytes, true);
	fprintf(out, "  %*s", FIGURE_WIDE - 2, text);
}

static void print_row(FILE *out, const struct memory_sum *sum, int id,
		      const struct render_options *options)
{
	const struct memory_row *row = &sum->rows[id];
	unsigned used = LABEL_WIDE + 5 * FIGURE_WIDE + 2, width = options->width;

	fprintf(out, "  %-*s", LABEL_WIDE - 2, memory_row_texts[id]);
	put_figure(out, row->known, row->end - row->start);
	put_figure(out, row->counted, row->lines);
	put_figure(out, row->counted, row->no_line);
	put_figure(out, row->counted, row->ended);
	put_figure(out, row->known, row->remainder);
	if (row->most && row->most_bytes && (!width || width > used + 12)) {
		fputs("  ", out);
		parts_place(out, row->most, width ? width - used : 0);
	}
	fputc('\n', out);
}

/* The head of a group's table: what it uses, and who is in it. */
static void put_head(struct memory_text *t)
{
	const struct memory_row *total = &t->sum->rows[MEMORY_TOTAL];
	char path[512];

	text_escape(path, sizeof(path), path_of(t->sum));
	fprintf(t->out, "Control group %s: ", path);
	if (total->known) {
		put_amount(t->out, total->start, false, " → ");
		put_amount(t->out, total->end, false, ", ");
		put_amount(t->out, total->end - total->start, true, "; ");
	}
	fprintf(t->out, "%zu process%s watched", t->sum->processes,
		t->sum->processes == 1 ? "" : "es");
	if (t->sum->ended)
		fprintf(t->out, ", %zu more ended", t->sum->ended);
}

static int print_text(struct answer_text *text, FILE *out, const struct render_options *options)
{
	int err = answer_text_end(text);

	if (err)
		return err;
	/* Sentences begin with the blank that is between them. */
	if (*text->data) {
		text_wrap(out, text->data + (*text->data == ' '), 0, options->width, 2);
		fputc('\n', out);
	}
	free(text->data);
	return 0;
}

static void print_rows(const struct memory_text *t, FILE *out, const struct render_options *options)
{
	parts_style(out, options, STYLE_HEAD);
	fprintf(out, "  %-*s  %*s  %*s  %*s  %*s  %*s", LABEL_WIDE - 2, "Change", FIGURE_WIDE - 2,
		"Kernel's", FIGURE_WIDE - 2, "By lines", FIGURE_WIDE - 2, "No line",
		FIGURE_WIDE - 2, "Ended", FIGURE_WIDE - 2, "Remainder");
	if (!options->width || options->width > LABEL_WIDE + 5 * FIGURE_WIDE + 14)
		fputs("  Mostly by", out);
	parts_style(out, options, STYLE_OFF);
	fputc('\n', out);
	for (int i = 0; i < MEMORY_ROW_COUNT; i++)
		print_row(out, t->sum, i, options);
}

static int print_table(struct memory_text *t, FILE *out, const struct render_options *options)
{
	struct answer_text text;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	t->out = text.out;
	put_head(t);
	err = print_text(&text, out, options);
	if (!err && !t->sum->group->end.root)
		print_rows(t, out, options);
	err = err ?: answer_text_begin(&text);
	if (err)
		return err;
	t->out = text.out;
	put_reasons(t, true);
	put_unknown(t, true);
	return print_text(&text, out, options);
}

static int print_sentences(struct memory_text *t, FILE *out, const struct render_options *options)
{
	struct answer_text text;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	t->out = text.out;
	put_sentences(t, options->cgroup);
	return print_text(&text, out, options);
}

static void print_rest(FILE *out, const struct render_options *options, size_t more)
{
	char text[160];

	snprintf(text, sizeof(text), "and %zu more control group%s (-n 0 shows all)", more,
		 more == 1 ? "" : "s");
	text_wrap(out, text, 0, options->width, 2);
	fputc('\n', out);
}

int render_memory(FILE *out, const struct model *model, const struct render_options *options)
{
	bool table = options->cgroup && (!options->width || options->width >= TABLE_LEAST);
	struct memory_sums sums;
	size_t shown = options->top ? GROUPS_SHOWN : SIZE_MAX;
	int err;

	if (!model->memory_group_count || options->live)
		return 0;
	err = memory_sums_make(model, table ? shown : 0, &sums);
	if (err)
		return err;
	if (sums.count < shown)
		shown = sums.count;
	if (shown)
		fputc('\n', out);
	for (size_t i = 0; i < shown && !err; i++) {
		struct memory_text t = {.model = model, .sum = &sums.list[i]};

		err = table ? print_table(&t, out, options) : print_sentences(&t, out, options);
	}
	if (!err && sums.count > shown)
		print_rest(out, options, sums.count - shown);
	memory_sums_free(&sums);
	return err;
}
