/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: which stack of B is which one of A? Frame by frame: two frames are the same if their
 * lines are, as model_diff_lines.c finds out, and if their callers are. So the trees of calls of
 * all processes of a program, in both sides, become one tree, in which a node has what each side
 * did there.
 *
 * A stack whose outermost callers are missing is below a node of its own (MODEL_DIFF_CUT), since
 * nobody knows what it would belong to.
 *
 * Invariant: for each side and each figure, the nodes of a program add up to what its lines have.
 */
#include "model/model_diff_private.h"

#include <errno.h>
#include <stdlib.h>

#include "model/model_private.h"

/* The frame of a line of one program of a model. */
struct line_frame {
	const struct model_process *sum; /* of the program */
	size_t line;			 /* its number in the model's book */
	uint32_t frame;
};

struct merging {
	struct model_diff_program *program;
	const struct model_diff *diff;
	struct line_frame *lines;
	size_t line_count, line_room, node_room, amount_room;
	struct table by_line; /* of lines */
	struct table table;   /* of nodes by caller and frame */
};

/* --- frames --- */

static uint64_t hash_line(const struct merging *m, const struct model_process *sum, size_t line)
{
	const struct book *book = book_of(m->diff->side[MODEL_DIFF_A].model);

	return model_hash_pointer(book, book->seed ^ line, sum);
}

static int note_frame(const struct model_process *sum, const struct model_location *location,
		      size_t frame, void *arg)
{
	struct merging *m = arg;
	size_t line = location_of(location)->line;

	if (frame >= MODEL_DIFF_CUT || !ARRAY_HAS_ROOM(m->lines, m->line_count, m->line_room) ||
	    model_table_add(&m->by_line, hash_line(m, sum, line), m->line_count))
		return -ENOMEM;
	m->lines[m->line_count++] = (struct line_frame){sum, line, (uint32_t)frame};
	return 0;
}

/* The frame of the line in which the program has a node. Each line of a stack is one of the
 * program's lines, so there is one. */
static uint32_t frame_of(const struct merging *m, const struct model_process *sum,
			 const struct model_node *node)
{
	size_t line = location_of(node->location)->line, index;
	uint64_t hash = hash_line(m, sum, line), cursor = hash;

	while (model_table_next(&m->by_line, hash, &cursor, &index))
		if (m->lines[index].sum == sum && m->lines[index].line == line)
			return m->lines[index].frame;
	return MODEL_DIFF_CUT;
}

/* --- the tree --- */

static int add_node(struct merging *m, struct model_diff_node node)
{
	struct model_diff_program *p = m->program;
	struct model_diff_node *parent;

	if (p->node_count >= UINT32_MAX || !ARRAY_HAS_ROOM(p->nodes, p->node_count, m->node_room))
		return -ENOMEM;
	p->nodes[p->node_count] = node;
	if (p->node_count) {
		parent = &p->nodes[node.parent];
		if (parent->last)
			p->nodes[parent->last].next = (uint32_t)p->node_count;
		else
			parent->first = (uint32_t)p->node_count;
		parent->last = (uint32_t)p->node_count;
	}
	p->node_count++;
	return 0;
}

/* The node of `frame` below `parent`, which is made if there is none yet. 0: out of memory. */
static uint32_t node_of(struct merging *m, uint32_t parent, uint32_t frame)
{
	const struct book *book = book_of(m->diff->side[MODEL_DIFF_A].model);
	const struct model_diff_node *nodes = m->program->nodes;
	uint64_t hash = model_hash_pointer(book, book->seed ^ parent,
					   (const void *)((uintptr_t)frame + 1)),
		 cursor = hash;
	size_t index;

	while (model_table_next(&m->table, hash, &cursor, &index))
		if (nodes[index].parent == parent && nodes[index].frame == frame)
			return (uint32_t)index;
	index = m->program->node_count;
	if (add_node(m, (struct model_diff_node){.frame = frame, .parent = parent}) ||
	    model_table_add(&m->table, hash, index))
		return 0;
	return (uint32_t)index;
}

