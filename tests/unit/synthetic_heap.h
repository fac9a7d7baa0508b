/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A heap made by hand: an interpreter's memory with types, objects and pools as CPython 3.8 to 3.12
 * lays them out, in the form of a snapshot. Whoever includes it is in control of every word.
 *
 * Three regions: data (static types, _PyRuntime, names), an arena of pools, and mappings for what
 * is too large for a pool. Addresses are the target's; word() is where such an address is in our
 * memory.
 */
#ifndef SYNTHETIC_HEAP_H
#define SYNTHETIC_HEAP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap/graph.h"
#include "heap/snapshot_file.h"
#include "python/py_heap_layouts.h"
#include "python/py_layouts.h"

#define SYNTHETIC_DATA	 0x10000000ull
#define SYNTHETIC_ARENA	 0x7f1000000000ull
#define SYNTHETIC_LARGE	 0x7f2000000000ull
#define SYNTHETIC_PAGE	 4096u
#define SYNTHETIC_CLASS	 32	     /* size classes of pools */
#define SYNTHETIC_SMALL	 512u	     /* the largest block of a pool */
#define SYNTHETIC_LISTED 256	     /* modules */
#define SYNTHETIC_FILE	 "libfoo.so" /* that the data are of */

/* tp_flags */
#define SYNTHETIC_READY	  (1ull << 12)
#define SYNTHETIC_GC	  (1ull << 14)
#define SYNTHETIC_HEAP	  (1ull << 9)
#define SYNTHETIC_LONG	  (1ull << 24)
#define SYNTHETIC_LIST	  (1ull << 25)
#define SYNTHETIC_TUPLE	  (1ull << 26)
#define SYNTHETIC_BYTES	  (1ull << 27)
#define SYNTHETIC_UNICODE (1ull << 28)
#define SYNTHETIC_DICT	  (1ull << 29)
#define SYNTHETIC_TYPE	  (1ull << 31)

struct synthetic_region {
	uint64_t start, size, used; /* bytes */
	unsigned char *memory;
	enum region_kind kind;
};

struct synthetic_heap {
	struct py_heap_layout layout;
	struct py_layout py;
	struct synthetic_region data, arena, large;
	uint64_t pool[SYNTHETIC_CLASS]; /* that blocks of a class come from */
	uint64_t runtime, interp, thread;
	struct {
		uint64_t type, str, list, tuple, dict, set, integer, floating, module, function,
			cell, code, generator, deque, weakref, bytes;
	} types;
	uint64_t names[SYNTHETIC_LISTED], modules[SYNTHETIC_LISTED];
	size_t module_count;
	bool has_modules;
	/* Made by synthetic_take(). */
	struct snapshot *snapshot;
	struct heap_types *found_types;
	struct heap_blocks *blocks;
	struct heap_graph *graph;
};

/* --- memory --- */

static inline unsigned char *synthetic_at(struct synthetic_heap *h, uint64_t addr)
{
	struct synthetic_region *regions[] = {&h->data, &h->arena, &h->large};

	for (int i = 0; i < 3; i++) {
		if (addr >= regions[i]->start && addr < regions[i]->start + regions[i]->size)
			return regions[i]->memory + (addr - regions[i]->start);
	}
	abort();
}

static inline void synthetic_set(struct synthetic_heap *h, uint64_t addr, uint64_t value)
{
	memcpy(synthetic_at(h, addr), &value, sizeof(value));
}

static inline void synthetic_set32(struct synthetic_heap *h, uint64_t addr, uint32_t value)
{
	memcpy(synthetic_at(h, addr), &value, sizeof(value));
}

static inline uint64_t synthetic_get(struct synthetic_heap *h, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, synthetic_at(h, addr), sizeof(value));
	return value;
}

static inline uint64_t synthetic_take_bytes(struct synthetic_region *r, uint64_t bytes)
{
	uint64_t addr = r->start + r->used;

	if (bytes > r->size - r->used)
		abort();
	r->used += (bytes + 15) & ~15ull;
	return addr;
}

/* Static data. */
static inline uint64_t synthetic_static(struct synthetic_heap *h, uint64_t bytes)
{
	return synthetic_take_bytes(&h->data, bytes);
}

