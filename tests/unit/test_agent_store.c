/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/store: the folder of the agent's recordings; os/notify: what the service manager hears. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "agent/store.h"
#include "os/notify.h"
#include "record/recorder.h"

#define NOW 1700000000.75 /* 2023-11-14 22:13:20 */

struct place {
	char folder[64], path[96], why[320];
	struct store store;
	unsigned corrupt;
	char told[512];
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return -1;
	strcpy(place->folder, "/tmp/pymem-store.XXXXXX");
	if (!mkdtemp(place->folder))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/store", place->folder);
	place->store.folder = -1;
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	char command[128];

	store_close(&place->store);
	snprintf(command, sizeof(command), "rm -rf %s", place->folder);
	free(place);
	return system(command);
}

static void note_corrupt(void *arg, const char *name, const char *why)
{
	struct place *place = arg;

	place->corrupt++;
	snprintf(place->told, sizeof(place->told), "%s: %s", name, why);
}

static void open_store(struct place *place)
{
	store_close(&place->store);
	if (store_open(&place->store, place->path, place->why, sizeof(place->why)))
		fail_msg("%s", place->why);
	assert_int_equal(store_examine(&place->store, note_corrupt, place), 0);
}

/* A file of whole blocks. */
static void make(const struct place *place, const char *name, size_t size)
{
	char path[256], zeros[4096] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place->path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (; size; size -= sizeof(zeros))
		assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	close(fd);
}

static bool is_there(const struct place *place, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", place->path, name);
	return !access(path, F_OK);
}

static const char *new_name(struct place *place, double now)
{
	static char path[256];

	assert_int_equal(store_new_path(&place->store, now, path, sizeof(path)), 0);
	return strrchr(path, '/') + 1;
}

static void test_names(void **state)
{
	struct place *place = *state;
	char path[16];

	open_store(place);
	assert_string_equal(new_name(place, NOW), "20231114T221320Z.pymem");
	assert_string_equal(new_name(place, NOW + 3600), "20231114T231320Z.pymem");
	/* The clock is set back: by an hour, and to the epoch. */
	assert_string_equal(new_name(place, NOW), "20231114T231321Z.pymem");
	assert_string_equal(new_name(place, 1), "20231114T231322Z.pymem");
	make(place, "20240101T000000Z.pymem.corrupt", 4096);
	open_store(place);
	assert_string_equal(new_name(place, NOW), "20240101T000001Z.pymem");
	assert_int_equal(store_new_path(&place->store, NOW, path, sizeof(path)), -ENAMETOOLONG);
}

static void test_folder(void **state)
{
	struct place *place = *state;
	struct store second;
	struct stat st;

	open_store(place);
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(store_open(&second, place->path, place->why, sizeof(place->why)), -EBUSY);
	assert_string_equal(place->why, "another agent records to this folder");
	store_close(&second);
	store_close(&place->store);
	assert_int_equal(chmod(place->path, 0770), 0);
	assert_int_equal(store_open(&second, place->path, place->why, sizeof(place->why)), -EPERM);
	assert_non_null(strstr(place->why, "others may write to the folder"));
	store_close(&second);
	assert_int_equal(store_open(&second, "/nowhere/at/all", place->why, sizeof(place->why)),
			 -ENOENT);
	store_close(&second);
	assert_int_equal(store_open(&second, "/dev/null", place->why, sizeof(place->why)),
			 -ENOTDIR);
	store_close(&second);
}

/* What is no recording is set aside, with its log; what has another name is somebody else's. */
static void test_corrupt(void **state)
{
	struct place *place = *state;

	open_store(place);
	make(place, "20231114T221320Z.pymem", 8192);
	make(place, "20231114T221320Z.pymem-wal", 4096);
	make(place, "20231114T221320Z.pymem.bak", 4096);
	make(place, "notes.pymem", 4096);
	make(place, "x20231114T221320Z.pymem", 4096);
	open_store(place);
	assert_int_equal(place->corrupt, 1);
	assert_non_null(strstr(place->told, "it is set aside as 20231114T221320Z.pymem.corrupt"));
	assert_false(is_there(place, "20231114T221320Z.pymem"));
	assert_true(is_there(place, "20231114T221320Z.pymem.corrupt"));
	assert_true(is_there(place, "20231114T221320Z.pymem.corrupt-wal"));
	open_store(place);
	assert_int_equal(place->corrupt, 1);
	assert_true(is_there(place, "notes.pymem") && is_there(place, "x20231114T221320Z.pymem") &&
		    is_there(place, "20231114T221320Z.pymem.bak"));
}

