/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* track/: what can't be learned of a process at one time, and how long learning it may take. The
 * clock is the test's own, so ten seconds pass at once. */
#include "tracker_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"

#define CHILDREN 3
#define LOOK_MS	 1500
#define LIMIT_MS 2000 /* tracker.c, tracker_children.c: nothing is examined after that */

/* --- the clock --- */

static uint64_t now_ms = 1000000;

uint64_t clock_ms(clockid_t clock)
{
	(void)clock;
	return now_ms;
}

uint64_t clock_ns(clockid_t clock)
{
	return clock_ms(clock) * 1000000;
}

double clock_seconds(clockid_t clock)
{
	return (double)clock_ms(clock) / 1e3;
}

struct timespec clock_after_ms(unsigned ms)
{
	(void)ms;
	fail();
	return (struct timespec){};
}

static void look_slowly(void)
{
	now_ms += LOOK_MS;
}

/* --- processes that are there --- */

static void begin_children(pid_t *pids)
{
	for (int i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
	}
}

static void end_children(const pid_t *pids)
{
	for (int i = 0; i < CHILDREN; i++) {
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
}

/* This process has forked `pid`, image `id`, which executes another program: `id` + 1. */
static void start(struct given *g, uint32_t id, pid_t pid)
{
	fake_fork(g->session, g->self, id, pid);
	fake_exec(g->session, id, id + 1);
}

static bool asked_to_end(void)
{
	return true;
}

/* --- the end of a run --- */

/* After a signal nothing is begun that may take long. At the end, what is left has two seconds. */
static void test_end_is_limited(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];
	unsigned looks = g->session->identified;

	begin_children(pids);
	for (int i = 0; i < CHILDREN; i++)
		start(g, 10 * (uint32_t)(i + 1), pids[i]);
	g->session->on_look = look_slowly;
	g->tracker.interrupted = asked_to_end;
	poll_all(g);
	assert_int_equal(g->session->identified, looks);
	assert_int_equal(tracker_end(&g->tracker), 0);
	assert_int_equal(g->session->identified - looks, LIMIT_MS / LOOK_MS + 1);
	/* The report says that it was not examined. */
	assert_int_equal(g->tracker.unexamined, CHILDREN - (LIMIT_MS / LOOK_MS + 1));
	end_children(pids);
}

/* The search for unwatched children is limited too, and says that it was cut short. */
static void test_children_are_limited(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];
	unsigned looks = g->session->identified;

	begin_children(pids);
	g->session->on_look = look_slowly;
	g->session->identify_error = 0;
	assert_int_equal(tracker_find_unwatched(&g->tracker), 0);
	end_children(pids);
	assert_int_equal(g->session->identified - looks, LIMIT_MS / LOOK_MS + 1);
	assert_non_null(g->tracker.unwatched);
	assert_int_equal(g->tracker.unwatched->count, LIMIT_MS / LOOK_MS + 1);
	assert_true(g->tracker.unwatched->late && g->tracker.unwatched->more);
}

/* --- descendants that are there already --- */

/* They are tracked, once, and not as if they had been named, unless that is asked for. */
static void test_children_are_taken(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];
	char reason[256];

	begin_children(pids);
	g->session->identify_error = 0;
	assert_int_equal(tracker_attach_children(&g->tracker, getpid(), false), CHILDREN);
	for (int i = 0; i < CHILDREN; i++) {
		struct image *image = tracker_live_image(&g->tracker, pids[i]);

		assert_true(image && image->identified && !image->asked);
	}
	assert_int_equal(tracker_attach_children(&g->tracker, getpid(), false), 0);
	/* One that is named, too, stays what it is. */
	g->session->tracked = 0;
	assert_int_equal(tracker_attach(&g->tracker, pids[0], reason, sizeof(reason)), 0);
	assert_int_equal(g->session->tracked, 0);
	assert_true(tracker_live_image(&g->tracker, pids[0])->asked);
	end_children(pids);
}

