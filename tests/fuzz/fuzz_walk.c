/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: the memory of an interpreter for the BPF walker (tests/walker/walker_bpf.c):
 * thread states, frames, code objects, str objects of each kind, line tables. Its result goes
 * through user/track/store.c.
 *
 * For the layout of each version there is an image of one thread with a few frames. The input picks
 * the version and the kinds of strings, and replaces words. Beyond memory safety: reads are bounded
 * and fit into their destination; the result is a stack with valid text, or a cause. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/py_layouts.h"
#include "track/store.h"
#include "../unit/data/py_debug_offsets.h"
#include "../walker/walker.h"

#define BASE	 0x10000ull
#define BYTES	 (16 * 4096u)
#define RUNTIME	 BASE
#define INTERP	 (BASE + 0x2000)
#define TSTATE	 (BASE + 0x8000)
#define CFRAME	 (BASE + 0x8800)
#define FRAMES	 (BASE + 0x9000)
#define CODES	 (BASE + 0xa000)
#define STRINGS	 (BASE + 0xb000)
#define TABLES	 (BASE + 0xc000)
#define EACH	 0x200
#define COUNT	 4
#define THREAD	 0x7000
#define READS	 400000
#define VERSIONS (7 + sizeof(py_debug_cases) / sizeof(py_debug_cases[0]))

static uint8_t memory[BYTES];
static struct store store;
static long reads, steps;
static uint8_t failing_read, failing_step;

void walker_broken(const char *what)
{
	fprintf(stderr, "walker: %s\n", what);
	abort();
}

int image_read(void *to, __u32 size, __u64 from)
{
	if (++reads > READS)
		walker_broken("no end");
	if (from < BASE || size > BYTES || from - BASE > BYTES - size ||
	    (failing_read && reads == failing_read))
		return -EFAULT;
	memcpy(to, memory + (from - BASE), size);
	return 0;
}

bool step_fails(enum walker_step step)
{
	(void)step;
	return ++steps == failing_step;
}

void ring_take(const void *data, __u64 size)
{
	if (store_add(&store, data, size))
		walker_broken("a message that user space finds malformed");
}

static void put(uint64_t at, uint64_t value, size_t width)
{
	if (at - BASE <= BYTES - width)
		memcpy(memory + (at - BASE), &value, width);
}

static bool choose_layout(uint8_t choice, struct py_layout *layout)
{
	unsigned index = choice % VERSIONS;
	const struct py_debug_case *c;

	if (index < 7)
		return !py_layout_from_table(3, 6 + index, layout);
	c = &py_debug_cases[index - 7];
	return !py_layout_from_debug_offsets(c->published, 8 * c->words, layout);
}

/* `shape`: bits 0-1 the kind, 2 ASCII, 3 not compact, the rest the length. */
static void put_string(const struct py_layout *py, uint64_t at, uint8_t shape)
{
	static const uint8_t kinds[] = {1, 2, 4, 1};
	uint32_t kind = kinds[shape & 3], ascii = kind == 1 && shape & 4, compact = !(shape & 8);

	put(at + py->unicode_length, shape >> 4, 8);
	put(at + py->unicode_state,
	    kind << py->unicode_kind_shift | ascii << py->unicode_ascii_shift |
		    compact << py->unicode_compact_shift,
	    4);
	memset(memory + (at - BASE) + (ascii ? py->unicode_ascii_size : py->unicode_compact_size),
	       'a', 64);
}

static void put_frame(const struct py_layout *py, unsigned i, const uint8_t *shapes)
{
	uint64_t frame = FRAMES + i * EACH, code = CODES + i * EACH;
	uint64_t file = STRINGS + 2 * i * EACH, name = file + EACH, table = TABLES + i * EACH;

	put(frame + py->frame_back, i + 1 < COUNT ? frame + EACH : 0, 8);
	put(frame + py->frame_code, code, 8);
	if (py->flags & PY_INSTR_POINTER)
		put(frame + py->frame_instr, code + py->code_bytecode + 2 * i, 8);
	else
		put(frame + py->frame_instr, 2 * i, 4);
	if (py->frame_owner != PY_NONE && i == 2)
		put(frame + py->frame_owner, py->owner_cstack, 1);
	put(code + py->code_firstlineno, 10 + i, 4);
	put(code + py->code_filename, file, 8);
	put(code + py->code_name, name, 8);
	if (py->code_qualname != PY_NONE)
		put(code + py->code_qualname, name, 8);
	put(code + py->code_linetable, table, 8);
	put_string(py, file, shapes[0]);
	put_string(py, name, shapes[1]);
	put(table + py->bytes_size, 16, 8);
	memset(memory + (table - BASE) + py->bytes_data, 0xf0 + i, 16);
}

