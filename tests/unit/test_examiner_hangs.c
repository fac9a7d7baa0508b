/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* examiner_wait.c: whatever the target does, no call waits longer than its limit. A read of memory
 * never ends if it lies in a page of a userfaultfd that nobody serves. */
#include "examiner_fixture.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define SUB_UIDS 1000000

/* `pid` has made a user namespace: maps user `uid` there to a range of its own. */
static void map_users(pid_t pid)
{
	char path[64], map[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	snprintf(map, sizeof(map), "0 %d 65536", SUB_UIDS);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, map, strlen(map)), (ssize_t)strlen(map));
	close(fd);
}

/* User 65534 makes a user namespace and becomes user `uid` in it, after the mapping exists. */
static bool become(unsigned uid, int tell, int told)
{
	char byte = 1;

	return !setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534) &&
	       !unshare(CLONE_NEWUSER) && write(tell, &byte, 1) == 1 && read(told, &byte, 1) == 1 &&
	       !setresuid(uid, uid, uid);
}

/* A child with a page that can't be read to the end. With a `uid`, it is that user of a namespace.
 * False: this kernel does not allow it. */
static bool fork_hanging_as(unsigned uid, pid_t *pid, void **page)
{
	struct uffdio_api api = {.api = UFFD_API};
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	int ready[2], go[2], fd;
	char byte = 0;

	*page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(*page, MAP_FAILED);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	*pid = fork();
	if (*pid == 0) {
		struct uffdio_register area = {.range = {(uintptr_t)*page, size},
					       .mode = UFFDIO_REGISTER_MODE_MISSING};

		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
		byte = fd >= 0 && !ioctl(fd, UFFDIO_API, &api) &&
		       !ioctl(fd, UFFDIO_REGISTER, &area);
		byte = byte && (!uid || become(uid, ready[1], go[0]));
		/* Becoming another user resets this setting. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (byte && uid) {
		map_users(*pid);
		assert_int_equal(write(go[1], &byte, 1), 1);
		assert_int_equal(read(ready[0], &byte, 1), 1);
	}
	close(ready[0]);
	close(go[0]);
	close(go[1]);
	return byte;
}

static bool fork_hanging(pid_t *pid, void **page)
{
	return fork_hanging_as(0, pid, page);
}

/* Its PID; where the kernel does not let us, the test is skipped. */
static pid_t begin_hanging(void **page)
{
	pid_t pid;

	if (!fork_hanging(&pid, page)) {
		end(pid);
		skip();
	}
	return pid;
}

static void test_hangs(void **state)
{
	char byte = 7, copy = 0, why[128];
	uint64_t begin = now_ms();
	void *page;
	pid_t pid;

	(void)state;
	pid = begin_hanging(&page);
	assert_int_equal(proc_read_memory(pid, (uintptr_t)page, &copy, 1), -ETIME);
	assert_true(now_ms() - begin >= EXAMINER_ASLEEP_MS);
	assert_true(examiner_explain(-ETIME, why, sizeof(why)));
	/* The target is not tried again at once: that would take as long again. */
	begin = now_ms();
	for (int i = 0; i < 100; i++)
		assert_int_equal(proc_read_memory(pid, (uintptr_t)page, &copy, 1), -ETIME);
	assert_true(now_ms() - begin < EXAMINER_ASLEEP_MS);
	/* Other targets are. */
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), 1);
	end(pid);
}

/* An owner of many targets that hang gets a share of our time, not all of it. All helpers end, so
 * none is left to be counted. */
static void test_slow_owner(void **state)
{
	char byte = 7, copy = 0, why[128];
	pid_t pids[EXAMINER_STUCK_MAX_OWNER + 1];
	uint64_t begin = now_ms();
	bool can = true;
	void *page;
	int i;

	(void)state;
	for (i = 0; can && i <= EXAMINER_STUCK_MAX_OWNER; i++) {
		can = fork_hanging(&pids[i], &page);
		if (can && i < EXAMINER_STUCK_MAX_OWNER)
			assert_int_equal(proc_read_memory(pids[i], (uintptr_t)page, &copy, 1),
					 -ETIME);
	}
	if (can) {
		assert_true(now_ms() - begin >= EXAMINER_STUCK_MAX_OWNER * EXAMINER_ASLEEP_MS);
		begin = now_ms();
		assert_int_equal(proc_read_memory(pids[i - 1], (uintptr_t)page, &copy, 1), -EBUSY);
		assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), -EBUSY);
		assert_true(now_ms() - begin < EXAMINER_ASLEEP_MS);
		assert_true(examiner_explain(-EBUSY, why, sizeof(why)));
	}
	while (i--)
		end(pids[i]);
	if (!can)
		skip();
}

