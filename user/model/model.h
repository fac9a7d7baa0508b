/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The result of a profile: processes, their stacks, their lines. Renderers print nothing that is
 * not here. The model is pure: it needs no kernel, no root and no clock.
 *
 * The model copies all strings that it is given. All amounts are in bytes. */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "model/death.h"
#include "pymem.h"
#include "pymem_line.h"
#include "os/cgroup_stat.h"
#include "os/source.h"

struct model_location { /* the place of an instruction in the source */
	const char *file;
	const char *function;
	int line;	/* 0: unknown */
	int first_line; /* of the function */
	bool library;	/* of the standard library or an installed package, by its file's name */
	/* No line, but a thread: `function` is its name, `line` its TID; 0: all threads that were
	 * not told apart. It has no file. */
	bool thread;
};

/* A step from a line to its callers. */
struct model_hop {
	const struct model_location *location; /* NULL: frames of libraries */
	unsigned frames; /* in a row; of a location more than 1 if it called itself */
};

#define MODEL_PATH_MOST 8 /* hops kept of a line */

/* Pages of files that were brought into the page cache, in bytes. Of `bytes`: taken out again;
 * nobody knows, for want of room; accounted to the process's own control group, and to another one
 * (the rest: the kernel does not account them, or does not say). */
struct model_cache_amounts {
	uint64_t bytes, gone_bytes, unknown_bytes, own_bytes, other_bytes;
};

struct model_cached_file {
	char *path;   /* any bytes; NULL: all files beyond the table's size */
	bool deleted; /* it had no name any more when it was first seen */
	struct model_cache_amounts amounts;
	const struct model_location *most; /* the line that brought most; NULL: no line did */
	uint64_t most_bytes;
};

struct model_line {
	const struct model_location *location; /* of lines only file, line and function count */
	int64_t increment_bytes;	       /* net change of RSS while this line was innermost */
	int64_t total_bytes; /* net change while it was on the stack, each stack once */
	int64_t anon_bytes, file_bytes, shmem_bytes,
		swap_bytes;		   /* parts of increment_bytes, but swap is apart */
	uint64_t grown_bytes, freed_bytes; /* the two halves of increment_bytes */
	/* Resident now, and touched first by this line; -1: unknown. */
	int64_t resident_bytes;
	/* Touched first by this line, and not resident any more: in swap now; and of files and
	 * shared memory, gone: what others took of it is no more than that, and no more than they
	 * took at all (model_taken_most()). 0 if it is unknown. */
	uint64_t swapped_now_bytes, gone_bytes;
	/* Highest RSS seen while the line, or something it called, ran; -1: unknown, in a part of a
	 * recording, because it was as high before. */
	int64_t peak_bytes;
	uint64_t minor_faults, major_faults, cow_faults; /* while it was innermost */
	uint64_t cow_total_faults;			 /* while it was anywhere on the stack */
	uint64_t vm_calls[PYMEM_VMCALL_COUNT];
	int64_t vm_bytes[PYMEM_VMCALL_COUNT];
	/* While it was innermost, threads stalled: how often and how long, in all and by enum
	 * pymem_stall; and how much memory they freed. */
	uint64_t stalls, stalled_ns;
	uint64_t kind_stalls[PYMEM_STALL_COUNT], kind_ns[PYMEM_STALL_COUNT];
	uint64_t reclaimed_bytes;
	struct model_cache_amounts cached;  /* that it brought into the page cache */
	uint64_t extras[PYMEM_EXTRA_COUNT]; /* while it was innermost: counts, or bytes */
	/* What the kernel took for it of its own memory; NULL: nothing. Of whoever has the line. */
	struct pymem_kernel *kernel;
	/* Part of increment_bytes: while an import ran; and part of that: by the import system
	 * itself, which reads files and unmarshals code. */
	int64_t import_bytes, import_system_bytes;
	/* What imports changed that this line started. An import that runs inside another one is
	 * part of the outer one. */
	int64_t imported_bytes;
	/* Of the stacks with this line innermost, the callers in the one that changed most: the
	 * innermost one first. They belong to the process. */
	const struct model_hop *path;
	unsigned path_count; /* 0: it has no callers, or was never innermost */
	unsigned path_more;  /* frames further out */
	bool path_open;	     /* the outermost frames are missing */
	bool others; /* of a sum in model.folded: no line, but all for which it has no room */
	/* Only of the exact engine. The first two are -1, the others 0, if the line was not seen to
	 * run. */
	int64_t mem_usage_bytes; /* highest RSS at the end of a run; -1 also as in peak_bytes */
	int64_t occurrences;	 /* number of runs */
	int64_t run_bytes;	 /* sum of what its thread changed in each run, callees included */
	int64_t once_bytes;	 /* part of run_bytes: not inside another run of the code */
	int64_t row_bytes;	 /* part of once_bytes: nor inside other code on the line */
	int64_t gc_bytes;	 /* part of run_bytes: changed by garbage collections */
	uint64_t collections;
};

