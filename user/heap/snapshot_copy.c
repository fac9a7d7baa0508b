/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Makes the copy. A target may stand still meanwhile, so two threads make it, in calls of some MiB.
 *
 * They lay pages out as if none had vanished since the page tables were read. If one has, which
 * happens only if the target runs, one thread copies all of it again, and leaves no gap in the
 * file.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/array.h"
#include "heap/snapshot_child.h"

#define BATCH_BYTES    (4u << 20) /* of one process_vm_readv(): half a millisecond */
#define BATCH_RUNS     256
#define POPULATE_BYTES (32u << 20)
/* A smaller copy is made by one thread: a second one would not be worth starting. */
#define ALONE_BYTES (8u << 20)

/* linux/mman.h, 5.14. */
#define POPULATE_WRITE 23

static void *file_page(const struct capture *c, uint64_t page)
{
	return c->file + SNAPSHOT_DATA + (page << c->page_shift);
}

/* Work for two threads, which take parts number 0 to `count` - 1 as they are ready. */
struct work {
	struct capture *c;
	const struct batch *batches;
	size_t count, next;
	int failed; /* a part was not done as a whole */
	void (*part)(struct work *work, size_t number);
};

static void *take_parts(void *arg)
{
	struct work *w = arg;
	size_t number;

	while ((number = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED)) < w->count) {
		w->part(w, number);
		capture_progress(w->c);
	}
	return NULL;
}

