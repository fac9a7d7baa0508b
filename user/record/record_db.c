/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recorder may be killed at any time, its machine may lose power, and a reader may open
 * the file meanwhile. SQLite solves this: with a write-ahead log each transaction is in the file as
 * a whole or not at all. With synchronous=NORMAL a commit does not wait for the disk. Instead a
 * thread syncs the log after each commit, so a power cut takes the last transaction or two, and no
 * more. Only the copying of the log to the database, every 4 MiB, waits.
 *
 * An error stays: after one, nothing more is written, and the recorder is told at the end of its
 * transaction. */
#include "record/record_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/record_sync.h"

const char record_schema[] =
	"CREATE TABLE about(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE interval(id INTEGER PRIMARY KEY, until REAL);"
	"CREATE TABLE text(id INTEGER PRIMARY KEY, bytes BLOB);"
	"CREATE TABLE frame(id INTEGER PRIMARY KEY, file INTEGER, function INTEGER, line INTEGER,"
	" first_line INTEGER, flags INTEGER);"
	"CREATE TABLE node(id INTEGER PRIMARY KEY, parent INTEGER, frame INTEGER);"
	"CREATE TABLE image(id INTEGER PRIMARY KEY, pid INTEGER, ppid INTEGER, comm BLOB, argv "
	"BLOB,"
	" cgroup BLOB, python BLOB, reason BLOB, began REAL, ended REAL, start_boottime INTEGER,"
	" start_wall REAL, view INTEGER, view_cwd INTEGER, flags INTEGER, lines_error INTEGER, "
	"user INTEGER,"
	" start_anon INTEGER, start_file INTEGER, start_shmem INTEGER, start_swap INTEGER,"
	" pss INTEGER);"
	"CREATE TABLE sample(image INTEGER, interval INTEGER, anon INTEGER, file INTEGER,"
	" shmem INTEGER, swap INTEGER, peak INTEGER, PRIMARY KEY(interval, image)) WITHOUT ROWID;"
	"CREATE TABLE change(interval INTEGER PRIMARY KEY, data BLOB);"
	"CREATE TABLE facts(interval INTEGER PRIMARY KEY, data BLOB);"
	"CREATE TABLE touched(image INTEGER PRIMARY KEY, data BLOB);"
	"CREATE TABLE firsts(image INTEGER PRIMARY KEY, data BLOB);"
	"CREATE TABLE content(id INTEGER PRIMARY KEY, size INTEGER, data BLOB);"
	"CREATE TABLE source(view INTEGER, file INTEGER, state INTEGER, changed REAL,"
	" content INTEGER, PRIMARY KEY(view, file)) WITHOUT ROWID;"
	"CREATE TABLE cgroup(id INTEGER PRIMARY KEY, path BLOB);"
	"CREATE TABLE cgroup_sample(cgroup INTEGER, interval INTEGER, current INTEGER, most "
	"INTEGER,"
	" oom_kills INTEGER, PRIMARY KEY(interval, cgroup)) WITHOUT ROWID;"
	"CREATE TABLE pss(image INTEGER, interval INTEGER, bytes INTEGER, swap INTEGER,"
	" PRIMARY KEY(interval, image)) WITHOUT ROWID;"
	"CREATE TABLE look(id INTEGER PRIMARY KEY, time REAL, image INTEGER, size INTEGER,"
	" data BLOB);"
	"CREATE TABLE mark(time REAL, kind TEXT, image INTEGER, text BLOB, count INTEGER,"
	" more INTEGER);";

static const char *const statements[] = {
#define RECORD_STATEMENT_SQL(id, sql) sql,
	RECORD_STATEMENTS(RECORD_STATEMENT_SQL)
#undef RECORD_STATEMENT_SQL
};

static int errno_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

void record_db_failed(struct record_db *db, int code)
{
	if (db->error)
		return;
	db->error = errno_of(code);
	snprintf(db->why, sizeof(db->why), "%s", sqlite3_errmsg(db->sqlite));
}

static void check(struct record_db *db, int code)
{
	if (code != SQLITE_OK)
		record_db_failed(db, code);
}

void record_db_run(struct record_db *db, const char *sql)
{
	int code = db->error ? SQLITE_OK : sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

	if (code != SQLITE_OK)
		record_db_failed(db, code);
}

int64_t record_db_number(struct record_db *db, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number = 0;
	int code;

	if (db->error)
		return 0;
	code = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	else if (code != SQLITE_DONE)
		record_db_failed(db, code);
	sqlite3_finalize(statement);
	return number;
}

static void prepare(struct record_db *db)
{
	for (int i = 0; i < RECORD_STATEMENT_COUNT && !db->error; i++) {
		int code = sqlite3_prepare_v3(db->sqlite, statements[i], -1,
					      SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);

		if (code != SQLITE_OK)
			record_db_failed(db, code);
	}
}

static void start_sync(struct record_db *db)
{
	/* The log is there from the first commit to the close; it is emptied, never made anew. */
	db->sync = record_sync_new(db->files.made[0]);
	if (!db->sync) {
		db->error = -errno;
		snprintf(db->why, sizeof(db->why), "its log can't be synced: %s", strerror(errno));
	}
}

