/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a service is twenty equal processes, and what it does is the same in each. Their lines
 * are added up, so that what is large in all of them together comes first.
 *
 * A process is looked up by a hash of its program, and a line by one of its place: hundreds of
 * processes of thousands of lines are gathered once a second while a screen is redrawn. */
#include "model/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_private.h"
#include "model/program.h"

struct gathering {
	const struct book *book;
	struct model_programs *programs;
	size_t room;
	struct table table; /* of programs */
};

static uint64_t hash_text(uint64_t hash, const char *text)
{
	while (*text)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ull;
	return hash * 31;
}

uint64_t model_program_hash(const struct book *book, const struct model_process *process)
{
	uint64_t hash = hash_text(book->seed, process->cgroup);
	struct program program;
	char *const *argument;

	program_parse(&program, process->cmdline, process->comm);
	/* Of a title, program_same() compares the beginning only. */
	hash = program.kind == PROGRAM_OTHER ? hash * 7 : hash_text(hash, program.what);
	for (argument = program_telling(program.arguments); *argument;
	     argument = program_telling(argument + 1))
		hash = hash_text(hash, *argument);
	return hash;
}

bool model_program_same(const struct model_process *a, const struct model_process *b)
{
	struct program one, other;
	char *const *x, *const *y;

	program_parse(&one, a->cmdline, a->comm);
	program_parse(&other, b->cmdline, b->comm);
	/* Source text is read for the first one: the others must be allowed to read the same. */
	if (!program_same(&one, &other) || strcmp(a->cgroup, b->cgroup) ||
	    strcmp(a->python, b->python) || !source_root_same(&a->root, &b->root))
		return false;
	x = program_telling(one.arguments);
	y = program_telling(other.arguments);
	while (*x && *y && !strcmp(*x, *y)) {
		x = program_telling(x + 1);
		y = program_telling(y + 1);
	}
	return !*x && !*y;
}

/* True if both processes have the same command line, to the letter. */
static bool is_alike(const struct model_process *a, const struct model_process *b)
{
	size_t i;

	for (i = 0; a->cmdline[i] && b->cmdline[i]; i++)
		if (strcmp(a->cmdline[i], b->cmdline[i]) != 0)
			return false;
	return !a->cmdline[i] && !b->cmdline[i] && !strcmp(a->comm, b->comm);
}

static int new_program(struct gathering *g, uint64_t hash, const struct model_process *process)
{
	struct model_program *program = calloc(1, sizeof(*program));

	if (!program || !ARRAY_HAS_ROOM(g->programs->list, g->programs->count, g->room) ||
	    model_table_add(&g->table, hash, g->programs->count) != 0) {
		free(program);
		return -ENOMEM;
	}
	program->sum = *process;
	program->alike = true;
	g->programs->list[g->programs->count++] = program;
	return 0;
}

