/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Puts old intervals together, so that a recording of a week is not 600,000 intervals long.
 *
 * Invariant: for each image, kind and identifier the sum over all intervals stays the same; so does
 * the last sample and PSS of each image, at each time between two of the intervals that are left.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "record/amounts.h"
#include "record/gather_private.h"

static const struct {
	double age, length; /* seconds */
} levels[RECORD_LEVELS] = {
	{600, 10},
	{7200, 60},
	{2 * 86400, 3600},
};

#define HURRY_MOST 1048576 /* by which ages are divided when there is no room */

struct row {
	struct row_key {
		uint64_t id, flags;
	} key;
	struct amounts amounts;
	UT_hash_handle hh;
};

struct span { /* intervals that become one */
	int64_t first, last;
	double since, until;
};

/* --- rows --- */

static void rows_free(struct row **rows)
{
	struct row *row, *next;

	HASH_ITER(hh, *rows, row, next)
	{
		HASH_DEL(*rows, row);
		free(row);
	}
}

static int rows_add(struct row **rows, enum amounts_kind kind, struct amounts_reader *reader)
{
	struct row_key key = {};
	struct amounts amounts;
	struct row *row;

	while (amounts_next(reader, &key.id, &key.flags, &amounts)) {
		HASH_FIND(hh, *rows, &key, sizeof(key), row);
		if (row) {
			amounts_add(kind, &row->amounts, &amounts);
			continue;
		}
		row = calloc(1, sizeof(*row));
		if (row)
			*row = (struct row){.key = key, .amounts = amounts};
		if (!row || HASH_INSERT(*rows, key, row)) {
			free(row);
			return -ENOMEM;
		}
	}
	return reader->failed ? -EINVAL : 0;
}

/* Without figures, and yet a stack of the report. */
static bool is_empty_stack(uint64_t kind, const struct row *row)
{
	return kind == AMOUNTS_STACKS && row->key.flags & STACK_EMPTY;
}

struct merging {
	struct amounts_buffer before, after; /* parts */
	struct amounts_part *parts;	     /* those of `before` */
	size_t count, room;
	struct row *rows; /* of one image and kind */
};

static void merging_free(struct merging *m)
{
	rows_free(&m->rows);
	free(m->before.bytes);
	free(m->after.bytes);
	free(m->parts);
}

/* Packs the rows, which are all of one image and kind, and forgets them. */
static void pack(struct merging *m, const struct amounts_part *part)
{
	struct amounts_buffer packed = {};
	struct row *row, *next;

	HASH_ITER(hh, m->rows, row, next)
	{
		if (!amounts_none(&row->amounts) || is_empty_stack(part->kind, row))
			amounts_put(&packed, row->key.id, row->key.flags, &row->amounts);
	}
	if (packed.size || packed.failed)
		amounts_put_part(&m->after, (uint32_t)part->image, (enum amounts_kind)part->kind,
				 &packed);
	free(packed.bytes);
	rows_free(&m->rows);
}

