/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a thread's state to its Python stack.
 *
 * Frames are read a page at a time. From 3.11 on the frames of a thread
 * lie next to each other on its data stack, so one read brings dozens; a read costs
 * the same for 8 bytes as for 500. The page that holds the frame is mapped if the
 * frame is, its neighbours need not be: so a read never leaves the frame's own page
 * except for the frame's own tail.
 */
#ifndef PYSTACK_BPF_H
#define PYSTACK_BPF_H

#include "pymem_fingerprint.h"
#include "python/tstate.bpf.h"

#define PAGE_MASK_LOW 4095ULL

/* A thread's data stack consists of chunks, each mapped by itself and unmapped with its first
 * frame. Before that come three words (struct _stack_chunk). */
#define CHUNK_HEADER 24

#define CHUNK_SMALL 512
/* If a read brought fewer frames than this, the next one is small. Of a small read two frames are
 * many, since of large ones no more than two fit into it. */
#define SERVED_FEW   3
#define SERVED_SMALL (SERVED_FEW - 2) /* where the count of a small one begins */

/* Where a walk is. In registers, as far as the compiler has them: what is in the scratch area has
 * to be stored and loaded again, since all that is loaded from the chunk might be it. */
struct step {
	__u64 frame; /* next to look at */
	__u64 hash;
	__u32 depth;
	__u32 served; /* frames found in the chunk */
};

static __always_inline struct step step_begin(const struct scratch *s)
{
	struct step at = {
		.frame = s->frame, .hash = s->hash, .depth = s->depth, .served = s->served};

	return at;
}

static __always_inline void step_end(struct scratch *s, const struct step *at)
{
	s->frame = at->frame;
	s->hash = at->hash;
	s->depth = at->depth;
	s->served = at->served;
}

/* Reads `frame` into s->chunk unless it is there. Returns its offset there, or -1: unreadable. */
static __always_inline __s64 chunk_offset(struct scratch *s, const struct py_layout *py,
					  struct step *step)
{
	__u64 frame = step->frame, offset = frame - s->base, length;
	__u32 small;

	if (offset + py->frame_size <= s->length && offset <= CHUNK_BYTES)
		return offset;
	/* Frames on the data stack: from the start of the page, or as far as they went last
	 * time; frame objects: just one. Frames that lie apart (generators', or a hostile
	 * program's) are read with little around them. */
	small = step->served < SERVED_FEW;
	if (py->flags & PY_FRAME_OBJECT) {
		s->base = frame;
		length = py->frame_size;
	} else if (small) {
		s->base = frame & ~(__u64)(CHUNK_SMALL - 1);
		length = frame - s->base + py->frame_size;
	} else {
		s->base = frame & ~PAGE_MASK_LOW;
		if (frame == s->leaf && s->floor > s->base && s->floor <= frame)
			s->base = s->floor;
		length = frame - s->base + py->frame_size;
	}
	if (length > sizeof(s->chunk))
		length = sizeof(s->chunk);
	s->length = 0;
	if (bpf_probe_read_user(s->chunk, length, (const void *)s->base))
		return -1;
	s->length = length;
	s->small = small;
	step->served = small ? SERVED_SMALL : 0;
	return frame - s->base;
}

/* Looks at the frame step->frame: appends it unless it is a C-stack shim, and moves on
 * to its caller. 1: more to come, 0: the end, -1: unreadable. */
static __always_inline int walk_step(struct scratch *s, const struct py_layout *py,
				     struct step *step)
{
	__u64 code, instr, frame = step->frame;
	__s64 offset = chunk_offset(s, py, step);
	struct frame_raw *raw;
	__u32 n;
	__u8 *at, owner;

	if (offset < 0 || offset > CHUNK_BYTES)
		return -1;
	step->served++;
	at = s->chunk + offset;
	code = LOAD(at, py->frame_code, FRAME_BYTES - 1);
	instr = LOAD(at, py->frame_instr, FRAME_BYTES - 1);
	if (!(py->flags & PY_INSTR_POINTER)) {
		/* An int, perhaps in the upper half of its word. */
		if (py->frame_instr & 4)
			instr >>= 32;
		instr &= 0xffffffff;
	}
	if (py->flags & PY_EXECUTABLE_TAGGED)
		code &= ~7ULL;
	step->frame = LOAD(at, py->frame_back, FRAME_BYTES - 1);
	owner = at[py->frame_owner & (FRAME_BYTES - 1)];
	if (py->frame_owner != PY_NONE && owner != 0xff &&
	    (owner == py->owner_cstack || owner == py->owner_interpreter)) {
		/* This one lies alone on the C stack, which says nothing of the data stack's
		 * frames. */
		if (!s->small)
			step->served = SERVED_FEW;
		return step->frame != 0;
	}
	if ((frame & PAGE_MASK_LOW) == CHUNK_HEADER && !s->first) {
		s->first = frame;
		s->first_back = step->frame;
	}
	n = step->depth;
	if (n >= PYMEM_MAX_FRAMES) {
		s->truncated = 1;
		return 0;
	}
	if ((frame ^ s->leaf) <= PAGE_MASK_LOW && frame < s->low)
		s->low = frame;
	step->depth = n + 1;
	/* The asm keeps clang from leaving the mask out. */
	asm volatile("" : "+r"(n));
	raw = &s->frames[n & (PYMEM_MAX_FRAMES - 1)];
	raw->frame = frame;
	raw->code = code;
	raw->instr = instr;
	/* One multiplication that has to wait for the frame before it. */
	step->hash = mix(step->hash, code * MIX2 + instr);
	return step->frame != 0;
}

