/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/looker.c, agent/alarm_heap.c and heap_look_both(): what a look at an alarm leaves, what
 * bounds it, and that each failure is in the place where the look would be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/alarm_heap.h"
#include "base/clock.h"
#include "base/exit_status.h"
#include "cli/heap_options.h"
#include "os/proc.h"

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

static int made(pid_t pid, FILE *text, FILE *json)
{
	fprintf(text, "PID %d is kept by x\n", (int)pid);
	fprintf(json, "{\"processes\": [{\"verdict\": \"kept by \\u001b[2J\"}]}");
	return EXIT_DONE;
}

static int failed(pid_t pid, FILE *text, FILE *json)
{
	(void)pid, (void)json;
	fputs("half of it", text);
	fputs("pymem-bpf heap: pid 7: Python 2.7 is\x1b not supported\nmore\n", stderr);
	return EXIT_FAILED;
}

static int slow(pid_t pid, FILE *text, FILE *json)
{
	(void)pid, (void)text, (void)json;
	for (;;)
		pause();
	return EXIT_DONE;
}

static int killed(pid_t pid, FILE *text, FILE *json)
{
	(void)pid, (void)text, (void)json;
	/* As the OOM killer does. */
	kill(getpid(), SIGKILL);
	return EXIT_DONE;
}

static int kills_helper(pid_t pid, FILE *text, FILE *json)
{
	(void)pid, (void)text, (void)json;
	kill(getppid(), SIGKILL);
	return slow(pid, text, json);
}

static int stops_helper(pid_t pid, FILE *text, FILE *json)
{
	(void)pid, (void)text, (void)json;
	kill(getppid(), SIGSTOP);
	return EXIT_DONE;
}

/* Which descriptors a look has. */
static int lists(pid_t pid, FILE *text, FILE *json)
{
	char path[64], link[256];

	(void)pid, (void)json;
	for (int fd = 0; fd < 256; fd++) {
		ssize_t got;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		got = readlink(path, link, sizeof(link) - 1);
		if (got >= 0)
			fprintf(text, "%.*s\n", (int)got, link);
	}
	return EXIT_DONE;
}

static int large(pid_t pid, FILE *text, FILE *json)
{
	for (int i = 0; i < MIB; i++)
		fputc('x', text);
	return made(pid, text, json);
}

static int not_at_once(pid_t pid, FILE *text, FILE *json)
{
	usleep(50000);
	return made(pid, text, json);
}

/* --- the helper --- */

static struct looker_answer ask(const struct looker *looker, pid_t pid, uint64_t start_ticks)
{
	const struct looker_request request = {.pid = pid, .start_ticks = start_ticks};
	struct pollfd polled = {.fd = looker->socket, .events = POLLIN};
	struct looker_answer answer;

	assert_int_equal(looker_ask(looker, &request), 0);
	assert_int_equal(poll(&polled, 1, WAIT_MS), 1);
	assert_int_equal(looker_take(looker, &answer), 0);
	return answer;
}

static char *text_of(int fd)
{
	struct stat st;
	char *text;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)st.st_size, 0), st.st_size);
	return text;
}

static void expect(looker_heap_fn *heap, unsigned most_ms, enum looker_result result,
		   const char *text, const char *said)
{
	struct looker looker = {};
	struct looker_answer answer;
	char *read;

	assert_int_equal(looker_fork(&looker, heap, most_ms), 0);
	/* Twice: what goes wrong once does not end it. */
	for (int i = 0; i < 2; i++) {
		answer = ask(&looker, getpid(), proc_start_ticks(getpid()));
		assert_int_equal(answer.result, result);
		read = text_of(answer.text);
		assert_int_equal(strncmp(read, text, strlen(text)), 0);
		free(read);
		read = text_of(answer.said);
		assert_string_equal(read, said);
		free(read);
		looker_close(&answer);
	}
	assert_int_equal(looker_take(&looker, &answer), -EAGAIN);
	looker_end(&looker);
	looker_end(&looker);
}

static void test_helper(void **state)
{
	(void)state;
	expect(made, WAIT_MS, LOOKER_MADE, "PID ", "");
	expect(failed, WAIT_MS, LOOKER_FAILED, "half of it",
	       "pymem-bpf heap: pid 7: Python 2.7 is\x1b not supported\nmore\n");
	expect(slow, 200, LOOKER_LATE, "", "");
	expect(killed, WAIT_MS, LOOKER_DIED, "", "");
}

/* A look has nothing of what the agent has open, and its memory ends in no core file. */
static void test_has_nothing_else(void **state)
{
	int open_before = open("/etc", O_RDONLY | O_DIRECTORY);
	struct looker looker = {};
	struct looker_answer answer;
	struct rlimit core;
	char *read, *line;

	(void)state;
	assert_true(open_before >= 0 && dup2(open_before, 200) == 200);
	assert_int_equal(looker_fork(&looker, lists, WAIT_MS), 0);
	answer = ask(&looker, getpid(), proc_start_ticks(getpid()));
	assert_int_equal(answer.result, LOOKER_MADE);
	read = text_of(answer.text);
	assert_true(*read);
	for (line = strtok(read, "\n"); line; line = strtok(NULL, "\n"))
		if (strcmp(line, "/") != 0 && strncmp(line, "/memfd:look", 11) != 0)
			fail_msg("it has %s", line);
	free(read);
	looker_close(&answer);
	assert_int_equal(prlimit(looker.helper, RLIMIT_CORE, NULL, &core), 0);
	assert_int_equal(core.rlim_max, 0);
	looker_end(&looker);
	close(open_before);
	close(200);
}

