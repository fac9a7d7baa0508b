/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a program that forks fifty times a second has no end of children. Each did little, and
 * nobody reads of them one by one, but together they are what the program does. So those that are
 * no longer kept are folded into one process that stands for all of their program: it has the sums
 * of their figures and of their lines.
 *
 * The first one that is folded becomes that sum, with its command line and its view of files.
 * Stacks are not added up: a tree of a sum has its lines only, without callers.
 *
 * Invariant: the sums and model->unfolded are model->gathered, and the lines of a sum are what it
 * was charged. What has no room is in another sum or line, never nowhere. */
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
#define SUM_BYTES      (sizeof(struct process) + sizeof(struct folding) + 512)
#define LINES_LEAST    32 /* of a sum, before sums are given up */

size_t model_frozen_bytes(const struct model_process *process)
{
	size_t bytes = PROCESS_BYTES + process->line_count * LINE_BYTES, i;

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
	for (i = 0; process->death && i < process->death->count; i++)
		bytes += sizeof(process->death->threads[i]) +
			 process->death->threads[i].facts.depth * sizeof(void *) + 32;
	for (i = 0; process->cmdline[i]; i++)
		bytes += strlen(process->cmdline[i]) + 32;
	return bytes;
}

/* --- lines of a sum --- */

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

static void drop_table(struct folding *f)
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

	drop_table(f);
	f->others = SIZE_MAX;
	for (i = 0; i < sum->line_count; i++) {
		if (sum->lines[i].others)
			f->others = i;
		else if (model_table_add(&f->table, hash_place(book, sum->lines[i].location), i))
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

	while (model_table_next(&f->table, hash, &cursor, &index))
		if (same_place(sum->lines[index].location, more->location))
			return model_sum_line(&sum->lines[index], more);
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

static size_t lines_most(const struct book *book)
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

static int take_functions(struct book *book, struct folding *f, struct model_process *more)
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
	cut_functions(f, lines_most(book));
	book->folding_bytes += f->bytes - had;
	return 0;
}

