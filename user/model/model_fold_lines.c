/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines, functions and trees of the sums of ended processes (model_fold.c), and the memory that
 * these need. A sum's lines have no paths, and its trees no callers. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Rough memory of a process, including what the caller keeps for it; of a line, including its
 * location and names. */
#define PROCESS_BYTES  768
#define LINE_BYTES     (sizeof(struct model_line) + 128)
#define NODE_BYTES     (sizeof(struct model_node) + 32)
#define KERNEL_BYTES   (sizeof(struct pymem_kernel) + 16)
#define FUNCTION_BYTES (sizeof(struct model_function) + 128)

/* Its command line is what the process says, and may be long. */
size_t model_text_bytes(const struct model_process *process)
{
	size_t bytes = strlen(process->cgroup) + (process->note ? strlen(process->note) + 32 : 0);

	for (size_t i = 0; process->cmdline[i]; i++)
		bytes += strlen(process->cmdline[i]) + 32;
	return bytes;
}

size_t model_frozen_bytes(const struct model_process *process)
{
	size_t bytes = PROCESS_BYTES + process->line_count * LINE_BYTES, i;
	const struct model_death_thread *thread;

	for (i = 0; i < process->line_count; i++)
		bytes += process->lines[i].kernel ? KERNEL_BYTES : 0;
	bytes += process_of(process)->hop_count * sizeof(struct model_hop);
	bytes += process->node_count * NODE_BYTES;
	bytes += process->node_event_count * sizeof(struct model_node_events);
	bytes += process->function_count * FUNCTION_BYTES;
	for (i = 0; i < process->cached_file_count; i++)
		bytes += sizeof(struct model_cached_file) + sizeof(void *) + 32 +
			 (process->cached_files[i]->path ? strlen(process->cached_files[i]->path)
							 : 0);
	for (i = 0; (thread = model_death_stack(process->death, i)); i++)
		bytes += sizeof(*thread) + thread->facts.depth * sizeof(void *) + 32;
	return bytes + model_text_bytes(process);
}

static size_t line_bytes(const struct book *book, const struct model_line *line)
{
	return LINE_BYTES + 4 * sizeof(struct table_slot) + (line->kernel ? KERNEL_BYTES : 0) +
	       (book->pub.trees_kept ? NODE_BYTES : 0);
}

static uint64_t hash_place(const struct book *book, const struct model_location *at)
{
	uint64_t hash = model_hash_pointer(book, (unsigned)at->line, at->file);

	return model_hash_pointer(book, hash, at->function);
}

static bool same_place(const struct model_location *a, const struct model_location *b)
{
	return a->file == b->file && a->function == b->function && a->line == b->line;
}

void model_fold_drop_table(struct folding *f)
{
	free(f->table.slots);
	f->table = (struct table){0};
}

/* It is made anew when the model is read. */
static void drop_tree(struct model_process *sum)
{
	free(sum->nodes);
	free(sum->node_events);
	sum->nodes = NULL;
	sum->node_events = NULL;
	sum->node_count = sum->node_event_count = 0;
}

static int make_table(const struct book *book, struct folding *f)
{
	const struct model_process *sum = &f->sum->pub;
	size_t i;

	model_fold_drop_table(f);
	for (i = 0; i < sum->line_count; i++) {
		if (!sum->lines[i].others &&
		    model_table_add(&f->table, hash_place(book, sum->lines[i].location), i))
			return -ENOMEM;
	}
	return 0;
}

/* Sums of other lines are no line's total. */
static void settle_others(struct model_line *others)
{
	others->total_bytes = others->increment_bytes;
	others->cow_total_faults = others->cow_faults;
}

/* Adds a line that the sum does not have yet, without its path and what it owns. */
static int new_line(struct book *book, struct folding *f, const struct model_line *more)
{
	struct model_process *sum = &f->sum->pub;
	struct model_line line = *more;

	line.path = NULL;
	line.path_count = line.path_more = 0;
	line.path_open = false;
	line.kernel = NULL;
	if (!ARRAY_HAS_ROOM(sum->lines, sum->line_count, f->room) ||
	    model_take_kernel(&line.kernel, more->kernel))
		return -ENOMEM;
	if (!line.others &&
	    model_table_add(&f->table, hash_place(book, line.location), sum->line_count)) {
		free(line.kernel);
		return -ENOMEM;
	}
	f->bytes += line_bytes(book, &line);
	sum->lines[sum->line_count++] = line;
	return 0;
}

static int take_line(struct book *book, struct folding *f, const struct model_line *more)
{
	uint64_t hash = hash_place(book, more->location), cursor = hash;
	struct model_process *sum = &f->sum->pub;
	size_t index;

	while (model_table_next(&f->table, hash, &cursor, &index)) {
		struct model_line *line = &sum->lines[index];
		size_t had = line_bytes(book, line);
		int err;

		if (!same_place(line->location, more->location))
			continue;
		err = model_sum_line(line, more);
		f->bytes += line_bytes(book, line) - had;
		return err;
	}
	return new_line(book, f, more);
}

/* Leaves so many lines, with that of all others. Those of the smallest increments are added to
 * it. */
