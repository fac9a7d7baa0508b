/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Limits how often a process is examined. It may map files without end, each of which calls for a
 * look, and it can make each look expensive. So each process has a credit of CPU time, enough for
 * the first looks at any honest one. A fiftieth of the time that passes is added to it. If it is
 * used up, the process is examined again when it is positive. */
#include <stdlib.h>

#include "python/examiner.h"
#include "os/proc.h"
#include "track/tracker_private.h"

#define CREDIT_MS  200
#define LOOK_SHARE 50
#define LOOKS_MAX  4096

static struct look *find(struct tracker *tracker, pid_t pid)
{
	struct look *look;

	HASH_FIND(hh, tracker->looks, &pid, sizeof(pid), look);
	return look;
}

static void forget(struct tracker *tracker, struct look *look)
{
	HASH_DEL(tracker->looks, look);
	free(look);
}

void tracker_free_looks(struct tracker *tracker)
{
	struct look *look, *next;

	HASH_ITER(hh, tracker->looks, look, next)
	{
		forget(tracker, look);
	}
}

/* What is left of its credit now, in milliseconds; at most the whole. */
static int64_t credit_ms(const struct look *look, uint64_t now)
{
	int64_t credit = look->credit_ms + (int64_t)((now - look->at_ms) / LOOK_SHARE);

	return credit < CREDIT_MS ? credit : CREDIT_MS;
}

/* Forgets processes that have their whole credit again. */
static void forget_paid(struct tracker *tracker)
{
	uint64_t now = tracker_now_ms();
	struct look *look, *next;

	HASH_ITER(hh, tracker->looks, look, next)
	{
		if (credit_ms(look, now) == CREDIT_MS)
			forget(tracker, look);
	}
}

uint64_t tracker_look_not_before(struct tracker *tracker, pid_t pid)
{
	struct look *look = find(tracker, pid);
	uint64_t now = tracker_now_ms();
	int64_t credit = look ? credit_ms(look, now) : 0;

	if (credit >= 0)
		return 0;
	if (look->start_ticks == proc_start_ticks(pid))
		return now + (uint64_t)-credit * LOOK_SHARE;
	forget(tracker, look); /* another process has its PID */
	return 0;
}

static void charge(struct tracker *tracker, pid_t pid, uint64_t cost_ms)
{
	struct look *look = find(tracker, pid);
	uint64_t now = tracker_now_ms(), start = proc_start_ticks(pid);

	if (!look && HASH_COUNT(tracker->looks) >= LOOKS_MAX)
		forget_paid(tracker);
	if (!look && HASH_COUNT(tracker->looks) < LOOKS_MAX) {
		look = calloc(1, sizeof(*look));
		if (!look)
			return;
		look->pid = pid;
		if (HASH_INSERT(tracker->looks, pid, look)) {
			free(look);
			return;
		}
	}
	if (!look)
		return;
	if (look->start_ticks != start) {
		look->start_ticks = start;
		look->credit_ms = CREDIT_MS;
		look->at_ms = now;
	}
	look->credit_ms = credit_ms(look, now) - (int64_t)cost_ms;
	look->at_ms = now;
}

int tracker_look(struct tracker *tracker, pid_t pid, struct py_process *python)
{
	uint64_t before = examiner_cpu_ms(), cost;
	int err = examiner_identify(pid, python);

	/* CPU time, not elapsed time: the process is not to blame for a busy machine. If it made
	 * the examiner sleep too long, the examiner itself refuses to examine it again. */
	cost = examiner_cpu_ms() - before;
	if (cost)
		charge(tracker, pid, cost);
	return err;
}