static void test_children_are_asked_for(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];

	begin_children(pids);
	g->session->identify_error = -ENOENT;
	assert_int_equal(tracker_attach_children(&g->tracker, getpid(), true), 0);
	g->session->identify_error = 0;
	tracker_skip(&g->tracker, getpid(), "sh", "is not Python");
	assert_int_equal(tracker_attach_through(&g->tracker, getpid()), CHILDREN);
	assert_null(g->tracker.skips);
	assert_true(tracker_live_image(&g->tracker, pids[0])->asked);
	end_children(pids);
}

/* It takes two seconds at most, and a signal ends it at once. What is left is told at the end. */
static void test_taking_is_limited(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];
	size_t taken;

	begin_children(pids);
	g->session->on_look = look_slowly;
	g->session->identify_error = 0;
	taken = tracker_attach_children(&g->tracker, getpid(), false);
	assert_true(taken > 0 && taken <= LIMIT_MS / LOOK_MS + 1);
	g->tracker.interrupted = asked_to_end;
	assert_int_equal(tracker_attach_children(&g->tracker, getpid(), false), 0);
	end_children(pids);
}

/* --- what can't be had now --- */

/* It can't be examined now because of other processes; in ten seconds it may be. */
static void test_busy_is_tried_again(void **state)
{
	static const int passing[] = {-EBUSY, -ENOTCONN};
	struct given *g = *state;
	pid_t pids[CHILDREN];
	unsigned looks;

	begin_children(pids);
	for (uint32_t i = 0; i < 2; i++) {
		looks = g->session->identified;
		g->session->identify_error = passing[i];
		start(g, 10 * (i + 1), pids[i]);
		poll_all(g);
		assert_string_equal(image(g, 10 * (i + 1) + 1)->reason, "");
		now_ms += 9999;
		poll_all(g);
		assert_int_equal(g->session->identified - looks, 1);
		g->session->identify_error = 0;
		now_ms += 1;
		poll_all(g);
		assert_int_equal(g->session->identified - looks, 2);
		assert_true(image(g, 10 * (i + 1) + 1)->identified);
	}
	assert_int_equal(g->tracker.skip_count, 0);
	end_children(pids);
}

/* If not, it is among the skipped, once; also if there is no time to examine it again. */
static void test_busy_to_the_end(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];

	begin_children(pids);
	g->session->identify_error = -EBUSY;
	for (int i = 0; i < CHILDREN; i++)
		start(g, 10 * (uint32_t)(i + 1), pids[i]);
	poll_all(g);
	assert_int_equal(g->tracker.skip_count, 0);
	g->session->on_look = look_slowly;
	assert_int_equal(tracker_end(&g->tracker), 0);
	assert_int_equal(g->tracker.skip_count, CHILDREN);
	for (const struct counts_skip *skip = g->tracker.skips; skip; skip = skip->next)
		assert_string_equal(skip->reason, "can't be examined: what others do");
	end_children(pids);
}

/* A process that is held can't wait so long. */
static void test_busy_while_held(void **state)
{
	struct given *g = *state;

	g->session->identify_error = -EBUSY;
	fake_exec(g->session, g->self, 2);
	assert_true(tracker_examine_held(&g->tracker, getpid()));
	assert_string_equal(image(g, 2)->reason, "can't be examined: what others do");
}

/* If it can't be described when it is met, it is described when it is identified, ... */
static void test_described_when_known(void **state)
{
	struct given *g = *state;
	unsigned described = g->session->described;

	g->session->identify_error = 0;
	g->session->undescribable = 1;
	fake_exec(g->session, g->self, 2);
	poll_all(g);
	assert_false(image(g, 2)->undescribed);
	assert_non_null(image(g, 2)->argv);
	assert_string_equal(image(g, 2)->argv[0], "python3");
	assert_int_equal(g->session->described - described, 2);
}

