/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages come from our own BPF programs. Strings, lengths and tables in them come from the
 * target: sizes are checked against the message before anything is copied. */
#include "track/store_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void store_init(struct store *store)
{
	memset(store, 0, sizeof(*store));
	store->image_bytes = STORE_IMAGE_BYTES;
	store->all_bytes = STORE_ALL_BYTES;
}

static void code_free(struct store_code *code)
{
	struct store_line *line, *next;

	HASH_ITER(hh, code->lines, line, next)
	{
		HASH_DEL(code->lines, line);
		free(line);
	}
	py_code_fini(&code->code);
	free(code->message);
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
	if (HASH_INSERT(store->images, proc, image)) {
		free(image);
		return NULL;
	}
	return image;
}

int store_take_room(struct store *store, struct store_image *image, size_t bytes)
{
	if (image->bytes + bytes > store->image_bytes || store->bytes + bytes > store->all_bytes)
		return -ENOSPC;
	image->bytes += bytes;
	store->bytes += bytes;
	return 0;
}

static void forget(struct store *store, struct store_image *image)
{
	struct store_thread *thread;
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
	while ((thread = image->threads)) {
		image->threads = thread->next;
		free(thread);
	}
	HASH_DEL(store->images, image);
	store->bytes -= image->bytes;
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
	store_free_fetches(store);
}

struct store_stack *store_stack(struct store *store, const struct pymem_stack_key *key)
{
	struct store_stack *stack;

	HASH_FIND(hh, store->stacks, key, sizeof(*key), stack);
	return stack;
}

/* Keeps the name that a thread has now. `*thread` becomes that thread. 0 or -errno. */
static int keep_thread(struct store *store, struct store_image *image,
		       const struct pymem_msg_stack *m, struct store_thread **thread)
{
	const char *comm = m->told == PYMEM_THREAD_OTHERS ? "" : m->comm;
	struct store_thread *t;
	int err;

	for (t = image->threads; t && t->told.id != m->told;)
		t = t->next;
	if (!t) {
		err = store_take_room(store, image, sizeof(*t));
		if (err)
			return err;
		t = calloc(1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		t->told = (struct counts_thread){.id = m->told, .name = t->name};
		t->next = image->threads;
		image->threads = t;
	}
	snprintf(t->name, sizeof(t->name), "%.*s", (int)sizeof(m->comm), comm);
	*thread = t;
	return 0;
}

static int add_stack(struct store *store, const struct pymem_msg_stack *m, size_t size)
{
	struct pymem_stack_key key = {};
	size_t head = offsetof(struct pymem_msg_stack, frames), bytes;
	struct store_thread *thread = NULL;
	struct store_image *image;
	struct store_stack *stack;
	int err = 0;

	if (size < head || m->depth < 1 || m->depth > PYMEM_MAX_FRAMES)
		return -EINVAL;
	bytes = m->depth * sizeof(m->frames[0]);
	if (size < head + bytes)
		return -EINVAL;
	key.proc = m->proc;
	key.hash = m->hash;
	if (store_stack(store, &key))
		return 0; /* it was sent twice */
	image = make_image(store, m->proc);
	if (!image)
		return -ENOMEM;
	if (m->told)
		err = keep_thread(store, image, m, &thread);
	if (!err)
		err = store_take_room(store, image, sizeof(*stack) + bytes);
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
	stack->thread = thread;
	if (HASH_INSERT(store->stacks, key, stack)) {
		stack_free(stack);
		return -ENOMEM;
	}
	stack->next = image->stacks;
	image->stacks = stack;
	return 0;
}

static int new_code(struct store *store, const struct pymem_msg_code *m,
		    const struct store_code *like, struct store_code **made)
{
	size_t head = offsetof(struct pymem_msg_code, table);
	struct store_image *image = make_image(store, m->proc);
	struct store_code *code;
	int err;

	if (!image)
		return -ENOMEM;
	err = store_take_room(store, image, sizeof(*code) + head);
	if (err)
		return err;
	code = calloc(1, sizeof(*code));
	if (!code)
		return -ENOMEM;
	code->key = like->key;
	code->message = malloc(head);
	if (!code->message || HASH_INSERT(store->codes, key, code)) {
		free(code->message);
		free(code);
		return -ENOMEM;
	}
	memcpy(code->message, m, head);
	code->table_length = m->table_length;
	code->table_addr = m->table_addr;
	code->code.truncated = m->table_length || !m->table_addr;
	code->next = image->codes;
	image->codes = code;
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
	return store_add_table(store, code, m);
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
	if (err == -ENOMEM)
		store->no_memory++;
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

static void code_decode(struct store *store, struct store_code *code,
			const struct py_layout *layout, int pid)
{
	struct pymem_msg_code *m = code->message;

	if (pid && !code->no_room && !store_is_whole(code))
		store_fetch_table(store, code, layout, pid);
	code->code.file = decode_path(&m->file, m->file_data);
	code->code.function = decode(&m->name, m->name_data);
	code->code.first_line = m->first_line;
	code->code.line_flags =
		layout->flags & (PY_LINES_LNOTAB | PY_LINES_LINETABLE | PY_LINES_LOCATIONS);
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
		code_decode(store, code, layout, pid);
	return code;
}

int store_first_line(const struct store_code *code)
{
	return code->code.first_line > 0 ? code->code.first_line : 1;
}

/* Counts a code object that has an instruction without a line, once for each cause. */
static void note_gap(struct store *store, struct store_code *code, int32_t lasti)
{
	enum counts_gap gap = COUNTS_GAP_OUTSIDE;

	if (code->code.truncated && lasti >= 0)
		gap = code->mixed     ? COUNTS_GAP_MIXED
		      : code->no_room ? COUNTS_GAP_TOO_LONG
				      : COUNTS_GAP_UNREAD;
	if (code->gaps >> gap & 1)
		return;
	code->gaps |= 1u << gap;
	store->gaps[gap]++;
}

int store_line(struct store *store, struct store_code *code, int32_t lasti, bool *prologue)
{
	struct store_line *line, found = {.lasti = lasti};

	HASH_FIND(hh, code->lines, &lasti, sizeof(lasti), line);
	if (!line) {
		/* Out of memory: without marks it is only slower. */
		if (!code->indexed)
			py_code_index(&code->code);
		code->indexed = true;
		found.line = py_code_line(&code->code, lasti);
		found.known = found.line >= 0;
		found.prologue = !found.line && py_code_in_prologue(&code->code, lasti);
		if (!found.known)
			note_gap(store, code, lasti);
		if (found.line <= 0)
			found.line = store_first_line(code);
		line = malloc(sizeof(*line));
		if (line)
			*line = found;
		/* Out of memory: the line is found again next time. */
		if (line && HASH_INSERT(code->lines, lasti, line)) {
			free(line);
			line = NULL;
		}
	}
	if (prologue)
		*prologue = line ? line->prologue : found.prologue;
	return line ? line->line : found.line;
}
