/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Texts, frames and stacks get numbers. Stacks are a tree: one that shares its outer frames with
 * others costs only what is new. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/recorder_private.h"

/* Of texts, frames and nodes, each: some 100 bytes of memory. */
#define NAMES_MOST (2u << 20)

/* True if there is room for one more. A target that makes names all the time must not take all
 * memory. */
static bool has_room(struct names *names, size_t count)
{
	names->full |= count >= NAMES_MOST;
	return count < NAMES_MOST;
}

static void out_of_memory(struct record_db *db)
{
	if (!db->error)
		db->error = -ENOMEM;
}

uint32_t names_text(struct names *names, struct record_db *db, const char *text)
{
	size_t size = strlen(text);
	struct name_text *found;

	HASH_FIND(hh, names->texts, text, size, found);
	if (found)
		return found->id;
	if (!has_room(names, HASH_COUNT(names->texts)))
		return 0;
	found = calloc(1, sizeof(*found) + size + 1);
	if (found) {
		memcpy(found->bytes, text, size);
		HASH_ADD_KEYPTR(hh, names->texts, found->bytes, size, found);
	}
	if (!found || !found->hh.tbl) {
		free(found);
		out_of_memory(db);
		return 0;
	}
	found->id = HASH_COUNT(names->texts);
	record_db_int(db, RECORD_TEXT, 1, found->id);
	record_db_bytes(db, RECORD_TEXT, 2, found->bytes, size);
	record_db_step(db, RECORD_TEXT);
	return found->id;
}

/* The number of the frame, whose texts have numbers if they are not 0. */
static uint32_t frame_of(struct names *names, struct record_db *db, struct frame_key key)
{
	struct name_frame *found;

	if (!key.file || !key.function)
		return 0;
	HASH_FIND(hh, names->frames, &key, sizeof(key), found);
	if (found)
		return found->id;
	if (!has_room(names, HASH_COUNT(names->frames)))
		return 0;
	found = calloc(1, sizeof(*found));
	if (found)
		found->key = key;
	if (!found || HASH_INSERT(names->frames, key, found)) {
		free(found);
		out_of_memory(db);
		return 0;
	}
	found->id = HASH_COUNT(names->frames);
	record_db_int(db, RECORD_FRAME, 1, found->id);
	record_db_int(db, RECORD_FRAME, 2, key.file);
	record_db_int(db, RECORD_FRAME, 3, key.function);
	record_db_int(db, RECORD_FRAME, 4, key.line);
	record_db_int(db, RECORD_FRAME, 5, key.first_line);
	record_db_int(db, RECORD_FRAME, 6, key.flags);
	record_db_step(db, RECORD_FRAME);
	return found->id;
}

uint32_t names_frame(struct names *names, struct record_db *db, const struct counts_frame *frame)
{
	return frame_of(names, db,
			(struct frame_key){.file = names_text(names, db, frame->file),
					   .function = names_text(names, db, frame->function),
					   .line = frame->line,
					   .first_line = frame->first_line,
					   .flags = frame->prologue ? FRAME_PROLOGUE : 0});
}

/* The same for a thread: its name is elsewhere, since it may change. */
static uint32_t names_thread(struct names *names, struct record_db *db, uint64_t id)
{
	uint32_t text = names_text(names, db, "thread");

	return frame_of(names, db,
			(struct frame_key){.file = text,
					   .function = text,
					   .line = (int32_t)id,
					   .first_line = (int32_t)(id >> 32),
					   .flags = FRAME_THREAD});
}

static uint32_t node_of(struct names *names, struct record_db *db, uint32_t parent, uint32_t frame)
{
	struct node_key key = {parent, frame};
	struct name_node *found;

	HASH_FIND(hh, names->nodes, &key, sizeof(key), found);
	if (found)
		return found->id;
	if (!has_room(names, HASH_COUNT(names->nodes)))
		return 0;
	found = calloc(1, sizeof(*found));
	if (found)
		found->key = key;
	if (!found || HASH_INSERT(names->nodes, key, found)) {
		free(found);
		out_of_memory(db);
		return 0;
	}
	found->id = HASH_COUNT(names->nodes);
	record_db_int(db, RECORD_NODE, 1, found->id);
	record_db_int(db, RECORD_NODE, 2, parent);
	record_db_int(db, RECORD_NODE, 3, frame);
	record_db_step(db, RECORD_NODE);
	return found->id;
}

