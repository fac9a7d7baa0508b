/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The helper process that reads what a target can hold up: its memory, what is mapped in it, its
 * command line, the files it names. A target may put any of these on a file system that answers
 * late or never, and then whoever reads sleeps, beyond the reach of SIGKILL. That must not be the
 * process that counts.
 *
 * There is one for the whole program, and one thread that asks it. Each call below sends one
 * request and waits for its answer, at most for the time that a request may take; what takes longer
 * is given up: the helper is killed (one that can't die is left behind), the next request gets a
 * new one, and nothing more is read of that target for a while. Errors that all of them have beside
 * their own:
 *
 *   -ETIME         it took too long: examiner_explain() says so in words
 *   -EDQUOT        it would have been too much work: likewise
 *   -EBUSY         too many helpers hang already, on targets of its owner or in all, or those have
 *                  taken too much of our time: not for now, likewise
 *   -EINTR         a signal asked for the end meanwhile
 *   -ENOTCONN      there is no helper, and no new one can be started: likewise
 */
#ifndef EXAMINER_H
#define EXAMINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "python/probe_file.h"
#include "os/proc.h"
#include "python/py_process.h"
#include "os/source.h"

/* How long one request may take, in all: while the helper sleeps, or has stopped; and where it
 * could run but the machine is too busy to let it. */
#define EXAMINER_ASLEEP_MS  2000
#define EXAMINER_STARVED_MS 20000

/* Helpers that hang, kept waiting for their end, in all and by owner of the targets they hang on.
 */
#define EXAMINER_STUCK_MAX	 64
#define EXAMINER_STUCK_MAX_OWNER 4

/* Starts it: early, before there is much in memory and before any privilege is given up.
 * `interrupted` (may be NULL) is asked while a request is waited for: once it turns true, requests
 * that were begun before end with -EINTR. From then on proc_read_memory() goes through it.
 * 0 or -errno. */
int examiner_start(bool (*interrupted)(void));

/* Ends it, without waiting for it. Harmless if it does not run. */
void examiner_stop(void);

/* proc_read_memory(); what calls that comes here. */
ssize_t examiner_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len);

/* py_process_identify(). */
int examiner_identify(pid_t pid, struct py_process *process);

/* proc_info_read(), and how the process sees files, with what rights: source_root_open(). The
 * caller owns both. 0, -ESRCH, -errno. */
int examiner_describe(pid_t pid, struct proc_info *info, struct source_root *root);

/* proc_rss_bytes(). */
int64_t examiner_rss_bytes(pid_t pid);

/* source_read_file() inside `root`, with its rights: a source_read_fn. */
source_read_fn examiner_read_source;

/* probe_file_open_mapped(), for which the file must be one that the kernel can read without waiting
 * for the target. */
int examiner_find_probes(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file);

/* probe_file_open_program(), for `pid`, which will execute it. */
int examiner_find_program(pid_t pid, const char *program, bool fixed, struct probe_file *file);

/* proc_file_read(), for files that only their owner may read: the examiner has the right to. */
ssize_t examiner_read_proc(pid_t pid, const char *name, void *buf, size_t max);

/* What requests have cost so far, milliseconds of CPU time in the helper. */
uint64_t examiner_cpu_ms(void);

/* Why a request gave `err`, one of those above: a clause of at most 128 bytes without the target's
 * name. False: it is none of those. */
bool examiner_explain(int err, char *text, size_t size);

#endif
