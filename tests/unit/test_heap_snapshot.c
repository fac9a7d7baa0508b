/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Snapshots: what is read of a file that may say anything, and what is taken of a process that is
 * there, that ends, that is traced, that holds reading up.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "fake_heap.h"
#include "os/proc.h"

#define BASE 0x7f1000000000ull
#define PAGE FAKE_PAGE

/* --- files --- */

/* Three regions; in the second a page that is not there and one that was not copied. */
static void make_three(struct fake_heap *h)
{
	fake_init(h);
	fake_region(h, BASE, BASE + 4 * PAGE, REGION_FILE, 5, "/lib/libc.so.6");
	fake_region(h, BASE + 8 * PAGE, BASE + 16 * PAGE, REGION_ANONYMOUS, 6, "");
	fake_region(h, BASE + 16 * PAGE, BASE + 18 * PAGE, REGION_SHARED, 6, "/dev/shm/x");
	fake_state(h, BASE, PAGE_RESIDENT | PAGE_FILE);
	for (unsigned i = 8; i < 16; i++)
		fake_word(h, BASE + i * PAGE, i);
	fake_state(h, BASE + 10 * PAGE, 0);
	fake_state(h, BASE + 13 * PAGE, PAGE_RESIDENT);
	fake_state(h, BASE + 15 * PAGE, PAGE_SWAPPED);
	fake_state(h, BASE + 16 * PAGE, PAGE_RESIDENT | PAGE_FILE);
	h->threads[0] = (struct snapshot_file_thread){77, BASE + 9 * PAGE};
	h->thread_count = 1;
}

static void check_three(const struct snapshot *s)
{
	const struct snapshot_thread *threads;
	uint64_t start, end;

	assert_int_equal(snapshot_regions(s), 3);
	assert_string_equal(snapshot_region(s, 0)->name, "/lib/libc.so.6");
	assert_int_equal(snapshot_rss_bytes(s), (1 + 6 + 1) * PAGE);
	assert_int_equal(snapshot_swapped_bytes(s), PAGE);
	assert_int_equal(snapshot_region(s, 1)->resident_bytes, 6 * PAGE);
	assert_int_equal(snapshot_region(s, 1)->copied_bytes, 5 * PAGE);
	assert_int_equal(snapshot_page(s, BASE + 13 * PAGE + 5), PAGE_RESIDENT);
	assert_int_equal(snapshot_page(s, BASE + 10 * PAGE), 0);
	assert_int_equal(snapshot_page(s, 0), 0);
	assert_int_equal(snapshot_page(s, UINT64_MAX), 0);
	assert_int_equal(snapshot_threads(s, &threads), 1);
	assert_int_equal(threads[0].tid, 77);
	assert_ptr_equal(snapshot_region_of(s, BASE + 8 * PAGE), snapshot_region(s, 1));
	assert_null(snapshot_region_of(s, BASE + 4 * PAGE));
	assert_null(snapshot_region_of(s, 0));
	assert_null(snapshot_region_of(s, BASE + 18 * PAGE));
	assert_true(snapshot_mapping_of(s, BASE + 17 * PAGE, &start, &end));
	assert_int_equal(start, BASE + 16 * PAGE);
	assert_int_equal(end, BASE + 18 * PAGE);
	assert_false(snapshot_mapping_of(s, BASE + 5 * PAGE, &start, &end));
}

static void test_at(void **state)
{
	struct fake_heap h;
	struct snapshot *s;

	(void)state;
	make_three(&h);
	s = fake_snapshot(&h);
	check_three(s);
	assert_int_equal(snapshot_word(s, BASE + 8 * PAGE), 8);
	assert_int_equal(snapshot_word(s, BASE + 9 * PAGE), 9);
	assert_non_null(snapshot_at(s, BASE + 8 * PAGE, 2 * PAGE));
	assert_null(snapshot_at(s, BASE + 8 * PAGE, 2 * PAGE + 1));
	assert_non_null(snapshot_at(s, BASE + 9 * PAGE - 1, 1));
	assert_non_null(snapshot_at(s, BASE + 9 * PAGE - 1, 2));
	assert_null(snapshot_at(s, BASE + 9 * PAGE, 3 * PAGE)); /* what is between is missing */
	assert_null(snapshot_at(s, BASE + 12 * PAGE, 3 * PAGE));
	assert_null(snapshot_at(s, BASE + 13 * PAGE, 1));
	assert_null(snapshot_at(s, BASE + 14 * PAGE, SIZE_MAX));
	assert_null(snapshot_at(s, BASE + 14 * PAGE, 1ull << 62));
	assert_null(snapshot_at(s, UINT64_MAX, 8));
	assert_non_null(snapshot_at(s, BASE + 14 * PAGE, 0));
	assert_int_equal(snapshot_word(s, BASE + 13 * PAGE), 0);
	assert_int_equal(snapshot_resident(s, BASE + 9 * PAGE + 100, BASE + 12 * PAGE + 1),
			 PAGE - 100 + PAGE + 1);
	assert_int_equal(snapshot_resident(s, UINT64_MAX - 10, UINT64_MAX), 0);
	assert_int_equal(snapshot_read_live(s, BASE, &h, 8), -ENOTCONN);
	snapshot_free(s);
	fake_fini(&h);
}

