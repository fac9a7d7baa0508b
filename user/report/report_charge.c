/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Charges what the kernel counted to lines, or loses it by name. */
#include "report/report_parts.h"

#include <errno.h>

#include "kernel/session.h"

/* The frame's place in the source; NULL where its code object never arrived. */
static const struct model_location *locate(struct build *b, struct image *image,
					   const struct pymem_msg_frame *frame, bool *prologue)
{
	struct store *store = &b->tracker->store;
	struct store_code *code =
		store_code(store, image->id, frame, &image->layout, image->dead ? 0 : image->pid);

	if (!code)
		return NULL;
	return model_location(b->model, code->code.file, code->code.function,
			      store_line(store, code, frame->lasti, prologue),
			      code->code.first_line);
}

/* A function makes its cells before its first line event, so no run of it has what they take: that
 * belongs to the row of its first line, unless a caller's run on that row has it already. */
static int add_prologue(struct build *b, struct entry *entry,
			const struct model_location *const *frames, unsigned at, unsigned depth,
			const struct pymem_counters *counters)
{
	struct pymem_line run = {.pages = report_rss_pages((const int64_t *)counters->pages),
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
	return model_add_runs(b->model, entry->process, frames[at], &run);
}

/* Why code objects of `key`'s stack are not here. */
static enum pymem_lack lack_of(struct build *b, const struct pymem_stack_key *key)
{
	struct pymem_stack value;

	if (!session_stack(b->tracker->session, key, &value) || value.announced ||
	    value.lacks >= PYMEM_LACK_COUNT)
		return PYMEM_LACK_RING;
	return value.lacks;
}

/* Nothing is known of the stack's frames. */
static void lose_stack(struct build *b, struct entry *entry, const struct pymem_stack_key *key,
		       const struct pymem_counters *counters)
{
	int cause = lack_of(b, key) == PYMEM_LACK_QUOTA ? PYMEM_LOSS_CODE_QUOTA
							: PYMEM_LOSS_UNDELIVERED;

	entry->process->lost_bytes[cause] +=
		report_rss_pages((const int64_t *)counters->pages) * (int64_t)b->page;
}

/* Charges `counters` to the lines of `key`'s stack, or loses them by name. */
int report_add_counters(struct build *b, const struct pymem_stack_key *key,
			const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	bool prologue[PYMEM_MAX_FRAMES];
	struct store_stack *stack = store_stack(&b->tracker->store, key);
	struct entry *entry = report_entry(b, key->proc);
	unsigned i, depth = 0;
	bool truncated;
	int err = 0;

	if (!entry)
		return 0;
	truncated = stack && stack->truncated;
	for (i = 0; stack && i < stack->depth; i++) {
		frames[i] = locate(b, entry->image, &stack->frames[i], &prologue[i]);
		if (!frames[i]) { /* a caller unknown: cut there; the leaf must be known */
			truncated = true;
			if (depth)
				b->tallies.cut[lack_of(b, key)] = true;
			break;
		}
		depth++;
	}
	if (!depth) {
		lose_stack(b, entry, key, counters);
		return 0;
	}
	entry->pages += report_rss_pages((const int64_t *)counters->pages);
	for (i = 0; i < depth && entry->image->lines && !err; i++)
		if (prologue[i])
			err = add_prologue(b, entry, frames, i, depth, counters);
	return err
		       ?: model_add_stack(b->model, entry->process, frames, depth, truncated,
					  counters, vmcalls);
}

/* What a thread of an image that was folded before has added since. False: it was not. */
static bool add_late(struct build *b, uint32_t image, const struct pymem_counters *counters)
{
	struct entry *ended;
	int64_t *lost;

	HASH_FIND(hh, b->report->ended, &image, sizeof(image), ended);
	if (!ended)
		return false;
	lost = ended->process ? ended->process->lost_bytes : b->model->rest.lost_bytes;
	lost[PYMEM_LOSS_UNDELIVERED] +=
		report_rss_pages((const int64_t *)counters->pages) * (int64_t)b->page;
	return true;
}

int report_add_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct build *b = arg;
	struct pymem_vmcalls vmcalls = {};
	bool any = session_vmcalls(b->tracker->session, key, &vmcalls);

	if (!report_entry(b, key->proc))
		return add_late(b, key->proc, &stack->counters)
			       ? session_forget_stack(b->tracker->session, key)
			       : 0;
	return report_add_counters(b, key, &stack->counters, any ? &vmcalls : NULL);
}

/* What a thread has collected since its stack last changed. */
int report_add_thread(const struct pymem_collected *thread, void *arg)
{
	struct build *b = arg;

	/* It has not ended yet, so it never will in this report. */
	if (b->final && !report_entry(b, thread->key.proc))
		add_late(b, thread->key.proc, &thread->counters);
	return report_add_counters(b, &thread->key, &thread->counters, NULL);
}

/* Lines that the exact engine saw run. */
int report_add_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg)
{
	struct pymem_msg_frame frame = {.code = key->code, .fingerprint = key->fingerprint};
	const struct model_location *location;
	struct build *b = arg;
	struct entry *entry = report_entry(b, key->proc);
	struct store_code *code;

	if (!entry)
		return 0;
	code = store_code(&b->tracker->store, key->proc, &frame, &entry->image->layout,
			  entry->image->dead ? 0 : entry->image->pid);
	if (!code) {
		b->tallies.unnamed_runs += counted->runs;
		return 0;
	}
	location = model_location(b->model, code->code.file, code->code.function,
				  key->line > 0 ? key->line : store_first_line(code),
				  code->code.first_line);
	if (!location)
		return -ENOMEM;
	return model_add_runs(b->model, entry->process, location, counted);
}
