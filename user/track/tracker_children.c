/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Python processes that a profiled process started before it was attached. The master process of
 * gunicorn or uwsgi only waits: its workers are what the user wants to know about, so they are
 * taken along. The user must be told of those that can't be taken, or are not to be
 * (--no-children).
 *
 * The search is limited, however many children the target has and however long each takes: the user
 * may have asked for the end already. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/proc.h"
#include "track/tracker_private.h"

#define LOOKED_AT_MOST 256  /* processes in all */
#define THREADS_MOST   1024 /* of one process, since each of them may have forked */
#define LOOKING_MS     2000 /* for all; after that no other one is begun */

struct search {
	pid_t pids[LOOKED_AT_MOST]; /* those found, in the order in which they are examined */
	size_t count;
	bool more; /* there are more than were examined */
};

static void add_child(struct search *s, pid_t pid)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		if (s->pids[i] == pid)
			return;
	if (s->count == LOOKED_AT_MOST)
		s->more = true;
	else
		s->pids[s->count++] = pid;
}

/* Adds the children that one thread forked. If they can't be read, there are none. */
static void add_children_of(struct search *s, pid_t pid, const char *tid)
{
	char path[64];
	FILE *children;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, tid);
	children = fopen(path, "re");
	if (!children)
		return;
	while (!s->more && fscanf(children, "%d", &child) == 1)
		add_child(s, child);
	fclose(children);
}

static void add_children(struct search *s, pid_t pid)
{
	struct dirent *entry;
	unsigned threads = 0;
	char path[32];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return;
	while (!s->more && threads < THREADS_MOST && (entry = readdir(tasks))) {
		if (*entry->d_name == '.')
			continue;
		add_children_of(s, pid, entry->d_name);
		threads++;
	}
	closedir(tasks);
}

/* True if it is a Python that could be profiled but is not. */
static bool is_unwatched(struct tracker *tracker, pid_t pid)
{
	struct image *image = tracker_live_image(tracker, pid);
	struct py_process python = {};

	return (!image || !image->identified) && pid != getpid() &&
	       !tracker_look(tracker, pid, &python);
}

/* Takes one process along. Returns 1 if it is profiled from now on, 0 if not. */
static size_t take_child(struct tracker *tracker, pid_t pid, bool asked)
{
	struct py_process python = {};
	struct image *image = tracker_live_image(tracker, pid);
	int err;

	if (pid == getpid() || (image && image->identified))
		return 0;
	err = tracker_look(tracker, pid, &python);
	if (!err)
		err = tracker_adopt(tracker, pid, &python, proc_start_ticks(pid), &image);
	if (!err)
		image->asked |= asked;
	return !err;
}

size_t tracker_attach_children(struct tracker *tracker, pid_t pid, bool asked)
{
	uint64_t end_ms = tracker_now_ms() + LOOKING_MS;
	struct search *s = calloc(1, sizeof(*s));
	size_t i, taken = 0;

	if (!s)
		return 0;
	/* A child is taken before its children are looked for: those that it forks from then on are
	 * followed. */
	add_children(s, pid);
	for (i = 0; i < s->count && tracker_now_ms() <= end_ms; i++) {
		if (tracker->interrupted && tracker->interrupted())
			break;
		taken += take_child(tracker, s->pids[i], asked);
		add_children(s, s->pids[i]);
	}
	free(s);
	tracker_wait_probes(tracker);
	return taken;
}

static int note_children(struct tracker *tracker, const struct image *image, uint64_t end_ms)
{
	struct search *s = calloc(1, sizeof(*s));
	struct counts_unwatched *u = calloc(1, sizeof(*u));
	size_t i;

	if (!s || !u) {
		free(s);
		free(u);
		return -ENOMEM;
	}
	u->parent = image->pid;
	add_children(s, image->pid);
	/* Children of children are added behind: there may be a launcher between the two. */
	for (i = 0; i < s->count; i++) {
		if (tracker_now_ms() > end_ms) {
			u->late = true;
			break;
		}
		add_children(s, s->pids[i]);
		if (!is_unwatched(tracker, s->pids[i]))
			continue;
		if (u->named < COUNTS_UNWATCHED_NAMED)
			u->pids[u->named++] = s->pids[i];
		u->count++;
	}
	u->more = s->more || u->late;
	free(s);
	if (!u->count && !u->late) {
		free(u);
		return 0;
	}
	u->next = tracker->unwatched;
	tracker->unwatched = u;
	return 0;
}

int tracker_find_unwatched(struct tracker *tracker)
{
	uint64_t end_ms = tracker_now_ms() + LOOKING_MS;
	struct image *image, *next;
	int err = 0;

	if (tracker->whole_host)
		return 0;
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (!err && image->asked && !image->dead && !image->hidden)
			err = note_children(tracker, image, end_ms);
	}
	return err;
}

void tracker_free_unwatched(struct tracker *tracker)
{
	struct counts_unwatched *u;

	while ((u = tracker->unwatched)) {
		tracker->unwatched = u->next;
		free(u);
	}
}