/* ... or at the end, even if it is no Python. Its name can be read all the same. */
static void test_described_at_the_end(void **state)
{
	struct given *g = *state;

	g->session->undescribable = 1;
	fake_exec(g->session, g->self, 2);
	poll_all(g);
	assert_true(image(g, 2)->undescribed && !image(g, 2)->argv);
	assert_string_not_equal(image(g, 2)->comm, "");
	assert_int_equal(tracker_end(&g->tracker), 0);
	assert_false(image(g, 2)->undescribed);
	assert_non_null(image(g, 2)->argv);
}

/* --- scans of /proc --- */

#define SCAN_LEAST_MS 50 /* tracker_scan.c: after one that took no time */

/* True if /proc is scanned after `ms`, and not a millisecond earlier. */
static bool scans_after(struct given *g, uint64_t ms)
{
	unsigned before = g->tracker.scan;

	now_ms += ms - 1;
	assert_int_equal(tracker_rescan(&g->tracker), 0);
	assert_int_equal(g->tracker.scan, before);
	now_ms++;
	assert_int_equal(tracker_rescan(&g->tracker), 0);
	return g->tracker.scan == before + 1;
}

static void test_scans_become_rare(void **state)
{
	static const unsigned pauses_ms[] = {3000, 6000, 12000, 24000, 30000, 30000};
	struct given *g = *state;

	now_ms += SCAN_LEAST_MS;
	assert_int_equal(tracker_rescan(&g->tracker), 0);
	for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++)
		assert_true(scans_after(g, pauses_ms[i]));
}

/* What a Python forked before it was tracked is looked for at once, and then as often as at first.
 */
static void test_new_python_is_scanned_for(void **state)
{
	struct given *g = *state;
	pid_t pids[CHILDREN];
	char reason[256];

	now_ms += SCAN_LEAST_MS;
	assert_int_equal(tracker_rescan(&g->tracker), 0);
	assert_true(scans_after(g, 3000));
	begin_children(pids);
	g->session->identify_error = 0;
	assert_int_equal(tracker_attach(&g->tracker, pids[0], reason, sizeof(reason)), 0);
	g->session->identify_error = -ENOENT;
	assert_true(scans_after(g, SCAN_LEAST_MS));
	assert_true(scans_after(g, 3000));
	assert_true(scans_after(g, 6000));
	end_children(pids);
}

static bool is_interrupted(void)
{
	return true;
}

/* A scan that was not made to its end has not found that there is nothing. */
static void test_failed_scan_is_made_again(void **state)
{
	struct given *g = *state;

	now_ms += SCAN_LEAST_MS;
	assert_int_equal(tracker_rescan(&g->tracker), 0);
	assert_true(scans_after(g, 3000));
	assert_true(scans_after(g, 6000));
	now_ms += 12000;
	g->tracker.interrupted = is_interrupted;
	assert_int_equal(tracker_rescan(&g->tracker), -EINTR);
	g->tracker.interrupted = NULL;
	assert_true(scans_after(g, 3000));
	assert_true(scans_after(g, 3000));
	assert_true(scans_after(g, 6000));
}

static void test_dropped_message_is_scanned_for(void **state)
{
	struct given *g = *state;

	now_ms += SCAN_LEAST_MS;
	assert_int_equal(tracker_rescan(&g->tracker), 0);
	assert_true(scans_after(g, 3000));
	g->session->dropped_messages++;
	assert_true(scans_after(g, SCAN_LEAST_MS));
	assert_true(scans_after(g, 3000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_end_is_limited),
		TEST(test_children_are_limited),
		TEST(test_children_are_taken),
		TEST(test_children_are_asked_for),
		TEST(test_taking_is_limited),
		TEST(test_busy_is_tried_again),
		TEST(test_busy_to_the_end),
		TEST(test_busy_while_held),
		TEST(test_described_when_known),
		TEST(test_described_at_the_end),
		TEST(test_scans_become_rare),
		TEST(test_new_python_is_scanned_for),
		TEST(test_failed_scan_is_made_again),
		TEST(test_dropped_message_is_scanned_for),
	};

	return cmocka_run_group_tests_name("tracker's waits", tests, NULL, NULL);
}