static void test_save(void **state)
{
	struct fake_heap h;
	struct snapshot *s, *again;
	int fd = memfd_create("saved", MFD_CLOEXEC);
	char text[16] = "";

	(void)state;
	make_three(&h);
	s = fake_snapshot(&h);
	assert_int_equal(snapshot_save(s, fd), 0);
	assert_int_equal(snapshot_load(fd, &again), 0);
	check_three(again);
	assert_int_equal(snapshot_word(again, BASE + 14 * PAGE), 14);
	assert_int_equal(snapshot_read_live(again, BASE + 1, text, 4), -ENOTCONN);
	snapshot_free(again);
	snapshot_free(s);
	close(fd);
	fake_fini(&h);
}

/* Sets a field of the header. */
#define SPOIL(name, value)                                               \
	do {                                                             \
		struct snapshot_header header_;                          \
		memcpy(&header_, f.bytes, sizeof(header_));              \
		header_.name = (value);                                  \
		memcpy(bytes, f.bytes, f.size);                          \
		memcpy(bytes, &header_, sizeof(header_));                \
		assert_int_equal(fake_load(bytes, f.size, &s), -EINVAL); \
		assert_null(s);                                          \
	} while (0)

static void test_hostile_header(void **state)
{
	struct fake_heap h;
	struct fake_file f;
	struct snapshot *s;
	unsigned char *bytes;

	(void)state;
	make_three(&h);
	fake_file(&h, &f);
	bytes = malloc(f.size);
	SPOIL(magic[0], 'x');
	SPOIL(page_shift, 11);
	SPOIL(page_shift, 17);
	SPOIL(page_shift, UINT32_MAX);
	SPOIL(regions, UINT64_MAX);
	SPOIL(regions, 2);
	SPOIL(regions, SNAPSHOT_REGIONS_MAX);
	SPOIL(mappings, UINT64_MAX);
	SPOIL(mappings, 1ull << 60);
	SPOIL(runs, UINT64_MAX / 8);
	SPOIL(runs, 1ull << 40);
	SPOIL(threads, 1ull << 59);
	SPOIL(live, UINT64_MAX);
	SPOIL(live, 1);
	SPOIL(names_bytes, 0);
	SPOIL(names_bytes, UINT64_MAX);
	SPOIL(names_bytes, 1);
	SPOIL(data_pages, UINT64_MAX);
	SPOIL(data_pages, 1);
	SPOIL(data_pages, 6);
	SPOIL(meta_offset, 0);
	SPOIL(meta_offset, SNAPSHOT_DATA + 4);
	SPOIL(meta_offset, UINT64_MAX - 7);
	assert_int_equal(fake_load(f.bytes, SNAPSHOT_DATA - 1, &s), -EINVAL);
	for (size_t size = SNAPSHOT_DATA; size < f.size; size += 512)
		assert_int_equal(fake_load(f.bytes, size, &s), -EINVAL);
	free(bytes);
	free(f.bytes);
	fake_fini(&h);
}

/* Overwrites the bytes at `offset` behind the records' beginning. */
static int load_spoilt(const struct fake_file *f, size_t offset, const void *with, size_t size)
{
	unsigned char *bytes = malloc(f->size);
	struct snapshot_header header;
	struct snapshot *s;
	int err;

	memcpy(bytes, f->bytes, f->size);
	memcpy(&header, bytes, sizeof(header));
	memcpy(bytes + header.meta_offset + offset, with, size);
	err = fake_load(bytes, f->size, &s);
	snapshot_free(s);
	free(bytes);
	return err;
}

#define RUNS_AT (3 * sizeof(struct snapshot_file_region) + 3 * sizeof(struct snapshot_file_mapping))

