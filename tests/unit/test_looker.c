/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/looker.c and heap_look_both(): what becomes of a look, that a helper and its child have
 * nothing but what they need, and that answers which are wrong leave nothing open. */
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/looker.h"
#include "base/exit_status.h"
#include "cli/heap_options.h"
#include "os/proc.h"

#include "looks_fixture.h"

#define MIB	(1 << 20)
#define WAIT_MS 60000

/* --- what a helper runs in place of a look --- */

/* Which descriptors a look has. */
static int lists(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		 FILE *brief)
{
	char path[64], link[256];

	(void)pid, (void)start_ticks, (void)json, (void)verdict, (void)brief;
	for (int fd = 0; fd < 256; fd++) {
		ssize_t got;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		got = readlink(path, link, sizeof(link) - 1);
		if (got >= 0)
			fprintf(text, "%.*s\n", (int)got, link);
	}
	return EXIT_DONE;
}

/* --- the helper --- */

static struct looker_answer ask(const struct looker *looker, pid_t pid, uint64_t start_ticks)
{
	const struct looker_request request = {
		.pid = pid, .start_ticks = start_ticks, .rss_most = 1ull << 40, .file_most = MIB};
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

static pid_t target;

static int ends_target(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		       FILE *brief)
{
	kill(target, SIGKILL);
	while (proc_start_ticks(target) == start_ticks)
		usleep(1000);
	return made(pid, start_ticks, text, json, verdict, brief);
}

static int ends_target_and_fails(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json,
				 FILE *verdict, FILE *brief)
{
	ends_target(pid, start_ticks, text, json, verdict, brief);
	return EXIT_FAILED;
}

/* A look at a process that has ended since its memory was copied is as good. If it has failed, the
 * end is why. */
static void test_target_ends(void **state)
{
	static const struct {
		looker_heap_fn *look;
		enum looker_result result;
	} all[] = {{ends_target, LOOKER_MADE}, {ends_target_and_fails, LOOKER_ENDED}};

	(void)state;
	/* So that it is gone at once. */
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		struct looker looker = {};
		struct looker_answer answer;

		target = fork();
		if (!target)
			for (;;)
				pause();
		assert_int_equal(looker_fork(&looker, all[i].look, WAIT_MS), 0);
		answer = ask(&looker, target, proc_start_ticks(target));
		assert_int_equal(answer.result, all[i].result);
		looker_close(&answer);
		looker_end(&looker);
	}
	signal(SIGCHLD, SIG_DFL);
}

static unsigned count_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Sends what no helper of ours sends. */
static void send_wrong(int socket, const void *bytes, size_t size, size_t files)
{
	union {
		char bytes[CMSG_SPACE(5 * sizeof(int))];
		struct cmsghdr header;
	} control = {};
	struct iovec data = {(void *)bytes, size};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE(files * sizeof(int))};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(files * sizeof(int));
	for (size_t i = 0; i < files; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &socket, sizeof(int));
	assert_int_equal(sendmsg(socket, &message, 0), size);
}

/* An answer that is wrong leaves no descriptor open. */
static void test_wrong_answers(void **state)
{
	const int32_t number[2] = {LOOKER_MADE, 7};
	struct looker_answer answer;
	struct looker looker = {};
	int ends[2];
	unsigned open;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	looker.socket = ends[0];
	open = count_open();
	send_wrong(ends[1], number, 3, 5);
	assert_int_equal(looker_take(&looker, &answer), -EPIPE);
	assert_int_equal(count_open(), open);
	send_wrong(ends[1], number, 8, 5);
	assert_int_equal(looker_take(&looker, &answer), -EPIPE);
	assert_int_equal(count_open(), open);
	send_wrong(ends[1], number, 4, 2);
	assert_int_equal(looker_take(&looker, &answer), 0);
	assert_true(answer.text == -1 && answer.json == -1 && answer.said == -1);
	assert_int_equal(count_open(), open);
	send_wrong(ends[1], number, 4, 4);
	assert_int_equal(looker_take(&looker, &answer), 0);
	assert_true(answer.text == -1 && answer.brief == -1);
	assert_int_equal(count_open(), open);
	send_wrong(ends[1], number, 4, 5);
	assert_int_equal(looker_take(&looker, &answer), 0);
	assert_int_equal(count_open(), open + 5);
	looker_close(&answer);
	assert_int_equal(count_open(), open);
	close(ends[0]);
	close(ends[1]);
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
	struct looker_request request = {.pid = getpid(), .rss_most = 1ull << 40, .file_most = MIB};
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
	text = text_of(answer.verdict);
	assert_non_null(strstr(text, "KEPT"));
	free(text);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_helper),
		cmocka_unit_test(test_has_nothing_else),
		cmocka_unit_test(test_target_ends),
		cmocka_unit_test(test_wrong_answers),
		cmocka_unit_test(test_another_process),
		cmocka_unit_test(test_ends_with_the_agent),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests_name("looker", tests, NULL, NULL);
}
