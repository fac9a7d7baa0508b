/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tree of calls of a page, and what each stack is worth.
 *
 * A page of 100,000 stacks has a million frames, so a frame takes few bytes: the tree is a walk. A
 * number from 0 on is a step to a callee, and says which place that is; below 0 it says how many
 * frames the walk goes back. Figures belong to few frames, the innermost ones of stacks: for each
 * metric two lists, of frames (each as the distance to the one before) and of amounts.
 *
 * Invariant: the amounts of a metric add up to what the report has of it (stack_rows.h). */
#include "render/page_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* --- the rows of a model --- */

struct walk {
	page_row_fn *fn;
	void *arg;
	bool all, truncated; /* all stacks of a process; or which of them come now */
};

static int pass_on(const struct stack_row *row, void *arg)
{
	const struct walk *walk = arg;
	const struct page_row passed = {.of = row, .amounts = {row->amounts}};

	return walk->all || row->truncated == walk->truncated ? walk->fn(&passed, walk->arg) : 0;
}

/* Of a process, stacks whose callers are missing come last, since they are below a frame of their
 * own. So a thread may come twice: who reads the page puts together what has the same place. */
static int each_of_model(struct page *page, page_row_fn *fn, void *arg)
{
	struct walk walk = {.fn = fn, .arg = arg};
	const struct model *model = page->model;
	size_t i;
	int err = 0;

	for (i = 0; i < 2 * model_row_count(model) && !err; i++) {
		walk.truncated = i % 2;
		err = stack_rows_of(model, model_row(model, i / 2), pass_on, &walk);
	}
	walk.all = true;
	return err ?: stack_rows_unfolded(model, pass_on, &walk);
}

static ssize_t number_of_text(struct page *page, const char *text)
{
	return page_place(page, &(struct page_place){.text = text});
}

static ssize_t path_of_model(struct page *page, const void *of, size_t path[PAGE_DEPTH])
{
	const struct stack_row *row = of;
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	unsigned count = stack_row_frames(row, frames), depth = 0;
	ssize_t number = page_place(page, &(struct page_place){.process = row->process});

	if (number >= 0) {
		path[depth++] = number;
		if (row->thread)
			number = path[depth++] =
				page_place(page, &(struct page_place){.location = row->thread});
	}
	if (number >= 0 && row->truncated)
		number = path[depth++] = number_of_text(page, STACK_ROW_TRUNCATED);
	while (count-- && number >= 0)
		number = path[depth++] =
			page_place(page, &(struct page_place){.location = frames[count]});
	if (row->instead && number >= 0)
		number = path[depth++] = number_of_text(page, row->instead);
	return number < 0 ? number : (ssize_t)depth;
}

/* Notes which frame the row's node has, for what is known of its times. Nodes further out have no
 * figures, or have rows of their own. */
static int note_frame(struct page *page, const void *of, size_t frame)
{
	struct page_frames *frames = &page->frames;
	const struct stack_row *row = of;

	if (!page->options->timeline || !row->node)
		return 0;
	if (!ARRAY_HAS_ROOM(frames->list, frames->count, frames->room))
		return -ENOMEM;
	frames->list[frames->count++] = (struct page_frame){row->process, row->node, frame};
	return 0;
}

static const struct model *model_of_page(const struct page *page, int side)
{
	(void)side;
	return page->model;
}

const struct page_rows page_rows_of_model = {
	.sides = 1,
	.each = each_of_model,
	.path = path_of_model,
	.note = note_frame,
	.model = model_of_page,
};

/* --- the tree --- */

struct tree {
	struct page *page;
	size_t places[PAGE_DEPTH], frames[PAGE_DEPTH]; /* of the stack before, outermost first */
	unsigned depth;
	size_t count;	/* frames so far */
	size_t *of_row; /* the innermost frame of each row */
	size_t row_count, room;
	bool more; /* not the first number */
};

static void put_number(FILE *out, int64_t number, bool *more)
{
	if (*more)
		fputc(',', out);
	*more = true;
	json_put_number(out, number);
}

static int by_node(const void *left, const void *right)
{
	const struct page_frame *a = left, *b = right;
	uintptr_t one = (uintptr_t)a->process, other = (uintptr_t)b->process;

	if (one != other)
		return one < other ? -1 : 1;
	return (a->node > b->node) - (a->node < b->node);
}

int64_t page_frame(const struct page *page, const struct model_process *process, size_t node)
{
	const struct page_frame wanted = {process, node, 0}, *found = NULL;

	if (page->frames.count)
		found = bsearch(&wanted, page->frames.list, page->frames.count, sizeof(wanted),
				by_node);
	return found ? (int64_t)found->frame : -1;
}

