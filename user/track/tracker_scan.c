/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pythons of the whole host that no message tells of: those that ran before, whose PID came round
 * while /proc was read, that were forked by one not tracked yet, or whose exec found the ring full.
 *
 * So /proc is read until nothing new is in it, and again every few seconds. A process is examined
 * once; after that its start time is all that is read. All that takes at most a fiftieth of
 * one CPU's time, however many processes there are.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "python/examiner.h"
#include "os/proc.h"
#include "track/tracker_private.h"

#define PASSES_MAX 8
#define SCAN_MS	   3000
#define SCAN_SHARE 50

void tracker_free_scanned(struct tracker *tracker)
{
	struct scanned *entry, *next;

	HASH_ITER(hh, tracker->scanned, entry, next)
	{
		HASH_DEL(tracker->scanned, entry);
		free(entry);
	}
}

/* Has the process been looked at in an earlier scan? If not, it has from now on. */
static bool looked_at(struct tracker *tracker, pid_t pid, uint64_t start)
{
	struct scanned *entry;
	bool before;

	HASH_FIND(hh, tracker->scanned, &pid, sizeof(pid), entry);
	before = entry && entry->start_ticks == start;
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return false;
		entry->pid = pid;
		if (HASH_INSERT(tracker->scanned, pid, entry)) {
			free(entry);
			return false;
		}
	}
	entry->start_ticks = start;
	entry->scan = tracker->scan;
	return before;
}

static int look_at(pid_t pid, void *arg)
{
	struct tracker *tracker = arg;
	struct image *image = tracker_live_image(tracker, pid);
	enum tracker_identified what;
	uint64_t start;

	/* Messages tell of what is tracked. */
	if (image || pid == getpid())
		return 0;
	start = proc_start_ticks(pid);
	if (!start || looked_at(tracker, pid, start))
		return 0;
	if (tracker->interrupted && tracker->interrupted())
		return -EINTR;
	what = tracker_identify(tracker, pid, false);
	if (what == TRACKER_AGAIN || what == TRACKER_LATER)
		tracker_queue(tracker, pid, false);
	/* Looks may take long, and the ring goes on to be filled. */
	session_consume(tracker->session);
	image = tracker_live_image(tracker, pid);
	if (image && image->identified)
		tracker->found++;
	return 0;
}

/* What this process and its examiner have run so far. */
static uint64_t cpu_ms(void)
{
	return clock_ms(CLOCK_PROCESS_CPUTIME_ID) + examiner_cpu_ms();
}

static int scan(struct tracker *tracker)
{
	uint64_t begin = cpu_ms(), end;
	struct scanned *entry, *next;
	int err;

	tracker->scan++;
	tracker->found = 0;
	err = proc_each(look_at, tracker);
	HASH_ITER(hh, tracker->scanned, entry, next)
	{
		if (entry->scan == tracker->scan)
			continue;
		HASH_DEL(tracker->scanned, entry);
		free(entry);
	}
	end = tracker_now_ms();
	tracker->scan_at_ms = tracker->found ? end : end + SCAN_MS;
	/* A share of a CPU. What takes less than a millisecond may have taken nearly one. */
	tracker->scan_not_before_ms = end + (cpu_ms() - begin + 1) * SCAN_SHARE;
	return err;
}

int tracker_rescan(struct tracker *tracker)
{
	uint64_t now = tracker_now_ms(), dropped = session_dropped_messages(tracker->session);

	/* Any of those looked at may have run another program, and the message of it was lost. */
	if (dropped != tracker->scan_dropped) {
		tracker->scan_at_ms = now;
		tracker_free_scanned(tracker);
	}
	tracker->scan_dropped = dropped;
	if (now < tracker->scan_at_ms || now < tracker->scan_not_before_ms)
		return 0;
	return scan(tracker);
}

int tracker_attach_all(struct tracker *tracker)
{
	struct image *image, *next;
	int err, passes = 0, count = 0;

	do {
		err = scan(tracker);
	} while (!err && tracker->found && ++passes < PASSES_MAX);
	tracker_wait_probes(tracker);
	HASH_ITER(hh, tracker->images, image, next)
	{
		count += image->identified;
	}
	return err ?: count;
}
