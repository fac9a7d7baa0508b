/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file of a recording: an SQLite database. docs/RECORDING.md has its tables. */
#ifndef RECORD_DB_H
#define RECORD_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "record/record_files.h"

#define RECORD_APPLICATION 0x50594d42 /* "PYMB" */
#define RECORD_VERSION	   1
#define RECORD_LEVELS	   3 /* of gathering */

/* All statements that write. X(ID, SQL) */
#define RECORD_STATEMENTS(X)                                                                     \
	X(ABOUT, "INSERT OR REPLACE INTO about VALUES(?,?)")                                     \
	X(INTERVAL, "INSERT INTO interval VALUES(?,?)")                                          \
	X(LONGER, "UPDATE interval SET until=?2 WHERE id=?1")                                    \
	X(TEXT, "INSERT INTO text VALUES(?,?)")                                                  \
	X(FRAME, "INSERT INTO frame VALUES(?,?,?,?,?,?)")                                        \
	X(NODE, "INSERT INTO node VALUES(?,?,?)")                                                \
	X(IMAGE,                                                                                 \
	  "INSERT OR REPLACE INTO image VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,NULL)") \
	X(PSS, "UPDATE image SET pss=?2 WHERE id=?1")                                            \
	X(SAMPLE, "INSERT INTO sample VALUES(?,?,?,?,?,?,?)")                                    \
	X(CHANGE, "INSERT INTO change VALUES(?,?)")                                              \
	X(FACTS, "INSERT INTO facts VALUES(?,?)")                                                \
	X(TOUCHED, "INSERT OR REPLACE INTO touched VALUES(?,?)")                                 \
	X(FIRSTS, "INSERT OR REPLACE INTO firsts VALUES(?,?)")                                   \
	X(CONTENT, "INSERT INTO content VALUES(?,?,?)")                                          \
	X(SOURCE, "INSERT OR REPLACE INTO source VALUES(?,?,?,?,?)")                             \
	X(CGROUP, "INSERT INTO cgroup VALUES(?,?)")                                              \
	X(CGROUP_SAMPLE, "INSERT INTO cgroup_sample VALUES(?,?,?,?,?)")                          \
	X(SHARE, "INSERT INTO pss VALUES(?,?,?,?)")                                              \
	X(LOOK, "INSERT INTO look VALUES(NULL,?,?,?,?)")                                         \
	X(MARK, "INSERT INTO mark VALUES(?,?,?,?,?,?)")

/* Flags of a frame. */
#define FRAME_PROLOGUE 1 /* counts_frame.prologue */
#define FRAME_THREAD   2 /* no line, but a thread: `line` is its TID, `first_line` its number */

/* Of the flags of an image, the bits from this one on are its PID in its own PID namespace. */
#define RECORD_NS_PID_SHIFT 8

/* Makes the tables of RECORD_VERSION. */
extern const char record_schema[];

enum record_statement {
#define RECORD_STATEMENT_ENUM(id, sql) RECORD_##id,
	RECORD_STATEMENTS(RECORD_STATEMENT_ENUM)
#undef RECORD_STATEMENT_ENUM
		RECORD_STATEMENT_COUNT,
};

struct record_db {
	struct record_files files;
	sqlite3 *sqlite;
	sqlite3_stmt *statements[RECORD_STATEMENT_COUNT];
	struct record_sync *sync; /* brings the log to the disk */
	int error; /* -errno of the first failure since it was opened; nothing is written after it
		    */
	char why[256];			       /* what SQLite says of it */
	int64_t marks_gathered[RECORD_LEVELS]; /* row of `mark` up to which each level is */
};

/* Creates the file `path`, which must not exist, with the permissions `mode`, and its tables. Its
 * files are open after that, so that the process may give up opening others. 0 or -errno: -EEXIST,
 * errors of open(2), or -EIO with db->why: then the file is not there. record_db_close() is to be
 * called either way. */
int record_db_create(struct record_db *db, const char *path, mode_t mode);
/* One without a file: it has an error, so nothing is written. */
void record_db_none(struct record_db *db);
/* Removes the files of a recording that was not begun, and closes it. 0 or -errno. */
int record_db_discard(struct record_db *db);
/* Writes what is still in the journal to the file, and closes it. 0 or -errno with db->why. */
int record_db_close(struct record_db *db);

/* Binds the value of parameter `at` (from 1 on) of a statement. Texts and bytes must stay as they
 * are until record_db_step(). */
void record_db_int(struct record_db *db, enum record_statement which, int at, int64_t value);
void record_db_real(struct record_db *db, enum record_statement which, int at, double value);
void record_db_bytes(struct record_db *db, enum record_statement which, int at, const void *bytes,
		     size_t size);
/* Parameters 1 to `count`, as copies of other rows' columns. */
void record_db_values(struct record_db *db, enum record_statement which,
		      sqlite3_value *const *values, int count);
/* Text of our own, as text. */
void record_db_text(struct record_db *db, enum record_statement which, int at, const char *text);
/* Text that may be anything: as bytes, up to the NUL; NULL is NULL. */
void record_db_string(struct record_db *db, enum record_statement which, int at, const char *text);
/* Runs the statement and forgets its values. Begins a transaction unless there is one. */
void record_db_step(struct record_db *db, enum record_statement which);
/* Ends the transaction, if there is one: what was written is in the file from now on. */
void record_db_commit(struct record_db *db);
/* Brings what was committed to the disk, soon. The first call starts a thread, so it must come
 * after confine(), which takes capabilities from its caller alone. */
void record_db_sync(struct record_db *db);

/* Runs SQL that has no parameters. */
void record_db_run(struct record_db *db, const char *sql);
/* The first column of the first row of a query without parameters; 0: none. */
int64_t record_db_number(struct record_db *db, const char *sql);
/* Notes the failure of a call of SQLite, which returned `code`. */
void record_db_failed(struct record_db *db, int code);

/* Bytes of the file that are in use. */
int64_t record_db_size(struct record_db *db);

/* Puts intervals that are old at `now` (seconds since the epoch) together: those of more than 10
 * minutes to 10 s, of more than 2 hours to 1 minute, of more than 2 days to 1 hour; earlier, if
 * else more than `most_bytes` (0: no limit) would be in use. No figure is lost by it, only when it
 * came. Takes about `ms` milliseconds at most; the next call goes on. False: all that could be done
 * was done, and more are in use. */
bool record_gather(struct record_db *db, double now, uint64_t most_bytes, unsigned ms);

#endif
