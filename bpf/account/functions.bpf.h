/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls of functions, for `by_function`: the same books as of lines, with one run for each stretch
 * in which a frame is entered and left again. A call that goes on after a yield is the same call.
 *
 * Frames are told by their addresses at each event: from 3.12 on the frame that cleans up after
 * __init__() returns without having been entered, under that name.
 *
 * What a thread changes between two events is what the topmost function did itself. So these
 * amounts add up to what the thread changed while any function was known to run.
 */
#ifndef FUNCTIONS_BPF_H
#define FUNCTIONS_BPF_H

#include "account/probe.bpf.h"

/* From co_firstlineno back to co_flags, over co_stacksize and three counts of arguments: 3.11 and
 * later. */
#define CODE_FLAGS_BEFORE 20
#define CODE_MAKES_FRAME  (0x20 | 0x80 | 0x200) /* generator, coroutine, asynchronous generator */

enum entering {
	ENTERS_CALL,  /* it begins to run */
	ENTERS_AGAIN, /* it goes on where it was left */
	ENTERS_NOT,   /* it makes a generator, and is left without an event */
};

/* What an entry wants to know of the frame that is entered. */
struct entered {
	__u64 frame, code, back; /* 0: unreadable */
	__u64 head;		 /* head_of() */
	enum entering how;
};

/* 3.11: the entry is told at the instruction RESUME, whose argument says after what. */
static __always_inline enum entering entering_at_resume(__u64 instr)
{
	__u8 word[2] = {};

	if (bpf_probe_read_user(word, sizeof(word), (const void *)instr))
		return ENTERS_CALL;
	/* An exception that is thrown in finds the frame at its yield. */
	if (word[0] != PY_RESUME && word[0] != PY_RESUME_QUICK)
		return ENTERS_AGAIN;
	return word[1] & 3 ? ENTERS_AGAIN : ENTERS_CALL;
}

/* How the frame in ls->head is entered, as far as the frame tells. */
static __always_inline enum entering entering(const struct pymem_line_stack *ls,
					      const struct py_layout *py)
{
	if (!(py->flags & PY_INSTR_POINTER))
		return (__s32)LOAD_HEAD_4(ls, py->frame_instr) < 0 ? ENTERS_CALL : ENTERS_AGAIN;
	if (py->flags & PY_ENTRY_AT_RESUME)
		return entering_at_resume(LOAD_HEAD(ls, py->frame_instr));
	return ls->head[py->frame_owner & (PYMEM_LINE_HEAD - 1)] == PY_OWNED_BY_GENERATOR
		       ? ENTERS_AGAIN
		       : ENTERS_CALL;
}

/* A hash over the text of the str at `addr`; 0: unreadable. The scratch area is the caller's. */
SEPARATE __u64 text_of(__u64 addr)
{
	struct scratch *s = scratch_get();
	const struct pymem_layout *layout;

	if (!s)
		return 0;
	layout = layout_now(s);
	return layout ? text_hash(s, layout_of(layout), addr, MIX2) : 0;
}

/* The same; or the interpreter's own hash, which lies behind the length, if it has made one:
 * of names it has. */
static __always_inline __u64 name_text(const struct py_layout *py, __u64 addr)
{
	__u64 words[2] = {}; /* length, hash */

	if (bpf_probe_read_user(words, sizeof(words), (const void *)(addr + py->unicode_length)))
		return 0;
	return words[1] == ~0ULL ? text_of(addr) : mix(words[0] ^ MIX1, words[1]) | 1;
}

/* The texts of the names of the code object in ls->head; 0: unreadable, or there is no room to read
 * them just now. */
static __always_inline __u64 names_of(struct pymem_proc *p, const struct pymem_line_stack *ls,
				      const struct py_layout *py)
{
	__u64 file = LOAD_HEAD(ls, py->code_filename), name = LOAD_HEAD(ls, py->code_name);
	struct scratch *s = scratch_take(p);

	if (!s)
		return 0;
	if (py->code_qualname != PY_NONE)
		name = LOAD_HEAD(ls, py->code_qualname);
	file = text_of(file);
	name = name_text(py, name);
	s->busy = 0;
	return file && name ? mix(file, name) | 1 : 0;
}

