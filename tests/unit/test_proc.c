/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* proc.c: parsers with made-up input, other functions with this process and its children. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/proc.h"
#include "os/proc_private.h"

static void test_stat(void **state)
{
#define REST " S 7 1 1 0 -1 %d 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 10 18446744073709551615"
	static const char *const names[] = {
		"plain", "", "a b", "(", ")", ") S 1 (x)", "new\nline)", "((()))",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct proc_info info = {0};
		int len = snprintf(text, sizeof(text), "41 (%s)" REST, names[i], 4194304);

		assert_int_equal(proc_stat_parse(text, (size_t)len, &info), 0);
		assert_string_equal(info.comm, names[i]);
		assert_int_equal(info.pid, 41);
		assert_int_equal(info.ppid, 7);
		assert_int_equal(info.state, 'S');
		assert_int_equal(info.start_ticks, 987654);
		assert_false(info.kernel_thread);
	}
}

static void test_ns_pid(void **state)
{
#define STATUS(line) "Name:\tpython3\nGroups:\t0 7 \n" line
	static const struct {
		const char *text;
		pid_t ns_pid;
	} cases[] = {
		{STATUS("NStgid:\t2946\t7\nNSpid:\t2946\t7\nNSpgid:\t2946\t7\n"), 7},
		/* in three, the innermost one counts */
		{STATUS("NSpid:\t2946\t31\t1\n"), 1},
		/* in ours */
		{STATUS("NSpid:\t2946\nNSpgid:\t2946\t7\n"), 0},
		/* the same number by chance */
		{STATUS("NSpid:\t2946\t2946\n"), 0},
		/* cut off, no numbers, of no kernel */
		{STATUS("NSpid:\t2946\t7"), 0},
		{STATUS("NSpid:\n"), 0},
		{STATUS("NSpid:\t2946\tx\n"), 0},
		{STATUS("NSpid:\t2946\t-3\n"), 0},
		{STATUS("NSpid:\t2946\t99999999999999999999\n"), 0},
		/* a name that looks like it: it is one line, and is escaped by the kernel */
		{"Name:\tNSpid:\t1\t2\nNStgid:\t2946\t7\n", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (proc_ns_pid_parse(cases[i].text, 2946) != cases[i].ns_pid)
			fail_msg("%s: %d", cases[i].text,
				 (int)proc_ns_pid_parse(cases[i].text, 2946));
	assert_int_equal(proc_ns_pid(getpid()), 0);
	assert_int_equal(proc_ns_pid(0), 0);
	assert_int_equal(proc_ns_pid(INT_MAX), 0);
}

static void test_stat_bad(void **state)
{
	static const char *const bad[] = {"",	  "1",	       "1 (x",		"1 x)",
					  "1 )(", "x (y) S 1", "1 (x) S 1 2 3", "1 (x)"};
	struct proc_info info = {0};
	char text[512];
	int len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(proc_stat_parse(bad[i], strlen(bad[i]), &info), -EBADMSG);
	len = snprintf(text, sizeof(text), "2 (%0200d)" REST, 0, 0x200000);
	assert_int_equal(proc_stat_parse(text, (size_t)len, &info), 0);
	assert_int_equal(strlen(info.comm), sizeof(info.comm) - 1);
	assert_true(info.kernel_thread);
}

struct maps {
	struct proc_mapping list[8];
	char paths[8][64];
	size_t path_len, count, stop_at;
};

static int collect(const struct proc_mapping *mapping, void *arg)
{
	struct maps *maps = arg;

	assert_true(maps->count < 8);
	maps->path_len = strlen(mapping->path);
	snprintf(maps->paths[maps->count], sizeof(maps->paths[0]), "%s", mapping->path);
	maps->list[maps->count++] = *mapping;
	return maps->count == maps->stop_at ? 77 : 0;
}

static int parse(const char *text, size_t len, struct maps *maps)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, len, "r");
	int err;

	assert_non_null(in);
	err = proc_maps_parse(in, collect, maps);
	fclose(in);
	return err;
}

static void test_maps(void **state)
{
	static const char text[] =
		"00400000-0041f000 r--p 00000000 08:01 1234                       /usr/bin/a b\n"
		"7f0000000000-7f0000001000 rwxs 0001f000 103:0b 99 /tmp/x (deleted)\n"
		"7ffc0000-7ffd0000 rw-p 00000000 00:00 0                          [stack]\n"
		"7ffe0000-7fff0000 rw-p 00000000 00:00 0 \n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0\n";
	struct maps maps = {0};

	(void)state;
	assert_int_equal(parse(text, strlen(text), &maps), 0);
	assert_int_equal(maps.count, 5);
	assert_int_equal(maps.list[0].start, 0x400000);
	assert_int_equal(maps.list[0].end, 0x41f000);
	assert_string_equal(maps.list[0].perms, "r--p");
	assert_int_equal(maps.list[0].inode, 1234);
	assert_string_equal(maps.paths[0], "/usr/bin/a b");
	assert_int_equal(maps.list[1].dev_major, 0x103);
	assert_int_equal(maps.list[1].dev_minor, 0xb);
	assert_int_equal(maps.list[1].offset, 0x1f000);
	assert_string_equal(maps.paths[1], "/tmp/x (deleted)");
	assert_string_equal(maps.paths[3], "");
	assert_true(maps.list[4].start == 0xffffffffff600000);
	memset(&maps, 0, sizeof(maps));
	maps.stop_at = 2;
	assert_int_equal(parse(text, strlen(text), &maps), 77);
	assert_int_equal(maps.count, 2);
}