static void image_make(const struct py_layout *py, const uint8_t *shapes)
{
	memset(memory, 0, sizeof(memory));
	if (py->flags & PY_TSTATE_CURRENT)
		put(RUNTIME, INTERP, 8);
	else
		put(RUNTIME + py->runtime_interp_head, INTERP, 8);
	put(INTERP + py->interp_thread_head, TSTATE, 8);
	put(TSTATE + py->tstate_thread_id, THREAD, 8);
	put(TSTATE + py->tstate_interp, INTERP, 8);
	if (py->flags & PY_TSTATE_CFRAME) {
		put(TSTATE + py->tstate_frame, CFRAME, 8);
		put(CFRAME + py->cframe_frame, FRAMES, 8);
	} else {
		put(TSTATE + py->tstate_frame, FRAMES, 8);
	}
	for (unsigned i = 0; i < COUNT; i++)
		put_frame(py, i, shapes + 2 * i);
}

static void require_utf8(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	while (*c) {
		int more = *c < 0x80 ? 0 : *c >> 5 == 6 ? 1 : *c >> 4 == 14 ? 2 : 3;

		if (*c >= 0x80 && (*c < 0xc2 || *c > 0xf4))
			abort();
		for (c++; more; more--)
			if (*c++ >> 6 != 2)
				abort();
	}
}

static void check_stack(const struct py_layout *py)
{
	struct pymem_stack_key key = {.proc = 1, .hash = walker_stack_hash()};
	struct store_stack *stack = store_stack(&store, &key);

	if (!key.hash || (stack && stack->frames && stack->depth > PYMEM_MAX_FRAMES))
		abort();
	for (unsigned i = 0; stack && stack->frames && i < stack->depth; i++) {
		struct store_code *code = store_code(&store, 1, &stack->frames[i], py, 0);
		int line;

		/* Callers that were not sent are cut off. */
		if (!code && i)
			break;
		if (!code)
			abort();
		/* A path may have any bytes: those that its string has as lone surrogates. */
		require_utf8(code->code.function);
		line = store_line(&store, code, stack->frames[i].lasti, NULL);
		if (line <= 0)
			abort();
	}
}

/* Replaced words: 2 bytes say where, 1 what the value is relative to, 4 are the value. */
static size_t replace(const uint8_t *data)
{
	static const uint64_t bases[] = {0, BASE, FRAMES, CODES, STRINGS, TABLES, TSTATE, ~0u};
	uint16_t at;
	int32_t value;

	memcpy(&at, data, 2);
	memcpy(&value, data + 3, 4);
	put(BASE + at, bases[data[2] % 8] + (uint64_t)(int64_t)value, data[2] & 8 ? 4 : 8);
	return 7;
}

static void walk(const struct py_layout *py)
{
	int err;

	reads = 0;
	steps = 0;
	err = walker_event(THREAD);
	if (!err)
		check_stack(py);
	else if (err > 0 || (unsigned)(-err - 1) >= PYMEM_LOSS_COUNT || walker_stack_hash())
		abort();
}

static void take_layout(struct pymem_layout *layout, const struct py_layout *py)
{
	memset(layout, 0, sizeof(*layout));
	/* At least what the members need; the walker limits it. */
	layout->tstate_size = 512;
	layout->code_size = 256;
	layout->py = *py;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pymem_layout layout;
	struct py_layout py;

	if (size < 3 + 2 * COUNT)
		return 0;
	if (!choose_layout(data[0], &py))
		abort();
	image_make(&py, data + 3);
	take_layout(&layout, &py);
	store_init(&store);
	failing_read = 0;
	failing_step = 0;
	walker_reset(&layout, RUNTIME, py.flags & PY_TSTATE_CURRENT ? RUNTIME : 0);
	if (data[1] & 1)
		walk(&py);
	failing_read = data[2];
	failing_step = data[1] >> 1;
	for (size_t at = 3 + 2 * COUNT; at + 7 <= size;)
		at += replace(data + at);
	walk(&py);
	walk(&py);
	store_fini(&store);
	return 0;
}