/* What tells the code object in ls->head from any other function of the process p: the number that
 * it has from 3.12 on, of its interpreter; else its names. Where its lines are is of no interest,
 * only where it begins. 0: unknown, so it is to be named as if for the first time. */
static __always_inline __u64 head_of(struct pymem_proc *p, const struct pymem_line_stack *ls,
				     const struct py_layout *py)
{
	__u64 hash, which;

	if (p->multi)
		return 0;
	if (py->code_version == PY_NONE)
		which = names_of(p, ls, py);
	else
		which = LOAD_HEAD_4(ls, py->code_firstlineno + py->code_version);
	if (!which)
		return 0;
	hash = mix(mix(MIX2 ^ p->id, LOAD_HEAD(ls, py->code_filename)),
		   LOAD_HEAD(ls, py->code_name));
	hash = mix(hash, LOAD_HEAD(ls, py->code_linetable));
	hash = mix(mix(hash, which), LOAD_HEAD_4(ls, py->code_firstlineno));
	return hash | 1ULL << 63; /* no process's id */
}

/* Reads the frame c->frame and the head of its code. What can't be read counts as a call. */
static __noinline int entered_read(struct pymem_proc *p, struct pymem_line_stack *ls,
				   struct entered *c)
{
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__u32 index, size;

	if (!p || !ls || !c)
		return 0;
	index = p->layout;
	layout = bpf_map_lookup_elem(&layouts, &index);
	if (!layout)
		return 0;
	py = layout_of(layout);
	size = py->frame_size;
	if (size > sizeof(ls->head) || bpf_probe_read_user(ls->head, size, (const void *)c->frame))
		return 0;
	c->code = LOAD_HEAD(ls, py->frame_code);
	if (py->flags & PY_EXECUTABLE_TAGGED)
		c->code &= ~7ULL;
	c->back = LOAD_HEAD(ls, py->frame_back);
	c->how = entering(ls, py);
	size = layout->code_size;
	if (size > sizeof(ls->head) || bpf_probe_read_user(ls->head, size, (const void *)c->code))
		return 0;
	if (c->how == ENTERS_CALL && py->flags & PY_INSTR_POINTER &&
	    !(py->flags & PY_ENTRY_AT_RESUME) &&
	    LOAD_HEAD_4(ls, py->code_firstlineno - CODE_FLAGS_BEFORE) & CODE_MAKES_FRAME)
		c->how = ENTERS_NOT;
	c->head = head_of(p, ls, py);
	return 0;
}

/* Skips the frame of the interpreter's own that lies between a frame and the C code that called
 * it, if there is one. */
static __noinline __u64 back_of_shim(struct pymem_proc *p, __u64 shim)
{
	const struct pymem_layout *layout;
	__u64 back = 0;
	__u32 index;

	if (!p || !shim)
		return 0;
	index = p->layout;
	layout = bpf_map_lookup_elem(&layouts, &index);
	if (!layout || layout->py.owner_cstack == 0xff)
		return 0;
	if (read_u64(&back, shim + layout->py.frame_back))
		return 0;
	return back;
}

/* Depth of the frame that is entered, if it has been left unseen and is still on the stack; else 0.
 * It is not there if its caller is on top, so then there is nothing to search: a frame is only put
 * on top of its caller, or after a search. After a return that could not be told, the caller tells
 * what is still there. */
static __always_inline __u32 left_unseen(struct line_event *e, const struct entered *c)
{
	struct pymem_line_stack *ls = e->ls;
	__u64 top, back = c->back;
	__u32 depth = ls->depth;

	if (!depth) {
		ls->unsure = 0;
		return 0;
	}
	top = frame_at(ls, depth - 1)->frame;
	if (back != top)
		back = back_of_shim(e->p, back);
	if (ls->unsure) {
		ls->unsure = 0;
		depth = DEPTH_OF(ls, c->back) ?: DEPTH_OF(ls, back);
		if (depth)
			LEAVE_TO(ls, e->th, depth, e->rss);
		return DEPTH_OF(ls, c->frame);
	}
	return back == top ? 0 : DEPTH_OF(ls, c->frame);
}

