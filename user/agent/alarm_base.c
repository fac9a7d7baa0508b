/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a process that took 500 MiB when it started and has leaked 20 since is to be reported by
 * the line that leaks. Figures are sums since the process was met. So they are noted, packed as in
 * a recording, and what was noted is taken off (alarm_since.c). */
#include "agent/alarm_since.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

/* --- taking --- */

static int take_image(const struct counts_image *image, void *arg)
{
	const struct pymem_proc *record = image->record;
	struct alarm_base *base = arg;
	struct base_image *added;

	if (alarm_base_image(base, image->id))
		return 0;
	added = calloc(1, sizeof(*added));
	if (!added)
		return -ENOMEM;
	added->id = image->id;
	added->ended = image->ended;
	for (int i = 0; i < PYMEM_MEMBERS; i++)
		added->pages[i] = record->now_pages[i];
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		added->lost_pages[i] = record->lost_pages[i];
	added->peak_pages = record->peak_pages;
	added->truncated = record->truncated;
	added->lost_faults = record->lost_faults;
	if (!HASH_INSERT(base->images, id, added))
		return 0;
	free(added);
	return -ENOMEM;
}

/* Stacks of images that have ended belong to the recorder: it must be the one to take them. */
static enum counts_want wants_running(const struct pymem_stack_key *key,
				      const struct pymem_counters *counters, bool thread, void *arg)
{
	(void)counters;
	(void)thread;
	return alarm_base_has(arg, key->proc) ? COUNTS_FIGURES : COUNTS_NOTHING;
}

static int take_stack(const struct counts_stack *stack, void *arg)
{
	struct alarm_base *base = arg;
	struct amounts amounts;

	amounts_of_stack(&amounts, stack->counters, stack->vmcalls);
	if (!amounts_none(&amounts))
		amounts_put(&base->rows, stack->key.hash, stack->key.proc, &amounts);
	return base->rows.failed ? -ENOMEM : COUNTS_LEFT;
}

static int no_line(const struct counts_line *line, void *arg)
{
	(void)line;
	(void)arg;
	return 0;
}

struct alarm_base *alarm_base_take(struct counts counts)
{
	static const struct counts_reader reader = {
		.image = take_image,
		.stack = take_stack,
		.thread = take_stack,
		.line = no_line,
		.wants = wants_running,
	};
	struct alarm_base *base = calloc(1, sizeof(*base));
	int err;

	if (!base)
		return NULL;
	base->time = clock_seconds(CLOCK_REALTIME);
	err = counts.ops->read(counts.self, &reader, base);
	if (!err)
		return base;
	alarm_base_free(base);
	errno = -err;
	return NULL;
}

void alarm_base_free(struct alarm_base *base)
{
	struct base_image *image, *next;

	if (!base)
		return;
	HASH_ITER(hh, base->images, image, next)
	{
		HASH_DEL(base->images, image);
		free(image);
	}
	free(base->rows.bytes);
	free(base);
}

double alarm_base_time(const struct alarm_base *base)
{
	return base->time;
}

const struct base_image *alarm_base_image(const struct alarm_base *base, uint32_t id)
{
	struct base_image *image = NULL;

	if (base)
		HASH_FIND(hh, base->images, &id, sizeof(id), image);
	return image;
}

bool alarm_base_has(const struct alarm_base *base, uint32_t image)
{
	const struct base_image *found = alarm_base_image(base, image);

	return found && !found->ended;
}

int64_t alarm_base_rss(const struct alarm_base *base, uint32_t image)
{
	const struct base_image *found = alarm_base_image(base, image);

	return found && !found->ended ? counts_rss_pages(found->pages) : 0;
}
