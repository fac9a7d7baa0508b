/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs on CPython's own probes share: the arguments of a probe, the frame that the
 * thread runs, and the names of code objects. Their events come from source_usdt.bpf.c.
 *
 * From 6.0 on these programs can be preempted. So the path of a plain line event
 * uses no per-CPU memory; the one that names a code object takes the scratch area as other
 * sources do, and comes back at the frame's next event if it is taken.
 */
#ifndef PROBE_BPF_H
#define PROBE_BPF_H

#include "account/lines.bpf.h"

#include <bpf/bpf_tracing.h>

/* 8 bytes, or 4, at an offset of the structure that was read into ls->head. */
#define LOAD_HEAD(ls, offset)	LOAD((ls)->head, offset, PYMEM_LINE_HEAD - 1)
#define LOAD_HEAD_4(ls, offset) (*(__u32 *)((ls)->head + ((offset) & (PYMEM_LINE_HEAD - 4))))

/* Takes the scratch area for p. NULL: it is taken. */
static __always_inline struct scratch *scratch_take(struct pymem_proc *p)
{
	struct scratch *s = scratch_get();

	if (!s || s->busy)
		return NULL;
	s->busy = 1;
	scratch_begin(s, p);
	return s;
}

/* Where the thread remembers the name of the code object at `code`, or of another one. */
static __always_inline struct pymem_line_name *name_of(struct pymem_line_stack *ls, __u64 code)
{
	return &ls->names[(code * MIX1 >> 32) & (PYMEM_LINE_NAMES - 1)];
}

/* Hands over the code object whose head is in s->code, unless the thread has done so. 0: done. */
static __always_inline __u64 name_announce(struct pymem_proc *p, struct pymem_line_stack *ls,
					   struct scratch *s, __u64 code, __u64 fingerprint)
{
	struct pymem_line_name *name = name_of(ls, code);
	__u64 failed;

	if (by_function && name->code == code && name->fingerprint == fingerprint &&
	    name->head == p->id)
		return 0;
	announce_begin(s, p);
	failed = announce_once(code, fingerprint);
	announce_end(s, p);
	if (by_function && !failed) {
		name->code = code;
		name->head = p->id;
		name->fingerprint = fingerprint;
	}
	return failed;
}

/* Names f's code object and hands it over, if that can be done now. Its first line, or 0. A frame
 * that is known to run other code by now has been left. */
static __noinline __s32 frame_name(struct pymem_proc *p, struct pymem_line_stack *ls,
				   struct pymem_line_frame *f)
{
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__u64 code = 0, fingerprint;
	struct scratch *s;
	__s32 first = 0;

	if (!p || !ls || !f)
		return 0;
	s = scratch_take(p);
	if (!s)
		return 0;
	layout = layout_now(s);
	if (!layout)
		goto out;
	py = layout_of(layout);
	if (read_u64(&code, f->frame + py->frame_code))
		goto out;
	if (py->flags & PY_EXECUTABLE_TAGGED)
		code &= ~7ULL;
	if (by_function && f->code && f->code != code)
		goto out;
	fingerprint = code_fingerprint(code);
	if (!fingerprint)
		goto out;
	first = code_first_line(s, py);
	if (name_announce(p, ls, s, code, fingerprint))
		goto out;
	f->code = code;
	f->fingerprint = fingerprint;
	if (!by_function)
		f->file = LOAD_CODE(s, py, filename) >> 4; /* objects lie 16 bytes apart */
out:
	s->busy = 0;
	return first;
}

/* By function: what the thread has changed since its last event, the topmost function did itself.
 * If that could not be named yet, it is tried again, and the amount waits for it. */
static __always_inline void self_settle(struct pymem_proc *p, struct pymem_line_stack *ls,
					struct pymem_thread *th, bool nameable)
{
	__s64 pages = th->net_pages - ls->settled_pages;
	struct pymem_line_frame *f;
	struct pymem_line *line;

	if (!pages)
		return;
	ls->settled_pages = th->net_pages;
	if (!ls->depth || ls->unsure)
		return;
	f = frame_at(ls, ls->depth - 1);
	f->own_pages += pages;
	if (!f->fingerprint && nameable)
		frame_name(p, ls, f);
	if (!f->fingerprint)
		return;
	line = line_of(ls, f);
	if (line)
		__sync_fetch_and_add(&line->row_pages, f->own_pages);
	f->own_pages = 0;
}

