/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stacks of a process merged into a tree of calls. A node is found by its caller and its line
 * with one hash, so a frame costs the same however wide the tree is. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int model_tree_init(struct tree *tree, const struct book *book)
{
	*tree = (struct tree){.book = book};
	if (!ARRAY_HAS_ROOM(tree->nodes, 0, tree->room))
		return -ENOMEM;
	tree->nodes[0] = (struct model_node){0};
	tree->count = 1;
	return 0;
}

void model_tree_done(struct tree *tree)
{
	free(tree->table.slots);
}

size_t model_tree_node(struct tree *tree, size_t parent, const struct model_location *location)
{
	/* Equal lines have one location that stands for them. */
	const struct model_location *line = &tree->book->lines[location_of(location)->line]->pub;
	uint64_t hash = model_hash_pointer(tree->book, tree->book->seed ^ parent, line), cursor;
	size_t index;

	cursor = hash;
	while (model_table_next(&tree->table, hash, &cursor, &index))
		if (tree->nodes[index].parent == parent && tree->nodes[index].location == line)
			return index;
	if (!ARRAY_HAS_ROOM(tree->nodes, tree->count, tree->room) ||
	    model_table_add(&tree->table, hash, tree->count) != 0)
		return 0;
	tree->nodes[tree->count] = (struct model_node){
		.location = line, .parent = parent, .next = tree->nodes[parent].first};
	tree->nodes[parent].first = tree->count;
	return tree->count++;
}

/* Adds the figures of a stack to the node of its innermost frame. */
static void add_own(struct model_node *node, const struct part *part, int64_t bytes, uint64_t page)
{
	const struct pymem_counters *counters = &part->counters;

	node->own_bytes += bytes;
	node->grown_bytes += counters->grown_pages * page;
	node->freed_bytes += counters->freed_pages * page;
	node->cow_faults += counters->cow_faults;
	node->faults += counters->minor_faults + counters->major_faults;
	node->resident_bytes += part->resident_pages * page;
	node->stalled_ns += part->stalled_ns;
	node->truncated |= part->truncated;
}

/* The node of `location` called by `node`, with `bytes` more in all. 0: out of memory. */
static size_t descend(struct tree *tree, size_t node, const struct model_location *location,
		      int64_t bytes)
{
	node = model_tree_node(tree, node, location);
	if (node)
		tree->nodes[node].total_bytes += bytes;
	return node;
}

/* Adds what a thread has of a stack. */
static int add_part(struct tree *tree, const struct model_stack *stack, const struct part *part)
{
	const __s64 *pages = part->counters.pages;
	uint64_t page = tree->book->pub.page_size;
	int64_t bytes =
		(pages[PYMEM_ANON] + pages[PYMEM_FILE] + pages[PYMEM_SHMEM]) * (int64_t)page;
	size_t node = 0;
	unsigned i = stack->depth;

	tree->nodes[0].total_bytes += bytes;
	if (part->thread) {
		node = descend(tree, node, part->thread, bytes);
		if (!node)
			return -ENOMEM;
	}
	while (i--) {
		if (model_is_left_out(tree->book, stack, i))
			continue;
		node = descend(tree, node, stack->frames[i], bytes);
		if (!node)
			return -ENOMEM;
	}
	add_own(&tree->nodes[node], part, bytes, page);
	return model_tree_add_events(tree, node, &part->events);
}

/* Adds a stack of all threads together. */
static int add_stack(struct tree *tree, const struct model_process *process, size_t index)
{
	const struct model_stack *stack = &process->stacks[index];
	struct part all = {
		.counters = stack->counters,
		.truncated = stack->truncated,
		.resident_pages = process->resident_known
					  ? process_of(process)->extras[index].resident_pages
					  : 0,
		.stalled_ns = model_stalled_ns(process_of(process)->extras[index].vmcalls),
	};

	model_add_call_events(&tree->book->pub, &all.events,
			      process_of(process)->extras[index].vmcalls);
	model_add_stack_events(&all.events, &process_of(process)->extras[index]);
	return add_part(tree, stack, &all);
}

