/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds Pythons of the host that no message announces: those that ran before us; those whose PID is
 * below the one that /proc was read up to; those forked by a process that is not tracked yet; those
 * whose exec found the ring buffer full.
 *
 * /proc is read until it contains nothing new, and again some seconds later: these are twice as
 * many each time, up to half a minute, until a Python is met or a message is lost. On a host where
 * none begins, reading the start times of all others would be the most that is done. A process is
 * examined once; after that only its start time is read. All of this takes at most a fiftieth of
 * one CPU, however many processes there are. */
#include <errno.h>
#include <stdlib.h>
#include <sys/param.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "python/examiner.h"
#include "os/proc.h"
#include "track/tracker_private.h"

#define PASSES_MAX   8
#define SCAN_MS	     3000
#define SCAN_MOST_MS 30000
#define SCAN_SHARE   50

void tracker_free_scanned(struct tracker *tracker)
{
	struct scanned *entry, *next;

	HASH_ITER(hh, tracker->scanned, entry, next)
	{
		HASH_DEL(tracker->scanned, entry);
		free(entry);
	}
}

/* True if an earlier scan examined the process. Otherwise notes it as examined. */
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

	/* Tracked processes are reported by messages. */
	if (image || pid == getpid())
		return 0;
	/* One that is noted as examined is not looked at again. */
	if (tracker->interrupted && tracker->interrupted())
		return -EINTR;
	start = proc_start_ticks(pid);
	if (!start || looked_at(tracker, pid, start))
		return 0;
	what = tracker_identify(tracker, pid, false);
	if (what == TRACKER_AGAIN || what == TRACKER_LATER)
		tracker_queue(tracker, pid, false);
	/* Examining may take long, and the ring buffer fills meanwhile. */
	session_consume(tracker->session);
	image = tracker_live_image(tracker, pid);
	if (image && image->identified)
		tracker->found++;
	return 0;
}

void tracker_scan_soon(struct tracker *tracker)
{
	tracker->scan_at_ms = 0;
	tracker->scan_pause_ms = SCAN_MS;
}

/* CPU time of this process and its examiner so far, in milliseconds. */
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
		/* Where it was not read to its end, the others may be there still. */
		if (err || entry->scan == tracker->scan)
			continue;
		HASH_DEL(tracker->scanned, entry);
		free(entry);
	}
	end = tracker_now_ms();
	if (tracker->found) {
		tracker_scan_soon(tracker);
	} else if (err) {
		/* That it found nothing says nothing. */
		tracker->scan_at_ms = end + SCAN_MS;
		tracker->scan_pause_ms = SCAN_MS;
	} else {
		uint64_t pause = tracker->scan_pause_ms ?: SCAN_MS;

		tracker->scan_at_ms = end + pause;
		tracker->scan_pause_ms = MIN(2 * pause, SCAN_MOST_MS);
	}
	/* Keeps to its share of a CPU. + 1: what took less than a millisecond may have taken nearly
	 * one. */
	tracker->scan_not_before_ms = end + (cpu_ms() - begin + 1) * SCAN_SHARE;
	return err;
}

int tracker_rescan(struct tracker *tracker)
{
	uint64_t now = tracker_now_ms(), dropped = session_dropped_messages(tracker->session);

	/* A message was lost: any process that was examined may have executed another program
	 * since. */
	if (dropped != tracker->scan_dropped) {
		tracker_scan_soon(tracker);
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
