/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the lines of frames. It reads the code objects of a process that is stopped, or soon after
 * the event.
 *
 * A code object may die between the event and the reading, and another take its place. So the stamp
 * that was taken at the event must be the code object's before and after its texts are read.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "heap/births_child.h"

#define NAMES_MAX   4096      /* code objects remembered */
#define TEXT_MAX    4096      /* characters of a file's name or a function's */
#define TABLE_MAX   (1 << 20) /* bytes of a line table */
#define LAST_OFFSET (1 << 20) /* a code object's instructions, in bytes: no more are believed */

struct code_name {
	struct {
		uint64_t code, stamp;
	} key;
	struct py_code code;
	UT_hash_handle hh;
};

bool births_read(pid_t pid, uint64_t addr, void *buf, size_t size)
{
	struct iovec to = {buf, size}, from = {(void *)(uintptr_t)addr, size};

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)size;
}

static uint64_t word(const struct code_names *names, uint64_t addr)
{
	uint64_t value;

	return births_read(names->pid, addr, &value, sizeof(value)) ? value : 0;
}

/* Freed memory keeps what it had, but for its first word: pymalloc puts the address of the next
 * free block there, or 0. There an object has its reference count (3.14: 32 bits, then 0 or 1). */
static bool is_alive(const struct code_names *names, uint64_t object)
{
	uint64_t count = word(names, object);

	return (uint32_t)count && (uint16_t)(count >> 32) <= 1;
}

/* The stamp of the code object as it is now; 0: it is dead. */
static uint64_t stamp_now(const struct code_names *names, uint64_t code)
{
	const struct py_layout *py = names->py;
	uint32_t first;

	if (!is_alive(names, code) || !is_alive(names, word(names, code + py->code_filename)) ||
	    !is_alive(names, word(names, code + py->code_name)) ||
	    !is_alive(names, word(names, code + py->code_linetable)))
		return 0;
	if (!births_read(names->pid, code + py->code_firstlineno, &first, sizeof(first)))
		return 0;
	return birth_stamp(word(names, code + py->code_filename), word(names, code + py->code_name),
			   word(names, code + py->code_linetable), first);
}

/* The text of the str at `addr`, for the caller to free; NULL: it can't be read. */
static char *read_text(const struct code_names *names, uint64_t addr, bool path)
{
	const struct py_layout *py = names->py;
	uint64_t length;
	uint32_t state;
	unsigned kind, start;
	char *data, *text = NULL;

	if (!births_read(names->pid, addr + py->unicode_length, &length, sizeof(length)) ||
	    !births_read(names->pid, addr + py->unicode_state, &state, sizeof(state)))
		return NULL;
	kind = state >> py->unicode_kind_shift & 7;
	if (length > TEXT_MAX || !(state >> py->unicode_compact_shift & 1) ||
	    (kind != 1 && kind != 2 && kind != 4))
		return NULL;
	start = state >> py->unicode_ascii_shift & 1 ? py->unicode_ascii_size
						     : py->unicode_compact_size;
	data = malloc(length * kind + 1);
	if (data && (!length || births_read(names->pid, addr + start, data, length * kind)))
		text = (path ? py_unicode_decode_path : py_unicode_decode)(data, length * kind,
									   length, kind);
	free(data);
	return text;
}

static bool read_table(const struct code_names *names, uint64_t addr, struct py_code *code)
{
	const struct py_layout *py = names->py;
	uint64_t size;

	if (!births_read(names->pid, addr + py->bytes_size, &size, sizeof(size)) ||
	    size > TABLE_MAX)
		return false;
	code->linetable = malloc(size + 1);
	code->linetable_len = size;
	return code->linetable &&
	       (!size || births_read(names->pid, addr + py->bytes_data, code->linetable, size));
}

static bool read_code(const struct code_names *names, uint64_t addr, struct py_code *code)
{
	const struct py_layout *py = names->py;
	unsigned name = py->code_qualname != PY_NONE ? py->code_qualname : py->code_name;

	code->line_flags = py->flags;
	code->file = read_text(names, word(names, addr + py->code_filename), true);
	code->function = read_text(names, word(names, addr + name), false);
	return code->file && code->function &&
	       births_read(names->pid, addr + py->code_firstlineno, &code->first_line,
			   sizeof(code->first_line)) &&
	       read_table(names, word(names, addr + py->code_linetable), code);
}

/* The name of the frame's code object. NULL: another one is there now, or too many are remembered.
 */
static struct code_name *name_of(struct code_names *names, const struct birth_frame *frame)
{
	struct code_name *name = calloc(1, sizeof(*name)), *known;

	if (!name)
		return NULL;
	name->key.code = frame->code;
	name->key.stamp = frame->stamp;
	HASH_FIND(hh, names->known, &name->key, sizeof(name->key), known);
	if (known) {
		free(name);
		return known;
	}
	if (names->count < NAMES_MAX && frame->stamp &&
	    stamp_now(names, frame->code) == frame->stamp &&
	    read_code(names, frame->code, &name->code) &&
	    stamp_now(names, frame->code) == frame->stamp &&
	    !HASH_INSERT(names->known, key, name)) {
		names->count++;
		return name;
	}
	py_code_fini(&name->code);
	free(name);
	return NULL;
}

/* Byte offset of the instruction in the bytecode; -3: it can't be one. */
static int offset_of(const struct py_layout *py, const struct birth_frame *frame)
{
	int64_t offset;

	if (!(py->flags & PY_INSTR_POINTER)) {
		offset = (int32_t)frame->instr;
		if (py->flags & PY_LASTI_CODEUNIT && offset >= 0)
			offset *= 2;
	} else {
		offset = (int64_t)(frame->instr - frame->code - py->code_bytecode);
	}
	return offset < -2 || offset > LAST_OFFSET ? -3 : (int)offset;
}

bool code_names_line(struct code_names *names, const struct birth_frame *frame,
		     struct birth_line *line)
{
	struct code_name *name = name_of(names, frame);
	int offset = offset_of(names->py, frame);

	if (!name || offset == -3)
		return false;
	line->file = name->code.file;
	line->function = name->code.function;
	line->line = py_code_line(&name->code, offset);
	return line->line > 0;
}

void code_names_free(struct code_names *names)
{
	struct code_name *name, *next;

	HASH_ITER(hh, names->known, name, next)
	{
		HASH_DEL(names->known, name);
		py_code_fini(&name->code);
		free(name);
	}
}
