/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A stack sink gets the stacks of a report. A report turns stacks into lines and frees them.
 * Code that needs more of them than the trees of calls keep, such as a recording, gets them here
 * before that.
 *
 * The stacks of a process that has ended come once. Those of a process that runs come with each
 * report, from the beginning: they replace what came before.
 *
 * Invariant, at done() of each process: pages of its stacks = process->charged_bytes. */
#ifndef STACK_SINK_H
#define STACK_SINK_H

#include "model/counts.h"
#include "model/model.h"

struct stack_sink {
	void *self;
	/* A stack was charged; its frames are known. Amounts of calls with the same key add up. Of
	 * `process` only what identifies it is valid yet. 0, or -errno, which ends the report. */
	int (*stack)(void *self, const struct model_process *process,
		     const struct counts_stack *stack);
	/* The process is complete. `final`: it gets no more stacks. done() may come again for an
	 * ended process of which more was lost later. 0, or -errno, which ends the report. */
	int (*done)(void *self, const struct model_process *process, bool final);
};

#endif