/* The frame that the thread runs, as the interpreter has it. 0, or 1 if it can't be read. */
static __noinline int frame_now(struct pymem_proc *p, struct pymem_line_stack *ls,
				struct pymem_thread *th, __u64 *frame)
{
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__u32 index, from, part;
	__u64 value = 0;
	struct scratch *s;
	int err;

	if (!p || !ls || !th || !frame)
		return 1;
	index = p->layout;
	layout = bpf_map_lookup_elem(&layouts, &index);
	if (!layout)
		return 1;
	py = layout_of(layout);
	from = layout->tstate_from;
	part = layout->tstate_part;
	if (th->tstate && !p->multi && part <= sizeof(ls->head) &&
	    !bpf_probe_read_user(ls->head, part, (const void *)(th->tstate + from)) &&
	    is_thread_id(LOAD_HEAD(ls, py->tstate_thread_id - from), current_thread_pointer())) {
		value = LOAD_HEAD(ls, py->tstate_frame - from);
		if (!value)
			return 1;
		if (py->flags & PY_TSTATE_CFRAME && read_u64(&value, value + py->cframe_frame))
			return 1;
		*frame = value;
		return !value;
	}
	s = scratch_take(p);
	if (!s)
		return 1;
	err = current_frame(p, th, layout, s, frame);
	err = opaque(s, err);
	s->busy = 0;
	return err != 0;
}

#ifdef PYMEM_LEGACY
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_place_key);
	__type(value, __u64);
} places SEC(".maps");

/* Where the probe has its arguments: PYMEM_PLACE(). 0: unknown. */
static __always_inline __u64 place_now(struct pt_regs *ctx)
{
	struct pymem_place_key key = {};
	__u64 *place;

	if (probe_cookies)
		return bpf_get_attach_cookie(ctx);
	key.address = PT_REGS_IP(ctx);
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	place = bpf_map_lookup_elem(&places, &key);
	return place ? *place : 0;
}
#else
static __always_inline __u64 place_now(struct pt_regs *ctx)
{
	return bpf_get_attach_cookie(ctx);
}
#endif

static __always_inline __u64 register_of(struct pt_regs *ctx, __u32 number)
{
	__u64 v = 0;

#if defined(__TARGET_ARCH_x86)
/* In assembly, since clang would merge the loads into one of a computed address. */
#define REGISTER(name)                                                                   \
	case __builtin_offsetof(struct pt_regs, name) / 8:                               \
		asm volatile("%0 = *(u64 *)(%1 + %2)"                                    \
			     : "=r"(v)                                                   \
			     : "r"(ctx), "i"(__builtin_offsetof(struct pt_regs, name))); \
		break;
	switch (number) {
		REGISTER(r15)
		REGISTER(r14)
		REGISTER(r13)
		REGISTER(r12)
		REGISTER(bp)
		REGISTER(bx)
		REGISTER(r11)
		REGISTER(r10)
		REGISTER(r9)
		REGISTER(r8)
		REGISTER(ax)
		REGISTER(cx)
		REGISTER(dx)
		REGISTER(si)
		REGISTER(di)
		REGISTER(sp)
	}
#undef REGISTER
#else
	bpf_probe_read_kernel(&v, sizeof(v), (const void *)ctx + number * 8);
#endif
	return v;
}

static __always_inline __u64 argument(struct pt_regs *ctx, __u32 arg)
{
	__u32 kind = PYMEM_ARG_KIND(arg), bytes = PYMEM_ARG_BYTES(arg), unused;
	__u64 v;

	if (kind <= PYMEM_ARG_CONSTANT)
		return PYMEM_ARG_DISP(arg);
	v = register_of(ctx, PYMEM_ARG_REG(arg));
	if (kind == PYMEM_ARG_MEMORY) {
		const void *from = (const void *)(v + PYMEM_ARG_DISP(arg));

		v = 0;
		/* The value is a line or a pointer. The verifier wants a constant size. */
		if (bytes == sizeof(__u64))
			bpf_probe_read_user(&v, sizeof(__u64), from);
		else if (bytes == sizeof(__u32))
			bpf_probe_read_user(&v, sizeof(__u32), from);
		else
			bpf_probe_read_user(&v, sizeof(__u16), from);
	}
	unused = (64 - 8 * bytes) & 63;
	v <<= unused;
	return PYMEM_ARG_SIGNED(arg) ? (__u64)((__s64)v >> unused) : v >> unused;
}