/* A function that the exact engine saw called. Of several processes: their sum. */
struct model_function {
	const struct model_location *location; /* its first line */
	uint64_t calls; /* a generator that goes on is not called once more */
	/* What its thread changed while it ran, callees included; of a recursion, what the
	 * outermost call has. */
	int64_t total_bytes;
	int64_t self_bytes; /* what it changed itself: without callees that were seen */
	int64_t gc_bytes;   /* part of total_bytes: by garbage collections that it started */
	uint64_t collections;
	int64_t peak_bytes;   /* highest RSS while it ran; -1: unknown */
	int64_t return_bytes; /* highest RSS when it returned or yielded; -1: unknown, or it never
				 did */
	/* While functions are computed: what these two must reach to be known. */
	int64_t peak_before_bytes, return_before_bytes;
};

struct model_taker { /* a task that took pages of a process */
	int pid;     /* its TID; 0: none */
	char comm[16];
	uint64_t bytes;
};

struct model_stack {			      /* lines and trees are computed from these */
	const struct model_location **frames; /* innermost first */
	unsigned depth;
	bool truncated;			/* outermost frames are missing */
	struct pymem_counters counters; /* in pages, as the BPF side counted them */
};

/* Node 0 of a tree is its root, which is no line. If threads are told, each thread is a node below
 * it, and its stacks are below that. */
struct model_node {
	const struct model_location *location;
	size_t parent, first, next;	/* its caller, a line it called, the next one of the same
					   caller; 0: none */
	int64_t total_bytes, own_bytes; /* with and without what it called */
	/* As of a model_line, without what it called. resident_bytes is 0 if it is unknown. */
	uint64_t grown_bytes, freed_bytes, cow_faults;
	uint64_t faults; /* minor and major */
	int64_t resident_bytes;
	uint64_t stalled_ns;
	bool truncated; /* of a stack that ends here the outermost frames are missing */
};

/* Figures of a node that are counted only if they are asked for, without what it called; as of a
 * model_line. Few nodes have any. */
struct model_node_events {
	size_t node;
	uint64_t cached_bytes; /* brought into the page cache */
	int64_t kernel_bytes;
	/* How large a huge page is may be known only later (model.huge_page_bytes). */
	uint64_t huge_pages, collapse_filled_bytes;
	uint64_t swapped_in_bytes, swap_wait_ns;
};

/* How a signal ended a process. */
struct model_death {
	struct death facts;
	struct model_death_thread {
		struct death_thread facts;
		const struct model_location **frames; /* innermost first, facts.depth of them */
	} * threads;
	size_t count;
	struct model_death_thread *sender; /* as in a counts_death; or NULL */
};