/* Adds the process to its program, which is made if there is none yet. 0 or -ENOMEM. */
static int place_process(struct gathering *g, struct model_process *process)
{
	uint64_t hash = model_program_hash(g->book, process), cursor = hash;
	struct model_program *program = NULL;
	size_t index;

	while (!program && model_table_next(&g->table, hash, &cursor, &index))
		if (model_program_same(&g->programs->list[index]->sum, process))
			program = g->programs->list[index];
	if (!program && new_program(g, hash, process) != 0)
		return -ENOMEM;
	if (!program)
		program = g->programs->list[g->programs->count - 1];
	if (!ARRAY_HAS_ROOM(program->processes, program->count, program->room))
		return -ENOMEM;
	program->processes[program->count++] = process;
	program->stands_for += process->folded ?: 1;
	program->alike = program->alike && is_alike(&program->sum, process);
	return 0;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static bool has_unknown_usage(const struct model_line *line)
{
	return line->occurrences >= 0 && line->mem_usage_bytes < 0;
}

/* What is unknown may have been higher. */
static void add_peaks(struct model_line *line, const struct model_line *more)
{
	if (line->peak_bytes < 0 || more->peak_bytes < 0)
		line->peak_bytes = -1;
	else
		line->peak_bytes = larger(line->peak_bytes, more->peak_bytes);
	if (has_unknown_usage(line) || has_unknown_usage(more))
		line->mem_usage_bytes = -1;
	else
		line->mem_usage_bytes = larger(line->mem_usage_bytes, more->mem_usage_bytes);
}

int model_sum_line(struct model_line *line, const struct model_line *more)
{
	int i;

	line->increment_bytes += more->increment_bytes;
	line->total_bytes += more->total_bytes;
	line->anon_bytes += more->anon_bytes;
	line->file_bytes += more->file_bytes;
	line->shmem_bytes += more->shmem_bytes;
	line->swap_bytes += more->swap_bytes;
	line->grown_bytes += more->grown_bytes;
	line->freed_bytes += more->freed_bytes;
	line->minor_faults += more->minor_faults;
	line->major_faults += more->major_faults;
	line->cow_faults += more->cow_faults;
	line->cow_total_faults += more->cow_total_faults;
	line->import_bytes += more->import_bytes;
	line->import_system_bytes += more->import_system_bytes;
	line->imported_bytes += more->imported_bytes;
	add_peaks(line, more);
	for (i = 0; i < PYMEM_VMCALL_COUNT; i++) {
		line->vm_calls[i] += more->vm_calls[i];
		line->vm_bytes[i] += more->vm_bytes[i];
	}
	for (i = 0; i < PYMEM_STALL_COUNT; i++) {
		line->kind_stalls[i] += more->kind_stalls[i];
		line->kind_ns[i] += more->kind_ns[i];
	}
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		line->extras[i] += more->extras[i];
	line->stalls += more->stalls;
	line->stalled_ns += more->stalled_ns;
	line->reclaimed_bytes += more->reclaimed_bytes;
	model_add_amounts(&line->cached, &more->cached);
	if (line->resident_bytes < 0 || more->resident_bytes < 0)
		line->resident_bytes = -1;
	else
		line->resident_bytes += more->resident_bytes;
	line->swapped_now_bytes += more->swapped_now_bytes;
	line->gone_bytes += more->gone_bytes;
	if (more->occurrences > 0)
		line->occurrences = larger(line->occurrences, 0) + more->occurrences;
	line->run_bytes += more->run_bytes;
	line->once_bytes += more->once_bytes;
	line->row_bytes += more->row_bytes;
	line->gc_bytes += more->gc_bytes;
	line->collections += more->collections;
	return model_take_kernel(&line->kernel, more->kernel);
}

/* The same, and takes over its path if it is of the largest increment. */
static int add_line(struct model_line *line, const struct model_line *more, int64_t *heaviest)
{
	int64_t size = llabs(more->increment_bytes);

	if (more->path_count && (!line->path_count || size > *heaviest)) {
		line->path = more->path;
		line->path_count = more->path_count;
		line->path_more = more->path_more;
		line->path_open = more->path_open;
		*heaviest = size;
	}
	return model_sum_line(line, more);
}

/* Lines of several processes, added up. */
struct lines {
	const struct book *book;
	struct model_line *list;
	int64_t *heaviest; /* of each line: the increment of the process that its path is of */
	size_t count, room, heaviest_room;
	struct table table;
};

static int take_line(struct lines *lines, const struct model_line *more)
{
	size_t number = location_of(more->location)->line, index;
	uint64_t hash = model_hash_pointer(lines->book, lines->book->seed,
					   lines->book->lines[number]),
		 cursor = hash;

	while (model_table_next(&lines->table, hash, &cursor, &index)) {
		if (location_of(lines->list[index].location)->line != number)
			continue;
		return add_line(&lines->list[index], more, &lines->heaviest[index]);
	}
	if (!ARRAY_HAS_ROOM(lines->list, lines->count, lines->room) ||
	    !ARRAY_HAS_ROOM(lines->heaviest, lines->count, lines->heaviest_room) ||
	    model_table_add(&lines->table, hash, lines->count) != 0)
		return -ENOMEM;
	lines->heaviest[lines->count] = llabs(more->increment_bytes);
	lines->list[lines->count] = *more;
	lines->list[lines->count].kernel = NULL;
	return model_take_kernel(&lines->list[lines->count++].kernel, more->kernel);
}

static int sum_lines(const struct book *book, struct model_program *program)
{
	struct lines lines = {.book = book};
	size_t i, j;
	int err = 0;

	for (i = 0; i < program->count && !err; i++)
		for (j = 0; j < program->processes[i]->line_count && !err; j++)
			err = take_line(&lines, &program->processes[i]->lines[j]);
	program->sum.lines = lines.list;
	program->sum.line_count = lines.count;
	free(lines.heaviest);
	free(lines.table.slots);
	return err;
}

static int sum_nodes(const struct book *book, struct model_program *program)
{
	const struct model_process *process;
	size_t i, j, node, *place;
	struct tree tree;
	int err = model_tree_init(&tree, book);

	for (i = 0; i < program->count && !err; i++) {
		process = program->processes[i];
		place = calloc(process->node_count + 1, sizeof(*place));
		err = place ? 0 : -ENOMEM;
		/* A node comes behind its caller. */
		for (j = 0; j < process->node_count && !err; j++) {
			node = j ? model_tree_node(&tree, place[process->nodes[j].parent],
						   process->nodes[j].location)
				 : 0;
			if (j && !node) {
				err = -ENOMEM;
				break;
			}
			place[j] = node;
			tree.nodes[node].total_bytes += process->nodes[j].total_bytes;
			tree.nodes[node].own_bytes += process->nodes[j].own_bytes;
		}
		free(place);
	}
	model_tree_done(&tree);
	program->sum.nodes = tree.nodes;
	program->sum.node_count = err ? 0 : tree.count;
	return err;
}

void model_sum_process(struct model_process *sum, const struct model_process *more)
{
	int i;

	sum->rss_start_bytes += more->rss_start_bytes;
	sum->rss_end_bytes += more->rss_end_bytes;
	sum->rss_peak_bytes = larger(sum->rss_peak_bytes, more->rss_peak_bytes);
	sum->rss_peak_at_least = sum->rss_peak_at_least || more->rss_peak_at_least;
	sum->charged_bytes += more->charged_bytes;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++) {
		sum->lost_bytes[i] += more->lost_bytes[i];
		sum->cached_lost_bytes[i] += more->cached_lost_bytes[i];
		sum->kernel_lost_bytes[i] += more->kernel_lost_bytes[i];
	}
	sum->resident_known = sum->resident_known && more->resident_known;
	sum->resident_before_bytes += more->resident_before_bytes;
	sum->resident_unknown_bytes += more->resident_unknown_bytes;
	sum->away_known = sum->away_known && more->away_known;
	sum->swapped_unknown_bytes += more->swapped_unknown_bytes;
	sum->exited = sum->exited && more->exited;
	sum->truncated_stacks += more->truncated_stacks;
	sum->lost_faults += more->lost_faults;
	sum->lost_stalls += more->lost_stalls;
	sum->lost_stall_ns += more->lost_stall_ns;
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		sum->lost_extras[i] += more->lost_extras[i];
	for (i = 0; i < PYMEM_TAKERS; i++)
		model_add_taker(sum, more->takers[i].pid, more->takers[i].comm,
				more->takers[i].bytes);
	model_add_amounts(&sum->cached, &more->cached);
	model_sum_kernel(&sum->kernel, &more->kernel);
	if (sum->id > more->id)
		sum->id = more->id;
	/* A file that changed since the first of them started may not be what that one runs. */
	if (more->root.start_wall > 0 && more->root.start_wall < sum->root.start_wall)
		sum->root.start_wall = more->root.start_wall;
	if (!sum->note)
		sum->note = more->note;
}