static inline void synthetic_new_pool(struct synthetic_heap *h, uint32_t class)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t pool = h->arena.start + h->arena.used;

	if (l->pool_size > h->arena.size - h->arena.used)
		abort();
	h->arena.used += l->pool_size;
	synthetic_set32(h, pool + l->pool_szidx, class);
	synthetic_set32(h, pool + l->pool_next_offset, l->pool_overhead);
	synthetic_set32(h, pool + l->pool_max_next_offset, l->pool_size - 16 * (class + 1));
	h->pool[class] = pool;
}

static inline uint64_t synthetic_mapped(struct synthetic_heap *h, uint64_t size)
{
	uint64_t bytes = (size + 16 + SYNTHETIC_PAGE - 1) & ~(uint64_t)(SYNTHETIC_PAGE - 1);
	uint64_t addr;

	if (bytes < 2 * SYNTHETIC_PAGE)
		bytes = 2 * SYNTHETIC_PAGE; /* a smaller one is in no mapping of its own */
	addr = synthetic_take_bytes(&h->large, bytes);
	/* A chunk of glibc's that is a mapping of its own: its size, and a bit that says so. */
	synthetic_set(h, addr + 8, bytes | 2);
	return addr + 16;
}

/* A block of an allocator, zeroed. */
static inline uint64_t synthetic_alloc(struct synthetic_heap *h, uint64_t size)
{
	const struct py_heap_layout *l = &h->layout;
	uint32_t class, next;
	uint64_t pool;

	if (size > SYNTHETIC_SMALL)
		return synthetic_mapped(h, size);
	class = size ? (uint32_t)((size - 1) / 16) : 0;
	pool = h->pool[class];
	if (!pool || (uint32_t)synthetic_get(h, pool + l->pool_next_offset) + 16 * (class + 1) >
			     l->pool_size)
		synthetic_new_pool(h, class);
	pool = h->pool[class];
	next = (uint32_t)synthetic_get(h, pool + l->pool_next_offset);
	synthetic_set32(h, pool + l->pool_next_offset, next + 16 * (class + 1));
	synthetic_set32(h, pool + l->pool_ref, (uint32_t)synthetic_get(h, pool + l->pool_ref) + 1);
	return pool + next;
}

/* --- types --- */

static inline uint64_t synthetic_c_string(struct synthetic_heap *h, const char *text)
{
	uint64_t addr = synthetic_static(h, strlen(text) + 1);

	strcpy((char *)synthetic_at(h, addr), text);
	return addr;
}

/* A static type, whose own type is `type`. */
static inline uint64_t synthetic_type(struct synthetic_heap *h, const char *name, uint64_t flags,
				      uint64_t basicsize, uint64_t itemsize)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t addr = synthetic_static(h, 1024);

	synthetic_set(h, addr, 1);
	synthetic_set(h, addr + l->object_type, h->types.type ? h->types.type : addr);
	synthetic_set(h, addr + l->type_name, synthetic_c_string(h, name));
	synthetic_set(h, addr + l->type_basicsize, basicsize);
	synthetic_set(h, addr + l->type_itemsize, itemsize);
	synthetic_set(h, addr + l->type_flags, flags | SYNTHETIC_READY);
	return addr;
}

static inline void synthetic_make_types(struct synthetic_heap *h)
{
	const struct py_heap_layout *l = &h->layout;
	const uint64_t word = 8, gc = SYNTHETIC_GC;

	h->types.type = synthetic_type(h, "type", gc | SYNTHETIC_TYPE, 880, 40);
	h->types.str = synthetic_type(h, "str", SYNTHETIC_UNICODE, l->unicode_data + word, 0);
	h->types.list = synthetic_type(h, "list", gc | SYNTHETIC_LIST, l->list_items + 2 * word, 0);
	h->types.tuple = synthetic_type(h, "tuple", gc | SYNTHETIC_TUPLE, l->tuple_items, word);
	h->types.dict = synthetic_type(h, "dict", gc | SYNTHETIC_DICT, l->dict_values + word, 0);
	h->types.set = synthetic_type(h, "set", gc, l->set_small_table + 17 * word, 0);
	h->types.integer = synthetic_type(h, "int", SYNTHETIC_LONG, l->long_digits, 4);
	h->types.floating = synthetic_type(h, "float", 0, l->object_head + word, 0);
	h->types.bytes = synthetic_type(h, "bytes", SYNTHETIC_BYTES, 33, 1);
	h->types.module = synthetic_type(h, "module", gc, l->module_name + word, 0);
	h->types.function = synthetic_type(h, "function", gc, 152, 0);
	h->types.cell = synthetic_type(h, "cell", gc, l->cell_content + word, 0);
	h->types.code = synthetic_type(h, "code", 0, 200, 2);
	h->types.generator = synthetic_type(h, "generator", gc, 200, 8);
	h->types.deque = synthetic_type(h, "collections.deque", gc, 200, 0);
	h->types.weakref = synthetic_type(h, "weakref", gc, 72, 0);
}

