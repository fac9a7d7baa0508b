/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* track/: which images exist, according to the messages of a ring in memory. Whatever messages are
 * lost: each image that ends is in the report, among the skipped, or counted; and nothing is kept
 * of it. */
#include "tracker_fixture.h"

static void test_attach(void **state)
{
	struct given *g = *state;
	struct image *self = image(g, g->self);

	assert_non_null(self);
	assert_true(self->identified && self->asked && !self->dead);
	assert_string_equal(self->python, FAKE_PYTHON);
	assert_string_equal(self->argv[0], "python3");
	assert_ptr_equal(tracker_live_image(&g->tracker, getpid()), self);
	assert_true(fake_proc(g->session, g->self)->identified);
	assert_true(tracker_any_asked_alive(&g->tracker));
}

/* A child is what its parent was; it is not examined. */
static void test_fork(void **state)
{
	struct given *g = *state;
	struct image *child;
	unsigned looks = g->session->identified;

	fake_fork(g->session, g->self, 1, PID(1));
	poll_all(g);
	child = image(g, 1);
	assert_true(child->identified && child->started && !child->asked);
	assert_string_equal(child->python, FAKE_PYTHON);
	assert_string_equal(child->argv[0], "python3");
	assert_ptr_not_equal(child->argv, image(g, g->self)->argv);
	assert_int_equal(g->session->identified, looks);
	assert_true(g->session->copies_watched);
}

/* Another program is another image, which is examined. Whether it was asked for stays. */
static void test_exec(void **state)
{
	struct given *g = *state;

	g->session->identify_error = 0;
	fake_exec(g->session, g->self, 2);
	poll_all(g);
	assert_true(image(g, g->self)->dead);
	assert_true(image(g, 2)->identified && image(g, 2)->asked);
	assert_ptr_equal(tracker_live_image(&g->tracker, getpid()), image(g, 2));
	/* The same, to a program that is no Python. */
	g->session->identify_error = -ENOENT;
	fake_exec(g->session, 2, 3);
	poll_all(g);
	assert_true(image(g, 3)->examined && !image(g, 3)->identified && image(g, 3)->asked);
	assert_false(tracker_is_reported(image(g, 3)));
	assert_true(tracker_is_reported(image(g, 2)));
}

/* Control groups are met once, children are in that of their parent, and the report has what the
 * groups use once they were read at the end. */
static void test_groups(void **state)
{
	struct given *g = *state;
	struct model *model;
	size_t began = 0;

	g->tracker.groups = cgroup_book_new();
	assert_non_null(g->tracker.groups);
	fake_fork(g->session, g->self, 1, PID(1));
	poll_all(g);
	/* It was attached before anybody asked. */
	assert_int_equal(image(g, g->self)->memory_group, 0);
	assert_int_equal(image(g, 1)->memory_group, 0);
	tracker_describe(&g->tracker, image(g, g->self));
	assert_int_equal(image(g, g->self)->memory_group, 1);
	fake_fork(g->session, g->self, 2, PID(2));
	poll_all(g);
	assert_int_equal(image(g, 2)->memory_group, 1);
	tracker_describe(&g->tracker, image(g, g->self));
	assert_int_equal(g->tracker.groups->count, 1);
	/* Of a process that was there before. */
	assert_false(g->tracker.groups->groups[0].began);
	model = report_build(g->report, true);
	assert_non_null(model);
	assert_int_equal(model->memory_group_count, 0);
	cgroup_book_end(g->tracker.groups);
	model = report_build(g->report, true);
	assert_non_null(model);
	assert_int_equal(model->memory_group_count, 1);
	assert_true(model->memory_batch > 0);
	assert_string_equal(model->memory_groups[0].path, g->tracker.groups->groups[0].path);
	assert_int_equal(model->process_count, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct model_process *process = model->processes[i];

		began += process->began;
		assert_int_equal(process->began, process->pid != getpid());
		assert_int_equal(process->memory_group, process->pid != PID(1));
	}
	assert_int_equal(began, 2);
}

/* The first process of a group is one that began meanwhile: the book knows. */
static void test_group_of_new(void **state)
{
	struct given *g = *state;

	g->tracker.groups = cgroup_book_new();
	assert_non_null(g->tracker.groups);
	fake_exec(g->session, g->self, 2);
	poll_all(g);
	assert_int_equal(image(g, 2)->memory_group, 1);
	assert_true(g->tracker.groups->groups[0].began);
}

/* For the group of a process and of its child there was no room: one note for both, however often
 * they are described. */