static int by_image(const void *a, const void *b)
{
	const struct amounts_part *x = a, *y = b;

	if (x->image != y->image)
		return x->image < y->image ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

/* Finds the parts of `before`, by image and kind. 0 or -errno. */
static int find_parts(struct merging *m)
{
	struct amounts_reader reader = {m->before.bytes, m->before.bytes + m->before.size, false};
	struct amounts_part part;

	while (amounts_next_part(&reader, &part)) {
		if (part.kind >= AMOUNTS_KINDS)
			return -EINVAL;
		if (!ARRAY_HAS_ROOM(m->parts, m->count, m->room))
			return -ENOMEM;
		m->parts[m->count++] = part;
	}
	if (m->count)
		qsort(m->parts, m->count, sizeof(*m->parts), by_image);
	return reader.failed ? -EINVAL : 0;
}

/* Makes `after` of `before`. 0 or -errno. */
static int merge_parts(struct merging *m)
{
	int err = m->before.failed ? -ENOMEM : find_parts(m);

	for (size_t i = 0; i < m->count && !err; i++) {
		struct amounts_part *part = &m->parts[i];

		err = rows_add(&m->rows, (enum amounts_kind)part->kind, &part->rows);
		if (!err && (i + 1 == m->count || by_image(part, part + 1)))
			pack(m, part);
	}
	return err ?: m->after.failed ? -ENOMEM : 0;
}

sqlite3_stmt *gather_prepare(struct record_db *db, const char *sql)
{
	sqlite3_stmt *query = NULL;
	int code = db->error ? SQLITE_OK : sqlite3_prepare_v2(db->sqlite, sql, -1, &query, NULL);

	if (code != SQLITE_OK)
		record_db_failed(db, code);
	return query;
}

static void note(struct record_db *db, int err)
{
	if (err && !db->error)
		db->error = err;
}

/* Runs a statement with ?1: the first interval, ?2: the last one, ?3: the end. */
static void merge(struct record_db *db, const char *sql, const struct span *span)
{
	sqlite3_stmt *statement = gather_prepare(db, sql);
	int code;

	if (!statement)
		return;
	sqlite3_bind_int64(statement, 1, span->first);
	sqlite3_bind_int64(statement, 2, span->last);
	/* Most have no third one. */
	if (sqlite3_bind_parameter_count(statement) == 3)
		sqlite3_bind_double(statement, 3, span->until);
	code = sqlite3_step(statement);
	if (code != SQLITE_DONE)
		record_db_failed(db, code);
	sqlite3_finalize(statement);
}

static void merge_changes(struct record_db *db, const struct span *span)
{
	struct merging m = {};
	sqlite3_stmt *query =
		gather_prepare(db, "SELECT data FROM change WHERE interval BETWEEN ? AND ?");
	int code = SQLITE_DONE;

	if (!query)
		return;
	sqlite3_bind_int64(query, 1, span->first);
	sqlite3_bind_int64(query, 2, span->last);
	while ((code = sqlite3_step(query)) == SQLITE_ROW)
		amounts_put_all(&m.before, sqlite3_column_blob(query, 0),
				(size_t)sqlite3_column_bytes(query, 0));
	if (code != SQLITE_DONE)
		record_db_failed(db, code);
	sqlite3_finalize(query);
	note(db, merge_parts(&m));
	merge(db, "DELETE FROM change WHERE interval BETWEEN ?1 AND ?2", span);
	if (m.after.size) {
		record_db_int(db, RECORD_CHANGE, 1, span->first);
		record_db_bytes(db, RECORD_CHANGE, 2, m.after.bytes, m.after.size);
		record_db_step(db, RECORD_CHANGE);
	}
	merging_free(&m);
}

/* --- the rest of an interval --- */

static const char *const merges[] = {
	("INSERT OR REPLACE INTO sample(image, interval, anon, file, shmem, swap, peak)"
	 " SELECT image, ?1, anon, file, shmem, swap, peak FROM sample"
	 " WHERE interval BETWEEN ?1 AND ?2 ORDER BY interval"),
	"DELETE FROM sample WHERE interval > ?1 AND interval <= ?2",
	("INSERT OR REPLACE INTO cgroup_sample(cgroup, interval, current, most, oom_kills)"
	 " SELECT cgroup, ?1, current, most, oom_kills FROM cgroup_sample"
	 " WHERE interval BETWEEN ?1 AND ?2 ORDER BY interval"),
	"DELETE FROM cgroup_sample WHERE interval > ?1 AND interval <= ?2",
	("INSERT OR REPLACE INTO pss(image, interval, bytes, swap)"
	 " SELECT image, ?1, bytes, swap FROM pss"
	 " WHERE interval BETWEEN ?1 AND ?2 ORDER BY interval"),
	"DELETE FROM pss WHERE interval > ?1 AND interval <= ?2",
	("DELETE FROM facts WHERE interval BETWEEN ?1 AND ?2 AND interval <"
	 " (SELECT max(interval) FROM facts WHERE interval BETWEEN ?1 AND ?2)"),
	"UPDATE facts SET interval=?1 WHERE interval BETWEEN ?1 AND ?2",
	"DELETE FROM interval WHERE id > ?1 AND id <= ?2",
	"UPDATE interval SET until=?3 WHERE id=?1",
};

static void merge_span(struct record_db *db, const struct span *span)
{
	record_db_run(db, "SAVEPOINT span");
	merge_changes(db, span);
	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++)
		merge(db, merges[i], span);
	record_db_run(db, "RELEASE span");
}

