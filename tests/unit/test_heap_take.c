/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Snapshots of processes: that are there, end, are traced, stopped, execute, or hold reading up. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "base/clock.h"
#include "heap_targets.h"

static void take_pattern(bool pause)
{
	const struct snapshot_options options = {.pause = pause};
	struct target t = start(pattern);
	uint64_t at = hear(t.from), text;
	struct snapshot *s;
	struct proc_info info;
	int64_t rss;

	rss = rss_of(t.pid);
	assert_int_equal(snapshot_take(t.pid, &options, &s), 0);
	assert_int_equal(snapshot_pid(s), t.pid);
	assert_int_equal(snapshot_rss_bytes(s), rss);
	assert_int_equal(snapshot_paused_ms(s) >= 0, pause);
	check_pattern(s, at);
	/* It goes on, and was not changed. */
	assert_int_equal(rss_of(t.pid), rss);
	assert_int_equal(proc_stat_read(t.pid, &info), 0);
	assert_int_not_equal(info.state, 't');
	/* Code is no copy: it is read when it is asked for. */
	assert_null(snapshot_at(s, (uintptr_t)take_pattern, 8));
	assert_int_equal(snapshot_read_live(s, (uintptr_t)take_pattern, &text, sizeof(text)), 0);
	assert_memory_equal(&text, (void *)take_pattern, sizeof(text));
	assert_int_equal(snapshot_read_live(s, 4096, &text, sizeof(text)), -EFAULT);
	assert_int_equal(snapshot_read_live(s, UINT64_MAX - 3, &text, sizeof(text)), -EFAULT);
	snapshot_free(s);
	finish(&t);
}

static void test_take(void **state)
{
	(void)state;
	take_pattern(false);
}

static void test_take_paused(void **state)
{
	(void)state;
	take_pattern(true);
}

/* The child of ours that copies; it stays until the snapshot is freed. */
static pid_t copying_child(void)
{
	char path[64], children[256] = "", *word, *save = NULL;
	struct proc_info info;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(children, sizeof(children), file));
	fclose(file);
	for (word = strtok_r(children, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_int_equal(proc_stat_read(atoi(word), &info), 0);
		if (!strcmp(info.comm, "pymem-snapshot"))
			return info.pid;
	}
	fail_msg("no child that copies");
	return 0;
}

/* While a target stands still, the copying goes before others. Afterwards it is scheduled as
 * before, which need not be as others are. */
static void test_calm_afterwards(void **state)
{
	const int policies[] = {SCHED_OTHER, SCHED_BATCH};
	const struct snapshot_options pause = {.pause = true};
	struct sched_param none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct target t = start(pattern);
		struct snapshot *s;

		hear(t.from);
		assert_int_equal(sched_setscheduler(0, policies[i], &none), 0);
		assert_int_equal(snapshot_take(t.pid, &pause, &s), 0);
		assert_true(snapshot_paused_ms(s) >= 0);
		assert_int_equal(sched_getscheduler(copying_child()), policies[i]);
		assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
		snapshot_free(s);
		finish(&t);
	}
}

static void test_gone(void **state)
{
	const struct snapshot_options options = {.pause = false}, pause = {.pause = true};
	struct target t = start(rest);
	struct snapshot *s;

	(void)state;
	hear(t.from);
	finish(&t);
	assert_int_equal(snapshot_take(t.pid, &options, &s), -ESRCH);
	assert_int_equal(snapshot_take(t.pid, &pause, &s), -ESRCH);
	assert_null(s);
}

static void test_limit(void **state)
{
	const struct snapshot_options options = {.copy_limit_bytes = PAGE};
	struct target t = start(pattern);
	struct snapshot *s;

	(void)state;
	hear(t.from);
	assert_int_equal(snapshot_take(t.pid, &options, &s), -EFBIG);
	finish(&t);
}

/* A debugger is attached: it is not stopped, and looked at all the same. */
static void test_traced(void **state)
{
	const struct snapshot_options options = {.pause = false}, pause = {.pause = true};
	struct target t = start(rest);
	struct snapshot *s;

	(void)state;
	hear(t.from);
	assert_int_equal(ptrace(PTRACE_SEIZE, t.pid, NULL, NULL), 0);
	assert_int_equal(snapshot_take(t.pid, &pause, &s), -EBUSY);
	assert_int_equal(snapshot_take(t.pid, &options, &s), 0);
	snapshot_free(s);
	finish(&t);
}