struct walk {
	struct scratch *s;
	const struct py_layout *py;
	__s64 more;
};

/* So many frames at most. `walk_less` is user space's. */
static __always_inline __u32 walk_most(void)
{
	return limits_itself ? PYMEM_MAX_WALK - walk_less : PYMEM_MAX_WALK;
}

#ifdef PYMEM_LEGACY
#define WALK_BATCH 16

LOOP_BODY walk_body(__u32 i __attribute__((unused)), struct walk *c)
{
	struct step step = step_begin(c->s);

	c->more = walk_step(c->s, c->py, &step);
	step_end(c->s, &step);
	return c->more <= 0;
}

/* Walks on for some frames, which the verifier follows once. As walk_step(). */
SEPARATE __u64 walk_batch(void)
{
	const struct pymem_layout *layout;
	struct walk c = {.more = -1};

	c.s = scratch_get();
	if (!c.s)
		return -1;
	layout = layout_now(c.s);
	if (!layout)
		return -1;
	c.py = layout_of(layout);
	LOOP(WALK_BATCH, walk_body, &c);
	return c.more;
}

/* Walks from s->frame to the outermost frame. 0: all of it, 1: cut off. */
SEPARATE __u64 walk_frames(void)
{
	__u32 i, most = walk_most() / WALK_BATCH;
	__s64 more = 1;

	for (i = 0; i < PYMEM_MAX_WALK / WALK_BATCH && i < most && more > 0; i++)
		more = walk_batch();
	return more != 0;
}
#else
#define WALK_BATCH                                                                              \
	2 /* frames of one iteration, which is a call; with 4 the verifier has twice as much to \
	     follow */

LOOP_BODY walk_body(__u32 i __attribute__((unused)), struct walk *c)
{
	struct step step = step_begin(c->s);
	__u32 k;

	UNROLL
	for (k = 0; k < WALK_BATCH; k++) {
		c->more = walk_step(c->s, c->py, &step);
		if (c->more <= 0)
			break;
	}
	step_end(c->s, &step);
	return c->more <= 0;
}

/* Walks from s->frame to the outermost frame. 0: all of it, 1: cut off. */
SEPARATE __u64 walk_frames(void)
{
	const struct pymem_layout *layout;
	struct walk c = {.more = 1};

	c.s = scratch_get();
	if (!c.s)
		return 1;
	layout = layout_now(c.s);
	if (!layout)
		return 1;
	c.py = layout_of(layout);
	LOOP(walk_most() / WALK_BATCH, walk_body, &c);
	return c.more != 0;
}
#endif

/* The innermost frame can't be read. If it is because the thread just unmaps the chunk that begins
 * with it: its caller, else 0. Up to 3.11 a frame that returns is the current one until it is
 * freed, and its chunk with it. A frame that can't be read for another reason (paged out) still
 * runs. The caller is known from a walk that met the frame, or from the mapping of the chunk: it
 * can't have got another one without one of these. */
static __always_inline __u64 popped_caller(const struct pymem_thread *th, __u64 frame)
{
	__u64 caller;

	if (!frame || (frame & PAGE_MASK_LOW) != CHUNK_HEADER)
		return 0;
	if (frame == th->first)
		caller = th->first_back;
	else if (frame == th->mapped + CHUNK_HEADER)
		caller = th->mapped_leaf;
	else
		return 0;
	return unmaps(frame - CHUNK_HEADER) ? caller : 0;
}

/* The Python stack of the current thread, innermost first, in s->frames; s->hash is
 * over what was read. 0, or LOST(cause). */
static __noinline int pystack_walk(struct pymem_proc *p, struct pymem_thread *th,
				   const struct pymem_layout *layout, struct scratch *s)
{
	__u64 caller;
	int err;

	s->depth = 0;
	s->truncated = 0;
	s->hash = MIX2;
	s->base = 0;
	s->length = 0;
	s->served = SERVED_FEW;
	s->small = 0;
	s->first = 0;
	err = current_frame(p, th, layout, s, &s->frame);
	if (err)
		return err;
	s->leaf = s->low = s->frame;
	s->floor = th->floor;
	/* A caller that can't be read leaves the frames below it right: it is cut there. */
	err = walk_frames();
	caller = err && !s->depth ? popped_caller(th, s->leaf) : 0;
	if (caller) {
		s->frame = s->leaf = s->low = caller;
		err = walk_frames();
	} else { /* further events of that munmap want to know the same */
		th->first = s->first;
		th->first_back = s->first_back;
	}
	th->leaf = s->leaf;
	th->floor = s->low;
	if (!err && !s->depth)
		return LOST(NO_FRAME);
	if (!s->depth)
		return LOST(UNREADABLE);
	if (err)
		s->truncated = 1;
	/* Not the same stack as one that ends there. */
	if (s->truncated)
		s->hash = mix(s->hash, MIX1);
	return 0;
}

#endif
