/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* track/tracker_shed.c: which processes are not traced, and what reports say of it. */
#include "tracker_fixture.h"

#define CHILDREN 7

static uint32_t kept; /* the image that must be traced; 0: none */

static bool keeps(uint32_t image, void *arg)
{
	assert_null(arg);
	return image == kept;
}

static int shed(struct given *g, unsigned parts)
{
	const struct tracker_shedding shedding = {.parts = parts, .of = 4, .keeps = keeps};

	return tracker_shed(&g->tracker, &shedding);
}

/* This process and its children 1 to CHILDREN. */
static void make_family(struct given *g)
{
	kept = 0;
	for (uint32_t i = 1; i <= CHILDREN; i++)
		fake_fork(g->session, g->self, i, PID(i));
	poll_all(g);
	assert_int_equal(shed(g, 0), 0);
}

static bool is_traced(struct given *g, uint32_t id)
{
	bool traced = fake_proc(g->session, id)->layout != PYMEM_LAYOUT_SHED;

	assert_int_equal(image(g, id)->shed, !traced);
	assert_int_equal(!*image(g, id)->reason, traced);
	return traced;
}

static void grow(struct given *g, uint32_t id, int64_t pages)
{
	fake_proc(g->session, id)->now_pages[PYMEM_ANON] += pages;
}

static unsigned traced(struct given *g)
{
	unsigned count = is_traced(g, g->self);

	for (uint32_t i = 1; i <= CHILDREN; i++)
		count += is_traced(g, i);
	return count;
}

/* Those that change least go first, whichever way they change; all of them at last. */
static void test_least_first(void **state)
{
	struct given *g = *state;

	make_family(g);
	for (uint32_t i = 1; i <= CHILDREN; i++)
		grow(g, i, i % 2 ? 1000 * i : -1000 * (int64_t)i);
	assert_int_equal(shed(g, 1), 0);
	assert_false(is_traced(g, g->self) || is_traced(g, 1));
	assert_int_equal(traced(g), 6);
	assert_int_equal(g->tracker.shed.processes, 2);
	assert_int_equal(shed(g, 4), 0);
	assert_int_equal(traced(g), 0);
	assert_int_equal(shed(g, 0), 0);
	assert_int_equal(traced(g), CHILDREN + 1);
	assert_int_equal(g->tracker.shed.processes, 0);
}

/* One that changes takes the place of one that does not, but not for a few pages. */
static void test_takes_turns(void **state)
{
	struct given *g = *state;

	make_family(g);
	for (uint32_t i = 3; i <= CHILDREN; i++)
		grow(g, i, 10000);
	grow(g, g->self, 10000);
	assert_int_equal(shed(g, 1), 0);
	assert_false(is_traced(g, 1) || is_traced(g, 2));
	grow(g, 1, 10);
	assert_int_equal(shed(g, 1), 0);
	assert_false(is_traced(g, 1) || is_traced(g, 2));
	grow(g, 1, (64 << 20) / g->page);
	assert_int_equal(shed(g, 1), 0);
	assert_true(is_traced(g, 1));
	assert_int_equal(traced(g), 6);
}

/* The first choice is by what changed since the call before it, and not since the beginning. */
static void test_watches(void **state)
{
	struct given *g = *state;
	const struct tracker_shedding watch = {.events = true, .watch = true, .of = 4};

	make_family(g);
	/* These were large, and are idle. */
	for (uint32_t i = 1; i <= 2; i++)
		grow(g, i, 10000);
	assert_int_equal(tracker_shed(&g->tracker, &watch), 0);
	assert_int_equal(traced(g), CHILDREN + 1);
	for (uint32_t i = 3; i <= CHILDREN; i++)
		grow(g, i, 1000);
	grow(g, g->self, 1000);
	assert_int_equal(shed(g, 1), 0);
	assert_false(is_traced(g, 1) || is_traced(g, 2));
	assert_int_equal(traced(g), 6);
}

