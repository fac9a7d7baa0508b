/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own memory, in words. */
#include "render/render_parts.h"

const char *const parts_kernel_names[PYMEM_KERNEL_COUNT] = {
#define KERNEL_TEXT(id, name, text) text,
	PYMEM_KERNEL_KINDS(KERNEL_TEXT)
#undef KERNEL_TEXT
};

bool parts_has_kernel(const struct pymem_kernel *sums)
{
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++)
		if (sums->bytes[i] || sums->gone[i])
			return true;
	return false;
}

void parts_kernel(FILE *out, const struct model_process *process)
{
	const struct pymem_kernel *sums = &process->kernel;
	const char *lead = ": ";
	int64_t lost = 0;
	char amount[32];

	parts_amount(amount, sizeof(amount), model_kernel_bytes(sums), true);
	fprintf(out, "%s of the kernel's own memory", amount);
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++) {
		int64_t there = sums->bytes[i] - (int64_t)sums->gone[i];

		if (!there)
			continue;
		parts_amount(amount, sizeof(amount), there, false);
		fprintf(out, "%s%s %s", lead, amount, parts_kernel_names[i]);
		lead = ", ";
	}
	if (sums->unknown) {
		parts_amount(amount, sizeof(amount), (int64_t)sums->unknown, false);
		fprintf(out, "; less %s of which it is not known whether they were freed", amount);
	}
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		lost += process->kernel_lost_bytes[i];
	if (lost) {
		parts_amount(amount, sizeof(amount), lost, false);
		fprintf(out, "; %s by no line", amount);
	}
}
