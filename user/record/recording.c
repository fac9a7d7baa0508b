/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recording may come from anybody, and it is read by a program that root runs, too. So
 * the file must have the tables of a recording, word for word, and nothing else: no views, no
 * triggers, no generated columns that would compute something when they are read. SQLite is told to
 * trust nothing in it, and everything that is read is checked (recording_load.c). */
#include "record/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/recording_private.h"

#define ENDED_BYTES (256u << 20) /* as the preset of --ended-memory */
#define STEP_CODES  1000000 /* instructions of SQLite's between two looks at how many there were */
#define STEPS_LEAST 2000
#define STEPS_ROWS  1000	/* rows for which as many are enough, however they are sorted */
#define LENGTH_MOST (256 << 20) /* bytes of a value */
#define ROW_BYTES   4		/* of the shortest row of a table, with what refers to it */

/* --- errors and queries --- */

int recording_fail(struct recording *r, int err, const char *format, ...)
{
	va_list arguments;

	if (*r->why)
		return err;
	va_start(arguments, format);
	vsnprintf(r->why, r->why_size, format, arguments);
	va_end(arguments);
	return err;
}

/* Only -EINVAL is the file's fault. */
static int sqlite_failed(struct recording *r)
{
	int code = sqlite3_errcode(r->sqlite) & 0xff;
	bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_FORMAT;

	return recording_fail(r, damaged ? -EINVAL : -EIO, "the recording can't be read: %s",
			      sqlite3_errmsg(r->sqlite));
}

/* A table may have been made so that it never ends. */
static int is_too_long(void *arg)
{
	struct recording *r = arg;

	return r->rows_most && ++r->steps > STEPS_LEAST + (uint64_t)r->rows_most / STEPS_ROWS;
}

int recording_query(struct recording *r, const char *sql, const int64_t *values, int count,
		    int (*fn)(sqlite3_stmt *row, void *arg), void *arg)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(r->sqlite, sql, -1, &statement, NULL), err = 0;
	int64_t rows = 0;

	if (code != SQLITE_OK)
		return sqlite_failed(r);
	for (int i = 0; i < count; i++)
		sqlite3_bind_int64(statement, i + 1, values[i]);
	/* A damaged table may lead in a circle. */
	while (!err && (code = sqlite3_step(statement)) == SQLITE_ROW)
		err = r->rows_most && rows++ > r->rows_most
			      ? recording_refuse(r, "a table has more rows than fit into the file")
			      : fn(statement, arg);
	if (!err && code != SQLITE_DONE)
		err = sqlite_failed(r);
	sqlite3_finalize(statement);
	return err;
}

int recording_text(sqlite3_stmt *row, int column, char **copy)
{
	const void *bytes = sqlite3_column_blob(row, column);
	int size = sqlite3_column_bytes(row, column);

	*copy = NULL;
	if (sqlite3_column_type(row, column) == SQLITE_NULL)
		return 0;
	*copy = size ? strndup(bytes, (size_t)size) : strdup("");
	return *copy ? 0 : -ENOMEM;
}

/* --- open --- */

#define SCHEMA_SQL \
	"SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)"

static int copy_schema(sqlite3_stmt *row, void *arg)
{
	char **sql = arg;
	int err = recording_text(row, 0, sql);

	/* Behind a NUL there could be anything. */
	if (!err && *sql && strlen(*sql) != (size_t)sqlite3_column_bytes(row, 0))
		**sql = '\0';
	return err;
}

/* The tables that a recording has. 0 or -errno. */
static int expected_schema(char **sql)
{
	struct recording empty = {.why = (char[1]){""}, .why_size = 1};
	int code = sqlite3_open_v2(":memory:", &empty.sqlite,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
				   NULL);
	int err = -ENOMEM;

	if (code == SQLITE_OK &&
	    sqlite3_exec(empty.sqlite, record_schema, NULL, NULL, NULL) == SQLITE_OK)
		err = recording_query(&empty, SCHEMA_SQL, NULL, 0, copy_schema, sql);
	sqlite3_close(empty.sqlite);
	return err;
}

static int check_number(sqlite3_stmt *row, void *arg)
{
	*(int64_t *)arg = sqlite3_column_int64(row, 0);
	return 0;
}

