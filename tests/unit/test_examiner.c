/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* examiner.c: its answers are those that this process gets by reading itself, whatever happens to
 * the helper. Targets that hold it up are in test_examiner_hangs.c. */
#include "examiner_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "python/examiner_wire.h"
#include "os/rights.h"

/* The first child of `pid` whose name begins with `name`; 0: there is none. */
static pid_t child_named(pid_t pid, const char *name)
{
	char path[64];
	struct proc_info info;
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fscanf(file, "%d", &child) == 1) {
		if (!proc_stat_read(child, &info) && info.state != 'Z' &&
		    !strncmp(info.comm, name, strlen(name))) {
			fclose(file);
			return child;
		}
	}
	fclose(file);
	return 0;
}

static pid_t keeper(void)
{
	pid_t pid = child_named(getpid(), "pymem-keeper");

	assert_true(pid > 0); /* it has answered before */
	return pid;
}

/* It gets its name a moment after it was forked. */
static pid_t examiner(void)
{
	uint64_t begin = now_ms();
	pid_t pid;

	while (!(pid = child_named(keeper(), "pymem-examiner"))) {
		assert_true(now_ms() - begin < 60000);
		usleep(1000);
	}
	return pid;
}

static void test_same_answers(void **state)
{
	static const char text[] = "some text, across messages of the examiner";
	size_t size = 100000;
	char *memory = malloc(size), *copy = malloc(size);
	struct proc_info ours, theirs;
	struct source_root root;

	(void)state;
	for (size_t i = 0; i < size; i++)
		memory[i] = text[i % sizeof(text)];
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)memory, copy, size), size);
	assert_memory_equal(memory, copy, size);
	assert_int_equal(proc_read_memory(getpid(), 0, copy, 8), -EFAULT);
	assert_int_equal(examiner_read_memory(INT32_MAX, 4096, copy, 8), -ESRCH);
	free(memory);
	free(copy);

	assert_int_equal(proc_info_read(getpid(), &ours), 0);
	assert_int_equal(examiner_describe(getpid(), &theirs, &root), 0);
	assert_int_equal(theirs.pid, getpid());
	assert_int_equal(theirs.ppid, ours.ppid);
	assert_int_equal(theirs.argc, ours.argc);
	assert_string_equal(theirs.argv[0], ours.argv[0]);
	assert_null(theirs.argv[theirs.argc]);
	assert_string_equal(theirs.cgroup, ours.cgroup);
	assert_string_equal(theirs.comm, ours.comm);
	assert_true(theirs.start_ticks == ours.start_ticks);
	assert_true(root.root_fd >= 0 && root.cwd_fd >= 0 && root.start_wall > 1e9);
	assert_int_equal(source_root_rights(&root)->uid, geteuid());
	source_root_close(&root);
	proc_info_fini(&ours);
	proc_info_fini(&theirs);
	assert_int_equal(examiner_describe(INT32_MAX, &theirs, &root), -ESRCH);
	assert_int_equal(root.root_fd, -1);
	assert_true(examiner_rss_bytes(getpid()) > 0);
	assert_true(examiner_rss_bytes(INT32_MAX) == -ESRCH);
}

/* More processes than one request has; some are gone, and some have no such memory. */
static void test_counted(void **state)
{
	static unsigned char bytes[512];
	static struct examiner_counted all[1000];
	const struct py_collector place = {
		.addr = (uintptr_t)bytes,
		.bytes = sizeof(bytes),
		.generations = {{.at = 8, .items = 3, .item_bytes = 16, .index_at = 60},
				{.at = 64, .items = 1},
				{.at = 72, .items = 1}}};
	uint64_t young = 77, full = 5;

	(void)state;
	bytes[60] = 2;
	memcpy(bytes + 8 + 2 * 16, &young, sizeof(young));
	memcpy(bytes + 72, &full, sizeof(full));
	for (int i = 0; i < 1000; i++) {
		all[i] = (struct examiner_counted){.pid = getpid(), .collector = place};
		if (i % 3 == 1)
			all[i].pid = INT32_MAX;
		if (i % 3 == 2)
			all[i].collector.addr = 4096;
	}
	examiner_count_collections(all, 1000);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(all[i].error, i % 3 == 0 ? 0 : i % 3 == 1 ? -ESRCH : -EFAULT);
		assert_true(all[i].counts[0] == (i % 3 ? 0 : young));
		assert_true(all[i].counts[2] == (i % 3 ? 0 : full));
	}
	/* An index that is none, as of a ring that is just written or was spoilt. */
	bytes[60] = 3;
	examiner_count_collections(all, 1);
	assert_int_equal(all[0].error, -EAGAIN);
	all[0].collector.bytes = 1u << 30;
	examiner_count_collections(all, 1);
	assert_int_equal(all[0].error, -EINVAL);
}

