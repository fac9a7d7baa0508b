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
static void add_own(struct model_node *node, const struct model_stack *stack, int64_t bytes,
		    uint64_t resident_pages, uint64_t page)
{
	const struct pymem_counters *counters = &stack->counters;

	node->own_bytes += bytes;
	node->grown_bytes += counters->grown_pages * page;
	node->freed_bytes += counters->freed_pages * page;
	node->cow_faults += counters->cow_faults;
	node->faults += counters->minor_faults + counters->major_faults;
	node->resident_bytes += resident_pages * page;
	node->truncated |= stack->truncated;
}

static int add_stack(struct tree *tree, const struct model_stack *stack, uint64_t resident_pages)
{
	const __s64 *pages = stack->counters.pages;
	uint64_t page = tree->book->pub.page_size;
	int64_t bytes =
		(pages[PYMEM_ANON] + pages[PYMEM_FILE] + pages[PYMEM_SHMEM]) * (int64_t)page;
	size_t node = 0;
	unsigned i = stack->depth;

	tree->nodes[0].total_bytes += bytes;
	while (i--) {
		if (model_is_left_out(tree->book, stack, i))
			continue;
		node = model_tree_node(tree, node, stack->frames[i]);
		if (!node)
			return -ENOMEM;
		tree->nodes[node].total_bytes += bytes;
	}
	add_own(&tree->nodes[node], stack, bytes, resident_pages, page);
	return 0;
}

int model_compute_tree(const struct book *book, struct model_process *process)
{
	struct tree tree;
	size_t i;
	int err = model_tree_init(&tree, book);

	free(process->nodes);
	process->nodes = NULL;
	process->node_count = 0;
	for (i = 0; i < process->stack_count && !err; i++)
		err = add_stack(&tree, &process->stacks[i],
				process->resident_known
					? process_of(process)->extras[i].resident_pages
					: 0);
	model_tree_done(&tree);
	process->nodes = tree.nodes;
	process->node_count = err ? 0 : tree.count;
	return err;
}
