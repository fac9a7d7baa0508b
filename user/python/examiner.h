/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The examiner: a helper process that reads what a target can hold up, such as its memory, the
 * files mapped in it, its command line, and the files that it names. A target may put these on a
 * file system that answers late or never. A process that reads them then sleeps and can't even be
 * killed. That must not happen to the process that counts.
 *
 * There is one examiner for the program, and one thread asks it. Each call below sends a request
 * and waits for the answer, up to a limit. If that is exceeded, the examiner is killed, or left
 * behind if it can't die; the next request gets a new one, and the target is not read for a while.
 * Besides their own errors, all calls have these, which examiner_explain() puts into words:
 *
 * -ETIME     it took too long
 * -EDQUOT    it would have been too much work
 * -EBUSY     not now: too many helpers hang, on targets of this owner or in all, or these
 *            targets have taken too much of our time
 * -EINTR     a signal asked for the end meanwhile
 * -ENOTCONN  there is no examiner, and a new one can't be started */
#ifndef EXAMINER_H
#define EXAMINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/pagemap.h"
#include "python/probe_file.h"
#include "python/py_collector.h"
#include "os/proc.h"
#include "python/py_process.h"
#include "os/source.h"

/* The limits of one request, in milliseconds: while the examiner sleeps or is stopped; and while it
 * could run but gets no CPU. */
#define EXAMINER_ASLEEP_MS  2000
#define EXAMINER_STARVED_MS 20000

/* The most examiners that may hang at the same time: in all, and for targets of one owner. */
#define EXAMINER_STUCK_MAX	 64
#define EXAMINER_STUCK_MAX_OWNER 4

/* Starts it. Call it early, before there is much in memory and before rights are given up.
 * `interrupted` (may be NULL) is asked while a request is waited for; if it becomes true meanwhile,
 * the request ends with -EINTR. From then on proc_read_memory() asks the examiner. 0 or -errno. */
int examiner_start(bool (*interrupted)(void));

/* Ends it, without waiting. Does nothing if there is none. */
void examiner_stop(void);

/* proc_read_memory() in the examiner. Callers use proc_read_memory(). */
ssize_t examiner_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len);

/* py_process_identify() in the examiner. */
int examiner_identify(pid_t pid, struct py_process *process);

/* proc_info_read(), and the process's view of files with its rights (source_root_open()). The
 * caller frees both. 0, -ESRCH or -errno. */
int examiner_describe(pid_t pid, struct proc_info *info, struct source_root *root);

/* proc_rss_bytes() in the examiner. */
int64_t examiner_rss_bytes(pid_t pid);

/* source_read_file() inside `root` with its rights. A source_read_fn. */
source_read_fn examiner_read_source;

/* probe_file_open_mapped() in the examiner. The file must be one that the kernel can read without
 * waiting for the target. */
int examiner_find_probes(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file);

/* probe_file_open_program() in the examiner, for `pid`, which is about to execute it. */
int examiner_find_program(pid_t pid, const char *program, unsigned needs, struct probe_file *file);

/* pagemap_read() in the examiner. */
int examiner_read_pages(pid_t pid, enum pagemap_kind kind, struct pagemap_run **runs,
			size_t *count);

/* proc_file_read() in the examiner, which has the right to read files of other owners. */
ssize_t examiner_read_proc(pid_t pid, const char *name, void *buf, size_t max);

/* Finds where the process counts the runs of its garbage collector (py_collector.h). 0. -ENOTSUP:
 * it is not known where, and `why` is a clause that says so. Errors of py_process_identify(), of
 * which -EINVAL stands for -ENOTSUP, and -EFAULT. */
#define EXAMINER_WHY 128
int examiner_find_collector(pid_t pid, struct py_collector *collector, char why[EXAMINER_WHY]);

struct examiner_counted {
	pid_t pid;
	struct py_collector collector;
	int error; /* 0: `counts` are known. -EAGAIN: not this time. -ESRCH, -EFAULT: its memory is
		      gone. */
	uint64_t counts[PY_GENERATIONS];
};

/* Reads the counts of collections of many processes, a few hundred with each request. */
void examiner_count_collections(struct examiner_counted *all, size_t count);
/* What smaps_rollup says of a process. 0, -ESRCH or -errno. */
int examiner_read_rollup(pid_t pid, struct proc_rollup *rollup);

/* CPU time of all requests so far, in milliseconds. */
uint64_t examiner_cpu_ms(void);

/* Writes why a request returned `err`, if that is one of those above: a clause of at most 128
 * bytes, without the target's name. False: it is none of them. */
bool examiner_explain(int err, char *text, size_t size);

#endif
