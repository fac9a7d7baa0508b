/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finishes images that have ended: their stacks become lines, which are kept. All else of them is
 * freed, here and by the source of the counts. */
#include "report/report_parts.h"

#include <stdlib.h>

#include "base/clock.h"

/* So long after the end of a process, none of its threads has anything left to add. */
#define LATE_MS 60000

/* The first image clears the model of the last report. */
static int finish_image(const struct counts_image *image, void *arg)
{
	struct build *b = arg;

	if (!b->entries)
		model_clear(b->model);
	return report_add_image(image, arg);
}

/* Moves the entries of finished images to report->ended, where late amounts find them. Their lines
 * are in the model. 0 or -ENOMEM. */
static int keep_finished(struct build *b)
{
	struct tallies *sum = &b->report->finished;
	struct entry *entry, *next;
	int err = 0, i;

	HASH_ITER(hh, b->entries, entry, next)
	{
		HASH_DEL(b->entries, entry);
		if (HASH_INSERT(b->report->ended, id, entry)) {
			free(entry);
			err = -ENOMEM;
		}
	}
	sum->unwatched += b->tallies.unwatched;
	sum->threads_untold += b->tallies.threads_untold;
	sum->crowds += b->tallies.crowds;
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

/* Lines of these are computed. */
static void tell_killed(struct build *b)
{
	const struct report *report = b->report;
	struct entry *entry, *next;

	HASH_ITER(hh, b->entries, entry, next)
	{
		if (report->killed && entry->process->death)
			report->killed(report->model, entry->process, entry->start_boottime_ns,
				       report->killed_arg);
	}
}

static void forget_process(const struct model_process *process, void *arg)
{
	struct report *report = arg;
	struct entry *entry;

	if (report->gone)
		report->gone(report->gone_arg, process);
	HASH_FIND(hh, report->ended, &process->id, sizeof(process->id), entry);
	if (!entry)
		return;
	entry->process = NULL;
	entry->folded_in = process->folded_in;
	entry->gone_ms = clock_ms(CLOCK_MONOTONIC);
}

/* Keeps ended processes within their limits. */
static int limit_ended(struct report *report)
{
	struct entry *entry, *next;
	uint64_t now = clock_ms(CLOCK_MONOTONIC), before = report->model->gathered.processes;
	int err;

	err = model_gather_ended(report->model, &report->limits, forget_process, report);
	if (report->model->gathered.processes == before)
		return err;
	HASH_ITER(hh, report->ended, entry, next)
	{
		/* The clock may have gone on since `now`. */
		if (entry->process || now < entry->gone_ms + LATE_MS)
			continue;
		HASH_DEL(report->ended, entry);
		free(entry);
	}
	return err;
}

/* Takes back the "unsettled" amounts of the last live report. */
static void undo_balance(struct report *report)
{
	struct entry *entry, *next;

	if (!report->balanced)
		return;
	report->balanced = false;
	HASH_ITER(hh, report->ended, entry, next)
	{
		if (entry->process)
			entry->process->lost_bytes[PYMEM_LOSS_UNSETTLED] -= entry->unsettled_bytes;
		entry->unsettled_bytes = 0;
	}
}

int report_finish_ended(struct report *report, bool all)
{
	static const struct counts_reader reader = {
		.image = finish_image,
		.stack = report_add_stack,
		.line = report_add_line,
		.cached = report_add_cached,
		.kernel = report_add_kernel,
	};
	const struct counts *counts = &report->counts;
	struct build b = report_build_of(report);
	int err;

	b.finishing = true;
	undo_balance(report);
	err = counts->ops->take_ended(counts->self, all, &reader, &b);
	if (!err && b.entries) {
		err = model_freeze(report->model);
		if (!err)
			tell_killed(&b);
		if (!err)
			err = keep_finished(&b);
		if (!err)
			err = limit_ended(report);
	}
	report_entries_free(&b.entries);
	return err;
}