/* A recording of another version's format can be read by another version. */
static void test_other_version(void **state)
{
	const struct recorder_options options = {.mode = 0600};
	struct place *place = *state;
	char path[160];
	struct recorder *recorder;
	sqlite3 *db;

	open_store(place);
	recorder = recorder_new(&options, place->why, sizeof(place->why));
	assert_non_null(recorder);
	snprintf(path, sizeof(path), "%s/20231114T221320Z.pymem", place->path);
	assert_int_equal(recorder_go_on(recorder, path), 0);
	recorder_free(recorder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	open_store(place);
	assert_int_equal(place->corrupt, 0);
	assert_true(is_there(place, "20231114T221320Z.pymem"));
}

/* One that can't be removed does not keep those after it. */
static void test_trim_goes_on(void **state)
{
	struct place *place = *state;
	struct store_sizes sizes;
	char path[160];

	open_store(place);
	snprintf(path, sizeof(path), "%s/20231114T000001Z.pymem", place->path);
	assert_int_equal(mkdir(path, 0700), 0);
	make(place, "20231114T000002Z.pymem", 8192);
	make(place, "20231114T000003Z.pymem", 8192);
	assert_true(store_trim(&place->store, NULL, 8192, &sizes) < 0);
	assert_false(is_there(place, "20231114T000002Z.pymem"));
}

static void test_trim(void **state)
{
	struct place *place = *state;
	struct store_sizes sizes;
	char path[256];

	open_store(place);
	make(place, "20231114T000001Z.pymem", 8192);
	make(place, "20231114T000001Z.pymem-wal", 8192);
	make(place, "20231114T000002Z.pymem.corrupt", 8192);
	make(place, "20231114T000003Z.pymem", 8192);
	make(place, "20231114T000004Z.pymem", 8192);
	make(place, "other", 1 << 20);
	assert_int_equal(store_trim(&place->store, NULL, 40960, &sizes), 0);
	assert_int_equal(sizes.bytes, 40960);
	assert_int_equal(sizes.files, 3);
	assert_int_equal(store_trim(&place->store, NULL, 40959, &sizes), 0);
	assert_int_equal(sizes.bytes, 24576);
	assert_int_equal(sizes.files, 2);
	assert_false(is_there(place, "20231114T000001Z.pymem"));
	assert_false(is_there(place, "20231114T000001Z.pymem-wal"));
	assert_true(is_there(place, "20231114T000002Z.pymem.corrupt"));
	/* That which is written stays, also if it is the oldest, or too large. */
	snprintf(path, sizeof(path), "%s/20231114T000003Z.pymem", place->path);
	assert_int_equal(store_trim(&place->store, path, 1, &sizes), 0);
	assert_int_equal(sizes.bytes, 8192);
	assert_true(is_there(place, "20231114T000003Z.pymem"));
	assert_false(is_there(place, "20231114T000004Z.pymem"));
	assert_true(is_there(place, "other"));
}

/* --- the service manager --- */

static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, name, strlen(name));
	if (*name == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	return fd;
}

static void expect_told(const char *name)
{
	struct notify notify;
	char got[64] = "", watchdog[32];
	int fd = listen_at(name);

	snprintf(watchdog, sizeof(watchdog), "%d", getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", watchdog, 1);
	assert_int_equal(notify_open(&notify), 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_int_equal(notify.watchdog_ns, 3000000000ULL);
	notify_send(&notify, "STATUS=%d of %s", 3, "5");
	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), 13);
	assert_string_equal(got, "STATUS=3 of 5");
	close(fd);
	/* Nobody listens any more: that ends nothing. */
	notify_send(&notify, "READY=1");
	notify_close(&notify);
}

