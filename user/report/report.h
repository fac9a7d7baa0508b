/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From counts to a model that renderers print. */
#ifndef REPORT_H
#define REPORT_H

#include "model/counts.h"
#include "model/model.h"

struct report;

/* Makes a report on `counts`, which must outlive it. `start`: when measuring began, in seconds
 * since the epoch. `ended_bytes`: memory for the lines of processes that have ended.
 * `gather_imports`: see model.imports_gathered. report_free() frees the report and its model. NULL:
 * out of memory. */
struct report *report_new(struct counts counts, double start, size_t ended_bytes,
			  bool gather_imports);
void report_free(struct report *report);

/* So many ended processes of one program are kept one by one, within their memory; others are
 * folded into the program's sum: model_ended_limits. Of all programs, REPORT_ENDED_ALL times as
 * many are. REPORT_ENDED_PROCESSES unless this is called. */
#define REPORT_ENDED_ALL       5
#define REPORT_ENDED_PROCESSES 200
void report_keep_ended(struct report *report, size_t processes);

/* Keeps the stacks of all processes as trees of calls: model.trees_kept. To be called before the
 * first report_build() and report_finish_ended(). */
void report_keep_trees(struct report *report);

/* The trees tell threads apart, if the source of the counts does: model.threads_told. To be called
 * at the same time. */
void report_tell_threads(struct report *report);

/* Of a recording: it was made on another machine, or by another program. The strings are copied. To
 * be called before the first report_build(). 0 or -ENOMEM. */
struct report_origin {
	const char *host, *kernel, *version;
	uint64_t page_size;
};
int report_set_origin(struct report *report, const struct report_origin *origin);

/* Makes the report call `fn` for each process that a signal has ended, once, when its lines are
 * known. Both pointers are valid during the call; `model` has no other processes then. The process
 * began at `start_boottime_ns` (CLOCK_BOOTTIME); 0: not known. To be called
 * before the first report_build() and report_finish_ended(). */
typedef void report_killed_fn(const struct model *model, const struct model_process *process,
			      uint64_t start_boottime_ns, void *arg);
void report_tell_killed(struct report *report, report_killed_fn *fn, void *arg);

/* Builds the model of all that is known now. It belongs to the report and is valid until the next
 * call. `final`: the source's figures are settled and nothing comes after them. Else threads may be
 * counting meanwhile, and amounts on their way are lost as "unsettled". NULL with errno set. */
struct model *report_build(struct report *report, bool final);

/* Calls `gone` for each process that has ended and whose figures the model will have no longer,
 * but in its `gathered`: model_gather_ended(). Before report_finish_ended() is first called. */
typedef void report_gone_fn(void *arg, const struct model_process *process);
void report_on_gone(struct report *report, report_gone_fn *gone, void *arg);

/* What could not be seen so far. Valid until the next call of any function here. */
void report_facts(struct report *report, struct counts_facts *facts);

/* The same without lines: what stacks have counted is charged to one line of each process that
 * runs, which has no name. Those that have ended have their lines. It takes a small part of the
 * time. `source` is that of the report's counts, without what may stand in between, since nothing
 * is taken: only its read() is called. What stacks have counted whose code objects never arrived is
 * charged, too, until the process has ended. */
struct model *report_build_brief(struct report *report, struct counts source);

/* Adds a note to that model for each process with Python children that are not profiled. */
void report_note_unwatched(struct report *report);

/* report_cgroups.c: adds to the model what the kernel says now of the memory of the containers that
 * its running processes are in. 0 or -ENOMEM. */
int report_add_cgroups(struct model *model);

/* report_cgroups.c: adds to the model what the control groups of the book use, if they were read at
 * the end. NULL: there are none. 0 or -ENOMEM. */
int report_add_memory_groups(struct model *model, const struct cgroup_book *book);

/* Finishes images that ended some time ago, or with `all` at any time: their amounts become lines,
 * and the source frees all else of them. Do not call it while a model of report_build() is in use.
 * Cheap if there is nothing to do. 0 or -errno. */
int report_finish_ended(struct report *report, bool all);

#endif
