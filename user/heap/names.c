/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths: from a root along the shortest way, step by step. */
#include "heap/names.h"

#include <stdio.h>
#include <stdlib.h>

#include "heap/holders.h"
#include "heap/object_read.h"

#define NAME_BYTES 96
/* Longer ways are cut: "…". */
#define STEPS_MAX 4096
/* So many equal steps are written as one. */
#define REPEATS_LEAST 4

struct writer {
	char *text;
	size_t size, length;
	char last[STEP_BYTES];
	uint32_t repeats; /* of `last`, not yet written */
};

static void put(struct writer *w, const char *text)
{
	size_t room = w->size - w->length, bytes = strlen(text);

	if (bytes >= room) {
		/* Never half a character. */
		bytes = room - 1;
		while (bytes && ((unsigned char)text[bytes] & 0xc0) == 0x80)
			bytes--;
	}
	memcpy(w->text + w->length, text, bytes);
	w->length += bytes;
	w->text[w->length] = '\0';
}

static void flush_repeats(struct writer *w)
{
	char count[32];

	if (w->repeats >= REPEATS_LEAST) {
		put(w, w->last);
		snprintf(count, sizeof(count), "…×%u", w->repeats);
		put(w, count);
	} else {
		while (w->repeats--)
			put(w, w->last);
	}
	w->repeats = 0;
}

static void put_step(struct writer *w, const char *text)
{
	if (w->repeats && strcmp(w->last, text) != 0)
		flush_repeats(w);
	snprintf(w->last, sizeof(w->last), "%s", text);
	w->repeats++;
}

static void begin(struct writer *w)
{
	w->length = w->repeats = 0;
	w->text[0] = '\0';
}

/* --- roots --- */

