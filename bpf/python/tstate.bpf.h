/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a thread to its PyThreadState: the one whose thread_id is this thread's
 * pthread_self(), which its thread pointer tells. It is cached per thread and confirmed at each
 * use. The interpreter's notion of a "current" state is of no use: it is NULL, or another thread's,
 * while the GIL is released.
 *
 * Everything read here and in pystack.bpf.h is the target's and may be anything: each pointer is
 * only ever handed to bpf_probe_read_user(), each index is masked, each loop is bounded. Only the
 * search for a state has no natural bound. So all interpreters together get SEARCH_STEPS for each
 * event, and if that is not enough, the next event goes on.
 */
#ifndef TSTATE_BPF_H
#define TSTATE_BPF_H

#include "base/compat.bpf.h"
#include "base/loss.bpf.h"
#include "base/maps.bpf.h"
#include "python/names.bpf.h"

/* Thread states that one event looks at, in all interpreters together: about 30 us. */
#define SEARCH_STEPS BY_BUILD(384, 256)
#define SEARCH_ALL   (SEARCH_STEPS + 1) /* all steps, and one more to see that they have run out */
/* Thread states of one list that are looked at, in all events together. */
#define MAX_THREAD_SEARCH 16384
#define SEARCH_EVENTS	  (MAX_THREAD_SEARCH / SEARCH_STEPS)
#define MAX_INTERPRETERS  16
#define SEARCH_ALL_EVERY  64
#define SEARCH_NEWEST	  8

/* Messages of code objects that one event sends: all of a deep stack's for the first code objects
 * of an image; then few, since a program can make up new ones without end. Of a stack that has
 * more, the others follow at its next visits. */
#define SENDS_FIRST 192
#define FIRST_CODES 4096
#define SENDS_MAX   32

/* Unless own_scratch.bpf.h was included before. */
#ifndef SCRATCHES
#define SCRATCH_CONTENDED false
#define SCRATCHES	  (&scratches)
#define CODE_MESSAGES	  (&messages)
#endif

static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(SCRATCHES, &zero);
}

/* Takes what was seen not to be busy. False: another thread's event, which has taken the CPU since
 * then, has it. */
static __always_inline bool scratch_begins(struct scratch *s)
{
#ifndef PYMEM_LEGACY
	if (SCRATCH_CONTENDED)
		return !__sync_val_compare_and_swap(&s->busy, 0, 1);
#endif
	s->busy = 1;
	return true;
}

/* An event of p begins: sets what it may cost. */
static __always_inline void scratch_begin(struct scratch *s, const struct pymem_proc *p)
{
	s->layout = p->layout;
	s->stack.proc = p->id;
	s->steps = SEARCH_STEPS;
	s->sends = p->places[PYMEM_TABLE_CODES].held < FIRST_CODES ? SENDS_FIRST : SENDS_MAX;
	s->names = NAMES_FREE;
	s->most = PYMEM_MAX_FRAMES;
	s->shortened = 0;
	s->prefix = 0;
}

/* The same value, of which the verifier knows nothing: else it follows the rest of the
 * program once for each constant that a function may return. For whoever has taken the scratch area
 * alone: another event's would be lost. */
static __always_inline int opaque(struct scratch *s, int value)
{
	*(volatile __u32 *)&s->call = value;
	return *(volatile __u32 *)&s->call;
}

/* The layout of the process that this event is about. */
static __always_inline const struct pymem_layout *layout_now(const struct scratch *s)
{
	__u32 index = s->layout;

	return bpf_map_lookup_elem(&layouts, &index);
}

static __always_inline const struct py_layout *layout_of(const struct pymem_layout *layout)
{
	return &layout->py;
}

/* Loads 8 bytes at `offset` of a buffer of `size` bytes in a map value. The mask
 * is for the verifier: offsets of a valid layout are in range. */
#define LOAD(buffer, offset, mask) (*(__u64 *)((buffer) + ((offset) & (mask) & ~7U)))

/* A field of the thread state or code object whose head is in the scratch area `s`, by its name in
 * the layout: LOAD_CODE(s, py, filename) is what py->code_filename leads to. */
#define LOAD_TSTATE(s, py, field) LOAD((s)->tstate, (py)->tstate_##field, sizeof((s)->tstate) - 1)
#define LOAD_CODE(s, py, field)	  LOAD((s)->code, (py)->code_##field, sizeof((s)->code) - 1)

/* 4 bytes at an offset of the code object whose head is in s->code. */
static __always_inline __u32 load_code_u32(const struct scratch *s, __u32 offset)
{
	return *(const __u32 *)(s->code + (offset & (sizeof(s->code) - 4)));
}

static __always_inline __s32 code_first_line(const struct scratch *s, const struct py_layout *py)
{
	return load_code_u32(s, py->code_firstlineno);
}

