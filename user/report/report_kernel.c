/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For which lines the kernel takes memory of its own. */
#include "report/report_parts.h"

#include <errno.h>

int report_add_kernel(const struct counts_kernel *kernel, void *arg)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	const struct counts_stack *stack = kernel->stack;
	struct build *b = arg;
	struct entry *entry = report_entry(b, stack->key.proc);

	if (!entry || !entry->process)
		return 0;
	for (unsigned i = 0; i < stack->depth; i++) {
		frames[i] = report_locate(b, &stack->frames[i]);
		if (!frames[i])
			return -ENOMEM;
	}
	return model_add_kernel(b->model, entry->process, frames, stack->depth, kernel->loss,
				&kernel->sums);
}
