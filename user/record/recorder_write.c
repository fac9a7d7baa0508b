/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes what has changed in an interval. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "record/recorder_private.h"

/* So long after its end, an image has nothing more to add: report_finish.c. */
#define LATE_MS	   60000
#define WAITS_MOST 3 /* intervals for which a new stack's frames are waited for */

/* --- images --- */

static void bind_arguments(struct recorder *r, char *const *argv, struct amounts_buffer *joined)
{
	for (; argv && *argv; argv++) {
		size_t size = strlen(*argv) + 1;
		unsigned char *larger = realloc(joined->bytes, joined->size + size);

		if (!larger) {
			NO_MEMORY(r);
			return;
		}
		joined->bytes = larger;
		memcpy(joined->bytes + joined->size, *argv, size);
		joined->size += size;
	}
	if (joined->size)
		record_db_bytes(&r->db, RECORD_IMAGE, 5, joined->bytes, joined->size);
}

void recorder_write_image(struct recorder *r, struct rec_image *image,
			  const struct counts_image *from)
{
	const enum record_statement w = RECORD_IMAGE;
	struct amounts_buffer joined = {};
	struct record_db *db = &r->db;
	bool is_new = !image->described;
	double clock = clock_seconds(CLOCK_REALTIME), now = clock > r->since ? clock : r->since;
	int i;

	if (from->ended && !image->ended) {
		image->ended = now;
		recorder_mark(r, now, "end", image->id);
	}
	record_db_int(db, w, 1, from->id);
	record_db_int(db, w, 2, from->pid);
	record_db_int(db, w, 3, from->ppid);
	record_db_string(db, w, 4, from->comm);
	bind_arguments(r, from->argv, &joined);
	record_db_string(db, w, 6, from->cgroup);
	record_db_string(db, w, 7, from->python);
	record_db_string(db, w, 8, from->reason);
	record_db_real(db, w, 9, image->began);
	if (image->ended)
		record_db_real(db, w, 10, image->ended);
	record_db_int(db, w, 11, (int64_t)from->record->start_boottime_ns);
	record_db_real(db, w, 12, from->root->start_wall);
	record_db_int(db, w, 13, image->view ? image->view->id : 0);
	record_db_int(db, w, 14, image->view_cwd ? image->view_cwd->id : 0);
	record_db_int(db, w, 15,
		      from->held | from->lines << 1 | from->lines_late << 2 | from->functions << 3 |
			      (int64_t)from->ns_pid << RECORD_NS_PID_SHIFT);
	record_db_int(db, w, 16, from->lines_error);
	record_db_int(db, w, 17, from->record->user);
	for (i = 0; i < PYMEM_MEMBERS; i++) {
		static const int members[] = {PYMEM_ANON, PYMEM_FILE, PYMEM_SHMEM, PYMEM_SWAP};

		record_db_int(db, w, 18 + i, from->record->start_pages[members[i]]);
	}
	record_db_step(db, w);
	free(joined.bytes);
	if (is_new)
		recorder_mark(r, image->began, "begin", image->id);
}

void recorder_write_sample(struct recorder *r, const struct rec_image *image)
{
	struct record_db *db = &r->db;

	record_db_int(db, RECORD_SAMPLE, 1, image->id);
	record_db_int(db, RECORD_SAMPLE, 2, r->interval);
	record_db_int(db, RECORD_SAMPLE, 3, image->pages[PYMEM_ANON]);
	record_db_int(db, RECORD_SAMPLE, 4, image->pages[PYMEM_FILE]);
	record_db_int(db, RECORD_SAMPLE, 5, image->pages[PYMEM_SHMEM]);
	record_db_int(db, RECORD_SAMPLE, 6, image->pages[PYMEM_SWAP]);
	record_db_int(db, RECORD_SAMPLE, 7, image->peak);
	record_db_step(db, RECORD_SAMPLE);
}

/* All that is added in an interval is one row of the table: a row has some bytes of its own. */
void recorder_write_parts(struct recorder *r)
{
	if (r->parts.failed)
		NO_MEMORY(r);
	if (!r->parts.size)
		return;
	record_db_int(&r->db, RECORD_CHANGE, 1, r->interval);
	record_db_bytes(&r->db, RECORD_CHANGE, 2, r->parts.bytes, r->parts.size);
	record_db_step(&r->db, RECORD_CHANGE);
}

static bool write_records(struct recorder *r)
{
	struct amounts_buffer rows = {};
	struct rec_image *image, *next;
	struct amounts change;
	bool written = false;

	HASH_ITER(hh, r->images, image, next)
	{
		if (image->changed)
			recorder_write_sample(r, image);
		written |= image->changed;
		image->changed = false;
		amounts_change(AMOUNTS_RECORD, &change, &image->recorded, &image->now);
		if (amounts_none(&change))
			continue;
		rows.size = 0;
		amounts_put(&rows, 0, 0, &change);
		amounts_put_part(&r->parts, image->id, AMOUNTS_RECORD, &rows);
		image->recorded = image->now;
		written = true;
	}
	free(rows.bytes);
	return written;
}

