/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who wants the stacks of a report. A report turns them into lines and frees them; what needs them
 * whole (folded stacks, a flame graph, a recording) is given them before that.
 *
 * A process that has ended hands over its stacks once. One that runs does so with each report
 * that is built, from the beginning: what a sink has of it is replaced by what comes next.
 *
 * Invariant, for each process at done(): pages of its stacks = process->charged_bytes.
 */
#ifndef STACK_SINK_H
#define STACK_SINK_H

#include "model/counts.h"
#include "model/model.h"

struct stack_sink {
	void *self;
	/* A stack was charged; its frames are known. Calls with the same key add up. Of `process`,
	 * only what identifies it is set by now. 0 or -errno, which ends the report. */
	int (*stack)(void *self, const struct model_process *process,
		     const struct counts_stack *stack);
	/* All of the process has come. `final`: nothing will come after it, but for done() again
	 * where more of an ended process has become known to be lost. 0 or -errno. */
	int (*done)(void *self, const struct model_process *process, bool final);
};

#endif
