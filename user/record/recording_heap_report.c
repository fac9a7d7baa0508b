/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The looks at heaps in a recording as one report: of each process the last one, compared with the
 * first one, so that hours of growth are shown as `heap -d` shows seconds.
 *
 * A look lists the largest holders. One that the first look does not list may have been there, and
 * been smaller than what is listed: then it grew by no less than the difference. */
#include "record/recording_heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/hash.h"
#include "record/look_growth.h"
#include "record/look_read.h"

#define UNREADABLE_MOST 10 /* looks at a process, from either end, that can't be read */
#define SKIPS_MOST	20 /* processes without a look that are named */

struct looked { /* a process */
	const struct model_process *process;
	struct recording_look *looks; /* by time */
	size_t count, room;
	UT_hash_handle hh;
};

struct looking {
	struct recording *recording;
	struct heap_report *report;
	struct looked *processes;
	char *why;
	size_t why_size;
	struct heap_look *read; /* the look that was read last; NULL: it can't be */
};

/* --- finding looks --- */

static int note_look(const struct recording_look *look, void *arg)
{
	struct looking *l = arg;
	struct looked *looked;

	HASH_FIND_PTR(l->processes, &look->process, looked);
	if (!looked) {
		looked = calloc(1, sizeof(*looked));
		if (!looked)
			return -ENOMEM;
		looked->process = look->process;
		if (HASH_INSERT(l->processes, process, looked)) {
			free(looked);
			return -ENOMEM;
		}
	}
	if (!ARRAY_HAS_ROOM(looked->looks, looked->count, looked->room))
		return -ENOMEM;
	looked->looks[looked->count++] = *look;
	return 0;
}

static int take_json(const char *json, size_t size, void *arg)
{
	struct looking *l = arg;
	char *verdict;

	l->read = look_read(json, size, &verdict);
	free(verdict);
	return l->read || errno == EINVAL ? 0 : -ENOMEM;
}

/* Reads a look into `*to`, which becomes NULL if it can't be read. 0 or -errno. */
static int read_look(struct looking *l, const struct recording_look *look, struct heap_look **to)
{
	int err;

	l->read = NULL;
	err = recording_read_look(l->recording, look, take_json, l, l->why, l->why_size);
	*to = l->read;
	l->read = NULL;
	return err;
}

/* Two looks can be compared if both have holders, or neither. */
static bool is_alike(const struct heap_look *one, const struct heap_look *other)
{
	return one->types_only == other->types_only && one->has_holders == other->has_holders;
}

/* What is used of the looks at a process. */
struct chosen {
	struct heap_look *first, *before, *last; /* NULL: there is none */
	size_t first_at, last_at, unreadable, unlike;
};

/* Finds the last look that can be read. 0 or -errno. */
static int find_last(struct looking *l, const struct looked *looked, struct chosen *c)
{
	size_t at = looked->count;
	int err = 0;

	while (at && !c->last && !err && c->unreadable < UNREADABLE_MOST) {
		err = read_look(l, &looked->looks[--at], &c->last);
		c->unreadable += !c->last;
		c->last_at = at;
	}
	return err;
}

/* Finds the first look that can be read and compared with the last one. 0 or -errno. */
static int find_first(struct looking *l, const struct looked *looked, struct chosen *c)
{
	size_t tries = 0;
	int err = 0;

	for (size_t at = 0; c->last && at < c->last_at && !c->first && !err; at++) {
		if (tries++ == UNREADABLE_MOST)
			break;
		err = read_look(l, &looked->looks[at], &c->first);
		c->first_at = at;
		c->unreadable += !c->first;
		if (!c->first || is_alike(c->first, c->last))
			continue;
		heap_look_free(c->first);
		c->first = NULL;
		c->unlike++;
	}
	return err;
}

/* Reads the look before the last one, if there are three. */
static int find_before(struct looking *l, const struct looked *looked, struct chosen *c)
{
	if (!c->first || c->last_at < c->first_at + 2)
		return 0;
	return read_look(l, &looked->looks[c->last_at - 1], &c->before);
}