/* --- objects --- */

static inline uint64_t synthetic_type_flags(struct synthetic_heap *h, uint64_t type)
{
	return synthetic_get(h, type + h->layout.type_flags);
}

/* An object of `type`, `size` bytes from its start on, all of them 0 but for its head. */
static inline uint64_t synthetic_object(struct synthetic_heap *h, uint64_t type, uint64_t size)
{
	uint64_t flags = synthetic_type_flags(h, type);
	uint64_t before = (flags & SYNTHETIC_GC ? h->layout.gc_head : 0) +
			  (flags & h->layout.pre_flags ? h->layout.pre_bytes : 0);
	uint64_t addr = synthetic_alloc(h, before + size) + before;

	synthetic_set(h, addr, 1);
	synthetic_set(h, addr + h->layout.object_type, type);
	return addr;
}

static inline uint64_t synthetic_plain(struct synthetic_heap *h, uint64_t type)
{
	return synthetic_object(h, type, synthetic_get(h, type + h->layout.type_basicsize));
}

/* ASCII. */
static inline uint64_t synthetic_str(struct synthetic_heap *h, const char *text)
{
	size_t length = strlen(text);
	uint64_t addr = synthetic_object(h, h->types.str, h->py.unicode_ascii_size + length + 1);

	synthetic_set(h, addr + h->py.unicode_length, length);
	synthetic_set32(h, addr + h->py.unicode_state,
			1u << h->py.unicode_kind_shift | 1u << h->py.unicode_compact_shift |
				1u << h->py.unicode_ascii_shift);
	strcpy((char *)synthetic_at(h, addr + h->py.unicode_ascii_size), text);
	return addr;
}

static inline uint64_t synthetic_int(struct synthetic_heap *h, int32_t value)
{
	uint64_t addr = synthetic_object(h, h->types.integer, h->layout.long_digits + 4);
	uint32_t digit = (uint32_t)(value < 0 ? -(int64_t)value : value);

	if (h->layout.flags & PY_HEAP_LONG_TAG)
		synthetic_set(h, addr + h->layout.long_tag, 1 << 3 | (value < 0 ? 2 : 0));
	else
		synthetic_set(h, addr + h->layout.long_tag, value < 0 ? UINT64_MAX : 1);
	synthetic_set32(h, addr + h->layout.long_digits, digit);
	return addr;
}

static inline uint64_t synthetic_tuple(struct synthetic_heap *h, const uint64_t *items,
				       uint64_t count)
{
	uint64_t addr =
		synthetic_object(h, h->types.tuple, h->layout.tuple_items + count * sizeof(*items));

	synthetic_set(h, addr + h->layout.object_size, count);
	for (uint64_t i = 0; i < count; i++)
		synthetic_set(h, addr + h->layout.tuple_items + i * sizeof(*items), items[i]);
	return addr;
}

/* With room for `room` items in its buffer, of which `count` are in use. */
static inline uint64_t synthetic_list(struct synthetic_heap *h, const uint64_t *items,
				      uint64_t count, uint64_t room)
{
	uint64_t addr = synthetic_plain(h, h->types.list);
	uint64_t buffer = synthetic_alloc(h, (room ? room : 1) * sizeof(*items));

	synthetic_set(h, addr + h->layout.object_size, count);
	synthetic_set(h, addr + h->layout.list_items, buffer);
	for (uint64_t i = 0; i < room && items; i++)
		synthetic_set(h, buffer + i * sizeof(*items), items[i]);
	return addr;
}

