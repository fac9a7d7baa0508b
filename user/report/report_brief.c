/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: who asks every few seconds how much each process has grown does not ask by which line.
 * To find the frames of tens of thousands of stacks for that would take a second.
 *
 * So the figures are added up where a reader says what it wants: it wants nothing more. */
#include "report/report_parts.h"

#include <errno.h>

#define NO_NAME "(all)"

static void add(struct pymem_counters *to, const struct pymem_counters *from)
{
	for (int i = 0; i < PYMEM_MEMBERS; i++)
		to->pages[i] += from->pages[i];
	to->grown_pages += from->grown_pages;
	to->freed_pages += from->freed_pages;
	if (from->peak_pages > to->peak_pages)
		to->peak_pages = from->peak_pages;
	to->minor_faults += from->minor_faults;
	to->major_faults += from->major_faults;
	to->cow_faults += from->cow_faults;
}

/* A counts_reader.wants. */
static enum counts_want add_figures(const struct pymem_stack_key *key,
				    const struct pymem_counters *counters, bool thread, void *arg)
{
	struct entry *entry = report_entry(arg, key->proc);

	(void)thread;
	if (entry)
		add(&entry->brief, counters);
	return COUNTS_NOTHING;
}

/* Never called: nothing is wanted. */
static int leave_stack(const struct counts_stack *stack, void *arg)
{
	(void)stack, (void)arg;
	return COUNTS_LEFT;
}

static int leave_line(const struct counts_line *line, void *arg)
{
	(void)line, (void)arg;
	return 0;
}

int report_read_brief(struct build *b)
{
	static const struct counts_reader reader = {
		.image = report_add_image,
		.stack = leave_stack,
		.thread = leave_stack,
		.line = leave_line,
		.wants = add_figures,
	};
	const struct model_location *all = model_location(b->model, "", NO_NAME, 0, 0);
	int err = all ? b->brief.ops->read(b->brief.self, &reader, b) : -ENOMEM;

	for (struct entry *entry = b->entries; entry && !err; entry = entry->hh.next)
		err = model_add_stack(b->model, entry->process, &all, 1, false, &entry->brief,
				      NULL);
	return err;
}
