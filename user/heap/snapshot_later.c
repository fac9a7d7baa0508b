/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a survey of types needs each page for some microseconds only, and a copy of all pages
 * takes as much memory as the process has.
 *
 * So pages are copied when they are asked for. Those that are to stay go to the end of the file.
 * Others go into one of two windows, which are used again and again: while one is looked at, the
 * child fills the other.
 */
#include <errno.h>
#include <string.h>

#include "heap/snapshot_private.h"

#define PAGE_STATES_KEPT (((1u << SNAPSHOT_STATE_BITS) - 1) & ~(uint32_t)PAGE_COPIED)
#define WINDOW_PAGES(s)	 (SNAPSHOT_WINDOW_BYTES >> (s)->header.page_shift)

static bool is_later(const struct snapshot *s)
{
	return s->header.later;
}

/* Adds to the order the pages of [start, end) that are not copied yet, at most `most`. Returns how
 * many. *at: where to go on. */
static uint64_t order_run(const struct snapshot *s, uint64_t start, uint64_t end, uint64_t most,
			  struct snapshot_order *order, uint64_t *at)
{
	uint64_t page = 1ull << s->header.page_shift, pages = 0;
	struct snapshot_order_range *range = NULL;

	for (; start < end && pages < most; start += page) {
		if (page_map_get(&s->memory.pages, start) & PAGE_COPIED) {
			range = NULL;
			continue;
		}
		if (!range && order->count == ORDER_RANGES)
			break;
		if (!range) {
			range = &order->ranges[order->count++];
			*range = (struct snapshot_order_range){.addr = start};
		}
		range->units++;
		pages++;
	}
	*at = start;
	return pages;
}

/* Makes an order for the pages that can be copied from *at on, before `end`: at most `most`, to the
 * file from page number `number` on. Moves *at on. Returns how many pages that is. */
static uint64_t order_pages(const struct snapshot *s, uint64_t *at, uint64_t end, uint64_t most,
			    uint64_t number, struct snapshot_order *order)
{
	unsigned shift = s->header.page_shift;
	uint64_t pages = 0;

	order->unit_bytes = 1u << shift;
	order->count = 0;
	order->offset = SNAPSHOT_DATA + (number << shift);
	for (size_t i = snapshot_first_run(s, *at); i < s->header.runs && *at < end; i++) {
		const struct snapshot_run *run = &s->runs[i];
		uint64_t start = run->start > *at ? run->start : *at;
		uint64_t run_end = run->start + ((uint64_t)run->pages << shift);

		if (start >= end)
			break;
		if (run_end > end)
			run_end = end;
		*at = run_end;
		if (run->state & RUN_READABLE)
			pages += order_run(s, start, run_end, most - pages, order, at);
		if (pages == most || order->count == ORDER_RANGES)
			return pages;
	}
	*at = end;
	return pages;
}

/* Marks the pages of an order that were copied. They are in the file from page number `number` on.
 */
static int note_copied(struct snapshot *s, const struct snapshot_order *order,
		       const struct snapshot_answer *answer, uint64_t number)
{
	uint64_t unit = 0;

	for (unsigned i = 0; i < order->count; i++) {
		for (uint64_t k = 0; k < order->ranges[i].units; k++, unit++) {
			uint64_t addr = order->ranges[i].addr + (k << s->header.page_shift);
			uint32_t *slot;

			if (!(answer->copied[unit / 8] >> (unit & 7) & 1) || !page_map_covers(addr))
				continue;
			slot = page_map_slot(&s->memory.pages, addr);
			if (!slot)
				return -ENOMEM;
			*slot = (uint32_t)(number + unit) << SNAPSHOT_STATE_BITS | PAGE_COPIED |
				(*slot & ((1u << SNAPSHOT_STATE_BITS) - 1));
		}
	}
	return 0;
}

