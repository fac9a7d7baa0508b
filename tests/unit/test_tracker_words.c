/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* track/: last words, according to the messages of a ring in memory. */
#include "tracker_fixture.h"

#include <signal.h>

#include "base/clock.h"

static struct pymem_msg_words words_of(uint32_t id, pid_t pid, uint32_t tid)
{
	struct pymem_msg_words m = {
		.type = PYMEM_MSG_WORDS,
		.proc = id,
		.tgid = (uint32_t)pid,
		.tid = tid,
		.time_ns = clock_ns(CLOCK_MONOTONIC),
		.pages = {[PYMEM_ANON] = 10, [PYMEM_FILE] = 2, [PYMEM_SWAP] = 3},
		.signal = SIGKILL,
		.sent = 1,
		.sender = 7,
		.sender_thread = 8,
		.sender_uid = 9,
		.threads = 2,
		.loss = PYMEM_LOSS_NO_FRAME,
		.sender_comm = "killer",
		.comm = "python3",
	};

	return m;
}

static void send(struct given *g, const struct pymem_msg_words *m)
{
	fake_send(g->session, m, sizeof(*m));
}

static struct counts_death *death_of(struct given *g, uint32_t id)
{
	struct counts_death *death;

	assert_int_equal(tracker_find_death(&g->tracker, image(g, id), &death), 0);
	return death;
}

static void test_killed(void **state)
{
	struct given *g = *state;
	struct pymem_msg_words m = words_of(g->self, getpid(), 100);
	struct fake_stack *stack = fake_stack(g->session, g->self, 5, true);
	struct counts_death *death;

	m.hash = stack->key.hash;
	send(g, &m);
	m.tid = 101;
	m.hash = 0;
	send(g, &m);
	poll_all(g);
	/* It may still be that it does not end. */
	assert_null(death_of(g, g->self));
	fake_end(g->session, g->self, true);
	poll_all(g);
	death = death_of(g, g->self);
	assert_non_null(death);
	assert_int_equal(death->count, 2);
	assert_int_equal(death->facts.threads, 2);
	assert_int_equal(death->facts.signal, SIGKILL);
	assert_true(death->facts.sent && !death->facts.victim);
	assert_int_equal(death->facts.sender, 7);
	assert_int_equal(death->facts.sender_thread, 8);
	assert_int_equal(death->facts.sender_uid, 9);
	assert_string_equal(death->facts.sender_comm, "killer");
	assert_int_equal(death->facts.anon_bytes, 10 * g->page);
	assert_int_equal(death->facts.file_bytes, 2 * g->page);
	assert_int_equal(death->facts.swap_bytes, 3 * g->page);
	assert_true(death->facts.time > clock_seconds(CLOCK_REALTIME) - 5 &&
		    death->facts.time <= clock_seconds(CLOCK_REALTIME));
	assert_int_equal(death->threads[0].facts.tid, 100);
	assert_true(death->threads[0].facts.depth >= 1);
	assert_int_equal(death->threads[0].frames[0].line, 5);
	assert_int_equal(death->threads[1].facts.depth, 0);
	assert_int_equal(death->threads[1].facts.loss, PYMEM_LOSS_NO_FRAME);
	counts_free_death(death);
}

/* The sender is watched, too: its stack is found in its own image, or it is said why there is none.
 */
static void test_sender(void **state)
{
	struct given *g = *state;
	struct pymem_msg_words m = words_of(1, PID(1), PID(1));
	struct counts_death *death;

	fake_fork(g->session, g->self, 1, PID(1));
	m.sender_proc = g->self;
	m.sender_hash = fake_stack(g->session, g->self, 7, true)->key.hash;
	send(g, &m);
	fake_end(g->session, 1, true);
	poll_all(g);
	death = death_of(g, 1);
	assert_non_null(death->sender);
	assert_int_equal(death->sender->facts.tid, 8);
	assert_string_equal(death->sender->facts.name, "killer");
	assert_int_equal(death->sender->frames[0].line, 7);
	counts_free_death(death);

	image_words_free(image(g, 1)->words);
	image(g, 1)->words = NULL;
	m.sender_hash = 0;
	m.sender_loss = 77;
	send(g, &m);
	poll_all(g);
	death = death_of(g, 1);
	assert_int_equal(death->sender->facts.depth, 0);
	assert_int_equal(death->sender->facts.loss, PYMEM_LOSS_UNREADABLE);
	counts_free_death(death);

	image_words_free(image(g, 1)->words);
	image(g, 1)->words = NULL;
	m.sender_proc = 12345; /* an image that is not known */
	send(g, &m);
	poll_all(g);
	death = death_of(g, 1);
	assert_null(death->sender);
	counts_free_death(death);
}

