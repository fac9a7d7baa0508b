/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own memory, by line. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>

void model_sum_kernel(struct pymem_kernel *sum, const struct pymem_kernel *more)
{
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++) {
		sum->bytes[i] += more->bytes[i];
		sum->gone[i] += more->gone[i];
		sum->objects[i] += more->objects[i];
	}
	sum->unknown += more->unknown;
}

int model_add_kernel(struct model *model, struct model_process *process,
		     const struct model_location *const *frames, unsigned depth,
		     enum pymem_loss loss, const struct pymem_kernel *sums)
{
	struct process *inner = process_of(process);
	struct stack_extra *extra;
	ssize_t index;

	model_sum_kernel(&process->kernel, sums);
	if (!depth) {
		process->kernel_lost_bytes[loss] += model_kernel_bytes(sums);
		return 0;
	}
	index = model_take_stack(book_of(model), inner, frames, depth);
	if (index < 0)
		return (int)index;
	extra = &inner->extras[index];
	if (!extra->kernel)
		extra->kernel = calloc(1, sizeof(*extra->kernel));
	if (!extra->kernel)
		return -ENOMEM;
	model_sum_kernel(extra->kernel, sums);
	return 0;
}

int64_t model_kernel_bytes(const struct pymem_kernel *sums)
{
	int64_t bytes = -(int64_t)sums->unknown;

	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++)
		bytes += sums->bytes[i] - (int64_t)sums->gone[i];
	return bytes;
}