struct finding {
	struct span *spans; /* of at least two intervals each */
	size_t count, room;
	struct span now; /* `first` 0: none */
	double length;
};

/* 0 or -ENOMEM. */
static int keep_span(struct finding *f)
{
	if (f->now.last == f->now.first)
		return 0;
	if (!ARRAY_HAS_ROOM(f->spans, f->count, f->room))
		return -ENOMEM;
	f->spans[f->count++] = f->now;
	return 0;
}

/* They come by time. 0 or -ENOMEM. */
static int add_interval(struct finding *f, const struct span *next)
{
	bool fits = next->until - next->since < f->length;
	int err;

	if (fits && f->now.first &&
	    floor(next->since / f->length) == floor(f->now.since / f->length)) {
		f->now.last = next->last;
		f->now.until = next->until;
		return 0;
	}
	err = keep_span(f);
	f->now = fits ? *next : (struct span){.first = 0};
	return err;
}

/* The spans of at least two intervals that end before `before`, none longer than `length`. The last
 * interval is in none: it may become longer. Nor is the first one of a file that continues another
 * one: it has what was before the file. The caller frees them. */
static size_t find_spans(struct record_db *db, double before, double length, struct span **spans)
{
	sqlite3_stmt *query =
		gather_prepare(db, "SELECT id, until, (SELECT value FROM about WHERE name ="
				   " 'start') FROM interval WHERE until < ?1 AND id <"
				   " (SELECT max(id) FROM interval) AND id > (SELECT"
				   " count(*) FROM about WHERE name = 'continues')"
				   " ORDER BY id");
	struct finding f = {.length = length};
	struct span next = {.first = 0};
	int code = SQLITE_DONE, err = 0;

	if (query)
		sqlite3_bind_double(query, 1, before);
	while (query && !err && (code = sqlite3_step(query)) == SQLITE_ROW) {
		next.since = next.first ? next.until : sqlite3_column_double(query, 2);
		next.first = next.last = sqlite3_column_int64(query, 0);
		next.until = sqlite3_column_double(query, 1);
		err = add_interval(&f, &next);
	}
	if (!err && code != SQLITE_DONE)
		record_db_failed(db, code);
	sqlite3_finalize(query);
	note(db, err ?: keep_span(&f));
	*spans = f.spans;
	return f.count;
}

/* True: all of it was done, before the time was over. */
static bool gather_level(struct record_db *db, double before, double length, uint64_t end_ms)
{
	struct span *spans;
	size_t count = find_spans(db, before, length, &spans), i;

	/* One at least, or a level might never have its turn. */
	for (i = 0; i < count && !db->error && (!i || clock_ms(CLOCK_MONOTONIC) < end_ms); i++)
		merge_span(db, &spans[i]);
	free(spans);
	return i == count;
}

bool record_gather(struct record_db *db, double now, uint64_t most_bytes, unsigned ms)
{
	uint64_t end_ms = clock_ms(CLOCK_MONOTONIC) + ms;
	bool done = true;
	double hurry = 1;

	for (;;) {
		for (unsigned i = 0; i < RECORD_LEVELS && !db->error; i++) {
			double before = now - levels[i].age / hurry;

			done &= gather_level(db, before, levels[i].length, end_ms);
			done &= gather_marks(db, i, before, levels[i].length, end_ms);
		}
		if (!most_bytes || db->error || !done || (uint64_t)record_db_size(db) <= most_bytes)
			return !db->error;
		if (hurry >= HURRY_MOST)
			return false;
		hurry *= 2;
	}
}
