/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stacks brought into the page cache, by stack and file, and what they took of the kernel's
 * own memory, by stack. As with the exact engine's lines, all of it comes in each reading; what
 * does not come any more has gone to other frames. */
#include <stdlib.h>

#include "record/recorder_private.h"

static struct rec_cached *get_cached(struct recorder *r, const struct cached_key *key)
{
	struct rec_cached *cached;

	HASH_FIND(hh, r->cached, key, sizeof(*key), cached);
	if (cached)
		return cached;
	cached = calloc(1, sizeof(*cached));
	if (cached)
		cached->key = *key;
	if (!cached || HASH_INSERT(r->cached, key, cached)) {
		free(cached);
		NO_MEMORY(r);
		return NULL;
	}
	return cached;
}

/* Adds `more` to what this reading has at the key. */
static void note(struct recorder *r, const struct cached_key *key, const struct amounts *more)
{
	struct rec_cached *cached = get_cached(r, key);

	if (!cached)
		return;
	if (cached->reading != r->reading)
		cached->now = (struct amounts){};
	cached->reading = r->reading;
	amounts_add((enum amounts_kind)key->kind, &cached->now, more);
}

static bool is_recorded(struct recorder *r, uint32_t id)
{
	const struct rec_image *image = recorder_image(r, id);

	return image && (!image->taken || r->taking);
}

void recorder_note_cached(struct recorder *r, const struct counts_cached *from)
{
	struct cached_key key = {.image = from->stack->key.proc, .kind = AMOUNTS_CACHED};
	struct amounts more = {};
	uint32_t text;

	if (!is_recorded(r, key.image))
		return;
	if (from->stack->depth)
		key.node = names_stack(&r->names, &r->db, from->stack);
	text = from->path ? names_text(&r->names, &r->db, from->path) : 0;
	key.flags = text << CACHED_TEXT_SHIFT | (from->deleted ? CACHED_DELETED : 0) |
		    (key.node ? 0 : (uint32_t)from->loss + 1);
	more.at[CACHED_ADDED] = (int64_t)from->added_pages;
	more.at[CACHED_GONE] = (int64_t)from->gone_pages;
	more.at[CACHED_UNKNOWN] = (int64_t)from->unknown_pages;
	more.at[CACHED_OWN] = (int64_t)from->own_pages;
	more.at[CACHED_OTHER] = (int64_t)from->other_pages;
	note(r, &key, &more);
}

void recorder_note_kernel(struct recorder *r, const struct counts_kernel *from)
{
	struct cached_key key = {.image = from->stack->key.proc, .kind = AMOUNTS_KERNEL};
	struct amounts more;

	if (!is_recorded(r, key.image))
		return;
	if (from->stack->depth)
		key.node = names_stack(&r->names, &r->db, from->stack);
	key.flags = key.node ? 0 : (uint32_t)from->loss + 1;
	amounts_of_kernel(&more, &from->sums);
	note(r, &key, &more);
}

static int by_part(struct rec_cached *a, struct rec_cached *b)
{
	if (a->key.image != b->key.image)
		return a->key.image > b->key.image ? 1 : -1;
	return (a->key.kind > b->key.kind) - (a->key.kind < b->key.kind);
}

/* True if its figures have gone elsewhere since. */
static bool is_left(struct recorder *r, const struct rec_cached *cached)
{
	const struct rec_image *image = recorder_image(r, cached->key.image);

	return image && cached->reading < (image->taken ? image->taken_reading : r->read_reading);
}

bool recorder_write_cached(struct recorder *r)
{
	struct amounts_buffer rows = {};
	struct rec_cached *cached, *next;
	bool written = false;

	HASH_SRT(hh, r->cached, by_part);
	for (cached = r->cached; cached; cached = next) {
		struct amounts change;

		next = cached->hh.next;
		if (is_left(r, cached))
			cached->now = (struct amounts){};
		amounts_change((enum amounts_kind)cached->key.kind, &change, &cached->recorded,
			       &cached->now);
		cached->recorded = cached->now;
		if (!amounts_none(&change))
			amounts_put(&rows, cached->key.node, cached->key.flags, &change);
		if (!rows.size || (next && !by_part(cached, next)))
			continue;
		amounts_put_part(&r->parts, cached->key.image, (enum amounts_kind)cached->key.kind,
				 &rows);
		written = true;
		rows.size = 0;
	}
	free(rows.bytes);
	return written;
}

void recorder_forget_cached(struct recorder *r, bool all)
{
	struct rec_cached *cached, *next;

	HASH_ITER(hh, r->cached, cached, next)
	{
		const struct rec_image *image = recorder_image(r, cached->key.image);

		if (!all && image && !image->taken)
			continue;
		HASH_DEL(r->cached, cached);
		free(cached);
	}
}