/* Where threads are told apart: what the stack has that nobody knows the thread of. */
static int add_untold(struct tree *tree, const struct model_process *process, size_t index)
{
	struct part rest = {.stack = index};

	model_add_stack_events(&rest.events, &process_of(process)->extras[index]);
	if (!rest.events.cached_bytes && !rest.events.kernel_bytes)
		return 0;
	return add_part(tree, &process->stacks[index], &rest);
}

static int add_all(struct tree *tree, const struct model_process *process)
{
	const struct process *inner = process_of(process);
	bool told = tree->book->pub.threads_told;
	size_t count = told ? inner->part_count : process->stack_count, i;
	int err = 0;

	for (i = 0; i < count && !err; i++)
		err = told ? add_part(tree, &process->stacks[inner->parts[i].stack],
				      &inner->parts[i])
			   : add_stack(tree, process, i);
	for (i = 0; told && i < process->stack_count && !err; i++)
		err = add_untold(tree, process, i);
	return err;
}

static int by_place(const void *left, const void *right, void *arg)
{
	const struct model_node *nodes = arg;
	const struct model_node *a = &nodes[*(const size_t *)left];
	const struct model_node *b = &nodes[*(const size_t *)right];
	int order;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	order = strcmp(a->location->file, b->location->file);
	if (order)
		return order;
	if (a->location->line != b->location->line)
		return a->location->line < b->location->line ? -1 : 1;
	return strcmp(a->location->function, b->location->function);
}

/* Puts the lines that a caller has called in the order of their places. Without that the order is
 * that in which stacks were read, which differs between readings of the same figures. */
static int put_in_order(struct tree *tree)
{
	size_t count = tree->count - 1, i;
	size_t *order = malloc((count + 1) * sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		order[i] = i + 1;
	qsort_r(order, count, sizeof(*order), by_place, tree->nodes);
	for (i = count; i--;) {
		struct model_node *node = &tree->nodes[order[i]], *parent;
		bool last = i + 1 == count || tree->nodes[order[i + 1]].parent != node->parent;

		parent = &tree->nodes[node->parent];
		node->next = last ? 0 : order[i + 1];
		parent->first = order[i];
	}
	free(order);
	return 0;
}

int model_compute_tree(const struct book *book, struct model_process *process)
{
	struct tree tree;
	int err = model_tree_init(&tree, book);

	free(process->nodes);
	process->nodes = NULL;
	process->node_count = 0;
	if (!err)
		err = add_all(&tree, process);
	if (!err)
		err = put_in_order(&tree);
	model_tree_done(&tree);
	model_tree_keep_events(&tree, process);
	process->nodes = tree.nodes;
	process->node_count = err ? 0 : tree.count;
	return err;
}

/* The node of `line` called by `parent`; 0: there is none. */
static size_t find_child(const struct model_node *nodes, size_t parent,
			 const struct model_location *line)
{
	size_t child = nodes[parent].first;

	while (child && nodes[child].location != line)
		child = nodes[child].next;
	return child;
}

size_t model_find_node(const struct model *model, const struct model_process *process,
		       const struct model_location *thread,
		       const struct model_location *const *frames, unsigned depth)
{
	const struct book *book = book_of(model);
	const struct model_stack stack = {.frames = (const struct model_location **)frames,
					  .depth = depth};
	const struct model_node *nodes = process->nodes;
	const struct model_location *line;
	unsigned i = depth;
	size_t node = 0;

	if (nodes && thread && model->threads_told) {
		node = find_child(nodes, 0, &book->lines[location_of(thread)->line]->pub);
		if (!node)
			return 0;
	}
	while (nodes && i--) {
		if (model_is_left_out(book, &stack, i))
			continue;
		line = &book->lines[location_of(frames[i])->line]->pub;
		node = find_child(nodes, node, line);
		if (!node)
			return 0;
	}
	return node;
}

size_t model_next_node(const struct model_node *nodes, size_t node)
{
	if (nodes[node].first)
		return nodes[node].first;
	while (node && !nodes[node].next)
		node = nodes[node].parent;
	return node ? nodes[node].next : 0;
}