static void test_source(void **state)
{
	char path[] = "/tmp/pymem-examiner-XXXXXX";
	struct source_text text;
	struct source_root root;
	int fd = mkstemp(path);
	size_t size = 200000; /* too long for a message: goes into a file */
	char *lines = malloc(size);

	(void)state;
	memset(lines, 'x', size);
	assert_int_equal(write(fd, lines, size), size);
	close(fd);
	source_root_open(&root, getpid());
	assert_int_equal(examiner_read_source(&root, path, &text), 0);
	assert_int_equal(text.state, SOURCE_OK);
	assert_int_equal(text.size, size);
	assert_memory_equal(text.data, lines, size);
	assert_true(text.changed > 1e9);
	free(text.data);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(examiner_read_source(&root, path, &text), 0);
	assert_int_equal(text.state, SOURCE_MISSING);
	free(text.data);
	source_root_close(&root);
	free(lines);
}

/* It is killed from outside: the next request gets another one. */
static void test_killed(void **state)
{
	pid_t first = examiner();
	char byte = 7, copy = 0;

	(void)state;
	assert_true(first > 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(examiner(), SIGKILL), 0);
		assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), 1);
		assert_int_equal(copy, byte);
	}
	assert_true(examiner() != first);
}

/* It is stopped from outside. The target is not to blame, so the request is repeated. */
static void test_stopped(void **state)
{
	char byte = 7, copy = 0;
	pid_t first = examiner();

	(void)state;
	assert_int_equal(kill(first, SIGSTOP), 0);
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), 1);
	assert_int_equal(copy, byte);
	assert_true(examiner() != first);
}

/* No number is left for the descriptors of a new one: an error says so, and it is not permanent. */
static void test_no_descriptors(void **state)
{
	struct rlimit before, few;
	char byte = 7, copy = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){STDERR_FILENO + 1, before.rlim_max};
	assert_int_equal(kill(examiner(), SIGKILL), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), 1);
	assert_int_equal(copy, byte);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A message with too many descriptors: none is written beyond the array, and none stays open. */
static void test_descriptors_of_a_message(void **state)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {0};
	struct wire_head head = {.number = 1};
	struct iovec part = {&head, sizeof(head)};
	unsigned before = open_descriptors();
	struct wire_message message;
	struct cmsghdr *c;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	/* A body that is missing; then a correct one. */
	for (int round = 0; round < 2; round++) {
		for (unsigned count = 1; count <= 4; count++) {
			struct msghdr m = {.msg_iov = &part,
					   .msg_iovlen = 1,
					   .msg_control = control,
					   .msg_controllen = CMSG_SPACE(count * sizeof(int))};

			c = CMSG_FIRSTHDR(&m);
			*c = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET,
					      SCM_RIGHTS};
			for (unsigned i = 0; i < count; i++)
				memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
			head.body_bytes = !round;
			assert_int_equal(sendmsg(pair[0], &m, 0), sizeof(head));
			assert_int_equal(wire_receive(pair[1], &message), round ? 1 : -EBADMSG);
			if (round)
				assert_int_equal(message.fd_count, count < 2 ? count : 2);
			wire_fini(&message);
			assert_int_equal(open_descriptors(), before + 2);
		}
	}
	close(pair[0]);
	close(pair[1]);
}

