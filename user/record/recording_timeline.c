/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the window that was loaded once more, this time interval by interval.
 *
 * A stack of the recording is a node of the model's tree; several may be the same node. What they
 * did in a slice is added up. If that is too much for whoever shows it, slices are made longer. So
 * they are if there are so many processes that what each has in each slice takes too much memory:
 * a recording may be made to have any number of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "record/timing.h"

#define LEVELS_MOST (1u << 20) /* processes times slices: 32 MiB */

/* --- slices --- */

static int take_interval(sqlite3_stmt *row, void *arg)
{
	struct timing *t = arg;
	double until = sqlite3_column_double(row, 1);

	if (!ARRAY_HAS_ROOM(t->ids, t->interval_count, t->interval_room) ||
	    !ARRAY_HAS_ROOM(t->middles, t->interval_count, t->middle_room))
		return -ENOMEM;
	t->ids[t->interval_count] = sqlite3_column_int64(row, 0);
	t->middles[t->interval_count++] = (t->since + until) / 2;
	t->since = until;
	return 0;
}

size_t timing_slice_of_time(const struct timing *t, double time)
{
	const struct timeline *line = t->timeline;
	double length = line->end - line->start, part;

	part = length > 0 ? (time - line->start) / length * (double)line->slices : 0;
	if (!(part > 0))
		return 0;
	return part < (double)line->slices ? (size_t)part : line->slices - 1;
}

size_t timing_slice(const struct timing *t, int64_t id)
{
	size_t low = 0, high = t->interval_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (t->ids[middle] <= id)
			low = middle;
		else
			high = middle;
	}
	return t->interval_count ? timing_slice_of_time(t, t->middles[low]) : 0;
}

/* --- processes --- */

/* Room for `size` bytes of levels that are -1. NULL: out of memory. */
static void *unknown(size_t size)
{
	void *levels = malloc(size);

	return levels ? memset(levels, 0xff, size) : NULL;
}

static int add_process(struct timing *t, const struct model_process *process)
{
	struct timeline *line = t->timeline;
	struct timeline_process *to = &line->processes[line->process_count];
	struct sampled *sampled;

	to->process = process;
	to->cgroup = SIZE_MAX;
	to->peak_before_bytes = -1;
	to->levels = unknown(line->slices * sizeof(*to->levels));
	to->peak_bytes = unknown(line->slices * sizeof(*to->peak_bytes));
	to->most_bytes = unknown(line->slices * sizeof(*to->most_bytes));
	sampled = calloc(1, sizeof(*sampled));
	/* From here on timeline_free() frees them. */
	line->process_count++;
	if (!to->levels || !to->peak_bytes || !to->most_bytes || !sampled) {
		free(sampled);
		return -ENOMEM;
	}
	sampled->id = process->id;
	sampled->process = to;
	HASH_FIND(hh, t->recording->images, &process->id, sizeof(process->id), sampled->image);
	if (HASH_INSERT(t->images, id, sampled)) {
		free(sampled);
		return -ENOMEM;
	}
	return 0;
}

struct sampled *timing_image(struct timing *t, uint32_t id)
{
	struct sampled *sampled;

	HASH_FIND(hh, t->images, &id, sizeof(id), sampled);
	return sampled && sampled->image ? sampled : NULL;
}

size_t timing_slices_of(const struct timing *t, const struct sampled *sampled)
{
	const struct played_image *image = sampled->image;

	return image->image.ended ? timing_slice_of_time(t, image->ended) : t->timeline->slices;
}

static void set_levels(const struct timing *t, const struct sampled *sampled, size_t from,
		       const int64_t *pages)
{
	int64_t page = (int64_t)t->model->page_size;
	size_t slice, end = timing_slices_of(t, sampled);

	for (slice = from; slice < end; slice++)
		sampled->process->levels[slice] = (struct timeline_level){
			pages[0] * page, pages[1] * page, pages[2] * page, pages[3] * page};
}

