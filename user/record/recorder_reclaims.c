/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When memory was short: marks of how often the kernel had to reclaim, because a control group
 * reached its limit, or because the host had too little left.
 *
 * A limit may be that of a group above many recorded ones. It is counted once, whichever of them is
 * read. */
#include <stdlib.h>
#include <string.h>

#include "record/recorder_private.h"

/* How much a count has risen; 0: it is not known whether it has. */
static uint64_t risen(int64_t before, int64_t now)
{
	return before >= 0 && now > before ? (uint64_t)(now - before) : 0;
}

void recorder_move_reclaims(struct recorder *r)
{
	if (r->host_reclaims < 0)
		recorder_mark_text(r, r->start, "unseen", 0,
				   "reclaims of the host are not seen: /proc/vmstat has no "
				   "allocstall");
}

void recorder_begin_reclaims(struct recorder *r)
{
	r->host_reclaims = host_reclaims();
	recorder_move_reclaims(r);
}

void recorder_write_host_reclaims(struct recorder *r, double now)
{
	struct rec_counted counted = {.kind = "reclaim"};
	int64_t reclaims;

	if (r->host_reclaims < 0)
		return;
	reclaims = host_reclaims();
	counted.count = risen(r->host_reclaims, reclaims);
	if (reclaims >= 0)
		r->host_reclaims = reclaims;
	if (counted.count)
		recorder_mark_counts(r, now, &counted);
}

/* The limit of the first `length` bytes of the path; a new one has `reclaims`. NULL: out of memory.
 */
static struct rec_limit *get_limit(struct recorder *r, const char *path,
				   const struct cgroup_reclaims *reclaims)
{
	struct rec_limit *limit;

	HASH_FIND(hh, r->limits, path, reclaims->length, limit);
	if (limit)
		return limit;
	limit = calloc(1, sizeof(*limit) + reclaims->length + 1);
	if (limit) {
		limit->reclaims = *reclaims;
		memcpy(limit->path, path, reclaims->length);
		HASH_ADD_KEYPTR(hh, r->limits, limit->path, reclaims->length, limit);
	}
	if (!limit || !limit->hh.tbl) {
		free(limit);
		NO_MEMORY(r);
		return NULL;
	}
	return limit;
}

void recorder_write_reclaims(struct recorder *r, const struct rec_cgroup *cgroup,
			     const struct cgroup_reclaims *reclaims, double now)
{
	struct rec_counted counted = {.kind = "reclaim", .length = reclaims->length};
	struct rec_limit *limit;

	if (!reclaims->length)
		return;
	limit = get_limit(r, cgroup->path, reclaims);
	if (!limit)
		return;
	counted.count = risen(limit->reclaims.limit, reclaims->limit);
	counted.more = risen(limit->reclaims.high, reclaims->high);
	limit->reclaims = *reclaims;
	counted.text = limit->path;
	if (counted.count || counted.more)
		recorder_mark_counts(r, now, &counted);
}

void recorder_free_reclaims(struct recorder *r)
{
	struct rec_limit *limit, *next;

	HASH_ITER(hh, r->limits, limit, next)
	{
		HASH_DEL(r->limits, limit);
		free(limit);
	}
}