/* Without a keeper there are no new examiners, and an error says so. */
static void test_keeper_killed(void **state)
{
	char byte = 7, copy = 0, why[128];
	pid_t last = examiner();

	(void)state;
	assert_int_equal(kill(keeper(), SIGKILL), 0);
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), 1);
	assert_int_equal(kill(last, SIGKILL), 0);
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), -ENOTCONN);
	assert_true(examiner_explain(-ENOTCONN, why, sizeof(why)));
	assert_non_null(strstr(why, "can't be started"));
}

/* The file that a command will run is the one that this process finds. */
static void test_program(void **state)
{
	static const char *const names[] = {"true", "python3", "/usr/bin/python3",
					    "no-such-program"};
	struct probe_file ours, theirs;
	int err;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		err = probe_file_open_program(names[i], 0, &ours);
		assert_int_equal(examiner_find_program(getpid(), names[i], 0, &theirs), err);
		if (err)
			continue;
		assert_true(theirs.fd >= 0 && theirs.fd != ours.fd);
		assert_int_equal(theirs.dev, ours.dev);
		assert_int_equal(theirs.inode, ours.inode);
		assert_memory_equal(&theirs.sites, &ours.sites, sizeof(ours.sites));
		close(ours.fd);
		close(theirs.fd);
	}
}

/* It ends when this program ends, however that happens. */
static void test_ends(void **state)
{
	pid_t pid, helpers[2] = {0};
	int tell[2];

	(void)state;
	assert_int_equal(pipe(tell), 0);
	pid = fork();
	if (pid == 0) {
		if (examiner_start(NULL))
			_exit(1);
		helpers[0] = keeper();
		helpers[1] = examiner();
		if (write(tell[1], helpers, sizeof(helpers)) == sizeof(helpers))
			pause();
		_exit(1);
	}
	close(tell[1]);
	assert_int_equal(read(tell[0], helpers, sizeof(helpers)), sizeof(helpers));
	end(pid);
	for (int i = 0; i < 2; i++) {
		struct proc_info info;
		uint64_t begin = now_ms();

		assert_true(helpers[i] > 0);
		while (!proc_stat_read(helpers[i], &info) && info.state != 'Z') {
			assert_true(now_ms() - begin < 60000);
			usleep(1000);
		}
	}
	close(tell[0]);
}

/* It has only the rights that reading needs, whatever this process has. */
static void test_capabilities(void **state)
{
	static const uint64_t allowed = 1ull << 19 /* SYS_PTRACE */ |
					1ull << 2 /* DAC_READ_SEARCH */ | 1ull << 6 /* SETGID */ |
					1ull << 7 /* SETUID */ |
					1ull << 40 /* CHECKPOINT_RESTORE */;
	char text[8192], *field;
	pid_t pids[] = {keeper(), examiner()};

	(void)state;
	for (int i = 0; i < 2; i++) {
		ssize_t n = proc_file_read(pids[i], "status", text, sizeof(text) - 1);

		assert_true(n > 0);
		text[n] = '\0';
		field = strstr(text, "\nCapPrm:");
		assert_non_null(field);
		assert_int_equal(strtoull(field + 8, NULL, 16) & ~allowed, 0);
		field = strstr(text, "\nCapBnd:");
		assert_non_null(field);
		if (!geteuid())
			assert_int_equal(strtoull(field + 8, NULL, 16) & ~allowed, 0);
		assert_non_null(strstr(text, "\nNoNewPrivs:\t1"));
		/* Root owns most files even without capabilities: a filter protects them. */
		assert_non_null(strstr(text, "\nSeccomp:\t2"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same_answers),
		TEST(test_source),
		TEST(test_counted),
		TEST(test_killed),
		TEST(test_stopped),
		TEST(test_keeper_killed),
		cmocka_unit_test(test_ends),
		TEST(test_capabilities),
		TEST(test_program),
		TEST(test_no_descriptors),
		cmocka_unit_test(test_descriptors_of_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
