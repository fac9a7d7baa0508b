/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What control groups use more or less than before, as the kernel has it, beside what was counted
 * by line: one balance for each group.
 *
 * Invariant, of each row that is known: end - start = lines + no_line + ended + remainder. And of
 * each column: the sum of the rows is the total. */
#ifndef MEMORY_SUMS_H
#define MEMORY_SUMS_H

#include "model/model.h"

/* X(ID, JSON name, what to tell a person) */
#define MEMORY_ROWS(X)                      \
	X(ANON, "anonymous", "anonymous")   \
	X(FILES, "files", "files")          \
	X(SHMEM, "shared", "shared memory") \
	X(KERNEL, "kernel", "kernel")       \
	X(OTHER, "other", "other")          \
	X(TOTAL, "total", "all")

enum memory_row_id {
#define MEMORY_ROW_ENUM(id, name, text) MEMORY_##id,
	MEMORY_ROWS(MEMORY_ROW_ENUM)
#undef MEMORY_ROW_ENUM
		MEMORY_ROW_COUNT,
};
extern const char *const memory_row_names[MEMORY_ROW_COUNT],
	*const memory_row_texts[MEMORY_ROW_COUNT];

struct memory_row {   /* in bytes */
	bool known;   /* the kernel says start and end; else they are -1, and remainder is 0 */
	bool counted; /* by lines; else lines, no_line and ended are 0 */
	int64_t start, end; /* when the first process was met, and at the end */
	/* Net changes of processes of the group and of those below it: by lines; by no line; and
	 * what went, or should have gone, with processes that have ended. */
	int64_t lines, no_line, ended;
	int64_t remainder;
	const struct model_location
		*most; /* the line of the largest change; NULL: none, or not looked for */
	int64_t most_bytes;
};

/* Parts of the row of the kernel. X(ID, JSON name, what to tell a person) */
#define MEMORY_PARTS(X)                                            \
	X(TABLES, "page_tables", "page tables")                    \
	X(STACKS, "kernel_stacks", "kernel stacks")                \
	X(PERCPU, "per_cpu", "per-CPU memory")                     \
	X(MACHINES, "machines", "page tables of virtual machines") \
	X(ZSWAP, "compressed_swap", "compressed swap")             \
	X(OBJECTS, "objects", "objects and other pages")

enum memory_part_id {
#define MEMORY_PART_ENUM(id, name, text) MEMORY_PART_##id,
	MEMORY_PARTS(MEMORY_PART_ENUM)
#undef MEMORY_PART_ENUM
		MEMORY_PART_COUNT,
};
extern const char *const memory_part_names[MEMORY_PART_COUNT],
	*const memory_part_texts[MEMORY_PART_COUNT];

struct memory_part {	 /* in bytes */
	bool known;	 /* the kernel says it; else it is in OBJECTS, and the others are 0 */
	int64_t change;	 /* as the kernel has it */
	int64_t counted; /* by lines and by none, less what went with processes */
	int64_t remainder;
};

struct memory_sum {
	const struct model_memory_group *group;
	unsigned number; /* model_process.memory_group of its processes */
	bool removed;	 /* before the end: what it used then is not known */
	bool replaced;	 /* `start` is of a group of that name, `end` of another one, made later */
	size_t processes, ended; /* in the group and below it, that run, and that do not */
	int64_t others;		 /* processes of the group itself that are not watched; -1:
				    not known */
	int64_t moved;		 /* of `processes`, those that were in another group at the end */
	uint64_t copied_bytes;	 /* copied on write by processes that run: it changes no RSS */
	bool swapped;		 /* lines of them changed how much was swapped */
	int64_t sock_bytes;	 /* change of data in TCP and UDP sockets; 0: none, not known */
	bool kernel_known;	 /* the row of the kernel, and some of its parts, are known */
	struct memory_row rows[MEMORY_ROW_COUNT];
	struct memory_part parts[MEMORY_PART_COUNT]; /* their remainders add up to the row's */
};

struct memory_sums {
	struct memory_sum *list; /* of groups with processes, by size of change, largest first */
	size_t count;
};

/* Fills `sums`, which memory_sums_free() frees. Only the first `shown` groups have memory_row.most:
 * that takes a look at all lines for each group. The model was computed; the sums are valid until
 * it changes. 0 or -ENOMEM: then there is nothing to free. */
int memory_sums_make(const struct model *model, size_t shown, struct memory_sums *sums);
void memory_sums_free(struct memory_sums *sums);

#endif
