/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a control group says of its memory right after one of its processes was killed: what it is
 * made of (memory.stat), and how often which bound was met (memory.events; in v1 memory.failcnt and
 * memory.oom_control). */
#ifndef CGROUP_LAST_H
#define CGROUP_LAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/cgroup_stat.h"

/* X(ID, key of memory.events). v1 has MAX, which is memory.failcnt, and OOM_KILL (since 4.13). */
#define CGROUP_EVENTS(X)        \
	X(LOW, "low")           \
	X(HIGH, "high")         \
	X(MAX, "max")           \
	X(OOM, "oom")           \
	X(OOM_KILL, "oom_kill") \
	X(OOM_GROUP_KILL, "oom_group_kill")

enum cgroup_event {
#define CGROUP_EVENT_ENUM(id, key) CGROUP_EVENT_##id,
	CGROUP_EVENTS(CGROUP_EVENT_ENUM)
#undef CGROUP_EVENT_ENUM
		CGROUP_EVENT_COUNT,
};

/* X(ID, name): whether a group was read, and if not, why. */
#define CGROUP_LAST_STATES(X)                                                         \
	X(UNSEEN, "unrecorded") /* nobody has tried: what an earlier program wrote */ \
	X(READ, "read")                                                               \
	X(UNNAMED, "unnamed") /* the process was gone, and its group is not known */  \
	X(ROOT, "root")	      /* of the root group the kernel keeps no sums */        \
	X(GONE, "gone")	      /* the group was removed, or can't be read */

enum cgroup_last_state {
#define CGROUP_LAST_ENUM(id, name) CGROUP_LAST_##id,
	CGROUP_LAST_STATES(CGROUP_LAST_ENUM)
#undef CGROUP_LAST_ENUM
		CGROUP_LAST_COUNT,
};

#define CGROUP_LAST_PATH 256 /* bytes */

struct cgroup_last {
	enum cgroup_last_state state;
	/* The group that was read: as cgroup_memory_name() names it. Of a longer one the end, with
	 * "..." in front. "" unless it was read. */
	char path[CGROUP_LAST_PATH];
	bool v1;
	int64_t late_ns; /* from the signal to the end of the reading */
	/* In bytes; -1: the kernel does not say. As in struct cgroup_stat; `idle` are pages of
	 * files that nobody has used lately. */
	int64_t bytes[CGROUP_PART_COUNT];
	int64_t idle_bytes;
	/* How often, since the group was made; -1: the kernel does not say. */
	int64_t events[CGROUP_EVENT_COUNT];
};

/* "memory.stat"'s name of a part; of CGROUP_TOTAL "current". */
const char *cgroup_part_name(enum cgroup_part part);
const char *cgroup_event_name(enum cgroup_event event);
const char *cgroup_last_state_name(enum cgroup_last_state state);

/* Reads the group that the first `length` bytes of `path` name, below `root` ("", but for tests).
 * `path` is as cgroup_memory_name() gives it; "": it is not known. `late_ns` stays as it is. */
void cgroup_last_read_at(const char *root, const char *path, size_t length,
			 struct cgroup_last *last);

#endif