static int cut_lines(struct book *book, struct folding *f, size_t most)
{
	struct model_process *sum = &f->sum->pub;
	struct model_line others = {.others = true, .mem_usage_bytes = -1, .occurrences = -1};
	size_t i, count = 0;
	int err = 0;

	if (sum->line_count <= most)
		return 0;
	others.location = model_location(&book->pub, "", MODEL_FOLDED_OTHERS, 0, 0);
	if (!others.location)
		return -ENOMEM;
	model_sort_lines(sum, MODEL_SORT_INCREMENT);
	for (i = 0; i < sum->line_count; i++) {
		if (!sum->lines[i].others && count + 1 < most) {
			sum->lines[count++] = sum->lines[i];
			continue;
		}
		f->bytes -= line_bytes(book, &sum->lines[i]);
		err = model_sum_line(&others, &sum->lines[i]) ?: err;
		free(sum->lines[i].kernel);
	}
	settle_others(&others);
	f->bytes += line_bytes(book, &others);
	sum->lines[count++] = others;
	sum->line_count = count;
	return err ?: make_table(book, f);
}

size_t model_fold_lines_most(const struct book *book)
{
	return book->folding_lines ?: MODEL_FOLDED_LINES;
}

/* Leaves so many functions. What the others changed is in no function of the sum then. */
static void cut_functions(struct folding *f, size_t most)
{
	struct model_process *sum = &f->sum->pub;

	if (sum->function_count <= most)
		return;
	f->bytes -= (sum->function_count - most) * FUNCTION_BYTES;
	sum->function_count = most;
}

int model_fold_functions(struct book *book, struct folding *f, struct model_process *more)
{
	struct model_process *sum = &f->sum->pub, before = *sum;
	struct model_process *const both[] = {&before, more};
	size_t had = f->bytes;
	int err;

	if (!more->function_count)
		return 0;
	err = model_sum_functions(sum, both, 2);
	if (err) {
		sum->functions = before.functions;
		sum->function_count = before.function_count;
		return err;
	}
	free(before.functions);
	f->bytes += (sum->function_count - before.function_count) * FUNCTION_BYTES;
	cut_functions(f, model_fold_lines_most(book));
	book->folding_bytes += f->bytes - had;
	return 0;
}

int model_fold_cut(struct book *book, struct folding *f, size_t most)
{
	size_t before = f->bytes;
	int err = cut_lines(book, f, most);

	cut_functions(f, most);
	book->folding_bytes += f->bytes - before;
	drop_tree(&f->sum->pub);
	return err;
}

int model_fold_lines(struct book *book, struct folding *f, const struct model_process *more)
{
	struct model_process *sum = &f->sum->pub;
	size_t most = model_fold_lines_most(book), before = f->bytes, i;
	int err = f->table.slots ? 0 : make_table(book, f);

	for (i = 0; i < more->line_count && !err; i++) {
		err = take_line(book, f, &more->lines[i]);
		/* A quarter more than necessary, so that this does not happen at each line. */
		if (!err && sum->line_count > most)
			err = cut_lines(book, f, most / 4 * 3);
	}
	book->folding_bytes += f->bytes - before;
	drop_tree(sum);
	return err;
}

/* As the stacks of the line have them. */
static struct model_node_events events_of(const struct model_line *line)
{
	return (struct model_node_events){
		.cached_bytes = line->cached.bytes,
		.kernel_bytes = model_line_kernel_bytes(line),
		.huge_pages = line->extras[PYMEM_EXTRA_HUGE_PAGES],
		.collapse_filled_bytes = line->extras[PYMEM_EXTRA_COLLAPSE_FILLED],
		.swapped_in_bytes = line->extras[PYMEM_EXTRA_SWAPPED_IN],
		.swap_wait_ns = line->extras[PYMEM_EXTRA_SWAPIN_NS],
	};
}

/* Each line is a stack whose callers are missing. */
int model_fold_tree(struct model_process *sum)
{
	struct model_node *nodes = calloc(sum->line_count + 1, sizeof(*nodes));
	struct model_node_events events;
	struct tree tree = {0};
	size_t i;
	int err = nodes ? 0 : -ENOMEM;

	for (i = 0; i < sum->line_count && !err; i++) {
		const struct model_line *line = &sum->lines[i];

		events = events_of(line);
		err = model_tree_add_events(&tree, i + 1, &events);
		nodes[i + 1] = (struct model_node){
			.location = line->location,
			.next = i + 1 < sum->line_count ? i + 2 : 0,
			.total_bytes = line->increment_bytes,
			.own_bytes = line->increment_bytes,
			.grown_bytes = line->grown_bytes,
			.freed_bytes = line->freed_bytes,
			.cow_faults = line->cow_faults,
			.faults = line->minor_faults + line->major_faults,
			.resident_bytes = line->resident_bytes > 0 ? line->resident_bytes : 0,
			.stalled_ns = line->stalled_ns,
			.truncated = true,
		};
		nodes[0].total_bytes += line->increment_bytes;
	}
	if (err) {
		free(nodes);
		free(tree.events);
		return err;
	}
	model_tree_keep_events(&tree, sum);
	nodes[0].first = sum->line_count ? 1 : 0;
	sum->nodes = nodes;
	sum->node_count = sum->line_count + 1;
	return 0;
}
