/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process's memory, made up: regions and bytes at addresses, which become a snapshot by way of
 * the file that a snapshot is. On top of it what CPython and glibc put there: types, pools, chunks.
 *
 * All functions are static: a test includes this and links the library. */
#ifndef FAKE_HEAP_H
#define FAKE_HEAP_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/blocks.h"
#include "heap/snapshot_file.h"
#include "python/py_heap_layouts.h"
#include "python/py_layouts.h"

#define FAKE_PAGE    4096u
#define FAKE_REGIONS 32
#define FAKE_UNUSED  __attribute__((unused))

struct fake_page {
	uint64_t addr;
	uint32_t state;
	unsigned char data[FAKE_PAGE];
};

struct fake_heap {
	struct snapshot_file_region regions[FAKE_REGIONS];
	size_t region_count;
	char names[4096];
	size_t names_bytes;
	struct fake_page *pages;
	size_t page_count, page_room;
	struct snapshot_file_thread threads[8];
	size_t thread_count;
	double paused_ms;
	struct py_heap_layout layout;
	struct py_layout py;
	uint64_t type_type, str_type; /* fake_python() */
	uint64_t static_at;	      /* where the next static type goes */
};

/* --- memory --- */

static FAKE_UNUSED void fake_init(struct fake_heap *h)
{
	memset(h, 0, sizeof(*h));
	h->names_bytes = 1;
	h->paused_ms = -1;
}

static FAKE_UNUSED void fake_fini(struct fake_heap *h)
{
	free(h->pages);
	h->pages = NULL;
}

/* Regions must come in order of address. rights: 4 readable, 2 writable, 1 executable. */
static FAKE_UNUSED void fake_region(struct fake_heap *h, uint64_t start, uint64_t end,
				    enum region_kind kind, unsigned rights, const char *name)
{
	size_t length = strlen(name) + 1;

	h->regions[h->region_count++] =
		(struct snapshot_file_region){start, end, kind, rights, h->names_bytes};
	memcpy(h->names + h->names_bytes, name, length);
	h->names_bytes += length;
}

static FAKE_UNUSED struct fake_page *fake_page_at(struct fake_heap *h, uint64_t addr)
{
	addr &= ~(uint64_t)(FAKE_PAGE - 1);
	for (size_t i = h->page_count; i-- > 0;) {
		if (h->pages[i].addr == addr)
			return &h->pages[i];
	}
	if (h->page_count == h->page_room) {
		h->page_room = 2 * h->page_room + 16;
		h->pages = realloc(h->pages, h->page_room * sizeof(*h->pages));
		if (!h->pages)
			abort();
	}
	h->pages[h->page_count] =
		(struct fake_page){.addr = addr, .state = PAGE_RESIDENT | PAGE_COPIED};
	return &h->pages[h->page_count++];
}

/* Its pages are resident and copied from now on. */
static FAKE_UNUSED void fake_bytes(struct fake_heap *h, uint64_t addr, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		size_t offset = addr % FAKE_PAGE, part = FAKE_PAGE - offset;

		if (part > len)
			part = len;
		memcpy(fake_page_at(h, addr)->data + offset, from, part);
		from += part;
		addr += part;
		len -= part;
	}
}

static FAKE_UNUSED void fake_word(struct fake_heap *h, uint64_t addr, uint64_t word)
{
	fake_bytes(h, addr, &word, sizeof(word));
}

static FAKE_UNUSED void fake_half(struct fake_heap *h, uint64_t addr, uint32_t half)
{
	fake_bytes(h, addr, &half, sizeof(half));
}

static FAKE_UNUSED uint64_t fake_get(struct fake_heap *h, uint64_t addr)
{
	uint64_t word;

	memcpy(&word, fake_page_at(h, addr)->data + addr % FAKE_PAGE, sizeof(word));
	return word;
}

/* Makes each page of [start, end) resident, as zeros where nothing was written. */
static FAKE_UNUSED void fake_touch(struct fake_heap *h, uint64_t start, uint64_t end)
{
	for (; start < end; start += FAKE_PAGE)
		fake_page_at(h, start);
}

/* Another state of a page: 0: not resident; without PAGE_COPIED its bytes are not in the file. */
static FAKE_UNUSED void fake_state(struct fake_heap *h, uint64_t addr, uint32_t state)
{
	fake_page_at(h, addr)->state = state;
}

/* --- the file --- */

struct fake_file {
	unsigned char *bytes;
	size_t size;
};

