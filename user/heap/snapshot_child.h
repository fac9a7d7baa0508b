/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the child share: it reads a target, and may be held up by it. */
#ifndef SNAPSHOT_CHILD_H
#define SNAPSHOT_CHILD_H

#include "heap/snapshot_private.h"
#include "os/proc.h"

/* A copy in the making. All of it is the child's. */
struct capture {
	pid_t pid;
	unsigned page_shift;
	uint64_t *progress; /* in the header of the file: moves while it goes on */
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

	struct snapshot_run *runs; /* PAGE_COPIED: is to be copied */
	size_t run_count, run_room;
	struct snapshot_run *copied; /* as it came out */
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

	bool later;   /* nothing is copied until there are orders */
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

/* One page, from the target's memory if it is resident, else from the file that is mapped there: to
 * read what is not resident would make it so, and the target's RSS is not ours to change. 0 or
 * -errno. */
int capture_read_page(struct capture *c, uint64_t addr, void *page);

/* Makes the file's pages exist, before a target is stopped. */
void capture_populate(struct capture *c);
/* From now on this thread goes before all that have no real-time priority: for as long as a target
 * is stopped. A hint, for which a right may be missing; one that has such a priority already is
 * left as it is. capture_calm(): its class is what it was before. */
void capture_hurry(struct capture *c);
void capture_calm(struct capture *c);
/* Copies all of `runs` that are to be; fills `copied`. The file has room. 0, -ESRCH, -errno. */
int capture_copy(struct capture *c);
/* Adds to `copied`, and to data_pages if that has PAGE_COPIED. 0 or -ENOMEM. */
int capture_add_copied(struct capture *c, uint64_t start, uint64_t pages, uint32_t state);

/* Stops all threads: 0, -EBUSY another process traces it, -ETIME one does not stop, -errno. What
 * was stopped goes on with capture_resume(), or at the end of this process. */
int capture_pause(struct capture *c);
void capture_resume(struct capture *c);

/* Fills threads; stack pointers of those that wait in the kernel, or that are paused. */
int capture_threads(struct capture *c);

/* Has the target executed another program, or ended, since the pagemap was opened? */
bool capture_is_gone(const struct capture *c);

static inline void capture_progress(struct capture *c)
{
	__atomic_fetch_add(c->progress, 1, __ATOMIC_RELAXED);
}

#endif
