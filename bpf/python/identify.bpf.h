/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which stack is it that was just walked? Its frames by the names of their code objects, not by
 * addresses alone, which others may have taken since.
 */
#ifndef IDENTIFY_BPF_H
#define IDENTIFY_BPF_H

#include "python/pycode.bpf.h"

struct identification {
	struct scratch *s;
	const struct py_layout *py;
	__u64 hash;
};

/* The fingerprint of frame `i`'s code object. A recursion has the same ones again and again: each
 * is named once. While the event lasts, its thread runs the frames, so a code object at that
 * address is the same one. 0: unreadable, or no more may be named. */
static __always_inline __u64 frame_fingerprint(struct scratch *s, __u32 i, __u64 code)
{
	/* What is in the place may be of another event. */
	__u8 *place = &s->named[(code * MIX1) >> (64 - NAMED_BITS)];
	__u32 at = *place, index = at;
	const struct pymem_msg_frame *named;

	/* The asm keeps clang from leaving the mask out. */
	asm volatile("" : "+r"(index));
	named = &s->stack.frames[index & (PYMEM_MAX_FRAMES - 1)];
	if (at < i && named->code == code)
		return named->fingerprint;
	*place = i;
	if (!s->names) {
		s->shortened = 1;
		return 0;
	}
	s->names--;
	return code_fingerprint(code);
}

LOOP_BODY identify_step(__u32 i, struct identification *c)
{
	struct scratch *s = c->s;
	struct pymem_msg_frame *f;
	struct frame_raw *raw;

	if (i >= s->depth || i >= PYMEM_MAX_FRAMES)
		return 1;
	if (i == s->prefix)
		s->prefix_hash = mix(c->hash, MIX2);
	if (i >= s->most) {
		s->shortened = 1;
		s->truncated = 1;
		return 1;
	}
	raw = &s->frames[i];
	f = &s->stack.frames[i];
	f->fingerprint = frame_fingerprint(s, i, raw->code);
	f->code = raw->code;
	if (!f->fingerprint) {
		s->truncated = 1;
		return 1;
	}
	f->lasti = frame_lasti(c->py, raw);
	c->hash = mix(mix(mix(c->hash, f->code), f->fingerprint), (__u32)f->lasti);
	s->stack.depth = i + 1;
	return 0;
}

#ifdef PYMEM_LEGACY
/* Once for all iterations, which the verifier would follow one by one. */
SEPARATE __u64 identify_frame(__u64 i)
{
	struct identification c = {};
	const struct pymem_layout *layout;
	long last;

	c.s = scratch_get();
	if (!c.s)
		return 1;
	layout = layout_now(c.s);
	if (!layout)
		return 1;
	c.py = layout_of(layout);
	c.hash = c.s->identity;
	last = identify_step(i, &c);
	c.s->identity = c.hash;
	return last;
}

static __always_inline void identify_frames(struct identification *c)
{
	__u64 i;

	c->s->identity = c->hash;
	for (i = 0; i < PYMEM_MAX_FRAMES; i++)
		if (identify_frame(i))
			break;
	c->hash = c->s->identity;
}
#else
static __always_inline void identify_frames(struct identification *c)
{
	LOOP(PYMEM_MAX_FRAMES, identify_step, c);
}
#endif

/* Names each frame of the walk in s->stack, with a hash over names, not addresses alone, and over
 * `told` (pymem_thread.told). 0, or 1 if the innermost one can't be named; callers that can't are
 * cut off. */
SEPARATE __u64 stack_identify(__u64 told)
{
	struct identification c = {.hash = told};
	const struct pymem_layout *layout;

	c.s = scratch_get();
	if (!c.s)
		return 1;
	layout = layout_now(c.s);
	if (!layout)
		return 1;
	c.py = layout_of(layout);
	c.s->stack.type = PYMEM_MSG_STACK;
	c.s->stack.told = told;
	c.s->stack.depth = 0;
	identify_frames(&c);
	c.s->stack.truncated = c.s->truncated;
	if (c.s->truncated)
		c.hash = mix(c.hash, MIX2);
	c.s->stack.hash = c.hash ?: 1;
	return c.s->stack.depth == 0;
}

#endif
