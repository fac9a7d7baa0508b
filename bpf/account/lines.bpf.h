/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The exact engine's books: for each thread the frames that it is in, for each line what its
 * runs did. source_usdt.bpf.c says when they begin and end. */
#ifndef LINES_BPF_H
#define LINES_BPF_H

#include "account/fault.bpf.h"
#include "pymem_line.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_line_key);
	__type(value, struct pymem_line);
} lines SEC(".maps");

TASK_MAP(struct pymem_line_stack) line_stacks SEC(".maps");
BLANK_MAP(, line_blank, struct pymem_line_stack);

__u64 line_misses[PYMEM_LINE_MISS_COUNT];
__u32 lines_off;		      /* set before the first of the sources is detached */
const volatile __u32 by_function = 0; /* runs are those of functions: account/functions.bpf.h */

static __always_inline void miss(__u32 cause)
{
	if (cause < PYMEM_LINE_MISS_COUNT)
		__sync_fetch_and_add(&line_misses[cause], 1);
}

static __always_inline struct pymem_line_stack *line_stack_of(struct task_struct *task, bool make)
{
	__u32 key = task_key(task);
	struct pymem_line_stack *ls;

	if (!make)
		return task_value(&line_stacks, task, key);
	if (TASKS_IN_TABLE) {
		ls = task_value(&line_stacks, task, key);
		if (ls)
			return ls;
	}
	ls = task_value_make(&line_stacks, task, key, BLANK_VALUE(line_blank));
	if (TASKS_IN_TABLE && ls)
		ls->tid = key;
	return ls;
}

/* The frame at `index`, which is known to be there; the mask is for the verifier. */
static __always_inline struct pymem_line_frame *frame_at(struct pymem_line_stack *ls, __u32 index)
{
	asm volatile("" : "+r"(index));
	return &ls->frames[index & (PYMEM_LINE_FRAMES - 1)];
}

static __always_inline void raise(__u64 *peak, __u64 pages)
{
	if (pages > *peak)
		*peak = pages;
}

/* Makes the counters of a line, on the account of the current image if it is that image's. 0; 1: no
 * room. Verified once: a thread that ends may end 128 runs at once. */
SEPARATE __u64 line_make(__u64 proc, __u64 number, __u64 code, __u64 fingerprint)
{
	struct pymem_line_key key = {
		.proc = proc, .line = number, .code = code, .fingerprint = fingerprint};
	struct pymem_line line = {};
	__u64 mm = 0;
	struct pymem_proc *p = current_proc(&mm);
	int account = 0;

	if (p && p->id != key.proc)
		p = NULL;
	if (p)
		account = quota_allows(p, PYMEM_TABLE_LINES);
	if (account < 0)
		return 1;
	line.account = account;
	return !table_insert(p, PYMEM_TABLE_LINES, &lines, &key, &line, account);
}

/* The counters of the line that f runs; NULL: none, or no room. */
static __always_inline struct pymem_line *line_of(const struct pymem_line_stack *ls,
						  const struct pymem_line_frame *f)
{
	struct pymem_line_key key = {
		.proc = ls->proc, .line = f->line, .code = f->code, .fingerprint = f->fingerprint};
	struct pymem_line *line;

	if (!f->line)
		return NULL;
	if (!f->fingerprint) {
		miss(PYMEM_LINE_MISS_UNNAMED);
		return NULL;
	}
	line = bpf_map_lookup_elem(&lines, &key);
	if (!line && !line_make(key.proc, key.line, key.code, key.fingerprint))
		line = bpf_map_lookup_elem(&lines, &key);
	if (!line)
		miss(PYMEM_LINE_MISS_TABLE_FULL);
	return line;
}

/* Do frames of the thread that are further out run the line that this frame runs? */
#define SHARED_ROW  1 /* code of the same file */
#define SHARED_CODE 2 /* the same code object */

struct sharing {
	struct pymem_line_stack *ls;
	__u64 code;
	__s32 line;
	__u32 file;
	__u32 depth; /* frames still to look at */
	__u32 found;
};

LOOP_BODY sharing_step(__u32 i __attribute__((unused)), struct sharing *c)
{
	const struct pymem_line_frame *f;

	if (!c->depth || c->depth > PYMEM_LINE_FRAMES)
		return 1;
	c->depth--;
	f = frame_at(c->ls, c->depth);
	if (f->line != c->line || f->file != c->file)
		return 0;
	c->found |= SHARED_ROW;
	if (f->code != c->code)
		return 0;
	c->found |= SHARED_CODE;
	return 1;
}

static __always_inline __u32 sharing_of(struct pymem_line_stack *ls, __u32 index)
{
	const struct pymem_line_frame *f = frame_at(ls, index);
	struct sharing c = {
		.ls = ls, .file = f->file, .code = f->code, .line = f->line, .depth = index};

	LOOP(PYMEM_LINE_FRAMES, sharing_step, &c);
	return c.found;
}

/* A comprehension, a lambda or a nested function may run on the line that called it, and a function
 * may run inside itself. What it changes, the outer run changes too. Frames below the top stay on
 * their lines while it runs, so the end of a run is early enough to look. Only runs that changed
 * something look: they have paid for a fault. */
#ifdef PYMEM_LEGACY
/* Takes numbers only, as 5.10 wants it. Verified once for all the runs that an unwinding ends. */
SEPARATE __u64 shared_row(__u64 tid, __u64 index)
{
	struct pymem_line_stack *ls;
	__u32 key = tid;

	ls = bpf_map_lookup_elem(&line_stacks, &key);
	return ls && index < PYMEM_LINE_FRAMES ? sharing_of(ls, index) : 0;
}

