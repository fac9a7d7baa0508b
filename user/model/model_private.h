/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of model/ share and nobody else sees. The public struct is the first member of the
 * private one, so a pointer to one is a pointer to the other. */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include <sys/types.h>

#include "base/array.h"
#include "model/model.h"

/* Maps a hash to indices of an array. The owner keeps the array and compares its elements. */
struct table {
	struct table_slot {
		uint64_t hash;
		size_t index; /* index plus 1; 0: free */
	} * slots;
	size_t room, used; /* room: number of slots, 0 or a power of two */
};

struct location {
	struct model_location pub;
	size_t line;   /* index into lines; equal file, function and line have the same */
	bool importer; /* belongs to the import system */
};

struct stack_extra {
	struct pymem_vmcalls *vmcalls; /* NULL: none */
	struct pymem_kernel *kernel;   /* NULL: none */
	uint64_t resident_pages, swapped_pages, gone_pages;
	uint64_t peak_before_pages;
	struct model_cache_amounts cached;
};

struct process {
	struct model_process pub;
	struct table table;	    /* of stacks */
	struct stack_extra *extras; /* one for each of pub.stacks */
	size_t stack_room;
	/* What each thread has of a stack; none unless threads are told. */
	struct part {
		size_t stack; /* index of pub.stacks */
		const struct model_location *thread;
		struct pymem_counters counters;
		uint64_t resident_pages, stalled_ns;
		struct model_node_events events; /* `node` means nothing */
		bool truncated;
	} * parts;
	size_t part_count, part_room;
	struct table part_table; /* by stack and thread */
	struct runs {
		const struct model_location *location;
		struct pymem_line counted;
		uint64_t peak_before_pages, usage_before_pages;
		bool function; /* of calls of a function, not of a line */
	} * runs;
	size_t run_count, run_room;
	struct model_cached_file *files; /* in the order in which they came */
	size_t file_count, file_room;
	struct table file_table; /* of files by path */
	struct cached_row {
		size_t stack, file; /* indices of pub.stacks and of files */
		uint64_t bytes;
	} * cached_rows;
	size_t cached_row_count, cached_row_room;
	struct model_hop *hops; /* of all lines; their paths point into it */
	size_t hop_count;
	bool frozen;
	uint64_t program_hash; /* of a frozen one: model_program_hash() */
};

/* Ended processes of a program that are no longer kept one by one. */
struct folding {
	struct process *sum; /* its lines have no paths */
	uint64_t number;     /* from 1 on, never used again */
	struct table table;  /* of lines by place; none if they may have been sorted since */
	size_t room;	     /* of lines */
	size_t bytes;	     /* its memory */
};

struct book {
	struct model pub;
	uint64_t seed;
	struct table string_table, location_table, line_table;
	char **strings;
	size_t string_count, string_room;
	struct location **locations;
	size_t location_count, location_room;
	struct location **lines; /* of each line: the location met first */
	size_t line_count, line_room;
	size_t process_room, cgroup_room, memory_group_room, skip_room, note_room;
	struct model_process **frozen;
	size_t frozen_count, frozen_room;
	size_t frozen_bytes;		/* their memory */
	size_t frozen_new, frozen_most; /* since crowds were looked for; of one program, then */
	struct folding *foldings;
	size_t folding_count, folding_room, folding_bytes;
	uint64_t folding_last; /* the last number */
	size_t folding_lines;  /* the most lines that one may have */
};

static inline struct location *location_of(const struct model_location *location)
{
	return (struct location *)location;
}

static inline struct process *process_of(const struct model_process *process)
{
	return (struct process *)process;
}

static inline struct book *book_of(const struct model *model)
{
	return (struct book *)model;
}

/* Walks through the indices added under `hash`. `*cursor` starts as `hash`. True: `*index` is the
 * next one; false: the end. model_table_add() adds one; 0 or -ENOMEM. */
bool model_table_next(const struct table *table, uint64_t hash, uint64_t *cursor, size_t *index);
int model_table_add(struct table *table, uint64_t hash, size_t index);
/* `hash` with the pointer mixed in, by the seed of the book. */
uint64_t model_hash_pointer(const struct book *book, uint64_t hash, const void *pointer);

/* The book's only copy of `text` (NULL: ""). It lives as long as the book. NULL: out of memory. */
const char *model_intern(struct book *book, const char *text);

/* Frees the strings and locations that no frozen process uses. The model must have no other
 * processes. 0, or -ENOMEM: then unused strings stay. */
int model_book_collect(struct book *book);

/* model_functions.c: computes the functions of a process. 0 or -ENOMEM. */
int model_compute_functions(const struct book *book, struct model_process *process);
/* Makes `sum` have the functions of all these processes; the caller frees sum->functions. 0 or
 * -ENOMEM. */
int model_sum_functions(struct model_process *sum, struct model_process *const *processes,
			size_t count);

/* The index of the process's stack with these frames, which is added if it is new. Or -ENOMEM. */
ssize_t model_take_stack(struct book *book, struct process *process,
			 const struct model_location *const *frames, unsigned depth);
/* Adds `more` to `sum`; of peaks, the larger one stays. */
void model_add_counters(struct pymem_counters *sum, const struct pymem_counters *more);
/* How long the stack that made these calls (NULL: none) waited for memory. */
void model_sum_kernel(struct pymem_kernel *sum, const struct pymem_kernel *more);

