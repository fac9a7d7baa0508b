/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/pss_book.c, python/pss_reader.c, and the families of render/metrics_text.c: whose turn it
 * is, sums that say what they lack, and what the kernel says of processes that share memory. */
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
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/metric_book.h"
#include "model/pss_book.h"
#include "python/pss_reader.h"
#include "render/metrics_text.h"

#define PAGE   4096
#define MIB    (1 << 20)
#define SHARED (64 * MIB)

static void note(struct pss_book *book, uint32_t image, int64_t rss)
{
	const struct pss_process process = {.image = image, .pid = (pid_t)image, .rss_bytes = rss};

	assert_int_equal(pss_book_note(book, &process), 0);
}

static struct pss_book *book_of(uint32_t images)
{
	struct pss_book *book = pss_book_new();

	assert_non_null(book);
	pss_book_begin(book);
	for (uint32_t i = 1; i <= images; i++)
		note(book, i, i * MIB);
	pss_book_settle(book);
	return book;
}

/* --- turns --- */

/* The smallest first, then the largest first, each once in a round, and no other round before it is
 * due. */
static void test_round(void **state)
{
	struct pss_book *book = book_of(3);

	(void)state;
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(pss_book_next(book, 100).image, i);
	assert_int_equal(pss_book_next(book, 101).image, 0);
	assert_int_equal(pss_book_next(book, 109.9).image, 0);
	for (uint32_t i = 3; i > 0; i--)
		assert_int_equal(pss_book_next(book, 110).image, i);
	pss_book_free(book);
}

/* However many processes come, and however large, those of the round have their turns. */
static void test_newcomers(void **state)
{
	struct pss_book *book = book_of(20);
	uint32_t next = 21;
	unsigned of_round = 0, newcomers = 0;

	(void)state;
	assert_int_equal(pss_book_next(book, 100).image, 1);
	for (int i = 0; i < 38; i++, next++) {
		uint32_t image;

		note(book, next, 1000 * MIB);
		image = pss_book_next(book, 100).image;
		assert_true(image);
		of_round += image <= 20;
		newcomers += image > 20;
	}
	assert_int_equal(of_round, 19);
	assert_int_equal(newcomers, 19);
	pss_book_free(book);
}

/* One that comes in a pause is read then. */
static void test_newcomer_in_a_pause(void **state)
{
	struct pss_book *book = book_of(1);

	(void)state;
	assert_int_equal(pss_book_next(book, 100).image, 1);
	assert_int_equal(pss_book_next(book, 101).image, 0);
	note(book, 7, MIB);
	assert_int_equal(pss_book_next(book, 101).image, 7);
	assert_int_equal(pss_book_next(book, 101).image, 0);
	pss_book_free(book);
}

static void test_nobody(void **state)
{
	struct pss_book *book = book_of(0);

	(void)state;
	assert_int_equal(pss_book_next(book, 100).image, 0);
	note(book, 1, MIB);
	assert_int_equal(pss_book_next(book, 100).image, 1);
	pss_book_begin(book);
	pss_book_settle(book);
	assert_int_equal(pss_book_next(book, 200).image, 0);
	pss_book_free(book);
}

/* --- sums --- */

static struct model_process *add(struct model *model, uint32_t id, const char *script,
				 const char *cgroup)
{
	char *argv[] = {"python3", (char *)script, NULL};
	struct model_process *p =
		model_add_process(model, (int)id, 1, "python3", argv, cgroup, "3.11.2", "walk");

	assert_non_null(p);
	p->id = id;
	p->rss_end_bytes = p->rss_start_bytes = p->rss_peak_bytes = (int64_t)id * MIB;
	return p;
}

static const struct group_sum *row(const struct group_sums *sums, const char *name)
{
	for (size_t i = 0; i < sums->count; i++)
		if (!strcmp(sums->list[i].name, name))
			return &sums->list[i];
	return NULL;
}

static struct group_sums sums_of(struct metric_book *book, const struct pss_book *pss,
				 struct model *model, enum model_by by, size_t *states)
{
	struct group_sums sums;

	assert_int_equal(model_compute(model), 0);
	assert_int_equal(metric_book_sums(book, model, 0, &sums), 0);
	assert_int_equal(pss_book_put(pss, model, by, 150, &sums, states), 0);
	return sums;
}

static char *text_of(const struct group_sums *sums, const struct model *model)
{
	char *text = NULL;
	size_t size;
	struct metrics m = {
		.form.out = open_memstream(&text, &size),
		.prefix = "pymem_",
		.by = MODEL_BY_PROGRAM,
		.model = model,
		.sums = sums,
		.counters = true,
		.swap = true,
		.shares = true,
	};

	assert_non_null(m.form.out);
	metrics_groups(&m);
	assert_int_equal(fclose(m.form.out), 0);
	return text;
}

