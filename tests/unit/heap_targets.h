/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes of a test that snapshots are taken of. To be included behind cmocka.h. */
#ifndef HEAP_TARGETS_H
#define HEAP_TARGETS_H

#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_heap.h"
#include "os/proc.h"
#include "zero_page.h"

#define PAGE FAKE_PAGE

/* What a child of the test does once it is told; the parent reads what it says. */
struct target {
	pid_t pid;
	int to, from;
};

static FAKE_UNUSED char say(int fd, uint64_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : 1;
}

static FAKE_UNUSED uint64_t hear(int fd)
{
	uint64_t value = 0;

	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

static FAKE_UNUSED struct target start(void (*body)(int from, int to))
{
	struct target t;
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	t.pid = fork();
	if (t.pid == 0) {
		close(in[1]);
		close(out[0]);
		body(in[0], out[1]);
		_exit(0);
	}
	close(in[0]);
	close(out[1]);
	t.to = in[1];
	t.from = out[0];
	return t;
}

static FAKE_UNUSED void finish(struct target *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	close(t->to);
	close(t->from);
}

static FAKE_UNUSED void wait_for_end(int from)
{
	char byte;

	while (read(from, &byte, 1) > 0)
		;
}

/* Pages with their number; one is never touched, one is read only, one not readable. */
#define PATTERN_PAGES 40
static FAKE_UNUSED void pattern(int from, int to)
{
	char *at = mmap(NULL, PATTERN_PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(at, PATTERN_PAGES * PAGE, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < PATTERN_PAGES; i++) {
		if (i != 7)
			memcpy(at + i * PAGE + 8, &i, sizeof(i));
	}
	/* A page of zeros that is mapped, and in no RSS. */
	if (((volatile char *)at)[7 * PAGE])
		_exit(1);
	mprotect(at + 20 * PAGE, PAGE, PROT_READ);
	mprotect(at + 30 * PAGE, PAGE, PROT_NONE);
	say(to, (uintptr_t)at);
	wait_for_end(from);
}

/* Of a target that has come to rest in read(). */
static FAKE_UNUSED int64_t rss_of(pid_t pid)
{
	int64_t rss = -1, before;
	struct proc_info info;

	do {
		usleep(1000);
		before = rss;
		rss = proc_rss_bytes(pid);
	} while (proc_stat_read(pid, &info) || info.state != 'S' || rss != before);
	return rss;
}

static FAKE_UNUSED void check_pattern(const struct snapshot *s, uint64_t at)
{
	for (uint64_t i = 0; i < PATTERN_PAGES; i++) {
		if (i != 7 && i != 30)
			assert_int_equal(snapshot_word(s, at + i * PAGE + 8), i);
	}
	if (has_zero_page())
		assert_int_equal(snapshot_page(s, at + 7 * PAGE), 0);
	assert_int_equal(snapshot_page(s, at + 30 * PAGE), PAGE_RESIDENT);
	assert_null(snapshot_at(s, at + 30 * PAGE, 1));
	assert_true(snapshot_region_of(s, at + 20 * PAGE)->readable);
	assert_false(snapshot_region_of(s, at + 20 * PAGE)->writable);
}

static FAKE_UNUSED void rest(int from, int to)
{
	say(to, 0);
	wait_for_end(from);
}

#endif
