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

/* True if the frame of a generator, which lies in the generator, runs its code. */
static __always_inline bool makes_generator(const struct py_layout *py, __u64 frame)
{
	__u64 code = 0;
	__u32 flags = 0;

	if (read_u64(&code, frame + py->frame_code))
		return false;
	if (py->flags & PY_EXECUTABLE_TAGGED)
		code &= ~7ULL;
	bpf_probe_read_user(&flags, sizeof(flags),
			    (const void *)(code + py->code_firstlineno - CODE_FLAGS_BEFORE));
	return flags & CODE_MAKES_FRAME;
}

/* 3.11: the entry is told at the instruction RESUME, whose argument says after what. */
static __always_inline enum entering entering_at_resume(const struct py_layout *py, __u64 frame)
{
	__u64 instr = 0;
	__u8 word[2] = {};

	if (read_u64(&instr, frame + py->frame_instr) ||
	    bpf_probe_read_user(word, sizeof(word), (const void *)instr))
		return ENTERS_CALL;
	/* An exception that is thrown in finds the frame at its yield. */
	if (word[0] != PY_RESUME && word[0] != PY_RESUME_QUICK)
		return ENTERS_AGAIN;
	return word[1] & 3 ? ENTERS_AGAIN : ENTERS_CALL;
}

/* How the frame is entered. What can't be read counts as a call. */
static __noinline int entering(struct pymem_proc *p, __u64 frame)
{
	const struct pymem_layout *layout;
	const struct py_layout *py;
	__s32 lasti = -1;
	__u32 index;
	__u8 owner = 0;

	if (!p)
		return ENTERS_CALL;
	index = p->layout;
	layout = bpf_map_lookup_elem(&layouts, &index);
	if (!layout)
		return ENTERS_CALL;
	py = layout_of(layout);
	if (!(py->flags & PY_INSTR_POINTER)) {
		bpf_probe_read_user(&lasti, sizeof(lasti), (const void *)(frame + py->frame_instr));
		return lasti < 0 ? ENTERS_CALL : ENTERS_AGAIN;
	}
	if (py->flags & PY_ENTRY_AT_RESUME)
		return entering_at_resume(py, frame);
	bpf_probe_read_user(&owner, sizeof(owner), (const void *)(frame + py->frame_owner));
	if (owner == PY_OWNED_BY_GENERATOR)
		return ENTERS_AGAIN;
	return makes_generator(py, frame) ? ENTERS_NOT : ENTERS_CALL;
}

/* function__entry */
static __always_inline int call_begin(void)
{
	struct line_event e = {};
	struct pymem_line_frame *f;
	__u64 frame = 0;
	__u32 depth;
	int how;

	/* It is attached last: until its first event, returns would be of calls that nobody saw. */
	if (!event_begin(&e, true))
		return 0;
	if (frame_now(e.p, e.th, &frame)) {
		miss(PYMEM_LINE_MISS_UNREADABLE);
		return 0;
	}
	how = entering(e.p, frame);
	/* A frame of the same address has been left unseen. */
	depth = find_frame(e.ls, frame);
	if (depth)
		unwind(e.ls, e.th, depth - 1, e.rss);
	f = frame_push(&e, frame, 0);
	if (!f)
		return 0;
	frame_name(e.p, f);
	run_begin(f, e.th, PYMEM_LINE_FUNCTION,
		  how == ENTERS_AGAIN ? PYMEM_LINE_RESUMED : PYMEM_LINE_ENTRY, e.rss);
	if (how != ENTERS_NOT)
		return 0;
	unwind(e.ls, e.th, e.ls->depth - 1, e.rss);
	e.th->line_peak = e.rss;
	return 0;
}

/* function__return: the function ends or yields, or an exception leaves it. */
static __always_inline int call_end(struct pt_regs *ctx)
{
	struct line_event e = {};
	struct pymem_line_frame *f;
	__u64 frame = 0, name = 0, number = 0;
	__u32 depth;

	if (!event_begin(&e, false))
		return 0;
	if (frame_now(e.p, e.th, &frame)) {
		miss(PYMEM_LINE_MISS_UNREADABLE);
		return 0;
	}
	depth = find_frame(e.ls, frame);
	if (!depth) {
		place_of(ctx, e.ls, &name, &number);
		/* Frames beyond a full stack are missed when they are entered. What has no line is
		 * no function. */
		if (e.ls->depth < PYMEM_LINE_FRAMES && (__s32)number > 0)
			miss(PYMEM_LINE_MISS_UNSEEN);
		return 0;
	}
	f = frame_at(e.ls, depth - 1);
	if (!f->fingerprint)
		frame_name(e.p, f);
	unwind(e.ls, e.th, depth - 1, e.rss);
	e.th->line_peak = e.rss;
	return 0;
}

#endif
