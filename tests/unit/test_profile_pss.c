/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cli/profile_pss.c: whose PSS a recording reads. In place of the recorder and the helper there is
 * a table of processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/profile_pss.h"
#include "model/pss_book.h"

#define PROCESSES 4

static struct {
	int64_t bytes[PROCESSES]; /* of image 1, 2… */
	pid_t asked;		  /* last; 0: nobody */
	unsigned unknown[PROCESSES];
	loop_timer_fn *next;
	loop_fd_fn *answered;
	uint64_t after_ns;
} world;

pid_t recorder_next_image(const struct recorder *recorder, uint32_t *image)
{
	(void)recorder;
	return *image < PROCESSES ? (pid_t)(1000 + ++*image) : 0;
}

int64_t recorder_image_pages(const struct recorder *recorder, uint32_t image)
{
	(void)recorder;
	return world.bytes[image - 1] / sysconf(_SC_PAGESIZE);
}

void recorder_add_pss(struct recorder *recorder, uint32_t image, int64_t bytes, int64_t swap_bytes)
{
	(void)recorder;
	assert_int_equal(bytes, swap_bytes);
	world.unknown[image - 1] += bytes < 0;
}

int pss_reader_fork(struct pss_reader *reader)
{
	reader->helper = 1;
	return 0;
}

int pss_reader_ask(const struct pss_reader *reader, pid_t pid)
{
	(void)reader;
	world.asked = pid;
	return 0;
}

int pss_reader_take(const struct pss_reader *reader, struct pss_answer *answer)
{
	(void)reader;
	*answer = (struct pss_answer){.took_ns = 1000,
				      .rollup = {.pss_bytes = 7, .swap_pss_bytes = 7}};
	return 0;
}

void pss_reader_end(struct pss_reader *reader)
{
	reader->helper = 0;
}

int loop_add(struct loop *loop, struct loop_fd *source, int fd, uint32_t events, loop_fd_fn *fn,
	     void *arg)
{
	(void)loop, (void)source, (void)fd, (void)events, (void)arg;
	world.answered = fn;
	return 0;
}

void loop_remove(struct loop_fd *source)
{
	(void)source;
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ns,
		      uint64_t every_ns, loop_timer_fn *fn, void *arg)
{
	(void)loop, (void)timer, (void)every_ns, (void)arg;
	world.after_ns = after_ns;
	world.next = fn;
}

void loop_timer_stop(struct loop_timer *timer)
{
	(void)timer;
}

/* The next turn: the process that is read in it; 0: the round is over. */
static pid_t turn(struct profile_pss *pss)
{
	world.asked = 0;
	world.next(pss);
	if (world.asked)
		world.answered(pss, 0);
	return world.asked;
}

static void test_large_ones_are_left_out(void **state)
{
	struct profile_pss pss = {};
	const int64_t page = sysconf(_SC_PAGESIZE);

	(void)state;
	world.bytes[0] = PSS_RSS_MOST + page;
	world.bytes[1] = PSS_RSS_MOST;
	world.bytes[2] = 2 * PSS_RSS_MOST;
	world.bytes[3] = page;
	assert_int_equal(profile_pss_fork(&pss), 0);
	assert_int_equal(profile_pss_watch(&pss, NULL, NULL), 0);
	for (int round = 1; round <= 2; round++) {
		assert_int_equal(turn(&pss), 1002);
		assert_int_equal(turn(&pss), 1004);
		assert_int_equal(turn(&pss), 0);
		assert_int_equal(pss.made, 2 * round);
		assert_int_equal(world.unknown[0], round);
		assert_int_equal(world.unknown[2], round);
	}
	assert_int_equal(pss.too_large, 2);
	/* Smaller again: it is read, and that it was not stays said. */
	world.bytes[0] = page;
	assert_int_equal(turn(&pss), 1001);
	assert_int_equal(world.unknown[1], 0);
	assert_int_equal(pss.too_large, 2);
	/* None can be read: the round is over at once, and no turn is one without an end. */
	for (int i = 0; i < PROCESSES; i++)
		world.bytes[i] = 2 * PSS_RSS_MOST;
	assert_int_equal(turn(&pss), 0);
	assert_int_equal(turn(&pss), 0);
	assert_true(world.after_ns > 0);
	assert_int_equal(pss.too_large, PROCESSES);
	profile_pss_end(&pss);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_ones_are_left_out),
	};

	return cmocka_run_group_tests_name("PSS of a recording", tests, NULL, NULL);
}