/* PyDictKeysObject with general entries. */
static inline uint64_t synthetic_keys(struct synthetic_heap *h, const uint64_t *keys,
				      const uint64_t *values, uint64_t count)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t slots = 8, index_bytes, addr, entry;
	unsigned log2 = 3;

	while (slots < count + count / 2 + 1) {
		slots *= 2;
		log2++;
	}
	index_bytes = slots * (slots <= 0xff ? 1 : slots <= 0xffff ? 2 : 4);
	addr = synthetic_alloc(h, l->keys_indices + index_bytes + count * l->entry_size);
	synthetic_set(h, addr + l->keys_nentries, count);
	if (l->flags & PY_HEAP_OLD_KEYS) {
		synthetic_set(h, addr + l->keys_size, slots);
	} else {
		*synthetic_at(h, addr + l->keys_log2_size) = (unsigned char)log2;
		*synthetic_at(h, addr + l->keys_log2_index_bytes) =
			(unsigned char)(63 - __builtin_clzll(index_bytes));
		*synthetic_at(h, addr + l->keys_kind) = (unsigned char)l->keys_kind_general;
	}
	for (uint64_t i = 0; i < count; i++) {
		entry = addr + l->keys_indices + index_bytes + i * l->entry_size;
		synthetic_set(h, entry, 0x1234567); /* a hash */
		synthetic_set(h, entry + l->entry_key, keys[i]);
		synthetic_set(h, entry + l->entry_value, values ? values[i] : 0);
	}
	return addr;
}

static inline uint64_t synthetic_dict(struct synthetic_heap *h, const uint64_t *keys,
				      const uint64_t *values, uint64_t count)
{
	uint64_t addr = synthetic_plain(h, h->types.dict);

	synthetic_set(h, addr + h->layout.dict_used, count);
	synthetic_set(h, addr + h->layout.dict_keys, synthetic_keys(h, keys, values, count));
	return addr;
}

/* A dict of names. */
static inline uint64_t synthetic_names(struct synthetic_heap *h, const char *const *names,
				       const uint64_t *values, uint64_t count)
{
	uint64_t keys[64], *all = count <= 64 ? keys : calloc(count, sizeof(*all)), dict;

	for (uint64_t i = 0; i < count; i++)
		all[i] = synthetic_str(h, names[i]);
	dict = synthetic_dict(h, all, values, count);
	if (all != keys)
		free(all);
	return dict;
}

static inline void synthetic_module(struct synthetic_heap *h, const char *name, uint64_t dict)
{
	uint64_t module = synthetic_plain(h, h->types.module);

	synthetic_set(h, module + h->layout.module_dict, dict);
	h->names[h->module_count] = synthetic_str(h, name);
	h->modules[h->module_count++] = module;
}

/* --- all of it --- */

static inline void synthetic_map(struct synthetic_region *r, uint64_t start, uint64_t size,
				 enum region_kind kind)
{
	r->start = start;
	r->size = size;
	r->kind = kind;
	r->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->memory == MAP_FAILED)
		abort();
}

/* As far as the layouts have fields of it. */
static inline uint64_t synthetic_interp_bytes(const struct synthetic_heap *h)
{
	uint64_t bytes = h->layout.interp_modules;

	if (h->layout.interp_interned != PY_NONE && h->layout.interp_interned > bytes)
		bytes = h->layout.interp_interned;
	if (h->py.interp_thread_head > bytes)
		bytes = h->py.interp_thread_head;
	return bytes + 64;
}

/* CPython 3.`minor`, 8 to 12, with a heap of at most `bytes` in pools and as much in mappings. */
static inline void synthetic_begin(struct synthetic_heap *h, unsigned minor, uint64_t bytes)
{
	struct py_process process = {.major = 3, .minor = minor, .micro = 1};

	memset(h, 0, sizeof(*h));
	if (py_layout_from_table(3, minor, &process.layout) ||
	    py_heap_layout_find(&process, &h->layout))
		abort();
	h->py = process.layout;
	synthetic_map(&h->data, SYNTHETIC_DATA, 2 << 20, REGION_FILE);
	synthetic_map(&h->arena, SYNTHETIC_ARENA, bytes, REGION_ANONYMOUS);
	synthetic_map(&h->large, SYNTHETIC_LARGE, bytes, REGION_ANONYMOUS);
	synthetic_make_types(h);
	h->runtime = synthetic_static(h, 4096);
	h->interp = synthetic_static(h, synthetic_interp_bytes(h));
	h->thread = synthetic_static(h, 4096);
	synthetic_set(h, h->runtime + h->layout.runtime_interp_head, h->interp);
	synthetic_set(h, h->interp + h->py.interp_thread_head, h->thread);
}