/* A sum has what was read, says how old that is, and how many it lacks. A program of which nothing
 * is known has no sum, and certainly not 0. */
static void test_sums(void **state)
{
	struct metric_book *programs = metric_book_new(MODEL_BY_PROGRAM, 2);
	struct model *model = model_new(PAGE);
	struct pss_book *pss = book_of(5);
	size_t states[PSS_STATE_COUNT];
	struct group_sums sums;
	char *text;

	(void)state;
	assert_non_null(programs);
	add(model, 1, "small.py", "");
	add(model, 3, "shop.py", "");
	add(model, 4, "shop.py", "");
	add(model, 5, "silent.py", "");
	add(model, 6, "shop.py", "")->exited = true;
	pss_book_add(pss, 1, PSS_READ, 7, 1, 130);
	pss_book_add(pss, 3, PSS_READ, 100, 10, 140);
	pss_book_add(pss, 4, PSS_READ, 1000, 20, 120);
	pss_book_add(pss, 5, PSS_REFUSED, -1, -1, 120);
	sums = sums_of(programs, pss, model, MODEL_BY_PROGRAM, states);
	assert_int_equal(row(&sums, "shop.py")->pss.bytes, 1100);
	assert_int_equal(row(&sums, "shop.py")->pss.swap_bytes, 30);
	assert_int_equal(row(&sums, "shop.py")->pss.processes, 2);
	assert_true(row(&sums, "shop.py")->pss.age == 30);
	assert_int_equal(row(&sums, "silent.py")->pss.processes, 0);
	assert_true(row(&sums, "silent.py")->pss.age == -1);
	assert_int_equal(row(&sums, GROUP_SUMS_REST)->pss.bytes, 7);
	assert_int_equal(states[PSS_READ], 3);
	assert_int_equal(states[PSS_REFUSED], 1);
	text = text_of(&sums, model);
	assert_non_null(strstr(text, "\npymem_pss_bytes{program=\"shop.py\",where=\"\"} 1100\n"));
	assert_non_null(
		strstr(text, "\npymem_swap_pss_bytes{program=\"shop.py\",where=\"\"} 30\n"));
	assert_non_null(
		strstr(text, "\npymem_pss_age_seconds{program=\"shop.py\",where=\"\"} 30.000\n"));
	assert_non_null(strstr(text, "\npymem_pss_bytes{program=\"(other)\",where=\"\"} 7\n"));
	assert_null(strstr(text, "\npymem_pss_bytes{program=\"silent.py\""));
	assert_null(strstr(text, "\npymem_pss_age_seconds{program=\"silent.py\""));
	assert_non_null(
		strstr(text, "\npymem_pss_unread_processes{program=\"silent.py\",where=\"\"} 1\n"));
	free(text);
	group_sums_free(&sums);
	/* What was read before counts no more when it can't be read now. */
	pss_book_add(pss, 4, PSS_HELD_UP, -1, -1, 149);
	sums = sums_of(programs, pss, model, MODEL_BY_PROGRAM, states);
	assert_int_equal(row(&sums, "shop.py")->pss.bytes, 100);
	assert_int_equal(row(&sums, "shop.py")->pss.processes, 1);
	assert_true(row(&sums, "shop.py")->pss.age == 10);
	text = text_of(&sums, model);
	assert_non_null(
		strstr(text, "\npymem_pss_unread_processes{program=\"shop.py\",where=\"\"} 1\n"));
	free(text);
	group_sums_free(&sums);
	metric_book_free(programs);
	model_free(model);
	pss_book_free(pss);
}

/* Sums by container are those by program; a program without processes has 0, and lacks nothing. */
static void test_both_kinds(void **state)
{
	struct metric_book *books[] = {metric_book_new(MODEL_BY_PROGRAM, 10),
				       metric_book_new(MODEL_BY_CONTAINER, 10)};
	static const enum model_by kinds[] = {MODEL_BY_PROGRAM, MODEL_BY_CONTAINER};
	char cgroup[] = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct model *model = model_new(PAGE);
	struct pss_book *pss = book_of(4);
	char *text;

	(void)state;
	add(model, 1, "a.py", cgroup);
	add(model, 2, "a.py", "");
	add(model, 3, "b.py", cgroup);
	add(model, 4, "gone.py", "")->exited = true;
	for (uint32_t i = 1; i <= 4; i++)
		pss_book_add(pss, i, PSS_READ, i * 10, i, 140);
	for (int i = 0; i < 2; i++) {
		struct group_sums sums = sums_of(books[i], pss, model, kinds[i], NULL);
		int64_t bytes = 0;

		for (size_t j = 0; j < sums.count; j++)
			bytes += sums.list[j].pss.bytes;
		assert_int_equal(bytes, 60);
		if (kinds[i] == MODEL_BY_CONTAINER) {
			assert_int_equal(row(&sums, "docker:0123456789ab")->pss.bytes, 40);
		} else {
			text = text_of(&sums, model);
			assert_non_null(strstr(
				text, "\npymem_pss_bytes{program=\"gone.py\",where=\"\"} 0\n"));
			free(text);
		}
		group_sums_free(&sums);
		metric_book_free(books[i]);
	}
	model_free(model);
	pss_book_free(pss);
}

