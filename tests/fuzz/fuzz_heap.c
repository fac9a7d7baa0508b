/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: snapshots of a heap to the census: the file itself (snapshot_file.c), pools,
 * chunks, types, objects, claims, the balance.
 *
 * The first byte picks a version and one of two ways. Either a heap is made up (fake_heap.h: pools,
 * [heap], an arena, mapped chunks, a class, objects), and the rest of the input replaces words of
 * it; or the rest is what a snapshot file says of itself. Beyond memory safety: each page of RSS is
 * under one heading of the balance; a block's address leads to that block; blocks don't overlap.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/fake_heap.h"
#include "heap/balance.h"

#define FAULT_BYTES 11	       /* where, what kind, with what */
#define PAGES_MAX   (1u << 16) /* what a file claims to have resident */
#define CLASS	    (FAKE_HEAP + 0x1000)
#define ARENA	    (FAKE_ARENAS + (64ull << 20))
#define MAPPED	    (FAKE_ARENAS + (2ull << 20))

static void fail(const char *what)
{
	fprintf(stderr, "heap: %s\n", what);
	abort();
}

/* --- what must hold --- */

static void check_balance(const struct snapshot *snapshot, const struct heap_blocks *blocks)
{
	struct heap_balance balance;
	uint64_t sum = 0;

	heap_balance_make(snapshot, blocks, NULL, NULL, &balance);
#define ADD(name, text) sum += balance.name;
	HEAP_BALANCE(ADD)
#undef ADD
	if (sum != snapshot_rss_bytes(snapshot))
		fail("the balance is not RSS");
}

static void check_blocks(const struct snapshot *snapshot, const struct heap_blocks *blocks,
			 const struct heap_types *types)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < heap_blocks_count(blocks); i++) {
		uint64_t addr = heap_blocks_addr(blocks, i), size = heap_blocks_size(blocks, i);
		int32_t type = heap_blocks_type(blocks, i);

		if (addr < end)
			fail("blocks overlap");
		end = addr + size;
		if (size && snapshot_page(snapshot, addr) &&
		    heap_blocks_find_addr(blocks, addr) != i)
			fail("an address does not lead to its block");
		if (type >= 0 && (uint32_t)type >= heap_types_count(types))
			fail("no such type");
		if (type >= 0 &&
		    (heap_blocks_object(blocks, i) < addr || heap_blocks_object(blocks, i) >= end))
			fail("an object outside of its block");
	}
}

static void census(struct snapshot *snapshot, const struct py_heap_layout *heap_layout,
		   const struct py_layout *layout)
{
	struct heap_types *types = heap_types_new(snapshot, heap_layout, layout);
	struct heap_blocks *blocks;

	if (!types || heap_blocks_find(snapshot, heap_layout, types, &blocks))
		fail("no census");
	check_blocks(snapshot, blocks, types);
	check_balance(snapshot, blocks);
	for (uint32_t i = 0; i < heap_types_count(types); i++) {
		if (!*heap_types_get(types, (int32_t)i)->name)
			fail("a type without a name");
	}
	heap_blocks_free(blocks);
	heap_types_free(types);
}

/* --- a heap --- */

static void make_chunks(struct fake_heap *h, uint64_t at, uint64_t end)
{
	for (unsigned i = 0; at < end - 0x2000; i++) {
		uint64_t size = 0x20 + 16 * (i % 40);

		fake_chunk(h, at, size, i % 5 != 0);
		at += size;
	}
	fake_chunk(h, at, end - at, 1);
	fake_touch(h, at, end);
}

static void make_arena(struct fake_heap *h)
{
	fake_word(h, ARENA, ARENA + 32);
	fake_word(h, ARENA + 16, 0x6000);
	fake_word(h, ARENA + 24, 0x6000);
	make_chunks(h, ARENA + 32 + 2208, ARENA + 0x6000);
}

static void make_class(struct fake_heap *h)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t dict = FAKE_HEAP + 0x3000, keys = FAKE_HEAP + 0x3200;

	fake_object(h, CLASS, 5, h->type_type);
	fake_word(h, CLASS + l->type_name, CLASS + 0x700);
	fake_bytes(h, CLASS + 0x700, "Bare", 5);
	fake_word(h, CLASS + l->type_flags, FAKE_READY | FAKE_HEAPTYPE | FAKE_GC | l->pre_flags);
	fake_word(h, CLASS + l->type_basicsize, 16);
	fake_word(h, CLASS + l->type_dict, dict);
	fake_word(h, CLASS + l->heap_type_qualname, CLASS + 0x600);
	fake_text(h, CLASS + 0x600, "Outer.Inner");
	fake_text(h, CLASS + 0x640, "__module__");
	fake_text(h, CLASS + 0x680, "pkg.mod");
	fake_word(h, dict + l->dict_keys, keys);
	fake_word(h, keys + l->keys_nentries, 3);
	for (unsigned i = 0; i < 6; i++)
		fake_word(h, keys + l->keys_indices + 8 + 8 * i, CLASS + (i & 1 ? 0x680 : 0x640));
}

static void make_objects(struct fake_heap *h, uint64_t pool, uint32_t size, uint32_t count)
{
	uint64_t types[4] = {h->str_type, fake_type(h, "list", 40, 0, FAKE_GC | 1ull << 25),
			     fake_type(h, "tuple", 24, 8, FAKE_GC | 1ull << 26), CLASS};

	fake_pool(h, pool, size, count, 0);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t block = fake_block(h, pool, size, i);

		if (i % 5 == 4)
			fake_free(h, pool, block);
		else
			fake_object(h, block + (i % 4 ? i % 4 == 3 ? 32 : 16 : 0), i % 3,
				    types[i % 4]);
	}
}