static bool is_real_time(int policy)
{
	policy &= ~SCHED_RESET_ON_FORK;
	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

void capture_hurry(struct capture *c)
{
	struct sched_param how = {.sched_priority = SNAPSHOT_HURRY_PRIORITY};

	c->policy = sched_getscheduler(0);
	c->hurries = c->policy >= 0 && !is_real_time(c->policy) &&
		     !sched_setscheduler(0, SCHED_RR, &how);
}

/* Gives the thread its former class back. Classes that are not real-time have the priority 0, and
 * keep the nice value. */
static void be_calm(const struct capture *c)
{
	struct sched_param how = {.sched_priority = 0};

	if (c->hurries)
		sched_setscheduler(0, c->policy, &how);
}

void capture_calm(struct capture *c)
{
	be_calm(c);
	c->hurries = false;
}

/* The second thread, which inherits the first one's priority. At least one processor is left to
 * others: if there are only two, this thread gives up its priority. */
static void *take_parts_too(void *arg)
{
	const struct work *w = arg;

	if (sysconf(_SC_NPROCESSORS_ONLN) <= 2)
		be_calm(w->c);
	return take_parts(arg);
}

/* If there is no second thread, the first one does all of the work. When no part is left, the other
 * thread is still at its last one: it gets the priority, too. */
static void do_by_two(struct work *w)
{
	struct sched_param hurry = {.sched_priority = SNAPSHOT_HURRY_PRIORITY};
	pthread_t other;
	int err = w->count > 1 ? pthread_create(&other, NULL, take_parts_too, w) : -1;

	take_parts(w);
	if (err)
		return;
	if (w->c->hurries)
		pthread_setschedparam(other, SCHED_RR, &hurry);
	pthread_join(other, NULL);
}

/* --- room --- */

static void populate_part(struct work *w, size_t number)
{
	size_t at = SNAPSHOT_DATA + number * POPULATE_BYTES, left = w->c->file_bytes - at;

	madvise(w->c->file + at, left < POPULATE_BYTES ? left : POPULATE_BYTES, POPULATE_WRITE);
}

/* If this fails, the pause is longer, and nothing else happens. */
void capture_populate(struct capture *c)
{
	size_t bytes = c->file_bytes - SNAPSHOT_DATA;
	struct work w = {.c = c,
			 .count = (bytes + POPULATE_BYTES - 1) / POPULATE_BYTES,
			 .part = populate_part};

	do_by_two(&w);
}

/* --- copying --- */

int capture_add_copied(struct capture *c, uint64_t start, uint64_t pages, uint32_t state)
{
	if (!ARRAY_HAS_ROOM(c->copied, c->copied_count, c->copied_room))
		return -ENOMEM;
	c->copied[c->copied_count++] = (struct snapshot_run){start, (uint32_t)pages, state};
	if (state & PAGE_COPIED)
		c->data_pages += pages;
	return 0;
}

/* Where the copy goes on: a run, and a page of it. */
struct position {
	size_t run;
	uint64_t page;
};

/* Gathers what one call is to read: the next runs that are to be copied. Returns bytes. */
static size_t gather(const struct capture *c, struct position at, struct iovec *remote,
		     unsigned *count)
{
	size_t bytes = 0;

	for (*count = 0; at.run < c->run_count && *count < BATCH_RUNS; at.run++, at.page = 0) {
		const struct snapshot_run *run = &c->runs[at.run];
		uint64_t left = (run->pages - at.page) << c->page_shift;

		if (!(run->state & PAGE_COPIED))
			break;
		if (left > BATCH_BYTES - bytes)
			left = BATCH_BYTES - bytes;
		if (!left)
			break;
		remote[(*count)++] = (struct iovec){
			(void *)(uintptr_t)(run->start + (at.page << c->page_shift)), left};
		bytes += left;
	}
	return bytes;
}

/* Moves on by `pages` pages, and notes whether they were copied. */
static int advance(struct capture *c, struct position *at, uint64_t pages, bool copied)
{
	int err = 0;

	while (pages && !err) {
		const struct snapshot_run *run = &c->runs[at->run];
		uint64_t part = run->pages - at->page < pages ? run->pages - at->page : pages;
		uint32_t state = copied ? run->state : run->state & ~(uint32_t)PAGE_COPIED;

		err = capture_add_copied(c, run->start + (at->page << c->page_shift), part, state);
		pages -= part;
		at->page += part;
		if (at->page == run->pages) {
			at->run++;
			at->page = 0;
		}
	}
	return err;
}

static int copy_batch(struct capture *c, struct position *at)
{
	struct iovec remote[BATCH_RUNS], local = {.iov_base = file_page(c, c->data_pages)};
	unsigned count;
	ssize_t n;
	uint64_t pages;
	int err;

	local.iov_len = gather(c, *at, remote, &count);
	n = process_vm_readv(c->pid, &local, 1, remote, count, 0);
	capture_progress(c);
	if (n < 0 && errno != EFAULT)
		return -errno;
	pages = n < 0 ? 0 : (uint64_t)n >> c->page_shift;
	err = advance(c, at, pages, true);
	/* The page behind these has gone. */
	if (!err && pages << c->page_shift < local.iov_len)
		err = advance(c, at, 1, false);
	return err;
}

static int copy_alone(struct capture *c)
{
	struct position at = {.run = 0};
	int err = 0;

	c->copied_count = 0;
	c->data_pages = 0;
	while (at.run < c->run_count && !err) {
		const struct snapshot_run *run = &c->runs[at.run];

		if (run->state & PAGE_COPIED) {
			err = copy_batch(c, &at);
		} else {
			err = capture_add_copied(c, run->start, run->pages, run->state);
			at.run++;
		}
	}
	return err;
}

/* --- by two threads --- */

struct batch {
	struct position at;
	uint64_t page; /* number of the page in the file */
};

static void copy_part(struct work *w, size_t number)
{
	const struct batch *batch = &w->batches[number];
	struct iovec remote[BATCH_RUNS], local = {.iov_base = file_page(w->c, batch->page)};
	unsigned count;

	local.iov_len = gather(w->c, batch->at, remote, &count);
	if (process_vm_readv(w->c->pid, &local, 1, remote, count, 0) != (ssize_t)local.iov_len)
		__atomic_store_n(&w->failed, 1, __ATOMIC_RELAXED);
}

/* Cuts all that is to be copied into batches, and fills `copied` as if each succeeds. 0 or -ENOMEM;
 * the caller frees *batches. */
static int make_batches(struct capture *c, struct batch **batches, size_t *count)
{
	struct iovec remote[BATCH_RUNS];
	struct position at = {.run = 0};
	size_t room = 0;
	unsigned runs;
	int err = 0;

	c->copied_count = 0;
	c->data_pages = 0;
	while (at.run < c->run_count && !err) {
		const struct snapshot_run *run = &c->runs[at.run];
		size_t bytes = gather(c, at, remote, &runs);

		if (!bytes) {
			err = capture_add_copied(c, run->start, run->pages, run->state);
			at.run++;
			continue;
		}
		if (!ARRAY_HAS_ROOM(*batches, *count, room))
			return -ENOMEM;
		(*batches)[(*count)++] = (struct batch){at, c->data_pages};
		err = advance(c, &at, bytes >> c->page_shift, true);
	}
	return err;
}

int capture_copy(struct capture *c)
{
	struct work w = {.c = c, .part = copy_part};
	struct batch *batches = NULL;
	int err = make_batches(c, &batches, &w.count);

	w.batches = batches;
	if (!err && c->data_pages << c->page_shift <= ALONE_BYTES)
		w.failed = true;
	else if (!err)
		do_by_two(&w);
	free(batches);
	return err || !w.failed ? err : copy_alone(c);
}
