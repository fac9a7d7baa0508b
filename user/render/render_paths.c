/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The callers of lines: those of one line in one line of text, or all stacks as a tree.
 *
 * Code of libraries is between most lines of a program. Successive frames of libraries are shown as
 * their number. */
#include "render/render_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "render/stack_rows.h"

#define HOP_MOST 48 /* columns of a place in a path */
#define INDENT	 2  /* columns of a step in the tree */

/* --- the path of a line --- */

/* Writes one hop with its arrow. */
static void write_hop(FILE *out, const struct answer *a, const struct model_hop *hop)
{
	fputs("← ", out);
	if (!hop->location) {
		fprintf(out, "%u framework frame%s", hop->frames, hop->frames == 1 ? "" : "s");
		return;
	}
	answer_place(out, a, hop->location, HOP_MOST);
	if (hop->frames > 1)
		fprintf(out, " ×%u", hop->frames);
}

/* Prints `text` if it and two columns more fit after `used` columns. Returns the columns used then;
 * 0: it does not fit. */
static unsigned put(FILE *out, const char *text, unsigned used, unsigned columns)
{
	unsigned wide = text_columns(text) + (used ? 1 : 0);

	if (columns && used + wide + 2 > columns)
		return 0;
	fprintf(out, "%s%s", used ? " " : "", text);
	return used + wide;
}

void answer_path(struct answer *a, const struct model_line *line, unsigned columns)
{
	unsigned used = 0, next, i;
	char *text = NULL, more[32];
	size_t size;
	FILE *memory;

	for (i = 0; i < line->path_count; i++) {
		memory = open_memstream(&text, &size);
		if (!memory)
			break;
		write_hop(memory, a, &line->path[i]);
		fclose(memory);
		next = text ? put(a->out, text, used, columns) : 0;
		free(text);
		text = NULL;
		if (!next)
			break;
		used = next;
	}
	if (i == line->path_count && line->path_more) {
		snprintf(more, sizeof(more), "← %u more", line->path_more);
		if (put(a->out, more, used, columns))
			return;
	}
	/* Stands for what does not fit, or is not known. */
	if (i < line->path_count || line->path_more || line->path_open)
		fprintf(a->out, "%s…", used ? " " : "← ");
}

/* --- the tree --- */

struct branches {
	struct answer *answer;
	const struct model_node *nodes;
	int64_t *weight; /* of each node: bytes that it and those below it changed, without signs */
	size_t *order;	 /* scratch: children of all nodes on the path down */
	size_t left;	 /* rows that may be printed */
};

static int64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -bytes : bytes;
}

static int by_weight(const void *left, const void *right, void *arg)
{
	const struct branches *b = arg;
	size_t x = *(const size_t *)left, y = *(const size_t *)right;

	if (b->weight[x] != b->weight[y])
		return b->weight[x] < b->weight[y] ? 1 : -1;
	return (x > y) - (x < y);
}

/* Puts the children of the node that have a row into `list`, heaviest first. Returns their
 * number. */
static size_t take_children(struct branches *b, size_t node, size_t *list)
{
	size_t child, count = 0;

	for (child = b->nodes[node].first; child; child = b->nodes[child].next)
		if (b->weight[child] >= b->answer->least)
			list[count++] = child;
	qsort_r(list, count, sizeof(*list), by_weight, b);
	return count;
}

/* The only child with a row of a library's node that changed next to nothing itself; 0 for any
 * other node. */
static size_t passed_to(const struct branches *b, size_t node)
{
	int64_t little = b->weight[node] / 20;
	size_t child, found = 0;

	if (little < b->answer->least)
		little = b->answer->least;
	if (!b->nodes[node].location->library || size_of(b->nodes[node].own_bytes) >= little)
		return 0;
	for (child = b->nodes[node].first; child; child = b->nodes[child].next) {
		if (b->weight[child] < b->answer->least)
			continue;
		if (found)
			return 0;
		found = child;
	}
	return found;
}

