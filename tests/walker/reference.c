/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "reference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "python/py_code.h"
#include "pymem.h"
#include "walker.h"

#define THREADS_MAX 40000

struct context {
	struct reference *r;
	const struct py_layout *py;
};

/* Each word is noted once, where it is first met. */
static void note(struct reference *r, uint64_t addr, uint64_t value, enum reference_kind kind)
{
	if (!r->words)
		return;
	for (unsigned i = 0; i < r->word_count; i++)
		if (r->words[i].addr == addr)
			return;
	if (r->word_count == REFERENCE_WORDS)
		walker_broken("too many words");
	r->words[r->word_count++] = (struct reference_word){addr, value, kind};
}

static bool word(struct context *c, uint64_t addr, uint64_t *value, enum reference_kind kind)
{
	if (!image_peek(value, sizeof(*value), addr))
		return false;
	note(c->r, addr, *value, kind);
	return true;
}

static bool number32(uint64_t addr, uint32_t *value)
{
	return image_peek(value, sizeof(*value), addr);
}

typedef char *decode_fn(const void *data, size_t data_len, size_t length, unsigned kind);

/* As many bytes of a text as are kept; a cut is marked. */
static char *text_at(struct context *c, uint64_t addr, size_t room, decode_fn *decode)
{
	const struct py_layout *py = c->py;
	uint64_t length, bytes;
	uint32_t state, kind;
	char *text = NULL;
	void *data;

	if (!addr || !word(c, addr + py->unicode_length, &length, WORD_NUMBER) ||
	    !number32(addr + py->unicode_state, &state))
		return strdup("?");
	kind = state >> py->unicode_kind_shift & 7;
	if (!(state >> py->unicode_compact_shift & 1) || (kind != 1 && kind != 2 && kind != 4))
		return strdup("?");
	bytes = length > room ? room : length * kind;
	if (bytes > room)
		bytes = room;
	addr += state >> py->unicode_ascii_shift & 1 ? py->unicode_ascii_size
						     : py->unicode_compact_size;
	data = malloc(bytes + 1);
	if (data && image_peek(data, bytes, addr))
		text = decode(data, bytes, length > INT32_MAX ? INT32_MAX : length, kind);
	free(data);
	return text ? text : strdup("?");
}

static int line_at(struct context *c, uint64_t code, uint64_t table, int64_t lasti)
{
	struct py_code record = {.line_flags = c->py->flags};
	uint64_t size;
	int line = -ENODATA;

	if (!image_peek(&record.first_line, 4, code + c->py->code_firstlineno) ||
	    !word(c, table + c->py->bytes_size, &size, WORD_NUMBER) || size > INT32_MAX ||
	    lasti < -2 || lasti > INT32_MAX)
		return -ENODATA;
	record.truncated = size > PYMEM_TABLE_MAX;
	record.linetable_len = record.truncated ? PYMEM_TABLE_MAX : size;
	record.linetable = malloc(record.linetable_len + 1);
	if (record.linetable &&
	    image_peek(record.linetable, record.linetable_len, table + c->py->bytes_data))
		line = py_code_line(&record, (int)lasti);
	free(record.linetable);
	return line;
}

/* The byte offset of the frame's instruction; the frame has it as `instr`. */
static int64_t lasti_of(struct context *c, uint64_t frame, uint64_t code, uint64_t instr)
{
	const struct py_layout *py = c->py;
	uint64_t base = code + py->code_bytecode, array, own;
	uint32_t index;

	if (!(py->flags & PY_INSTR_POINTER)) {
		int64_t lasti = (int32_t)instr;

		return py->flags & PY_LASTI_CODEUNIT && lasti > 0 ? 2 * lasti : lasti;
	}
	if (py->flags & PY_TLBC && number32(frame + py->frame_tlbc_index, &index) && index > 0 &&
	    index < 65536 && word(c, code + py->code_tlbc, &array, WORD_POINTER) && array &&
	    word(c, array + py->tlbc_entries + 8ull * index, &own, WORD_POINTER) && own)
		base = own;
	return (int64_t)(instr - base);
}