static void make_tables(struct record_db *db)
{
	char pragma[128];

	/* The first write makes the log and its index: all files are open afterwards. The journal
	 * of the change to that is in memory, so that there is no fourth file. */
	record_db_run(db,
		      "PRAGMA page_size=4096; PRAGMA journal_mode=MEMORY; PRAGMA journal_mode=WAL;"
		      "PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;"
		      "PRAGMA cache_size=-4096; PRAGMA journal_size_limit=4194304;"
		      "PRAGMA busy_timeout=2000");
	snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 RECORD_APPLICATION, RECORD_VERSION);
	record_db_run(db, "BEGIN");
	record_db_run(db, pragma);
	record_db_run(db, record_schema);
	record_db_run(db, "COMMIT");
	prepare(db);
}

static void close_all(struct record_db *db)
{
	int i, code;

	for (i = 0; i < RECORD_STATEMENT_COUNT; i++)
		sqlite3_finalize(db->statements[i]);
	memset(db->statements, 0, sizeof(db->statements));
	record_sync_end(db->sync);
	db->sync = NULL;
	code = sqlite3_close(db->sqlite);
	if (code != SQLITE_OK)
		record_db_failed(db, code);
	db->sqlite = NULL;
}

int record_db_create(struct record_db *db, const char *path, mode_t mode)
{
	int code;

	*db = (struct record_db){};
	db->error = record_files_make(&db->files, path, mode);
	if (db->error) {
		/* Of a file that was there, nothing is open: it stays. */
		record_files_remove(&db->files);
		record_files_close(&db->files);
		return db->error;
	}
	code = sqlite3_open_v2(RECORD_FILES_PATH, &db->sqlite, SQLITE_OPEN_READWRITE, "unix");
	if (code != SQLITE_OK)
		record_db_failed(db, code);
	make_tables(db);
	if (!db->error)
		start_sync(db);
	if (db->files.in_the_way) {
		db->error = -EEXIST;
		snprintf(db->why, sizeof(db->why),
			 "beside it there is a file of its name with -wal or -shm behind it, left "
			 "by "
			 "another recording: remove that one, or choose another name");
	}
	if (db->error)
		record_db_discard(db);
	return db->error;
}

void record_db_none(struct record_db *db)
{
	*db = (struct record_db){.files = {.folder = -1, .main = -1, .made = {-1, -1}},
				 .error = -ENOTCONN};
}

int record_db_discard(struct record_db *db)
{
	int err;

	close_all(db);
	err = record_files_remove(&db->files);
	record_files_close(&db->files);
	return err;
}

int record_db_close(struct record_db *db)
{
	/* Without a log it can be read where its reader may not write, too. The journal of this
	 * change is in memory: no file can be opened any more, and what changes is in one sector.
	 * If a reader has the file open, the log stays beside it, which is as good. */
	if (db->sqlite) {
		for (int i = 0; i < RECORD_STATEMENT_COUNT; i++)
			sqlite3_reset(db->statements[i]);
		if (!sqlite3_get_autocommit(db->sqlite))
			sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
		sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		sqlite3_exec(db->sqlite, "PRAGMA journal_mode=MEMORY", NULL, NULL, NULL);
	}
	close_all(db);
	record_files_close(&db->files);
	return db->error;
}

void record_db_int(struct record_db *db, enum record_statement which, int at, int64_t value)
{
	if (!db->error)
		check(db, sqlite3_bind_int64(db->statements[which], at, value));
}

void record_db_real(struct record_db *db, enum record_statement which, int at, double value)
{
	if (!db->error)
		check(db, sqlite3_bind_double(db->statements[which], at, value));
}

void record_db_bytes(struct record_db *db, enum record_statement which, int at, const void *bytes,
		     size_t size)
{
	if (!db->error)
		check(db, sqlite3_bind_blob64(db->statements[which], at, bytes ?: "", size,
					      SQLITE_STATIC));
}

void record_db_values(struct record_db *db, enum record_statement which,
		      sqlite3_value *const *values, int count)
{
	for (int i = 0; i < count && !db->error; i++)
		check(db, sqlite3_bind_value(db->statements[which], i + 1, values[i]));
}

void record_db_text(struct record_db *db, enum record_statement which, int at, const char *text)
{
	if (!db->error)
		check(db, sqlite3_bind_text(db->statements[which], at, text, -1, SQLITE_STATIC));
}

void record_db_string(struct record_db *db, enum record_statement which, int at, const char *text)
{
	if (text)
		record_db_bytes(db, which, at, text, strlen(text));
}

/* All that is written until the next record_db_commit() is one transaction. */
static void begin(struct record_db *db)
{
	if (sqlite3_get_autocommit(db->sqlite))
		record_db_run(db, "BEGIN IMMEDIATE");
}

void record_db_commit(struct record_db *db)
{
	if (!db->error && !sqlite3_get_autocommit(db->sqlite))
		record_db_run(db, "COMMIT");
}

void record_db_sync(struct record_db *db)
{
	int err = db->error ? 0 : record_sync_soon(db->sync);

	if (!err)
		return;
	db->error = err;
	snprintf(db->why, sizeof(db->why), "what was written does not reach the disk: %s",
		 strerror(-err));
}

void record_db_step(struct record_db *db, enum record_statement which)
{
	sqlite3_stmt *statement = db->statements[which];
	int code;

	if (!db->error)
		begin(db);
	if (db->error)
		return;
	code = sqlite3_step(statement);
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		record_db_failed(db, code);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

int64_t record_db_size(struct record_db *db)
{
	return (record_db_number(db, "PRAGMA page_count") -
		record_db_number(db, "PRAGMA freelist_count")) *
	       4096;
}
