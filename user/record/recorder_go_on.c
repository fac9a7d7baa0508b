/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: what records for months can't do so in one file. The next file must have what comes from
 * now on, no amount may be in two files, and none may be missing between them.
 *
 * Figures are cumulative, and what is written is how they have changed (recorder.c). So a new file
 * begins with an interval of no length that has all that was recorded so far: of each image its row
 * and sample, of each stack its figures. A reader takes it for what came before (recording_load.c),
 * as it does with all intervals before a part of a recording. So a file that continues another one
 * is to its reader what a part of one long recording is.
 *
 * Names get new numbers, and only those that are still needed: those of stacks whose images were
 * not forgotten.
 *
 * Without a file, between recorder_pause() and recorder_go_on(), all goes on, and what is to be
 * written is dropped, since the database has an error. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "os/output.h"
#include "record/recorder_private.h"

#define IMAGE_COLUMNS	 21 /* those that are written; then comes PSS, of the end */
#define ENDED_COLUMN	 10
#define DESCRIBED_BEFORE 2     /* rec_image.described, which is odd or 0 */
#define MISSING_MS	 60000 /* for which an image may be in no reading */
#define SOURCES_MS	 200   /* for which source files are read at the end of a file */

struct rec_carried { /* the row of an image in the file before */
	uint32_t image;
	sqlite3_value *columns[IMAGE_COLUMNS];
	struct rec_carried *next;
};

/* --- rows of images --- */

static void free_carried(struct rec_carried *carried)
{
	for (int i = 0; carried && i < IMAGE_COLUMNS; i++)
		sqlite3_value_free(carried->columns[i]);
	free(carried);
}

void recorder_free_carried(struct recorder *r)
{
	while (r->carried) {
		struct rec_carried *next = r->carried->next;

		free_carried(r->carried);
		r->carried = next;
	}
}

/* False: out of memory. */
static bool carry_row(struct recorder *r, sqlite3_stmt *row)
{
	struct rec_carried *carried = calloc(1, sizeof(*carried));
	bool copied = carried != NULL;

	for (int i = 0; i < IMAGE_COLUMNS && copied; i++) {
		carried->columns[i] = sqlite3_value_dup(sqlite3_column_value(row, i));
		copied = carried->columns[i] != NULL;
	}
	if (!copied) {
		free_carried(carried);
		return false;
	}
	carried->image = (uint32_t)sqlite3_column_int64(row, 0);
	carried->next = r->carried;
	r->carried = carried;
	return true;
}

/* Keeps the rows of images that were not forgotten. After an error of the file some may be missing:
 * those of images that run are made anew. */
static void carry_images(struct recorder *r)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	recorder_free_carried(r);
	if (!r->db.sqlite ||
	    sqlite3_prepare_v2(r->db.sqlite, "SELECT * FROM image", -1, &row, NULL) != SQLITE_OK)
		return;
	while (more && sqlite3_step(row) == SQLITE_ROW)
		if (recorder_image(r, (uint32_t)sqlite3_column_int64(row, 0)))
			more = carry_row(r, row);
	sqlite3_finalize(row);
}

static void write_carried(struct recorder *r)
{
	struct rec_image *image;

	/* Rows of images that run are written again in the next reading. */
	for (image = r->images; image; image = image->hh.next)
		image->described = image->described ? DESCRIBED_BEFORE : 0;
	for (const struct rec_carried *carried = r->carried; carried; carried = carried->next) {
		image = recorder_image(r, carried->image);
		if (!image)
			continue;
		record_db_values(&r->db, RECORD_IMAGE, carried->columns, IMAGE_COLUMNS);
		/* It may have ended since. */
		if (image->ended > 0)
			record_db_real(&r->db, RECORD_IMAGE, ENDED_COLUMN, image->ended);
		record_db_step(&r->db, RECORD_IMAGE);
	}
	recorder_free_carried(r);
}

/* --- what came before --- */

static void write_samples(struct recorder *r)
{
	for (struct rec_image *image = r->images; image; image = image->hh.next) {
		image->pss_recorded = (struct rec_pss){-1, -1};
		image->collector.unseen = false;
		image->collector.failures = 0;
		recorder_write_sample(r, image);
	}
}

static void put_records(struct recorder *r)
{
	struct amounts_buffer rows = {};

	for (const struct rec_image *image = r->images; image; image = image->hh.next) {
		if (amounts_none(&image->recorded))
			continue;
		rows.size = 0;
		amounts_put(&rows, 0, 0, &image->recorded);
		amounts_put_part(&r->parts, image->id, AMOUNTS_RECORD, &rows);
	}
	free(rows.bytes);
}

static int by_image(const struct rec_stack *a, const struct rec_stack *b)
{
	return (a->key.proc > b->key.proc) - (a->key.proc < b->key.proc);
}

/* Gives its frames numbers in the new file, and puts down what was recorded of it. */
static void put_stack(struct recorder *r, struct names_moving *moving, struct rec_stack *stack,
		      struct amounts_buffer *rows)
{
	struct amounts recorded = {};
	bool same = stack->node == stack->node_now;

	r->seen[stack->place].carried = true;
	stack->node = names_move(moving, &r->names, &r->db, stack->node);
	stack->node_now =
		same ? stack->node : names_move(moving, &r->names, &r->db, stack->node_now);
	memcpy(recorded.at, stack->recorded, sizeof(stack->recorded));
	if (!amounts_none(&recorded))
		amounts_put(rows, stack->node, stack->flags, &recorded);
}