static int fake_order(const void *a, const void *b)
{
	const struct fake_page *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static FAKE_UNUSED void fake_append(struct fake_file *f, const void *data, size_t bytes)
{
	size_t rounded = (bytes + 7) & ~7ul;

	f->bytes = realloc(f->bytes, f->size + rounded);
	if (!f->bytes)
		abort();
	memset(f->bytes + f->size, 0, rounded);
	if (bytes)
		memcpy(f->bytes + f->size, data, bytes);
	f->size += rounded;
}

/* Is page `i` the first of a region or of another state than the one before it? */
static FAKE_UNUSED bool fake_begins_run(const struct fake_heap *h, size_t i)
{
	if (!i || h->pages[i - 1].addr + FAKE_PAGE != h->pages[i].addr ||
	    h->pages[i - 1].state != h->pages[i].state)
		return true;
	for (size_t r = 0; r < h->region_count; r++) {
		if (h->regions[r].start == h->pages[i].addr)
			return true;
	}
	return false;
}

static FAKE_UNUSED void fake_sort(struct fake_heap *h)
{
	size_t kept = 0;

	if (h->page_count)
		qsort(h->pages, h->page_count, sizeof(*h->pages), fake_order);
	for (size_t i = 0; i < h->page_count; i++) {
		if (h->pages[i].state)
			h->pages[kept++] = h->pages[i];
	}
	h->page_count = kept;
}

static FAKE_UNUSED void fake_append_runs(struct fake_heap *h, struct fake_file *f, uint64_t *runs)
{
	struct snapshot_run run = {.pages = 0};

	for (size_t i = 0; i < h->page_count; i++) {
		if (fake_begins_run(h, i)) {
			if (run.pages) {
				fake_append(f, &run, sizeof(run));
				(*runs)++;
			}
			run = (struct snapshot_run){h->pages[i].addr, 0, h->pages[i].state};
		}
		run.pages++;
	}
	if (run.pages) {
		fake_append(f, &run, sizeof(run));
		(*runs)++;
	}
}

/* The file; the caller frees f->bytes. */
static FAKE_UNUSED void fake_file(struct fake_heap *h, struct fake_file *f)
{
	struct snapshot_header header = {
		.magic = SNAPSHOT_MAGIC_FIELD,
		.page_shift = 12,
		.pid = 4711,
		.paused_ms = h->paused_ms,
		.regions = h->region_count,
		.mappings = h->region_count,
		.threads = h->thread_count,
		.names_bytes = h->names_bytes,
	};

	fake_sort(h);
	*f = (struct fake_file){calloc(1, SNAPSHOT_DATA), SNAPSHOT_DATA};
	for (size_t i = 0; i < h->page_count; i++) {
		if (h->pages[i].state & PAGE_COPIED) {
			fake_append(f, h->pages[i].data, FAKE_PAGE);
			header.data_pages++;
		}
	}
	header.meta_offset = f->size;
	fake_append(f, h->regions, h->region_count * sizeof(h->regions[0]));
	for (size_t i = 0; i < h->region_count; i++)
		fake_append(f, &h->regions[i].start, 2 * sizeof(uint64_t));
	fake_append_runs(h, f, &header.runs);
	fake_append(f, h->threads, h->thread_count * sizeof(h->threads[0]));
	fake_append(f, h->names, h->names_bytes);
	memcpy(f->bytes, &header, sizeof(header));
}

/* snapshot_load() of `size` bytes. */
static FAKE_UNUSED int fake_load(const void *bytes, size_t size, struct snapshot **snapshot)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC), err;

	if (fd < 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size)
		abort();
	err = snapshot_load(fd, snapshot);
	close(fd);
	return err;
}

static FAKE_UNUSED struct snapshot *fake_snapshot(struct fake_heap *h)
{
	struct snapshot *snapshot;
	struct fake_file f;

	fake_file(h, &f);
	if (fake_load(f.bytes, f.size, &snapshot))
		abort();
	free(f.bytes);
	return snapshot;
}

/* --- CPython --- */

#define FAKE_STATIC   0x560000000000ull /* the interpreter's data */
#define FAKE_ARENAS   0x7f0000000000ull /* 16 MiB of anonymous memory */
#define FAKE_HEAP     0x561000000000ull /* 4 MiB of [heap] */
#define FAKE_READY    (1ull << 12)
#define FAKE_GC	      (1ull << 14)
#define FAKE_HEAPTYPE (1ull << 9)
#define FAKE_TYPES    (1ull << 31)

