/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Locals of the functions that run in each thread. */
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "heap/object_read.h"
#include "heap/roots.h"

#define WORD	    sizeof(uint64_t)
#define THREADS_MAX 65536
#define FRAMES_MAX  (1u << 20) /* of all threads */
#define SLOTS_MAX   65536
#define TAG_MASK    3ull
#define TAG_INTEGER 3ull
/* Frames without a code object. If there are more, this is no list of frames. */
#define FRAMES_BAD 1024

struct thread_list {
	uint64_t *list; /* PyThreadState *, the newest first */
	size_t count, room;
};

struct walk {
	struct heap_roots *roots;
	const struct heap_view *view;
	unsigned frames, bad; /* seen so far */
	unsigned interp;
	uint32_t thread;
	uint64_t code; /* of the present frame */
};

static int add_slot(struct walk *w, enum root_kind kind, enum root_tier tier, uint32_t index,
		    uint64_t word)
{
	uint32_t block;

	if (w->view->heap->flags & PY_HEAP_LOCALS_TAGGED) {
		if ((word & TAG_MASK) == TAG_INTEGER)
			return 0;
		word &= ~TAG_MASK;
	}
	block = word ? view_target(w->view, word) : BLOCK_NONE;
	if (block == BLOCK_NONE)
		return 0;
	return heap_roots_add(w->roots, (struct heap_root){
						.block = block,
						.kind = (uint8_t)kind,
						.tier = (uint8_t)tier,
						.interp = (uint16_t)w->interp,
						.index = index,
						.thread = w->thread,
						.where = w->code,
					});
}

/* Adds roots for `count` slots from `addr` on. */
static int add_slots(struct walk *w, enum root_kind kind, enum root_tier tier, uint64_t addr,
		     uint32_t count)
{
	int err = 0;

	for (uint32_t i = 0; i < count && !err; i++)
		err = add_slot(w, kind, tier, i, snapshot_word(w->view->snapshot, addr + i * WORD));
	return err;
}

static uint32_t count_within(int64_t count)
{
	return count < 0 ? 0 : count > SLOTS_MAX ? SLOTS_MAX : (uint32_t)count;
}

static uint64_t tuple_size(const struct heap_view *view, uint64_t tuple)
{
	return object_is(view, tuple, TYPE_TUPLE)
		       ? object_word(view, tuple + view->heap->object_size)
		       : 0;
}

/* Variables of the code object: locals, cells, free variables. */
static uint32_t variables_of(const struct walk *w)
{
	const struct heap_view *view = w->view;
	const struct py_heap_layout *heap = view->heap;
	int64_t count;

	if (!(heap->flags & PY_HEAP_FRAME_OBJECTS))
		return count_within(object_int(view, w->code + heap->code_nlocalsplus));
	count = object_int(view, w->code + heap->code_nlocals);
	count += (int64_t)tuple_size(view, object_word(view, w->code + heap->code_cellvars));
	count += (int64_t)tuple_size(view, object_word(view, w->code + heap->code_freevars));
	return count_within(count);
}

/* How many slots behind the variables are in use; -1: the function runs, and the top of its stack
 * is not in memory. */
static int64_t stack_depth(const struct walk *w, uint64_t frame, uint32_t variables)
{
	const struct heap_view *view = w->view;
	const struct py_heap_layout *heap = view->heap;
	bool old = heap->flags & PY_HEAP_FRAME_OBJECTS;
	uint64_t stack = old ? snapshot_word(view->snapshot, frame + heap->frame_value_stack)
			     : frame + heap->frame_localsplus + variables * WORD;
	uint64_t top;
	int64_t depth;

	if (heap->flags & PY_HEAP_STACK_TOP_INT) {
		depth = object_int(view, frame + heap->frame_stack_top);
		if (depth < 0 || old)
			return depth;
		return depth < variables ? 0 : depth - variables;
	}
	top = snapshot_word(view->snapshot, frame + heap->frame_stack_top);
	if (!top)
		return -1;
	return top < stack || (top - stack) / WORD > SLOTS_MAX ? 0
							       : (int64_t)((top - stack) / WORD);
}

