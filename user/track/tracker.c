/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process is identified when it is attached, when it execs, and whenever it maps another
 * executable file: libpython may be mapped late, and an embedding program may load it as a plug-in.
 * A forked child has its parent's identity. A PID is only used together with the start time that it
 * was seen with. */
#include "track/tracker_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "track/image.h"
#include "os/proc.h"

#define RETRY_MIN_MS	20
#define RETRY_MAX_MS	640
#define LATER_MS	10000
#define LEFT_MS		2000
#define LOOKING_MS	200 /* after that, messages are handled again */
#define BUSY_MS		300
#define UNFINISHED_MANY 64
#define GONE_MS		500 /* by then all messages of a process have arrived */

static int handle_message(void *arg, void *data, size_t size);

int tracker_init(struct tracker *tracker, struct session *session, bool whole_host, bool lines)
{
	memset(tracker, 0, sizeof(*tracker));
	tracker->session = session;
	tracker->whole_host = whole_host;
	store_init(&tracker->store);
	if (lines)
		tracker->probes = probes_new(session, whole_host);
	if (tracker->probes)
		tracker->probe_worker = probe_worker_new(tracker->probes);
	if (lines && !tracker->probe_worker)
		return -ENOMEM;
	return session_set_reader(session, handle_message, tracker);
}

void tracker_fini(struct tracker *tracker)
{
	struct counts_skip *skip;

	tracker_end_probes(tracker);
	tracker_free_images(tracker);
	while ((skip = tracker->skips)) {
		tracker->skips = skip->next;
		free(skip);
	}
	free(tracker->queue);
	tracker_free_scanned(tracker);
	tracker_free_unwatched(tracker);
	store_fini(&tracker->store);
	probes_free(tracker->probes);
	tracker_free_looks(tracker);
	tracker_free_elders(tracker);
	cgroup_book_free(tracker->groups);
}

uint64_t tracker_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static struct queued *queued(struct tracker *tracker, pid_t pid)
{
	size_t i;

	for (i = 0; i < tracker->queue_length; i++)
		if (tracker->queue[i].pid == pid)
			return &tracker->queue[i];
	return NULL;
}

void tracker_queue(struct tracker *tracker, pid_t pid, bool execed)
{
	struct queued first = {.pid = pid,
			       .delay_ms = RETRY_MIN_MS,
			       .at_ms = tracker_look_not_before(tracker, pid)},
		      *q = queued(tracker, pid);

	if (q) {
		if (!q->gone || execed)
			*q = first;
		return;
	}
	if (ARRAY_HAS_ROOM(tracker->queue, tracker->queue_length, tracker->queue_room))
		tracker->queue[tracker->queue_length++] = first;
}

void tracker_describe(struct tracker *tracker, struct image *image)
{
	image_describe(image);
	if (tracker->groups && !image->memory_group)
		image->memory_group =
			cgroup_book_see(tracker->groups, image->pid, image->cgroup, image->started);
}

void tracker_end_groups(struct tracker *tracker)
{
	struct image *image, *next;

	if (!tracker->groups)
		return;
	HASH_ITER(hh, tracker->images, image, next)
	{
		image->memory_moved =
			!image->dead && image->memory_group &&
			cgroup_book_has_left(tracker->groups, image->pid, image->memory_group);
	}
	cgroup_book_end(tracker->groups);
}

/* A child begins in its parent's control group, which need not be that in which the parent was met:
 * it may have gone on since. So the child's own is asked for. One that has ended can't be asked. */
static void inherit_group(struct tracker *tracker, struct image *image, const struct image *parent)
{
	if (tracker->groups && !image->memory_group && !image->dead)
		image->memory_group = cgroup_book_see_now(tracker->groups, image->pid);
	if (!image->memory_group)
		image->memory_group = parent->memory_group;
}

static int inherit(struct tracker *tracker, struct image *image, const struct image *parent,
		   bool identified)
{
	inherit_group(tracker, image, parent);
	return image_inherit(image, parent, identified);
}

/* A child is what its parent was, whether or not the parent still lives. */
int tracker_begin_child(struct tracker *tracker, struct image *image, uint32_t parent_id,
			bool identified)
{
	struct image *parent = tracker_image(tracker, parent_id);
	int err = 0;

	if (parent)
		err = inherit(tracker, image, parent, identified);
	else
		tracker_describe(tracker, image);
	if (!image->identified) {
		/* The parent is no Python, unless it has just mapped a file that makes it one. */
		if (parent && parent->examined && !queued(tracker, parent->pid))
			image->examined = true;
		else if (!image->hidden && !image->dead)
			tracker_queue(tracker, image->pid, true);
		return err;
	}
	if (tracker->probe_worker && parent && !image->dead)
		tracker_want_child_probes(tracker, image, parent->pid);
	return err;
}

