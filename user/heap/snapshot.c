/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What can be asked of a snapshot once it has been taken. */
#include "heap/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/snapshot_private.h"

#define LIVE_PAGES_MAX 16384

void snapshot_free(struct snapshot *s)
{
	struct live_page *live, *next;

	if (!s)
		return;
	snapshot_child_end(s->child);
	HASH_ITER(hh, s->live, live, next)
	{
		HASH_DEL(s->live, live);
		free(live);
	}
	page_map_fini(&s->memory.pages);
	if (s->file)
		munmap((void *)s->file, s->file_bytes);
	if (s->memory_fd >= 0)
		close(s->memory_fd);
	free(s->regions);
	free(s->mappings);
	free(s->runs);
	free(s->threads);
	free(s->names);
	free(s);
}

pid_t snapshot_pid(const struct snapshot *s)
{
	return (pid_t)s->header.pid;
}

uint64_t snapshot_rss_bytes(const struct snapshot *s)
{
	return s->rss_bytes;
}

bool snapshot_is_large(const struct snapshot *s)
{
	return s->rss_bytes >= SNAPSHOT_LARGE_BYTES;
}

uint64_t snapshot_swapped_bytes(const struct snapshot *s)
{
	return s->swapped_bytes;
}

double snapshot_paused_ms(const struct snapshot *s)
{
	return s->header.paused_ms;
}

unsigned snapshot_page_size(const struct snapshot *s)
{
	return 1u << s->header.page_shift;
}

size_t snapshot_regions(const struct snapshot *s)
{
	return s->header.regions;
}

const struct region *snapshot_region(const struct snapshot *s, size_t index)
{
	return &s->regions[index];
}

