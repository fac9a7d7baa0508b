/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a look at a process's heap found, as it is reported: pure data, owned by the look. Byte
 * figures are of resident memory. Text that comes from the target is raw: renderers escape it. */
#ifndef HEAP_LOOK_H
#define HEAP_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Each resident page's bytes are in exactly one of these; their sum is RSS. The order is that of
 * the JSON. */
#define HEAP_BALANCE(X)                       \
	X(objects, "live objects")            \
	X(buffers, "their buffers")           \
	X(pool_free, "free in pools")         \
	X(arena_free, "free in arenas")       \
	X(malloc_used, "malloc, held by C")   \
	X(malloc_free, "free in malloc")      \
	X(mapped_buffers, "mapped buffers")   \
	X(anonymous_other, "other anonymous") \
	X(stacks, "stacks")                   \
	X(files, "files")                     \
	X(shared, "shared")                   \
	X(unexplained, "unexplained")

struct heap_balance {
#define BALANCE_FIELD(name, text) uint64_t name;
	HEAP_BALANCE(BALANCE_FIELD)
#undef BALANCE_FIELD
};

struct heap_type_row {
	char *type;
	uint64_t objects, bytes; /* own and buffers */
	int64_t objects_grown, bytes_grown;
};

struct heap_holder_row {
	char *path, *type, *shared_by;
	uint64_t entries, retained_bytes;
	bool has_entries;
	int64_t entries_grown, grown_bytes;
	bool is_new; /* was not there at the first look */
};

struct heap_birth_row {
	char *holder, *file, *function, *type;
	int line;
	char **stack;	    /* "file:line function", innermost first; ended by NULL */
	const char *method; /* "watch" or "burst" */
	uint64_t insertions;
	double share; /* of the insertions seen for that holder */
};

struct heap_touched_row {
	char *file, *function;
	int line;
	uint64_t resident_bytes;
	struct heap_now {
		char *what;
		uint64_t bytes;
	} * now;
	size_t now_count;
};

struct heap_generation {
	uint64_t count, threshold, collections, collected, uncollectable;
};

struct heap_look {
	pid_t pid;
	char *comm, **cmdline;
	char python[32];
	char allocator[64];  /* "pymalloc+glibc" */
	double paused_ms[2]; /* < 0: not paused */
	double seconds;	     /* between the two looks; 0: one look */
	uint64_t rss_bytes, rss_first_bytes;
	uint64_t swapped_bytes;
	struct heap_balance balance;
	uint64_t trimmable_bytes; /* what malloc_trim(0) would give back */
	uint64_t pools, pools_by_fullness[10];
	char *verdict;
	struct heap_type_row *types;
	size_t type_count;
	struct heap_holder_row *holders;
	size_t holder_count;
	struct heap_birth_row *births;
	size_t birth_count;
	struct heap_touched_row *touched;
	size_t touched_count;
	uint64_t garbage_bytes, garbage_objects; /* cycles that nobody reaches */
	bool gc_known, gc_enabled;
	struct heap_generation generations[3];
	unsigned generation_count;
	uint64_t gc_frozen, gc_uncollectable;
	char **skipped, **notes; /* sentences, ended by NULL */
};

void heap_look_free(struct heap_look *look);

#endif