/* One that somebody has stopped stays stopped. */
static void test_stopped(void **state)
{
	const struct snapshot_options pause = {.pause = true};
	struct target t = start(rest);
	struct proc_info info = {.pid = 0};
	struct snapshot *s;

	(void)state;
	hear(t.from);
	kill(t.pid, SIGSTOP);
	while (!proc_stat_read(t.pid, &info) && info.state != 'T')
		usleep(1000);
	assert_int_equal(snapshot_take(t.pid, &pause, &s), 0);
	snapshot_free(s);
	assert_int_equal(proc_stat_read(t.pid, &info), 0);
	assert_int_equal(info.state, 'T');
	finish(&t);
}

#define THREADS 5
#define ROUNDS	8

static volatile sig_atomic_t signals;
static volatile uint64_t turns[THREADS];

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static void *spin(void *arg)
{
	for (;;)
		++*(volatile uint64_t *)arg;
	return NULL;
}

/* Threads that run; on a byte says how many signals came, and whether all have gone on since. */
static void threads(int from, int to)
{
	uint64_t before[THREADS] = {0};
	pthread_t thread;
	char byte;

	signal(SIGUSR1, count_signal);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, spin, (void *)&turns[i]);
	say(to, 0);
	while (TEMP_FAILURE_RETRY(read(from, &byte, 1)) > 0) {
		for (unsigned i = 0; i < THREADS; i++) {
			before[i] = turns[i];
			while (turns[i] == before[i])
				usleep(100);
		}
		say(to, (uint64_t)signals);
	}
}

static void test_threads(void **state)
{
	const struct snapshot_options pause = {.pause = true};
	struct target t = start(threads);
	const struct snapshot_thread *found;
	struct snapshot *s;

	(void)state;
	hear(t.from);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		kill(t.pid, SIGUSR1);
		assert_int_equal(snapshot_take(t.pid, &pause, &s), 0);
		assert_int_equal(snapshot_threads(s, &found), THREADS + 1);
		for (unsigned k = 0; k <= THREADS; k++)
			assert_non_null(snapshot_region_of(s, found[k].stack_pointer));
		snapshot_free(s);
		assert_int_equal(write(t.to, "x", 1), 1);
		assert_int_equal(hear(t.from), i);
	}
	finish(&t);
}

/* It ends at any moment of the copy: gone, or taken as a whole. */
static void ends_soon(int from, int to)
{
	size_t bytes = 16 << 20;
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t delay_us;

	memset(at, 1, bytes);
	say(to, 0);
	if (read(from, &delay_us, sizeof(delay_us)) == sizeof(delay_us))
		usleep((useconds_t)delay_us);
}

static void test_ends_meanwhile(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 30; i++) {
		const struct snapshot_options options = {.pause = i % 3 == 0, .later = i % 3 == 1};
		struct target t = start(ends_soon);
		uint64_t delay_us = i * 700;
		struct snapshot *s;
		int err;

		hear(t.from);
		assert_int_equal(write(t.to, &delay_us, sizeof(delay_us)), sizeof(delay_us));
		err = snapshot_take(t.pid, &options, &s);
		assert_true(err == 0 || err == -ESRCH);
		snapshot_free(s);
		finish(&t);
	}
}

/* Zombies and kernel threads have no memory. */
static void test_no_memory(void **state)
{
	const struct snapshot_options options = {.pause = false};
	struct snapshot *s;
	pid_t pid = fork();
	siginfo_t info;

	(void)state;
	if (pid == 0)
		_exit(0);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	assert_int_equal(snapshot_take(pid, &options, &s), -ESRCH);
	waitpid(pid, NULL, 0);
	assert_int_equal(snapshot_take(2, &options, &s), -ESRCH); /* kthreadd */
}

static void *end_at_once(void *arg)
{
	return arg;
}

static void *begin_threads(void *arg)
{
	pthread_t thread;

	for (;;) {
		if (!pthread_create(&thread, NULL, end_at_once, NULL))
			pthread_detach(thread);
	}
	return arg;
}

/* Threads that begin and end all the time, from others of their kind. */
static void breeds(int from, int to)
{
	pthread_t thread;

	for (unsigned i = 0; i < 3; i++)
		pthread_create(&thread, NULL, begin_threads, NULL);
	say(to, 0);
	wait_for_end(from);
}

static void test_threads_come_and_go(void **state)
{
	const struct snapshot_options pause = {.pause = true};
	struct target t = start(breeds);
	struct snapshot *s;
	struct proc_info info;

	(void)state;
	hear(t.from);
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(snapshot_take(t.pid, &pause, &s), 0);
		snapshot_free(s);
	}
	assert_int_equal(proc_stat_read(t.pid, &info), 0);
	assert_int_not_equal(info.state, 't');
	finish(&t);
}

