/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds in the page tables which pages of a process are resident, which swapped, and which are a
 * file's.
 *
 * Pages count as resident if the kernel counts them as RSS: not the page of zeros, not device
 * memory (vvar, GPUs), not huge pages of hugetlbfs. PAGEMAP_SCAN (6.7+,
 * Documentation/admin-guide/mm/pagemap.rst) gives runs of like pages in one call. On older kernels
 * each page has a word in /proc/PID/pagemap.
 */
#include "heap/snapshot_child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/array.h"

/* include/uapi/linux/fs.h, newer than the headers we build with. */
struct scan_range {
	uint64_t start, end, categories;
};
struct scan_request {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
		category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_request)
#define SCAN_FILE    (1 << 2)
#define SCAN_PRESENT (1 << 3)
#define SCAN_SWAPPED (1 << 4)
#define SCAN_ZERO    (1 << 5)
#define SCAN_HUGE    (1 << 6)
#define SCAN_RANGES  8192

/* Words of /proc/PID/pagemap. */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAP	(1ull << 62)
#define PAGEMAP_FILE	(1ull << 61)
#define PAGEMAP_GUARD	(1ull << 58) /* 6.15+ */
#define PAGEMAP_WORDS	32768
/* More words than that would take minutes. */
#define PAGEMAP_WORDS_MAX (1ull << 30)

/* Adds pages, to the last run if they continue it. `begins`: they are the first of a region, and a
 * run lies in one region. */
static int add_run(struct capture *c, uint64_t start, uint64_t pages, uint32_t state, bool begins)
{
	struct snapshot_run *last = c->run_count ? &c->runs[c->run_count - 1] : NULL;

	if (last && !begins && last->state == state &&
	    last->start + ((uint64_t)last->pages << c->page_shift) == start &&
	    last->pages + pages < UINT32_MAX) {
		last->pages += (uint32_t)pages;
		return 0;
	}
	if (pages > SNAPSHOT_PAGES_MAX)
		return -EFBIG;
	if (!ARRAY_HAS_ROOM(c->runs, c->run_count, c->run_room))
		return -ENOMEM;
	c->runs[c->run_count++] = (struct snapshot_run){start, (uint32_t)pages, state};
	return 0;
}

/* Can a page of the region be anonymous? In shared and special mappings, pages that belong to no
 * file are device memory. */
static bool may_be_anonymous(const struct snapshot_file_region *r)
{
	return r->kind != REGION_SHARED && r->kind != REGION_SPECIAL;
}

/* Adds the part of [start, end) that lies in region `r`. `state` without PAGE_COPIED. */
static int add_in_region(struct capture *c, const struct snapshot_file_region *r, uint64_t start,
			 uint64_t end, uint32_t state)
{
	if (start < r->start)
		start = r->start;
	if (end > r->end)
		end = r->end;
	if (start >= end)
		return 0;
	if (!(state & PAGE_FILE)) {
		if (!may_be_anonymous(r))
			return 0;
		if (state & PAGE_RESIDENT && r->rights & 4)
			state |= PAGE_COPIED;
	}
	return add_run(c, start, (end - start) >> c->page_shift, state, start == r->start);
}

/* --- PAGEMAP_SCAN --- */

/* Guard pages (MADV_GUARD_INSTALL, 6.13+) look swapped. `has_swapped`, from VmSwap, says whether
 * any page can be. */
static uint32_t state_of_range(uint64_t categories, bool has_swapped)
{
	uint32_t state = 0;

	if (categories & SCAN_ZERO)
		return 0;
	if (categories & SCAN_PRESENT)
		state |= PAGE_RESIDENT;
	else if (categories & SCAN_SWAPPED)
		return has_swapped ? PAGE_SWAPPED : 0;
	if (categories & SCAN_FILE)
		state |= PAGE_FILE;
	if (categories & SCAN_HUGE)
		state |= PAGE_HUGE;
	return state;
}

/* Adds a range. Ranges come in order of address, as regions do. *region: where to go on. */
static int add_range(struct capture *c, const struct scan_range *range, size_t *region)
{
	uint32_t state = state_of_range(range->categories, c->has_swapped);
	int err = 0;

	if (!state)
		return 0;
	while (*region < c->region_count && c->regions[*region].end <= range->start)
		(*region)++;
	for (size_t i = *region; i < c->region_count && !err; i++) {
		if (c->regions[i].start >= range->end)
			break;
		err = add_in_region(c, &c->regions[i], range->start, range->end, state);
	}
	return err;
}