/* Takes a stack or a code object. The store counts those for which there is no room. */
static void take_delivery(struct tracker *tracker, const void *data, size_t size)
{
	const struct pymem_msg_code *m = data;
	struct image *image;

	if (store_add(&tracker->store, data, size) || m->type != PYMEM_MSG_CODE)
		return;
	image = tracker_image(tracker, m->proc);
	if (image)
		image_note_user(image, m);
	if (image && image->identified && !image->dead)
		store_complete(&tracker->store, m, &image->layout, image->pid);
}

static int handle_message(void *arg, void *data, size_t size)
{
	struct tracker *tracker = arg;
	const struct pymem_msg_process *m = data;
	struct image *image, *before;
	int err = 0;

	if (size < sizeof(*m) || m->type == PYMEM_MSG_STACK || m->type == PYMEM_MSG_CODE) {
		take_delivery(tracker, data, size);
		return 0;
	}
	if (m->type == PYMEM_MSG_WORDS || m->type == PYMEM_MSG_VICTIM) {
		tracker_take_words(tracker, data, size);
		return 0;
	}
	/* An exec ends the image before, too. */
	if (m->type == PYMEM_MSG_EXIT || (m->type == PYMEM_MSG_EXEC && m->proc))
		tracker->ended_ms = tracker_now_ms();
	if (m->type == PYMEM_MSG_FORK || (m->type == PYMEM_MSG_EXEC && m->proc)) {
		before = tracker_newest_image(tracker, m->tgid);
		image = tracker_new_image(tracker, m->proc, m->tgid);
		if (!image)
			return -ENOMEM;
		if (m->type == PYMEM_MSG_FORK) {
			err = tracker_begin_child(tracker, image, m->parent, m->identified);
		} else {
			image->started = true;
			tracker_describe(tracker, image);
			image->asked |= before && before->asked;
		}
		image->ppid = m->ppid;
		image->started = true;
	}
	/* After a fork, pages are shared: watch copies before the child has written much. */
	if (m->type == PYMEM_MSG_COPIES || m->type == PYMEM_MSG_FORK)
		tracker->watch_copies = true;
	if (m->type == PYMEM_MSG_FORK || m->type == PYMEM_MSG_EXEC)
		tracker->started_ms = tracker_now_ms();
	if (m->type == PYMEM_MSG_EXEC || m->type == PYMEM_MSG_MAPPED)
		tracker_queue(tracker, m->tgid, m->type == PYMEM_MSG_EXEC);
	if (m->type == PYMEM_MSG_EXIT) {
		image = tracker_image(tracker, m->proc);
		if (image)
			image->dead = true;
		if (tracker->probe_worker)
			tracker_forget_probes(tracker, m->tgid);
	}
	return err;
}

static int track(struct tracker *tracker, struct session_target *target)
{
	int err = session_track(tracker->session, target, 1);

	if (err)
		return err;
	if (target->result == PYMEM_WANTED_MAP_FULL)
		return -ENOSPC;
	return target->result == PYMEM_WANTED_OK ? 0 : -ESRCH;
}

int tracker_track(struct tracker *tracker, pid_t pid, uint64_t start, struct image **out)
{
	struct session_target target = {.pid = pid, .start_ticks = start};
	struct image *image;
	int err = track(tracker, &target);

	if (err)
		return err;
	image = tracker_new_image(tracker, target.id, pid);
	if (!image)
		return -ENOMEM;
	if (!image->argv)
		tracker_describe(tracker, image);
	*out = image;
	return 0;
}

int tracker_know(struct tracker *tracker, struct image *image, const struct py_process *python)
{
	struct session_target target = {.pid = image->pid, .expect = image->id};
	int err;

	target.layout = session_add_layout(tracker->session, &python->layout);
	if (target.layout < 0)
		return target.layout;
	target.identified = true;
	target.runtime = python->runtime_addr;
	target.interp_head = python->interp_head_addr;
	err = track(tracker, &target);
	if (err)
		return err;
	image->runtime = target.runtime;
	image->interp_head = target.interp_head;
	if (tracker->probe_worker)
		tracker_want_probes(tracker, image, python);
	if (image->undescribed)
		tracker_describe(tracker, image);
	image->identified = true;
	image->held = tracker->holding && image->asked;
	image->layout = python->layout;
	snprintf(image->python, sizeof(image->python), "%s", python->version);
	return 0;
}

void tracker_skip(struct tracker *tracker, pid_t pid, const char *comm, const char *reason)
{
	struct counts_skip *skip;

	for (skip = tracker->skips; skip; skip = skip->next)
		if (skip->pid == pid && !strcmp(skip->reason, reason))
			return;
	/* Anyone can start any number of processes that can't be profiled. */
	skip = tracker->skip_count < TRACKER_SKIPS_MAX ? calloc(1, sizeof(*skip)) : NULL;
	if (!skip) {
		tracker->more_skips++;
		return;
	}
	tracker->skip_count++;
	skip->pid = pid;
	snprintf(skip->comm, sizeof(skip->comm), "%s", comm);
	snprintf(skip->reason, sizeof(skip->reason), "%s", reason);
	skip->next = tracker->skips;
	tracker->skips = skip;
}