struct model_process {
	int pid, ppid;
	int ns_pid;  /* in its own PID namespace; 0: the same, or not known */
	uint32_t id; /* chosen by the caller */
	char *comm;
	char **cmdline; /* ends with NULL */
	char *cgroup;
	char *python;	    /* "3.11.2"; "": not identified */
	const char *engine; /* "walk", "lines" or "functions" */
	int64_t rss_start_bytes, rss_end_bytes, rss_peak_bytes;
	bool rss_peak_at_least; /* of a part of a recording: it may have been higher */
	int64_t swap_end_bytes; /* swapped out at the end, shared pages too; no part of RSS */
	int64_t charged_bytes;	/* sum of the increments of all stacks */
	int64_t lost_bytes[PYMEM_LOSS_COUNT];
	/* Of the exact engine, if it counts functions: those that were called, the one that changed
	 * most itself first. */
	bool functions_counted;
	struct model_function *functions;
	size_t function_count;
	/* The lines' resident_bytes and these two add up to rss_end_bytes. If the process went on
	 * while its pages were looked at, resident_unknown_bytes may be negative. */
	bool resident_known; /* else the others are -1 */
	int64_t resident_before_bytes, resident_unknown_bytes;
	/* The lines' swapped_now_bytes and this one add up to swap_end_bytes. It may be negative,
	 * too. */
	bool away_known; /* else it is 0 */
	int64_t swapped_unknown_bytes;
	/* At the end, with each page divided by the number of its users; -1: unknown. */
	int64_t pss_bytes;
	bool exited;
	/* So many ended processes of one program, added up: no process, but one of model.folded.
	 * Its PID is 0, its command line, root and the like are those of the first one. 0: a
	 * process. */
	uint64_t folded;
	/* Of these: the sum of how far each grew, which may be before its end. */
	int64_t folded_growth_bytes;
	/* Of those of them that began while they were watched: their page tables at first. The
	 * sum's tables_start_bytes and the like are of the others. */
	int64_t folded_tables_bytes;
	/* As model_gather_ended() tells `gone`: what model_lose_gathered() wants. 0: else. */
	uint64_t folded_in;
	struct model_death *death; /* NULL: no signal has ended it, as far as is known */
	char *note;		   /* e.g. why there are no lines; NULL: none */
	struct source_root root;

	struct model_stack *stacks;
	size_t stack_count;
	struct model_line
		*lines; /* filled by model_compute(): by size of increment, largest first */
	size_t line_count;
	uint64_t truncated_stacks; /* number of stacks whose outermost frames are missing */
	uint64_t lost_faults;	   /* page faults that belong to no line */
	uint64_t lost_stalls, lost_stall_ns; /* the same of stalls */
	/* What no line did: other tasks, or threads whose line is not known. Counts, or bytes. */
	uint64_t lost_extras[PYMEM_EXTRA_COUNT];
	/* Of what others took (PYMEM_EXTRA_TAKEN), who took it; the rest, others than these. */
	struct model_taker takers[PYMEM_TAKERS];
	/* What it brought into the page cache: the sum of all lines and of cached_lost_bytes; and
	 * by file, largest first, filled by model_compute(). */
	struct model_cache_amounts cached;
	uint64_t cached_lost_bytes[PYMEM_LOSS_COUNT]; /* in no line, by enum pymem_loss */
	const struct model_cached_file **cached_files;
	size_t cached_file_count;
	/* What the kernel took for it of its own memory: the sum of all lines and of
	 * kernel_lost_bytes. */
	struct pymem_kernel kernel;
	int64_t kernel_lost_bytes[PYMEM_LOSS_COUNT]; /* in no line, by enum pymem_loss */
	/* Where its memory is accounted: a place in model.memory_groups, from 1 on; 0, or more than
	 * there are: not known. */
	unsigned memory_group;
	bool memory_moved; /* it was in another group at the end */
	bool began;	   /* it began while it was watched */
	/* Parts of rss_start_bytes and rss_end_bytes; and its page tables at first. */
	int64_t anon_start_bytes, anon_end_bytes, shmem_start_bytes, shmem_end_bytes;
	int64_t tables_start_bytes;
	/* The stacks as one tree of calls, outermost lines first. NULL unless
	 * model.trees_kept. */
	struct model_node *nodes;
	size_t node_count;
	struct model_node_events *node_events; /* of the nodes that have some, in their order */
	size_t node_event_count;
};

