/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "hostile.h"

#include <string.h>

#include "image.h"
#include "walker.h"

/* Where this memory is made up; no process has any there. */
#define CFRAME_AT 0x20000000000ull
#define STATES_AT 0x20100000000ull
#define FRAMES_AT 0x20200000000ull
#define CODES_AT  0x20300000000ull
#define TEXT_AT	  0x20400000000ull
#define TABLE_AT  0x20500000000ull

#define PAGE	   4096
#define STATES	   2000 /* in a circle */
#define OWN_STATES 100	/* each so many is one of the thread that is walked, without a frame */
#define FRAMES	   400
#define TEXT	   1000	 /* characters of a name */
#define TABLE	   65536 /* bytes of a line table */
#define EVENTS	   48

/* docs/DESIGN.md has these numbers; the code's own are compared with them. */
enum {
	MODERN_STATES = 384,
	LEGACY_STATES = 256,
	INTERPRETERS = 16,
	WALK = 160,
	NAMED = 128,
	SENDS_AT_FIRST = 192,
	REMEMBERED = 4096,
	SENDS_LATER = 32,
	SAVED = 1 << 19,
	NAMED_LEAST = 2,
	SENDS_LEAST = 1,
};

/* Of an interpreter: its list, the next one, and three states that lead to a frame. */
#define INTERPRETER_READS 5
/* To name a code object: its head; of two long texts both ends; of a long line table its size, both
 * ends, and 8 pieces, since it has no number of its own. */
#define NAME_READS 16
#define NAME_BYTES 3300
/* To send one: it is named once more; length, kind and text of two names; the size of its table.
 * The pieces of the table are messages. */
#define SEND_READS (NAME_READS + 7)
#define SEND_BYTES (NAME_BYTES + 2048)
/* A code object is sent as a whole, so the last one may have so many messages more; then the stack.
 */
#define LAST_SENDS (PYMEM_TABLE_MAX / PYMEM_TABLE_BYTES)
#define STACKS	   1

/* A read of a frame that lies alone. */
#define FRAME_BYTES_MOST 640
/* What finds the state of a thread that is known, and what else is read once for an event. */
#define ONCE 8

static const struct py_process *process;
static const struct py_layout *py;
static const struct pymem_layout *layout;
static struct reference real;
static unsigned char zeros[4 * PAGE];

static void put(uint64_t at, uint64_t value, uint64_t size)
{
	image_add(at, &value, size);
}

static void begin(const char *kind, const struct truth *t)
{
	oracle_case("%s", kind);
	oracle_forget();
	memset(&image_faults, 0, sizeof(image_faults));
	walker_reset(layout, process->runtime_addr, process->interp_head_addr);
	reference_walk(&real, process, t->thread_id, REFERENCE_FRAMES);
}

static void end(void)
{
	memset(&image_faults, 0, sizeof(image_faults));
	reference_fini(&real);
}

static void patch(uint64_t addr, uint64_t value)
{
	image_faults.patches[image_faults.patch_count++] =
		(struct image_patch){addr, value, IMAGE_ALWAYS};
}

static void event(const struct truth *t)
{
	oracle_forget();
	image_reads = 0;
	image_steps = 0;
	image_bytes = 0;
	image_messages = 0;
	walker_event(t->thread_id);
}

static void most(long *so_far, long now)
{
	if (now > *so_far)
		*so_far = now;
}

static long states_bound(void)
{
	return walker_search_steps() + INTERPRETERS * INTERPRETER_READS + ONCE;
}

/* --- thread states --- */

static void states_make(const struct truth *t)
{
	static unsigned char state[1024];

	if (layout->tstate_size > sizeof(state) ||
	    !image_peek(state, layout->tstate_size, real.tstate))
		walker_broken("no room for a thread state");
	image_add(CFRAME_AT, zeros, PAGE);
	for (unsigned i = 0; i < STATES; i++) {
		bool own = i % OWN_STATES == OWN_STATES - 1;
		uint64_t id = own ? t->thread_id : 1;
		uint64_t frame = py->flags & PY_TSTATE_CFRAME ? CFRAME_AT : 0;
		uint64_t next = STATES_AT + (i + 1) % STATES * sizeof(state);

		memcpy(state + py->tstate_thread_id, &id, sizeof(id));
		memcpy(state + py->tstate_frame, &frame, sizeof(frame));
		memcpy(state + py->tstate_next, &next, sizeof(next));
		image_add(STATES_AT + i * sizeof(state), state, sizeof(state));
	}
}

