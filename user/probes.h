/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes the exact engine is attached to, and through which file. */
#ifndef PROBES_H
#define PROBES_H

#include <stdbool.h>
#include <sys/types.h>

#include "py_process.h"
#include "session.h"

struct probes;

/* `whole_host`: a binary's probes are attached for all processes at once. NULL: no memory. */
struct probes *probes_new(struct session *session, bool whole_host);
/* The session detaches what is attached. NULL is fine. */
void probes_free(struct probes *probes);

/* Attaches to the probes of the interpreter that `pid` runs, unless that was done. What is attached
 * is the file that is mapped, whatever its name leads to by now.
 * 0; -ENOTSUP: the build has no line probe that can be used; -ESRCH: it has ended; -errno. */
int probes_attach(struct probes *probes, pid_t pid, const struct py_process *python);

/* The same for `child`, just forked by `parent`. 0 or -errno; -ENOENT: not attached to that. */
int probes_attach_child(struct probes *probes, pid_t child, pid_t parent);

/* For a command that `pid` is about to exec and that can't be held: so that its first lines are
 * seen. Where the program is no interpreter with line probes, nothing is done: identification will
 * tell. If it execs another file than the one found here, these probes are on a file that it does
 * not run. 0 or -errno. */
int probes_attach_command(struct probes *probes, pid_t pid, const char *program);

/* Calls `fn` with a sentence for each file whose probes were refused, and for what reason. Unlike
 * the rest, this may be called from any thread. */
void probes_each_refusal(struct probes *probes, void (*fn)(const char *text, void *arg), void *arg);

/* `pid` has ended. */
void probes_forget(struct probes *probes, pid_t pid);

/* Why --lines can't work for `python`, and what can be done instead. */
void probes_explain(const struct py_process *python, char *text, size_t size);

#endif