static void test_group_beyond(void **state)
{
	struct given *g = *state;
	struct model *model;
	size_t notes = 0;

	g->tracker.groups = cgroup_book_new();
	assert_non_null(g->tracker.groups);
	g->tracker.groups->groups = calloc(CGROUP_BOOK_MOST, sizeof(struct cgroup_book_group));
	assert_non_null(g->tracker.groups->groups);
	g->tracker.groups->count = CGROUP_BOOK_MOST;
	tracker_describe(&g->tracker, image(g, g->self));
	fake_fork(g->session, g->self, 1, PID(1));
	poll_all(g);
	tracker_describe(&g->tracker, image(g, g->self));
	g->tracker.groups->count = 0;
	cgroup_book_end(g->tracker.groups);
	model = report_build(g->report, true);
	assert_non_null(model);
	for (size_t i = 0; i < model->note_count; i++)
		notes += !strncmp(model->notes[i], "2 processes are in control groups", 33);
	assert_int_equal(notes, 1);
}

/* Mapping a library may turn a process into a Python. */
static void test_mapped(void **state)
{
	struct given *g = *state;

	fake_exec(g->session, g->self, 2);
	poll_all(g);
	assert_true(image(g, 2)->examined);
	g->session->identify_error = 0;
	fake_tell(g->session, PYMEM_MSG_MAPPED, 2, getpid(), 0);
	poll_all(g);
	assert_true(image(g, 2)->identified && !image(g, 2)->examined);
}

static void test_exit(void **state)
{
	struct given *g = *state;

	fake_fork(g->session, g->self, 1, PID(1));
	fake_end(g->session, 1, true);
	fake_end(g->session, g->self, true);
	poll_all(g);
	assert_true(image(g, 1)->dead && image(g, 1)->record.id == 1);
	assert_null(tracker_live_image(&g->tracker, PID(1)));
	assert_false(tracker_any_asked_alive(&g->tracker));
	assert_true(tracker_follows(&g->tracker, getpid()));
	assert_int_equal(g->tracker.unfinished, 2);
}

/* The record may be read before the message of the end. */
static void test_record_first(void **state)
{
	struct given *g = *state;
	struct fake_message end;

	fake_fork(g->session, g->self, 1, PID(1));
	poll_all(g);
	fake_end(g->session, 1, true);
	end = g->session->messages[--g->session->message_count];
	poll_all(g);
	assert_false(image(g, 1)->dead); /* nothing says that it has ended */
	g->tracker.took_ms = 0;		 /* a second has passed */
	poll_all(g);
	assert_true(image(g, 1)->dead);
	g->session->messages[g->session->message_count++] = end;
	poll_all(g);
	assert_int_equal(g->tracker.unfinished, 1);
}

/* A process that ran for a moment and was not examined is forgotten, and counted by name. */
static void test_unexamined(void **state)
{
	struct given *g = *state;
	unsigned i;

	for (i = 1; i <= 3; i++) {
		fake_fork(g->session, g->self, 10 * i, PID(i));
		fake_exec(g->session, 10 * i, 10 * i + 1);
		fake_end(g->session, 10 * i + 1, true);
	}
	poll_all(g);
	poll_all(g);
	assert_int_equal(g->tracker.unexamined, 3);
	assert_string_equal(g->tracker.unexamined_comms[2], "pid5000001");
	assert_null(image(g, 11));
	/* Before that it was a Python, which is in the report. */
	assert_non_null(image(g, 10));
	assert_int_equal(g->tracker.unfinished, 3);
}

static const struct counts_skip *skip_of(const struct given *g, pid_t pid)
{
	const struct counts_skip *skip = g->tracker.skips;

	while (skip && skip->pid != pid)
		skip = skip->next;
	return skip;
}

/* There was no room for the image's record: it is not alive and has left none. */
static void test_record_lost(void **state)
{
	struct given *g = *state;

	fake_fork(g->session, g->self, 1, PID(1));
	fake_end(g->session, 1, false);
	poll_all(g);
	poll_all(g);
	assert_true(image(g, 1)->dropped && image(g, 1)->dead);
	assert_false(tracker_is_reported(image(g, 1)));
	assert_non_null(skip_of(g, PID(1)));
	assert_non_null(strstr(skip_of(g, PID(1))->reason, "no room for its figures"));
}

/* The message of its start was lost: it is found among the live images. */
static void test_start_lost(void **state)
{
	struct given *g = *state;

	fake_begin(g->session, 1, PID(1), g->self);
	poll_all(g);
	assert_null(image(g, 1));
	g->session->dropped_messages++;
	poll_all(g);
	assert_non_null(image(g, 1));
	assert_true(image(g, 1)->identified);
	assert_ptr_equal(tracker_live_image(&g->tracker, PID(1)), image(g, 1));
}