/* --- stacks --- */

static int by_image(const void *a, const void *b)
{
	const struct rec_todo *x = a, *y = b;

	if (x->image != y->image)
		return x->image < y->image ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

static void amounts_now(const struct recorder *r, const struct rec_seen *seen, struct amounts *now)
{
	struct amounts pending;

	amounts_of_stack(now, &seen->counters, &seen->stack->calls);
	if (seen->pending_reading != r->reading)
		return;
	amounts_of_stack(&pending, &seen->pending, NULL);
	amounts_add(AMOUNTS_STACKS, now, &pending);
}

/* True if nothing more can come of it. Then the report has it, even if nothing came at all. */
static bool is_last(const struct recorder *r, const struct rec_seen *seen)
{
	return r->final || seen->image->taken;
}

/* A live image is read while it runs. What a thread hands over to its stack between the readings of
 * stacks and of threads is in neither: the next reading has it. And the frames of a new stack may
 * be on their way. Neither is written yet, so that no interval has less than nothing of a stack. */
static bool is_for_later(struct recorder *r, struct rec_seen *seen, const struct amounts *before,
			 const struct amounts *now)
{
	struct rec_stack *stack = seen->stack;

	if (is_last(r, seen))
		return false;
	if (!seen->resolved && stack->waits < WAITS_MOST) {
		stack->waits++;
		return true;
	}
	/* If it lasts, the thread has lost it: by a cause, which is recorded, too. */
	if (amounts_fall(before, now))
		return stack->falls++ == 0;
	stack->falls = 0;
	return false;
}

/* Appends what has changed of a stack. If its frames have become known since, what was recorded
 * without them moves to them. */
static void put_stack(struct recorder *r, struct rec_seen *seen, struct amounts_buffer *rows)
{
	struct amounts now, before = {}, change;
	struct rec_stack *stack = seen->stack;

	memcpy(before.at, stack->recorded, sizeof(stack->recorded));
	amounts_now(r, seen, &now);
	seen->later = is_for_later(r, seen, &before, &now);
	if (seen->later)
		return;
	if (stack->node != stack->node_now || stack->flags != stack->flags_now) {
		struct amounts nothing = {};

		amounts_change(AMOUNTS_STACKS, &change, &before, &nothing);
		if (!amounts_none(&change))
			amounts_put(rows, stack->node, stack->flags, &change);
		memset(&before, 0, sizeof(before));
		stack->node = stack->node_now;
		stack->flags = stack->flags_now;
	}
	amounts_change(AMOUNTS_STACKS, &change, &before, &now);
	if (!amounts_none(&change)) {
		amounts_put(rows, stack->node, stack->flags, &change);
		stack->written = true;
	} else if (!stack->written && is_last(r, seen)) {
		amounts_put(rows, stack->node, stack->flags | STACK_EMPTY, &change);
	}
	memcpy(stack->recorded, now.at, sizeof(stack->recorded));
}

/* A stack stays active while a thread has something for it: that may be gone next time. Stacks of
 * images that were taken are freed now. */
static bool stays_active(const struct recorder *r, const struct rec_seen *seen)
{
	return (seen->later || seen->pending_reading == r->reading) && !is_last(r, seen);
}

/* False: it is written already, with what a thread still has for it. */
static bool is_changed(const struct recorder *r, const struct rec_seen *seen)
{
	return seen->changed || seen->later || seen->pending_reading != r->reading ||
	       is_last(r, seen);
}

/* Finds what is to be written, by image and node. Most that are active have not changed: they stay
 * so. */
static void find_todo(struct recorder *r)
{
	size_t kept = 0;

	r->todo_count = 0;
	for (size_t i = 0; i < r->active_count; i++) {
		uint32_t place = r->active[i];
		struct rec_seen *seen = &r->seen[place];

		if (!is_changed(r, seen)) {
			r->active[kept++] = place;
		} else if (ARRAY_HAS_ROOM(r->todo, r->todo_count, r->todo_room)) {
			r->todo[r->todo_count++] =
				(struct rec_todo){seen->key.proc, seen->stack->node_now, place};
		} else {
			NO_MEMORY(r);
			return;
		}
	}
	r->active_count = kept;
	if (r->todo_count)
		qsort(r->todo, r->todo_count, sizeof(*r->todo), by_image);
}

static bool write_stacks(struct recorder *r)
{
	struct amounts_buffer rows = {};
	bool written = false;

	find_todo(r);
	for (size_t i = 0; i < r->todo_count; i++) {
		const struct rec_todo *todo = &r->todo[i];
		struct rec_seen *seen = &r->seen[todo->place];

		seen->changed = false;
		put_stack(r, seen, &rows);
		seen->active = stays_active(r, seen);
		/* There was room for it before. */
		if (seen->active)
			r->active[r->active_count++] = todo->place;
		if (!rows.size || (i + 1 < r->todo_count && todo[1].image == todo->image))
			continue;
		amounts_put_part(&r->parts, todo->image, AMOUNTS_STACKS, &rows);
		written = true;
		rows.size = 0;
	}
	free(rows.bytes);
	return written;
}

/* --- lines of the exact engine --- */

static int by_run_image(struct rec_run *a, struct rec_run *b)
{
	return (a->key.image > b->key.image) - (a->key.image < b->key.image);
}

/* True if its figures have gone to another line since: its code object has become known. */
static bool is_left(struct recorder *r, const struct rec_run *run)
{
	const struct rec_image *image = recorder_image(r, run->key.image);

	return image && run->reading < (image->taken ? image->taken_reading : r->read_reading);
}

static bool write_runs(struct recorder *r)
{
	struct amounts_buffer rows = {};
	struct rec_run *run, *next;
	bool written = false;

	HASH_SRT(hh, r->runs, by_run_image);
	for (run = r->runs; run; run = next) {
		struct amounts now, change;

		next = run->hh.next;
		if (is_left(r, run))
			run->counted = (struct pymem_line){};
		amounts_of_run(&now, &run->counted);
		amounts_change(AMOUNTS_RUNS, &change, &run->recorded, &now);
		run->recorded = now;
		if (!amounts_none(&change))
			amounts_put(&rows, run->key.frame, 0, &change);
		if (!rows.size || (next && next->key.image == run->key.image))
			continue;
		amounts_put_part(&r->parts, run->key.image, AMOUNTS_RUNS, &rows);
		written = true;
		rows.size = 0;
	}
	free(rows.bytes);
	return written;
}

/* --- what has ended --- */

static void forget_stacks(struct recorder *r)
{
	struct rec_stack *stack, *next_stack;
	struct rec_run *run, *next_run;

	HASH_ITER(hh, r->stacks, stack, next_stack)
	{
		if (r->seen[stack->place].image->taken)
			recorder_free_stack(r, stack);
	}
	HASH_ITER(hh, r->runs, run, next_run)
	{
		const struct rec_image *image = recorder_image(r, run->key.image);

		if (!image || !image->taken)
			continue;
		HASH_DEL(r->runs, run);
		free(run);
	}
}

void recorder_forget_image(struct recorder *r, struct rec_image *image)
{
	HASH_DEL(r->images, image);
	recorder_leave_cgroup(image->cgroup);
	recorder_leave_view(r, image->view);
	recorder_leave_view(r, image->view_cwd);
	recorder_free_image(image);
}

/* Frees what is kept of images that were taken: all of it is written. */
static void forget_taken(struct recorder *r)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	struct rec_image *image, *next;
	bool any = false;

	r->taken_stacks = 0;
	HASH_ITER(hh, r->images, image, next)
	{
		if (!image->taken)
			continue;
		if (!image->gone_ms)
			image->gone_ms = now;
		/* No stack may be left of an image that is freed. */
		any |= image->gone_ms == now || now - image->gone_ms >= LATE_MS;
	}
	if (any) {
		forget_stacks(r);
		recorder_forget_cached(r, false);
	}
	HASH_ITER(hh, r->images, image, next)
	{
		if (!image->gone_ms || now - image->gone_ms < LATE_MS)
			continue;
		recorder_forget_image(r, image);
	}
}

bool recorder_write_changes(struct recorder *r)
{
	bool written;

	r->parts.size = 0;
	written = write_records(r);
	written |= write_stacks(r);
	written |= write_runs(r);
	written |= recorder_write_cached(r);
	recorder_write_parts(r);
	forget_taken(r);
	return written;
}

void recorder_write_facts(struct recorder *r, bool *written)
{
	struct amounts_buffer swap = r->facts;

	if (r->facts.failed)
		NO_MEMORY(r);
	if (r->facts.size == r->last_facts.size && r->facts.size &&
	    !memcmp(r->facts.bytes, r->last_facts.bytes, r->facts.size))
		return;
	if (!r->facts.size)
		return;
	record_db_int(&r->db, RECORD_FACTS, 1, r->interval);
	record_db_bytes(&r->db, RECORD_FACTS, 2, r->facts.bytes, r->facts.size);
	record_db_step(&r->db, RECORD_FACTS);
	r->facts = r->last_facts;
	r->last_facts = swap;
	*written = true;
}
