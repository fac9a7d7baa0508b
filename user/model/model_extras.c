/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Figures that are only counted if they are asked for. */
#include "model/model_private.h"

#include <stdio.h>

void model_add_extras(const struct model *model, uint64_t sum[PYMEM_EXTRA_COUNT],
		      const __u64 more[PYMEM_EXTRA_COUNT])
{
	static const bool in_pages[PYMEM_EXTRA_COUNT] = {
#define IN_PAGES(id, pages) pages,
		PYMEM_EXTRAS(IN_PAGES)
#undef IN_PAGES
	};

	for (int i = 0; i < PYMEM_EXTRA_COUNT; i++)
		sum[i] += more[i] * (in_pages[i] ? model->page_size : 1);
}

void model_add_taker(struct model_process *process, int pid, const char *comm, uint64_t bytes)
{
	for (int i = 0; i < PYMEM_TAKERS && pid; i++) {
		struct model_taker *taker = &process->takers[i];

		if (!taker->pid) {
			taker->pid = pid;
			snprintf(taker->comm, sizeof(taker->comm), "%s", comm);
		}
		if (taker->pid == pid) {
			taker->bytes += bytes;
			return;
		}
	}
}

uint64_t model_extra(const struct model_process *process, enum pymem_extra extra)
{
	uint64_t sum = process->lost_extras[extra];

	for (size_t i = 0; i < process->line_count; i++)
		sum += process->lines[i].extras[extra];
	return sum;
}

uint64_t model_taken_most(const struct model_process *process, const struct model_line *line)
{
	uint64_t all = model_extra(process, PYMEM_EXTRA_TAKEN);

	return line->gone_bytes < all ? line->gone_bytes : all;
}

uint64_t model_huge_bytes(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	return extras[PYMEM_EXTRA_HUGE_PAGES] * model->huge_page_bytes +
	       extras[PYMEM_EXTRA_COLLAPSE_FILLED];
}

/* One small page of each huge one was touched: else it would not be there. */
uint64_t model_huge_untouched(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	uint64_t touched = extras[PYMEM_EXTRA_HUGE_PAGES] * model->page_size;
	uint64_t bytes = model_huge_bytes(model, extras);

	return bytes > touched ? bytes - touched : 0;
}