/* Prints the figures of a node and its indentation. Returns the columns printed. */
static unsigned print_figures(struct branches *b, const struct model_node *node, unsigned depth)
{
	struct answer *a = b->answer;
	unsigned width = a->options->width, indent = depth * INDENT;
	const char *style = answer_style(a, node->total_bytes);
	char total[32], own[32] = "", share[16];

	/* Deep calls would leave no room for what is called. */
	if (width && indent > width / 4)
		indent = width / 4;
	if (!width && indent > 60)
		indent = 60;
	parts_size(total, sizeof(total), node->total_bytes, false);
	if (size_of(node->own_bytes) >= a->least)
		parts_size(own, sizeof(own), node->own_bytes, false);
	answer_share(share, sizeof(share), a, node->total_bytes);
	if (*style)
		parts_style(a->out, a->options, style);
	fprintf(a->out, "%11s  %s", total, share);
	if (*style)
		parts_style(a->out, a->options, STYLE_OFF);
	fprintf(a->out, "  %11s  %*s", own, (int)indent, "");
	return 11 + 2 + 5 + 2 + 11 + 2 + indent;
}

/* Prints a thread in at most `room` columns (0: no limit). Returns the columns printed. */
static unsigned print_thread(struct answer *a, const struct model_location *thread, unsigned room)
{
	char text[STACK_ROW_THREAD];

	stack_row_thread(text, thread);
	return text_print(a->out, text, room, false);
}

static void print_node(struct branches *b, size_t node, unsigned depth, unsigned frames)
{
	struct answer *a = b->answer;
	const struct model_location *at = b->nodes[node].location;
	unsigned used = print_figures(b, &b->nodes[node], depth), width = a->options->width;
	unsigned room = width > used + 8 ? width - used : 8, wide;
	enum source_state state = SOURCE_NONE;

	b->left--;
	if (at->library)
		parts_style(a->out, a->options, STYLE_QUIET);
	if (frames)
		wide = (unsigned)fprintf(a->out, "%u framework frames", frames);
	else if (at->thread)
		wide = print_thread(a, at, width ? room : 0);
	else
		wide = answer_place(a->out, a, at, width ? room : 0);
	if (at->library)
		parts_style(a->out, a->options, STYLE_OFF);
	if (!frames && !at->library && !at->thread && at->line && a->options->sources &&
	    (!width || room > wide + 26) &&
	    source_line(a->options->sources, &a->process->root, at->file, at->line, &state)) {
		fputs("  ", a->out);
		parts_source(a->out, a->options, a->process, at->file, at->line,
			     width ? room - wide - 2 : 0, true, &state);
	}
	if (state == SOURCE_CHANGED)
		parts_changed_add(&a->changed, at->file);
	fputc('\n', a->out);
}

/* Prints the node and what it called. `list` is scratch, after that of its callers. */
static void print_branch(struct branches *b, size_t node, unsigned depth, size_t *list)
{
	size_t first = node, next, count, i;
	unsigned frames = 0;

	for (; (next = passed_to(b, node)); node = next)
		frames++;
	if (!b->left)
		return;
	if (frames) {
		/* A single frame is shown by its name. */
		print_node(b, first, depth++, frames > 1 ? frames : 0);
		if (!b->left)
			return;
	}
	print_node(b, node, depth, 0);
	count = take_children(b, node, list);
	for (i = 0; i < count; i++)
		print_branch(b, list[i], depth + 1, list + count);
}

static int weigh(struct branches *b, size_t count)
{
	size_t i;

	b->weight = calloc(count + 1, sizeof(*b->weight));
	b->order = calloc(count + 1, sizeof(*b->order));
	if (!b->weight || !b->order)
		return -ENOMEM;
	/* A node comes after its caller. */
	for (i = count; i-- > 1;) {
		b->weight[i] += size_of(b->nodes[i].own_bytes);
		b->weight[b->nodes[i].parent] += b->weight[i];
	}
	return 0;
}

int answer_tree(struct answer *a, const struct answer_room *room)
{
	struct branches b = {.answer = a,
			     .nodes = a->process->nodes,
			     .left = a->options->live ? room->rows : SIZE_MAX};
	size_t count, i;
	int err = 0;

	if (a->process->node_count < 2)
		return 0;
	err = weigh(&b, a->process->node_count);
	if (!err && b.weight[0]) {
		if (!a->options->live)
			fputc('\n', a->out);
		parts_style(a->out, a->options, STYLE_QUIET);
		fprintf(a->out, "%11s  %5s  %11s  Call", "Total", "", "Own");
		parts_style(a->out, a->options, STYLE_OFF);
		fputc('\n', a->out);
		count = take_children(&b, 0, b.order);
		for (i = 0; i < count; i++)
			print_branch(&b, b.order[i], 0, b.order + count);
		parts_changed_print(a->out, a->options, &a->changed);
	}
	free(b.weight);
	free(b.order);
	return err;
}
