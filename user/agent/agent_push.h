/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's profiles, pushed to a server every few seconds. */
#ifndef AGENT_PUSH_H
#define AGENT_PUSH_H

#include "agent/agent.h"
#include "agent/push.h"

#define AGENT_PUSH_EVERY 15 /* seconds: what Pyroscope's clients do */

struct agent;
struct agent_push; /* NULL: nothing is pushed */

/* Forks the helper that looks up names, which gets nothing that is open, and reads what options
 * name, if they want profiles to be pushed. To be called before anything of a target is read, and
 * after helpers are forked that must not have that one's socket. 0, or an exit status after it was
 * explained. */
int agent_push_open(struct agent *agent, struct agent_push **push);
/* Begins, in the agent's loop, of which the source of profiles is open. */
void agent_push_watch(struct agent_push *push);
/* Takes over what `asked` has otherwise, and reads its files again. 0, or -errno after it was
 * explained: all stays as it was. */
int agent_push_reload(struct agent_push *push, const struct agent_options *asked);
/* Makes a last profile. The profiler must be open, and the agent's loop must not run any more. */
void agent_push_stop(struct agent_push *push);
/* Sends what is left, for 2 s at most. Later. */
void agent_push_finish(struct agent_push *push);
void agent_push_free(struct agent_push *push);

/* CPU time in nanoseconds that making profiles has taken, besides pprof_source_cpu_ns(). */
uint64_t agent_push_cpu_ns(const struct agent_push *push);
/* False: nothing is pushed. */
bool agent_push_counts(const struct agent_push *push, struct push_counts *counts);

#endif