#define SHARED_BY(ls, index) shared_row((ls)->tid, index)
#else
static __noinline __u32 shared_row(struct pymem_line_stack *ls, __u32 index)
{
	return ls && index < PYMEM_LINE_FRAMES ? sharing_of(ls, index) : 0;
}

#define SHARED_BY(ls, index) shared_row(ls, index)
#endif

static __always_inline void run_pages(struct pymem_line_stack *ls, __u32 index,
				      struct pymem_line *line, __s64 pages)
{
	__u32 shared;

	if (!pages)
		return;
	shared = SHARED_BY(ls, index);
	__sync_fetch_and_add(&line->pages, pages);
	if (!(shared & SHARED_CODE))
		__sync_fetch_and_add(&line->once_pages, pages);
	if (!shared && !by_function)
		__sync_fetch_and_add(&line->row_pages, pages);
}

/* Ends the run of the frame at `index`, the topmost that still runs. */
static __always_inline void run_end(struct pymem_line_stack *ls, __u32 index, __s64 net_pages,
				    __u64 stretch_peak, __u64 rss)
{
	struct pymem_line_frame *f = frame_at(ls, index);
	struct pymem_line *line = line_of(ls, f);
	__u64 peak = f->peak_pages;
	__s64 pages = net_pages - f->start_pages;

	if (stretch_peak > peak)
		peak = stretch_peak;
	/* A peak that it saw, its caller's line saw too. */
	if (index)
		raise(&frame_at(ls, index - 1)->peak_pages, peak);
	if (!line)
		return;
	if (f->how != PYMEM_LINE_RESUMED)
		__sync_fetch_and_add(&line->runs, 1);
	if (by_function && f->own_pages)
		__sync_fetch_and_add(&line->row_pages, f->own_pages);
	run_pages(ls, index, line, pages);
	raise(&line->usage_pages, rss);
	raise(&line->peak_pages, peak);
}

static __always_inline void run_begin(struct pymem_line_frame *f, struct pymem_thread *th,
				      __s32 line, __u32 how, __u64 rss)
{
	f->line = line;
	f->how = how;
	f->start_pages = th->net_pages;
	f->peak_pages = rss;
	th->line_peak = rss;
}

struct unwinding {
	struct pymem_line_stack *ls;
	struct pymem_thread *th;
	__u64 rss;
	__u32 keep;
};

LOOP_BODY unwind_step(__u32 i __attribute__((unused)), struct unwinding *c)
{
	struct pymem_line_stack *ls = c->ls;

	if (ls->depth <= c->keep || ls->depth > PYMEM_LINE_FRAMES)
		return 1;
	run_end(ls, ls->depth - 1, c->th->net_pages, c->th->line_peak, c->rss);
	ls->depth--;
	return 0;
}

/* Ends the run of the topmost frame. Most returns are of it, and need no loop. */
static __noinline int leave_top(struct pymem_line_stack *ls, struct pymem_thread *th, __u64 rss)
{
	if (!ls || !th || !ls->depth || ls->depth > PYMEM_LINE_FRAMES)
		return 0;
	run_end(ls, ls->depth - 1, th->net_pages, th->line_peak, rss);
	ls->depth--;
	return 0;
}

/* Ends all runs from the top down to the frame at `keep`, which stays. */
static __noinline int unwind(struct pymem_line_stack *ls, struct pymem_thread *th, __u32 keep,
			     __u64 rss)
{
	struct unwinding c = {.ls = ls, .th = th, .rss = rss, .keep = keep};

	if (!ls || !th)
		return 0;
	LOOP(PYMEM_LINE_FRAMES, unwind_step, &c);
	return 0;
}

struct finding {
	struct pymem_line_stack *ls;
	__u64 frame;
	__u32 depth;
};

LOOP_BODY find_step(__u32 i __attribute__((unused)), struct finding *c)
{
	if (!c->depth || c->depth > PYMEM_LINE_FRAMES)
		return 1;
	if (frame_at(c->ls, c->depth - 1)->frame == c->frame)
		return 1;
	c->depth--;
	return 0;
}

/* Depth at which `frame` is, counted from 1; 0: it is not there. */
static __noinline __u32 find_frame(struct pymem_line_stack *ls, __u64 frame)
{
	struct finding c = {.ls = ls, .frame = frame};

	if (!ls)
		return 0;
	c.depth = ls->depth;
	LOOP(PYMEM_LINE_FRAMES, find_step, &c);
	return c.depth <= PYMEM_LINE_FRAMES ? c.depth : 0;
}

/* The same two for programs that need them in several places: verified once where loops are
 * followed. */
#ifdef PYMEM_LEGACY
SEPARATE __u64 depth_once(__u64 tid, __u64 frame)
{
	struct pymem_line_stack *ls;
	__u32 key = tid;

	ls = bpf_map_lookup_elem(&line_stacks, &key);
	return ls ? find_frame(ls, frame) : 0;
}

SEPARATE __u64 unwind_once(__u64 tid, __u64 keep, __u64 rss)
{
	struct pymem_line_stack *ls;
	struct pymem_thread *th;
	__u32 key = tid;

	ls = bpf_map_lookup_elem(&line_stacks, &key);
	th = bpf_map_lookup_elem(&threads, &key);
	if (ls && th)
		unwind(ls, th, keep, rss);
	return 0;
}

#define DEPTH_OF(ls, frame)	    ((__u32)depth_once((ls)->tid, frame))
#define LEAVE_TO(ls, th, keep, rss) unwind_once((ls)->tid, keep, rss)
#else
#define DEPTH_OF(ls, frame)	    find_frame(ls, frame)
#define LEAVE_TO(ls, th, keep, rss) unwind(ls, th, keep, rss)
#endif

#endif