/* All is read as it is now, whatever a recorder or somebody else writes meanwhile: what is checked
 * is what is read. */
static int begin_reading(struct recording *r)
{
	int64_t pages = 0, page_size = 0;
	int err;

	if (sqlite3_exec(r->sqlite, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_failed(r);
	err = recording_query(r, "PRAGMA page_count", NULL, 0, check_number, &pages);
	if (!err)
		err = recording_query(r, "PRAGMA page_size", NULL, 0, check_number, &page_size);
	r->rows_most = pages * page_size / ROW_BYTES + 1;
	sqlite3_progress_handler(r->sqlite, STEP_CODES, is_too_long, r);
	return err;
}

/* True if the file is a recording that this program can read. Else says what it is. */
static int check_file(struct recording *r)
{
	char *expected = NULL, *found = NULL;
	int64_t application = 0, version = 0;
	int err;

	err = recording_query(r, "PRAGMA application_id", NULL, 0, check_number, &application);
	if (!err)
		err = recording_query(r, "PRAGMA user_version", NULL, 0, check_number, &version);
	if (err)
		return err;
	if (application != RECORD_APPLICATION)
		return recording_fail(r, -EINVAL, "it is no recording of pymem-bpf");
	if (version != RECORD_VERSION)
		return recording_fail(
			r, -ENOTSUP,
			"its format has version %lld, and this pymem-bpf reads "
			"version %d: take the pymem-bpf that recorded it, or a newer one",
			(long long)version, RECORD_VERSION);
	err = expected_schema(&expected);
	if (!err)
		err = recording_query(r, SCHEMA_SQL, NULL, 0, copy_schema, &found);
	if (!err && (!found || strcmp(found, expected) != 0))
		err = recording_fail(r, -EINVAL,
				     "the recording is damaged: its tables are not "
				     "those of a recording");
	free(expected);
	free(found);
	return err;
}

/* Nothing in the file is to be run, and nothing of it is written. */
static void distrust(sqlite3 *sqlite)
{
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_exec(sqlite,
		     "PRAGMA cell_size_check=ON; PRAGMA query_only=ON; PRAGMA mmap_size=0;"
		     "PRAGMA temp_store=MEMORY",
		     NULL, NULL, NULL);
	sqlite3_limit(sqlite, SQLITE_LIMIT_LENGTH, LENGTH_MOST);
	sqlite3_busy_timeout(sqlite, 2000);
}

/* A path as a URI: %, ? and # mean something there. The caller frees it with sqlite3_free(). */
static char *uri_of(const char *path, const char *query)
{
	sqlite3_str *uri = sqlite3_str_new(NULL);

	/* ":memory:" is a file, too. */
	sqlite3_str_appendall(uri, path[0] == '/' ? "file://" : "file:./");
	for (; *path; path++) {
		if (strchr("%?#", *path))
			sqlite3_str_appendf(uri, "%%%02x", (unsigned char)*path);
		else
			sqlite3_str_appendchar(uri, 1, *path);
	}
	sqlite3_str_appendf(uri, "?%s", query);
	return sqlite3_str_finish(uri);
}

static bool reads(sqlite3 *sqlite)
{
	return sqlite3_exec(sqlite, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) ==
	       SQLITE_OK;
}

static bool exists(const char *path, const char *end)
{
	char *name = NULL;
	bool found = asprintf(&name, "%s%s", path, end) >= 0 && !access(name, F_OK);

	free(name);
	return found;
}

static int open_file(struct recording *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	char *uri;

	if (fd < 0)
		return recording_fail(r, -errno, "%s", strerror(errno));
	/* SQLite would wait for the other end of a pipe. */
	if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
		close(fd);
		return recording_fail(r, -EINVAL, "it is no file");
	}
	close(fd);
	uri = uri_of(path, "mode=ro");
	if (!uri)
		return -ENOMEM;
	sqlite3_open_v2(uri, &r->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	sqlite3_free(uri);
	if (!r->sqlite)
		return -ENOMEM;
	distrust(r->sqlite);
	if (reads(r->sqlite) || sqlite3_errcode(r->sqlite) != SQLITE_CANTOPEN)
		return 0;
	/* It was not ended by its recorder, and its log can't be read without writing beside it. */
	if (exists(path, "-wal"))
		return recording_fail(r, -EACCES,
				      "it was not closed by its recorder, and its folder can't be "
				      "written to: copy it and the file %s-wal to another folder",
				      path);
	sqlite3_close(r->sqlite);
	r->sqlite = NULL;
	uri = uri_of(path, "mode=ro&immutable=1");
	if (!uri)
		return -ENOMEM;
	sqlite3_open_v2(uri, &r->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	sqlite3_free(uri);
	if (!r->sqlite)
		return -ENOMEM;
	distrust(r->sqlite);
	return 0;
}

/* --- what it is of --- */

static int load_about(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	const char *name = (const char *)sqlite3_column_text(row, 0);
	double number = sqlite3_column_double(row, 1);
	char **text = NULL;

	if (!name)
		return 0;
	if (!strcmp(name, "host"))
		text = &r->host;
	else if (!strcmp(name, "kernel"))
		text = &r->kernel;
	else if (!strcmp(name, "version"))
		text = &r->version;
	else if (!strcmp(name, "start"))
		r->about.start = number;
	else if (!strcmp(name, "end"))
		r->about.end = number;
	else if (!strcmp(name, "complete"))
		r->about.complete = number > 0;
	else if (!strcmp(name, "continues"))
		r->about.continues = number > 0;
	else if (!strcmp(name, "continued"))
		r->about.continued = number > 0;
	else if (!strcmp(name, "page_size"))
		r->about.page_size = number >= 4096 && number <= 1 << 20 ? (uint64_t)number : 0;
	else if (!strcmp(name, "lines"))
		r->about.lines = number > 0;
	else if (!strcmp(name, "touched"))
		r->about.touched = number > 0;
	else if (!strcmp(name, "threads"))
		r->about.threads = number > 0;
	else if (!strcmp(name, "of_host"))
		r->about.of_host = number > 0;
	else if (!strcmp(name, "ended_bytes"))
		r->ended_bytes = number >= 1 << 20 && number <= 1ll << 40 ? (size_t)number : 0;
	else if (!strcmp(name, "ended_processes"))
		r->ended_processes = number >= 1 && number <= 1 << 30 ? (size_t)number : 0;
	else if (!strcmp(name, "names_full"))
		r->names_full = number > 0;
	else if (!strcmp(name, "sources_refused"))
		r->sources_refused = number > 0 && number < 1e9 ? (unsigned)number : 0;
	if (!text)
		return 0;
	free(*text);
	return recording_text(row, 1, text);
}

static int load_end(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;

	if (!r->about.complete)
		r->about.end = sqlite3_column_double(row, 0);
	return 0;
}

static int read_about(struct recording *r)
{
	int err = recording_query(r, "SELECT name, value FROM about", NULL, 0, load_about, r);

	if (!err)
		err = recording_query(r, "SELECT max(until) FROM interval", NULL, 0, load_end, r);
	if (err)
		return err;
	if (!r->about.page_size || !recording_is_time(r->about.start) ||
	    (r->about.end != 0 && !recording_is_time(r->about.end)))
		return recording_fail(r, -EINVAL,
				      "the recording is damaged: it does not say what "
				      "it is of");
	if (r->about.end < r->about.start)
		r->about.end = r->about.start;
	r->host = r->host ?: strdup("");
	r->kernel = r->kernel ?: strdup("");
	r->version = r->version ?: strdup("");
	r->about.host = r->host;
	r->about.kernel = r->kernel;
	r->about.version = r->version;
	return r->host && r->kernel && r->version ? 0 : -ENOMEM;
}

struct recording *recording_open(const char *path, char *why, size_t size)
{
	struct recording *r = calloc(1, sizeof(*r));
	int err;

	*why = '\0';
	if (!r) {
		snprintf(why, size, "%s", strerror(ENOMEM));
		return NULL;
	}
	r->why = why;
	r->why_size = size;
	err = open_file(r, path) ?: begin_reading(r) ?: check_file(r) ?: read_about(r) ?: recording_open_sources(r);
	if (!err)
		return r;
	recording_fail(r, err, "%s", strerror(-err));
	recording_close(r);
	errno = -err;
	return NULL;
}

void recording_close(struct recording *r)
{
	if (!r)
		return;
	report_free(r->report);
	recording_unload(r);
	recording_close_sources(r);
	for (size_t i = 0; i < r->text_count; i++)
		free(r->texts[i]);
	free(r->texts);
	free(r->frames);
	free(r->nodes);
	free(r->host);
	free(r->kernel);
	free(r->version);
	sqlite3_close(r->sqlite);
	free(r);
}

void recording_release(struct recording *r)
{
	if (!sqlite3_get_autocommit(r->sqlite))
		sqlite3_exec(r->sqlite, "COMMIT", NULL, NULL, NULL);
}

const struct recording_about *recording_about(const struct recording *r)
{
	return &r->about;
}

struct source_cache *recording_sources(struct recording *r)
{
	return r->sources;
}

/* --- the report of a window --- */

static int new_report(struct recording *r, const struct recording_view *view)
{
	const struct report_origin origin = {r->host, r->kernel, r->version, r->about.page_size};
	int err;

	r->report = report_new(recording_counts(r), r->since, r->ended_bytes ?: ENDED_BYTES,
			       view->gather_imports);
	err = r->report ? report_set_origin(r->report, &origin) : -ENOMEM;
	if (!err && r->ended_processes)
		report_keep_ended(r->report, r->ended_processes);
	if (!err && view->keep_trees)
		report_keep_trees(r->report);
	if (!err && view->tell_threads && r->about.threads)
		report_tell_threads(r->report);
	return err;
}

static const char *go_on_note(const struct recording_about *about)
{
	if (!about->continued)
		return "the recording continues another one: what came before is in that one";
	return about->continues ? "the recording continues another one, and goes on in a third one"
				: "the recording goes on in another one";
}

/* What the live report has from elsewhere than the counts. */
static void add_rest(struct recording *r, struct model *model)
{
	char note[256];

	for (size_t i = 0; i < model->process_count; i++) {
		uint32_t id = model->processes[i]->id;
		struct played_image *image;

		HASH_FIND(hh, r->images, &id, sizeof(id), image);
		if (image)
			model->processes[i]->pss_bytes = image->pss;
	}
	if (r->ended)
		report_note_unwatched(r->report);
	if (!r->about.complete && !r->about.continued && r->all) {
		snprintf(note, sizeof(note),
			 "the recording was not ended by its recorder, which may have been killed "
			 "or still runs: what came after the last second of it is missing");
		model_add_note(model, note);
	}
	if (r->names_full)
		model_add_note(model, "the recorder had no room for more names: what new stacks "
				      "changed after that is unattributed (undelivered)");
	if (r->sources_refused) {
		snprintf(note, sizeof(note), "%u source files had no room in the recording",
			 r->sources_refused);
		model_add_note(model, note);
	}
	if (r->about.continues || r->about.continued)
		model_add_note(model, go_on_note(&r->about));
	if (!r->all)
		model_add_note(model,
			       "this is a part of a recording: a line's peak is known where it "
			       "was higher than ever before, and who touched first what is "
			       "resident only at the recording's end");
}

struct model *recording_model(struct recording *r, const struct recording_view *view, char *why,
			      size_t size)
{
	struct model *model = NULL;
	int err;

	*why = '\0';
	r->why = why;
	r->why_size = size;
	report_free(r->report);
	r->report = NULL;
	r->model = NULL;
	recording_unload(r);
	err = recording_load(r, view) ?: new_report(r, view);
	if (!err) {
		/* Where a part begins, figures were read one after the other, as in a live report:
		 * what does not add up is unsettled. */
		model = report_build(r->report, r->whole && r->ended);
		err = model ? 0 : -errno;
	}
	if (model)
		add_rest(r, model);
	r->model = model;
	if (model)
		err = recording_add_cgroups(r);
	if (err)
		r->model = model = NULL;
	r->view = NULL;
	if (err)
		recording_fail(r, err, "%s", strerror(-err));
	errno = -err;
	return model;
}
