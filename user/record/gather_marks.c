/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Puts old marks of collections and reclaims together, as gather.c does with intervals: a process
 * that collects each second would else fill the file.
 *
 * Marks were written in the order of their times, so each level goes on where it ended the last
 * time. Of marks that become one, the last one stays and gets the counts of the others: then the
 * last row of the table is never deleted, and its number is not given again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "record/gather_private.h"

#define WHAT_MOST 512 /* bytes of a control group's path that tell it from others */

struct gathered { /* the last mark of a kind in a span */
	struct gathered_key {
		int64_t image;
		double span;
		char what[WHAT_MOST]; /* its kind and its text */
	} key;
	int64_t row;
	UT_hash_handle hh;
};

struct gathering {
	struct record_db *db;
	sqlite3_stmt *add, *drop;
	struct gathered *all;
	double length;
};

static void run(struct gathering *g, sqlite3_stmt *statement, int64_t a, int64_t b)
{
	int code;

	sqlite3_bind_int64(statement, 1, a);
	/* Only one of the two has it. */
	if (sqlite3_bind_parameter_count(statement) == 2)
		sqlite3_bind_int64(statement, 2, b);
	code = sqlite3_step(statement);
	if (code != SQLITE_DONE)
		record_db_failed(g->db, code);
	sqlite3_reset(statement);
}

static void fill_key(struct gathered_key *key, sqlite3_stmt *row, double length)
{
	const char *kind = (const char *)sqlite3_column_text(row, 2);
	size_t used = kind ? strnlen(kind, WHAT_MOST - 1) : 0, size;
	const void *text = sqlite3_column_blob(row, 4);

	memset(key, 0, sizeof(*key));
	key->image = sqlite3_column_int64(row, 3);
	key->span = floor(sqlite3_column_double(row, 1) / length);
	memcpy(key->what, kind ?: "", used);
	/* The end of a path tells more than its beginning. */
	size = text ? (size_t)sqlite3_column_bytes(row, 4) : 0;
	used++;
	if (size > WHAT_MOST - used) {
		text = (const char *)text + size - (WHAT_MOST - used);
		size = WHAT_MOST - used;
	}
	if (size)
		memcpy(key->what + used, text, size);
}

static void gather_row(struct gathering *g, sqlite3_stmt *row)
{
	int64_t number = sqlite3_column_int64(row, 0);
	struct gathered_key key;
	struct gathered *found;

	fill_key(&key, row, g->length);
	HASH_FIND(hh, g->all, &key, sizeof(key), found);
	if (found) {
		run(g, g->add, number, found->row);
		run(g, g->drop, found->row, 0);
		found->row = number;
		return;
	}
	found = calloc(1, sizeof(*found));
	if (found)
		*found = (struct gathered){.key = key, .row = number};
	if (!found || HASH_INSERT(g->all, key, found)) {
		free(found);
		g->db->error = g->db->error ?: -ENOMEM;
	}
}

static void forget(struct gathering *g)
{
	struct gathered *each, *next;

	HASH_ITER(hh, g->all, each, next)
	{
		HASH_DEL(g->all, each);
		free(each);
	}
}

/* Goes through the rows behind `*done`, which becomes the last one. True: through all of them. */
static bool gather_rows(struct gathering *g, sqlite3_stmt *query, double before, int64_t *done,
			uint64_t end_ms)
{
	int code;

	sqlite3_bind_int64(query, 1, *done);
	while (!g->db->error && (code = sqlite3_step(query)) == SQLITE_ROW) {
		if (sqlite3_column_double(query, 1) >= before)
			return true;
		*done = sqlite3_column_int64(query, 0);
		gather_row(g, query);
		if (clock_ms(CLOCK_MONOTONIC) >= end_ms)
			return false;
	}
	if (!g->db->error && code != SQLITE_DONE)
		record_db_failed(g->db, code);
	return true;
}

bool gather_marks(struct record_db *db, unsigned level, double before, double length,
		  uint64_t end_ms)
{
	struct gathering g = {.db = db, .length = length};
	sqlite3_stmt *query = gather_prepare(
		db, "SELECT rowid, time, kind, image, text FROM mark WHERE rowid > ?1"
		    " AND kind IN ('gc', 'reclaim') ORDER BY rowid");
	bool all = true;

	g.add = gather_prepare(db,
			       "UPDATE mark SET (count, more) = (SELECT mark.count + other.count,"
			       " mark.more + other.more FROM mark AS other"
			       " WHERE other.rowid = ?2) WHERE rowid = ?1");
	g.drop = gather_prepare(db, "DELETE FROM mark WHERE rowid = ?1");
	if (query && g.add && g.drop) {
		record_db_run(db, "SAVEPOINT marks");
		all = gather_rows(&g, query, floor(before / length) * length,
				  &db->marks_gathered[level], end_ms);
		sqlite3_reset(query);
		record_db_run(db, "RELEASE marks");
	}
	forget(&g);
	sqlite3_finalize(query);
	sqlite3_finalize(g.add);
	sqlite3_finalize(g.drop);
	return all;
}