static void test_malformed(void **state)
{
	static const uint32_t types[] = {0, PYMEM_MSG_STACK, PYMEM_MSG_CODE, PYMEM_MSG_FORK, 99};
	struct given *g = *state;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		fake_send(g->session, &types[i], sizeof(types[i]));
	fake_send(g->session, "x", 1);
	poll_all(g);
	assert_int_equal(g->tracker.store.malformed, 6);
}

/* --- whatever is lost --- */

#define MESSAGES 12

/* Polls after the step `step` if that bit of `polls` is set. */
static void step(struct given *g, unsigned polls, unsigned step)
{
	if (polls >> step & 1)
		poll_all(g);
}

/* Children and what they run: 1, forked by this process, forks 2 and then executes 3. */
static void live_through(struct given *g, unsigned polls)
{
	struct session *s = g->session;

	fake_fork(s, g->self, 1, PID(1));
	step(g, polls, 0);
	fake_charge(s, 1, 3, true, 5);
	step(g, polls, 1);
	fake_fork(s, 1, 2, PID(2));
	step(g, polls, 2);
	fake_charge(s, 2, 4, true, 7);
	fake_exec(s, 1, 3);
	step(g, polls, 3);
	fake_end(s, 3, true);
	step(g, polls, 4);
	fake_lose(s, 2, PYMEM_LOSS_EXIT, -2);
	fake_end(s, 2, true);
	step(g, polls, 5);
}

static const struct model_process *process(const struct model *model, uint32_t id)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i]->id == id)
			return model->processes[i];
	return NULL;
}

/* In how many ways the report contains the image that `pid` ran. */
static unsigned ways(const struct model *model, uint32_t id, pid_t pid)
{
	unsigned n = process(model, id) != NULL;

	for (size_t i = 0; i < model->skip_count; i++)
		n += model->skips[i].pid == pid;
	return n;
}

static void check(struct given *g, const struct model *model, bool all_came)
{
	const struct model_process *p;

	for (size_t i = 0; i < model->process_count; i++) {
		p = model->processes[i];
		assert_int_equal(p->charged_bytes + model_lost_bytes(p),
				 p->rss_end_bytes - p->rss_start_bytes);
	}
	assert_non_null(process(model, g->self));
	/* 3 was not examined. */
	assert_true(ways(model, 1, PID(1)) + ways(model, 2, PID(2)) + g->tracker.unexamined >= 3);
	if (all_came) {
		assert_non_null(process(model, 1));
		assert_non_null(process(model, 2));
		assert_int_equal(process(model, 1)->charged_bytes, 5 * model->page_size);
		assert_int_equal(g->tracker.unexamined, 1);
		assert_int_equal(model->skip_count, 0);
	}
	/* Nothing is kept of what has ended. */
	assert_int_equal(HASH_COUNT(g->tracker.images), 1);
	assert_int_equal(g->tracker.unfinished, 0);
	assert_int_equal(fake_entries(g->session), 0);
	assert_null(g->tracker.store.images);
}

static void live_and_report(unsigned lost, unsigned polls)
{
	struct model *model;
	struct given g;

	given_new(&g);
	g.session->sent = 0;
	g.session->lost = lost;
	live_through(&g, polls);
	assert_int_equal(g.session->sent, MESSAGES);
	poll_all(&g);
	poll_all(&g);
	assert_int_equal(tracker_end(&g.tracker), 0);
	model = report_build(g.report, true);
	assert_non_null(model);
	check(&g, model, !lost);
	given_free(&g);
}

/* Nothing is lost, up to three messages are, or all but two are. */
static void test_whatever_is_lost(void **state)
{
	unsigned lost, polls, count;

	(void)state;
	for (polls = 0; polls < 1 << 6; polls++)
		live_and_report(0, polls);
	for (lost = 1; lost < 1 << MESSAGES; lost++) {
		count = __builtin_popcount(lost);
		if (count <= 3 || count >= MESSAGES - 2)
			live_and_report(lost, lost * 2654435761u >> 26);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_attach),	 TEST(test_fork),
		TEST(test_exec),	 TEST(test_groups),
		TEST(test_group_of_new), TEST(test_group_beyond),
		TEST(test_mapped),	 TEST(test_exit),
		TEST(test_record_first), TEST(test_unexamined),
		TEST(test_record_lost),	 TEST(test_start_lost),
		TEST(test_malformed),	 cmocka_unit_test(test_whatever_is_lost),
	};

	return cmocka_run_group_tests_name("tracker", tests, NULL, NULL);
}