/* What the kernel says of the memory of a container's control group, at the end. -1: there is none,
 * or it is not known. */
struct model_cgroup {
	char *path; /* model_process.cgroup of its processes, up to the container's part */
	int64_t current_bytes; /* used, with files' pages and the kernel's */
	/* The lowest limit of the group and of those above it; and what the group that has it uses.
	 */
	int64_t limit_bytes, limited_bytes;
	int64_t oom_kills; /* processes killed for want of memory, since the group was made */
	/* Per cent of the last 10 s in which some of its threads waited for memory. */
	double pressure;
};

/* What the kernel says of the memory of a control group in which processes are: when the first of
 * them was met, and at the end. */
struct model_memory_group {
	char *path; /* as cgroup_memory_name() gives it (os/cgroup_memory.h) */
	struct cgroup_stat start, end;
	bool began; /* as in struct cgroup_book_group */
};

struct model_skip { /* a process that was asked for but not profiled */
	int pid;
	char *comm;
	char *reason;
};

/* Processes that have ended and are no longer reported one by one: the sum of their figures. */
struct model_gathered {
	uint64_t processes;
	int64_t change_bytes; /* of their RSS */
	int64_t charged_bytes;
	int64_t lost_bytes[PYMEM_LOSS_COUNT];
};

struct model {
	char *host, *kernel, *version;
	double start, end; /* seconds since the epoch */
	/* A pointer is valid as long as the model, or until model_gather_ended() frees the
	 * process. */
	struct model_process **processes;
	size_t process_count;
	struct model_skip *skips;
	size_t skip_count;
	/* Of all that have ended and are not in `processes`; and those of them that are not in
	 * `folded` either. */
	struct model_gathered gathered, unfolded;
	/* Sums of ended processes, one for each program, by size of the change of RSS. Together
	 * with `unfolded` they are `gathered`. */
	struct model_process **folded;
	size_t folded_count;
	struct model_cgroup *cgroups;
	size_t cgroup_count;
	struct model_memory_group *memory_groups; /* none, if nobody asked */
	size_t memory_group_count;
	int64_t memory_batch; /* by how much the kernel's figures may be wrong, in bytes */
	uint64_t page_size;
	/* Set before anything is added. True: what the import system itself changes (it reads
	 * files, unmarshals code, calls a module's code) is charged to the importer, the innermost
	 * line that is not part of the import system. The import system then has no lines of its
	 * own. */
	bool imports_gathered;
	/* Set before anything is added. True: model_compute() fills the processes' nodes. */
	bool trees_kept;
	/* Set before anything is added. True: the trees tell threads apart. Lines never do. */
	bool threads_told;
	/* Faults, or copied pages, were not counted: their figures are 0 and mean nothing. */
	bool faults_unknown, copies_unknown;
	bool stalls_known;	  /* else nobody looked, and there are none */
	bool cache_known;	  /* the same of what was brought into the page cache */
	bool kernel_known;	  /* the same of the kernel's own memory */
	unsigned extras;	  /* those that were counted, enum pymem_extra_kind */
	uint64_t huge_page_bytes; /* how large they are; 0: nobody looked for huge pages */
	/* What a reader must know: missing features, dropped events. Each renderer prints all of
	 * them. */
	char **notes;
	size_t note_count;
};

/* What rows of a report are gathered by (group_sums.h). */
enum model_by {
	MODEL_BY_LINE, /* not at all: each process has its lines */
	MODEL_BY_PROCESS,
	MODEL_BY_PROGRAM,
	MODEL_BY_CONTAINER,
	MODEL_BY_UNIT,
	MODEL_BY_USER
};

enum model_sort {
	MODEL_SORT_INCREMENT,
	MODEL_SORT_TOTAL,
	MODEL_SORT_PEAK,
	MODEL_SORT_GROWN,
	MODEL_SORT_FREED,
	MODEL_SORT_COW,
	MODEL_SORT_RESIDENT,
	MODEL_SORT_STALLED,
	MODEL_SORT_CACHED,
	MODEL_SORT_KERNEL,
	MODEL_SORT_HUGE,
	MODEL_SORT_SWAPPED
};