static void test_notify(void **state)
{
	struct place *place = *state;
	struct notify notify;
	char name[128];

	snprintf(name, sizeof(name), "%s/notify", place->folder);
	expect_told(name);
	snprintf(name, sizeof(name), "@pymem-notify-%d", getpid());
	expect_told(name);
	assert_int_equal(notify_open(&notify), 0);
	assert_int_equal(notify.fd, -1);
	notify_send(&notify, "READY=1");
	notify_close(&notify);
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	assert_int_equal(notify_open(&notify), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	assert_int_equal(notify_open(&notify), -ENOENT);
	/* A socket that nobody has open any more. */
	snprintf(name, sizeof(name), "%s/again", place->folder);
	close(listen_at(name));
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(&notify), -ECONNREFUSED);
}

static void make_alarm(struct place *place, double now, int pid, size_t size)
{
	char path[256], zeros[4096] = "";
	struct stat st;
	int fd = store_new_alarm(&place->store, now, pid, path, sizeof(path));

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (; size; size -= sizeof(zeros))
		assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	close(fd);
}

/* Reports of alarms: few, a part of the room, and the oldest go first. */
static void test_alarms(void **state)
{
	struct place *place = *state;
	struct store_sizes sizes;
	char path[256], name[64];

	open_store(place);
	make_alarm(place, NOW, 7, 8192);
	assert_true(is_there(place, "alarm-20231114T221320Z-7.json"));
	assert_int_equal(store_new_alarm(&place->store, NOW, 7, path, sizeof(path)), -EEXIST);
	assert_int_equal(store_new_alarm(&place->store, NOW, 7, path, 8), -ENAMETOOLONG);
	make(place, "alarm-20231114T221319Z-x.json", 8192);
	make(place, "alarm-20231114T221319Z-12345678901.json", 8192);
	make(place, "alarm-20231114T221319Z-1.json.bak", 8192);
	/* They are no recordings: neither examined, nor counted as such. */
	open_store(place);
	assert_int_equal(place->corrupt, 0);
	assert_string_equal(new_name(place, NOW - 3600), "20231114T211320Z.pymem");
	make(place, "20231114T221319Z.pymem", 8192);
	make(place, "20231114T221321Z.pymem", 8192);
	assert_int_equal(store_trim(&place->store, NULL, 1 << 20, &sizes), 0);
	assert_true(sizes.files == 2 && sizes.alarms == 1 && sizes.bytes == 3 * 8192);
	/* An eighth of all. */
	for (int i = 1; i <= 9; i++)
		make_alarm(place, NOW + i, 7, 8192);
	assert_int_equal(store_trim(&place->store, NULL, 8 * 32768, &sizes), 0);
	assert_true(sizes.files == 2 && sizes.alarms == 4);
	assert_false(is_there(place, "alarm-20231114T221325Z-7.json"));
	assert_true(is_there(place, "alarm-20231114T221326Z-7.json"));
	for (int i = 1; i <= 100; i++)
		make_alarm(place, NOW + 100 + i, 7, 4096);
	assert_int_equal(store_trim(&place->store, NULL, 64 << 20, &sizes), 0);
	assert_true(sizes.files == 2 && sizes.alarms == STORE_ALARMS_MOST);
	/* When there are few enough, the oldest of all goes: a recording that is older than they.
	 */
	make(place, "20231114T221318Z.pymem", 1 << 20);
	assert_int_equal(store_trim(&place->store, NULL, 1100000, &sizes), 0);
	assert_true(sizes.files == 2 && sizes.alarms == 1100000 / 8 / 4096);
	assert_false(is_there(place, "20231114T221318Z.pymem"));
	assert_true(is_there(place, "alarm-20231114T221319Z-x.json") &&
		    is_there(place, "alarm-20231114T221319Z-12345678901.json") &&
		    is_there(place, "alarm-20231114T221319Z-1.json.bak"));
	snprintf(name, sizeof(name), "alarm-20231114T221640Z-7.json");
	assert_true(is_there(place, name));
	snprintf(path, sizeof(path), "%s/%s", place->path, name);
	assert_int_equal(store_drop_alarm(&place->store, path), 0);
	assert_false(is_there(place, name));
	assert_int_equal(store_drop_alarm(&place->store, path), -ENOENT);
}

