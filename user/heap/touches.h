/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds which lines touched the pages of processes first, from one look to the next, for `heap -d`.
 * It has a BPF session and its tracker (track/tracker.h).
 *
 * The result is plain data (struct heap_touched), which the look joins with its census.
 */
#ifndef HEAP_TOUCHES_H
#define HEAP_TOUCHES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In place of the number of a line. */
#define TOUCHED_BEFORE \
	UINT32_MAX /* resident before the process was watched, and not touched since */
#define TOUCHED_UNKNOWN (UINT32_MAX - 1) /* touched by no known line */

struct heap_touched_line {
	char *file, *function; /* bytes of a page */
	int line;
};

/* Neighbouring pages, touched first by one line. */
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

/* Frees what is in it, and empties it. */
void heap_touched_fini(struct heap_touched *touched);
/* Number of the line, which is added if it is new; TOUCHED_UNKNOWN: out of memory. */
uint32_t heap_touched_line(struct heap_touched *touched, const char *file, int line,
			   const char *function);
/* Adds a page behind the others. 0 or -ENOMEM. */
int heap_touched_add(struct heap_touched *touched, uint64_t address, uint32_t line);

struct heap_touches;

/* Loads and attaches the BPF side. To be called before this process gives up its rights, and after
 * all helpers have been forked. The examiner must run. The caller owns *touches. 0, or -errno with
 * the reason in `why` (`size` bytes): rights are missing, or the kernel can't do this. */
int heap_touches_open(struct heap_touches **touches, int verbosity, char *why, size_t size);
void heap_touches_close(struct heap_touches *touches); /* NULL is allowed */

/* Watches the process from now on. 0, or -errno with the reason in `why` (`size` bytes). */
int heap_touches_watch(struct heap_touches *touches, pid_t pid, char *why, size_t size);

/* Handles messages of the BPF side. To be called ten times a second: else names of lines get lost.
 * 0 or -errno. */
int heap_touches_poll(struct heap_touches *touches);
/* A descriptor of `touches` that is readable when a message is urgent. */
int heap_touches_fd(const struct heap_touches *touches);

/* Fills *touched, which is emptied first, with all resident pages of the process as they are now.
 * 0; -ESRCH: it is not watched, or has ended; -errno. */
int heap_touches_read(struct heap_touches *touches, pid_t pid, struct heap_touched *touched);

#endif