/* The probe's arguments: the address of the function's name, and the line. They come by way of
 * memory, of which the verifier knows nothing. Otherwise it would follow the rest of the program
 * once for each way to get them. */
static __always_inline void place_of(struct pt_regs *ctx, struct pymem_line_stack *ls, __u64 *name,
				     __u64 *number)
{
	volatile __u64 *arguments = ls->arguments;
	__u64 place = place_now(ctx);

	arguments[0] = argument(ctx, PYMEM_PLACE_NAME(place));
	arguments[1] = argument(ctx, PYMEM_PLACE_LINE(place));
	*name = arguments[0];
	*number = arguments[1];
}

/* What each event begins with. */
struct line_event {
	struct pymem_proc *p;
	struct pymem_thread *th;
	struct pymem_line_stack *ls;
	__u64 rss;
};

/* True: the event is of a thread that is followed. Probes are attached one by one, the line
 * probe last: until its first event, the others would tell of calls without lines. */
static __always_inline bool event_begin(struct line_event *e, bool line)
{
	struct task_struct *task;
	__u64 mm;

	if (lines_off || !tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		return false;
	task = current_task();
	e->th = thread_of(task);
	if (e->th && current_runs_on(e->th->mm)) {
		mm = e->th->mm;
		e->p = bpf_map_lookup_elem(&procs, &mm);
		if (!e->p || e->p->id != e->th->proc || e->p->dying)
			return false;
	} else {
		e->th = current_thread(&e->p);
		if (!e->th)
			return false;
	}
	if (!e->p->identified || (!line && !e->p->lines_seen))
		return false;
	e->p->lines_seen = 1;
	e->ls = line_stack_of(task, true);
	if (!e->ls) {
		miss(PYMEM_LINE_MISS_NO_ROOM);
		return false;
	}
	if (e->ls->proc != e->p->id) {
		e->ls->proc = e->p->id;
		e->ls->depth = 0;
		e->ls->collecting = 0;
		e->ls->settled_pages = e->th->net_pages;
		e->ls->unread = 0;
		e->ls->unsure = 0;
	}
	settle_caches(e->p, e->th, task);
	if (by_function)
		self_settle(e->p, e->ls, e->th, true);
	e->rss = proc_rss(e->p);
	return true;
}

/* Puts a frame that is entered on top of the stack. Its caller's run goes on. NULL: the stack is
 * full. */
static __always_inline struct pymem_line_frame *frame_push(struct line_event *e, __u64 frame,
							   __u64 name)
{
	struct pymem_line_stack *ls = e->ls;
	struct pymem_line_frame *f;

	if (ls->depth >= PYMEM_LINE_FRAMES) {
		miss(PYMEM_LINE_MISS_DEEP);
		return NULL;
	}
	if (ls->depth)
		raise(&frame_at(ls, ls->depth - 1)->peak_pages, e->th->line_peak);
	f = frame_at(ls, ls->depth);
	ls->depth++;
	f->frame = frame;
	f->name = name;
	f->code = 0;
	f->fingerprint = 0;
	f->file = 0;
	f->how = PYMEM_LINE_EVENT;
	f->line = 0;
	return f;
}

/* The topmost frame that is followed, if it is of the function `name`. On a full stack the name
 * says nothing: deeper frames have no place there, and in a recursion all are of one name. */
static __always_inline struct pymem_line_frame *frame_top(const struct line_event *e, __u64 name)
{
	struct pymem_line_frame *f;
	__u32 depth = e->ls->depth;

	if (!depth || depth >= PYMEM_LINE_FRAMES)
		return NULL;
	f = frame_at(e->ls, depth - 1);
	return f->name == name ? f : NULL;
}

/* Asks the interpreter which frame runs, and makes it the topmost. NULL: not followed. */
static __always_inline struct pymem_line_frame *frame_resync(struct line_event *e, __u64 name)
{
	__u64 frame = 0;
	__u32 depth;

	if (frame_now(e->p, e->ls, e->th, &frame)) {
		miss(PYMEM_LINE_MISS_UNREADABLE);
		return NULL;
	}
	depth = find_frame(e->ls, frame);
	if (!depth)
		return frame_push(e, frame, name);
	unwind(e->ls, e->th, depth, e->rss);
	return frame_at(e->ls, depth - 1);
}

#endif
