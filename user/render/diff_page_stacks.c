/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stacks of a diff as rows of a page: each with what both sides have of it. What belongs to no
 * line is a row with a text in place of frames, as in stack_rows.h, but of a program as a whole, as
 * the table and the JSON have it.
 *
 * Invariant: of each side, the net amounts of all rows add up to the change of RSS. */
#include "render/diff_page.h"

struct diff_row {
	const struct model_diff_program *program; /* NULL: processes that were gathered */
	uint32_t node;				  /* 0: it has no frames */
	const char *instead;			  /* stands for frames; a constant */
	int64_t amounts[MODEL_DIFF_SIDES][RENDER_METRICS];
};

static int pass_on(const struct diff_row *row, page_row_fn *fn, void *arg)
{
	const struct page_row passed = {.of = row, .amounts = {row->amounts[0], row->amounts[1]}};

	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		for (int i = 1; i < RENDER_METRICS; i++)
			if (row->amounts[side][i])
				return fn(&passed, arg);
	return 0;
}

/* A balance counts as grown if it is above zero, else as freed. */
static void set_balance(struct diff_row *row, int side, int64_t bytes)
{
	row->amounts[side][RENDER_GROWN] = bytes > 0 ? bytes : 0;
	row->amounts[side][RENDER_FREED] = bytes < 0 ? -bytes : 0;
	row->amounts[side][RENDER_NET] = bytes;
}

static int pass_balances(const struct model_diff_program *program, const char *instead, int64_t a,
			 int64_t b, page_row_fn *fn, void *arg)
{
	struct diff_row row = {.program = program, .instead = instead};

	set_balance(&row, MODEL_DIFF_A, a);
	set_balance(&row, MODEL_DIFF_B, b);
	return pass_on(&row, fn, arg);
}

static int pass_lost(const struct model_diff_program *program, const int64_t *a, const int64_t *b,
		     page_row_fn *fn, void *arg)
{
	int i, err = 0;

	for (i = 0; i < PYMEM_LOSS_COUNT && !err; i++)
		err = pass_balances(program, stack_row_losses[i], a[i], b[i], fn, arg);
	return err;
}

static int pass_node(const struct model_diff_program *program, uint32_t node, page_row_fn *fn,
		     void *arg)
{
	struct diff_row row = {.program = program, .node = node};
	const struct model_diff_figures *f;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		f = &program->amounts[program->nodes[node].amounts].side[side];
		row.amounts[side][RENDER_GROWN] = (int64_t)f->grown_bytes;
		row.amounts[side][RENDER_FREED] = (int64_t)f->freed_bytes;
		row.amounts[side][RENDER_NET] = f->increment_bytes;
		row.amounts[side][RENDER_COPIED] = (int64_t)f->copied_bytes;
		row.amounts[side][RENDER_FAULTS] = (int64_t)f->faults;
		row.amounts[side][RENDER_RESIDENT] = f->resident_bytes;
	}
	return pass_on(&row, fn, arg);
}

/* The node behind `node` in a walk from node 0 on; 0: it was the last one. */
static uint32_t next_node(const struct model_diff_node *nodes, uint32_t node)
{
	if (nodes[node].first)
		return nodes[node].first;
	while (node && !nodes[node].next)
		node = nodes[node].parent;
	return node ? nodes[node].next : 0;
}

/* Page faults that belong to no line, and what is resident and no line touched first. */
static int pass_rest(const struct model_diff_program *program, page_row_fn *fn, void *arg)
{
	struct diff_row faults = {.program = program, .instead = STACK_ROW_FAULTS};
	struct diff_row before = {.program = program, .instead = STACK_ROW_BEFORE};
	struct diff_row unknown = {.program = program, .instead = STACK_ROW_UNKNOWN};

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		const struct model_diff_program_side *s = &program->side[side];

		faults.amounts[side][RENDER_FAULTS] = (int64_t)s->lost_faults;
		for (size_t i = 0; i < s->all_count; i++) {
			if (!s->all[i]->resident_known)
				continue;
			before.amounts[side][RENDER_RESIDENT] += s->all[i]->resident_before_bytes;
			unknown.amounts[side][RENDER_RESIDENT] += s->all[i]->resident_unknown_bytes;
		}
	}
	return pass_on(&faults, fn, arg) ?: pass_on(&before, fn, arg) ?: pass_on(&unknown, fn, arg);
}

static int each_of_program(const struct model_diff_program *program, page_row_fn *fn, void *arg)
{
	uint32_t node;
	int err = 0;

	for (node = program->nodes ? next_node(program->nodes, 0) : 0; node && !err;
	     node = next_node(program->nodes, node))
		if (program->nodes[node].amounts)
			err = pass_node(program, node, fn, arg);
	err = err
		      ?: pass_lost(program, program->side[0].lost_bytes,
				   program->side[1].lost_bytes, fn, arg);
	return err ?: pass_rest(program, fn, arg);
}

static int each_of_diff(struct page *page, page_row_fn *fn, void *arg)
{
	const struct model_diff *diff = page->report->diff;
	const struct model_gathered *a = &diff->side[MODEL_DIFF_A].model->unfolded;
	const struct model_gathered *b = &diff->side[MODEL_DIFF_B].model->unfolded;
	size_t i;
	int err = 0;

	for (i = 0; i < diff->program_count && !err; i++)
		err = each_of_program(&diff->programs[i], fn, arg);
	err = err
		      ?: pass_balances(NULL, STACK_ROW_NOT_KEPT, a->charged_bytes, b->charged_bytes,
				       fn, arg);
	return err ?: pass_lost(NULL, a->lost_bytes, b->lost_bytes, fn, arg);
}

static ssize_t number_of_node(struct page *page, const struct model_diff_program *program,
			      uint32_t node)
{
	const struct model_diff_frame *frame;

	if (program->nodes[node].frame == MODEL_DIFF_CUT)
		return page_place(page, &(struct page_place){.text = STACK_ROW_TRUNCATED});
	frame = &program->frames[program->nodes[node].frame];
	return page_place(page, &(struct page_place){.at = {frame->at[0], frame->at[1]}});
}

static ssize_t path_of_diff(struct page *page, const void *of, size_t path[PAGE_DEPTH])
{
	const struct diff_row *row = of;
	uint32_t nodes[PYMEM_MAX_FRAMES + 1], node;
	unsigned count = 0, depth = 0;
	ssize_t number = page_place(page, &(struct page_place){.program = row->program});

	for (node = row->node; node && count <= PYMEM_MAX_FRAMES;
	     node = row->program->nodes[node].parent)
		nodes[count++] = node;
	if (number >= 0)
		path[depth++] = (size_t)number;
	while (count-- && number >= 0) {
		number = number_of_node(page, row->program, nodes[count]);
		path[depth++] = (size_t)number;
	}
	if (row->instead && number >= 0) {
		number = page_place(page, &(struct page_place){.text = row->instead});
		path[depth++] = (size_t)number;
	}
	return number < 0 ? number : (ssize_t)depth;
}

static const struct model *model_of_side(const struct page *page, int side)
{
	return page->report->diff->side[side].model;
}

const struct page_rows page_rows_of_diff = {
	.sides = MODEL_DIFF_SIDES,
	.each = each_of_diff,
	.path = path_of_diff,
	.model = model_of_side,
};