/* A new, empty model, or NULL: out of memory. model_free() frees it with all it contains and closes
 * the processes' roots. */
struct model *model_new(uint64_t page_size);
void model_free(struct model *model);

/* A new process of the model, which owns it. Strings are copied (NULL: ""). NULL: out of memory. */
struct model_process *model_add_process(struct model *model, int pid, int ppid, const char *comm,
					char *const *cmdline, const char *cgroup,
					const char *python, const char *engine);
/* Adds a skipped process, and a note. Strings are copied (NULL: ""). 0 or -ENOMEM. */
int model_add_skip(struct model *model, int pid, const char *comm, const char *reason);
int model_add_note(struct model *model, const char *note);

/* Adds a container's group, a copy of `cgroup`. 0 or -ENOMEM. model_find_cgroup(): that of a
 * process's group, which is the container's or one below it; NULL: none was added. */
int model_add_cgroup(struct model *model, const struct model_cgroup *cgroup);
const struct model_cgroup *model_find_cgroup(const struct model *model, const char *path);

/* Adds a group for model_process.memory_group, a copy of `group`. 0 or -ENOMEM. */
int model_add_memory_group(struct model *model, const struct model_memory_group *group);

/* The one copy of this location. It belongs to the model and lives as long. NULL: out of memory. */
const struct model_location *model_location(struct model *model, const char *file,
					    const char *function, int line, int first_line);

/* The one copy of this thread, likewise. `tid` 0: threads that were not told apart. */
const struct model_location *model_thread(struct model *model, uint32_t tid, const char *name);

/* Says how a signal ended the process; `count` threads of it follow by model_add_last(), innermost
 * frames first. 0 or -ENOMEM. */
int model_set_death(struct model_process *process, const struct death *death, size_t count);
int model_add_last(struct model_process *process, const struct death_thread *thread,
		   const struct model_location *const *frames);
/* Says where the sender was, who is another process. 0 or -ENOMEM. */
int model_set_sender(struct model_process *process, const struct death_thread *thread,
		     const struct model_location *const *frames);

/* Of the threads of a process that a signal ended, the one whose stack says most of what it did.
 * NULL: no thread has a stack. */
const struct model_death_thread *model_last_thread(const struct model_process *process);

/* The line by which RSS grew most, all that was freed again included. NULL: none grew it. */
const struct model_line *model_grew_most(const struct model_process *process);

/* Adds the amounts of one stack, which are counted once even if a line occurs in it twice.
 * `frames`: innermost first, `depth` of them, at least 1. Amounts of calls with the same frames add
 * up. `vmcalls` may be NULL. 0 or -ENOMEM. */
int model_add_stack(struct model *model, struct model_process *process,
		    const struct model_location *const *frames, unsigned depth, bool truncated,
		    const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls);

/* Of a part of a recording: the stack's counters.peak_pages before it. Of the part,
 * model_add_stack() gets 0 if it was not higher. As model_add_stack(). 0 or -ENOMEM. */
int model_add_peak_before(struct model *model, struct model_process *process,
			  const struct model_location *const *frames, unsigned depth,
			  uint64_t pages);
/* The same amounts once more, of the thread that ran the stack (model_thread(); NULL: unknown), for
 * the tree. Does nothing unless model.trees_kept and model.threads_told. 0 or -ENOMEM. */
int model_add_part(struct model *model, struct model_process *process,
		   const struct model_location *thread, const struct model_location *const *frames,
		   unsigned depth, bool truncated, const struct pymem_counters *counters,
		   const struct pymem_vmcalls *vmcalls, uint64_t resident_pages);

/* Adds pages that are resident now, and were touched first by the stack with these frames, as
 * model_add_stack(). 0 or -ENOMEM. */
int model_add_resident(struct model *model, struct model_process *process,
		       const struct model_location *const *frames, unsigned depth, uint64_t pages);