const struct heap_root *names_root(const struct heap_graph *graph, uint32_t block)
{
	size_t low = 0, high = graph->roots.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (graph->roots.list[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < graph->roots.count && graph->roots.list[low].block == block
		       ? &graph->roots.list[low]
		       : NULL;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The file whose data a word is part of; of what lies right behind a file's, too: its zeroed data.
 */
static const char *owner_of_data(const struct heap_view *view, uint64_t addr)
{
	const struct region *region = snapshot_region_of(view->snapshot, addr), *before;

	if (!region)
		return "memory";
	if (region->kind == REGION_STACK || heap_blocks_claim(view->blocks, addr) == CLAIM_STACK)
		return "a stack";
	before = region->kind == REGION_FILE
			 ? region
			 : snapshot_region_of(view->snapshot, region->start - 1);
	if (before && before->kind == REGION_FILE && *before->name)
		return last_part(before->name);
	return "anonymous memory";
}

static void put_type(struct writer *w, const struct heap_view *view, uint32_t block)
{
	const struct heap_type *type = view_type(view, block);
	char text[STEP_BYTES];

	snprintf(text, sizeof(text), " <%.100s>", type ? type->name : "memory");
	put(w, text);
}

static void put_local(struct writer *w, const struct heap_view *view, const struct heap_root *root)
{
	char function[NAME_BYTES], local[NAME_BYTES], text[2 * NAME_BYTES + 32];

	if (root->thread)
		snprintf(text, sizeof(text), "thread %u ", root->thread);
	else
		snprintf(text, sizeof(text), "main thread ");
	put(w, text);
	step_code_name(view, root->where, function, sizeof(function));
	if (root->kind == ROOT_GLOBALS)
		snprintf(local, sizeof(local), "<variables>");
	else if (root->kind == ROOT_TEMPORARY ||
		 !step_local_name(view, root->where, root->index, local, sizeof(local)))
		snprintf(local, sizeof(local), "<temporary>");
	snprintf(text, sizeof(text), "%s():%s", function, local);
	put(w, text);
}

static void put_root(struct writer *w, const struct heap_graph *graph, uint32_t block, bool alone,
		     struct step *step)
{
	const struct heap_view *view = &graph->view;
	const struct heap_root *root = names_root(graph, block);
	char name[2 * NAME_BYTES];

	*step = (struct step){0};
	if (!root) {
		put(w, "not reached:");
		put_type(w, view, block);
		return;
	}
	if (root->interp) {
		snprintf(name, sizeof(name), "interpreter %u ", root->interp);
		put(w, name);
	}
	switch ((enum root_kind)root->kind) {
	case ROOT_MODULE_DICT:
		step->is_namespace = true;
		/* fall through */
	case ROOT_MODULE_OBJECT:
		object_text(view, root->where, name, sizeof(name));
		put(w, *name ? name : "?");
		break;
	case ROOT_GLOBALS:
		step->is_namespace = true;
		/* fall through */
	case ROOT_LOCAL:
	case ROOT_TEMPORARY:
		put_local(w, view, root);
		break;
	case ROOT_DATA:
		put(w, "C code: ");
		put(w, owner_of_data(view, root->where));
		if (!alone)
			put_type(w, view, block);
	}
}

/* --- ways --- */

/* The way from a root to `block`, in way[]; its length, at most STEPS_MAX: what is beyond is left
 * out, and *cut says so. */
static size_t find_way(const struct heap_graph *graph, uint32_t block, uint32_t *way, bool *cut)
{
	size_t length = 0, skip, count = 0;

	for (uint32_t at = block; at != BLOCK_NONE && length <= graph->blocks; length++)
		at = graph->parent[at];
	skip = length > STEPS_MAX ? length - STEPS_MAX : 0;
	*cut = skip > 0;
	for (uint32_t at = block; at != BLOCK_NONE && count < length; count++) {
		if (count >= skip)
			way[length - 1 - count] = at;
		at = graph->parent[at];
	}
	return length - skip;
}

static void put_steps(struct writer *w, const struct heap_graph *graph, const uint32_t *way,
		      size_t count, struct step_budget *budget, struct step *before)
{
	bool task = false; /* the coroutine's frame is still to come */
	struct step step;

	for (size_t i = 1; i < count; i++) {
		step_find(graph, way[i - 1], way[i], before, budget, &step);
		if (step.begins && !task)
			begin(w);
		if (*step.text)
			task = step.is_task;
		if (*step.text)
			put_step(w, step.text);
		*before = step;
	}
	flush_repeats(w);
}

bool names_find(const struct heap_graph *graph, uint32_t block, struct step_budget *budget,
		char *text, size_t size)
{
	uint32_t way[STEPS_MAX];
	struct writer writer = {.text = text, .size = size};
	struct step step;
	size_t count;
	bool cut;

	begin(&writer);
	/* A buffer is called by its owner. */
	if (heap_graph_owner(graph, block) != BLOCK_NONE)
		block = heap_graph_owner(graph, block);
	if (graph->tier[block] == TIER_NONE)
		return false;
	count = find_way(graph, block, way, &cut);
	put_root(&writer, graph, way[0], count == 1, &step);
	put_steps(&writer, graph, way, count, budget, &step);
	if (cut)
		put(&writer, "…");
	return true;
}

bool names_is_temporary(const struct heap_graph *graph, uint32_t block)
{
	const struct heap_root *root;

	for (size_t i = 0; graph->parent[block] != BLOCK_NONE && i < graph->blocks; i++)
		block = graph->parent[block];
	root = names_root(graph, block);
	return root && (root->kind == ROOT_TEMPORARY ||
			(root->kind == ROOT_DATA &&
			 !strcmp(owner_of_data(&graph->view, root->where), "a stack")));
}

bool names_is_namespace(const struct heap_graph *graph, uint32_t block)
{
	const struct heap_view *view = &graph->view;
	uint32_t parent = graph->parent[block];
	const struct heap_root *root;

	if (!view_is(view, block, TYPE_DICT))
		return false;
	if (parent == BLOCK_NONE) {
		root = names_root(graph, block);
		return root && (root->kind == ROOT_MODULE_DICT || root->kind == ROOT_GLOBALS);
	}
	return view_type(view, parent) &&
	       step_is_dict_of(graph, parent, heap_blocks_object(view->blocks, block));
}

int heap_holders_path(struct heap_graph *graph, uint32_t block, char *buf, size_t size)
{
	struct step_budget budget = {NAMES_WORDS_MAX};

	if (!size)
		return -1;
	*buf = '\0';
	if (block < graph->blocks)
		names_find(graph, block, &budget, buf, size);
	return 0;
}
