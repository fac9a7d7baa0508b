/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of a table that all images share one of them may take.
 *
 * As many places as `quota_share` times those that are free: so each later one gets its part of
 * them. The first places, which most programs never exceed, are not denied until an eighth of the
 * table is left.
 *
 * Images have no end where a program forks. So the last sixteenth is root's: what the host runs on
 * is seen whatever users do. And of the rest all images of one user together may take
 * `quota_user_share` times what is free; root's have no such bound.
 *
 * Whoever profiles one program has it use nearly the whole table (the loader sets the shares); on a
 * host that is watched, the share of an image is half of what is free, that of a user three
 * quarters.
 */
#ifndef QUOTA_BPF_H
#define QUOTA_BPF_H

#include "account/owner.bpf.h"
#include "base/maps.bpf.h"

#define QUOTA_FLOOR	  256
#define QUOTA_FLOOR_UNTIL 8  /* of the table, is free */
#define QUOTA_ROOT	  16 /* of the table, is kept for root */

static __always_inline __u32 table_room(__u32 table)
{
	switch (table) {
	case PYMEM_TABLE_STACKS:
		return room_stacks;
	case PYMEM_TABLE_VMCALLS:
		return room_vmcalls;
	case PYMEM_TABLE_CODES:
		return room_codes;
	case PYMEM_TABLE_LINES:
		return room_lines;
	default:
		return room_threads;
	}
}

enum quota_verdict { QUOTA_FREE, QUOTA_IMAGE_FULL, QUOTA_USER_FULL };

/* May p, which the current task runs, take another place in `table`? */
static __noinline __u32 quota_ask(struct pymem_proc *p, __u32 table)
{
	__u32 used, room, held, free, floor = QUOTA_FLOOR, user;

	if (!p || table >= PYMEM_TABLE_COUNT)
		return QUOTA_IMAGE_FULL;
	used = places_used[table];
	room = table_room(table);
	held = p->places[table].held;
	free = used < room ? room - used : 0;
	user = bpf_get_current_uid_gid();
	if (user) {
		if (!p->account)
			owner_find(p, user);
		if (free <= room / QUOTA_FLOOR_UNTIL)
			floor = 0;
		free = free > room / QUOTA_ROOT ? free - room / QUOTA_ROOT : 0;
		/* Signed: what is given back late may be more than was taken. */
		if ((__s32)account_of(p)->held[table] >= (__s64)quota_user_share * free)
			return QUOTA_USER_FULL;
	}
	if (free && (held < floor || held < (__u64)quota_share * free))
		return QUOTA_FREE;
	return QUOTA_IMAGE_FULL;
}

/* p is not to have another one: for the report. */
static __always_inline void quota_refuse(struct pymem_proc *p, __u32 table, __u32 verdict)
{
	if (verdict == QUOTA_USER_FULL)
		__sync_fetch_and_add(&p->places[table].denied, 1);
	else
		__sync_fetch_and_add(&p->places[table].refused, 1);
}

static __always_inline bool quota_allows(struct pymem_proc *p, __u32 table)
{
	__u32 verdict = quota_ask(p, table);

	if (verdict != QUOTA_FREE)
		quota_refuse(p, table, verdict);
	return verdict == QUOTA_FREE;
}

/* p holds so many more; user space takes them from the account when it has forgotten the image. */
static __always_inline void quota_hold(struct pymem_proc *p, __u32 table, __s32 places)
{
	__sync_fetch_and_add(&p->places[table].held, places);
	if (!p->account)
		return;
	__sync_fetch_and_add(&p->places[table].on_account, places);
	__sync_fetch_and_add(&account_of(p)->held[table], places);
}

static __always_inline void quota_take(struct pymem_proc *p, __u32 table, __u32 places)
{
	quota_hold(p, table, places);
	__sync_fetch_and_add(&places_used[table], places);
}

/* An entry that no image holds: its record is gone, or it has yet to begin there. */
static __always_inline void quota_take_late(__u32 table)
{
	__sync_fetch_and_add(&places_used[table], 1);
}

/* Makes an entry of the map, `blank`, for p, or for nobody (NULL). What is at the key then, be it
 * another CPU's; NULL: no room, or p may have no more. */
static __always_inline void *table_insert(struct pymem_proc *p, __u32 table, void *map,
					  const void *key, const void *blank)
{
	if (p && !quota_allows(p, table))
		return NULL;
	if (!bpf_map_update_elem(map, key, blank, BPF_NOEXIST)) {
		if (p)
			quota_take(p, table, 1);
		else
			quota_take_late(table);
	}
	return bpf_map_lookup_elem(map, key);
}

/* The entry at the key, or a new one: table_insert(). */
static __always_inline void *table_entry(struct pymem_proc *p, __u32 table, void *map,
					 const void *key, const void *blank)
{
	void *entry = bpf_map_lookup_elem(map, key);

	return entry ?: table_insert(p, table, map, key, blank);
}

#endif