/* Its peaks, also in the slice in which it ends. */
static void set_peaks(const struct timing *t, struct sampled *sampled, int64_t id,
		      const int64_t *pages)
{
	struct timeline_process *to = sampled->process;
	int64_t page = (int64_t)t->model->page_size, rss = pages[0] + pages[1] + pages[2];
	bool before = id < t->recording->first;
	size_t slice, from = before ? 0 : timing_slice(t, id);

	if (before)
		to->peak_before_bytes = pages[4] * page;
	for (slice = from; slice < t->timeline->slices; slice++) {
		/* Several samples of one slice. */
		if (slice + 1 != sampled->next_slice || rss * page > to->most_bytes[slice])
			to->most_bytes[slice] = rss * page;
		to->peak_bytes[slice] = pages[4] * page;
	}
	if (!before)
		sampled->next_slice = from + 1;
}

static int take_sample(sqlite3_stmt *row, void *arg)
{
	struct timing *t = arg;
	struct sampled *sampled = timing_image(t, (uint32_t)sqlite3_column_int64(row, 0));
	int64_t id = sqlite3_column_int64(row, 1), pages[5];

	if (!sampled)
		return 0;
	for (int i = 0; i < 5; i++) {
		pages[i] = sqlite3_column_int64(row, 2 + i);
		if (pages[i] < 0 || pages[i] > 1ll << 38)
			pages[i] = 0;
	}
	set_levels(t, sampled, id < t->recording->first ? 0 : timing_slice(t, id), pages);
	set_peaks(t, sampled, id, pages);
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct timeline_mark *x = a, *y = b;

	return (x->time > y->time) - (x->time < y->time);
}

int timing_mark(struct timing *t, const struct timeline_mark *mark)
{
	struct timeline *line = t->timeline;

	if (mark->time < line->start || mark->time > line->end)
		return 0;
	if (!ARRAY_HAS_ROOM(line->marks, line->mark_count, t->mark_room))
		return -ENOMEM;
	line->marks[line->mark_count++] = *mark;
	return 0;
}

static int add_marks(struct timing *t)
{
	struct timeline_mark mark = {.cgroup = SIZE_MAX};
	struct sampled *sampled;
	int err = 0;

	for (sampled = t->images; sampled && !err; sampled = sampled->hh.next) {
		const struct played_image *image = sampled->image;

		if (!image)
			continue;
		/* What was there at the beginning has not begun then. */
		mark.process = sampled->process->process;
		mark.time = image->began;
		mark.event = TIMELINE_BEGIN;
		if (image->began > t->recording->about.start)
			err = timing_mark(t, &mark);
		mark.time = image->ended;
		mark.event = TIMELINE_END;
		if (!err && image->ended)
			err = timing_mark(t, &mark);
	}
	if (t->timeline->mark_count)
		qsort(t->timeline->marks, t->timeline->mark_count, sizeof(*t->timeline->marks),
		      by_time);
	return err;
}

/* --- changes --- */

/* The thread of the model that a frame is. 0 or -ENOMEM. */
static int find_thread(struct timing *t, uint32_t image, const struct played_frame *from,
		       const struct model_location **thread)
{
	struct counts_thread played;

	recording_thread(t->recording, image, from, &played);
	*thread = model_thread(t->model, (uint32_t)played.id, played.name);
	return *thread ? 0 : -ENOMEM;
}

/* The node of the model in which a stack is. `*node` is 0 if it has no frames. 0 or -ENOMEM. */
static int find_node(struct timing *t, const struct sampled *sampled, uint32_t id, size_t *node)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES], *thread = NULL;
	const struct recording *r = t->recording;
	struct node_row_key key = {sampled->id, id};
	struct node_row *row;
	unsigned depth = 0;
	uint32_t at;

	HASH_FIND(hh, t->nodes, &key, sizeof(key), row);
	if (row) {
		*node = row->node;
		return 0;
	}
	for (at = id; at; at = r->nodes[at - 1].parent) {
		const struct played_frame *from = &r->frames[r->nodes[at - 1].frame - 1];

		if (from->thread && find_thread(t, sampled->id, from, &thread))
			return -ENOMEM;
		if (from->thread || depth == PYMEM_MAX_FRAMES)
			break;
		frames[depth] = model_location(t->model, from->file, from->function, from->line,
					       from->first_line);
		if (!frames[depth++])
			return -ENOMEM;
	}
	row = calloc(1, sizeof(*row));
	if (!row)
		return -ENOMEM;
	row->key = key;
	row->node = model_find_node(t->model, sampled->process->process, thread, frames, depth);
	*node = row->node;
	if (HASH_INSERT(t->nodes, key, row)) {
		free(row);
		return -ENOMEM;
	}
	return 0;
}

