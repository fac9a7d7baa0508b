/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Charges what the kernel counted to lines, or loses it by name. */
#include "report_parts.h"

#include <errno.h>

#include "session.h"

/* The frame's place in the source; NULL where its code object never arrived. */
static const struct model_location *locate(struct build *b, struct image *image,
					   const struct pymem_msg_frame *frame)
{
	struct store_code *code = store_code(&b->tracker->store, image->id, frame, &image->layout,
					     image->dead ? 0 : image->pid);
	int line;

	if (!code)
		return NULL;
	line = store_line(code, frame->lasti);
	return model_location(b->model, code->code.file, code->code.function, line > 0 ? line : 0,
			      code->code.first_line);
}

/* Charges `counters` to the lines of `key`'s stack, or loses them by name. */
int report_add_counters(struct build *b, const struct pymem_stack_key *key,
			const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	struct store_stack *stack = store_stack(&b->tracker->store, key);
	struct entry *entry = report_entry(b, key->proc);
	unsigned i, depth = 0;
	bool truncated;

	if (!entry)
		return 0;
	truncated = stack && stack->truncated;
	for (i = 0; stack && i < stack->depth; i++) {
		frames[i] = locate(b, entry->image, &stack->frames[i]);
		if (!frames[i]) { /* a caller unknown: cut there; the leaf must be known */
			truncated = true;
			break;
		}
		depth++;
	}
	if (!depth) {
		entry->process->lost_bytes[PYMEM_LOSS_UNDELIVERED] +=
			report_rss_pages((const int64_t *)counters->pages) * (int64_t)b->page;
		return 0;
	}
	entry->pages += report_rss_pages((const int64_t *)counters->pages);
	return model_add_stack(b->model, entry->process, frames, depth, truncated, counters,
			       vmcalls);
}

/* What a thread added to the stack of an image that was folded before. */
static int add_late(struct build *b, const struct pymem_stack_key *key,
		    const struct pymem_stack *stack)
{
	struct entry *ended;
	int64_t *lost;

	HASH_FIND(hh, b->report->ended, &key->proc, sizeof(key->proc), ended);
	if (!ended)
		return 0;
	lost = ended->process ? ended->process->lost_bytes : b->model->rest.lost_bytes;
	lost[PYMEM_LOSS_UNDELIVERED] +=
		report_rss_pages((const int64_t *)stack->counters.pages) * (int64_t)b->page;
	return session_forget_stack(b->tracker->session, key);
}

int report_add_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct build *b = arg;
	struct pymem_vmcalls vmcalls = {};
	bool any = session_vmcalls(b->tracker->session, key, &vmcalls);

	if (!report_entry(b, key->proc))
		return add_late(b, key, stack);
	return report_add_counters(b, key, &stack->counters, any ? &vmcalls : NULL);
}

/* What a thread has collected since its stack last changed. */
int report_add_thread(const struct pymem_collected *thread, void *arg)
{
	struct build *b = arg;

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
	location = model_location(b->model, code->code.file, code->code.function, key->line,
				  code->code.first_line);
	if (!location)
		return -ENOMEM;
	return model_add_runs(b->model, entry->process, location, counted);
}