uint32_t names_stack(struct names *names, struct record_db *db, const struct counts_stack *stack)
{
	uint32_t node = 0, frame;
	unsigned i = stack->depth;

	if (stack->thread && i) {
		frame = names_thread(names, db, stack->thread->id);
		node = frame ? node_of(names, db, 0, frame) : 0;
		if (!node)
			return 0;
	}
	while (i--) {
		frame = names_frame(names, db, &stack->frames[i]);
		node = frame ? node_of(names, db, node, frame) : 0;
		if (!node)
			return 0;
	}
	return node;
}

void names_free(struct names *names)
{
	struct name_text *text, *next_text;
	struct name_frame *frame, *next_frame;
	struct name_node *node, *next_node;

	HASH_ITER(hh, names->texts, text, next_text)
	{
		HASH_DEL(names->texts, text);
		free(text);
	}
	HASH_ITER(hh, names->frames, frame, next_frame)
	{
		HASH_DEL(names->frames, frame);
		free(frame);
	}
	HASH_ITER(hh, names->nodes, node, next_node)
	{
		HASH_DEL(names->nodes, node);
		free(node);
	}
}

/* --- another file --- */

int names_moving_init(struct names_moving *moving, struct names *from)
{
	struct name_text *text;
	struct name_frame *frame;
	struct name_node *node;

	/* Numbers go from 1 on. */
	*moving = (struct names_moving){
		.from = from,
		.texts = calloc(HASH_COUNT(from->texts) + 1, sizeof(*moving->texts)),
		.frames = calloc(HASH_COUNT(from->frames) + 1, sizeof(*moving->frames)),
		.nodes = calloc(HASH_COUNT(from->nodes) + 1, sizeof(*moving->nodes)),
		.moved = calloc(HASH_COUNT(from->nodes) + 1, sizeof(*moving->moved)),
	};
	if (!moving->texts || !moving->frames || !moving->nodes || !moving->moved)
		return -ENOMEM;
	for (text = from->texts; text; text = text->hh.next)
		moving->texts[text->id] = text;
	for (frame = from->frames; frame; frame = frame->hh.next)
		moving->frames[frame->id] = frame;
	for (node = from->nodes; node; node = node->hh.next)
		moving->nodes[node->id] = node;
	return 0;
}

void names_moving_fini(struct names_moving *moving)
{
	free(moving->texts);
	free(moving->frames);
	free(moving->nodes);
	free(moving->moved);
}

static uint32_t move_frame(const struct names_moving *moving, struct names *to,
			   struct record_db *db, uint32_t frame)
{
	struct frame_key key = moving->frames[frame]->key;

	key.file = names_text(to, db, moving->texts[key.file]->bytes);
	key.function = names_text(to, db, moving->texts[key.function]->bytes);
	return frame_of(to, db, key);
}

/* A parent has a number before its children. No stack is deeper than PYMEM_MAX_FRAMES. */
uint32_t names_move(struct names_moving *moving, struct names *to, struct record_db *db,
		    uint32_t node)
{
	const struct name_node *from;
	uint32_t parent = 0, frame;

	if (!node || node > HASH_COUNT(moving->from->nodes))
		return 0;
	if (moving->moved[node])
		return moving->moved[node];
	from = moving->nodes[node];
	if (from->key.parent) {
		parent = names_move(moving, to, db, from->key.parent);
		if (!parent)
			return 0;
	}
	frame = move_frame(moving, to, db, from->key.frame);
	moving->moved[node] = frame ? node_of(to, db, parent, frame) : 0;
	return moving->moved[node];
}