/* The mark of the OOM killer comes first, last, or with a thread. */
static void test_victim(void **state)
{
	struct given *g = *state;
	struct pymem_msg_words m = words_of(g->self, getpid(), 100), mark = m;
	struct counts_death *death;

	(void)state;
	mark.type = PYMEM_MSG_VICTIM;
	for (int order = 0; order < 3; order++) {
		struct counts_death *found;

		image_words_free(image(g, g->self)->words);
		image(g, g->self)->words = NULL;
		image(g, g->self)->dead = true;
		m.victim = order == 2;
		if (order == 0)
			send(g, &mark);
		send(g, &m);
		if (order == 1)
			send(g, &mark);
		poll_all(g);
		assert_int_equal(tracker_find_death(&g->tracker, image(g, g->self), &found), 0);
		assert_true(found->facts.victim);
		assert_int_equal(found->count, 1);
		counts_free_death(found);
	}
	/* A signal that came before and did not end it. */
	m.signal = SIGSEGV;
	m.victim = 0;
	send(g, &m);
	poll_all(g);
	death = death_of(g, g->self);
	assert_false(death->facts.victim);
	assert_int_equal(death->facts.signal, SIGSEGV);
	counts_free_death(death);
}

/* SIGKILL of the kernel itself: whether it was the OOM killer is waited for, a moment. */
static void test_awaits(void **state)
{
	struct given *g = *state;
	struct pymem_msg_words m = words_of(g->self, getpid(), 100);

	send(g, &m);
	poll_all(g);
	assert_false(tracker_awaits_victim(&g->tracker));
	image_words_free(image(g, g->self)->words);
	image(g, g->self)->words = NULL;
	m.code = DEATH_BY_KERNEL;
	send(g, &m);
	poll_all(g);
	assert_true(tracker_awaits_victim(&g->tracker));
	m.type = PYMEM_MSG_VICTIM;
	send(g, &m);
	poll_all(g);
	assert_false(tracker_awaits_victim(&g->tracker));
	image_words_free(image(g, g->self)->words);
	image(g, g->self)->words = NULL;
	m.type = PYMEM_MSG_WORDS;
	send(g, &m);
	poll_all(g);
	usleep(250000);
	assert_false(tracker_awaits_victim(&g->tracker));
}

/* Messages that nobody sends: too short, of an image that is not known, more threads than are told,
 * a cause that is none. */
static void test_odd(void **state)
{
	struct given *g = *state;
	struct pymem_msg_words m = words_of(g->self, getpid(), 0);
	uint64_t malformed = g->tracker.store.malformed;
	struct counts_death *death;

	fake_send(g->session, &m, sizeof(m) - 8);
	m.proc = 12345;
	send(g, &m);
	m.proc = g->self;
	m.loss = 77;
	m.hash = 999; /* that never came */
	memset(m.comm, 'x', sizeof(m.comm));
	memset(m.sender_comm, 'x', sizeof(m.sender_comm));
	for (m.tid = 0; m.tid < PYMEM_WORDS_THREADS + 10; m.tid++)
		send(g, &m);
	poll_all(g);
	assert_int_equal(g->tracker.store.malformed, malformed + 1);
	image(g, g->self)->dead = true;
	death = death_of(g, g->self);
	assert_int_equal(death->count, PYMEM_WORDS_THREADS);
	assert_int_equal(death->threads[0].facts.loss, PYMEM_LOSS_UNDELIVERED);
	assert_int_equal(strlen(death->threads[0].facts.name), 15);
	assert_int_equal(strlen(death->facts.sender_comm), 15);
	counts_free_death(death);
}

static const struct model_process *told;

static void tell(const struct model *model, const struct model_process *process,
		 uint64_t start_boottime_ns, void *arg)
{
	const struct model_death_thread *thread = model_last_thread(process);

	(void)model, (void)start_boottime_ns;
	assert_null(told);
	told = process;
	assert_int_equal(process->death->facts.signal, SIGKILL);
	assert_int_equal(thread->frames[0]->line, 5);
	assert_true(process->line_count > 0);
	*(unsigned *)arg += 1;
}

/* The report tells of each once, with its lines, and has it from then on. */
static void test_report(void **state)
{
	struct given *g = *state;
	struct pymem_msg_words m = words_of(1, PID(1), PID(1));
	unsigned count = 0;
	struct model *model;

	told = NULL;
	report_tell_killed(g->report, tell, &count);
	fake_fork(g->session, g->self, 1, PID(1));
	fake_charge(g->session, 1, 5, true, 3);
	m.hash = fake_stack(g->session, 1, 5, true)->key.hash;
	send(g, &m);
	fake_end(g->session, 1, true);
	poll_all(g);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_int_equal(count, 1);
	assert_int_equal(report_finish_ended(g->report, true), 0);
	model = report_build(g->report, false);
	assert_non_null(model);
	assert_int_equal(count, 1);
	for (size_t i = 0; i < model->process_count; i++)
		assert_true((model->processes[i]->pid == PID(1)) ==
			    (model->processes[i]->death != NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_killed), TEST(test_sender), TEST(test_victim),
					   TEST(test_awaits), TEST(test_odd),	 TEST(test_report)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
