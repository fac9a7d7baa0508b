/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control groups of what is recorded: what they use, their limit, and kills for want of memory.
 * Groups take turns, since each costs some system calls. What a group uses changes all the time,
 * and a row for each second would be more than what is kept of a process: only steps of it are
 * kept. */
#include <stdlib.h>
#include <string.h>

#include "record/recorder_private.h"

#define GROUPS_A_TURN 8
#define NAME_MOST     4096
#define STEP_PART     128 /* of what is used: less than a plot or a table shows */

static void number(struct recorder *r, struct rec_cgroup *cgroup)
{
	cgroup->id = ++r->cgroup_count;
	record_db_int(&r->db, RECORD_CGROUP, 1, cgroup->id);
	record_db_string(&r->db, RECORD_CGROUP, 2, cgroup->path);
	record_db_step(&r->db, RECORD_CGROUP);
}

struct rec_cgroup *recorder_cgroup(struct recorder *r, pid_t pid, const char *of)
{
	struct rec_cgroup *cgroup;
	char path[NAME_MOST];

	cgroup_memory_name(pid, of, path, sizeof(path));
	if (!*path)
		return NULL;
	HASH_FIND_STR(r->cgroups, path, cgroup);
	if (cgroup) {
		cgroup->users++;
		return cgroup;
	}
	cgroup = calloc(1, sizeof(*cgroup));
	if (cgroup)
		cgroup->path = strdup(path);
	if (cgroup && cgroup->path)
		HASH_ADD_KEYPTR(hh, r->cgroups, cgroup->path, strlen(cgroup->path), cgroup);
	if (!cgroup || !cgroup->hh.tbl) {
		if (cgroup)
			free(cgroup->path);
		free(cgroup);
		NO_MEMORY(r);
		return NULL;
	}
	cgroup->users = 1;
	cgroup->memory = (struct cgroup_memory){-1, -1, -1, 0, {-1, -1, 0}};
	number(r, cgroup);
	return cgroup;
}

static void release(struct recorder *r, struct rec_cgroup *cgroup)
{
	HASH_DEL(r->cgroups, cgroup);
	free(cgroup->path);
	free(cgroup);
}

void recorder_leave_cgroup(struct rec_cgroup *cgroup)
{
	/* It keeps its number, should it be met again. */
	if (cgroup)
		cgroup->users--;
}

/* True if what was recorded last still says it. */
static bool is_recorded(const struct cgroup_memory *was, const struct cgroup_memory *now)
{
	int64_t change = now->current_bytes - was->current_bytes;

	if (now->limit_bytes != was->limit_bytes || now->oom_kills != was->oom_kills ||
	    now->length != was->length || (now->current_bytes < 0) != (was->current_bytes < 0))
		return false;
	return llabs(change) <= was->current_bytes / STEP_PART;
}

static void write_memory(struct recorder *r, const struct rec_cgroup *cgroup)
{
	record_db_int(&r->db, RECORD_CGROUP_SAMPLE, 1, cgroup->id);
	record_db_int(&r->db, RECORD_CGROUP_SAMPLE, 2, r->interval);
	record_db_int(&r->db, RECORD_CGROUP_SAMPLE, 3, cgroup->memory.current_bytes);
	record_db_int(&r->db, RECORD_CGROUP_SAMPLE, 4, cgroup->memory.limit_bytes);
	record_db_int(&r->db, RECORD_CGROUP_SAMPLE, 5, cgroup->memory.oom_kills);
	record_db_step(&r->db, RECORD_CGROUP_SAMPLE);
}

static bool write_group(struct recorder *r, struct rec_cgroup *cgroup, double now)
{
	struct cgroup_memory memory;

	cgroup_memory_read(cgroup->path, &memory);
	recorder_write_reclaims(r, cgroup, &memory.reclaims, now);
	if (is_recorded(&cgroup->memory, &memory))
		return false;
	/* Another group may have the lowest limit now. */
	if (cgroup->memory.oom_kills >= 0 && cgroup->memory.length == memory.length &&
	    memory.oom_kills > cgroup->memory.oom_kills)
		recorder_mark_text(r, now, "oom", 0, cgroup->path);
	cgroup->memory = memory;
	write_memory(r, cgroup);
	return true;
}

/* The group whose turn is next: that of the lowest number above the last one. */
static struct rec_cgroup *next_group(struct recorder *r)
{
	struct rec_cgroup *next = NULL, *least = NULL, *each;

	for (each = r->cgroups; each; each = each->hh.next) {
		if (!each->users)
			continue;
		if (each->id > r->cgroup_turn && (!next || each->id < next->id))
			next = each;
		if (!least || each->id < least->id)
			least = each;
	}
	next = next ?: least;
	if (next)
		r->cgroup_turn = next->id;
	return next;
}

bool recorder_write_cgroups(struct recorder *r, double now)
{
	unsigned most = HASH_COUNT(r->cgroups);
	struct rec_cgroup *cgroup;
	bool written = false;

	if (most > r->turns * GROUPS_A_TURN)
		most = r->turns * GROUPS_A_TURN;
	while (most--)
		if ((cgroup = next_group(r)))
			written |= write_group(r, cgroup, now);
	return written;
}

void recorder_move_cgroups(struct recorder *r)
{
	struct rec_cgroup *cgroup, *next;

	r->cgroup_count = r->cgroup_turn = 0;
	HASH_ITER(hh, r->cgroups, cgroup, next)
	{
		if (!cgroup->users) {
			release(r, cgroup);
			continue;
		}
		number(r, cgroup);
		write_memory(r, cgroup);
	}
}

void recorder_free_cgroups(struct recorder *r)
{
	struct rec_cgroup *cgroup, *next;

	HASH_ITER(hh, r->cgroups, cgroup, next)
	{
		release(r, cgroup);
	}
}