/* A PID that another process has is not looked at. */
static void test_another_process(void **state)
{
	struct looker looker = {};
	struct looker_answer answer;
	char *read;

	(void)state;
	assert_int_equal(looker_fork(&looker, made, WAIT_MS), 0);
	answer = ask(&looker, getpid(), proc_start_ticks(getpid()) - 1);
	assert_int_equal(answer.result, LOOKER_ENDED);
	read = text_of(answer.text);
	assert_string_equal(read, "");
	free(read);
	looker_close(&answer);
	looker_end(&looker);
}

/* It ends with the agent, also while a look goes on, and what it looked with, too. */
static void test_ends_with_the_agent(void **state)
{
	struct looker looker = {};
	struct looker_request request = {.pid = getpid()};
	pid_t child;
	int count = 0, status;

	(void)state;
	request.start_ticks = proc_start_ticks(getpid());
	/* Whose parent has ended is this process's child from then on. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	child = fork();
	if (!child) {
		if (looker_fork(&looker, slow, WAIT_MS) || looker_ask(&looker, &request))
			_exit(1);
		usleep(300000);
		_exit(0);
	}
	alarm(WAIT_MS / 1000);
	while (waitpid(-1, &status, 0) > 0)
		count++;
	alarm(0);
	assert_int_equal(errno, ECHILD);
	/* The agent, the helper, and what looked: but for that one, if the helper had time to wait
	 * for it. Who goes on would be waited for until the alarm. */
	assert_in_range(count, 2, 3);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
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
	char *text;

	ask_for(heap, place, 0);
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(strstr(text, " is kept by x"));
	free(text);
	text = await(place, "alarm-20231114T221320Z-7.heap.json");
	assert_non_null(strstr(text, "verdict"));
	free(text);
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
	char *text;

	ask_for(heap, place, 0);
	text = await(place, "alarm-20231114T221320Z-7.heap.txt");
	assert_non_null(strstr(text, "what it has found can't be kept: File too large\n"));
	free(text);
	/* Its JSON is small. */
	free(await(place, "alarm-20231114T221320Z-7.heap.json"));
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
	assert_non_null(strstr(words, "it was, 60 min ago"));
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

/* --- a real look --- */

static void test_real(void **state)
{
	struct looker looker = {};
	struct looker_answer answer;
	json_error_t error;
	json_t *json, *first;
	int ends[2];
	pid_t python;
	char *text, byte;

	(void)state;
	/* The helper is root's, as the agent. */
	if (geteuid())
		skip();
	assert_int_equal(looker_fork(&looker, heap_look_both, WAIT_MS), 0);
	assert_int_equal(pipe(ends), 0);
	python = fork();
	if (!python) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/usr/bin/python3", "python3", "-c",
		      "import time\nKEPT = [bytes(1000 + i) for i in range(5000)]\n"
		      "print(flush=True)\ntime.sleep(600)\n",
		      NULL);
		_exit(127);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	answer = ask(&looker, python, proc_start_ticks(python));
	text = text_of(answer.said);
	if (answer.result != LOOKER_MADE)
		fail_msg("%d: %s", answer.result, text);
	free(text);
	text = text_of(answer.text);
	assert_non_null(strstr(text, "__main__.KEPT"));
	free(text);
	text = text_of(answer.json);
	json = json_loads(text, 0, &error);
	assert_non_null(json);
	free(text);
	first = json_array_get(json_object_get(json, "processes"), 0);
	assert_non_null(strstr(json_string_value(json_object_get(first, "verdict")), "KEPT"));
	assert_int_equal(json_integer_value(json_object_get(first, "pid")), python);
	json_decref(json);
	looker_close(&answer);
	/* It has stopped nothing, and left nothing behind. */
	assert_int_equal(kill(python, SIGKILL), 0);
	assert_int_equal(waitpid(python, NULL, 0), python);
	answer = ask(&looker, getpid(), proc_start_ticks(getpid()));
	assert_int_equal(answer.result, LOOKER_FAILED);
	text = text_of(answer.said);
	assert_non_null(strstr(text, "pymem-bpf heap: pid "));
	free(text);
	looker_close(&answer);
	looker_end(&looker);
	close(ends[0]);
	close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_helper),
		cmocka_unit_test(test_has_nothing_else),
		cmocka_unit_test(test_another_process),
		cmocka_unit_test(test_ends_with_the_agent),
		TEST(test_kept),
		TEST(test_failures),
		TEST(test_too_large),
		TEST(test_bounds),
		TEST(test_promised),
		TEST(test_helper_is_killed),
		TEST(test_helper_is_stopped),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests_name("alarm_heap", tests, NULL, NULL);
}