static void put_stacks(struct recorder *r, struct names_moving *moving)
{
	struct amounts_buffer rows = {};
	struct rec_stack *stack;

	HASH_SRT(hh, r->stacks, by_image);
	for (stack = r->stacks; stack; stack = stack->hh.next) {
		const struct rec_stack *next = stack->hh.next;

		put_stack(r, moving, stack, &rows);
		if (!rows.size || (next && next->key.proc == stack->key.proc))
			continue;
		amounts_put_part(&r->parts, stack->key.proc, AMOUNTS_STACKS, &rows);
		rows.size = 0;
	}
	if (rows.failed)
		NO_MEMORY(r);
	free(rows.bytes);
}

static void write_before(struct recorder *r, struct names_moving *moving)
{
	r->interval = 1;
	write_carried(r);
	write_samples(r);
	r->parts.size = 0;
	r->parts.failed = false;
	put_records(r);
	put_stacks(r, moving);
	recorder_write_parts(r);
	recorder_move_cgroups(r);
	record_db_int(&r->db, RECORD_INTERVAL, 1, r->interval);
	record_db_real(&r->db, RECORD_INTERVAL, 2, r->since);
	record_db_step(&r->db, RECORD_INTERVAL);
}

/* --- one file, and the next one --- */

static void forget_stacks_of(struct recorder *r, const struct rec_image *image)
{
	struct rec_stack *stack, *next;

	HASH_ITER(hh, r->stacks, stack, next)
	{
		if (stack->key.proc == image->id)
			recorder_free_stack(r, stack);
	}
}

/* Stacks at which the writing of the next interval looks: those that are still there. */
static void keep_active(struct recorder *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->active_count; i++)
		if (r->seen[r->active[i]].stack)
			r->active[kept++] = r->active[i];
	r->active_count = kept;
}

/* True if it has been in no reading for so long that it is in none any more. */
static bool is_missing(const struct recorder *r, struct rec_image *image)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	if (image->taken || image->seen_reading == r->read_reading) {
		image->missed_ms = 0;
		return false;
	}
	image->missed_ms = image->missed_ms ?: now;
	return now - image->missed_ms >= MISSING_MS;
}

/* Images that turned out to be no Python are in no reading, and nobody takes them. */
static void forget_withdrawn(struct recorder *r)
{
	struct rec_image *image, *next;

	HASH_ITER(hh, r->images, image, next)
	{
		if (!is_missing(r, image))
			continue;
		recorder_mark(r, r->since, "withdrawn", image->id);
		forget_stacks_of(r, image);
		recorder_forget_image(r, image);
	}
	keep_active(r);
}

static void end_file(struct recorder *r)
{
	/* Those that are not read now are read for the next file, if their stacks change. */
	recorder_read_all_sources(r, SOURCES_MS);
	forget_withdrawn(r);
	recorder_about(r, "continued", 1, NULL);
	recorder_write_end(r, r->since);
	record_db_commit(&r->db);
}

void recorder_pause(struct recorder *r)
{
	if (r->paused)
		return;
	carry_images(r);
	record_db_close(&r->db);
	record_db_none(&r->db);
	r->paused = true;
}

/* All that is kept of the file before gets its place in the new one. 0 or -ENOMEM. */
static int move(struct recorder *r)
{
	struct names before = r->names;
	struct names_moving moving;
	int err = names_moving_init(&moving, &before);

	if (!err) {
		r->names = (struct names){};
		recorder_about(r, "continues", 1, NULL);
		write_before(r, &moving);
		recorder_forget_sources(r);
		names_free(&before);
	}
	names_moving_fini(&moving);
	return err;
}

/* If the clock was set back, times of a file stay where they were; those of the next one do not.
 * What was there before has begun before it. */
static void set_back(struct recorder *r)
{
	r->since = r->end;
	for (struct rec_image *image = r->images; image; image = image->hh.next)
		if (image->began > r->since)
			image->began = r->since;
}

static void begin_file(struct recorder *r)
{
	/* Names and sources have numbers of the file before, also where no process is left. */
	bool first = !r->begun && !r->images && !r->stacks;

	r->begun = true;
	*r->why = '\0';
	if (r->end && r->end < r->since)
		set_back(r);
	r->interval = 0;
	r->idle = false;
	r->last_facts.size = 0;
	r->collections_off = false;
	recorder_write_about(r);
	recorder_move_reclaims(r);
	if (!first && move(r))
		NO_MEMORY(r);
	record_db_commit(&r->db);
}

int recorder_go_on(struct recorder *r, const char *path)
{
	const struct recorder_options *o = &r->options;
	int err;

	if (o->lines || o->threads || o->touched)
		return -ENOTSUP;
	if (!r->paused) {
		end_file(r);
		recorder_pause(r);
	}
	err = record_db_create(&r->db, path, o->mode);
	if (!err) {
		r->paused = false;
		begin_file(r);
		err = r->db.error;
	}
	if (!err)
		return 0;
	snprintf(r->why, sizeof(r->why), "%s", *r->db.why ? r->db.why : output_explain(err));
	if (!r->paused) {
		/* It has nothing that is not in another one. */
		record_db_discard(&r->db);
		r->paused = true;
	}
	record_db_none(&r->db);
	return err;
}

void recorder_use_sources(struct recorder *r, struct source_cache *sources)
{
	r->options.sources = sources;
}

void recorder_limit_sources(struct recorder *r, uint64_t bytes)
{
	r->options.source_bytes = bytes;
}

bool recorder_is_blind(const struct recorder *r)
{
	return r->blind;
}

bool recorder_pauses(const struct recorder *r)
{
	return r->paused;
}

uint64_t recorder_bytes(struct recorder *r)
{
	return r->paused ? 0 : (uint64_t)record_db_size(&r->db);
}