static __always_inline int read_u64(__u64 *value, __u64 addr)
{
	return bpf_probe_read_user(value, sizeof(*value), (const void *)addr);
}

/* Reads the PyThreadState at `addr` into s->tstate. */
static __always_inline int read_tstate(struct scratch *s, const struct pymem_layout *layout,
				       __u64 addr)
{
	__u32 size = layout->tstate_size;

	if (size > sizeof(s->tstate))
		size = sizeof(s->tstate);
	return bpf_probe_read_user(s->tstate, size, (const void *)addr);
}

/* Where it has got to is in the scratch area, of which the verifier keeps no track. */
struct search {
	struct scratch *s;
	const struct pymem_layout *layout;
	__u64 pointer;
};

/* The innermost frame that the PyThreadState in s->tstate runs; 0: none. */
static __always_inline __u64 tstate_frame(struct scratch *s, const struct py_layout *py)
{
	__u64 frame = LOAD_TSTATE(s, py, frame);

	if (frame && (py->flags & PY_TSTATE_CFRAME) && read_u64(&frame, frame + py->cframe_frame))
		return 0;
	return frame;
}

#ifdef THREAD_POINTER_LAGS
#define POINTER_UNKNOWN 0 /* a main thread that was not switched from since its exec */

/* How often the current task was switched from, plus 1. */
static __always_inline __u64 switches_now(void)
{
	struct task_struct *task = current_task();

	return TASK_READ(task, nvcsw) + TASK_READ(task, nivcsw) + 1;
}

/* The current thread's pointer. After exec there is one thread, the main one: as long as it
 * has not been switched from, the kernel has another image's pointer, or none. */
static __always_inline __u64 thread_pointer(struct pymem_proc *p)
{
	__u64 pointer = current_thread_pointer(), ids = bpf_get_current_pid_tgid();

	if ((__u32)ids != ids >> 32)
		return pointer;
	if (p->exec_switches && p->exec_switches != switches_now())
		p->exec_switches = 0;
	return p->exec_switches ? POINTER_UNKNOWN : pointer;
}

/* Does the state in s->tstate belong to the thread with that pointer? The main thread's is the
 * first that was made, and new ones are put before it. */
static __always_inline bool is_tstate_of(struct scratch *s, const struct py_layout *py,
					 __u64 pointer)
{
	if (pointer == POINTER_UNKNOWN)
		return !LOAD_TSTATE(s, py, next);
	return is_thread_id(LOAD_TSTATE(s, py, thread_id), pointer);
}
#else
static __always_inline __u64 thread_pointer(struct pymem_proc *p __attribute__((unused)))
{
	return current_thread_pointer();
}

/* Does the state in s->tstate belong to the thread with that pointer? */
static __always_inline bool is_tstate_of(struct scratch *s, const struct py_layout *py,
					 __u64 pointer)
{
	return is_thread_id(LOAD_TSTATE(s, py, thread_id), pointer);
}
#endif

/* One step along the list. Stops at a state of that thread, which is then in s->tstate. */
LOOP_BODY search_step(__u32 i __attribute__((unused)), struct search *c)
{
	const struct py_layout *py = layout_of(c->layout);
	struct scratch *s = c->s;

	if (!s->search)
		return 1;
	if (!s->steps) {
		s->stopped = s->search;
		s->search = 0;
		return 1;
	}
	s->steps--;
	if (read_tstate(s, c->layout, s->search)) {
		s->unreadable = 1;
		s->search = 0;
		return 1;
	}
	if (is_tstate_of(s, py, c->pointer))
		return 1;
	s->search = LOAD_TSTATE(s, py, next);
	return 0;
}

#ifdef PYMEM_LEGACY
#define SEARCH_BATCH 32

/* So many steps at most, which the verifier follows once. True: no more. */
SEPARATE __u64 search_batch(__u64 pointer, __u32 limit)
{
	struct search c = {.pointer = pointer};
	__u32 i;

	c.s = scratch_get();
	if (!c.s)
		return 1;
	c.layout = layout_now(c.s);
	if (!c.layout)
		return 1;
	for (i = 0; i < SEARCH_BATCH && i < limit; i++)
		if (search_step(i, &c))
			return 1;
	return 0;
}

static __always_inline void search_steps(struct search *c, __u32 limit)
{
	__u32 i;

	for (i = 0; i < SEARCH_ALL && i < limit; i += SEARCH_BATCH)
		if (search_batch(c->pointer, limit - i))
			break;
}
#else
static __always_inline void search_steps(struct search *c, __u32 limit)
{
	LOOP(limit, search_step, c);
}
#endif

/* Looks for the next state of that thread, from the current one on. 0: it runs no frame, so go on;
 * 1: the search is over. */