static void test_maps_bad(void **state)
{
	static const char *const bad[] = {
		"\n", "garbage\n", "1-2 r--p\n", "2-1 r--p 0 0:0 0\n", "1-2 r- 0 0:0 0 x\n", "1-2",
	};
	struct maps maps = {0};
	char *text = malloc(100000);
	int len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], strlen(bad[i]), &maps), -EBADMSG);
	/* A path that is too long is cut, and the next line is still read as a line. */
	len = sprintf(text, "1000-2000 r-xp 0 1:1 5 /%080000d\n3000-4000 r-xp 0 1:1 6 /b\n", 0);
	assert_int_equal(parse(text, (size_t)len, &maps), 0);
	assert_int_equal(maps.count, 2);
	assert_int_equal(maps.list[1].inode, 6);
	assert_string_equal(maps.paths[1], "/b");
	free(text);
}

/* A child that waits until it is killed. */
static pid_t start_child(const char *name)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_info(void **state)
{
	pid_t child = start_child(") R 1 (\n");
	struct proc_info info;
	struct timespec now;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	assert_int_equal(proc_info_read(child, &info), 0);
	assert_int_equal(info.pid, child);
	assert_int_equal(info.ppid, getpid());
	assert_string_equal(info.comm, ") R 1 (\n");
	assert_true(info.argc >= 1 && info.argv[info.argc] == NULL);
	assert_non_null(strstr(info.argv[0], "test_"));
	assert_non_null(info.cgroup);
	assert_int_equal(info.start_ticks, proc_start_ticks(child));
	assert_true(proc_start_wall(child) <= (double)now.tv_sec + 2);
	assert_true(proc_start_wall(child) > (double)now.tv_sec - 30);
	assert_true(proc_rss_bytes(child) > 0);
	proc_info_fini(&info);

	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_info_read(child, &info), 0);
	assert_int_equal(info.state, 'Z');
	assert_int_equal(info.argc, 0);
	proc_info_fini(&info);
	assert_int_equal(proc_rss_bytes(child), -ESRCH);
	end_child(child);
	assert_int_equal(proc_info_read(child, &info), -ESRCH);
	assert_int_equal(proc_start_ticks(child), 0);
	assert_true(proc_start_wall(child) == 0);
	assert_int_equal(proc_rss_bytes(child), -ESRCH);
	assert_int_equal(proc_maps_each(child, collect, NULL), -ESRCH);
	assert_int_equal(proc_info_read(0, &info), -ESRCH);
	assert_int_equal(proc_info_read(-1, &info), -ESRCH);
}

static void test_read_memory(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *area =
		mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char buf[256];
	pid_t child;

	(void)state;
	assert_true(area != MAP_FAILED);
	memset(area, 0xa5, 2 * page);
	assert_int_equal(munmap(area + 2 * page, page), 0);
	child = start_child("memory");
	memset(area, 0, 2 * page); /* ours; the child has a copy */
	assert_int_equal(proc_read_memory(child, (uintptr_t)area, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(buf[0], 0xa5);
	assert_int_equal(proc_read_memory(child, (uintptr_t)area + 2 * page - 100, buf, 256), 100);
	assert_int_equal(buf[99], 0xa5);
	assert_int_equal(proc_read_memory(child, 8, buf, 8), -EFAULT);
	assert_int_equal(proc_read_memory(child, UINT64_MAX - 3, buf, 8), -EFAULT);
	assert_int_equal(proc_read_memory(child, 1ull << 63, buf, 8), -EFAULT);
	end_child(child);
	assert_int_equal(proc_read_memory(child, (uintptr_t)area, buf, 8), -ESRCH);
	assert_int_equal(proc_read_memory(0, (uintptr_t)area, buf, 8), -ESRCH);
	munmap(area, 2 * page);
}

struct open_test {
	uint64_t addr;
	int result, stat_result;
	char byte;
};

static int open_at(const struct proc_mapping *mapping, void *arg)
{
	struct open_test *test = arg;
	struct stat st;
	int fd;

	if (test->addr < mapping->start || test->addr >= mapping->end)
		return 0;
	test->stat_result = proc_stat_mapping(getpid(), mapping, &st);
	fd = proc_open_mapping(getpid(), mapping);
	test->result = fd;
	if (fd >= 0) {
		test->result = pread(fd, &test->byte, 1, 0) == 1 ? 0 : -EIO;
		close(fd);
	}
	return 1;
}

static void test_open_mapping(void **state)
{
	struct proc_mapping gone = {.start = 4096, .end = 8192, .inode = 1, .path = "/nowhere"};
	char name[] = "/tmp/pymem-mapping-XXXXXX";
	struct open_test test = {0};
	int fd = mkstemp(name);
	void *area;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "Q", 1), 1);
	area = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(area != MAP_FAILED);
	test.addr = (uintptr_t)area;
	assert_int_equal(proc_maps_each(getpid(), open_at, &test), 1);
	assert_int_equal(test.result, 0);
	assert_int_equal(test.byte, 'Q');
	unlink(name);
	close(fd);
	if (geteuid() == 0) { /* without map_files, a deleted file can't be found */
		test.byte = 0;
		assert_int_equal(proc_maps_each(getpid(), open_at, &test), 1);
		assert_int_equal(test.result, 0);
		assert_int_equal(test.byte, 'Q');
		assert_int_equal(proc_open_mapping(getpid(), &gone), -ENOENT);
	} else {
		print_message("SKIP: deleted files: not root\n");
	}
	munmap(area, 1);
	/* A device is never opened. */
	fd = open("/dev/zero", O_RDWR);
	area = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	test.addr = (uintptr_t)area;
	assert_int_equal(proc_maps_each(getpid(), open_at, &test), 1);
	assert_int_equal(test.result, -ENODEV);
	assert_int_equal(test.stat_result, -ENODEV);
	munmap(area, 4096);
}

