/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which lines have touched the pages of processes first, from one look to the next: a BPF session
 * and its tracker (track/tracker.h), for `heap -d`.
 *
 * What came of it is plain data (struct heap_touched), which the look joins with its census. */
#ifndef HEAP_TOUCHES_H
#define HEAP_TOUCHES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In place of the number of a line. */
#define TOUCHED_BEFORE	UINT32_MAX /* resident before it was watched, touched by nobody since */
#define TOUCHED_UNKNOWN (UINT32_MAX - 1) /* by no line that is known */

struct heap_touched_line {
	char *file, *function; /* raw bytes of the target */
	int line;
};

/* Pages next to each other, touched by one line. */
struct heap_touched_run {
	uint64_t start;
	uint32_t pages, line;
};

struct heap_touched {
	uint64_t page; /* bytes */
	struct heap_touched_line *lines;
	size_t line_count, line_room;
	struct heap_touched_run *runs; /* in order of address */
	size_t run_count, run_room;
};

/* Empties it. */
void heap_touched_fini(struct heap_touched *touched);
/* The number of the line, which is added if it is new; TOUCHED_UNKNOWN: out of memory. */
uint32_t heap_touched_line(struct heap_touched *touched, const char *file, int line,
			   const char *function);
/* Adds a page behind those that are there. 0 or -ENOMEM. */
int heap_touched_add(struct heap_touched *touched, uint64_t address, uint32_t line);

struct heap_touches;

/* Loads and attaches the BPF side: before this process gives up its rights, and after all helpers
 * have been forked. The examiner must run. The caller owns *touches. 0, or -errno with a sentence
 * in `why` (`size` bytes): the rights do not suffice, or the kernel can't tell. */
int heap_touches_open(struct heap_touches **touches, int verbosity, char *why, size_t size);
void heap_touches_close(struct heap_touches *touches); /* NULL is allowed */

/* Watches the process from now on. 0, or -errno with the reason. */
int heap_touches_watch(struct heap_touches *touches, pid_t pid, char *why, size_t size);

/* Handles messages of the BPF side: to be called ten times a second, or the names of lines get
 * lost. 0 or -errno. */
int heap_touches_poll(struct heap_touches *touches);
/* Readable when a message is urgent. */
int heap_touches_fd(const struct heap_touches *touches);

/* Fills *touched, which is emptied first, with all resident pages of the process as they are now.
 * 0; -ESRCH: it is not watched, or has ended; -errno. */
int heap_touches_read(struct heap_touches *touches, pid_t pid, struct heap_touched *touched);

#endif
