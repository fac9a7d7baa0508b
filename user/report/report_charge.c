/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Charges what was counted to lines, or loses it by cause. */
#include "report/report_parts.h"

#include <errno.h>

const struct model_location *report_locate(struct build *b, const struct counts_frame *frame)
{
	return model_location(b->model, frame->file, frame->function, frame->line,
			      frame->first_line);
}

/* Of a part of a recording: what the line's maxima were before it. */
static int add_before(struct build *b, struct entry *entry, const struct model_location *location,
		      uint64_t peak_pages, uint64_t usage_pages)
{
	return peak_pages || usage_pages ? model_add_runs_before(b->model, entry->process, location,
								 peak_pages, usage_pages)
					 : 0;
}

int report_thread(struct build *b, const struct counts_stack *stack,
		  const struct model_location **thread)
{
	*thread = NULL;
	if (!stack->thread || !b->model->threads_told)
		return 0;
	*thread = model_thread(b->model, (uint32_t)stack->thread->id, stack->thread->name);
	return *thread ? 0 : -ENOMEM;
}

/* A function makes its cells before its first line event. So no run of a line contains what that
 * takes; it is added here to the row of the function's first line. It is not added if a caller's
 * run on the same row contains it. */
static int add_prologue(struct build *b, struct entry *entry,
			const struct model_location *const *frames, unsigned at, unsigned depth,
			const struct counts_stack *stack)
{
	const struct pymem_counters *counters = stack->counters;
	struct pymem_line run = {.pages = counts_rss_pages(counters->pages),
				 .usage_pages = counters->peak_pages,
				 .peak_pages = counters->peak_pages};
	bool same_code = false, same_row = false;
	unsigned i;

	for (i = at + 1; i < depth; i++) {
		same_code |= frames[i] == frames[at];
		same_row |=
			frames[i]->file == frames[at]->file && frames[i]->line == frames[at]->line;
	}
	run.once_pages = same_code ? 0 : run.pages;
	run.row_pages = same_row ? 0 : run.pages;
	return model_add_runs(b->model, entry->process, frames[at], &run)
		       ?: add_before(b, entry, frames[at], stack->peak_before_pages,
				     stack->peak_before_pages);
}

static int64_t rss_bytes(const struct build *b, const struct counts_stack *stack)
{
	return counts_rss_pages(stack->counters->pages) * (int64_t)b->page;
}

/* The frames of the stack are unknown. */
static void lose_stack(struct build *b, struct entry *entry, const struct counts_stack *stack)
{
	int cause =
		stack->lack == PYMEM_LACK_QUOTA ? PYMEM_LOSS_CODE_QUOTA : PYMEM_LOSS_UNDELIVERED;

	entry->process->lost_bytes[cause] += rss_bytes(b, stack);
	for (int i = 0; stack->vmcalls && i < PYMEM_STALL_COUNT; i++) {
		entry->process->lost_stalls += stack->vmcalls->stalls[i];
		entry->process->lost_stall_ns += stack->vmcalls->stall_ns[i];
	}
	if (stack->vmcalls)
		model_add_extras(b->model, entry->process->lost_extras, stack->vmcalls->extras);
}

/* Charges the stack's counters to its lines, or loses them. */
static int charge(struct build *b, struct entry *entry, const struct counts_stack *stack)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES], *thread;
	unsigned i;
	int err = report_thread(b, stack, &thread);

	if (!stack->depth) {
		lose_stack(b, entry, stack);
		return 0;
	}
	if (stack->cut)
		b->tallies.cut[stack->lack] = true;
	for (i = 0; i < stack->depth; i++) {
		frames[i] = report_locate(b, &stack->frames[i]);
		if (!frames[i])
			return -ENOMEM;
	}
	for (i = 0; i < stack->depth && entry->lines && !entry->functions && !err; i++)
		if (stack->frames[i].prologue)
			err = add_prologue(b, entry, frames, i, stack->depth, stack);
	if (!err)
		err = model_add_stack(b->model, entry->process, frames, stack->depth,
				      stack->truncated, stack->counters, stack->vmcalls)
			      ?: model_add_part(b->model, entry->process, thread, frames,
						stack->depth, stack->truncated, stack->counters,
						stack->vmcalls, 0);
	if (!err && stack->peak_before_pages)
		err = model_add_peak_before(b->model, entry->process, frames, stack->depth,
					    stack->peak_before_pages);
	return err;
}

/* Loses what a thread has added to an image that was finished before. False: the image is not among
 * those. */
static bool add_late(struct build *b, const struct counts_stack *stack)
{
	struct entry *ended;
	int64_t bytes = rss_bytes(b, stack);

	HASH_FIND(hh, b->report->ended, &stack->key.proc, sizeof(stack->key.proc), ended);
	if (!ended)
		return false;
	if (ended->process)
		ended->process->lost_bytes[PYMEM_LOSS_UNDELIVERED] += bytes;
	else
		model_lose_gathered(b->model, ended->folded_in, PYMEM_LOSS_UNDELIVERED, bytes);
	return true;
}

int report_add_stack(const struct counts_stack *stack, void *arg)
{
	struct build *b = arg;
	struct entry *entry = report_entry(b, stack->key.proc);

	if (!entry)
		return add_late(b, stack) ? COUNTS_TAKEN : COUNTS_LEFT;
	return charge(b, entry, stack);
}

int report_add_thread(const struct counts_stack *stack, void *arg)
{
	struct build *b = arg;
	struct entry *entry = report_entry(b, stack->key.proc);

	if (entry)
		return charge(b, entry, stack);
	/* The thread has not added this to its stack yet, and no report follows. */
	if (b->final)
		add_late(b, stack);
	return 0;
}

static int add_calls(struct build *b, struct entry *entry, const struct model_location *location,
		     const struct counts_line *line)
{
	int err = model_add_calls(b->model, entry->process, location, line->counted);

	if (err || !(line->peak_before_pages || line->usage_before_pages))
		return err;
	return model_add_calls_before(b->model, entry->process, location, line->peak_before_pages,
				      line->usage_before_pages);
}

int report_add_line(const struct counts_line *line, void *arg)
{
	const struct model_location *location;
	struct build *b = arg;
	struct entry *entry = report_entry(b, line->image);

	if (!entry)
		return 0;
	if (!line->at) {
		b->tallies.unnamed_runs += line->counted->runs;
		return 0;
	}
	location = report_locate(b, line->at);
	if (!location)
		return -ENOMEM;
	if (entry->functions)
		return add_calls(b, entry, location, line);
	return model_add_runs(b->model, entry->process, location, line->counted)
		       ?: add_before(b, entry, location, line->peak_before_pages,
				     line->usage_before_pages);
}
