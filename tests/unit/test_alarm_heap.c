/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/alarm_heap.c: what a look at an alarm leaves, what bounds it, and that each failure is in
 * the place where the look would be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/alarm_heap.h"
#include "base/clock.h"
#include "base/exit_status.h"
#include "os/proc.h"

#include "looks_fixture.h"

#define NOW	1700000000.75 /* 2023-11-14 22:13:20 */
#define MIB	(1 << 20)
#define TICK_NS 10000000ULL
#define WAIT_MS 60000

struct place {
	char folder[64], path[96];
	struct store store;
	struct loop *loop;
	struct loop_timer timer;
	const char *awaited;
	uint64_t end_ms;
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	char why[320];

	if (!place)
		return -1;
	strcpy(place->folder, "/tmp/pymem-heaps.XXXXXX");
	if (!mkdtemp(place->folder))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/store", place->folder);
	place->loop = loop_new();
	*state = place;
	return !place->loop || store_open(&place->store, place->path, why, sizeof(why)) ? -1 : 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	char command[128];

	loop_free(place->loop);
	store_close(&place->store);
	snprintf(command, sizeof(command), "rm -rf %s", place->folder);
	free(place);
	return system(command);
}

/* --- what a helper runs in place of a look --- */

static int kills_helper(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
			FILE *brief)
{
	(void)pid, (void)start_ticks, (void)text, (void)json, (void)verdict, (void)brief;
	kill(getppid(), SIGKILL);
	return slow(pid, start_ticks, text, json, verdict, brief);
}

static int stops_helper(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
			FILE *brief)
{
	(void)pid, (void)start_ticks, (void)text, (void)json, (void)verdict, (void)brief;
	kill(getppid(), SIGSTOP);
	return EXIT_DONE;
}

static int large(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		 FILE *brief)
{
	for (int i = 0; i < MIB; i++)
		fputc('x', text);
	return made(pid, start_ticks, text, json, verdict, brief);
}

static int not_at_once(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		       FILE *brief)
{
	usleep(50000);
	return made(pid, start_ticks, text, json, verdict, brief);
}

/* --- what the agent keeps --- */

static struct alarm_heap_subject subject_of(pid_t pid)
{
	return (struct alarm_heap_subject){
		.pid = pid,
		.start_boottime_ns = proc_start_ticks(pid) * TICK_NS,
		.rss_bytes = MIB,
	};
}

/* Makes the report of an alarm. */
static void report(struct place *place, int number, char path[256])
{
	int fd = store_new_alarm(&place->store, NOW + number, 7, path, 256);

	assert_true(fd >= 0);
	close(fd);
}

static void look_whether_it_is_there(void *arg)
{
	struct place *place = arg;

	if (!access(place->awaited, F_OK) || clock_ms(CLOCK_MONOTONIC) > place->end_ms)
		loop_stop(place->loop);
}

/* Runs the loop until the file is there; its text, which the caller frees. */
static char *await(struct place *place, const char *name)
{
	static char path[256];
	struct stat st;
	char *text;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", place->path, name);
	place->awaited = path;
	place->end_ms = clock_ms(CLOCK_MONOTONIC) + WAIT_MS;
	loop_timer_start(place->loop, &place->timer, 0, 10000000, look_whether_it_is_there, place);
	assert_int_equal(loop_run(place->loop), 0);
	loop_timer_stop(&place->timer);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	text = calloc(1, (size_t)st.st_size + 1);
	file = fopen(path, "re");
	assert_true(text && file);
	assert_int_equal(fread(text, 1, (size_t)st.st_size, file), st.st_size);
	fclose(file);
	return text;
}

static struct alarm_heap *begin(struct place *place, looker_heap_fn *look, unsigned most_ms)
{
	struct alarm_heap *heap = alarm_heap_new(&place->store, look, most_ms);

	assert_non_null(heap);
	alarm_heap_limit(heap, 512 * MIB, MIB / 2);
	assert_int_equal(alarm_heap_watch(heap, place->loop), 0);
	return heap;
}

static void ask_for(struct alarm_heap *heap, struct place *place, int number)
{
	const struct alarm_heap_subject subject = subject_of(getpid());
	char path[256], words[512];

	report(place, number, path);
	assert_true(alarm_heap_may(heap, &subject, 100, words, sizeof(words)));
	assert_string_equal(words, "its heap is looked at");
	alarm_heap_ask(heap, &subject, path, "shop.py");
}

static void test_kept(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, made, WAIT_MS);
	struct store_sizes sizes;
	json_t *last;
	char *text;

	ask_for(heap, place, 0);
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(strstr(text, " is kept by x"));
	free(text);
	text = await(place, "alarm-20231114T221320Z-7.heap.json");
	assert_string_equal(text, "{\"processes\": []}");
	free(text);
	/* In brief it is there for the process's last words, and for no other one's. */
	last = alarm_heap_last(heap, getpid(), proc_start_ticks(getpid()) * TICK_NS, 1e12);
	assert_true(json_is_object(last));
	assert_int_equal(json_integer_value(json_object_get(last, "rss_bytes")), 4096);
	assert_true(json_number_value(json_object_get(last, "age_s")) > 1e9);
	json_decref(last);
	last = alarm_heap_last(heap, getpid(), TICK_NS, 1e12);
	assert_true(json_is_null(last));
	json_decref(last);
	/* They count for the size, and are one alarm. */
	assert_int_equal(store_trim(&place->store, NULL, 64 << 20, &sizes), 0);
	assert_int_equal(sizes.alarms, 1);
	assert_true(sizes.bytes >= 8192);
	alarm_heap_free(heap);
}

