/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The PSS of all processes of the host, read all the time: agent --pss. */
#ifndef AGENT_PSS_H
#define AGENT_PSS_H

#include <stdint.h>

#include "model/pss_book.h"

struct agent;
struct agent_pss;

struct agent_pss_figures {
	size_t processes[PSS_STATE_COUNT];  /* that run, by what is known of them */
	uint64_t readings[PSS_STATE_COUNT]; /* since the agent began, by what became of them */
	double seconds;			    /* that these took */
};

/* Forks the process that reads, if the options ask for it. Call it first: pss_reader_fork(). 0, or
 * an exit status after it was explained. */
int agent_pss_fork(struct agent *agent);
/* Reads from now on, in the agent's loop. 0, or an exit status after it was explained. */
int agent_pss_watch(struct agent *agent);
/* Once an interval, after the figures were read: which processes there are. */
void agent_pss_tick(struct agent *agent);
/* Fills the `pss` of rows of the model: pss_book_put(). `figures`: NULL, or what becomes the
 * figures. 0 or -ENOMEM. Only if agent->pss is not NULL. */
int agent_pss_put(const struct agent *agent, const struct model *model, enum model_by by,
		  struct group_sums *sums, struct agent_pss_figures *figures);
/* To be called before the loop is freed. Does nothing if nothing is read. */
void agent_pss_close(struct agent *agent);

#endif
