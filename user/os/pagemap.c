/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asks each mapping for its pages of a kind. PAGEMAP_SCAN (6.7+, Documentation/admin-guide/mm/
 * pagemap.rst) answers in runs of pages; on older kernels each page has a word in
 * /proc/PID/pagemap, which does not say whether it is the page of zeros.
 *
 * The process may change its mappings meanwhile. Then parts of the result are of different
 * moments. */
#include "os/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/array.h"
#include "os/proc.h"

/* include/uapi/linux/fs.h, since 6.7: newer than the headers that we build with. */
struct scan_range {
	uint64_t start, end, categories;
};
struct scan_request {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
		category_mask, category_anyof_mask, return_mask;
};
#define SCAN	     _IOWR('f', 16, struct scan_request)
#define SCAN_FILE    (1 << 2)
#define SCAN_PRESENT (1 << 3)
#define SCAN_SWAPPED (1 << 4)
#define SCAN_ZERO    (1 << 5)
#define SCAN_RANGES  1024

/* Of a word in /proc/PID/pagemap. */
#define WORD_PRESENT (1ull << 63)
#define WORD_SWAPPED (1ull << 62)
#define WORD_FILE    (1ull << 61)
#define WORD_GUARD   (1ull << 58) /* since 6.15: MADV_GUARD_INSTALL */
#define WORDS	     4096

/* What is no page also has entries that are no swap: pages that are being moved to another place,
 * guards, marks of userfaultfd. Their type is beyond those of swap areas, of which there are at
 * most 23 to 29, by configuration. Without CAP_SYS_ADMIN the kernel shows a type of 0. */
#define WORD_TYPE(word) ((word)&31)
#define TYPES_OF_SWAP	23

/* A run takes 16 bytes; a process of 32 GiB in which every other page is resident has 4 million. */
#define RUNS_MOST (4u << 20)

struct reading {
	int fd; /* of pagemap */
	enum pagemap_kind kind;
	uint64_t page;
	bool words; /* there is no PAGEMAP_SCAN */
	struct pagemap_run *runs;
	size_t count, room;
	struct scan_range ranges[SCAN_RANGES];
	uint64_t values[WORDS];
};

static int add(struct reading *r, uint64_t start, uint64_t pages)
{
	struct pagemap_run *last = r->count ? &r->runs[r->count - 1] : NULL;

	if (last && last->start + last->pages * r->page == start) {
		last->pages += pages;
		return 0;
	}
	if (r->count == RUNS_MOST)
		return -EFBIG;
	if (!ARRAY_HAS_ROOM(r->runs, r->count, r->room))
		return -ENOMEM;
	r->runs[r->count++] = (struct pagemap_run){start, pages};
	return 0;
}

/* `file`: of resident pages only those of files and of shared memory count. */
static bool is_wanted(const struct reading *r, uint64_t word, bool file)
{
	uint64_t resident = WORD_PRESENT | (file ? WORD_FILE : 0);

	switch (r->kind) {
	case PAGEMAP_SWAPPED:
		return (word & (WORD_PRESENT | WORD_SWAPPED | WORD_FILE | WORD_GUARD)) ==
			       WORD_SWAPPED &&
		       WORD_TYPE(word) < TYPES_OF_SWAP;
	case PAGEMAP_ABSENT:
		return !(word & (WORD_PRESENT | WORD_SWAPPED));
	default:
		return (word & resident) == resident;
	}
}

static int read_words(struct reading *r, uint64_t start, uint64_t end, bool file)
{
	uint64_t left;
	int err = 0;
	ssize_t n, i;

	while (start < end && !err) {
		left = (end - start) / r->page;
		n = pread(r->fd, r->values, (left < WORDS ? left : WORDS) * sizeof(uint64_t),
			  (off_t)(start / r->page * sizeof(uint64_t)));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < (ssize_t)sizeof(uint64_t))
			return n < 0 ? -errno : 0;
		n /= sizeof(uint64_t);
		for (i = 0; i < n && !err; i++)
			if (is_wanted(r, r->values[i], file))
				err = add(r, start + (uint64_t)i * r->page, 1);
		start += (uint64_t)n * r->page;
	}
	return err;
}

static struct scan_request request_of(struct reading *r, uint64_t start, uint64_t end, bool file)
{
	struct scan_request request = {
		.size = sizeof(request),
		.start = start,
		.end = end,
		.vec = (uintptr_t)r->ranges,
		.vec_len = SCAN_RANGES,
		.category_inverted = SCAN_ZERO,
		.category_mask = SCAN_PRESENT | SCAN_ZERO | (file ? SCAN_FILE : 0),
		.return_mask = SCAN_PRESENT,
	};

	if (r->kind == PAGEMAP_SWAPPED) {
		request.category_inverted = SCAN_FILE;
		request.category_mask = SCAN_SWAPPED | SCAN_FILE;
	} else if (r->kind == PAGEMAP_ABSENT) {
		request.category_inverted = request.category_mask = SCAN_PRESENT | SCAN_SWAPPED;
	}
	return request;
}

static int add_range(struct reading *r, const struct scan_range *range)
{
	/* Only the word says whether the entry is one of swap. */
	if (r->kind == PAGEMAP_SWAPPED)
		return read_words(r, range->start, range->end, false);
	return add(r, range->start, (range->end - range->start) / r->page);
}

static int scan(struct reading *r, uint64_t start, uint64_t end, bool file)
{
	struct scan_request request = request_of(r, start, end, file);
	int err = 0, n, i;

	while (request.start < end && !err) {
		n = ioctl(r->fd, SCAN, &request);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (i = 0; i < n && !err; i++)
			err = add_range(r, &r->ranges[i]);
		/* The walk's end may lie before the end of the last range. */
		if (n && request.walk_end < r->ranges[n - 1].end)
			request.walk_end = r->ranges[n - 1].end;
		if (request.walk_end <= request.start)
			break;
		request.start = request.walk_end;
	}
	return err;
}

static int read_mapping(const struct proc_mapping *mapping, void *arg)
{
	struct reading *r = arg;
	/* Shared memory of devices has no pages that belong to a file. */
	bool file = mapping->perms[3] == 's';
	int err = -ENOTTY;

	/* The kernel's own pages: no part of RSS. */
	if (!strncmp(mapping->path, "[vvar", 5) || !strcmp(mapping->path, "[vsyscall]"))
		return 0;
	/* System V shared memory has its id for an inode, and the first one is 0. */
	if (r->kind == PAGEMAP_ABSENT && !mapping->inode && mapping->perms[3] != 's')
		return 0;
	if (!r->words)
		err = scan(r, mapping->start, mapping->end, file);
	if (err != -ENOTTY && err != -EINVAL)
		return err;
	r->words = true;
	return read_words(r, mapping->start, mapping->end, file);
}

int pagemap_read(pid_t pid, enum pagemap_kind kind, struct pagemap_run **runs, size_t *count)
{
	struct reading *r = calloc(1, sizeof(*r));
	char path[64];
	int err;

	*runs = NULL;
	*count = 0;
	if (!r)
		return -ENOMEM;
	r->kind = kind;
	r->page = (uint64_t)sysconf(_SC_PAGESIZE);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	r->fd = open(path, O_RDONLY | O_CLOEXEC);
	err = r->fd < 0 ? (errno == ENOENT ? -ESRCH : -errno)
			: proc_maps_each(pid, read_mapping, r);
	if (r->fd >= 0)
		close(r->fd);
	if (err) {
		free(r->runs);
	} else {
		*runs = r->runs;
		*count = r->count;
	}
	free(r);
	return err;
}
