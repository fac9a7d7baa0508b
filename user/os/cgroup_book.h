/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the control groups of processes used when their first process was met, and at the end. There
 * is one reading of each group, however many processes it has. */
#ifndef CGROUP_BOOK_H
#define CGROUP_BOOK_H

#include <stddef.h>
#include <sys/types.h>

#include "os/cgroup_stat.h"

/* Groups that a book has; among them, of all users other than root, and of each of them: who owns
 * the folder of a group can make any number of groups in it. */
#define CGROUP_BOOK_MOST  1024
#define CGROUP_BOOK_USERS 512
#define CGROUP_BOOK_USER  128
/* In place of a group's number: there was no room for it. */
#define CGROUP_BOOK_BEYOND (CGROUP_BOOK_MOST + 1)

struct cgroup_book_group {
	char *path; /* cgroup_stat_owner_at() of what cgroup_memory_name() gives */
	struct cgroup_stat start, end;
	/* Its first process began while it was watched: what that had by then is in `start`, and in
	 * what is counted for the process as well. */
	bool began;
};

struct cgroup_book {
	struct cgroup_book_group *groups;
	size_t count, room;
	bool ended;    /* the groups' `end` is known */
	int64_t batch; /* cgroup_stat_batch() */
	struct cgroup_book_entry *entries;
};

/* An empty book, or NULL: out of memory. cgroup_book_free() frees it with all it has; NULL is
 * allowed. */
struct cgroup_book *cgroup_book_new(void);
void cgroup_book_free(struct cgroup_book *book);

/* The group in which the memory of process `pid` is accounted, which is read if it is new. `path`:
 * its group in the hierarchy of v2, or what is known of it; NULL: unknown. `began`: the process
 * began while it was watched. Returns the number of the group, from 1 on; CGROUP_BOOK_BEYOND;
 * or 0: it is not known, or there is no memory. */
unsigned cgroup_book_see(struct cgroup_book *book, pid_t pid, const char *path, bool began);
/* The same of a group named as cgroup_memory_name() does; below `root` (tests). */
unsigned cgroup_book_see_at(struct cgroup_book *book, const char *root, const char *path,
			    bool began);
/* The same of the group in which process `pid`, which began while it was watched, is now. 0 also if
 * it is ending, or has ended. */
unsigned cgroup_book_see_now(struct cgroup_book *book, pid_t pid);
unsigned cgroup_book_see_now_at(struct cgroup_book *book, const char *root, pid_t pid);

/* True if the process is in another group now than in that of this number, of which it was. False
 * also if nothing is known, as of one that has ended. */
bool cgroup_book_has_left(const struct cgroup_book *book, pid_t pid, unsigned number);
bool cgroup_book_has_left_at(const struct cgroup_book *book, const char *root, pid_t pid,
			     unsigned number);

/* Reads all groups again: their `end`. */
void cgroup_book_end(struct cgroup_book *book);
void cgroup_book_end_at(struct cgroup_book *book, const char *root);

#endif