/* Without the helper all is unknown, also of what comes later. */
static void test_no_helper(void **state)
{
	struct metric_book *programs = metric_book_new(MODEL_BY_PROGRAM, 10);
	struct model *model = model_new(PAGE);
	struct pss_book *pss = book_of(1);
	size_t states[PSS_STATE_COUNT];
	struct group_sums sums;

	(void)state;
	add(model, 1, "a.py", "");
	add(model, 2, "a.py", "");
	add(model, 3, "a.py", "");
	pss_book_add(pss, 1, PSS_READ, 10, 0, 100);
	pss_book_give_up(pss);
	note(pss, 2, MIB);
	assert_int_equal(pss_book_next(pss, 500).image, 0);
	sums = sums_of(programs, pss, model, MODEL_BY_PROGRAM, states);
	assert_int_equal(states[PSS_NO_HELPER], 3);
	assert_int_equal(row(&sums, "a.py")->pss.processes, 0);
	group_sums_free(&sums);
	metric_book_free(programs);
	model_free(model);
	pss_book_free(pss);
}

/* A process that is too large has no turn, what was known of it counts no more, and it is among
 * those of which nothing is known. */
static void test_too_large(void **state)
{
	struct metric_book *programs = metric_book_new(MODEL_BY_PROGRAM, 10);
	struct model *model = model_new(PAGE);
	struct pss_book *pss = book_of(2);
	size_t states[PSS_STATE_COUNT];
	struct group_sums sums;

	(void)state;
	add(model, 1, "a.py", "");
	add(model, 2, "a.py", "");
	pss_book_add(pss, 1, PSS_READ, 10, 0, 100);
	pss_book_add(pss, 2, PSS_READ, 100, 0, 100);
	note(pss, 2, PSS_RSS_MOST + 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pss_book_next(pss, 100 + 20 * i).image, 1);
		assert_int_equal(pss_book_next(pss, 101 + 20 * i).image, 0);
	}
	sums = sums_of(programs, pss, model, MODEL_BY_PROGRAM, states);
	assert_int_equal(states[PSS_TOO_LARGE], 1);
	assert_int_equal(row(&sums, "a.py")->pss.bytes, 10);
	assert_int_equal(row(&sums, "a.py")->pss.processes, 1);
	group_sums_free(&sums);
	/* It shrinks: it is read in its turn. */
	note(pss, 2, PSS_RSS_MOST);
	sums = sums_of(programs, pss, model, MODEL_BY_PROGRAM, states);
	assert_int_equal(states[PSS_WAITS], 1);
	group_sums_free(&sums);
	assert_int_equal(pss_book_next(pss, 200).image, 2);
	metric_book_free(programs);
	model_free(model);
	pss_book_free(pss);
}

/* However long readings take, they take a 500th of the time at most. What fails is tried a second
 * later. */
static void test_rest(void **state)
{
	static const uint64_t took[] = {0, 1000, 100200, 100201, 10000000, 350000000, 20000000000};
	static const uint64_t rests[] = {50000000,   50000000,	   50000000,	 499 * 100201ull,
					 4990000000, 174650000000, 9980000000000};
	uint64_t sum = 0, whole = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(took) / sizeof(took[0]); i++) {
		assert_int_equal(pss_rest_ns(0, took[i]), rests[i]);
		assert_int_equal(pss_rest_ns(-ESRCH, took[i]), rests[i]);
		sum += took[i];
		whole += took[i] + pss_rest_ns(0, took[i]);
		assert_true(500 * sum <= whole);
		assert_int_equal(pss_rest_ns(-ETIME, took[i]), 1000000000);
	}
}

static void test_states(void **state)
{
	static const int errors[PSS_STATE_COUNT] = {
		[PSS_READ] = 0,		[PSS_ENDED] = -ESRCH,	  [PSS_REFUSED] = -EACCES,
		[PSS_HELD_UP] = -ETIME, [PSS_NO_FILE] = -ENOTSUP, [PSS_FAILED] = -EBADMSG,
	};

	(void)state;
	for (int i = 0; i < PSS_STATE_COUNT; i++) {
		if (i != PSS_WAITS && i != PSS_NO_HELPER && i != PSS_TOO_LARGE)
			assert_int_equal(pss_state_of(errors[i]), i);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(pss_state_name(i), pss_state_name(j));
	}
}