static void test_keeps(void **state)
{
	struct given *g = *state;

	make_family(g);
	kept = 5;
	assert_int_equal(shed(g, 4), 0);
	assert_true(is_traced(g, 5));
	assert_int_equal(traced(g), 1);
	/* An alarm is met later. */
	kept = 6;
	assert_int_equal(shed(g, 4), 0);
	assert_true(is_traced(g, 6) && !is_traced(g, 5));
}

/* A child of one that is not traced is not either, until the next call. */
static void test_children(void **state)
{
	struct given *g = *state;
	unsigned passes;

	make_family(g);
	assert_int_equal(shed(g, 4), 0);
	fake_fork(g->session, g->self, 20, PID(20));
	poll_all(g);
	assert_int_equal(shed(g, 0), 0);
	assert_true(is_traced(g, 20));
	/* It forks between the reading and the change. */
	fake_fork(g->session, g->self, 21, PID(21));
	fake_proc(g->session, 21)->layout = PYMEM_LAYOUT_SHED;
	poll_all(g);
	assert_int_equal(shed(g, 0), 0);
	assert_true(is_traced(g, 21));
	/* Then there is nothing more to do. */
	assert_int_equal(shed(g, 0), 0);
	passes = g->session->tracked;
	assert_int_equal(shed(g, 0), 0);
	assert_int_equal(g->session->tracked, passes);
}

/* One that ends meanwhile, or runs another program, is no error; a failure is, and is tried again.
 */
static void test_failures(void **state)
{
	struct given *g = *state;
	const struct tracker_shedding events = {.events = true, .frames = 16}, none = {};

	make_family(g);
	g->session->track_error = -ENOMEM;
	assert_int_equal(shed(g, 1), -ENOMEM);
	assert_int_equal(traced(g), CHILDREN + 1);
	g->session->track_error = 0;
	assert_int_equal(shed(g, 1), 0);
	assert_int_equal(traced(g), 6);
	assert_int_equal(tracker_shed(&g->tracker, &events), 0);
	assert_true(g->session->events_shed && g->session->walk_frames == 16);
	assert_int_equal(traced(g), CHILDREN + 1);
	g->session->attach_error = -EPERM;
	assert_int_equal(tracker_shed(&g->tracker, &none), -EPERM);
	assert_true(g->tracker.shed.events && g->session->walk_frames == 0);
	g->session->attach_error = 0;
	assert_int_equal(tracker_shed(&g->tracker, &none), 0);
	assert_false(g->tracker.shed.events || g->session->events_shed);
}

static void collect(const char *text, void *arg)
{
	strcat(strcat(arg, text), "\n");
}

static void test_notes(void **state)
{
	struct given *g = *state;
	char text[2048] = "";

	tracker_each_shed(&g->tracker, collect, text);
	assert_string_equal(text, "");
	g->tracker.shed.seconds[TRACKER_SHEDS_EVENTS] = 40;
	g->tracker.shed.seconds[TRACKER_SHEDS_DEPTH] = 30;
	g->tracker.shed.seconds[TRACKER_SHEDS_PROCESSES] = 20;
	g->session->shed_stacks = 3;
	tracker_each_shed(&g->tracker, collect, text);
	assert_string_equal(
		text,
		"for 40 s no events were counted that amounts can do without (page faults, memory "
		"system calls): the agent was beyond its budget (--budget)\n"
		"3 stacks are without their outermost frames, since the agent was beyond its "
		"budget for 30 s (--budget)\n"
		"for 20 s not all processes were traced, since the agent was beyond its budget "
		"(--budget): what they changed then is unattributed (shed)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_least_first), TEST(test_takes_turns), TEST(test_watches),
		TEST(test_keeps),	TEST(test_children),	TEST(test_failures),
		TEST(test_notes),
	};

	return cmocka_run_group_tests_name("tracker_shed", tests, NULL, NULL);
}