/* False: its code object can't be read. */
static bool add_frame(struct context *c, uint64_t frame, uint64_t code, uint64_t instr)
{
	const struct py_layout *py = c->py;
	uint64_t name, file, table, plain;
	struct reference_frame *f;
	uint64_t named = code + (py->code_qualname != PY_NONE ? py->code_qualname : py->code_name);

	if (!word(c, code + py->code_filename, &file, WORD_POINTER) ||
	    !word(c, code + py->code_name, &plain, WORD_POINTER) ||
	    !word(c, named, &name, WORD_POINTER) ||
	    !word(c, code + py->code_linetable, &table, WORD_POINTER))
		return false;
	f = &c->r->frames[c->r->count++];
	f->frame = frame;
	f->code = code;
	/* A file name may have bytes that are no text: surrogates stand for them. */
	f->file = text_at(c, file, PYMEM_FILE_BYTES, py_unicode_decode_path);
	f->function = text_at(c, name, PYMEM_NAME_BYTES, py_unicode_decode);
	f->line = line_at(c, code, table, lasti_of(c, frame, code, instr));
	return true;
}

static bool is_shim(const struct py_layout *py, uint64_t frame)
{
	unsigned char owner;

	if (py->frame_owner == PY_NONE || !image_peek(&owner, 1, frame + py->frame_owner) ||
	    owner == 0xff)
		return false;
	return owner == py->owner_cstack || owner == py->owner_interpreter;
}

static enum reference_end frames_from(struct context *c, uint64_t frame, unsigned limit)
{
	const struct py_layout *py = c->py;

	for (unsigned looked = 0; frame; looked++) {
		uint64_t code, instr, back;
		uint32_t lasti;

		if (c->r->count == limit || looked == 2 * REFERENCE_FRAMES)
			return REFERENCE_MANY;
		if (!word(c, frame + py->frame_back, &back, WORD_POINTER) ||
		    !word(c, frame + py->frame_code, &code, WORD_POINTER))
			return REFERENCE_CUT;
		if (py->flags & PY_INSTR_POINTER) {
			if (!word(c, frame + py->frame_instr, &instr, WORD_INSTR))
				return REFERENCE_CUT;
		} else {
			if (!number32(frame + py->frame_instr, &lasti))
				return REFERENCE_CUT;
			instr = lasti;
		}
		if (py->flags & PY_EXECUTABLE_TAGGED)
			code &= ~7ull;
		if (!is_shim(py, frame) && !add_frame(c, frame, code, instr))
			return REFERENCE_CUT;
		frame = back;
	}
	return c->r->count ? REFERENCE_WHOLE : REFERENCE_ABSENT;
}

/* The frame that a thread state runs; 0: none. */
static uint64_t frame_of(struct context *c, uint64_t tstate)
{
	uint64_t frame;

	if (!word(c, tstate + c->py->tstate_frame, &frame, WORD_POINTER))
		return 0;
	if (frame && (c->py->flags & PY_TSTATE_CFRAME) &&
	    !word(c, frame + c->py->cframe_frame, &frame, WORD_POINTER))
		return 0;
	return frame;
}

static uint64_t find_frame(struct context *c, uint64_t interp, uint64_t thread_id)
{
	unsigned count = 0;
	uint64_t tstate, id, frame;

	if (!word(c, interp + c->py->interp_thread_head, &tstate, WORD_POINTER))
		return 0;
	for (; tstate && count < THREADS_MAX; count++) {
		if (!word(c, tstate + c->py->tstate_thread_id, &id, WORD_NUMBER))
			return 0;
		frame = id == thread_id ? frame_of(c, tstate) : 0;
		if (frame) {
			c->r->tstate = tstate;
			return frame;
		}
		if (!word(c, tstate + c->py->tstate_next, &tstate, WORD_POINTER))
			return 0;
	}
	return 0;
}

void reference_walk(struct reference *r, const struct py_process *process, uint64_t thread_id,
		    unsigned limit)
{
	struct context c = {r, &process->layout};
	uint64_t interp, root = process->runtime_addr + process->layout.runtime_interp_head;

	r->count = 0;
	r->word_count = 0;
	r->end = REFERENCE_ABSENT;
	if (process->layout.flags & PY_TSTATE_CURRENT)
		root = process->interp_head_addr;
	if (!word(&c, root, &interp, WORD_POINTER))
		return;
	for (unsigned count = 0; interp && count < 64; count++) {
		uint64_t frame = find_frame(&c, interp, thread_id);

		if (frame) {
			uint64_t next;

			r->interp = interp;
			word(&c, interp + process->layout.interp_next, &next, WORD_POINTER);
			r->end = frames_from(&c, frame, limit);
			return;
		}
		if (!word(&c, interp + process->layout.interp_next, &interp, WORD_POINTER))
			return;
	}
}

void reference_fini(struct reference *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		free(r->frames[i].file);
		free(r->frames[i].function);
	}
	r->count = 0;
}