static int scan(struct capture *c, struct scan_range *ranges)
{
	struct scan_request request = {
		.size = sizeof(request),
		.end = c->regions[c->region_count - 1].end,
		.vec = (uintptr_t)ranges,
		.vec_len = SCAN_RANGES,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_FILE | SCAN_ZERO | SCAN_HUGE,
	};
	size_t region = 0;

	while (request.start < request.end) {
		int n = ioctl(c->pagemap, SCAN_IOCTL, &request), err = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n && !err; i++)
			err = add_range(c, &ranges[i], &region);
		/* walk_end may be too early, where the kernel emptied its own buffer: the last
		 * range tells how far it came. */
		if (err || n < SCAN_RANGES)
			return err;
		request.start = ranges[n - 1].end;
		capture_progress(c);
	}
	return 0;
}

/* --- /proc/PID/pagemap --- */

static uint32_t state_of_word(uint64_t word)
{
	if (word & PAGEMAP_PRESENT)
		return PAGE_RESIDENT | (word & PAGEMAP_FILE ? PAGE_FILE : 0);
	if (word & PAGEMAP_SWAP && !(word & PAGEMAP_GUARD))
		return PAGE_SWAPPED;
	return 0;
}

static int add_words(struct capture *c, const struct snapshot_file_region *r, uint64_t start,
		     const uint64_t *words, size_t count)
{
	uint64_t page = 1ull << c->page_shift;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		uint32_t state = state_of_word(words[i]);

		if (state)
			err = add_in_region(c, r, start + i * page, start + (i + 1) * page, state);
	}
	return err;
}

static int read_region(struct capture *c, const struct snapshot_file_region *r, uint64_t *words,
		       uint64_t *budget)
{
	uint64_t pages = (r->end - r->start) >> c->page_shift, done = 0;
	int err = 0;

	while (done < pages && !err) {
		uint64_t start = r->start + (done << c->page_shift);
		uint64_t count = pages - done < PAGEMAP_WORDS ? pages - done : PAGEMAP_WORDS;
		ssize_t n = pread(c->pagemap, words, count * sizeof(*words),
				  (off_t)((start >> c->page_shift) * sizeof(*words)));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n < (ssize_t)sizeof(*words))
			return 0;
		count = (uint64_t)n / sizeof(*words);
		if (count > *budget)
			return -EFBIG;
		*budget -= count;
		err = add_words(c, r, start, words, count);
		done += count;
		capture_progress(c);
	}
	return err;
}

static int read_words(struct capture *c, uint64_t *words)
{
	uint64_t budget = PAGEMAP_WORDS_MAX;
	int err = 0;

	for (size_t i = 0; i < c->region_count && !err; i++) {
		if (c->regions[i].kind != REGION_SPECIAL)
			err = read_region(c, &c->regions[i], words, &budget);
	}
	return err;
}

static bool has_swapped(pid_t pid)
{
	char text[8192];
	const char *field;
	ssize_t n = proc_file_read(pid, "status", text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	field = strstr(text, "\nVmSwap:");
	return field && strtoull(field + strlen("\nVmSwap:"), NULL, 10) > 0;
}

/* A pagemap is that of one image: once that has ended, it reads as an empty file. */
bool capture_is_gone(const struct capture *c)
{
	uint64_t word, start = c->region_count ? c->regions[0].start : 0;

	return pread(c->pagemap, &word, sizeof(word),
		     (off_t)((start >> c->page_shift) * sizeof(word))) != sizeof(word);
}

int capture_pages(struct capture *c)
{
	_Static_assert(SCAN_RANGES * sizeof(struct scan_range) <= PAGEMAP_WORDS * sizeof(uint64_t),
		       "one buffer for both");
	void *buffer = malloc(PAGEMAP_WORDS * sizeof(uint64_t));
	int err = -ENOTTY;

	if (!buffer)
		return -ENOMEM;
	c->run_count = 0;
	c->has_swapped = has_swapped(c->pid);
	if (c->region_count)
		err = scan(c, buffer);
	/* ENOTTY: before 6.7. */
	if (err == -ENOTTY || err == -EINVAL) {
		c->run_count = 0;
		err = read_words(c, buffer);
	}
	free(buffer);
	return err;
}
