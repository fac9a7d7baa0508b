/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads texts, frames and stacks. Each refers only to what comes before it, so that a hostile file
 * has no circles. */
#include <errno.h>

#include "base/array.h"
#include "record/recording_private.h"

#define NAMES_MOST (1u << 26)

int recording_refuse(struct recording *recording, const char *what)
{
	return recording_fail(recording, -EINVAL, "the recording is damaged: %s", what);
}

struct amounts_reader recording_packed(sqlite3_stmt *row, int column)
{
	const unsigned char *bytes = sqlite3_column_blob(row, column);

	if (!bytes)
		bytes = (const unsigned char *)"";
	return (struct amounts_reader){.at = bytes,
				       .end = bytes + sqlite3_column_bytes(row, column)};
}

uint32_t recording_number(sqlite3_stmt *row, int column, size_t count)
{
	int64_t number = sqlite3_column_int64(row, column);

	return number >= 1 && (uint64_t)number <= count ? (uint32_t)number : 0;
}

bool recording_is_time(double seconds)
{
	return seconds > 0 && seconds < 1e11;
}

static int load_text(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;

	if (sqlite3_column_int64(row, 0) != (int64_t)r->text_count + 1 ||
	    r->text_count >= NAMES_MOST)
		return recording_refuse(r, "a text is missing");
	if (!ARRAY_HAS_ROOM(r->texts, r->text_count, r->text_room))
		return -ENOMEM;
	if (recording_text(row, 1, &r->texts[r->text_count]))
		return -ENOMEM;
	if (!r->texts[r->text_count])
		return recording_refuse(r, "a text is empty");
	r->text_count++;
	return 0;
}

static int small(sqlite3_stmt *row, int column)
{
	int64_t number = sqlite3_column_int64(row, column);

	return number < 0 ? 0 : number > INT32_MAX ? INT32_MAX : (int)number;
}

static int load_frame(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	uint32_t file = recording_number(row, 1, r->text_count);
	uint32_t function = recording_number(row, 2, r->text_count);

	if (sqlite3_column_int64(row, 0) != (int64_t)r->frame_count + 1 || !file || !function ||
	    r->frame_count >= NAMES_MOST)
		return recording_refuse(r, "a frame has no name");
	if (!ARRAY_HAS_ROOM(r->frames, r->frame_count, r->frame_room))
		return -ENOMEM;
	r->frames[r->frame_count++] = (struct played_frame){
		.file = r->texts[file - 1],
		.function = r->texts[function - 1],
		.line = small(row, 3),
		.first_line = small(row, 4),
		.prologue = sqlite3_column_int64(row, 5) & FRAME_PROLOGUE,
		.thread = sqlite3_column_int64(row, 5) & FRAME_THREAD,
	};
	return 0;
}

static int load_node(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	int64_t parent = sqlite3_column_int64(row, 1);
	uint32_t frame = recording_number(row, 2, r->frame_count);

	/* A parent comes before its children, so no circle is possible. */
	if (sqlite3_column_int64(row, 0) != (int64_t)r->node_count + 1 || !frame || parent < 0 ||
	    parent > (int64_t)r->node_count || r->node_count >= NAMES_MOST)
		return recording_refuse(r, "a stack has no frame");
	if (parent && r->frames[frame - 1].thread)
		return recording_refuse(r, "a thread has a caller");
	if (!ARRAY_HAS_ROOM(r->nodes, r->node_count, r->node_room))
		return -ENOMEM;
	r->nodes[r->node_count++] = (struct played_node){(uint32_t)parent, frame};
	return 0;
}

bool recording_is_line(const struct recording *r, uint64_t frame)
{
	return frame <= r->frame_count && !(frame && r->frames[frame - 1].thread);
}

bool recording_is_stack(const struct recording *r, uint64_t node)
{
	return node <= r->node_count && (!node || recording_is_line(r, r->nodes[node - 1].frame));
}

int recording_load_names(struct recording *r)
{
	int64_t from = (int64_t)r->text_count;
	int err = recording_query(r, "SELECT id, bytes FROM text WHERE id > ? ORDER BY id", &from,
				  1, load_text, r);

	from = (int64_t)r->frame_count;
	if (!err)
		err = recording_query(
			r,
			"SELECT id, file, function, line, first_line, flags FROM frame"
			" WHERE id > ? ORDER BY id",
			&from, 1, load_frame, r);
	from = (int64_t)r->node_count;
	if (!err)
		err = recording_query(r,
				      "SELECT id, parent, frame FROM node WHERE id > ? ORDER BY id",
				      &from, 1, load_node, r);
	return err;
}
