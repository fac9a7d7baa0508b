/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What looks at heaps found, one after the other: of each the figures that show how memory grew
 * from look to look. Pure data. Text that comes from targets is raw: renderers escape it. */
#ifndef HEAP_TIMES_H
#define HEAP_TIMES_H

#include "model/heap_look.h"
#include "model/model.h"

#define HEAP_TIMES_ROWS	 30	     /* types, and holders, of one look at most */
#define HEAP_TIMES_LOOKS 50	     /* of one process at most */
#define HEAP_TIMES_ALL	 1000	     /* of all processes at most, but for 2 of each */
#define HEAP_TIMES_MOST	 4000	     /* of all processes at most, however many there are */
#define HEAP_TIMES_NAMES (32u << 20) /* bytes of all names: no look is read after that */
#define HEAP_TIMES_NAME	 1024	     /* bytes of a path or a type at most */

struct heap_times_type {
	size_t type; /* in names */
	uint64_t objects, bytes;
};

struct heap_times_holder {
	size_t path, type; /* in names */
	int64_t entries;   /* -1: it has none */
	uint64_t retained_bytes;
};

struct heap_times_look {
	const struct model_process *process;
	double time; /* seconds since the epoch */
	bool types_only;
	char *verdict;
	uint64_t rss_bytes;
	struct heap_balance balance;
	struct heap_times_type types[HEAP_TIMES_ROWS]; /* largest first, as the holders */
	size_t type_count;
	struct heap_times_holder holders[HEAP_TIMES_ROWS];
	size_t holder_count;
};

struct heap_times_name;

struct heap_times {
	struct heap_times_look *looks; /* by time */
	size_t look_count, look_room;
	char **names; /* each is there once */
	size_t name_count, name_room;
	size_t name_bytes; /* of all of them */
	size_t thinned;	   /* looks that were left out: there are too many */
	size_t unreadable; /* looks that could not be read, or for which there was no room */
	struct heap_times_name *by_text;
};

/* All zeros is an empty struct. heap_times_fini() frees what it owns. */
void heap_times_fini(struct heap_times *times);

/* A new, empty look, which belongs to `times` and is valid until the next call. NULL: out of
 * memory. */
struct heap_times_look *heap_times_add(struct heap_times *times);
/* Takes back the last look. */
void heap_times_drop(struct heap_times *times);

/* True if there are as many looks, or names, as may be. A recording may be made to have more. */
bool heap_times_is_full(const struct heap_times *times);

/* The number of a name, cut to HEAP_TIMES_NAME. -ENOMEM. */
ssize_t heap_times_name(struct heap_times *times, const char *text);

/* Adds a row, if it belongs to the largest. Names are copied, and stay if a larger row takes its
 * place: of many rows, add the largest ones only. 0 or -ENOMEM. */
int heap_times_add_type(struct heap_times *times, struct heap_times_look *look, const char *type,
			uint64_t objects, uint64_t bytes);
int heap_times_add_holder(struct heap_times *times, struct heap_times_look *look, const char *path,
			  const char *type, int64_t entries, uint64_t retained_bytes);

/* Of `count` looks that come one after the other, whether number `i` is one of `kept` that are
 * spread evenly. The first and the last are, if there are two. */
bool heap_times_keeps(size_t i, size_t count, size_t kept);

#endif
