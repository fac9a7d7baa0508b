/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of a table that all images share one of them may take.
 *
 * As many places as `quota_share` times those that are free: so each later one gets its part of
 * them. The first places, which most programs never exceed, are not denied until an eighth of the
 * table is left. Images have no end where a program forks, so the last sixteenth is root's: what
 * the host runs on is seen whatever users do. Whoever profiles one program has it use nearly the
 * whole table (the loader sets quota_share); on a host that is watched, the share of one is half of
 * what is free.
 */
#ifndef QUOTA_BPF_H
#define QUOTA_BPF_H

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

/* May p, which the current task runs, take another place in `table`? */
static __always_inline bool quota_free(const struct pymem_proc *p, __u32 table)
{
	__u32 used = places_used[table], room = table_room(table), held = p->places[table].held;
	__u32 free = used < room ? room - used : 0, floor = QUOTA_FLOOR;

	if ((__u32)bpf_get_current_uid_gid()) {
		if (free <= room / QUOTA_FLOOR_UNTIL)
			floor = 0;
		free = free > room / QUOTA_ROOT ? free - room / QUOTA_ROOT : 0;
	}
	return free && (held < floor || held < (__u64)quota_share * free);
}

/* p is not to have another one: for the report. */
static __always_inline void quota_refuse(struct pymem_proc *p, __u32 table)
{
	__sync_fetch_and_add(&p->places[table].refused, 1);
}

static __always_inline bool quota_allows(struct pymem_proc *p, __u32 table)
{
	if (quota_free(p, table))
		return true;
	quota_refuse(p, table);
	return false;
}

static __always_inline void quota_take(struct pymem_proc *p, __u32 table, __u32 places)
{
	__sync_fetch_and_add(&p->places[table].held, places);
	__sync_fetch_and_add(&places_used[table], places);
}

/* An entry that no image holds: its record is gone, or it has yet to begin there. */
static __always_inline void quota_take_late(__u32 table)
{
	__sync_fetch_and_add(&places_used[table], 1);
}

#endif