static __always_inline int search_next(struct search *c, __u32 limit)
{
	struct scratch *s = c->s;

	search_steps(c, limit);
	if (!s->search || !is_tstate_of(s, layout_of(c->layout), c->pointer))
		return 1;
	if (tstate_frame(s, layout_of(c->layout))) {
		s->found = s->search;
		return 1;
	}
	if (!s->idle)
		s->idle = s->search;
	s->search = LOAD_TSTATE(s, layout_of(c->layout), next);
	return 0;
}

/* Searches up to `limit` entries of the thread list that starts at `tstate` for the thread
 * of that thread pointer: s->found is the state that runs a frame, s->idle one that does not. A
 * state made for a thread that has not started yet bears its maker's id: so up to
 * three are tried. */
SEPARATE __u64 search_threads(__u64 tstate, __u64 pointer, __u32 limit)
{
	struct search c = {.pointer = pointer};

	c.s = scratch_get();
	if (!c.s)
		return 0;
	c.layout = layout_now(c.s);
	if (!c.layout)
		return 0;
	c.s->search = tstate;
	if (limit > SEARCH_ALL)
		limit = SEARCH_ALL;
	if (search_next(&c, limit) || search_next(&c, limit))
		return 0;
	search_next(&c, limit);
	return 0;
}

/* Address of the first PyInterpreterState, newest first; 0 if there is none yet. */
static __always_inline __u64 first_interpreter(struct pymem_proc *p, const struct py_layout *py)
{
	__u64 interp = 0, tstate = 0;

	if (!(py->flags & PY_TSTATE_CURRENT)) {
		if (read_u64(&interp, p->runtime + py->runtime_interp_head))
			return 0;
		return interp;
	}
	/* 3.6: interp_head is a private symbol. Without it, any running thread's state
	 * leads to its interpreter, which is remembered. */
	if (p->interp_head & 1)
		return p->interp_head & ~1ULL;
	if (p->interp_head && !read_u64(&interp, p->interp_head) && interp)
		return interp;
	if (read_u64(&tstate, p->runtime) || !tstate)
		return 0;
	if (read_u64(&interp, tstate + py->tstate_interp) || !interp)
		return 0;
	p->interp_head = interp | 1;
	return interp;
}

struct interpreters {
	struct scratch *s;
	const struct py_layout *py;
	__u64 pointer;
	__u32 limit;
};

/* Where it has got to is in the scratch area, of which the verifier keeps no track. */
LOOP_BODY interpreter_step(__u32 i __attribute__((unused)), struct interpreters *c)
{
	struct scratch *s = c->s;
	__u64 head = 0, next = 0;

	if (!s->interp)
		return 1;
	s->interpreters++;
	if (read_u64(&head, s->interp + c->py->interp_thread_head)) {
		s->unreadable = 1;
		return 1;
	}
	if (!s->found)
		search_threads(head, c->pointer, c->limit);
	if (read_u64(&next, s->interp + c->py->interp_next))
		next = 0;
	s->interp = next;
	/* The second one is looked for even after a match: is there more than one? */
	return s->found && s->interpreters > 1;
}

#ifdef PYMEM_LEGACY
/* One of them, which the verifier follows once. True: no more. */
SEPARATE __u64 interpreter_look(__u64 pointer, __u32 limit)
{
	struct interpreters c = {.pointer = pointer, .limit = limit};
	const struct pymem_layout *layout;

	c.s = scratch_get();
	if (!c.s)
		return 1;
	layout = layout_now(c.s);
	if (!layout)
		return 1;
	c.py = layout_of(layout);
	return interpreter_step(0, &c);
}
#endif

/* Searches all interpreters from s->interp on, newest first, for that thread: see
 * search_threads(). s->interpreters says how many were seen. */
SEPARATE __u64 search_interpreters(__u64 pointer, __u32 limit)
{
	struct interpreters c = {.pointer = pointer, .limit = limit};
	const struct pymem_layout *layout;

	c.s = scratch_get();
	if (!c.s)
		return 0;
	layout = layout_now(c.s);
	if (!layout)
		return 0;
	c.py = layout_of(layout);
	c.s->found = 0;
	c.s->idle = 0;
	c.s->unreadable = 0;
	c.s->interpreters = 0;
#ifdef PYMEM_LEGACY
	for (__u32 i = 0; i < MAX_INTERPRETERS; i++)
		if (interpreter_look(pointer, limit))
			break;
#else
	LOOP(MAX_INTERPRETERS, interpreter_step, &c);
#endif
	return 0;
}

/* Notes where this thread's search of a long list goes on at its next event; 0: it is over. That is
 * done only if there is one interpreter: with several, the newest state counts, and a newer one may
 * have come before the part that was searched. A list without an end is given up like one that has
 * ended. */