const struct region *snapshot_region_of(const struct snapshot *s, uint64_t addr)
{
	size_t low = 0, high = s->header.regions;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->regions[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->header.regions && s->regions[low].start <= addr ? &s->regions[low] : NULL;
}

bool snapshot_mapping_of(const struct snapshot *s, uint64_t addr, uint64_t *start, uint64_t *end)
{
	size_t low = 0, high = s->header.mappings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->mappings[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == s->header.mappings || s->mappings[low].start > addr)
		return false;
	*start = s->mappings[low].start;
	*end = s->mappings[low].end;
	return true;
}

bool snapshot_is_whole(const struct snapshot_memory *memory, uint64_t addr, uint64_t last)
{
	unsigned shift = memory->pages.page_shift;
	uint64_t first = page_map_get(&memory->pages, addr) >> SNAPSHOT_STATE_BITS;
	uint64_t pages = (last >> shift) - (addr >> shift);

	for (uint64_t i = 1; i <= pages; i++) {
		uint32_t page = page_map_get(&memory->pages, addr + (i << shift));

		if (!(page & PAGE_COPIED) || page >> SNAPSHOT_STATE_BITS != first + i)
			return false;
	}
	return true;
}

bool snapshot_read_apart(const struct snapshot *s, uint64_t addr, void *buf, size_t len)
{
	uint64_t page = 1ull << s->header.page_shift;
	char *to = buf;

	if (!s->header.later || addr + len < addr)
		return false;
	while (len) {
		size_t part = page - (addr & (page - 1));
		const void *at;

		if (part > len)
			part = len;
		at = snapshot_at(s, addr, part);
		if (!at)
			return false;
		memcpy(to, at, part);
		to += part;
		addr += part;
		len -= part;
	}
	return true;
}

unsigned snapshot_page(const struct snapshot *s, uint64_t addr)
{
	return page_map_get(&s->memory.pages, addr) & ((1u << SNAPSHOT_STATE_BITS) - 1);
}

size_t snapshot_first_run(const struct snapshot *s, uint64_t addr)
{
	size_t low = 0, high = s->header.runs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct snapshot_run *run = &s->runs[middle];

		if (run->start + ((uint64_t)run->pages << s->header.page_shift) <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t snapshot_next_resident(const struct snapshot *s, uint64_t addr)
{
	addr &= ~((1ull << s->header.page_shift) - 1);
	for (size_t i = snapshot_first_run(s, addr); i < s->header.runs; i++) {
		if (s->runs[i].state & PAGE_RESIDENT)
			return s->runs[i].start > addr ? s->runs[i].start : addr;
	}
	return UINT64_MAX;
}

#define FEW_PAGES 32

/* Resident bytes of a long range, counted by runs: the range may be mostly holes. */
static uint64_t resident_of_many(const struct snapshot *s, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	for (size_t i = snapshot_first_run(s, start); i < s->header.runs; i++) {
		uint64_t from = s->runs[i].start, to;

		if (from >= end)
			break;
		to = from + ((uint64_t)s->runs[i].pages << s->header.page_shift);
		if (s->runs[i].state & PAGE_RESIDENT)
			bytes += (to < end ? to : end) - (from > start ? from : start);
	}
	return bytes;
}

uint64_t snapshot_resident(const struct snapshot *s, uint64_t start, uint64_t end)
{
	uint64_t page = 1ull << s->header.page_shift, bytes = 0, next;

	if (start < end && end - start > FEW_PAGES * page)
		return resident_of_many(s, start, end);
	for (uint64_t at = start; at < end; at = next) {
		next = (at & ~(page - 1)) + page;
		if (next > end || next < at)
			next = end;
		if (snapshot_page(s, at) & PAGE_RESIDENT)
			bytes += next - at;
	}
	return bytes;
}

size_t snapshot_runs(const struct snapshot *s, const struct snapshot_run **runs)
{
	*runs = s->runs;
	return s->header.runs;
}

size_t snapshot_threads(const struct snapshot *s, const struct snapshot_thread **threads)
{
	*threads = s->threads;
	return s->header.threads;
}

/* --- what is no longer needed --- */

/* Gives back `pages` pages of the copy, from page number `first` on. */
static void punch(const struct snapshot *s, uint64_t first, uint64_t pages)
{
	if (pages && s->memory_fd >= 0)
		fallocate(s->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)(SNAPSHOT_DATA + (first << s->header.page_shift)),
			  (off_t)(pages << s->header.page_shift));
}

static void release_run(struct snapshot *s, uint64_t at, uint64_t end)
{
	uint64_t page = 1ull << s->header.page_shift, first = 0, pages = 0;

	for (; at < end; at += page) {
		uint32_t value = page_map_get(&s->memory.pages, at);
		uint64_t number = value >> SNAPSHOT_STATE_BITS;

		if (!(value & PAGE_COPIED))
			continue;
		*page_map_slot(&s->memory.pages, at) = value & ~(uint32_t)PAGE_COPIED;
		if (!pages || number != first + pages) {
			punch(s, first, pages);
			first = number;
			pages = 0;
		}
		pages++;
	}
	punch(s, first, pages);
}

/* Index of the first run that ends behind `addr`. */
static size_t run_behind(const struct snapshot *s, uint64_t addr)
{
	size_t low = 0, high = s->header.runs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct snapshot_run *run = &s->runs[middle];

		if (run->start + ((uint64_t)run->pages << s->header.page_shift) <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void snapshot_release(struct snapshot *s, uint64_t start, uint64_t end)
{
	uint64_t page = 1ull << s->header.page_shift;

	start = (start + page - 1) & ~(page - 1);
	end &= ~(page - 1);
	for (size_t i = run_behind(s, start); i < s->header.runs && s->runs[i].start < end; i++) {
		const struct snapshot_run *run = &s->runs[i];
		uint64_t run_end = run->start + ((uint64_t)run->pages << s->header.page_shift);

		if (run->state & PAGE_COPIED)
			release_run(s, run->start < start ? start : run->start,
				    run_end < end ? run_end : end);
	}
}

/* --- what was not copied --- */

/* The page at `addr` as the child read it from the process; NULL: it can't be read, and *err says
 * why. */
static const unsigned char *live_page(struct snapshot *s, uint64_t addr, int *err)
{
	size_t bytes = (size_t)1 << s->header.page_shift;
	unsigned char page[1 << 16];
	struct live_page *live;

	HASH_FIND(hh, s->live, &addr, sizeof(addr), live);
	if (live)
		return live->data;
	*err = -EFBIG;
	if (s->live_count >= LIVE_PAGES_MAX)
		return NULL;
	*err = snapshot_child_read(s->child, addr, page, bytes);
	if (!*err)
		*err = snapshot_add_live(s, addr, page);
	if (*err)
		return NULL;
	HASH_FIND(hh, s->live, &addr, sizeof(addr), live);
	return live->data;
}

int snapshot_read_live(struct snapshot *s, uint64_t addr, void *buf, size_t len)
{
	uint64_t page = 1ull << s->header.page_shift;
	const unsigned char *data;
	char *to = buf;
	int err = 0;

	if (addr + len < addr)
		return -EFAULT;
	while (len) {
		uint64_t offset = addr & (page - 1), part = page - offset;

		if (part > len)
			part = len;
		data = live_page(s, addr - offset, &err);
		if (!data)
			return err;
		memcpy(to, data + offset, part);
		to += part;
		addr += part;
		len -= part;
	}
	return 0;
}

bool snapshot_read_any(struct snapshot *s, uint64_t addr, void *buf, size_t len)
{
	return snapshot_read(s, addr, buf, len) || !snapshot_read_live(s, addr, buf, len);
}
