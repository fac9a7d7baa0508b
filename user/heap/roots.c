/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/roots.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "heap/object_read.h"

#define INTERPS_MAX    4096
#define WORD	       sizeof(uint64_t)
#define LOWEST_ADDRESS 65536

int heap_roots_add(struct heap_roots *roots, struct heap_root root)
{
	if (!ARRAY_HAS_ROOM(roots->list, roots->count, roots->room))
		return -ENOMEM;
	roots->list[roots->count++] = root;
	return 0;
}

void heap_roots_fini(struct heap_roots *roots)
{
	free(roots->list);
	*roots = (struct heap_roots){0};
}

int heap_each_interp(const struct heap_view *view,
		     int (*fn)(void *arg, uint64_t interp, unsigned number), void *arg)
{
	uint64_t interp =
		snapshot_word(view->snapshot, view->runtime_addr + view->heap->runtime_interp_head);
	int err = 0;

	for (unsigned i = 0; interp && i < INTERPS_MAX && !err; i++) {
		err = fn(arg, interp, i);
		interp = snapshot_word(view->snapshot, interp + view->py->interp_next);
	}
	return err;
}

/* --- modules --- */

struct finder {
	struct heap_roots *roots;
	const struct heap_view *view;
	uint32_t place; /* number of the next module */
};

static int add_module(const struct finder *f, uint64_t name, uint64_t module, unsigned interp)
{
	const struct heap_view *view = f->view;
	struct heap_root root = {
		.kind = ROOT_MODULE_DICT,
		.tier = ROOT_MODULE,
		.interp = (uint16_t)interp,
		.index = f->place,
		.where = name,
	};

	root.block = view_target(view, module);
	if (view_is(view, root.block, TYPE_MODULE)) {
		root.block = view_target(view, object_word(view, module + view->heap->module_dict));
	} else {
		root.kind = ROOT_MODULE_OBJECT;
	}
	return root.block == BLOCK_NONE ? 0 : heap_roots_add(f->roots, root);
}

static int add_modules(void *arg, uint64_t interp, unsigned number)
{
	struct finder *f = arg;
	uint64_t modules = object_word(f->view, interp + f->view->heap->interp_modules);
	struct object_items items;
	int err = 0;

	if (!object_items_begin(&items, f->view, modules))
		return 0;
	if (!f->roots->modules)
		f->roots->modules = modules;
	for (; !err && object_items_next(&items); f->place++) {
		if (items.key && items.value)
			err = add_module(f, items.key, items.value, number);
	}
	return err;
}

int heap_roots_modules(struct heap_roots *roots, const struct heap_view *view)
{
	struct finder finder = {.roots = roots, .view = view};

	return heap_each_interp(view, add_modules, &finder);
}

/* --- C data and stacks --- */

struct scan {
	struct heap_roots *roots;
	const struct heap_view *view;
	bool (*take)(void *arg, uint32_t block);
	void *arg;
};

static bool may_hold_roots(enum page_claim claim)
{
	return claim == CLAIM_NONE || claim == CLAIM_STACK;
}

/* The lowest address in use of a region. If it holds stacks, what is below the lowest stack pointer
 * is no longer in use. */
static uint64_t lowest_in_use(const struct heap_view *view, const struct region *region)
{
	const struct snapshot_thread *threads;
	size_t count = snapshot_threads(view->snapshot, &threads);
	uint64_t lowest = UINT64_MAX;

	for (size_t i = 0; i < count; i++) {
		uint64_t pointer = threads[i].stack_pointer;

		if (pointer >= region->start && pointer < region->end && pointer < lowest)
			lowest = pointer & ~(WORD - 1);
	}
	return lowest == UINT64_MAX ? region->start : lowest;
}

static int scan_words(struct scan *s, uint64_t addr, uint64_t end)
{
	const uint64_t *words = snapshot_at(s->view->snapshot, addr, end - addr);
	int err = 0;

	for (uint64_t i = 0; words && i < (end - addr) / WORD && !err; i++) {
		uint32_t block =
			words[i] < LOWEST_ADDRESS ? BLOCK_NONE : view_target(s->view, words[i]);

		if (block != BLOCK_NONE && s->take(s->arg, block))
			err = heap_roots_add(s->roots, (struct heap_root){
							       .block = block,
							       .kind = ROOT_DATA,
							       .tier = ROOT_C,
							       .where = addr + i * WORD,
						       });
	}
	return err;
}

static int scan_run(struct scan *s, const struct snapshot_run *run, uint64_t lowest)
{
	uint64_t page = snapshot_page_size(s->view->snapshot), at = run->start;
	uint64_t end = at + run->pages * page;
	int err = 0;

	for (; at < end && !err; at += page) {
		uint64_t from = at < lowest ? lowest : at;

		if (from < at + page && may_hold_roots(heap_blocks_claim(s->view->blocks, at)))
			err = scan_words(s, from, at + page);
	}
	return err;
}

int heap_roots_data(struct heap_roots *roots, const struct heap_view *view,
		    bool (*take)(void *arg, uint32_t block), void *arg)
{
	struct scan scan = {.roots = roots, .view = view, .take = take, .arg = arg};
	const struct region *region = NULL;
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(view->snapshot, &runs);
	uint64_t lowest = 0;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!(runs[i].state & PAGE_COPIED))
			continue;
		if (!region || runs[i].start >= region->end) {
			region = snapshot_region_of(view->snapshot, runs[i].start);
			if (!region)
				continue;
			lowest = lowest_in_use(view, region);
		}
		err = scan_run(&scan, &runs[i], lowest);
	}
	return err;
}
