/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages come from our own BPF programs, but strings, lengths and tables in them are
 * the target's: sizes are checked against the message before anything is copied.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"

#define TABLE_MAX (1u << 20) /* of a line table; CPython's own largest are far below */

void store_init(struct store *store)
{
	memset(store, 0, sizeof(*store));
	store->image_bytes = STORE_IMAGE_BYTES;
}

static void code_free(struct store_code *code)
{
	struct store_line *line, *next;

	HASH_ITER(hh, code->lines, line, next)
	{
		HASH_DEL(code->lines, line);
		free(line);
	}
	if (code->decoded)
		py_code_fini(&code->code);
	free(code->message);
	free(code->table);
	free(code);
}

static void stack_free(struct store_stack *stack)
{
	free(stack->frames);
	free(stack);
}

struct store_image *store_image(struct store *store, uint32_t proc)
{
	struct store_image *image;

	HASH_FIND(hh, store->images, &proc, sizeof(proc), image);
	return image;
}

static struct store_image *make_image(struct store *store, uint32_t proc)
{
	struct store_image *image = store_image(store, proc);

	if (image)
		return image;
	image = calloc(1, sizeof(*image));
	if (!image)
		return NULL;
	image->proc = proc;
	HASH_ADD(hh, store->images, proc, sizeof(image->proc), image);
	return image;
}

/* Counts what an image takes; -ENOSPC: it has had its share. */
static int take_room(const struct store *store, struct store_image *image, size_t bytes)
{
	if (image->bytes + bytes > store->image_bytes)
		return -ENOSPC;
	image->bytes += bytes;
	return 0;
}

static void forget(struct store *store, struct store_image *image)
{
	struct store_stack *stack;
	struct store_code *code;

	while ((stack = image->stacks)) {
		image->stacks = stack->next;
		HASH_DEL(store->stacks, stack);
		stack_free(stack);
	}
	while ((code = image->codes)) {
		image->codes = code->next;
		HASH_DEL(store->codes, code);
		code_free(code);
	}
	HASH_DEL(store->images, image);
	free(image);
}

void store_forget(struct store *store, uint32_t proc)
{
	struct store_image *image = store_image(store, proc);

	if (image)
		forget(store, image);
}

void store_fini(struct store *store)
{
	struct store_image *image, *next;

	HASH_ITER(hh, store->images, image, next)
	{
		forget(store, image);
	}
}

struct store_stack *store_stack(struct store *store, const struct pymem_stack_key *key)
{
	struct store_stack *stack;

	HASH_FIND(hh, store->stacks, key, sizeof(*key), stack);
	return stack;
}

static int add_stack(struct store *store, const struct pymem_msg_stack *m, size_t size)
{
	struct pymem_stack_key key = {};
	size_t head = offsetof(struct pymem_msg_stack, frames), bytes;
	struct store_image *image;
	struct store_stack *stack;
	int err;

	if (size < head || m->depth < 1 || m->depth > PYMEM_MAX_FRAMES)
		return -EINVAL;
	bytes = m->depth * sizeof(m->frames[0]);
	if (size < head + bytes)
		return -EINVAL;
	key.proc = m->proc;
	key.hash = m->hash;
	if (store_stack(store, &key))
		return 0; /* sent twice */
	image = make_image(store, m->proc);
	if (!image)
		return -ENOMEM;
	err = take_room(store, image, sizeof(*stack) + bytes);
	if (err)
		return err;
	stack = calloc(1, sizeof(*stack));
	if (!stack)
		return -ENOMEM;
	stack->frames = malloc(bytes);
	if (!stack->frames) {
		stack_free(stack);
		return -ENOMEM;
	}
	memcpy(stack->frames, m->frames, bytes);
	stack->key = key;
	stack->depth = m->depth;
	stack->truncated = m->truncated;
	stack->next = image->stacks;
	image->stacks = stack;
	HASH_ADD(hh, store->stacks, key, sizeof(stack->key), stack);
	return 0;
}

/* A part of a code object's line table, which may be the first or a later one. */
static int add_table(struct store_code *code, const struct pymem_msg_code *m)
{
	if (!m->table_bytes)
		return 0;
	/* Parts come in order; a gap leaves the rest unknown. */
	if (m->table_offset != code->table_have ||
	    m->table_offset + m->table_bytes > code->table_length)
		return 0;
	if (!code->table) {
		code->table = malloc(code->table_length);
		if (!code->table)
			return -ENOMEM;
	}
	memcpy(code->table + m->table_offset, m->table, m->table_bytes);
	code->table_have += m->table_bytes;
	return 0;
}

static int new_code(struct store *store, const struct pymem_msg_code *m,
		    const struct store_code *like, struct store_code **made)
{
	size_t head = offsetof(struct pymem_msg_code, table);
	uint32_t length = m->table_length > TABLE_MAX ? TABLE_MAX : m->table_length;
	struct store_image *image = make_image(store, m->proc);
	struct store_code *code;
	int err;

	if (!image)
		return -ENOMEM;
	err = take_room(store, image, sizeof(*code) + head + length);
	if (err)
		return err;
	code = calloc(1, sizeof(*code));
	if (!code)
		return -ENOMEM;
	code->key = like->key;
	code->message = malloc(head);
	if (!code->message) {
		free(code);
		return -ENOMEM;
	}
	memcpy(code->message, m, head);
	code->table_length = length;
	code->table_addr = m->table_addr;
	code->next = image->codes;
	image->codes = code;
	HASH_ADD(hh, store->codes, key, sizeof(code->key), code);
	*made = code;
	return 0;
}

