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

/* Where a frame's fields are, as one number. Frames of two forms are taken in runs: see walk_run().
 */
#define FRAME_FORM(back, code, instr) ((__u64)(back) | (__u64)(code) << 16 | (__u64)(instr) << 32)
#define FORM_ANY		      0ULL
#define FORM_3_11		      FRAME_FORM(48, 32, 56) /* it has neither shims nor tags */
#define FORM_3_12		      FRAME_FORM(8, 0, 56)
#define FORM_BACK(form)		      ((form)&0xff)
#define FORM_CODE(form)		      ((form) >> 16 & 0xff)
#define FORM_INSTR(form)	      ((form) >> 32 & 0xff)

/* Reads `frame` into s->chunk unless it is there. Returns its offset there, or -1: unreadable. */
static __always_inline __s64 chunk_offset(struct scratch *s, const struct py_layout *py,
					  struct step *step, const __u64 form)
{
	__u64 frame = step->frame, offset = frame - s->base, length;
	__u32 small;

	if (offset + py->frame_size <= s->length && offset <= CHUNK_BYTES)
		return offset;
	/* Frames on the data stack: from the start of the page, or as far as they went last
	 * time; frame objects: just one. Frames that lie apart (generators', or a hostile
	 * program's) are read with little around them. */
	small = step->served < SERVED_FEW;
	if (form == FORM_ANY && py->flags & PY_FRAME_OBJECT) {
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
	step->served = opaque(s, small ? SERVED_SMALL : 0);
	return frame - s->base;
}

/* Looks at the frame step->frame, which is in the chunk: appends it unless it is a C-stack shim,
 * and moves on to its caller. 1: more to come, 0: the end. */
static __always_inline int walk_frame(struct scratch *s, const struct py_layout *py,
				      struct step *step, __u64 offset, const __u64 form)
{
	__u64 code, instr, frame = step->frame;
	struct frame_raw *raw;
	__u32 n;
	__u8 *at, owner;