/* Adds to `*sum`, which is made if it is NULL. `more` NULL: nothing. 0 or -ENOMEM. */
int model_take_kernel(struct pymem_kernel **sum, const struct pymem_kernel *more);

/* Frees lines with what they have. */
void model_lines_free(struct model_line *lines, size_t count);
uint64_t model_stalled_ns(const struct pymem_vmcalls *vmcalls);
/* Frees it with its threads. NULL is allowed. */
void model_death_free(struct model_death *death);
/* Number i of its stacks: those of its threads, then the sender's. NULL: there are no more. `death`
 * may be NULL. */
const struct model_death_thread *model_death_stack(const struct model_death *death, size_t i);
/* Frees the parts of threads. */
void model_parts_free(struct process *process);

/* Frees the stacks and runs that lines are computed from. model_process_free() frees all of a
 * process. */
void model_stacks_free(struct model_process *process);
void model_process_free(struct model_process *process);

/* True if the file is of the standard library or an installed package. */
bool model_is_library(const char *file);

/* A tree of calls that grows. */
struct tree {
	const struct book *book;
	struct model_node *nodes; /* handed over to the process */
	size_t count, room;
	struct table table; /* of nodes by caller and line */
	/* In the order in which they came; a node may come again. */
	struct model_node_events *events;
	size_t event_count, event_room;
};

/* The node of the line `location` called by node `parent`, added if it is new. 0: out of memory. */
size_t model_tree_node(struct tree *tree, size_t parent, const struct model_location *location);
/* Adds a node without a line, as the root. 0 or -ENOMEM. */
int model_tree_init(struct tree *tree, const struct book *book);
/* Frees what a tree needs while it grows, but neither its nodes nor their events. */
void model_tree_done(struct tree *tree);
/* Computes the nodes of a process from its stacks. 0 or -ENOMEM. */
int model_compute_tree(const struct book *book, struct model_process *process);
/* model_tree_events.c. Adds what the stack that has `vmcalls` (NULL: nothing) had of huge pages and
 * of swap. */
void model_add_call_events(const struct model *model, struct model_node_events *sum,
			   const struct pymem_vmcalls *vmcalls);
/* Adds what the stack has of the page cache and of the kernel's own memory. */
void model_add_stack_events(struct model_node_events *sum, const struct stack_extra *extra);
/* The tree's node has these as well. 0 or -ENOMEM. */
int model_tree_add_events(struct tree *tree, size_t node, const struct model_node_events *events);
/* Hands the tree's events over to the process. */
void model_tree_keep_events(struct tree *tree, struct model_process *process);
/* True if the frame is left out because the import system is gathered. */
bool model_is_left_out(const struct book *book, const struct model_stack *stack, unsigned frame);

/* The path of each line of the process that was innermost. `heaviest`: for each line, the index of
 * the stack that changed most, plus 1; 0: none. 0 or -ENOMEM. */
int model_compute_paths(const struct book *book, struct model_process *process,
			const size_t *heaviest);

/* model_cache.c. Adds `more` to `sum`. */
void model_add_amounts(struct model_cache_amounts *sum, const struct model_cache_amounts *more);
/* Fills process->cached_files, once its lines are computed. 0 or -ENOMEM. */
int model_compute_cached(const struct book *book, struct model_process *process);
/* Frees what the files are computed from; then also the files themselves. */
void model_cached_rows_free(struct process *process);
void model_cached_files_free(struct process *process);

/* programs.c: equal for processes of one program; true if they are of one. */
uint64_t model_program_hash(const struct book *book, const struct model_process *process);
bool model_program_same(const struct model_process *a, const struct model_process *b);
/* Adds the figures of `more` to those of the same line, which keeps its path. 0 or -ENOMEM. */
int model_sum_line(struct model_line *line, const struct model_line *more);
/* Adds all figures but lines, trees and files. */
void model_sum_process(struct model_process *sum, const struct model_process *more);

/* model_fold_lines.c. Rough memory of a process's texts; of a frozen process. */
size_t model_text_bytes(const struct model_process *process);
size_t model_frozen_bytes(const struct model_process *process);
/* Adds the lines, or the functions, of a process to a sum. 0 or -ENOMEM: not all are in it. */
int model_fold_lines(struct book *book, struct folding *f, const struct model_process *more);
int model_fold_functions(struct book *book, struct folding *f, struct model_process *more);
/* Leaves so many lines, of which the last is all others, and so many functions. 0 or -ENOMEM. */
int model_fold_cut(struct book *book, struct folding *f, size_t most);
size_t model_fold_lines_most(const struct book *book);
/* Of the lines: who reads the model may sort them. */
void model_fold_drop_table(struct folding *f);
/* Makes the sum's tree: each line is a stack whose callers are missing. 0 or -ENOMEM. */
int model_fold_tree(struct model_process *sum);
/* model_fold.c. Which folding the process would be in: its number, of a new one if need be. */
uint64_t model_fold_number(struct book *book, const struct model_process *process);
/* Adds the process to the folding of that number, and to the sums of all; frees it. The foldings
 * stay within `most` bytes. 0 or -ENOMEM: then lines of it may be missing. */
int model_fold(struct book *book, struct model_process *process, uint64_t number, size_t most);
/* Makes the trees of the foldings anew, if trees are kept, and sorts them. 0 or -ENOMEM. */
int model_fold_settle(struct book *book);
void model_foldings_free(struct book *book);

/* Computes the lines of model->processes, none of which may be frozen. 0 or -ENOMEM. */
int model_compute_lines(struct model *model);

#endif
