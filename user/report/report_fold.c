/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Images that have ended: their stacks become lines, which stay, and all else of them is freed,
 * here and in the kernel.
 */
#include "report/report_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "kernel/session.h"

/* A thread of a process that has ended may have its last figures still to add. */
#define FOLD_AFTER_MS 200
/* Then no thread of it has anything to add any more. */
#define LATE_MS 60000
/* The lines that ran are looked through as a whole. */
#define FOLD_LINES_AFTER_MS 2000

struct folding { /* images that ended long enough ago */
	struct image **images;
	size_t count;
};

static int choose(struct report *report, struct folding *f, bool all)
{
	uint64_t wait = report->tracker->probes ? FOLD_LINES_AFTER_MS : FOLD_AFTER_MS;
	uint64_t now = tracker_now_ms();
	struct image *image, *next;

	f->count = 0;
	f->images = calloc(report->tracker->unfolded, sizeof(struct image *));
	if (!f->images)
		return -ENOMEM;
	HASH_ITER(hh, report->tracker->images, image, next)
	{
		if (!image->dead || !image->ended_ms || image->folded ||
		    (!all && now - image->ended_ms < wait))
			continue;
		if (f->count == report->tracker->unfolded)
			break;
		f->images[f->count++] = image;
	}
	return 0;
}

/* Takes the stacks of an image that were delivered, and frees the kernel's record of them. */
static int fold_stacks(struct build *b, struct store_image *kept)
{
	struct session *session = b->tracker->session;
	struct store_stack *stack;
	struct store_code *code;
	int err = 0;

	for (stack = kept->stacks; stack && !err; stack = stack->next) {
		struct pymem_vmcalls vmcalls = {};
		struct pymem_stack value;
		bool any;

		if (!session_stack(session, &stack->key, &value))
			continue;
		any = session_vmcalls(session, &stack->key, &vmcalls);
		err = report_add_counters(b, &stack->key, &value.counters, any ? &vmcalls : NULL)
			      ?: session_forget_stack(session, &stack->key);
	}
	for (code = kept->codes; code && !err; code = code->next)
		err = session_forget_code(session, code->key.proc, code->key.code,
					  code->key.fingerprint);
	return err;
}

/* A stack of an image to be folded that was never delivered, or came in late. */
static int fold_rest(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct build *b = arg;

	if (!report_entry(b, key->proc))
		return 0;
	return report_add_stack(key, stack, arg) ?: session_forget_stack(b->tracker->session, key);
}

static int fold_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg)
{
	struct build *b = arg;

	if (!report_entry(b, key->proc))
		return 0;
	return report_add_line(key, counted, arg) ?: session_forget_line(b->tracker->session, key);
}

/* Is all that changed accounted for? */
static bool complete(struct build *b)
{
	struct entry *entry, *next;
	const struct model_process *p;

	HASH_ITER(hh, b->entries, entry, next)
	{
		p = entry->process;
		if (entry->pages * (int64_t)b->page + model_lost_bytes(p) !=
		    p->rss_end_bytes - p->rss_start_bytes)
			return false;
	}
	return true;
}

static bool is_folding(uint32_t proc, void *arg)
{
	const struct folding *f = arg;
	size_t i;

	for (i = 0; i < f->count; i++)
		if (f->images[i]->id == proc)
			return true;
	return false;
}

/* Do the images hold more places in the table than have been given back? Code objects may have been
 * refused by the store, stacks never delivered. Of one that was dropped it is not known. */
static bool is_left(const struct folding *f, enum pymem_table table, uint64_t given_back)
{
	uint64_t held = 0;
	size_t i;

	for (i = 0; i < f->count; i++) {
		if (f->images[i]->dropped)
			return true;
		held += f->images[i]->record.places[table].held;
	}
	return held > given_back;
}

/* Gives back what is left of the images: else others would be denied it as long as this runs. */
static int sweep_tables(struct build *b, struct folding *f, const uint64_t *before)
{
	struct session *session = b->tracker->session;
	int table, err = 0;

	for (table = 0; table <= PYMEM_TABLE_LINES && !err; table++)
		if (is_left(f, table, session_forgotten(session, table) - before[table]))
			err = session_sweep(session, table, is_folding, f);
	return err;
}