static int take_lines(struct book *book, struct folding *f, const struct model_process *more)
{
	struct model_process *sum = &f->sum->pub;
	size_t most = lines_most(book), before = f->bytes, i;
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

/* --- the other parts of a sum --- */

/* Names of files are not kept: of all there is one sum. */
static int take_files(struct process *sum, const struct model_process *more)
{
	size_t i;

	if (!more->cached_file_count)
		return 0;
	if (!sum->file_count) {
		sum->files = calloc(1, sizeof(*sum->files));
		sum->pub.cached_files = calloc(1, sizeof(void *));
		if (!sum->files || !sum->pub.cached_files)
			return -ENOMEM;
		sum->pub.cached_files[0] = &sum->files[0];
		sum->pub.cached_file_count = sum->file_count = 1;
	}
	for (i = 0; i < more->cached_file_count; i++)
		model_add_amounts(&sum->files[0].amounts, &more->cached_files[i]->amounts);
	return 0;
}

static int64_t growth_of(const struct model_process *process)
{
	int64_t end = process->rss_end_bytes;

	return (end < process->rss_peak_bytes ? process->rss_peak_bytes : end) -
	       process->rss_start_bytes;
}

/* What one had at first that began while it was watched is not what its end gave back. */
static void take_beginning(struct model_process *sum, const struct model_process *more)
{
	bool began = more->began;

	sum->folded_tables_bytes += began ? more->tables_start_bytes : 0;
	sum->tables_start_bytes += began ? 0 : more->tables_start_bytes;
	sum->anon_start_bytes += began ? 0 : more->anon_start_bytes;
	sum->shmem_start_bytes += began ? 0 : more->shmem_start_bytes;
	sum->anon_end_bytes += more->anon_end_bytes - (began ? more->anon_start_bytes : 0);
	sum->shmem_end_bytes += more->shmem_end_bytes - (began ? more->shmem_start_bytes : 0);
}

/* Makes the process a sum of itself alone, whose lines, trees and files are still to come. What it
 * had of those is put into `left`, which owns it. */
static void become_sum(struct process *process, struct process *left)
{
	struct model_process *sum = &process->pub;

	left->pub = *sum;
	sum->tables_start_bytes = sum->anon_start_bytes = sum->shmem_start_bytes = 0;
	sum->anon_end_bytes = sum->shmem_end_bytes = 0;
	sum->began = false;
	take_beginning(sum, &left->pub);
	left->files = process->files;
	left->file_count = process->file_count;
	left->hops = process->hops;
	sum->lines = NULL;
	sum->functions = NULL;
	sum->nodes = NULL;
	sum->node_events = NULL;
	sum->cached_files = NULL;
	sum->death = NULL;
	process->files = NULL;
	process->hops = NULL;
	sum->line_count = sum->function_count = sum->cached_file_count = 0;
	sum->node_count = sum->node_event_count = 0;
	process->file_count = process->file_room = process->hop_count = 0;
	sum->pid = sum->ppid = sum->ns_pid = 0;
	sum->folded = 1;
	sum->folded_in = 0;
	sum->folded_growth_bytes = growth_of(sum);
	sum->exited = true;
	/* Swap is what processes have that run. */
	sum->swap_end_bytes = 0;
}

static void free_left(struct process *left)
{
	model_lines_free(left->pub.lines, left->pub.line_count);
	free(left->pub.functions);
	free(left->pub.nodes);
	free(left->pub.node_events);
	model_death_free(left->pub.death);
	model_cached_files_free(left);
	free(left->hops);
}

/* --- sums --- */

static void gather(struct model_gathered *gathered, const struct model_process *process)
{
	int i;

	gathered->processes += process->folded ?: 1;
	gathered->change_bytes += process->rss_end_bytes - process->rss_start_bytes;
	gathered->charged_bytes += process->charged_bytes;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		gathered->lost_bytes[i] += process->lost_bytes[i];
}

static struct folding *folding_of(const struct book *book, uint64_t number)
{
	size_t i;

	for (i = 0; i < book->folding_count; i++)
		if (book->foldings[i].number == number)
			return &book->foldings[i];
	return NULL;
}

static uint64_t size_of_change(const struct folding *f)
{
	int64_t change = f->sum->pub.rss_end_bytes - f->sum->pub.rss_start_bytes;

	return change < 0 ? -(uint64_t)change : (uint64_t)change;
}

static int by_change(const void *left, const void *right)
{
	const struct folding *one = left, *other = right;
	uint64_t a = size_of_change(one), b = size_of_change(other);

	if (a != b)
		return a < b ? 1 : -1;
	return (one->number > other->number) - (one->number < other->number);
}

static void list_foldings(struct book *book)
{
	size_t i;

	if (book->folding_count)
		qsort(book->foldings, book->folding_count, sizeof(*book->foldings), by_change);
	for (i = 0; i < book->folding_count; i++)
		book->pub.folded[i] = &book->foldings[i].sum->pub;
	book->pub.folded_count = book->folding_count;
}

/* Gives up a quarter of the sums, those that changed least. */
static void give_up_smallest(struct book *book)
{
	size_t left = book->folding_count - (book->folding_count + 3) / 4;

	list_foldings(book);
	while (book->folding_count > left) {
		struct folding *f = &book->foldings[--book->folding_count];

		gather(&book->pub.unfolded, &f->sum->pub);
		book->folding_bytes -= f->bytes;
		model_process_free(&f->sum->pub);
		drop_table(f);
	}
	book->pub.folded_count = left;
}

/* Keeps the sums within their memory: first fewer lines, then fewer sums. */
static int fit(struct book *book, size_t most)
{
	size_t i, before;
	int err = 0;

	while (book->folding_bytes > most && book->folding_count && !err) {
		if (lines_most(book) / 2 < LINES_LEAST) {
			give_up_smallest(book);
			continue;
		}
		book->folding_lines = lines_most(book) / 2;
		for (i = 0; i < book->folding_count && !err; i++) {
			before = book->foldings[i].bytes;
			err = cut_lines(book, &book->foldings[i], book->folding_lines);
			cut_functions(&book->foldings[i], book->folding_lines);
			book->folding_bytes += book->foldings[i].bytes - before;
			drop_tree(&book->foldings[i].sum->pub);
		}
	}
	return err;
}

uint64_t model_fold_number(struct book *book, const struct model_process *process)
{
	size_t i;

	for (i = 0; i < book->folding_count; i++) {
		const struct folding *f = &book->foldings[i];

		if (f->sum->program_hash == process_of(process)->program_hash &&
		    f->sum->pub.memory_group == process->memory_group &&
		    model_program_same(&f->sum->pub, process))
			return f->number;
	}
	if (book->folding_count == MODEL_FOLDED_MOST)
		give_up_smallest(book);
	return ++book->folding_last;
}

/* A new folding, of the process alone. */
static int begin_folding(struct book *book, struct model_process *process, uint64_t number)
{
	struct folding new = {.sum = process_of(process), .number = number, .bytes = SUM_BYTES};
	struct process left = {0};
	int err;

	if (!book->pub.folded)
		book->pub.folded = calloc(MODEL_FOLDED_MOST, sizeof(struct model_process *));
	if (!book->pub.folded ||
	    !ARRAY_HAS_ROOM(book->foldings, book->folding_count, book->folding_room)) {
		gather(&book->pub.unfolded, process);
		model_process_free(process);
		return -ENOMEM;
	}
	become_sum(new.sum, &left);
	book->folding_bytes += new.bytes;
	book->foldings[book->folding_count] = new;
	err = take_lines(book, &book->foldings[book->folding_count++], &left.pub)
		      ?: take_functions(book, &book->foldings[book->folding_count - 1], &left.pub)
		      ?: take_files(new.sum, &left.pub);
	free_left(&left);
	return err;
}

int model_fold(struct book *book, struct model_process *process, uint64_t number, size_t most)
{
	struct folding *f = folding_of(book, number);
	struct model_process *sum;
	int err;

	gather(&book->pub.gathered, process);
	if (!f)
		return begin_folding(book, process, number) ?: fit(book, most);
	sum = &f->sum->pub;
	model_sum_process(sum, process);
	take_beginning(sum, process);
	sum->folded++;
	sum->folded_growth_bytes += growth_of(process);
	err = take_lines(book, f, process) ?: take_functions(book, f, process)
					   ?: take_files(f->sum, process);
	model_process_free(process);
	return err ?: fit(book, most);
}

void model_lose_gathered(struct model *model, uint64_t folded_in, enum pymem_loss loss,
			 int64_t bytes)
{
	struct folding *f = folding_of(book_of(model), folded_in);

	model->gathered.lost_bytes[loss] += bytes;
	if (f)
		f->sum->pub.lost_bytes[loss] += bytes;
	else
		model->unfolded.lost_bytes[loss] += bytes;
}

/* --- trees --- */

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
static int make_tree(struct model_process *sum)
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

int model_fold_settle(struct book *book)
{
	size_t i;
	int err = 0;

	for (i = 0; i < book->folding_count && !err; i++) {
		/* Who reads the model may sort them. */
		drop_table(&book->foldings[i]);
		if (book->pub.trees_kept && !book->foldings[i].sum->pub.nodes)
			err = make_tree(&book->foldings[i].sum->pub);
	}
	list_foldings(book);
	return err;
}

void model_foldings_free(struct book *book)
{
	size_t i;

	for (i = 0; i < book->folding_count; i++) {
		model_process_free(&book->foldings[i].sum->pub);
		drop_table(&book->foldings[i]);
	}
	free(book->foldings);
	free(book->pub.folded);
}