static int by_change(const void *left, const void *right)
{
	const struct model_process *a = *(struct model_process *const *)left;
	const struct model_process *b = *(struct model_process *const *)right;
	int64_t x = llabs(a->rss_end_bytes - a->rss_start_bytes);
	int64_t y = llabs(b->rss_end_bytes - b->rss_start_bytes);

	if (!a->folded != !b->folded)
		return a->folded ? 1 : -1;
	if (x != y)
		return x < y ? 1 : -1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

/* Adds up the processes of a program that has several. */
static int sum_program(const struct book *book, struct model_program *program)
{
	size_t i;
	int err;

	qsort(program->processes, program->count, sizeof(struct model_process *), by_change);
	if (program->count == 1)
		return 0;
	program->sum = *program->processes[0];
	program->sum.folded = 0;
	program->owns = true;
	program->sum.lines = NULL;
	program->sum.nodes = NULL;
	program->sum.cached_files = NULL;
	program->sum.functions = NULL;
	program->sum.line_count = program->sum.node_count = 0;
	for (i = 1; i < program->count; i++)
		model_sum_process(&program->sum, program->processes[i]);
	err = model_sum_cached_files(program) ?: sum_lines(book, program);
	err = model_sum_functions(&program->sum, program->processes, program->count) ?: err;
	if (!err && book->pub.trees_kept)
		err = sum_nodes(book, program);
	model_sort_lines(&program->sum, MODEL_SORT_INCREMENT);
	return err;
}

/* Puts the programs into the order of their sums. 0 or -ENOMEM. */
static int sort_programs(struct model_programs *programs, enum model_sort sort)
{
	struct model sums = {.process_count = programs->count};
	size_t i;
	int err;

	sums.processes = calloc(programs->count + 1, sizeof(*sums.processes));
	if (!sums.processes)
		return -ENOMEM;
	for (i = 0; i < programs->count; i++)
		sums.processes[i] = &programs->list[i]->sum;
	err = model_sort_processes(&sums, sort);
	/* The sum is the first member. */
	for (i = 0; i < programs->count && !err; i++)
		programs->list[i] = (struct model_program *)sums.processes[i];
	free(sums.processes);
	return err;
}

int model_programs_gather(const struct model *model, enum model_sort sort,
			  struct model_programs *programs)
{
	struct gathering g = {.book = book_of(model), .programs = programs};
	size_t i;
	int err = 0;

	*programs = (struct model_programs){0};
	for (i = 0; i < model_row_count(model) && !err; i++)
		err = place_process(&g, model_row(model, i));
	for (i = 0; i < programs->count && !err; i++)
		err = sum_program(g.book, programs->list[i]);
	if (!err)
		err = sort_programs(programs, sort);
	free(g.table.slots);
	if (err)
		model_programs_free(programs);
	return err;
}

void model_programs_free(struct model_programs *programs)
{
	struct model_program *program;
	size_t i;

	for (i = 0; i < programs->count; i++) {
		program = programs->list[i];
		if (program->owns) {
			model_lines_free(program->sum.lines, program->sum.line_count);
			free(program->sum.nodes);
			free(program->sum.functions);
			free(program->sum.cached_files);
			free(program->files);
		}
		free(program->processes);
		free(program);
	}
	free(programs->list);
	*programs = (struct model_programs){0};
}