/* Adds the figures of a process's node to the node `at`. 0 or -ENOMEM. */
static int add_amounts(struct merging *m, uint32_t at, const struct model_node *node, int side)
{
	struct model_diff_program *p = m->program;
	uint64_t page = m->diff->side[side].model->page_size;
	struct model_diff_figures *sum;

	if (!node->own_bytes && !node->grown_bytes && !node->freed_bytes && !node->cow_faults &&
	    !node->faults && !node->resident_bytes)
		return 0;
	if (!p->nodes[at].amounts) {
		if (!ARRAY_HAS_ROOM(p->amounts, p->amount_count + 1, m->amount_room))
			return -ENOMEM;
		/* Number 0 stands for none. */
		p->amount_count += p->amount_count ? 0 : 1;
		p->amounts[p->amount_count] = (struct model_diff_amounts){0};
		p->nodes[at].amounts = (uint32_t)p->amount_count++;
	}
	sum = &p->amounts[p->nodes[at].amounts].side[side];
	sum->increment_bytes += node->own_bytes;
	sum->grown_bytes += node->grown_bytes;
	sum->freed_bytes += node->freed_bytes;
	sum->copied_bytes += node->cow_faults * page;
	sum->faults += node->faults;
	sum->resident_bytes += node->resident_bytes;
	return 0;
}

/* The node for the same frames below MODEL_DIFF_CUT. 0: out of memory. */
static uint32_t cut_node(struct merging *m, const struct model_process *sum,
			 const struct model_node *nodes, size_t node)
{
	size_t path[PYMEM_MAX_FRAMES];
	unsigned depth = 0;
	uint32_t at = node_of(m, 0, MODEL_DIFF_CUT);

	for (; node && depth < PYMEM_MAX_FRAMES; node = nodes[node].parent)
		path[depth++] = node;
	while (depth-- && at)
		at = node_of(m, at, frame_of(m, sum, &nodes[path[depth]]));
	return at;
}

static int merge_process(struct merging *m, const struct model_process *sum,
			 const struct model_process *process, int side)
{
	const struct model_node *nodes = process->nodes;
	uint32_t *merged = calloc(process->node_count + 1, sizeof(*merged)), at;
	size_t node;
	int err = merged ? 0 : -ENOMEM;

	for (node = err ? 0 : model_next_node(nodes, 0); node && !err;
	     node = model_next_node(nodes, node)) {
		at = merged[node] =
			node_of(m, merged[nodes[node].parent], frame_of(m, sum, &nodes[node]));
		if (at && nodes[node].truncated)
			at = cut_node(m, sum, nodes, node);
		err = at ? add_amounts(m, at, &nodes[node], side) : -ENOMEM;
	}
	free(merged);
	return err;
}

static int merge_units(struct merging *m, const struct diff_unit *units, size_t count, size_t pair)
{
	size_t i, j;
	int err = add_node(m, (struct model_diff_node){0});

	for (i = 0; i < count && !err; i++) {
		const struct model_program *of = units[i].program;

		for (j = 0; j < of->count && units[i].pair == pair && !err; j++)
			if (of->processes[j]->nodes)
				err = merge_process(m, &of->sum, of->processes[j], units[i].side);
	}
	return err;
}

int model_diff_merge_stacks(struct model_diff_program *program, const struct diff_unit *units,
			    size_t count, size_t pair, const struct model_diff *diff,
			    struct diff_texts *texts)
{
	struct merging m = {.program = program, .diff = diff};
	int err;

	if (!diff->side[MODEL_DIFF_A].model->trees_kept ||
	    !diff->side[MODEL_DIFF_B].model->trees_kept)
		return 0;
	err = model_diff_match_frames(program, units, count, pair, diff, texts, note_frame, &m);
	err = err ?: merge_units(&m, units, count, pair);
	free(m.lines);
	free(m.by_line.slots);
	free(m.table.slots);
	return err;
}