/* --- one process --- */

static void put_time(char *text, size_t size, double time)
{
	time_t seconds = (time_t)time;
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(text, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(text, size, "%.0f", time);
}

/* Says when the looks were made, and which were left out. 0 or -ENOMEM. */
static int say_looks(const struct looked *looked, const struct chosen *c)
{
	char first[32] = "", last[32];
	char ***notes = &c->last->notes;
	int err;

	put_time(last, sizeof(last), looked->looks[c->last_at].time);
	if (c->first)
		put_time(first, sizeof(first), looked->looks[c->first_at].time);
	if (c->last->seconds > 0)
		err = heap_look_say(
			notes, "the looks were made at %s and at %s%s", first, last,
			c->last_at > c->first_at + 1 ? "; those between are in --format html" : "");
	else
		err = heap_look_say(notes, "the look was made at %s", last);
	if (!err && c->unlike)
		err = heap_look_say(notes,
				    c->last->has_holders
					    ? "looks without holders are not compared: %zu"
					    : "looks with holders are not compared: %zu",
				    c->unlike);
	if (!err && c->unreadable)
		err = heap_look_say(notes, "%zu of %zu looks can't be read", c->unreadable,
				    looked->count);
	return err;
}

static int skip(struct looking *l, const struct model_process *process, const char *reason)
{
	return heap_report_skip(l->report, process->pid, process->comm, reason);
}

/* Makes the report of what was chosen and adds it, which takes over the last look. 0 or -ENOMEM. */
static int add_chosen(struct looking *l, const struct looked *looked, struct chosen *c)
{
	double seconds = 0;
	int err;

	if (!c->last)
		return skip(l, looked->process, "no look at it can be read");
	if (c->first)
		seconds = looked->looks[c->last_at].time - looked->looks[c->first_at].time;
	if (seconds > 0)
		err = look_growth(c->last, c->first, c->before, seconds);
	else
		err = look_sort(c->last);
	err = err ?: say_looks(looked, c) ?: heap_report_add(l->report, c->last);
	if (!err)
		c->last = NULL;
	return err;
}

static int add_process(struct looking *l, const struct looked *looked)
{
	struct chosen c = {0};
	int err = find_last(l, looked, &c) ?: find_first(l, looked, &c) ?: find_before(l, looked, &c);

	err = err ?: add_chosen(l, looked, &c);
	heap_look_free(c.first);
	heap_look_free(c.before);
	heap_look_free(c.last);
	return err;
}

/* Names processes that still run and have no look. 0 or -ENOMEM. */
static int add_skips(struct looking *l, const struct model *model)
{
	struct looked *looked;
	size_t skipped = 0;
	int err = 0;

	for (size_t i = 0; i < model->process_count && skipped < SKIPS_MOST && !err; i++) {
		HASH_FIND_PTR(l->processes, &model->processes[i], looked);
		if (looked || model->processes[i]->exited)
			continue;
		err = skip(l, model->processes[i], "there is no look at it");
		skipped++;
	}
	return err;
}

static void free_processes(struct looking *l)
{
	struct looked *looked, *next;

	HASH_ITER(hh, l->processes, looked, next)
	{
		HASH_DEL(l->processes, looked);
		free(looked->looks);
		free(looked);
	}
}

int recording_heap_report(struct recording *recording, const struct model *model,
			  struct heap_report *report, char *why, size_t size)
{
	struct looking l = {.recording = recording, .report = report, .why = why, .why_size = size};
	int err = recording_each_look(recording, note_look, &l, why, size);

	report->host = model->host;
	report->kernel = model->kernel;
	report->version = model->version;
	report->start = model->start;
	report->end = model->end;
	for (struct looked *looked = l.processes; looked && !err; looked = looked->hh.next)
		err = add_process(&l, looked);
	if (!err && l.processes)
		err = add_skips(&l, model);
	free_processes(&l);
	if (!err)
		heap_report_sort(report);
	else if (!*why)
		snprintf(why, size, "%s", strerror(-err));
	return err;
}
