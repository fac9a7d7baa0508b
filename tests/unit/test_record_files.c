/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files of recordings: how they are made, their names, and files that are refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "record_fixture.h"

static void test_files(void **state)
{
	struct run *run = *state;
	struct recorder_options options = {.path = run->path, .mode = 0640};
	struct stat status;
	char text[8] = "";
	int fd = open(run->path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	assert_null(recorder_new(&options, run->why, sizeof(run->why)));
	assert_int_equal(errno, EEXIST);
	assert_non_null(strstr(run->why, "it exists, and a recording replaces nothing"));
	fd = open(run->path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_string_equal(text, "mine");
	close(fd);
	unlink(run->path);
	assert_int_equal(symlink("/tmp/pymem-record-no-such-file", run->path), 0);
	assert_null(recorder_new(&options, run->why, sizeof(run->why)));
	assert_true(access("/tmp/pymem-record-no-such-file", F_OK) != 0);
	unlink(run->path);
	assert_int_equal(run_files(run), 0);
	umask(077);
	run->recorder = recorder_new(&options, run->why, sizeof(run->why));
	assert_non_null(run->recorder);
	assert_int_equal(stat(run->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0640);
}

/* Names that mean something to SQLite are files all the same. */
static void test_odd_names(void **state)
{
	static const char *const names[] = {":memory:", "file:x?mode=memory", "a%41b", "a?b#c",
					    "-"};
	struct run *run = *state;
	struct recording *recording;
	struct recorder *recorder;

	assert_int_equal(chdir(run->folder), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct recorder_options options = {.path = names[i], .mode = 0600};

		recorder = recorder_new(&options, run->why, sizeof(run->why));
		assert_non_null(recorder);
		recorder_counts(recorder, table_counts(&run->table));
		recorder_begin(recorder, RUN_START);
		recorder_finish(recorder, NULL);
		recorder_free(recorder);
		recording = recording_open(names[i], run->why, sizeof(run->why));
		if (!recording)
			fail_msg("%s: %s", names[i], run->why);
		assert_true(recording_about(recording)->start == RUN_START);
		recording_close(recording);
		assert_int_equal(run_files(run), 1);
		assert_int_equal(unlink(names[i]), 0);
	}
	assert_int_equal(chdir("/"), 0);
}

/* What somebody may have done to a recording, and the words with which it is refused. */
static const struct {
	const char *sql, *words;
} changes[] = {
	{"PRAGMA application_id=7", "it is no recording of pymem-bpf"},
	{"PRAGMA user_version=2", "its format has version 2"},
	{"CREATE VIEW zzz AS SELECT 1", "its tables are not those of a recording"},
	{"CREATE TRIGGER t AFTER INSERT ON mark BEGIN SELECT 1; END", "its tables"},
	{"DROP TABLE mark", "its tables"},
	{"CREATE INDEX i ON node(parent)", "its tables"},
	{"DELETE FROM about WHERE name='start'", "it does not say what it is of"},
	{"UPDATE about SET value='1e999' WHERE name='start'", "it does not say"},
	{"UPDATE about SET value=100 WHERE name='page_size'", "it does not say"},
	{"DELETE FROM text WHERE id=1", "a text is missing"},
	{"UPDATE text SET bytes=NULL WHERE id=1", "a text is empty"},
	{"UPDATE frame SET file=999 WHERE id=1", "a frame has no name"},
	{"UPDATE node SET parent=id WHERE id=2", "a stack has no frame"},
	{"UPDATE node SET parent=-1 WHERE id=1", "a stack has no frame"},
	{"UPDATE change SET data=x'ff'", "figures of an interval can't be read"},
	/* A part of more bytes than there are; without a size. */
	{"UPDATE change SET data=x'0100050a0000'", "figures of an interval can't be read"},
	{"UPDATE change SET data=x'0100'", "figures of an interval can't be read"},
	{"UPDATE change SET data=x'010004ff7f0000'", "a stack is unknown"},
	{"UPDATE facts SET data=x'05'", "its notes can't be read"},
	{"UPDATE interval SET until=9e999", "an interval has no time"},
	{"UPDATE sample SET peak=9223372036854775807", "no machine has such figures"},
	{"UPDATE image SET start_anon=-9223372036854775807-1", "no machine has such"},
	{"UPDATE frame SET flags=2 WHERE id=2", "a thread has a caller"},
	{"UPDATE change SET data=x'01000401000102'", "a stack is unknown"},
	{"UPDATE change SET data=x'01010401000102'", "a stack is unknown"},
	{"UPDATE mark SET text=x'00' WHERE kind='thread'", "a thread has no name"},
	{"UPDATE mark SET text='1' WHERE kind='thread'", "a thread has no name"},
	{"UPDATE mark SET text='-1 ' WHERE kind='thread'", "a thread has no name"},
};

/* A file with other tables, other versions, or more than it should have, is refused by name. */
static void test_refused(void **state)
{
	struct run *run = *state;
	const struct recording_view view = {};
	struct table_stack *stack;
	char command[512];

	run_begin(run, NULL);
	table_add_image(&run->table, 1);
	stack = table_add_stack(&run->table, 1, 10, 3, 5);
	stack->counters.grown_pages = 5;
	stack->told = (struct counts_thread){PYMEM_THREAD(1, 1001), "worker"};
	table_image(&run->table, 1)->record.now_pages[PYMEM_ANON] += 5;
	run_tick(run, 1);
	run_end(run, 1);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		sqlite3 *db;
		struct model *model = NULL;

		snprintf(command, sizeof(command), "cp %s %s.bad", run->path, run->path);
		assert_int_equal(system(command), 0);
		snprintf(command, sizeof(command), "%s.bad", run->path);
		assert_int_equal(sqlite3_open(command, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, changes[i].sql, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		*run->why = '\0';
		run->recording = recording_open(command, run->why, sizeof(run->why));
		if (run->recording)
			model = recording_model(run->recording, &view, run->why, sizeof(run->why));
		if (model || !strstr(run->why, changes[i].words))
			fail_msg("%s: %s", changes[i].sql, model ? "it is read" : run->why);
		recording_close(run->recording);
		run->recording = NULL;
	}
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
		RUN(test_files),
		RUN(test_odd_names),
		RUN(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