/* Names the code of f, of which `c` tells. */
static __always_inline void call_name(struct line_event *e, struct pymem_line_frame *f,
				      const struct entered *c)
{
	struct pymem_line_name *name = name_of(e->ls, c->code);

	f->code = c->code;
	if (c->head && name->code == c->code && name->head == c->head) {
		f->fingerprint = name->fingerprint;
		return;
	}
	frame_name(e->p, e->ls, f);
	/* frame_name() has put it there. */
	if (f->fingerprint && c->head && name->code == c->code)
		name->head = c->head;
}

/* function__entry */
static __always_inline int call_begin(void)
{
	struct entered c = {.how = ENTERS_CALL};
	struct line_event e = {};
	struct pymem_line_frame *f;
	__u32 depth;

	/* It is attached last: until its first event, returns would be of calls that nobody saw. */
	if (!event_begin(&e, true))
		return 0;
	if (frame_now(e.p, e.ls, e.th, &c.frame)) {
		miss(PYMEM_LINE_MISS_UNREADABLE);
		e.ls->unread++;
		return 0;
	}
	entered_read(e.p, e.ls, &c);
	depth = left_unseen(&e, &c);
	if (depth)
		LEAVE_TO(e.ls, e.th, depth - 1, e.rss);
	f = frame_push(&e, c.frame, 0);
	if (!f)
		return 0;
	call_name(&e, f, &c);
	run_begin(f, e.th, PYMEM_LINE_FUNCTION,
		  c.how == ENTERS_AGAIN ? PYMEM_LINE_RESUMED : PYMEM_LINE_ENTRY, e.rss);
	if (c.how != ENTERS_NOT)
		return 0;
	leave_top(e.ls, e.th, e.rss);
	e.th->line_peak = e.rss;
	return 0;
}

/* A return of a frame that is not followed. */
static __always_inline void miss_unseen(struct line_event *e, struct pt_regs *ctx)
{
	__u64 name = 0, number = 0;

	place_of(ctx, e->ls, &name, &number);
	/* Frames beyond a full stack are missed when they are entered. What has no line is no
	 * function. */
	if (e->ls->depth >= PYMEM_LINE_FRAMES || (__s32)number <= 0)
		return;
	/* So is one that could not be read then. */
	if (e->ls->unread)
		e->ls->unread--;
	else
		miss(PYMEM_LINE_MISS_UNSEEN);
}

/* function__return: the function ends or yields, or an exception leaves it. */
static __always_inline int call_end(struct pt_regs *ctx)
{
	struct line_event e = {};
	struct pymem_line_frame *f;
	__u64 frame = 0;
	__u32 depth;

	if (!event_begin(&e, false))
		return 0;
	if (frame_now(e.p, e.ls, e.th, &frame)) {
		/* Until that is known again, what is changed is no function's. */
		miss(PYMEM_LINE_MISS_UNREADABLE);
		e.ls->unsure = 1;
		return 0;
	}
	depth = e.ls->depth;
	if (!depth || frame_at(e.ls, depth - 1)->frame != frame)
		depth = DEPTH_OF(e.ls, frame);
	if (!depth) {
		miss_unseen(&e, ctx);
		return 0;
	}
	e.ls->unsure = 0;
	f = frame_at(e.ls, depth - 1);
	if (!f->fingerprint)
		frame_name(e.p, e.ls, f);
	if (depth == e.ls->depth)
		leave_top(e.ls, e.th, e.rss);
	else
		LEAVE_TO(e.ls, e.th, depth - 1, e.rss);
	e.th->line_peak = e.rss;
	return 0;
}

#endif