/* The same of pages that are in swap now, and of model_line.gone_bytes. */
int model_add_away(struct model *model, struct model_process *process,
		   const struct model_location *const *frames, unsigned depth,
		   uint64_t swapped_pages, uint64_t gone_pages);

/* Adds what the stack with these frames brought into the page cache of a file. `depth` 0: it is in
 * no line, because of `loss`. `path` NULL: one of the files for which there was no room. Amounts of
 * calls with the same frames, path and `deleted` add up. 0 or -ENOMEM. */
int model_add_cached(struct model *model, struct model_process *process,
		     const struct model_location *const *frames, unsigned depth,
		     enum pymem_loss loss, const char *path, bool deleted,
		     const struct model_cache_amounts *amounts);
/* Adds pages that it brought there, of which neither line nor file are known, because of `loss`. */
void model_lose_cached(struct model_process *process, enum pymem_loss loss, uint64_t bytes);
/* Adds what the kernel took of its own memory for the stack with these frames. `depth` 0: it is in
 * no line, because of `loss`. Sums of calls with the same frames add up. 0 or -ENOMEM. */
int model_add_kernel(struct model *model, struct model_process *process,
		     const struct model_location *const *frames, unsigned depth,
		     enum pymem_loss loss, const struct pymem_kernel *sums);
/* Of all kinds together, in bytes: what came, less what has gone since and what nothing is known
 * of.
 */
int64_t model_kernel_bytes(const struct pymem_kernel *sums);

/* The same of a line; zeros if there is nothing. */
const struct pymem_kernel *model_line_kernel(const struct model_line *line);
int64_t model_line_kernel_bytes(const struct model_line *line);
/* Of these amounts, what is still there as far as is known: bytes, 0 or more. */
int64_t model_cached_there(const struct model_cache_amounts *amounts);

/* Adds what the exact engine counted for a line. Amounts of calls for the same line add up. 0 or
 * -ENOMEM. */
int model_add_runs(struct model *model, struct model_process *process,
		   const struct model_location *location, const struct pymem_line *runs);
/* The same as model_add_peak_before() of the maxima of runs. */
int model_add_runs_before(struct model *model, struct model_process *process,
			  const struct model_location *location, uint64_t peak_pages,
			  uint64_t usage_pages);

/* The same two, of a function instead of a line: `location` is its first line. The process must
 * have functions_counted. */
int model_add_calls(struct model *model, struct model_process *process,
		    const struct model_location *location, const struct pymem_line *calls);
int model_add_calls_before(struct model *model, struct model_process *process,
			   const struct model_location *location, uint64_t peak_pages,
			   uint64_t usage_pages);

/* What changed the process's RSS while no function ran that was seen to be called: together with
 * self_bytes of all its functions, the whole change. */
int64_t model_outside_bytes(const struct model_process *process);

/* Computes lines, functions and charged_bytes of each process from its stacks. Then puts the frozen
 * processes behind the others. May be called again after more was added. 0 or -ENOMEM. */
int model_compute(struct model *model);

/* The node of the process's tree in which the figures of a stack with these frames are. `thread`:
 * as for model_add_part(). 0: there is none. Needs model.trees_kept, after model_compute(). */
size_t model_find_node(const struct model *model, const struct model_process *process,
		       const struct model_location *thread,
		       const struct model_location *const *frames, unsigned depth);

/* The node behind `node` in a walk through a tree from node 0 on: callers come before what they
 * called. 0: it was the last one. */
size_t model_next_node(const struct model_node *nodes, size_t node);

/* What the node of the process's tree has of figures that are counted only if they are asked for.
 * NULL: nothing. */
const struct model_node_events *model_node_events(const struct model_process *process, size_t node);

/* Freezes the processes that the model has now: computes their lines, frees their stacks, and keeps
 * them apart for all later reports. Only losses can be added to them afterwards. 0 or -ENOMEM. */
int model_freeze(struct model *model);