static __always_inline void search_note(struct pymem_proc *p, struct pymem_thread *th,
					struct scratch *s)
{
	if (!s->stopped || s->found || p->multi || th->passes >= SEARCH_EVENTS) {
		th->resume = 0;
		th->passes = 0;
		return;
	}
	th->resume = s->stopped;
	th->passes++;
	/* This is no miss yet. */
	th->searches--;
}

/* The current thread, which runs Python on p, gets what tells it apart, unless it has that. If two
 * threads take the same number at the same time, their TIDs differ. A native thread that never runs
 * Python takes none. */
static __always_inline void thread_tell(struct pymem_proc *p, struct pymem_thread *th)
{
	__u32 before;

	if (!tell_threads || th->told)
		return;
	before = *(volatile __u32 *)&p->threads;
	__sync_fetch_and_add(&p->threads, 1);
	th->told = before < PYMEM_THREADS_TOLD
			   ? PYMEM_THREAD(before + 1, (__u32)bpf_get_current_pid_tgid())
			   : PYMEM_THREAD_OTHERS;
}

/* Finds this thread's state anew. 0: th->tstate has it; else LOST(cause). th->tstate is the one
 * that it had and runs no frame, or 0.
 *
 * A native thread that allocates a lot would search a long list at every event: after a miss only
 * the newest entries are looked at each time, since a thread registers at the head, and the whole
 * list now and then: soon after the first, since a thread that has just been made may register
 * among many, and at every 64th miss. A list of 16,384 entries takes 43 events for that, so 43 of
 * 106 events of such a thread search as much as one event may. A state that runs no frame just now
 * is remembered: when it runs one again, it is found however old it is. */
static __noinline int find_tstate(struct pymem_proc *p, struct pymem_thread *th,
				  const struct pymem_layout *layout, struct scratch *s,
				  __u64 pointer)
{
	__u32 limit = SEARCH_ALL, missed;

	if (!p || !th || !layout || !s)
		return -1;
	s->interp = first_interpreter(p, layout_of(layout));
	if (!s->interp)
		return LOST(NO_FRAME);
	missed = th->searches++;
	if (th->resume || (missed & (missed - 1) && missed % SEARCH_ALL_EVERY))
		limit = SEARCH_NEWEST;
	s->stopped = 0;
	search_interpreters(pointer, limit);
	if (s->interpreters > 1)
		p->multi = 1;
	if (th->resume && !s->found && !p->multi)
		search_threads(th->resume, pointer, SEARCH_ALL);
	search_note(p, th, s);
	if (s->found) {
		th->tstate = s->found;
		thread_tell(p, th);
		th->searches = 0;
		return 0;
	}
	if (s->idle) {
		th->tstate = s->idle;
		thread_tell(p, th);
		/* If the thread may have a state in each interpreter, none is kept, and each event
		 * searches all. If there are too many states, that is done as rarely as for a
		 * thread without a state. */
		if (p->multi && !s->stopped)
			th->searches = 0;
	}
	if (th->tstate)
		return LOST(NO_FRAME);
	return s->unreadable ? LOST(UNREADABLE) : LOST(NO_THREAD);
}

/* Is there a second interpreter by now? Then a thread may have a state in each. */
static __always_inline bool second_interpreter(struct pymem_proc *p,
					       const struct pymem_layout *layout)
{
	const struct py_layout *py = layout_of(layout);
	__u64 interp, next = 0;

	if (p->multi)
		return false;
	interp = first_interpreter(p, py);
	if (!interp || read_u64(&next, interp + py->interp_next) || !next)
		return false;
	p->multi = 1;
	return true;
}

/* Address of the innermost frame. 0, or LOST(cause). */
static __always_inline int current_frame(struct pymem_proc *p, struct pymem_thread *th,
					 const struct pymem_layout *layout, struct scratch *s,
					 __u64 *frame)
{
	const struct py_layout *py = layout_of(layout);
	__u64 pointer = thread_pointer(p);
	int err;

	/* A thread that runs a subinterpreter has a state in each: then search, newest first. */
	/* One that runs no frame may have been freed, and the thread has made another: native
	 * threads do so at each call back into Python. */
	*frame = 0;
	if (th->tstate && !p->multi && !read_tstate(s, layout, th->tstate) &&
	    is_tstate_of(s, py, pointer))
		*frame = tstate_frame(s, py);
	else
		th->tstate = 0;
	if (*frame)
		return 0;
	err = find_tstate(p, th, layout, s, pointer);
	if (err)
		return err;
	if (read_tstate(s, layout, th->tstate))
		return LOST(UNREADABLE);
	*frame = tstate_frame(s, py);
	return *frame ? 0 : LOST(NO_FRAME);
}

#endif