static long check_lists(const struct truth *t)
{
	long reads = 0;

	begin("interpreters in a ring, with endless lists", t);
	states_make(t);
	patch(real.interp + py->interp_thread_head, STATES_AT);
	patch(real.interp + py->interp_next, real.interp);
	for (unsigned i = 0; i < EVENTS; i++) {
		event(t);
		most(&reads, image_reads);
		if (image_reads > states_bound())
			walker_broken("an event looks at more thread states than it may");
	}
	if (reads < walker_search_steps())
		walker_broken("this is no endless list");
	end();
	return reads;
}

/* --- frames --- */

static uint64_t frame_at(unsigned i)
{
	return FRAMES_AT + 2ull * PAGE * i + PAGE / 2;
}

/* Each on a page of its own, with another one between. */
static void frames_make(unsigned char owner)
{
	for (unsigned i = 0; i < FRAMES; i++) {
		uint64_t at = frame_at(i), code = CODES_AT + PAGE * (uint64_t)i;

		image_add(at - PAGE / 2, zeros, PAGE);
		put(at + py->frame_code, code, 8);
		put(at + py->frame_back, i + 1 < FRAMES ? frame_at(i + 1) : 0, 8);
		if (py->flags & PY_INSTR_POINTER)
			put(at + py->frame_instr, code + py->code_bytecode, 8);
		if (py->frame_owner != PY_NONE)
			put(at + py->frame_owner, owner, 1);
	}
}

/* The thread's state leads to these frames. */
static void frames_enter(void)
{
	bool by_cframe = py->flags & PY_TSTATE_CFRAME;

	image_add(CFRAME_AT, zeros, PAGE);
	if (by_cframe)
		put(CFRAME_AT + py->cframe_frame, frame_at(0), 8);
	patch(real.tstate + py->tstate_frame, by_cframe ? CFRAME_AT : frame_at(0));
}

static long check_shims(const struct truth *t)
{
	long reads = 0;

	if (py->frame_owner == PY_NONE || py->owner_cstack == 0xff)
		return 0;
	begin("frames of C without end", t);
	frames_make(py->owner_cstack);
	frames_enter();
	for (unsigned i = 0; i < EVENTS; i++) {
		event(t);
		most(&reads, image_reads);
		if (image_reads > states_bound() + WALK)
			walker_broken("an event looks at more frames than it may");
	}
	if (reads < WALK)
		walker_broken("these are not many frames");
	end();
	return reads;
}

/* --- code objects --- */

static void text_make(uint64_t at, char letter)
{
	char text[TEXT];

	memset(text, letter, sizeof(text));
	image_add(at, zeros, PAGE);
	put(at + py->unicode_length, TEXT, 8);
	put(at + py->unicode_state,
	    1u << py->unicode_kind_shift | 1u << py->unicode_compact_shift |
		    1u << py->unicode_ascii_shift,
	    4);
	image_add(at + py->unicode_ascii_size, text, sizeof(text));
}

static void codes_make(void)
{
	text_make(TEXT_AT, 'f');
	text_make(TEXT_AT + PAGE, 'n');
	for (uint64_t at = 0; at < TABLE + 2 * PAGE; at += PAGE)
		image_add(TABLE_AT + at, zeros, PAGE);
	put(TABLE_AT + py->bytes_size, TABLE, 8);
	for (unsigned i = 0; i < FRAMES; i++) {
		uint64_t at = CODES_AT + PAGE * (uint64_t)i;

		image_add(at, zeros, PAGE);
		put(at + py->code_filename, TEXT_AT, 8);
		put(at + py->code_name, TEXT_AT + PAGE, 8);
		if (py->code_qualname != PY_NONE)
			put(at + py->code_qualname, TEXT_AT + PAGE, 8);
		put(at + py->code_linetable, TABLE_AT, 8);
	}
}

/* Others are at the same addresses. */
static void codes_change(unsigned number)
{
	for (unsigned i = 0; i < FRAMES; i++)
		put(CODES_AT + PAGE * (uint64_t)i + py->code_firstlineno, number + 1, 4);
}

