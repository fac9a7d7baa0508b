/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The looks at heaps in a recording, of which there may be very many. They are walked through
 * twice: how many there are of each process decides which are kept. */
#include "record/recording_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "record/look_growth.h"
#include "record/look_read.h"

/* --- one look --- */

/* The look takes over `verdict`. */
static int take_look(struct heap_times *times, struct heap_times_look *look, struct heap_look *from,
		     char *verdict)
{
	int err = look_sort(from);

	look->types_only = from->types_only;
	look->rss_bytes = from->rss_bytes;
	look->balance = from->balance;
	look->verdict = verdict;
	/* The largest only: the names of others would be kept for nothing. */
	for (size_t i = 0; i < from->type_count && i < HEAP_TIMES_ROWS && !err; i++)
		err = heap_times_add_type(times, look, from->types[i].type, from->types[i].objects,
					  from->types[i].bytes);
	for (size_t i = 0; i < from->holder_count && i < HEAP_TIMES_ROWS && !err; i++) {
		const struct heap_holder_row *row = &from->holders[i];

		err = heap_times_add_holder(times, look, row->path, row->type,
					    row->has_entries ? (int64_t)row->entries : -1,
					    row->retained_bytes);
	}
	return err;
}

int recording_heap_read(struct heap_times *times, const struct model_process *process, double time,
			const char *json, size_t size)
{
	struct heap_times_look *look;
	struct heap_look *from;
	char *verdict;
	int err;

	from = look_read(json, size, &verdict);
	if (!from) {
		times->unreadable += errno == EINVAL;
		return errno == EINVAL ? 0 : -ENOMEM;
	}
	look = heap_times_add(times);
	if (!look) {
		heap_look_free(from);
		free(verdict);
		return -ENOMEM;
	}
	look->process = process;
	look->time = time;
	err = take_look(times, look, from, verdict);
	if (err)
		heap_times_drop(times);
	heap_look_free(from);
	return err;
}

/* --- all of them --- */

struct counted { /* the looks at one process */
	const struct model_process *process;
	size_t count, next;
	UT_hash_handle hh;
};

struct taking {
	struct heap_times *times;
	struct recording *recording;
	char *why;
	size_t why_size;
	const struct recording_look *look; /* that is read */
	struct counted *processes;
	size_t kept; /* of each process */
};

static int count_look(const struct recording_look *look, void *arg)
{
	struct taking *t = arg;
	struct counted *counted;

	HASH_FIND_PTR(t->processes, &look->process, counted);
	if (!counted) {
		counted = calloc(1, sizeof(*counted));
		if (!counted)
			return -ENOMEM;
		counted->process = look->process;
		if (HASH_INSERT(t->processes, process, counted)) {
			free(counted);
			return -ENOMEM;
		}
	}
	counted->count++;
	return 0;
}

static int take_json(const char *json, size_t size, void *arg)
{
	const struct taking *t = arg;

	return recording_heap_read(t->times, t->look->process, t->look->time, json, size);
}

/* One at a time: all of them may be more than there is memory. */
static int read_look(const struct recording_look *look, void *arg)
{
	struct taking *t = arg;
	struct counted *counted;

	HASH_FIND_PTR(t->processes, &look->process, counted);
	/* While it is recorded, there may be more of them than at first. */
	if (!counted || counted->next == counted->count)
		return 0;
	if (!heap_times_keeps(counted->next++, counted->count, t->kept)) {
		t->times->thinned++;
		return 0;
	}
	if (heap_times_is_full(t->times)) {
		t->times->unreadable++;
		return 0;
	}
	t->look = look;
	return recording_read_look(t->recording, look, take_json, t, t->why, t->why_size);
}

/* Reads the looks; of each process as many as `choose` says, which knows how many processes there
 * are. */
static int read_looks(struct recording *recording, struct heap_times *times,
		      size_t (*choose)(size_t processes), char *why, size_t size)
{
	struct taking t = {.times = times, .recording = recording, .why = why, .why_size = size};
	struct counted *counted, *next;
	int err = recording_each_look(recording, count_look, &t, why, size);

	t.kept = choose(HASH_COUNT(t.processes));
	if (!err && t.processes)
		err = recording_each_look(recording, read_look, &t, why, size);
	HASH_ITER(hh, t.processes, counted, next)
	{
		HASH_DEL(t.processes, counted);
		free(counted);
	}
	return err;
}

static size_t choose_some(size_t processes)
{
	size_t kept = processes ? HEAP_TIMES_ALL / processes : 0;

	return kept > HEAP_TIMES_LOOKS ? HEAP_TIMES_LOOKS : kept < 2 ? 2 : kept;
}

static size_t choose_last(size_t processes)
{
	(void)processes;
	return 1;
}

int recording_heap_times(struct recording *recording, struct heap_times *times, char *why,
			 size_t size)
{
	return read_looks(recording, times, choose_some, why, size);
}

int recording_heap_last(struct recording *recording, struct heap_times *times, char *why,
			size_t size)
{
	return read_looks(recording, times, choose_last, why, size);
}