void tracker_count_unexamined(struct tracker *tracker, const char *comm)
{
	char(*comms)[16] = tracker->unexamined_comms;
	int i = 0;

	tracker->unexamined++;
	while (i < COUNTS_COMMS_MAX && *comms[i] && strcmp(comms[i], comm) != 0)
		i++;
	if (i < COUNTS_COMMS_MAX)
		snprintf(comms[i], sizeof(comms[i]), "%.15s", comm);
}

/* Examines a process whose time has come. False: it is done with. */
static bool identify_due(struct tracker *tracker, struct queued *q, uint64_t now)
{
	if (q->gone)
		return false;
	switch (tracker_identify(tracker, q->pid, q->delay_ms > RETRY_MAX_MS)) {
	case TRACKER_DONE:
		return false;
	case TRACKER_AGAIN:
		q->at_ms = now + q->delay_ms;
		q->delay_ms *= 2;
		q->later = false;
		return true;
	case TRACKER_LATER:
		q->at_ms = now + LATER_MS;
		q->later = true;
		return true;
	case TRACKER_GONE:
		/* It has been examined before. */
		if (q->delay_ms > RETRY_MIN_MS)
			return false;
		/* A message about what it mapped before its end may come later. */
		tracker->unseen++;
		q->gone = true;
		q->at_ms = now + GONE_MS;
		return true;
	}
	return false;
}

/* Examines the processes in the queue whose time has come. Those that may be something else in a
 * moment stay in it. */
static void identify_queued(struct tracker *tracker)
{
	uint64_t now = tracker_now_ms();
	size_t i, kept = 0;
	bool full = false;

	for (i = 0; i < tracker->queue_length; i++) {
		struct queued q = tracker->queue[i];

		/* After a signal that asks for the end, nothing is started that may take long. */
		if (q.at_ms > now || full || (tracker->interrupted && tracker->interrupted()) ||
		    identify_due(tracker, &q, now))
			tracker->queue[kept++] = q;
		full = tracker_now_ms() - now > LOOKING_MS;
	}
	tracker->queue_length = kept;
}

void tracker_watch_copies(struct tracker *tracker)
{
	if (!tracker->copies_error)
		tracker->copies_error = session_watch_copies(tracker->session);
	tracker->watch_copies = false;
}

int tracker_poll(struct tracker *tracker, int timeout_ms)
{
	int n = session_poll(tracker->session, timeout_ms), err;

	if (n < 0)
		return n;
	/* Most messages wake nobody, so look for them. */
	err = session_consume(tracker->session);
	if (err < 0)
		return err;
	n += err;
	store_fetch_more(&tracker->store);
	tracker_forget_ended(tracker);
	if (tracker->watch_copies)
		tracker_watch_copies(tracker);
	identify_queued(tracker);
	tracker_take_probes(tracker);
	err = tracker_take_ended(tracker, false);
	/* A failure is no error: it is tried again some seconds later. */
	if (!err && tracker->whole_host)
		tracker_rescan(tracker);
	return err ?: n;
}

bool tracker_is_busy(const struct tracker *tracker)
{
	return tracker_now_ms() - tracker->started_ms < BUSY_MS &&
	       tracker->unfinished < UNFINISHED_MANY;
}

bool tracker_has_work(const struct tracker *tracker)
{
	uint64_t now = tracker_now_ms();

	return tracker->probes || tracker->queue_length || tracker->unfinished || tracker->sweeps ||
	       tracker->watch_copies || tracker->store.fetches ||
	       now - tracker->started_ms < BUSY_MS || now - tracker->ended_ms < BUSY_MS;
}

/* Examines tracked processes that have not been examined yet. They are alive, so this is possible;
 * it ends when the user would have to wait too long for the report. */
static void identify_left(struct tracker *tracker)
{
	uint64_t end_ms = tracker_now_ms() + LEFT_MS;
	struct image *image, *next;

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->undescribed && !image->dead && tracker_now_ms() <= end_ms)
			tracker_describe(tracker, image);
		if (image->dead || image->identified || image->examined || image->hidden ||
		    *image->reason)
			continue;
		if (tracker_now_ms() <= end_ms)
			tracker_identify(tracker, image->pid, true);
		if (!image->identified && !image->examined && !image->asked && !*image->reason)
			tracker_count_unexamined(tracker, image->comm);
	}
	for (size_t i = 0; i < tracker->queue_length; i++)
		if (tracker->queue[i].later)
			tracker_refuse_later(tracker, tracker->queue[i].pid);
}

int tracker_end(struct tracker *tracker)
{
	int err = session_consume(tracker->session);

	if (err < 0)
		return err;
	tracker->detached = true;
	tracker_end_probes(tracker);
	err = tracker_take_ended(tracker, true);
	if (err)
		return err;
	tracker_forget_ended(tracker);
	identify_left(tracker);
	return session_settle(tracker->session);
}