/* The innermost frame runs another instruction: so it is another stack. */
static void stack_change(unsigned number)
{
	uint64_t at = frame_at(0) + py->frame_instr;

	if (py->flags & PY_INSTR_POINTER)
		put(at, CODES_AT + py->code_bytecode + 2 * number, 8);
	else
		put(at, 2 * number, 4);
}

/* What was sent is counted as it was, so this is also what each message may cost. */
static void check_deep_event(long sends)
{
	long attempts = image_messages;

	if (attempts > sends + LAST_SENDS + STACKS)
		walker_broken("an event sends more messages than it may");
	if (image_reads > ONCE + WALK + NAMED * NAME_READS + attempts * SEND_READS)
		walker_broken("an event reads more than it may");
	if (image_bytes > WALK * FRAME_BYTES_MOST + 2 * PAGE + NAMED * NAME_BYTES +
				  attempts * (SEND_BYTES + PYMEM_TABLE_BYTES))
		walker_broken("an event reads more bytes than it may");
}

/* The most messages of an event. */
static long deep_events(const struct truth *t, long sends, unsigned first, long *reads)
{
	long messages = 0;

	for (unsigned i = 0; i < EVENTS; i++) {
		codes_change(first + i);
		event(t);
		check_deep_event(sends);
		most(&messages, image_messages);
		most(reads, image_reads);
	}
	if (messages < sends / 2)
		walker_broken("these are no new code objects");
	return messages;
}

static void check_deep(const struct truth *t, struct hostile_costs *costs)
{
	long still = 0;

	begin("new code objects at each event", t);
	frames_make(0);
	codes_make();
	frames_enter();
	costs->deep_messages = deep_events(t, SENDS_AT_FIRST, 0, &costs->deep);
	oracle_case("new code objects at each event, many are remembered");
	walker_proc.places[PYMEM_TABLE_CODES].held = REMEMBERED;
	costs->late_messages = deep_events(t, SENDS_LATER, EVENTS, &costs->deep);
	/* Nothing is new any more: so only naming them costs anything. */
	oracle_case("the same code objects at each event");
	for (unsigned i = 0; i < 4 * EVENTS; i++) {
		event(t);
		check_deep_event(SENDS_LATER);
		if (!image_messages)
			most(&still, image_reads);
	}
	if (still < NAMED * NAME_READS)
		walker_broken("these code objects are not named one by one");
	end();
}

/* The account is empty: the innermost code objects are named, and one is handed over. Once more, a
 * code object may be asked whether it is still the one that it was. */
static void check_account_event(void)
{
	if (image_messages > SENDS_LEAST + LAST_SENDS + STACKS)
		walker_broken("an event sends more messages than its image's account allows");
	if (image_reads >
	    ONCE + WALK + (NAMED_LEAST + 1) * NAME_READS + image_messages * SEND_READS)
		walker_broken("an event names more than its image's account allows");
}

/* An event at which nothing changed. */
static void expect_same(const struct truth *t, uint64_t hash)
{
	uint64_t dynamic = walker_proc.dynamic_until;

	event(t);
	if (walker_stack_hash() != hash)
		walker_broken("the same stack has another name");
	if (walker_proc.dynamic_until != dynamic)
		walker_broken("code objects that are there count as replaced");
}

/* Visits until the stack has another name. `replaced`: its code objects were. */
static void expect_other(const struct truth *t, bool replaced)
{
	uint64_t hash = walker_stack_hash(), dynamic;

	walker_proc.dynamic_until = dynamic = 1; /* long ago */
	for (unsigned i = 0; i < 2 * EVENTS && walker_stack_hash() == hash; i++)
		event(t);
	if (walker_stack_hash() == hash || !walker_stack_hash())
		walker_broken("a known stack is not confirmed");
	if (replaced != (walker_proc.dynamic_until != dynamic))
		walker_broken("code objects count as replaced, or not, and it is not so");
}

static void check_cut_stack(const struct truth *t)
{
	uint64_t cut;

	oracle_case("a stack that was cut, and may be named now");
	event(t);
	cut = walker_stack_hash();
	if (!cut)
		walker_broken("the innermost frames of a new stack are not named");
	for (unsigned i = 0; i < 2 * EVENTS; i++) {
		expect_same(t, cut);
		check_account_event();
	}
	oracle_case("the same, when its code objects are replaced then");
	codes_change(4 * EVENTS);
	expect_other(t, true);
	oracle_case("the same, when it may be named as a whole");
	walker_clock_on(SAVED);
	expect_other(t, false);
	if (walker_proc.names_left > SAVED)
		walker_broken("an account has more than it may");
	expect_same(t, walker_stack_hash());
	oracle_case("the same, when its code objects are replaced then");
	codes_change(5 * EVENTS);
	expect_other(t, true);
}

