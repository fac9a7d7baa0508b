/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes the exact engine is attached to, and through which file. Nothing here reads a
 * file: the examiner has found the probes (probe_file.h). */
#ifndef PROBES_H
#define PROBES_H

#include <stdbool.h>
#include <sys/types.h>

#include "python/probe_file.h"
#include "python/py_process.h"
#include "kernel/session.h"

struct probes;

/* `whole_host`: the probes of a file are attached for all processes at once. NULL: out of
 * memory. */
struct probes *probes_new(struct session *session, bool whole_host);
/* Frees it. What is attached stays so until the session is closed. NULL is allowed. */
void probes_free(struct probes *probes);

/* Attaches to the probes of the file `found` for process `pid`, which has loaded it at `bias` above
 * the file's own addresses. Does nothing if that was done. Takes over the file's descriptor in any
 * case. `path` is for messages. 0 or -errno. */
int probes_attach(struct probes *probes, pid_t pid, struct probe_file *found, uint64_t bias,
		  const char *path);

/* The same for `child`, which `parent` has just forked. 0, -errno, or -ENOENT: not attached to the
 * parent. */
int probes_attach_child(struct probes *probes, pid_t child, pid_t parent);

/* Remembers that the probes of file `path` can't be attached, for probes_each_refusal(). May be
 * called from any thread. */
void probes_note_refusal(struct probes *probes, const char *path, int err);

/* Calls `fn` for each file whose probes were refused, with a sentence that says why. May be called
 * from any thread. */
void probes_each_refusal(struct probes *probes, void (*fn)(const char *text, void *arg), void *arg);

/* Detaches from `pid`. */
void probes_forget(struct probes *probes, pid_t pid);

/* Detaches from `pid` if that process has ended. It has ended even if nobody has waited for it yet,
 * or if another process has its PID now. False: it lives. */
bool probes_forget_ended(struct probes *probes, pid_t pid);

/* What the exact engine counts can be counted for `python`. */
bool probes_suffice(const struct probes *probes, const struct py_process *python);

/* Writes why --lines, or --functions, can't work for `python`, and what to do instead. */
void probes_explain(const struct probes *probes, const struct py_process *python, char *text,
		    size_t size);

#endif