static void make_look(struct place *place, const char *report, const char *end, size_t size)
{
	char path[256];
	int fd = store_new_heap(&place->store, report, end, path, sizeof(path));

	assert_true(fd >= 0);
	close(fd);
	make(place, strrchr(path, '/') + 1, size);
	assert_int_equal(store_new_heap(&place->store, report, end, path, sizeof(path)), -EEXIST);
}

/* Looks at heaps belong to their report: they count for the room, are not counted as alarms, and go
 * before it. */
static void test_looks(void **state)
{
	struct place *place = *state;
	struct store_sizes sizes;
	char path[256], other[256];

	open_store(place);
	for (int i = 0; i < 3; i++) {
		make_alarm(place, NOW + i, 7, 4096);
		snprintf(path, sizeof(path), "%s/alarm-20231114T22132%dZ-7.json", place->path, i);
		make_look(place, path, STORE_HEAP_TEXT, 4096);
		make_look(place, path, STORE_HEAP_JSON, 8192);
	}
	assert_true(is_there(place, "alarm-20231114T221320Z-7.heap.txt"));
	make(place, "alarm-20231114T221320Z-7.heap", 4096);
	make(place, "alarm-20231114T221320Z-7.heap.txt.bak", 4096);
	assert_int_equal(store_trim(&place->store, NULL, 64 << 20, &sizes), 0);
	assert_true(sizes.alarms == 3 && sizes.bytes == 3 * 16384);
	/* An eighth is for alarms: the oldest ones go, each with all that belongs to it, by a byte
	 * that is too many. */
	assert_int_equal(store_trim(&place->store, NULL, 8 * 3 * 16384, &sizes), 0);
	assert_int_equal(sizes.alarms, 3);
	make_alarm(place, NOW + 1, 70, 4096);
	assert_int_equal(store_trim(&place->store, NULL, 8 * (2 * 16384 + 4096), &sizes), 0);
	assert_true(sizes.alarms == 3 && sizes.bytes == 2 * 16384 + 4096);
	assert_true(is_there(place, "alarm-20231114T221321Z-7.heap.json") &&
		    is_there(place, "alarm-20231114T221321Z-7.json"));
	assert_int_equal(store_trim(&place->store, NULL, 8 * (2 * 16384 + 4096) - 8, &sizes), 0);
	assert_true(sizes.alarms == 2 && sizes.bytes == 16384 + 4096);
	/* One that shares the beginning of its PID is another alarm. */
	assert_true(is_there(place, "alarm-20231114T221321Z-70.json"));
	assert_int_equal(store_trim(&place->store, NULL, 8 * 20480, &sizes), 0);
	assert_true(sizes.alarms == 2 && sizes.bytes == 20480);
	assert_false(is_there(place, "alarm-20231114T221320Z-7.heap.txt"));
	assert_false(is_there(place, "alarm-20231114T221320Z-7.heap.json"));
	assert_false(is_there(place, "alarm-20231114T221320Z-7.json"));
	assert_false(is_there(place, "alarm-20231114T221321Z-7.heap.txt"));
	assert_false(is_there(place, "alarm-20231114T221321Z-7.json"));
	assert_true(is_there(place, "alarm-20231114T221322Z-7.heap.txt"));
	assert_true(is_there(place, "alarm-20231114T221320Z-7.heap") &&
		    is_there(place, "alarm-20231114T221320Z-7.heap.txt.bak"));
	/* A look at one that was removed comes too late. */
	snprintf(path, sizeof(path), "%s/alarm-20231114T221320Z-7.json", place->path);
	assert_int_equal(store_new_heap(&place->store, path, STORE_HEAP_TEXT, other, sizeof(other)),
			 -ENOENT);
	/* Of more alarms than may be kept, the looks go with them. */
	for (int i = 0; i < STORE_ALARMS_MOST; i++)
		make_alarm(place, NOW + 100 + i, 7, 4096);
	assert_int_equal(store_trim(&place->store, NULL, 64 << 20, &sizes), 0);
	assert_int_equal(sizes.alarms, STORE_ALARMS_MOST);
	assert_false(is_there(place, "alarm-20231114T221322Z-7.heap.txt"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_names),  TEST(test_folder),	    TEST(test_corrupt),
		TEST(test_trim),   TEST(test_trim_goes_on), TEST(test_other_version),
		TEST(test_notify), TEST(test_alarms),	    TEST(test_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