static int fold_images(struct build *b, struct folding *f)
{
	uint64_t before[PYMEM_TABLE_COUNT];
	struct store_image *kept;
	size_t i;
	int err = 0, table;

	for (table = 0; table < PYMEM_TABLE_COUNT; table++)
		before[table] = session_forgotten(b->tracker->session, table);
	for (i = 0; i < f->count && !err; i++) {
		if (!f->images[i]->dropped)
			err = report_add_image(b, f->images[i], &f->images[i]->record);
		kept = store_image(&b->tracker->store, f->images[i]->id);
		if (!err && kept)
			err = fold_stacks(b, kept);
	}
	if (!err && b->entries &&
	    (!complete(b) || is_left(f, PYMEM_TABLE_STACKS,
				     session_forgotten(b->tracker->session, PYMEM_TABLE_STACKS) -
					     before[PYMEM_TABLE_STACKS])))
		err = session_each_stack(b->tracker->session, fold_rest, b);
	if (!err && b->entries)
		err = session_each_line(b->tracker->session, fold_line, b);
	if (!err)
		err = sweep_tables(b, f, before);
	return err ?: model_seal(b->model);
}

/* The images' lines are in the model for good: nothing else is needed of them. 0 or -ENOMEM. */
static int fold_done(struct build *b, const struct folding *f)
{
	struct tallies *sum = &b->report->folded;
	struct entry *entry;
	size_t i;
	int err = 0;

	for (i = 0; i < f->count; i++) {
		entry = report_entry(b, f->images[i]->id);
		if (entry) {
			HASH_DEL(b->entries, entry);
			entry->image = NULL;
			if (HASH_INSERT(b->report->ended, id, entry)) {
				free(entry);
				err = -ENOMEM;
			}
		}
		session_settle_account(b->tracker->session, &f->images[i]->record);
		tracker_folded(b->tracker, f->images[i]);
	}
	sum->unwatched += b->tallies.unwatched;
	sum->probeless += b->tallies.probeless;
	sum->unprobed += b->tallies.unprobed;
	sum->short_lived += b->tallies.short_lived;
	sum->unready += b->tallies.unready;
	sum->late += b->tallies.late;
	sum->unnamed_runs += b->tallies.unnamed_runs;
	for (i = 0; i < PYMEM_LACK_COUNT; i++)
		sum->cut[i] |= b->tallies.cut[i];
	return err;
}

static void forget_process(const struct model_process *process, void *arg)
{
	struct report *report = arg;
	struct entry *entry;

	HASH_FIND(hh, report->ended, &process->id, sizeof(process->id), entry);
	if (!entry)
		return;
	entry->process = NULL;
	entry->gone_ms = tracker_now_ms();
}

/* Keeps what has ended within its bounds. */
static int limit_ended(struct report *report)
{
	struct entry *entry, *next;
	uint64_t now = tracker_now_ms(), before = report->model->rest.processes;
	int err;

	err = model_fold_ended(report->model, report->ended_bytes, forget_process, report);
	if (report->model->rest.processes == before)
		return err;
	HASH_ITER(hh, report->ended, entry, next)
	{
		if (entry->process || now - entry->gone_ms < LATE_MS)
			continue;
		HASH_DEL(report->ended, entry);
		free(entry);
	}
	return err;
}

/* What the last live report did so that figures add up. */
static void undo_balance(struct report *report)
{
	struct entry *entry, *next;

	HASH_ITER(hh, report->ended, entry, next)
	{
		if (entry->process)
			entry->process->lost_bytes[PYMEM_LOSS_UNSETTLED] -= entry->unsettled_bytes;
		entry->unsettled_bytes = 0;
	}
}

int report_fold(struct report *report, bool all)
{
	struct build b = report_build_of(report);
	struct folding f;
	int err;

	undo_balance(report);
	if (!report->tracker->unfolded)
		return 0;
	err = choose(report, &f, all);
	if (!err && f.count) {
		model_clear(report->model);
		err = fold_images(&b, &f);
		if (!err)
			err = fold_done(&b, &f);
		report_entries_free(&b.entries);
		if (!err)
			err = limit_ended(report);
	}
	free(f.images);
	return err;
}