static int put_steps(const struct page_row *row, void *arg)
{
	struct tree *tree = arg;
	FILE *out = tree->page->out;
	size_t path[PAGE_DEPTH];
	const struct page_rows *rows = tree->page->rows;
	ssize_t depth = rows->path(tree->page, row->of, path);
	unsigned common = 0;

	if (depth < 0)
		return (int)depth;
	if (!ARRAY_HAS_ROOM(tree->of_row, tree->row_count, tree->room))
		return -ENOMEM;
	while (common < tree->depth && common < depth && tree->places[common] == path[common])
		common++;
	if (common < tree->depth)
		put_number(out, (int64_t)common - tree->depth, &tree->more);
	for (tree->depth = common; tree->depth < depth; tree->depth++) {
		put_number(out, path[tree->depth], &tree->more);
		tree->places[tree->depth] = path[tree->depth];
		tree->frames[tree->depth] = tree->count++;
	}
	tree->of_row[tree->row_count++] = tree->frames[depth - 1];
	if (rows->note && rows->note(tree->page, row->of, tree->frames[depth - 1]))
		return -ENOMEM;
	return ferror(out) ? -EIO : 0;
}

/* --- figures --- */

struct figures {
	struct page *page;
	enum render_metric metric;
	int side;
	const size_t *of_row;
	size_t row;   /* that comes next */
	int64_t last; /* frame of the amount before */
	int64_t unit, total;
	bool derived, more;
};

static int look(const struct page_row *row, void *arg)
{
	struct figures *f = arg;
	const int64_t *amounts = row->amounts[f->side];

	f->total += amounts[f->metric];
	if (amounts[f->metric] % f->unit)
		f->unit = 1;
	f->derived &= amounts[RENDER_NET] == amounts[RENDER_GROWN] - amounts[RENDER_FREED];
	return 0;
}

static int put_frame(const struct page_row *row, void *arg)
{
	struct figures *f = arg;
	int64_t frame = (int64_t)f->of_row[f->row++];

	if (row->amounts[f->side][f->metric]) {
		put_number(f->page->out, frame - f->last, &f->more);
		f->last = frame;
	}
	return ferror(f->page->out) ? -EIO : 0;
}

static int put_amount(const struct page_row *row, void *arg)
{
	struct figures *f = arg;
	int64_t amount = row->amounts[f->side][f->metric];

	if (amount)
		put_number(f->page->out, amount / f->unit, &f->more);
	return ferror(f->page->out) ? -EIO : 0;
}

/* Writes what one side has of a metric. The net amount of each row is left out where it follows
 * from the other two. */
static int put_side(struct page *page, enum render_metric metric, int side, const size_t *of_row)
{
	const struct page_rows *rows = page->rows;
	struct figures f = {
		.page = page, .metric = metric, .side = side, .of_row = of_row, .derived = true};
	FILE *out = page->out;
	int err;

	f.unit = strcmp(stack_metric_unit(metric), "bytes")
			 ? 1
			 : (int64_t)rows->model(page, side)->page_size;
	err = rows->each(page, look, &f);
	fputs("\"unit\":", out);
	json_put_number(out, f.unit);
	fputs(",\"total\":", out);
	json_put_number(out, f.total);
	if (metric != RENDER_NET || !f.derived) {
		fputs(",\"at\":[", out);
		if (!err)
			err = rows->each(page, put_frame, &f);
		fputs("],\"amount\":[", out);
		f.more = false;
		if (!err)
			err = rows->each(page, put_amount, &f);
		fputc(']', out);
	}
	return err;
}

/* Writes the figures of one metric: of a diff those of both sides, and it is known if they are. */
static int put_metric(struct page *page, enum render_metric metric, const size_t *of_row)
{
	const struct page_rows *rows = page->rows;
	/* Diffs leave out what is counted only if it is asked for. */
	bool known = rows->sides == 1 || metric <= RENDER_RESIDENT;
	int side, err = 0;

	for (side = 0; side < rows->sides; side++)
		known &= stack_metric_known(rows->model(page, side), metric);
	fprintf(page->out, "\"%s\":{\"known\":%s,", stack_metric_names[metric],
		known ? "true" : "false");
	for (side = 0; side < rows->sides && !err; side++) {
		if (rows->sides > 1)
			fprintf(page->out, "%s\"%c\":{", side ? "," : "", 'a' + side);
		err = put_side(page, metric, side, of_row);
		if (rows->sides > 1)
			fputc('}', page->out);
	}
	fputc('}', page->out);
	return err;
}

int page_put_stacks(struct page *page)
{
	struct tree tree = {.page = page};
	int err, metric;

	fputs(",\n\"tree\":[", page->out);
	err = page->rows->each(page, put_steps, &tree);
	if (page->frames.count)
		qsort(page->frames.list, page->frames.count, sizeof(*page->frames.list), by_node);
	fputs("],\n\"figures\":{", page->out);
	for (metric = RENDER_GROWN; metric < RENDER_METRICS && !err; metric++) {
		fputs(metric == RENDER_GROWN ? "\n" : ",\n", page->out);
		err = put_metric(page, metric, tree.of_row);
	}
	fputc('}', page->out);
	free(tree.of_row);
	return err;
}