static void keep_larger(uint64_t *most, uint64_t more)
{
	if (*most < more)
		*most = more;
}

static int add_change(struct timing *t, const struct sampled *sampled, size_t node, size_t slice,
		      const struct amounts *amounts, uint64_t peak_before)
{
	struct change_key key;
	struct change_row *row;
	struct pymem_counters c;
	struct pymem_vmcalls calls;
	uint64_t page = t->model->page_size;

	memset(&key, 0, sizeof(key));
	key.process = sampled->process->process;
	key.node = node;
	key.slice = slice;
	HASH_FIND(hh, t->changes, &key, sizeof(key), row);
	if (!row) {
		/* It is going to be begun again, with longer slices. */
		if (HASH_COUNT(t->changes) >= t->changes_most && t->timeline->slices > 1)
			return -E2BIG;
		row = calloc(1, sizeof(*row));
		if (row)
			row->key = key;
		if (!row || HASH_INSERT(t->changes, key, row)) {
			free(row);
			return -ENOMEM;
		}
		row->change = (struct timeline_change){
			.process = key.process, .node = node, .slice = (uint32_t)slice};
	}
	amounts_to_stack(amounts, &c, &calls);
	row->change.grown_bytes += c.grown_pages * page;
	row->change.freed_bytes += c.freed_pages * page;
	row->change.cow_faults += c.cow_faults;
	row->change.faults += c.minor_faults + c.major_faults;
	keep_larger(&row->change.peak_bytes, c.peak_pages * page);
	keep_larger(&row->change.peak_before_bytes, peak_before * page);
	for (int i = 0; i < PYMEM_STALL_COUNT; i++)
		row->change.stalled_ns += calls.stall_ns[i];
	return 0;
}

/* The peak of a stack before the window, in pages. */
static uint64_t peak_before(const struct recording *r, uint32_t image, uint64_t id, uint64_t flags)
{
	struct played_key key = {image, (uint32_t)id, (uint32_t)flags, AMOUNTS_STACKS};
	struct played_row *row;

	HASH_FIND(hh, r->rows, &key, sizeof(key), row);
	return row ? (uint64_t)row->peak_before : 0;
}

static int take_part(struct timing *t, const struct amounts_part *part, size_t slice)
{
	struct sampled *sampled = timing_image(t, (uint32_t)part->image);
	struct amounts_reader reader = part->rows;
	struct amounts amounts;
	uint64_t id, flags;
	size_t node;
	int err = 0;

	if (!sampled || part->kind != AMOUNTS_STACKS)
		return 0;
	while (!err && amounts_next(&reader, &id, &flags, &amounts)) {
		if (id > t->recording->node_count)
			return recording_refuse(t->recording, "a stack is unknown");
		err = find_node(t, sampled, (uint32_t)id, &node);
		if (!err)
			err = add_change(t, sampled, node, slice, &amounts,
					 peak_before(t->recording, sampled->id, id, flags));
	}
	return err ?: reader.failed ? recording_refuse(t->recording, "figures can't be read") : 0;
}

static int take_change(sqlite3_stmt *statement, void *arg)
{
	struct timing *t = arg;
	size_t slice = timing_slice(t, sqlite3_column_int64(statement, 0));
	struct amounts_reader reader = recording_packed(statement, 1);
	struct amounts_part part;
	int err = 0;

	while (!err && amounts_next_part(&reader, &part))
		err = take_part(t, &part, slice);
	return err ?: reader.failed ? recording_refuse(t->recording, "figures can't be read") : 0;
}