/* Whole pages that are in use. */
static inline uint64_t synthetic_pages(const struct synthetic_region *r)
{
	return (r->used + SYNTHETIC_PAGE - 1) / SYNTHETIC_PAGE;
}

static inline void synthetic_write(int fd, const void *data, size_t bytes, uint64_t *at)
{
	if (pwrite(fd, data, bytes, (off_t)*at) != (ssize_t)bytes)
		abort();
	*at += (bytes + 7) & ~7ull;
}

/* The file that a snapshot is (heap/snapshot_file.h). */
static inline int synthetic_file(struct synthetic_heap *h)
{
	const struct synthetic_region *all[] = {&h->data, &h->arena, &h->large};
	static const char names[] = "\0/usr/lib/" SYNTHETIC_FILE;
	int fd = (int)syscall(SYS_memfd_create, "synthetic", 0);
	struct snapshot_header header = {
		.magic = SNAPSHOT_MAGIC_FIELD,
		.page_shift = 12,
		.pid = 1,
		.paused_ms = -1,
		.names_bytes = sizeof(names),
	};
	struct snapshot_file_region regions[3];
	struct snapshot_file_mapping mappings[3];
	struct snapshot_run runs[3];
	uint64_t at = SNAPSHOT_DATA;

	for (int i = 0; i < 3; i++) {
		uint64_t bytes = synthetic_pages(all[i]) * SYNTHETIC_PAGE;

		if (!bytes)
			continue;
		synthetic_write(fd, all[i]->memory, bytes, &at);
		header.data_pages += synthetic_pages(all[i]);
		regions[header.regions] = (struct snapshot_file_region){
			all[i]->start, all[i]->start + bytes, all[i]->kind, 6, !i};
		mappings[header.regions] =
			(struct snapshot_file_mapping){all[i]->start, all[i]->start + bytes};
		runs[header.regions++] =
			(struct snapshot_run){all[i]->start, (uint32_t)synthetic_pages(all[i]),
					      PAGE_RESIDENT | PAGE_COPIED};
	}
	header.mappings = header.runs = header.regions;
	header.meta_offset = at;
	synthetic_write(fd, regions, header.regions * sizeof(*regions), &at);
	synthetic_write(fd, mappings, header.regions * sizeof(*mappings), &at);
	synthetic_write(fd, runs, header.regions * sizeof(*runs), &at);
	synthetic_write(fd, names, sizeof(names), &at);
	at = 0;
	synthetic_write(fd, &header, sizeof(header), &at);
	return fd;
}

/* sys.modules: no module can be added after that. */
static inline void synthetic_list_modules(struct synthetic_heap *h)
{
	synthetic_set(h, h->interp + h->layout.interp_modules,
		      synthetic_dict(h, h->names, h->modules, h->module_count));
	h->has_modules = true;
}

/* The snapshot, its types and its blocks. 0 or -errno. */
static inline int synthetic_take(struct synthetic_heap *h)
{
	int fd, err;

	if (!h->has_modules)
		synthetic_list_modules(h);
	fd = synthetic_file(h);
	err = snapshot_load(fd, &h->snapshot);
	close(fd);
	if (err)
		return err;
	h->found_types = heap_types_new(h->snapshot, &h->layout, &h->py);
	if (!h->found_types)
		return -ENOMEM;
	return heap_blocks_find(h->snapshot, &h->layout, h->found_types, &h->blocks);
}

static inline int synthetic_build(struct synthetic_heap *h)
{
	int err = synthetic_take(h);

	if (err)
		return err;
	return heap_graph_build(h->snapshot, &h->layout, &h->py, h->runtime, h->found_types,
				h->blocks, &h->graph);
}

static inline void synthetic_end(struct synthetic_heap *h)
{
	heap_graph_free(h->graph);
	heap_blocks_free(h->blocks);
	heap_types_free(h->found_types);
	snapshot_free(h->snapshot);
	munmap(h->data.memory, h->data.size);
	munmap(h->arena.memory, h->arena.size);
	munmap(h->large.memory, h->large.size);
}

/* The block of an object or a buffer. */
static inline uint32_t synthetic_block(struct synthetic_heap *h, uint64_t addr)
{
	return heap_blocks_find_addr(h->blocks, addr);
}

#endif