static void make(struct fake_heap *h, unsigned minor)
{
	fake_python(h, minor);
	h->regions[1].end = FAKE_HEAP + 0x8000;
	h->regions[2].end = ARENA + 0x10000;
	make_chunks(h, FAKE_HEAP, FAKE_HEAP + 0x8000);
	make_class(h);
	make_objects(h, FAKE_ARENAS, 64, 50);
	make_objects(h, FAKE_ARENAS + 0x4000, 512, 7);
	fake_pool(h, FAKE_ARENAS + 0x8000, 32, 1, 0);
	make_arena(h);
	fake_word(h, MAPPED + 8, 0x21000 | 2);
	fake_word(h, MAPPED + 0x21008, 0x5000);
	fake_word(h, MAPPED + 0x21010, 3);
	fake_touch(h, MAPPED, MAPPED + 0x2000);
	h->threads[0] = (struct snapshot_file_thread){1, ARENA + 0xf000};
	h->thread_count = 1;
}

/* The same for each input, so it is made once for each version. */
static void copy(struct fake_heap *h, unsigned minor)
{
	static struct fake_heap made[16];
	struct fake_heap *from = &made[minor % 16];

	if (!from->page_count) {
		make(from, minor);
		fake_sort(from);
	}
	*h = *from;
	h->page_room = h->page_count;
	h->pages = malloc(h->page_count * sizeof(*h->pages));
	if (!h->pages)
		abort();
	memcpy(h->pages, from->pages, h->page_count * sizeof(*h->pages));
}

/* --- faults --- */

/* Where words are that a parser hangs on: each page there is, by number. */
static uint64_t place(const struct fake_heap *h, unsigned page, unsigned offset)
{
	return h->pages[page % h->page_count].addr + offset % (FAKE_PAGE - 8);
}

static void apply(struct fake_heap *h, const uint8_t *fault)
{
	uint64_t addr = place(h, fault[0], (unsigned)fault[1] << 4 | fault[2] >> 4), value;

	memcpy(&value, fault + 3, sizeof(value));
	switch (fault[2] & 15) {
	case 0:
		fake_word(h, addr, value);
		break;
	case 1:
		fake_half(h, addr, (uint32_t)value);
		break;
	case 2: /* an address that exists */
		fake_word(h, addr, place(h, (unsigned)(value & 0xff), (unsigned)(value >> 8)));
		break;
	case 3: /* its own */
		fake_word(h, addr, addr + (value & 0xf0));
		break;
	case 4:
		fake_word(h, addr, fake_get(h, addr) + (uint64_t)(int64_t)(int8_t)value);
		break;
	case 5:
		fake_word(h, addr, 0);
		break;
	case 6:
		fake_word(h, addr, UINT64_MAX);
		break;
	case 7: /* that page is in another state */
		fake_state(h, addr, (uint32_t)value & (PAGE_RESIDENT | PAGE_SWAPPED | PAGE_FILE));
		break;
	default:
		fake_half(h, addr, 1u << (value & 31));
		break;
	}
}

static void run_faults(unsigned minor, const uint8_t *data, size_t size)
{
	struct fake_heap h;
	struct snapshot *snapshot;

	copy(&h, minor);
	for (; size >= FAULT_BYTES; data += FAULT_BYTES, size -= FAULT_BYTES)
		apply(&h, data);
	snapshot = fake_snapshot(&h);
	census(snapshot, &h.layout, &h.py);
	snapshot_free(snapshot);
	fake_fini(&h);
}

/* --- files --- */

static bool is_too_large(const struct snapshot *snapshot)
{
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(snapshot, &runs);
	uint64_t pages = 0;

	for (size_t i = 0; i < count; i++)
		pages += runs[i].pages;
	return pages > PAGES_MAX;
}

/* A header, and what follows the data; `data` pages are those of a made-up heap. */
static void run_file(unsigned minor, const uint8_t *data, size_t size)
{
	struct snapshot_header header;
	struct snapshot *snapshot;
	struct fake_heap h;
	struct fake_file f;

	copy(&h, minor);
	fake_file(&h, &f);
	memcpy(&header, f.bytes, sizeof(header));
	for (; size >= 4; data += 4, size -= 4) {
		size_t records = f.size - header.meta_offset, at = (size_t)(data[0] << 8 | data[1]);

		/* The header, or the records. */
		if (data[2] & 1)
			f.bytes[at % sizeof(header)] ^= data[3];
		else
			f.bytes[header.meta_offset + at % records] ^= data[3];
	}
	if (!fake_load(f.bytes, f.size, &snapshot)) {
		if (!is_too_large(snapshot) && snapshot_page_size(snapshot) == FAKE_PAGE)
			census(snapshot, &h.layout, &h.py);
		snapshot_free(snapshot);
	}
	free(f.bytes);
	fake_fini(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned minor;

	if (!size)
		return 0;
	minor = 8 + (data[0] >> 1) % 8;
	if (data[0] & 1)
		run_file(minor, data + 1, size - 1);
	else
		run_faults(minor, data + 1, size - 1);
	return 0;
}