/* What went wrong is beside the report, by name. */
static void test_failures(void **state)
{
	static const struct {
		looker_heap_fn *look;
		unsigned most_ms;
		const char *why;
	} all[] = {
		{failed, WAIT_MS, "pid 7: Python 2.7 is\\x1b not supported\n"},
		{slow, 4000, "it took longer than 4 s, and was given up\n"},
		{killed, WAIT_MS, "was killed, for want of memory perhaps\n"},
	};
	struct place *place = *state;

	for (int i = 0; i < 3; i++) {
		struct alarm_heap *heap = begin(place, all[i].look, all[i].most_ms);
		char name[64], *text;

		ask_for(heap, place, i);
		snprintf(name, sizeof(name), "alarm-20231114T22132%dZ-7.heap.txt", i);
		text = await(place, name);
		if (!strstr(text, all[i].why) ||
		    !strstr(text, "There is no look at the heap of PID "))
			fail_msg("%s", text);
		free(text);
		alarm_heap_free(heap);
	}
}

/* A text that is larger than a file may be is not kept. */
static void test_too_large(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, large, WAIT_MS);
	char *text, other[256];

	snprintf(other, sizeof(other), "%s/alarm-20231114T221320Z-7.heap.json", place->path);
	ask_for(heap, place, 0);
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(
		strstr(text, ": what was found is more than a file of it may have, 512.0 KiB\n"));
	free(text);
	assert_int_not_equal(access(other, F_OK), 0);
	alarm_heap_free(heap);
}

/* A process that has grown too large when its turn comes is not looked at. */
static void test_has_grown(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, made, WAIT_MS);
	const struct alarm_heap_subject subject = subject_of(getpid());
	char path[256], words[512], *text;

	/* It was small when the alarm was told. */
	alarm_heap_limit(heap, subject.rss_bytes, MIB / 2);
	assert_true(alarm_heap_may(heap, &subject, 100, words, sizeof(words)));
	report(place, 0, path);
	alarm_heap_ask(heap, &subject, path, "shop.py");
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(strstr(text, ": it has grown to more than --alarm-heap-rss, 1.0 MiB\n"));
	free(text);
	alarm_heap_free(heap);
}

/* What is not looked at, and why. */
static void test_bounds(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, not_at_once, WAIT_MS);
	struct alarm_heap_subject subject = subject_of(getpid());
	char words[512], name[64];
	uint64_t began_ms;

	subject.rss_bytes = 600ll * MIB;
	assert_false(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	assert_non_null(strstr(words, "RSS 600.0 MiB is more than --alarm-heap-rss, 512.0 MiB"));
	subject.rss_bytes = MIB;
	subject.looked = 10000 - 3599;
	assert_false(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	assert_non_null(strstr(words, "that was asked for 60 min ago"));
	subject.looked = 10000 - 3601;
	assert_true(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	for (int i = 0; i <= ALARM_HEAP_WAITS; i++)
		ask_for(heap, place, i);
	assert_false(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	assert_non_null(strstr(words, "8 looks wait already"));
	/* All are made, one after the other, in a tenth of the time. */
	began_ms = clock_ms(CLOCK_MONOTONIC);
	for (int i = 0; i <= ALARM_HEAP_WAITS; i++) {
		snprintf(name, sizeof(name), "alarm-20231114T22132%dZ-7.heap.txt", i);
		free(await(place, name));
	}
	assert_true(clock_ms(CLOCK_MONOTONIC) - began_ms >= ALARM_HEAP_WAITS * 450);
	assert_true(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	alarm_heap_free(heap);
}

/* What was promised and is not made is said, where it would be. */
static void test_promised(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, slow, WAIT_MS);
	char *text;

	ask_for(heap, place, 0);
	ask_for(heap, place, 1);
	alarm_heap_free(heap);
	for (int i = 0; i < 2; i++) {
		char name[64];

		snprintf(name, sizeof(name), "alarm-20231114T22132%dZ-7.heap.txt", i);
		text = await(place, name);
		assert_non_null(strstr(text, ": the agent has ended before\n"));
		free(text);
	}
}

/* The helper is killed: the look that goes on is not made, nor is another one. */
static void test_helper_is_killed(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, kills_helper, WAIT_MS);
	struct alarm_heap_subject subject = subject_of(getpid());
	char words[512], *text;

	ask_for(heap, place, 0);
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(strstr(text, ": the helper that looks is gone\n"));
	free(text);
	assert_false(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	assert_non_null(strstr(words, "the helper that looks is gone"));
	alarm_heap_free(heap);
}

/* The helper is stopped: so are the looks, and the agent goes on. */
static void test_helper_is_stopped(void **state)
{
	struct place *place = *state;
	struct alarm_heap *heap = begin(place, stops_helper, 1000);
	struct alarm_heap_subject subject = subject_of(getpid());
	char words[512], *text;

	ask_for(heap, place, 0);
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(strstr(text, ": the helper that looks gives no answer\n"));
	free(text);
	assert_false(alarm_heap_may(heap, &subject, 10000, words, sizeof(words)));
	alarm_heap_free(heap);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		TEST(test_failures),
		TEST(test_too_large),
		TEST(test_has_grown),
		TEST(test_bounds),
		TEST(test_promised),
		TEST(test_helper_is_killed),
		TEST(test_helper_is_stopped),
	};

	return cmocka_run_group_tests_name("alarm_heap", tests, NULL, NULL);
}
