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

int model_take_kernel(struct pymem_kernel **sum, const struct pymem_kernel *more)
{
	if (!more)
		return 0;
	if (!*sum)
		*sum = calloc(1, sizeof(**sum));
	if (!*sum)
		return -ENOMEM;
	model_sum_kernel(*sum, more);
	return 0;
}

void model_lines_free(struct model_line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(lines[i].kernel);
	free(lines);
}

const struct pymem_kernel *model_line_kernel(const struct model_line *line)
{
	static const struct pymem_kernel none;

	return line->kernel ?: &none;
}

int64_t model_line_kernel_bytes(const struct model_line *line)
{
	return model_kernel_bytes(model_line_kernel(line));
}

int model_add_kernel(struct model *model, struct model_process *process,
		     const struct model_location *const *frames, unsigned depth,
		     enum pymem_loss loss, const struct pymem_kernel *sums)
{
	struct process *inner = process_of(process);
	ssize_t index;

	model_sum_kernel(&process->kernel, sums);
	if (!depth) {
		process->kernel_lost_bytes[loss] += model_kernel_bytes(sums);
		return 0;
	}
	index = model_take_stack(book_of(model), inner, frames, depth);
	if (index < 0)
		return (int)index;
	return model_take_kernel(&inner->extras[index].kernel, sums);
}

int64_t model_kernel_bytes(const struct pymem_kernel *sums)
{
	int64_t bytes = -(int64_t)sums->unknown;

	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++)
		bytes += sums->bytes[i] - (int64_t)sums->gone[i];
	return bytes;
}