static int add_code(struct store *store, const struct pymem_msg_code *m, size_t size)
{
	size_t head = offsetof(struct pymem_msg_code, table);
	struct store_code *code, like = {};
	int err;

	if (size < head || m->table_bytes > PYMEM_TABLE_BYTES || size < head + m->table_bytes ||
	    m->file.bytes > PYMEM_FILE_BYTES || m->name.bytes > PYMEM_NAME_BYTES)
		return -EINVAL;
	like.key.code = m->code;
	like.key.fingerprint = m->fingerprint;
	like.key.proc = m->proc;
	HASH_FIND(hh, store->codes, &like.key, sizeof(like.key), code);
	if (!code) {
		err = new_code(store, m, &like, &code);
		if (err)
			return err;
	}
	return code->decoded ? 0 : add_table(code, m);
}

int store_add(struct store *store, const void *data, size_t size)
{
	uint32_t type;
	int err = -EINVAL;

	if (size >= sizeof(type)) {
		memcpy(&type, data, sizeof(type));
		if (type == PYMEM_MSG_STACK)
			err = add_stack(store, data, size);
		else if (type == PYMEM_MSG_CODE)
			err = add_code(store, data, size);
	}
	if (err == -EINVAL)
		store->malformed++;
	if (err == -ENOSPC)
		store->refused++;
	return err;
}

static char *decode(const struct pymem_str *str, const void *data)
{
	char *text = NULL;

	if (str->kind)
		text = py_unicode_decode(data, str->bytes, str->length, str->kind);
	return text ?: strdup("?");
}

static char *decode_path(const struct pymem_str *str, const void *data)
{
	char *text = NULL;

	if (str->kind)
		text = py_unicode_decode_path(data, str->bytes, str->length, str->kind);
	return text ?: strdup("?");
}

/* Does the process have these bytes at `address`? */
static bool same_bytes(int pid, uint64_t address, const unsigned char *bytes, size_t count)
{
	unsigned char buffer[4096];
	size_t done, part;

	for (done = 0; done < count; done += part) {
		part = count - done < sizeof(buffer) ? count - done : sizeof(buffer);
		if (proc_read_memory(pid, address + done, buffer, part) != (ssize_t)part ||
		    memcmp(buffer, bytes + done, part) != 0)
			return false;
	}
	return true;
}

/* Is the code object still the one that was seen? Its address may be another's by now. */
static bool still_there(const struct store_code *code, const struct py_layout *layout, int pid)
{
	uint64_t table, size;
	int32_t first_line;
	bool same;

	same = proc_read_memory(pid, code->key.code + layout->code_linetable, &table,
				sizeof(table)) == sizeof(table) &&
	       proc_read_memory(pid, code->key.code + layout->code_firstlineno, &first_line,
				sizeof(first_line)) == sizeof(first_line) &&
	       proc_read_memory(pid, table + layout->bytes_size, &size, sizeof(size)) ==
		       sizeof(size) &&
	       table + layout->bytes_data == code->table_addr &&
	       first_line == code->message->first_line && size == code->message->table_length;
	return same && same_bytes(pid, code->table_addr, code->table, code->table_have);
}

/* Asks the process for the part of the table that was not in memory, or too long. */
static void fetch_table(struct store_code *code, const struct py_layout *layout, int pid)
{
	unsigned char *table;
	ssize_t n;

	if (!still_there(code, layout, pid))
		return;
	table = realloc(code->table, code->table_length);
	if (!table)
		return;
	code->table = table;
	n = proc_read_memory(pid, code->table_addr + code->table_have, table + code->table_have,
			     code->table_length - code->table_have);
	/* Replaced while it was being read: then it is nobody's. */
	if (n > 0 && still_there(code, layout, pid))
		code->table_have += n;
}

static void code_decode(struct store_code *code, const struct py_layout *layout, int pid)
{
	struct pymem_msg_code *m = code->message;

	if (pid && code->table_have < code->table_length)
		fetch_table(code, layout, pid);
	code->code.file = decode_path(&m->file, m->file_data);
	code->code.function = decode(&m->name, m->name_data);
	code->code.first_line = m->first_line;
	code->code.line_flags =
		layout->flags & (PY_LINES_LNOTAB | PY_LINES_LINETABLE | PY_LINES_LOCATIONS);
	code->code.linetable = code->table;
	code->code.linetable_len = code->table_have;
	code->code.truncated = code->table_have < code->table_length || !m->table_addr;
	code->table = NULL;
	free(code->message);
	code->message = NULL;
	code->decoded = true;
}

struct store_code *store_code(struct store *store, uint32_t proc,
			      const struct pymem_msg_frame *frame, const struct py_layout *layout,
			      int pid)
{
	struct store_code *code, like = {};

	like.key.code = frame->code;
	like.key.fingerprint = frame->fingerprint;
	like.key.proc = proc;
	HASH_FIND(hh, store->codes, &like.key, sizeof(like.key), code);
	if (code && !code->decoded)
		code_decode(code, layout, pid);
	return code;
}

int store_line(struct store_code *code, int32_t lasti)
{
	struct store_line *line;

	HASH_FIND(hh, code->lines, &lasti, sizeof(lasti), line);
	if (line)
		return line->line;
	line = calloc(1, sizeof(*line));
	if (!line)
		return -ENODATA;
	line->lasti = lasti;
	line->line = py_code_line(&code->code, lasti);
	HASH_ADD(hh, code->lines, lasti, sizeof(lasti), line);
	return line->line;
}