/* Each page a mapping of its own, as far as the kernel lets it. */
#define MAPPINGS 30000
static void shattered(int from, int to)
{
	char *at = mmap(NULL, 2ul * MAPPINGS * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (uint64_t i = 0; i < MAPPINGS; i++) {
		at[2 * i * PAGE] = 1;
		mprotect(at + (2 * i + 1) * PAGE, PAGE, PROT_NONE);
	}
	say(to, (uintptr_t)at);
	wait_for_end(from);
}

static void test_many_mappings(void **state)
{
	const struct snapshot_options options = {.pause = false}, later = {.later = true};
	struct target t = start(shattered);
	uint64_t at = hear(t.from);
	struct snapshot *s;

	(void)state;
	assert_int_equal(snapshot_take(t.pid, &options, &s), 0);
	assert_true(snapshot_regions(s) > 2 * MAPPINGS - 2);
	for (uint64_t i = 0; i < MAPPINGS; i += 100)
		assert_int_equal(snapshot_word(s, at + 2 * i * PAGE), 1);
	snapshot_free(s);
	assert_int_equal(snapshot_take(t.pid, &later, &s), 0);
	assert_int_equal(snapshot_fetch(s, at, at + 2ul * MAPPINGS * PAGE), 0);
	for (uint64_t i = 0; i < MAPPINGS; i++)
		assert_int_equal(snapshot_word(s, at + 2 * i * PAGE), 1);
	snapshot_free(s);
	finish(&t);
}

static void replaced(int from, int to)
{
	char byte;

	say(to, 0);
	if (read(from, &byte, 1) == 1)
		execl("/bin/sleep", "sleep", "100", NULL);
}

/* Reads are by PID: what another program has there is not what was there. */
static void test_exec(void **state)
{
	const struct snapshot_options options = {.pause = false};
	struct target t = start(replaced);
	struct proc_info info = {.pid = 0};
	struct snapshot *s;
	uint64_t text;

	(void)state;
	hear(t.from);
	assert_int_equal(snapshot_take(t.pid, &options, &s), 0);
	assert_int_equal(write(t.to, "x", 1), 1);
	while (!proc_stat_read(t.pid, &info) && strcmp(info.comm, "sleep") != 0)
		usleep(1000);
	assert_int_equal(snapshot_read_live(s, (uintptr_t)test_exec, &text, sizeof(text)), -ESRCH);
	snapshot_free(s);
	finish(&t);
}

/* --- a target that holds up who reads it --- */

/* Its page is taken away, and whoever touches it then waits for a handler that never comes. */
static void hold_up(int from, int to)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {.range = {(uintptr_t)at, PAGE},
					.mode = UFFDIO_REGISTER_MODE_MISSING};
	char byte;

	at[0] = 1;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)) {
		say(to, 0);
		return;
	}
	say(to, (uintptr_t)at);
	if (read(from, &byte, 1) == 1)
		madvise(at, PAGE, MADV_DONTNEED);
	say(to, 0);
	wait_for_end(from);
}

static bool is_interrupted(void)
{
	return true;
}

static void take_held_up(const struct snapshot_options *options, int expected)
{
	struct target t = start(hold_up);
	uint64_t at = hear(t.from), begin, word;
	struct snapshot *s;

	if (!at) {
		finish(&t);
		print_message("no userfaultfd here\n");
		skip();
	}
	assert_int_equal(snapshot_take(t.pid, options, &s), 0);
	assert_int_equal(write(t.to, "x", 1), 1);
	hear(t.from);
	begin = clock_ms(CLOCK_MONOTONIC);
	assert_int_equal(snapshot_read_live(s, at, &word, sizeof(word)), expected);
	/* Nothing is asked of a child that was given up. */
	assert_int_equal(snapshot_read_live(s, at, &word, sizeof(word)), -ENOTCONN);
	snapshot_free(s);
	assert_true(clock_ms(CLOCK_MONOTONIC) - begin < 20000);
	finish(&t);
}

static void test_held_up(void **state)
{
	const struct snapshot_options options = {.pause = false};

	(void)state;
	take_held_up(&options, -ETIME);
}

static void test_interrupted(void **state)
{
	struct snapshot_options options = {.interrupted = is_interrupted};
	struct target t = start(rest);
	struct snapshot *s;
	int err;

	(void)state;
	hear(t.from);
	/* It may have been faster than we asked. */
	err = snapshot_take(t.pid, &options, &s);
	assert_true(err == -EINTR || err == 0);
	snapshot_free(s);
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_take_paused),
		cmocka_unit_test(test_calm_afterwards),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ends_meanwhile),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_threads_come_and_go),
		cmocka_unit_test(test_many_mappings),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_held_up),
		cmocka_unit_test(test_interrupted),
	};

	return cmocka_run_group_tests_name("heap_take", tests, NULL, NULL);
}
