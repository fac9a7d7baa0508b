/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes the exact engine is attached to, and through which file. Nothing here reads a
 * file: what is attached was found by the examiner (probe_file.h). */
#ifndef PROBES_H
#define PROBES_H

#include <stdbool.h>
#include <sys/types.h>

#include "python/probe_file.h"
#include "python/py_process.h"
#include "kernel/session.h"

struct probes;

/* `whole_host`: a binary's probes are attached for all processes at once. NULL: no memory. */
struct probes *probes_new(struct session *session, bool whole_host);
/* The session detaches what is attached. NULL is fine. */
void probes_free(struct probes *probes);

/* Attaches to the probes of the file `found` for `pid`, in which it is loaded `bias` above its own
 * addresses, unless that was done. Takes its descriptor over, whatever comes of it. `path` is for
 * messages. 0 or -errno. */
int probes_attach(struct probes *probes, pid_t pid, struct probe_file *found, uint64_t bias,
		  const char *path);

/* The same for `child`, just forked by `parent`. 0 or -errno; -ENOENT: not attached to that. */
int probes_attach_child(struct probes *probes, pid_t child, pid_t parent);

/* Probes of the file `path` can't be attached. For probes_each_refusal(); from any thread. */
void probes_note_refusal(struct probes *probes, const char *path, int err);

/* Calls `fn` with a sentence for each file whose probes were refused, and for what reason. Unlike
 * the rest, this may be called from any thread. */
void probes_each_refusal(struct probes *probes, void (*fn)(const char *text, void *arg), void *arg);

/* `pid` is to be attached no more. */
void probes_forget(struct probes *probes, pid_t pid);

/* The same if the process that was attached as `pid` has ended, even if another has its number or
 * nobody has waited for it yet. False: it lives, and stays attached. */
bool probes_forget_ended(struct probes *probes, pid_t pid);

/* Why --lines can't work for `python`, and what can be done instead. */
void probes_explain(const struct py_process *python, char *text, size_t size);

#endif