/* --- the helper --- */

static struct pss_answer ask(const struct pss_reader *reader, pid_t pid)
{
	struct pollfd polled = {.fd = reader->socket, .events = POLLIN};
	struct pss_answer answer;

	assert_int_equal(pss_reader_ask(reader, pid), 0);
	assert_int_equal(poll(&polled, 1, 60000), 1);
	assert_int_equal(pss_reader_take(reader, &answer), 0);
	return answer;
}

/* In a child that has its memory and waits to be killed. */
static pid_t sharer(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	assert_true(pid > 0);
	return pid;
}

static int64_t own_reading(pid_t pid)
{
	char path[64], line[256];
	long kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (kib < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "Pss: %ld kB", &kib) != 1)
			kib = -1;
	fclose(file);
	return kib * 1024;
}

/* Three processes have 64 MiB together: RSS has them three times, PSS once. */
static void test_shared_memory(void **state)
{
	struct pss_reader reader = {};
	int64_t rss = 0, pss = 0, own = 0;
	pid_t pids[3] = {getpid()};
	char *memory;

	(void)state;
	assert_int_equal(pss_reader_fork(&reader), 0);
	/* Its examiner is forked from it, and has none of what comes now. */
	assert_int_equal(ask(&reader, getpid()).error, 0);
	memory = mmap(NULL, SHARED, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_true(memory != MAP_FAILED);
	pids[1] = sharer();
	pids[2] = sharer();
	for (int i = 0; i < 3; i++) {
		struct pss_answer answer = ask(&reader, pids[i]);

		assert_int_equal(answer.error, 0);
		assert_true(answer.took_ns > 0);
		rss += answer.rollup.rss_bytes;
		pss += answer.rollup.pss_bytes;
		own += own_reading(pids[i]);
	}
	assert_true(rss > 3 * (int64_t)SHARED);
	assert_true(pss > (int64_t)SHARED && pss < 2 * (int64_t)SHARED);
	assert_in_range(pss, own - MIB, own + MIB);
	for (int i = 1; i < 3; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	/* One that has ended. */
	assert_int_equal(ask(&reader, pids[1]).error, -ESRCH);
	/* What the two shared is this process's alone now. */
	assert_true(ask(&reader, pids[0]).rollup.pss_bytes > (int64_t)SHARED);
	munmap(memory, SHARED);
	pss_reader_end(&reader);
	pss_reader_end(&reader);
}

/* It is killed: who asks is told, and waits for nobody. */
static void test_helper_is_killed(void **state)
{
	struct pss_reader reader = {};
	struct pollfd polled = {.events = POLLIN};
	struct pss_answer answer;

	(void)state;
	assert_int_equal(pss_reader_fork(&reader), 0);
	assert_int_equal(pss_reader_take(&reader, &answer), -EAGAIN);
	kill(reader.helper, SIGKILL);
	polled.fd = reader.socket;
	assert_int_equal(poll(&polled, 1, 60000), 1);
	assert_int_not_equal(pss_reader_take(&reader, &answer), 0);
	assert_int_not_equal(pss_reader_ask(&reader, getpid()), 0);
	pss_reader_end(&reader);
}

/* The helper has nothing of what was open in the process that has forked it. */
static void test_helper_has_nothing_else(void **state)
{
	struct pss_reader reader = {};
	int open_before = open("/etc", O_RDONLY | O_DIRECTORY), sockets = 0, others = 0;
	char path[64], link[256];

	(void)state;
	/* Some say no more than that it is a socket: of these, it has few. */
	assert_true(open_before >= 0 && dup2(open_before, 200) == 200);
	assert_int_equal(pss_reader_fork(&reader), 0);
	assert_int_equal(ask(&reader, getpid()).error, 0);
	for (int fd = 0; fd < 256; fd++) {
		ssize_t got;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)reader.helper, fd);
		got = readlink(path, link, sizeof(link) - 1);
		if (got < 0)
			continue;
		link[got] = '\0';
		sockets += !strncmp(link, "socket:", 7) && fd > STDERR_FILENO;
		others += !strcmp(link, "/etc");
		if (fd < STDERR_FILENO)
			assert_string_equal(link, "/");
	}
	assert_int_equal(others, 0);
	/* Its own, and those of its examiner. */
	assert_in_range(sockets, 1, 3);
	pss_reader_end(&reader);
	close(open_before);
	close(200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_newcomers),
		cmocka_unit_test(test_newcomer_in_a_pause),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_both_kinds),
		cmocka_unit_test(test_no_helper),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_shared_memory),
		cmocka_unit_test(test_helper_is_killed),
		cmocka_unit_test(test_helper_has_nothing_else),
	};

	return cmocka_run_group_tests_name("pss_book", tests, NULL, NULL);
}
