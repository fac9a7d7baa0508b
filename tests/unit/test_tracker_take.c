/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tracker_take.c, report_finish.c: when images that have ended are taken, and what live reports
 * leave behind.
 *
 * Both have a shortcut: nothing is looked for before the time at which an image can be taken
 * (tracker.take_ms), and nothing of ended images is taken back if no live report has changed them
 * (report.balanced). Each figure must be in the report once, all the same. */
#include "tracker_report.h"

/* Longer than any image waits to be taken. */
#define LONG_AGO_MS 10000

/* The image `id`, a fork, ends after line 5 has made `pages` of it. */
static void end_one(struct given *g, uint32_t id, int64_t pages)
{
	fake_fork(g->session, g->self, id, PID(id));
	fake_charge(g->session, id, 5, true, pages);
	fake_end(g->session, id, true);
	poll_all(g);
	assert_non_null(image(g, id));
}

/* As if it had ended then. */
static void age(struct given *g, uint32_t id)
{
	assert_true(image(g, id)->ended_ms > 0);
	image(g, id)->ended_ms -= LONG_AGO_MS;
}

static void take(struct given *g)
{
	assert_int_equal(report_finish_ended(g->report, false), 0);
}

/* The figures of end_one() are in the report, once. */
static void check_once(struct given *g, const struct model *model, uint32_t id, int64_t pages)
{
	const struct model_process *p = process(model, id);

	assert_non_null(p);
	assert_int_equal(line(p, 5)->increment_bytes, pages * g->page);
	assert_int_equal(p->rss_end_bytes - p->rss_start_bytes,
			 p->charged_bytes + model_lost_bytes(p));
}

/* Its record is there, but its end is not certain: it is taken when it is, though no message comes
 * that would have images looked at. */
static void test_not_dead_yet(void **state)
{
	struct given *g = *state;

	end_one(g, 1, 10);
	age(g, 1);
	image(g, 1)->dead = false;
	take(g);
	take(g);
	assert_non_null(image(g, 1));
	assert_int_equal(g->tracker.unfinished, 1);
	image(g, 1)->dead = true;
	take(g);
	assert_null(image(g, 1));
	assert_int_equal(g->tracker.unfinished, 0);
	take(g);
	check_once(g, built(g, true), 1, 10);
}

/* Its end is known, but its record is not there yet. */
static void test_no_record_yet(void **state)
{
	struct given *g = *state;

	fake_fork(g->session, g->self, 1, PID(1));
	fake_charge(g->session, 1, 5, true, 10);
	fake_tell(g->session, PYMEM_MSG_EXIT, 1, PID(1), 0);
	poll_all(g);
	assert_true(image(g, 1)->dead);
	take(g);
	assert_non_null(image(g, 1));
	assert_int_equal(g->tracker.unfinished, 0);
	fake_end(g->session, 1, true);
	poll_all(g);
	age(g, 1);
	take(g);
	assert_null(image(g, 1));
	check_once(g, built(g, true), 1, 10);
}

/* An image that waits is taken in its time, though one that was older is gone by then; and nothing
 * is looked for before. */
static void test_each_in_its_time(void **state)
{
	struct given *g = *state;
	uint64_t begin = tracker_now_ms();

	end_one(g, 1, 10);
	end_one(g, 2, 20);
	age(g, 1);
	take(g);
	assert_null(image(g, 1));
	/* Unless this machine needs as long for that. */
	if (image(g, 2)) {
		assert_true(g->tracker.take_ms >= begin + 200);
		assert_true(g->tracker.take_ms <= image(g, 2)->ended_ms + 200);
		age(g, 2);
		g->tracker.take_ms -= LONG_AGO_MS;
		take(g);
	} else {
		assert_true(tracker_now_ms() - begin >= 200);
	}
	assert_null(image(g, 2));
	check_once(g, built(g, false), 1, 10);
	check_once(g, built(g, true), 2, 20);
}

/* What could not be taken is taken next time, and is not in the report twice. */
static void test_after_an_error(void **state)
{
	struct given *g = *state;

	end_one(g, 1, 10);
	age(g, 1);
	g->session->take_error = -ENOMEM;
	assert_int_equal(report_finish_ended(g->report, false), -ENOMEM);
	assert_non_null(image(g, 1));
	assert_int_equal(g->tracker.unfinished, 1);
	take(g);
	assert_null(image(g, 1));
	assert_int_equal(fake_entries(g->session), 0);
	check_once(g, built(g, true), 1, 10);
	assert_int_equal(built(g, true)->process_count, 2);
}

/* A thread of the ended image 1 still keeps 2 pages. */
static void end_collecting(struct given *g)
{
	fake_fork(g->session, g->self, 1, PID(1));
	fake_charge(g->session, 1, 5, true, 10);
	fake_collect(g->session, 1, 5, 2);
	fake_end(g->session, 1, true);
	poll_all(g);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_null(image(g, 1));
}

static void check_unsettled(struct given *g, const struct model *model, int64_t pages)
{
	check_conserved(model);
	assert_int_equal(lost(g, process(model, 1), PYMEM_LOSS_UNSETTLED), pages);
	check_once(g, model, 1, 10);
}

/* What a live report can't settle is in each of them, and never in the final one. */
static void test_live_reports(void **state)
{
	struct given *g = *state;
	const struct model *model;

	end_collecting(g);
	check_unsettled(g, built(g, false), 2);
	check_unsettled(g, built(g, false), 2);
	take(g); /* it is taken back, once */
	take(g);
	check_unsettled(g, built(g, false), 2);
	fake_settle(g->session);
	model = built(g, true);
	check_unsettled(g, model, 0);
	assert_int_equal(lost(g, process(model, 1), PYMEM_LOSS_UNDELIVERED), 2);
}

/* Another process ends between two of them. */
static void test_end_between(void **state)
{
	struct given *g = *state;
	const struct model *model;

	end_collecting(g);
	check_unsettled(g, built(g, false), 2);
	end_one(g, 2, 20);
	age(g, 2);
	take(g);
	assert_null(image(g, 2));
	model = built(g, false);
	check_unsettled(g, model, 2);
	check_once(g, model, 2, 20);
	assert_int_equal(lost(g, process(model, 2), PYMEM_LOSS_UNSETTLED), 0);
	fake_settle(g->session);
	model = built(g, true);
	check_unsettled(g, model, 0);
	check_once(g, model, 2, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_not_dead_yet),   TEST(test_no_record_yet), TEST(test_each_in_its_time),
		TEST(test_after_an_error), TEST(test_live_reports),  TEST(test_end_between),
	};

	return cmocka_run_group_tests_name("tracker_take", tests, NULL, NULL);
}