static int by_slice(const void *a, const void *b)
{
	const struct timeline_change *x = a, *y = b;

	if (x->process != y->process)
		return x->process->id < y->process->id ? -1 : 1;
	if (x->slice != y->slice)
		return x->slice < y->slice ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

/* A stack that gave a thread's figures back to another one may have less than nothing in a slice.
 * Such changes are kept: only their sum is above zero. */
static int keep_changes(struct timing *t)
{
	struct timeline *line = t->timeline;
	struct change_row *row, *next;

	line->changes = calloc(HASH_COUNT(t->changes) + 1, sizeof(*line->changes));
	if (!line->changes)
		return -ENOMEM;
	HASH_ITER(hh, t->changes, row, next)
	{
		line->changes[line->change_count++] = row->change;
	}
	qsort(line->changes, line->change_count, sizeof(*line->changes), by_slice);
	return 0;
}

/* --- all of it --- */

static void release(struct timing *t)
{
	struct sampled *sampled, *next_sampled;
	struct change_row *change, *next_change;
	struct node_row *node, *next_node;

	HASH_ITER(hh, t->images, sampled, next_sampled)
	{
		HASH_DEL(t->images, sampled);
		free(sampled);
	}
	HASH_ITER(hh, t->changes, change, next_change)
	{
		HASH_DEL(t->changes, change);
		free(change);
	}
	HASH_ITER(hh, t->nodes, node, next_node)
	{
		HASH_DEL(t->nodes, node);
		free(node);
	}
	free(t->ids);
	free(t->middles);
}

static int build(struct timing *t)
{
	struct recording *r = t->recording;
	const int64_t window[] = {r->first, r->last};
	struct model *model = t->model;
	int err;

	t->since = r->since;
	err = recording_query(r,
			      "SELECT id, until FROM interval WHERE id BETWEEN ? AND ?"
			      " ORDER BY id",
			      window, 2, take_interval, t);

	if (t->interval_count && t->interval_count < t->timeline->slices)
		t->timeline->slices = t->interval_count;
	if (model->process_count > LEVELS_MOST / t->timeline->slices)
		t->timeline->slices = LEVELS_MOST / model->process_count ?: 1;
	t->timeline->processes = calloc(model->process_count + 1, sizeof(*t->timeline->processes));
	if (!t->timeline->processes)
		return -ENOMEM;
	for (size_t i = 0; i < model->process_count && !err; i++)
		err = add_process(t, model->processes[i]);
	if (!err)
		err = recording_query(
			r,
			"SELECT image, interval, anon, file, shmem, swap, peak FROM sample"
			" WHERE interval <= ?2 ORDER BY interval",
			window, 2, take_sample, t);
	if (!err)
		err = recording_query(r,
				      "SELECT interval, data FROM change"
				      " WHERE interval BETWEEN ? AND ? ORDER BY interval",
				      window, 2, take_change, t);
	return err ?: timing_add_pss(t) ?: timing_add_cgroups(t) ?: timing_add_counted(t)
		       ?: add_marks(t) ?: keep_changes(t);
}

struct timeline *recording_timeline(struct recording *r, size_t slices, size_t changes, char *why,
				    size_t size)
{
	struct timing t;
	int err;

	*why = '\0';
	r->why = why;
	r->why_size = size;
	for (;; slices = (slices + 1) / 2) {
		t = (struct timing){.recording = r, .model = r->model, .changes_most = changes};
		t.timeline = calloc(1, sizeof(*t.timeline));
		err = t.timeline ? 0 : -ENOMEM;
		if (!err) {
			t.timeline->start = r->since;
			t.timeline->end = r->until;
			t.timeline->slices = slices;
			t.timeline->peaks_known = !r->about.lines;
			err = build(&t);
		}
		release(&t);
		if (!err)
			return t.timeline;
		/* It may have fewer slices than asked for. */
		if (err == -E2BIG)
			slices = t.timeline->slices;
		timeline_free(t.timeline);
		if (err != -E2BIG)
			break;
	}
	recording_fail(r, err, "%s", strerror(-err));
	errno = -err;
	return NULL;
}
