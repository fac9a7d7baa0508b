/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who touched first what is resident now.
 *
 * Invariant, for each process of which it is known: the lines' resident bytes + those that were
 * there before + those unknown = RSS at the end. What is unknown is what the others leave. */
#include "report/report_parts.h"

#include <errno.h>

static int add_image(const struct counts_resident *resident, void *arg)
{
	struct build *b = arg;
	struct entry *entry = report_entry(b, resident->image);
	struct model_process *p = entry ? entry->process : NULL;

	if (!p)
		return 0;
	b->tallies.unread += resident->error != 0;
	if (resident->error)
		return 0;
	b->tallies.unplaced += resident->unplaced_pages;
	b->tallies.refused += resident->refused_pages;
	b->tallies.forked_often += resident->cut;
	p->resident_known = true;
	p->resident_before_bytes = resident->before_pages * b->page;
	/* Stacks whose pages are charged below are taken off it. */
	p->resident_unknown_bytes = p->rss_end_bytes - p->resident_before_bytes;
	return 0;
}

static int add_stack(uint32_t image, const struct counts_stack *stack, uint64_t pages, void *arg)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	struct build *b = arg;
	struct entry *entry = report_entry(b, image);
	struct model_process *p = entry ? entry->process : NULL;
	unsigned i;

	if (!p || !p->resident_known || !stack->depth)
		return 0;
	for (i = 0; i < stack->depth; i++) {
		frames[i] = report_locate(b, &stack->frames[i]);
		if (!frames[i])
			return -ENOMEM;
	}
	p->resident_unknown_bytes -= pages * b->page;
	return model_add_resident(b->model, p, frames, stack->depth, pages);
}

int report_add_resident(struct build *b)
{
	static const struct counts_touched_reader reader = {add_image, add_stack};
	const struct counts *counts = &b->report->counts;

	if (!counts->ops->each_touched)
		return 0;
	return counts->ops->each_touched(counts->self, &reader, b);
}