	step->served++;
	at = s->chunk + offset;
	code = LOAD(at, py->frame_code, FRAME_BYTES - 1);
	instr = LOAD(at, py->frame_instr, FRAME_BYTES - 1);
	if (form == FORM_ANY && !(py->flags & PY_INSTR_POINTER)) {
		/* An int, perhaps in the upper half of its word. */
		if (py->frame_instr & 4)
			instr >>= 32;
		instr &= 0xffffffff;
	}
	if (form != FORM_3_11 && py->flags & PY_EXECUTABLE_TAGGED)
		code &= ~7ULL;
	step->frame = LOAD(at, py->frame_back, FRAME_BYTES - 1);
	owner = at[py->frame_owner & (FRAME_BYTES - 1)];
	if (form != FORM_3_11 && py->frame_owner != PY_NONE && owner != 0xff &&
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

/* Reads the frame step->frame unless it is in the chunk, and looks at it. As walk_frame(), or -1:
 * unreadable. */
static __always_inline int walk_step(struct scratch *s, const struct py_layout *py,
				     struct step *step)
{
	__s64 offset = chunk_offset(s, py, step, FORM_ANY);

	if (offset < 0 || offset > CHUNK_BYTES)
		return -1;
	return walk_frame(s, py, step, offset, FORM_ANY);
}

/* What of it changes is in the scratch area: of what is on the stack here the verifier would follow
 * each value that it may have. */
struct walk {
	struct scratch *s;
	const struct py_layout *py;
};

/* So many frames at most. `walk_less` is user space's. */
static __always_inline __u32 walk_most(void)
{
	return limits_itself ? PYMEM_MAX_WALK - walk_less : PYMEM_MAX_WALK;
}

#ifdef PYMEM_LEGACY
#define WALK_BATCH 16

/* From one frame to the next all is in the scratch area, of whose contents the verifier knows
 * nothing: registers would be followed with each value that they may have. */
LOOP_BODY walk_body(__u32 i __attribute__((unused)), struct walk *c)
{
	struct step step;

	asm volatile("" : : : "memory");
	step = step_begin(c->s);
	c->s->more = walk_step(c->s, c->py, &step);
	step_end(c->s, &step);
	asm volatile("" : : : "memory");
	return c->s->more <= 0;
}

/* Walks on for some frames, which the verifier follows once. As walk_step(). */
SEPARATE __u64 walk_batch(void)
{
	const struct pymem_layout *layout;
	struct walk c;

	c.s = scratch_get();
	if (!c.s)
		return -1;
	layout = layout_now(c.s);
	if (!layout)
		return -1;
	c.py = layout_of(layout);
	LOOP(WALK_BATCH, walk_body, &c);
	return c.s->more;
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
	struct step step;
	int more = 0;
	__u32 k;

	UNROLL
	for (k = 0; k < WALK_BATCH; k++) {
		/* From memory: the verifier is to follow the second frame once, too. */
		asm volatile("" : : : "memory");
		step = step_begin(c->s);
		more = opaque(c->s, walk_step(c->s, c->py, &step));
		step_end(c->s, &step);
		if (more <= 0)
			break;
	}
	c->s->more = more;
	return more <= 0;
}

/* Nearly all frames from 3.11 on are plain: in the chunk, Python's own, and not the first of their
 * data stack's chunk. These are taken in runs, where a frame is a third of the instructions: where
 * its fields are is known when this is compiled, what is the same for all frames of a chunk is
 * found once a run, and there is no index to bound. walk_frame() has all others. */
#define WALK_RUN    8
#define OWNER_PLAIN 2 /* the greatest of Python's own: thread, generator, frame object */

/* Which form the frames of a layout have; FORM_ANY: another than these two. */
static __always_inline __u64 frame_form(const struct py_layout *py)
{
	__u64 form = FRAME_FORM(py->frame_back, py->frame_code, py->frame_instr);
	bool tagged = py->flags & PY_EXECUTABLE_TAGGED;
	bool shims = py->owner_cstack != 0xff || py->owner_interpreter != 0xff;

	if ((py->flags & (PY_INSTR_POINTER | PY_FRAME_OBJECT)) != PY_INSTR_POINTER ||
	    py->frame_owner >= FRAME_BYTES || py->owner_cstack <= OWNER_PLAIN ||
	    py->owner_interpreter <= OWNER_PLAIN)
		return FORM_ANY;
	return form == FORM_3_11 && (tagged || shims) ? FORM_ANY : form;
}

/* Appends the plain frames from step->frame on, as many as one run takes. Returns how many. */
static __always_inline __u32 walk_run(struct scratch *s, const struct py_layout *py,
				      struct step *step, const __u64 form)
{
	__u64 base = s->base, room = s->length - py->frame_size, begin, offset, low, lowest = 0;
	__u64 tags = opaque(s, py->flags & PY_EXECUTABLE_TAGGED ? 7 : 0), code, instr;
	__u32 n = step->depth, k;
	struct frame_raw *raw;
	__u8 *chunk, *at, *owner;

	/* The asm keeps clang from asking another register. */
	asm volatile("" : "+r"(n));
	if (n > PYMEM_MAX_FRAMES - WALK_RUN)
		return 0;
	raw = &s->frames[n];
	/* All frames of a chunk are in the same page. The first frame of a data stack's chunk is at
	 * CHUNK_HEADER there: while it is of interest, runs begin after it. */
	begin = CHUNK_HEADER + 1 - (base & PAGE_MASK_LOW);
	begin = opaque(s, s->first || begin > CHUNK_HEADER + 1 ? 0 : begin) & 31;
	base += begin;
	room -= begin;
	chunk = s->chunk + begin;
	owner = chunk + (py->frame_owner & (FRAME_BYTES - 1));
	/* The lowest frame so far in the innermost one's page. */
	if ((base ^ s->leaf) <= PAGE_MASK_LOW && s->low > base)
		lowest = s->low - base;
	low = lowest;
	UNROLL
	for (k = 0; k < WALK_RUN; k++) {
		offset = step->frame - base;
		if (offset > room || offset > CHUNK_BYTES - 32)
			break;
		if (form != FORM_3_11 && owner[offset] > OWNER_PLAIN)
			break;
		if (offset < low)
			low = offset;
		at = chunk + offset;
		code = *(__u64 *)(at + FORM_CODE(form));
		if (form != FORM_3_11)
			code &= ~tags;
		instr = *(__u64 *)(at + FORM_INSTR(form));
		raw[k].frame = step->frame;
		raw[k].code = code;
		raw[k].instr = instr;
		step->hash = mix(step->hash, code * MIX2 + instr);
		step->frame = *(__u64 *)(at + FORM_BACK(form));
		if (!step->frame) {
			k++;
			break;
		}
	}
	if (low != lowest)
		s->low = base + low;
	/* Else the verifier would follow what comes now once for each number of frames. */
	k = opaque(s, k);
	step->depth = n + k;
	step->served += k;
	return k;
}

static __always_inline long walk_form(struct walk *c, const __u64 form)
{
	struct scratch *s = c->s;
	struct step step = step_begin(s);
	__u64 offset = chunk_offset(s, c->py, &step, form);
	__u32 taken = 0;

	s->more = -1;
	if (offset > CHUNK_BYTES)
		return 1;
	if (s->left >= WALK_RUN)
		taken = walk_run(s, c->py, &step, form);
	s->left -= taken;
	/* Is the next one in the chunk, but not plain? */
	offset = step.frame - s->base;
	if (step.frame && taken < WALK_RUN && offset + c->py->frame_size <= s->length &&
	    offset <= CHUNK_BYTES) {
		walk_frame(s, c->py, &step, offset, form);
		s->left--;
	}
	step_end(s, &step);
	s->more = step.frame && !s->truncated;
	return !s->more || !s->left;
}

LOOP_BODY walk_form_3_11(__u32 i __attribute__((unused)), struct walk *c)
{
	return walk_form(c, FORM_3_11);
}

LOOP_BODY walk_form_3_12(__u32 i __attribute__((unused)), struct walk *c)
{
	return walk_form(c, FORM_3_12);
}

/* Walks from s->frame to the outermost frame. 0: all of it, 1: cut off. */
SEPARATE __u64 walk_frames(void)
{
	const struct pymem_layout *layout;
	struct walk c;
	__u32 most = walk_most();
	__u64 form;

	c.s = scratch_get();
	if (!c.s)
		return 1;
	c.s->more = 1;
	layout = layout_now(c.s);
	if (!layout)
		return 1;
	c.py = layout_of(layout);
	c.s->left = most - most % WALK_BATCH;
	form = frame_form(c.py);
	if (!c.s->left)
		return 1;
	if (form == FORM_3_11)
		LOOP(most, walk_form_3_11, &c);
	else if (form == FORM_3_12)
		LOOP(most, walk_form_3_12, &c);
	else
		LOOP(most / WALK_BATCH, walk_body, &c);
	return c.s->more != 0;
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