static int find_self(pid_t pid, void *arg)
{
	(*(int *)arg)++;
	return pid == getpid() ? 42 : 0;
}

#define ROLLUP "55d-7ff ---p 0 00:00 0 [rollup]\nRss: 10240 kB\nPss: 4096 kB\nPss_Anon: 1 kB\n"

static void test_rollup(void **state)
{
	struct proc_rollup rollup;

	(void)state;
	assert_int_equal(proc_rollup_parse(ROLLUP "SwapPss:   512 kB\n", &rollup), 0);
	assert_int_equal(rollup.rss_bytes, 10 << 20);
	assert_int_equal(rollup.pss_bytes, 4 << 20);
	assert_int_equal(rollup.swap_pss_bytes, 512 << 10);
	assert_int_equal(proc_rollup_parse("", &rollup), -ESRCH);
	assert_int_equal(proc_rollup_parse(ROLLUP, &rollup), -EBADMSG);
	assert_int_equal(proc_rollup_parse("\nRss: -1 kB\nPss: 1 kB\nSwapPss: 0 kB\n", &rollup),
			 -EBADMSG);
	assert_int_equal(
		proc_rollup_parse("\nRss: 1 kB\nPss: 99999999999999999 kB\nSwapPss: 0 kB\n",
				  &rollup),
		-EBADMSG);
	assert_in_range(proc_rss_bytes(getpid()), 1, 1ll << 40);
}

static void test_cgroup(void **state)
{
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	static const struct {
		const char *text, *path;
	} cases[] = {
		{"", ""},
		{"\n:\n::\n", ""},
		{"0::/system.slice/a.service\n", "/system.slice/a.service"},
		{"0::/a:b\n", "/a:b"},
		{"9:name=systemd:/x\n4:cpu,memory:/y\n", "/y"},
		{"9:name=systemd:/x\n4:memoryx:/y\n", "/x"},
		{"9:name=systemd:/x\n4:memory:/y\n0::/\n", "/"},
		/* Docker on a host with both versions, by the driver cgroupfs */
		{"12:pids:/docker/" ID "\n4:memory:/docker/" ID "\n1:name=systemd:/docker/" ID
		 "\n0::/system.slice/containerd.service\n",
		 "/docker/" ID},
		{"4:memory:/docker/" ID "\n0::/system.slice/docker-" ID ".scope\n",
		 "/system.slice/docker-" ID ".scope"},
		{"5:devices:/lxc/web\n4:memory:/docker/" ID "\n0::/\n", "/docker/" ID},
		{"5:devices:/lxc/web\n4:memory:/\n0::/\n", "/lxc/web"},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].text);
		assert_string_equal(proc_choose_cgroup(text), cases[i].path);
	}
}

static void test_each(void **state)
{
	int seen = 0;

	(void)state;
	assert_int_equal(proc_each(find_self, &seen), 42);
	assert_true(seen > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),	    cmocka_unit_test(test_ns_pid),
		cmocka_unit_test(test_stat_bad),    cmocka_unit_test(test_maps),
		cmocka_unit_test(test_maps_bad),    cmocka_unit_test(test_info),
		cmocka_unit_test(test_read_memory), cmocka_unit_test(test_open_mapping),
		cmocka_unit_test(test_each),	    cmocka_unit_test(test_rollup),
		cmocka_unit_test(test_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