/* A static type; its address. `flags` beside that it is ready. */
static FAKE_UNUSED uint64_t fake_type(struct fake_heap *h, const char *name, uint64_t basicsize,
				      uint64_t itemsize, uint64_t flags)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t type = h->static_at, text = type + 1024;

	h->static_at += 2048;
	fake_word(h, type, 1000);
	fake_word(h, type + l->object_type, h->type_type ? h->type_type : type);
	fake_word(h, type + l->type_name, text);
	fake_word(h, type + l->type_basicsize, basicsize);
	fake_word(h, type + l->type_itemsize, itemsize);
	fake_word(h, type + l->type_flags, flags | FAKE_READY);
	fake_bytes(h, text, name, strlen(name) + 1);
	return type;
}

/* Layouts of that version, regions, `type` and `str`. */
static FAKE_UNUSED void fake_python(struct fake_heap *h, unsigned minor)
{
	struct py_process process = {.major = 3, .minor = minor};

	fake_init(h);
	if (py_heap_layout_find(&process, &h->layout))
		abort();
	/* How a str is read differs in sizes alone from 3.12 on, of which no table is public. */
	if (py_layout_from_table(3, minor > 12 ? 12 : minor, &h->py))
		abort();
	h->static_at = FAKE_STATIC;
	fake_region(h, FAKE_STATIC, FAKE_STATIC + (1 << 20), REGION_FILE, 6, "/usr/bin/python3");
	fake_region(h, FAKE_HEAP, FAKE_HEAP + (4 << 20), REGION_HEAP, 6, "[heap]");
	fake_region(h, FAKE_ARENAS, FAKE_ARENAS + (16 << 20), REGION_ANONYMOUS, 6, "");
	h->type_type = fake_type(h, "type", h->layout.type_size, 40, FAKE_GC | FAKE_TYPES);
	h->str_type = fake_type(h, "str", 80, 0, 1ull << 28);
}

/* A pool at `addr` with blocks of `size` bytes, of which `carved` were handed out once and are in
 * use. Whatever its blocks hold is left as it is. */
static FAKE_UNUSED void fake_pool(struct fake_heap *h, uint64_t addr, uint32_t size,
				  uint32_t carved, uint32_t arena)
{
	const struct py_heap_layout *l = &h->layout;

	fake_half(h, addr + l->pool_ref, carved);
	fake_word(h, addr + l->pool_freeblock, 0);
	fake_half(h, addr + l->pool_arena, arena);
	fake_half(h, addr + l->pool_szidx, size / 16 - 1);
	fake_half(h, addr + l->pool_next_offset, l->pool_overhead + carved * size);
	fake_half(h, addr + l->pool_max_next_offset, l->pool_size - size);
	fake_touch(h, addr, addr + l->pool_overhead + (uint64_t)carved * size);
}

static FAKE_UNUSED uint64_t fake_block(const struct fake_heap *h, uint64_t pool, uint32_t size,
				       uint32_t index)
{
	return pool + h->layout.pool_overhead + (uint64_t)index * size;
}

/* Gives a block back, as pymalloc does. */
static FAKE_UNUSED void fake_free(struct fake_heap *h, uint64_t pool, uint64_t block)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t ref = fake_get(h, pool + l->pool_ref);

	fake_word(h, block, fake_get(h, pool + l->pool_freeblock));
	fake_word(h, pool + l->pool_freeblock, block);
	fake_half(h, pool + l->pool_ref, (uint32_t)ref - 1);
}

/* An object: its count and its type. */
static FAKE_UNUSED void fake_object(struct fake_heap *h, uint64_t addr, uint64_t count,
				    uint64_t type)
{
	fake_word(h, addr, count);
	fake_word(h, addr + h->layout.object_type, type);
}

/* An ASCII str. */
static FAKE_UNUSED void fake_text(struct fake_heap *h, uint64_t addr, const char *text)
{
	uint32_t state = 1u << h->py.unicode_kind_shift | 1u << h->py.unicode_compact_shift |
			 1u << h->py.unicode_ascii_shift;

	fake_object(h, addr, 1, h->str_type);
	fake_word(h, addr + h->py.unicode_length, strlen(text));
	fake_half(h, addr + h->py.unicode_state, state);
	fake_bytes(h, addr + h->py.unicode_ascii_size, text, strlen(text) + 1);
}

/* --- glibc --- */

/* The head of a chunk; `flags`: 1 the one before it is in use, 2 mapped, 4 of another arena. */
static FAKE_UNUSED void fake_chunk(struct fake_heap *h, uint64_t addr, uint64_t size,
				   unsigned flags)
{
	fake_word(h, addr + 8, size | flags);
}

#endif