/* Users of a namespace, each of whom hangs once, count as the user who made it: they have one
 * share. */
static void test_slow_owner_of_many_users(void **state)
{
	pid_t pids[EXAMINER_STUCK_MAX_OWNER + 1];
	bool can = !geteuid();
	char copy = 0;
	void *page;
	int i;

	(void)state;
	for (i = 0; can && i <= EXAMINER_STUCK_MAX_OWNER; i++) {
		can = fork_hanging_as(100 + (unsigned)i, &pids[i], &page);
		if (can)
			assert_int_equal(proc_read_memory(pids[i], (uintptr_t)page, &copy, 1),
					 i < EXAMINER_STUCK_MAX_OWNER ? -ETIME : -EBUSY);
	}
	while (i--)
		end(pids[i]);
	if (!can)
		skip();
}

static void ask_to_end(int number)
{
	(void)number;
	asked_to_end = true;
}

/* A signal does not have to wait; and what is asked for after it is answered. */
static void test_interrupted(void **state)
{
	struct sigaction action = {.sa_handler = ask_to_end};
	char byte = 7, copy = 0;
	uint64_t begin;
	void *page;
	pid_t pid;

	(void)state;
	pid = begin_hanging(&page);
	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	assert_int_equal(proc_read_memory(pid, (uintptr_t)page, &copy, 1), -EINTR);
	/* A request that begins after the signal has the usual limit, although nothing interrupts
	 * it. */
	begin = now_ms();
	assert_int_equal(proc_read_memory(pid, (uintptr_t)page, &copy, 1), -ETIME);
	assert_true(now_ms() - begin < EXAMINER_STARVED_MS);
	/* The helper that hung was given up, and there is another one. */
	assert_int_equal(proc_read_memory(getpid(), (uintptr_t)&byte, &copy, 1), 1);
	assert_int_equal(copy, byte);
	end(pid);
}

/* Where a process "counts": at any address. */
static struct examiner_counted counted_at(pid_t pid, const void *at)
{
	return (struct examiner_counted){.pid = pid,
					 .collector = {.addr = (uintptr_t)at,
						       .bytes = 24,
						       .generations = {{.at = 0, .items = 1},
								       {.at = 8, .items = 1},
								       {.at = 16, .items = 1}}}};
}

/* One request for several processes: the one that hangs is to blame, and no other. */
static void test_one_of_many(void **state)
{
	static const uint64_t counts[] = {700, 50, 3};
	struct examiner_counted all[3];
	uint64_t begin = now_ms();
	void *page;
	pid_t pid;

	(void)state;
	pid = begin_hanging(&page);
	all[0] = counted_at(getpid(), counts);
	all[1] = counted_at(pid, page);
	all[2] = counted_at(getpid(), counts);
	examiner_count_collections(all, 3);
	assert_true(now_ms() - begin >= EXAMINER_ASLEEP_MS);
	assert_int_equal(all[0].error, -EAGAIN);
	assert_int_equal(all[1].error, -ETIME);
	assert_int_equal(all[2].error, -EAGAIN);
	/* The next time it is left out. */
	begin = now_ms();
	examiner_count_collections(all, 3);
	assert_true(now_ms() - begin < EXAMINER_ASLEEP_MS);
	assert_int_equal(all[1].error, -ETIME);
	for (int i = 0; i < 3; i += 2) {
		assert_int_equal(all[i].error, 0);
		assert_memory_equal(all[i].counts, counts, sizeof(counts));
	}
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hangs),
		TEST(test_interrupted),
		TEST(test_one_of_many),
		TEST(test_slow_owner),
		TEST(test_slow_owner_of_many_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
