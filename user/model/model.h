/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The result of a profile: processes, their stacks, their lines. Pure: no kernel, no
 * root, no clock. Everything a renderer prints comes from here.
 *
 * All strings handed in are copied and interned. All amounts in bytes.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "pymem.h"
#include "pymem_line.h"
#include "os/source.h"

struct model_location { /* where an instruction is */
	const char *file;
	const char *function;
	int line;	/* 0: no line */
	int first_line; /* of the function */
};

struct model_line {
	const struct model_location *location; /* file, line, function identify the line */
	int64_t increment_bytes;	       /* net RSS change with this line innermost */
	int64_t total_bytes;		       /* with it anywhere on the stack, once per stack */
	int64_t anon_bytes, file_bytes, shmem_bytes,
		swap_bytes;		   /* parts of increment (swap apart) */
	uint64_t grown_bytes, freed_bytes; /* gross halves of increment */
	uint64_t peak_bytes; /* highest RSS seen while the line, callees included, ran */
	uint64_t minor_faults, major_faults, cow_faults; /* self */
	uint64_t cow_total_faults;			 /* callees included */
	uint64_t vm_calls[PYMEM_VMCALL_COUNT];
	int64_t vm_bytes[PYMEM_VMCALL_COUNT];
	/* Exact engine only; -1 (amounts of runs: 0) where the line was not seen to run. */
	int64_t mem_usage_bytes; /* highest RSS at the end of a run */
	int64_t occurrences;	 /* runs */
	int64_t run_bytes;	 /* sum over runs of what its thread changed, callees included */
	int64_t once_bytes;	 /* part of it: of runs not inside another of the same code */
	int64_t row_bytes;	 /* part of that: nor inside one of other code on the line */
	int64_t gc_bytes;	 /* part of it: by garbage collections */
	uint64_t collections;
};

struct model_stack {			      /* for folded output, flame graphs */
	const struct model_location **frames; /* innermost first */
	unsigned depth;
	bool truncated;			/* its outermost frames are missing */
	struct pymem_counters counters; /* pages, as the kernel side counted them */
};

struct model_process {
	int pid, ppid;
	uint32_t id; /* the caller's own */
	char *comm;
	char **cmdline; /* NULL-terminated */
	char *cgroup;
	char *python;	    /* "3.11.2"; "" when never identified */
	const char *engine; /* "walk" */
	int64_t rss_start_bytes, rss_end_bytes, rss_peak_bytes;
	int64_t charged_bytes; /* sum of increments of all stacks */
	int64_t lost_bytes[PYMEM_LOSS_COUNT];
	bool exited;
	char *note; /* e.g. why nothing was resolved; NULL */
	struct source_root root;

	struct model_stack *stacks;
	size_t stack_count;
	struct model_line *lines; /* after model_compute(): by size of increment, largest first */
	size_t line_count;
	uint64_t truncated_stacks; /* distinct ones whose outermost frames are missing */
	uint64_t lost_faults;	   /* page faults that no line could be charged with */
};

struct model_skip { /* a process asked for but not profiled */
	int pid;
	char *comm;
	char *reason;
};

/* Ended processes that are not reported one by one, as the sum of what they were. */
struct model_gathered {
	uint64_t processes;
	int64_t change_bytes; /* of their RSS */
	int64_t charged_bytes;
	int64_t lost_bytes[PYMEM_LOSS_COUNT];
};

struct model {
	char *host, *kernel, *version;
	double start, end;		  /* seconds since the epoch */
	struct model_process **processes; /* pointers stay valid while the model lives */
	size_t process_count;
	struct model_skip *skips;
	size_t skip_count;
	struct model_gathered gathered;
	uint64_t page_size;
	/* What the import system itself changes (reading, unmarshalling, calling a module's code)
	 * is its importer's: the innermost line that is not of the import system has it, and that
	 * has no lines of its own. To be set before anything is added. */
	bool imports_gathered;
	/* Named facts that a reader must know (features missing, events dropped):
	 * printed by every renderer. */
	char **notes;
	size_t note_count;
};

enum model_sort {
	MODEL_SORT_INCREMENT,
	MODEL_SORT_TOTAL,
	MODEL_SORT_PEAK,
	MODEL_SORT_GROWN,
	MODEL_SORT_FREED,
	MODEL_SORT_COW
};

/* A new, empty model; NULL: out of memory. model_free() frees all of it and closes roots. */
struct model *model_new(uint64_t page_size);
void model_free(struct model *model);

/* A new process of the model; strings copied (NULL: ""). NULL: out of memory. */
struct model_process *model_add_process(struct model *model, int pid, int ppid, const char *comm,
					char *const *cmdline, const char *cgroup,
					const char *python, const char *engine);
int model_add_skip(struct model *model, int pid, const char *comm, const char *reason);
int model_add_note(struct model *model, const char *note);

/* The interned location; valid as long as the model. NULL: out of memory. */
const struct model_location *model_location(struct model *model, const char *file,
					    const char *function, int line, int first_line);

/* Adds one stack's amounts (frames innermost first, depth >= 1; counted once, even
 * where a line recurs). Calls with equal frames add up. 0 or -ENOMEM. */
int model_add_stack(struct model *model, struct model_process *process,
		    const struct model_location *const *frames, unsigned depth, bool truncated,
		    const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls);

/* Adds what the exact engine counted of a line; calls for the same line add up. 0 or -ENOMEM. */
int model_add_runs(struct model *model, struct model_process *process,
		   const struct model_location *location, const struct pymem_line *runs);

/* Computes each process's lines and charged_bytes from its stacks, and puts the frozen processes
 * behind the others. 0 or -ENOMEM. */
int model_compute(struct model *model);

/* Computes the lines of the processes there are, frees their stacks and keeps them apart for
 * all reports to come. Nothing can be added to them but losses. 0 or -ENOMEM. */
int model_freeze(struct model *model);

/* If what is frozen takes more than about `limit` bytes: gathers the processes that changed least
 * into model->gathered, each of them told to `gone` before it is freed. To be called when nothing
 * but frozen processes are there, and no location is held. 0 or -ENOMEM. */
int model_gather_ended(struct model *model, size_t limit,
		       void (*gone)(const struct model_process *process, void *arg), void *arg);

/* Empties the model for the next report: only what is frozen stays, and locations. */
void model_clear(struct model *model);

/* Sorts processes, largest first: by the change of their RSS whichever way it went, or by what else
 * their lines are sorted by. 0 or -ENOMEM. */
int model_sort_processes(struct model *model, enum model_sort sort);

/* Sorts lines, largest first; by increment means by its size, whichever way it went. */
void model_sort_lines(struct model_process *process, enum model_sort sort);

/* Sum of lost_bytes. */
int64_t model_lost_bytes(const struct model_process *process);

#endif