/* Adds the value stack of a frame. While a function runs, its top may be in a register only. Then
 * all of the stack is looked at, and its roots are of a weaker tier, as they may be long dead. */
static int add_temporaries(struct walk *w, uint64_t frame, uint32_t variables)
{
	const struct py_heap_layout *heap = w->view->heap;
	uint64_t stack = frame + heap->frame_localsplus + variables * WORD;
	int64_t depth = stack_depth(w, frame, variables);
	enum root_tier tier = ROOT_FRAME;

	if (depth < 0) {
		depth = object_int(w->view, w->code + heap->code_stacksize);
		tier = ROOT_STACK;
	}
	return add_slots(w, ROOT_TEMPORARY, tier, stack, count_within(depth));
}

static int add_frame(struct walk *w, uint64_t frame)
{
	const struct heap_view *view = w->view;
	const struct py_heap_layout *heap = view->heap;
	uint32_t variables = variables_of(w);
	uint64_t names;
	int err;

	err = add_slots(w, ROOT_LOCAL, ROOT_FRAME, frame + heap->frame_localsplus, variables);
	if (!err)
		err = add_temporaries(w, frame, variables);
	names = snapshot_word(view->snapshot, frame + heap->frame_globals);
	if (!err)
		err = add_slot(w, ROOT_GLOBALS, ROOT_FRAME, 0, names);
	names = snapshot_word(view->snapshot, frame + heap->frame_locals);
	if (!err)
		err = add_slot(w, ROOT_GLOBALS, ROOT_FRAME, 0, names);
	return err;
}

static uint64_t code_of(const struct walk *w, uint64_t frame)
{
	uint64_t code = snapshot_word(w->view->snapshot, frame + w->view->py->frame_code);

	return w->view->py->flags & PY_EXECUTABLE_TAGGED ? code & ~TAG_MASK : code;
}

static uint64_t innermost_frame(const struct walk *w, uint64_t thread)
{
	const struct py_layout *py = w->view->py;
	uint64_t frame = snapshot_word(w->view->snapshot, thread + py->tstate_frame);

	return py->flags & PY_TSTATE_CFRAME && frame
		       ? snapshot_word(w->view->snapshot, frame + py->cframe_frame)
		       : frame;
}

static int add_thread(struct walk *w, uint64_t thread)
{
	uint64_t frame = innermost_frame(w, thread);
	int err = 0;

	while (frame && w->frames++ < FRAMES_MAX && w->bad < FRAMES_BAD && !err) {
		w->code = code_of(w, frame);
		if (object_is(w->view, w->code, TYPE_CODE))
			err = add_frame(w, frame);
		else
			w->bad++;
		frame = snapshot_word(w->view->snapshot, frame + w->view->py->frame_back);
	}
	return err;
}

static int list_threads(const struct heap_view *view, uint64_t interp, struct thread_list *threads)
{
	uint64_t thread = snapshot_word(view->snapshot, interp + view->py->interp_thread_head);

	for (; thread && threads->count < THREADS_MAX;
	     thread = snapshot_word(view->snapshot, thread + view->py->tstate_next)) {
		if (!ARRAY_HAS_ROOM(threads->list, threads->count, threads->room))
			return -ENOMEM;
		threads->list[threads->count++] = thread;
	}
	return 0;
}

static int add_threads(void *arg, uint64_t interp, unsigned number)
{
	struct walk *w = arg;
	struct thread_list threads = {0};
	int err = list_threads(w->view, interp, &threads);

	w->interp = number;
	for (size_t i = 0; i < threads.count && !err; i++) {
		w->thread = (uint32_t)(threads.count - 1 - i);
		err = add_thread(w, threads.list[i]);
	}
	free(threads.list);
	return err;
}

int heap_roots_frames(struct heap_roots *roots, const struct heap_view *view)
{
	struct walk walk = {.roots = roots, .view = view};

	return heap_each_interp(view, add_threads, &walk);
}
