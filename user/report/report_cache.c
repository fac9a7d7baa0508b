/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which lines brought which files into the page cache. */
#include "report/report_parts.h"

#include <errno.h>

int report_add_cached(const struct counts_cached *cached, void *arg)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	const struct counts_stack *stack = cached->stack;
	struct build *b = arg;
	struct entry *entry = report_entry(b, stack->key.proc);
	const struct model_cache_amounts amounts = {
		.bytes = cached->added_pages * b->page,
		.gone_bytes = cached->gone_pages * b->page,
		.unknown_bytes = cached->unknown_pages * b->page,
		.own_bytes = cached->own_pages * b->page,
		.other_bytes = cached->other_pages * b->page,
	};

	if (!entry || !entry->process)
		return 0;
	for (unsigned i = 0; i < stack->depth; i++) {
		frames[i] = report_locate(b, &stack->frames[i]);
		if (!frames[i])
			return -ENOMEM;
	}
	return model_add_cached(b->model, entry->process, frames, stack->depth, cached->loss,
				cached->path, cached->deleted, &amounts);
}
