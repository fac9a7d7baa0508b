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
#include <unistd.h>

#include "heap/births_child.h"

#define WORD	    sizeof(uint64_t)
#define NAMES_MAX   4096 /* code objects remembered */
#define NAME_BYTES  64	 /* of a global or an attribute; longer ones are not looked at */
#define STR_BYTES   (NAME_BYTES + 64) /* with the head of a str */
#define TEXT_MAX    4096	      /* characters of a file's name or a function's */
#define TABLE_MAX   (1 << 20)	      /* bytes of a line table */
#define FAILED_MOST 8 /* names of a code object that are not whole in memory: then no more */
#define LAST_OFFSET (1 << 20) /* a code object's instructions, in bytes: no more are believed */

struct code_name {
	struct {
		uint64_t code, stamp;
	} key;
	struct py_code code;
	uint32_t *names;
	unsigned name_count;
	UT_hash_handle hh;
};

struct name_words {
	uint64_t at[BIRTH_NAMES];
};

struct name_bytes { /* what is at each */
	char of[BIRTH_NAMES][STR_BYTES];
};

bool births_read(pid_t pid, uint64_t addr, void *buf, size_t size)
{
	struct iovec to = {buf, size}, from = {(void *)(uintptr_t)addr, size};

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)size;
}

static void free_name(struct code_name *name)
{
	py_code_fini(&name->code);
	free(name->names);
	free(name);
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

/* Hash of the str whose first `size` bytes are `head`. False: it is not ASCII, as nearly all names
 * are, or too long. */
static bool hash_name(const struct code_names *names, const char *head, size_t size, uint32_t *hash)
{
	const struct py_layout *py = names->py;
	uint64_t length;
	uint32_t state;

	if (size < py->unicode_ascii_size)
		return false;
	memcpy(&length, head + py->unicode_length, sizeof(length));
	memcpy(&state, head + py->unicode_state, sizeof(state));
	if (!(state >> py->unicode_ascii_shift & 1) || !(state >> py->unicode_compact_shift & 1) ||
	    length > NAME_BYTES || length > size - py->unicode_ascii_size)
		return false;
	*hash = births_name_hash(head + py->unicode_ascii_size, length);
	return true;
}

/* Reads the heads of the str at words->at. What follows one of them may not be there: then it is
 * read to the end of its page. sizes: the bytes that were read of each. */
static void read_names(const struct code_names *names, const struct name_words *words, size_t count,
		       struct name_bytes *bytes, size_t sizes[BIRTH_NAMES])
{
	struct iovec to[BIRTH_NAMES], from[BIRTH_NAMES];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), done = 0;
	unsigned failed = 0;

	for (size_t i = 0; i < count; i++) {
		to[i] = (struct iovec){bytes->of[i], STR_BYTES};
		from[i] = (struct iovec){(void *)(uintptr_t)words->at[i], STR_BYTES};
	}
	memset(sizes, 0, count * sizeof(*sizes));
	while (done < count && failed < FAILED_MOST) {
		ssize_t n = process_vm_readv(names->pid, to + done, count - done, from + done,
					     count - done, 0);

		for (; done < count && n >= STR_BYTES; n -= STR_BYTES)
			sizes[done++] = STR_BYTES;
		if (done == count)
			break;
		sizes[done] = page - words->at[done] % page;
		if (sizes[done] >= STR_BYTES ||
		    !births_read(names->pid, words->at[done], bytes->of[done], sizes[done]))
			sizes[done] = 0;
		done++;
		failed++;
	}
}

/* Hashes the globals and attributes that the code object at `addr` names: co_names. If that can't
 * be read, there are none. False: out of memory. */
static bool read_code_names(const struct code_names *names, uint64_t addr, struct code_name *name)
{
	const struct py_heap_layout *heap = names->heap;
	uint64_t tuple = word(names, addr + heap->code_names);
	uint64_t count = word(names, tuple + heap->object_size);
	struct name_bytes *bytes = malloc(sizeof(*bytes));
	size_t sizes[BIRTH_NAMES];
	struct name_words words;

	if (count > BIRTH_NAMES)
		count = BIRTH_NAMES;
	name->names = calloc(count + 1, sizeof(*name->names));
	if (!bytes || !name->names) {
		free(bytes);
		return false;
	}
	if (!births_read(names->pid, tuple + heap->tuple_items, words.at, count * WORD))
		count = 0;
	read_names(names, &words, count, bytes, sizes);
	for (size_t i = 0; i < count; i++)
		if (hash_name(names, bytes->of[i], sizes[i], &name->names[name->name_count]))
			name->name_count++;
	free(bytes);
	return true;
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
	    read_code_names(names, frame->code, name) &&
	    stamp_now(names, frame->code) == frame->stamp &&
	    !HASH_INSERT(names->known, key, name)) {
		names->count++;
		return name;
	}
	free_name(name);
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
	line->names = name->names;
	line->name_count = name->name_count;
	line->line = py_code_line(&name->code, offset);
	return line->line > 0;
}

void code_names_free(struct code_names *names)
{
	struct code_name *name, *next;

	HASH_ITER(hh, names->known, name, next)
	{
		HASH_DEL(names->known, name);
		free_name(name);
	}
}