int snapshot_fetch(struct snapshot *s, uint64_t start, uint64_t end)
{
	struct snapshot_order order;
	struct snapshot_answer answer;
	uint64_t first, pages;
	int err = 0;

	if (!is_later(s))
		return 0;
	first = snapshot_later_pages(s->header.page_shift);
	while (start < end && !err) {
		uint64_t number = first + s->fetched_pages, most = ORDER_UNITS;

		if (most > s->header.data_pages - number)
			most = s->header.data_pages - number;
		if (!most)
			return -EFBIG; /* more pages than there were: some were fetched twice */
		pages = order_pages(s, &start, end, most, number, &order);
		if (!pages)
			continue;
		err = snapshot_child_order(s->child, &order);
		if (!err)
			err = snapshot_child_answer(s->child, &answer);
		if (!err)
			err = note_copied(s, &order, &answer, number);
		s->fetched_pages += pages;
	}
	return err;
}

/* --- heads --- */

static int heads_of_copy(const struct snapshot *s, const uint64_t *addrs, size_t count, size_t len,
			 unsigned char *heads)
{
	for (size_t i = 0; i < count; i++)
		snapshot_read(s, addrs[i], heads + i * len, len);
	return 0;
}

int snapshot_fetch_heads(struct snapshot *s, const uint64_t *addrs, size_t count, size_t len,
			 unsigned char *heads)
{
	uint64_t offset = SNAPSHOT_WINDOWS * (uint64_t)SNAPSHOT_WINDOW_BYTES;
	struct snapshot_order order = {.unit_bytes = (uint32_t)len, .count = (uint32_t)count};
	struct snapshot_answer answer;
	int err;

	if (count > SNAPSHOT_HEADS || len > SNAPSHOT_HEAD_BYTES)
		return -EINVAL;
	memset(heads, 0, count * len);
	if (!is_later(s))
		return heads_of_copy(s, addrs, count, len, heads);
	order.offset = SNAPSHOT_DATA + offset;
	for (size_t i = 0; i < count; i++)
		order.ranges[i] = (struct snapshot_order_range){addrs[i], 1};
	err = count ? snapshot_child_order(s->child, &order) : 0;
	if (!err && count)
		err = snapshot_child_answer(s->child, &answer);
	for (size_t i = 0; i < count && !err; i++) {
		if (answer.copied[i / 8] >> (i & 7) & 1)
			memcpy(heads + i * len, s->memory.data + offset + i * len, len);
	}
	return err;
}

/* --- windows --- */

static void end_window(struct snapshot *s, unsigned slot)
{
	struct snapshot_window *w = &s->windows[slot];
	uint64_t page = 1ull << s->header.page_shift;

	for (uint64_t at = w->start; w->there && at < w->end; at += page) {
		uint32_t value = page_map_get(&s->memory.pages, at);

		/* A page that was fetched for good is elsewhere in the file. */
		if (value & PAGE_COPIED && (value >> SNAPSHOT_STATE_BITS) / WINDOW_PAGES(s) == slot)
			*page_map_slot(&s->memory.pages, at) = value & PAGE_STATES_KEPT;
	}
	*w = (struct snapshot_window){.start = 0};
}

int snapshot_window_begin(struct snapshot *s, unsigned slot, uint64_t start, uint64_t end)
{
	struct snapshot_window *w = &s->windows[slot];
	uint64_t at = start;

	if (!is_later(s))
		return 0;
	if (end - start > SNAPSHOT_WINDOW_BYTES)
		return -EINVAL;
	end_window(s, slot);
	w->start = start;
	w->end = end;
	order_pages(s, &at, end, WINDOW_PAGES(s), slot * WINDOW_PAGES(s), &s->order);
	return snapshot_child_order(s->child, &s->order);
}

int snapshot_window_await(struct snapshot *s, unsigned slot)
{
	struct snapshot_answer answer;
	int err;

	if (!is_later(s) || s->windows[slot].there)
		return 0;
	err = snapshot_child_answer(s->child, &answer);
	if (err)
		return err;
	s->windows[slot].there = true;
	return note_copied(s, &s->order, &answer, slot * WINDOW_PAGES(s));
}