static void test_hostile_records(void **state)
{
	const struct snapshot_file_region regions[] = {
		{BASE, BASE, REGION_FILE, 5, 0},
		{BASE + 1, BASE + 4 * PAGE, REGION_FILE, 5, 0},
		{BASE, BASE + 9 * PAGE, REGION_FILE, 5, 0},
		{BASE, BASE + 4 * PAGE, 77, 5, 0},
		{BASE, BASE + 4 * PAGE, REGION_FILE, 5, 1 << 20},
		{BASE + PAGE, BASE + 4 * PAGE, REGION_FILE, 5, 0},
	};
	const struct snapshot_run runs[] = {
		{BASE, 0, PAGE_RESIDENT},
		{BASE, 5, PAGE_RESIDENT},
		{BASE + 8, 1, PAGE_RESIDENT},
		{BASE, UINT32_MAX, PAGE_RESIDENT},
		{BASE, 1, PAGE_COPIED},
		{BASE, 1, PAGE_COPIED | PAGE_RESIDENT},
		{UINT64_MAX - PAGE + 1, 1, PAGE_RESIDENT},
		{BASE + 8 * PAGE, 4, PAGE_RESIDENT},
	};
	const struct snapshot_file_mapping mapping = {BASE + 5 * PAGE, BASE + 5 * PAGE};
	struct fake_heap h;
	struct fake_file f;

	(void)state;
	make_three(&h);
	fake_file(&h, &f);
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		assert_int_equal(load_spoilt(&f, 0, &regions[i], sizeof(regions[i])), -EINVAL);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		assert_int_equal(load_spoilt(&f, RUNS_AT, &runs[i], sizeof(runs[i])), -EINVAL);
	assert_int_equal(
		load_spoilt(&f, 3 * sizeof(struct snapshot_file_region), &mapping, sizeof(mapping)),
		-EINVAL);
	free(f.bytes);
	fake_fini(&h);
}

/* An address that has no place in the table of pages: counted, never read. */
static void test_beyond(void **state)
{
	const uint64_t far = 1ull << 52;
	struct fake_heap h;
	struct snapshot *s;

	(void)state;
	fake_init(&h);
	fake_region(&h, BASE, BASE + PAGE, REGION_ANONYMOUS, 6, "");
	fake_region(&h, far, far + 2 * PAGE, REGION_ANONYMOUS, 6, "");
	fake_word(&h, BASE, 1);
	fake_word(&h, far, 2);
	s = fake_snapshot(&h);
	assert_int_equal(snapshot_rss_bytes(s), 2 * PAGE);
	assert_null(snapshot_at(s, far, 8));
	assert_int_equal(snapshot_word(s, BASE), 1);
	snapshot_free(s);
	fake_fini(&h);
}

/* --- processes --- */

/* What a child of the test does once it is told; the parent reads what it says. */
struct target {
	pid_t pid;
	int to, from;
};

static char say(int fd, uint64_t value)
{
	return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : 1;
}

static uint64_t hear(int fd)
{
	uint64_t value = 0;

	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

static struct target start(void (*body)(int from, int to))
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

static void finish(struct target *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	close(t->to);
	close(t->from);
}

static void wait_for_end(int from)
{
	char byte;

	while (read(from, &byte, 1) > 0)
		;
}

/* Pages with their number; one is never touched, one is read only, one not readable. */
#define PATTERN_PAGES 40
static void pattern(int from, int to)
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
static int64_t rss_of(pid_t pid)
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

static void check_pattern(const struct snapshot *s, uint64_t at)
{
	for (uint64_t i = 0; i < PATTERN_PAGES; i++) {
		if (i != 7 && i != 30)
			assert_int_equal(snapshot_word(s, at + i * PAGE + 8), i);
	}
	assert_int_equal(snapshot_page(s, at + 7 * PAGE), 0);
	assert_int_equal(snapshot_page(s, at + 30 * PAGE), PAGE_RESIDENT);
	assert_null(snapshot_at(s, at + 30 * PAGE, 1));
	assert_true(snapshot_region_of(s, at + 20 * PAGE)->readable);
	assert_false(snapshot_region_of(s, at + 20 * PAGE)->writable);
}

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

static void rest(int from, int to)
{
	say(to, 0);
	wait_for_end(from);
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
#define ROUNDS	20

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
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_hostile_header),
		cmocka_unit_test(test_hostile_records),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_take_paused),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_held_up),
		cmocka_unit_test(test_interrupted),
	};

	return cmocka_run_group_tests_name("heap_snapshot", tests, NULL, NULL);
}
