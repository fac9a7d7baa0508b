/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the snapshot share. */
#ifndef SNAPSHOT_PRIVATE_H
#define SNAPSHOT_PRIVATE_H

#include "base/hash.h"
#include "heap/snapshot_file.h"

struct live_page {
	uint64_t addr;
	UT_hash_handle hh;
	unsigned char data[];
};

/* An order: what the child is to copy into its file. Units (pages, or heads) go there one behind
 * the other. */
#define ORDER_RANGES 1024
#define ORDER_UNITS  1024
struct snapshot_order {
	uint32_t unit_bytes, count; /* `count`: number of ranges */
	uint64_t offset;	    /* in the file */
	struct snapshot_order_range {
		uint64_t addr, units;
	} ranges[ORDER_RANGES];
};

/* Bit N of `copied`: unit number N of the order was copied. */
struct snapshot_answer {
	int32_t err, reserved;
	unsigned char copied[ORDER_UNITS / 8];
};

struct snapshot {
	struct snapshot_memory memory; /* first: snapshot_at() */
	const unsigned char *file;     /* all of it, mapped */
	size_t file_bytes;
	int memory_fd;		       /* the file, if it is a memory file of ours; -1 */
	struct snapshot_header header; /* a copy, as the file may change */
	struct region *regions;
	struct snapshot_file_mapping *mappings;
	struct snapshot_run *runs;
	struct snapshot_thread *threads;
	char *names;
	uint64_t rss_bytes, swapped_bytes;
	struct live_page *live;
	size_t live_count;
	struct snapshot_child *child; /* NULL: none, or given up */
	uint64_t fetched_pages; /* options.later: number of pages that were fetched for good */
	struct snapshot_window {
		uint64_t start, end; /* what was asked for; both 0: the window is unused */
		bool there;
	} windows[SNAPSHOT_WINDOWS];
	struct snapshot_order order; /* the last order for a window */
};

/* As snapshot_load(), also for a file that a child still writes to. */
int snapshot_open(int fd, struct snapshot **snapshot);

/* Remembers a page that was read later, by copying its bytes. 0 or -ENOMEM. */
int snapshot_add_live(struct snapshot *snapshot, uint64_t addr, const void *page);
/* --- the child (snapshot_child.c), how it is started (snapshot_start.c) and asked
 * (snapshot_take.c) --- */

struct snapshot_request {
	int32_t pid;
	bool pause, later;
	uint64_t copy_limit_bytes;
};

/* The least priority of SCHED_RR. */
#define SNAPSHOT_HURRY_PRIORITY 1

/* Copies the memory of `request->pid` into `memory_fd`, and sends the result (int32_t) to `socket`.
 * Then it answers until the socket is closed: the address of a page (uint64_t) with an int32_t and
 * that page, an order with a struct snapshot_answer. */
void snapshot_child_serve(const struct snapshot_request *request, int memory_fd, int socket);

/* Starts a child. Its PID, or -errno. The caller closes *socket and gives *pidfd to
 * snapshot_child_kill(). */
int snapshot_child_start(const struct snapshot_request *request, int memory_fd, int *socket,
			 int *pidfd);
void snapshot_child_kill(pid_t pid, int pidfd);

/* Asks the child for one page. 0 or -errno. */
int snapshot_child_read(struct snapshot_child *child, uint64_t addr, void *page, size_t bytes);
void snapshot_child_end(struct snapshot_child *child);

/* Gives the child an order; waits for its answer. Only one order can be under way. 0 or -errno. */
int snapshot_child_order(struct snapshot_child *child, const struct snapshot_order *order);
int snapshot_child_answer(struct snapshot_child *child, struct snapshot_answer *answer);

#endif