/* What is kept of processes that have ended. */
struct model_ended_limits {
	size_t bytes; /* memory, about: of those that are kept one by one and of model.folded */
	/* The most of one program that are kept one by one, and as many with last words; 0: any
	 * number. A quarter of the bytes is for model.folded. */
	size_t processes;
	size_t all; /* the same of all programs together */
};
#define MODEL_FOLDED_MOST   1024	    /* programs in model.folded */
#define MODEL_FOLDED_LINES  4096	    /* lines of one of them; others are in its last line */
#define MODEL_FOLDED_OTHERS "[other lines]" /* the function of that line, which has no file */

/* Keeps frozen processes within limits. Beyond them, those that changed least are gathered into
 * model->gathered, and with their lines into the program's sum in model->folded, if there is room:
 * `gone` is called for each before it is freed. The model must have no other processes, and no
 * location may be in use. 0 or -ENOMEM. */
int model_gather_ended(struct model *model, const struct model_ended_limits *limits,
		       void (*gone)(const struct model_process *process, void *arg), void *arg);
/* Adds bytes that no line has to what has been gathered. `folded_in`: of that process. */
void model_lose_gathered(struct model *model, uint64_t folded_in, enum pymem_loss loss,
			 int64_t bytes);

/* The processes, and behind them the sums of ended ones: all that has lines. */
static inline size_t model_row_count(const struct model *model)
{
	return model->process_count + model->folded_count;
}
static inline struct model_process *model_row(const struct model *model, size_t i)
{
	return i < model->process_count ? model->processes[i]
					: model->folded[i - model->process_count];
}

/* Empties the model for the next report. Frozen processes and locations stay. */
void model_clear(struct model *model);

/* Takes out of the model what is not for others: arguments and code of command lines, and of each
 * path what is above the package, which is looked for with `sources` (NULL: only names of files
 * stay, but for libraries). To be called once, when nothing is added any more. 0, or -ENOMEM: the
 * model must not be shown. */
int model_redact(struct model *model, struct source_cache *sources);

/* Sorts processes, largest first. MODEL_SORT_INCREMENT and _TOTAL: by the size of the change of
 * RSS, grown or shrunk. _PEAK: by the highest RSS. Others: by the sum over the lines. 0 or
 * -ENOMEM. */
int model_sort_processes(struct model *model, enum model_sort sort);

/* Sorts lines, largest first. With MODEL_SORT_INCREMENT the size of the increment counts, whatever
 * its sign. */
void model_sort_lines(struct model_process *process, enum model_sort sort);

/* The figure by which lines are sorted, in bytes; for MODEL_SORT_COW, the number of faults; for
 * MODEL_SORT_HUGE, that of huge pages; for MODEL_SORT_STALLED, nanoseconds. */
int64_t model_sort_value(const struct model_line *line, enum model_sort sort);

/* The part of a path behind the prefix that all libraries of an installation share, from a slash
 * on. NULL: it has no such prefix. */
const char *model_library_part(const char *file);

/* The stalls of all lines of the process and those that belong to none: how many, how long. */
void model_stalls(const struct model_process *process, uint64_t *stalls, uint64_t *ns);

/* Adds extras as the BPF side counts them: pages become bytes. */
void model_add_extras(const struct model *model, uint64_t sum[PYMEM_EXTRA_COUNT],
		      const __u64 more[PYMEM_EXTRA_COUNT]);
/* Adds what the task took from the process, if there is room for another task. */
void model_add_taker(struct model_process *process, int pid, const char *comm, uint64_t bytes);
/* That extra of all lines of the process, and of none. */
uint64_t model_extra(const struct model_process *process, enum pymem_extra extra);
/* Of these extras: how much memory huge pages took, and how much of that nobody can have touched
 * when they did, at most. Bytes. */
uint64_t model_huge_bytes(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT]);
uint64_t model_huge_untouched(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT]);

/* What others have taken at most of what the line had touched first, of files and shared memory, in
 * bytes. Needs model_process.away_known, and that it was counted what others take. */
uint64_t model_taken_most(const struct model_process *process, const struct model_line *line);

/* The sum of the process's lost_bytes. */
int64_t model_lost_bytes(const struct model_process *process);

#endif