/* A stack that is known as a whole stays what it is while the account is empty. */
static void check_whole_stack(const struct truth *t)
{
	uint64_t whole;

	begin("a known stack, and then the account is empty", t);
	walker_limit_names(1, SAVED);
	frames_make(0);
	codes_make();
	frames_enter();
	event(t);
	whole = walker_stack_hash();
	for (int left = 0; left < NAMED; left += NAMED / 2) {
		walker_limit_names(1, left);
		walker_proc.dynamic_until = 1;
		for (unsigned i = 0; i < 2 * EVENTS; i++)
			expect_same(t, whole);
	}
	walker_clock_on(SAVED);
	for (unsigned i = 0; i < 2 * EVENTS; i++)
		expect_same(t, whole);
	oracle_case("a known stack whose code objects are replaced, the account is full");
	codes_change(6 * EVENTS);
	expect_other(t, true);
	oracle_case("a known stack whose code objects are replaced, the account is empty");
	walker_limit_names(1, 0);
	codes_change(7 * EVENTS);
	expect_other(t, true);
	end();
}

/* An account that was empty for long has what time brings, no less and no more. */
static void check_refill(const struct truth *t)
{
	begin("an account that fills again", t);
	frames_make(0);
	codes_make();
	frames_enter();
	walker_limit_names(3, 0);
	for (unsigned i = 0; i < 20 * EVENTS; i++) {
		codes_change(8 * EVENTS + i);
		stack_change(i);
		event(t);
	}
	walker_clock_on(100);
	walker_limit_names(3, walker_proc.names_left);
	walker_clock_on(1000);
	stack_change(0);
	codes_change(7 * EVENTS);
	event(t);
	if (walker_proc.names_left > 3000 ||
	    walker_proc.names_left < 3000 - NAMED - SENDS_AT_FIRST - LAST_SENDS)
		walker_broken("an account has not what time brings");
	walker_clock_on(2 * SAVED);
	walker_proc.names_left = 0;
	event(t);
	if (walker_proc.names_left > SAVED || walker_proc.names_left < SAVED / 2)
		walker_broken("an account does not get full");
	end();
}

static long check_account(const struct truth *t)
{
	long reads = 0, all = 0;

	begin("new code objects at each event, on an account", t);
	frames_make(0);
	codes_make();
	frames_enter();
	walker_limit_names(1, EVENTS * NAMED / 4);
	for (unsigned i = 0; i < EVENTS; i++) {
		codes_change(2 * EVENTS + i);
		event(t);
		check_deep_event(SENDS_AT_FIRST);
		most(&all, image_reads);
	}
	if (all < NAMED * NAME_READS)
		walker_broken("an account that is full names less");
	if (walker_proc.names_left > 0)
		walker_broken("what an event names is not taken off the account");
	oracle_case("new code objects at each event, the account is empty");
	walker_limit_names(1, 0);
	for (unsigned i = 0; i < EVENTS; i++) {
		codes_change(3 * EVENTS + i);
		stack_change(i + 1);
		event(t);
		check_account_event();
		most(&reads, image_reads);
	}
	check_cut_stack(t);
	end();
	check_whole_stack(t);
	check_refill(t);
	walker_limit_names(0, 0);
	return reads;
}

struct hostile_costs hostile_check(const struct py_process *of,
				   const struct pymem_layout *layout_of, const struct truth *t)
{
	struct hostile_costs costs = {0};

	process = of;
	py = &of->layout;
	layout = layout_of;
	oracle_case("bounds");
	if (walker_search_steps() !=
		    (strcmp(walker_build(), "legacy") ? MODERN_STATES : LEGACY_STATES) ||
	    walker_interpreters() != INTERPRETERS || PYMEM_MAX_WALK != WALK ||
	    PYMEM_MAX_FRAMES != NAMED)
		walker_broken("docs/DESIGN.md has other bounds");
	costs.lists = check_lists(t);
	costs.shims = check_shims(t);
	check_deep(t, &costs);
	costs.account = check_account(t);
	return costs;
}
