/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the child share. The child reads a target, and may be held up by it. */
#ifndef SNAPSHOT_CHILD_H
#define SNAPSHOT_CHILD_H

#include "heap/snapshot_private.h"
#include "os/proc.h"

/* A copy while it is made. All of it is the child's. */
struct capture {
	pid_t pid;
	unsigned page_shift;
	uint64_t *progress; /* in the header of the file: counts as long as the child works */
	int pagemap;	    /* /proc/PID/pagemap, of the image that was there when it was opened */
	bool has_swapped;   /* VmSwap is not 0 */
	int task;	    /* /proc/PID/task, a folder */

	struct snapshot_file_region *regions;
	size_t region_count, region_room;
	struct snapshot_file_mapping *mappings;
	size_t mapping_count, mapping_room;
	struct capture_file { /* a mapping of a file */
		struct proc_mapping mapping;
		uint64_t name; /* its path, in `names` */
	} * files;
	size_t file_count, file_room;
	char *names;
	size_t names_bytes, names_room;

	struct snapshot_run *runs; /* as found. PAGE_COPIED: to be copied */
	size_t run_count, run_room;
	struct snapshot_run *copied; /* as copied, with the states of now */
	size_t copied_count, copied_room;
	uint64_t data_pages; /* copied so far */

	struct capture_thread {
		pid_t tid;
		bool stopped;
		int signal; /* to be delivered when it goes on */
		uint64_t stack_pointer;
	} * threads;
	size_t thread_count, thread_room;
	unsigned char *seen_threads; /* a bit for each TID */
	/* Threads that were told to stop and had not when the others went on. They stop later, and
	 * then must be let go. */
	pid_t *late;
	size_t late_count, late_room;
	unsigned stop_ms; /* how long a thread may take to stop; 0: STOP_MS */

	bool later;   /* nothing is copied before an order */
	bool hurries; /* between capture_hurry() and capture_calm(): has a real-time priority */
	int policy;   /* the scheduling class before that */
	int memory_fd;
	char *file; /* the header and what is copied, mapped */
	size_t file_bytes;
};

/* Fills regions, mappings, names. 0, -ESRCH, -E2BIG more mappings than SNAPSHOT_REGIONS_MAX,
 * -errno. */
int capture_maps(struct capture *c);

/* Fills runs from the page tables. 0, -EFBIG more pages than a snapshot can hold, -errno. */
int capture_pages(struct capture *c);

/* Reads one page: from the target's memory if it is resident, else from the file that is mapped
 * there. Reading a page that is not resident would make it so, and the target's RSS must not
 * change. 0 or -errno. */
int capture_read_page(struct capture *c, uint64_t addr, void *page);

/* Makes the pages of the file exist. To be called before a target is stopped. */
void capture_populate(struct capture *c);
/* Gives this thread the least real-time priority, while a target is stopped: it then runs before
 * all threads without one. It is a hint, for which a right may be missing. A thread that has such a
 * priority already is left as it is. capture_calm() gives its class back. */
void capture_hurry(struct capture *c);
void capture_calm(struct capture *c);
/* Copies the runs that are to be copied, and fills `copied`. The file must have room. 0, -ESRCH,
 * -errno. */
int capture_copy(struct capture *c);
/* Adds a run to `copied`; with PAGE_COPIED its pages count in data_pages. 0 or -ENOMEM. */
int capture_add_copied(struct capture *c, uint64_t start, uint64_t pages, uint32_t state);

/* Stops all threads. 0; -EBUSY: another process traces one; -ETIME: one does not stop; -ESRCH:
 * there is none; -errno. Threads go on with capture_resume(), or when this process ends. */
int capture_pause(struct capture *c);
void capture_resume(struct capture *c);
/* Lets threads go that have stopped since capture_resume(). Returns how many have not stopped yet:
 * a process that lives on calls it until there is none, and pauses nothing meanwhile. */
size_t capture_let_go(struct capture *c);

/* Fills `threads`, with the stack pointers of those that wait in the kernel or are paused. 0 or
 * -errno. */
int capture_threads(struct capture *c);

/* Has the target executed another program, or ended, since the pagemap was opened? */
bool capture_is_gone(const struct capture *c);

static inline void capture_progress(struct capture *c)
{
	__atomic_fetch_add(c->progress, 1, __ATOMIC_RELAXED);
}

#endif
