/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: RSS of workers that share memory adds up to more than there is. PSS does not, but to
 * read it costs the kernel a walk through all page tables of a process.
 *
 * So it is read of one process after the other (pss_book.h), by a helper (pss_reader.h), and after
 * each reading comes a rest that is 499 times as long (pss_rest_ns()): readings take a 500th of the
 * time, however large the host is. The larger it is, the older they are. */
#include "agent/agent_pss.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "base/exit_status.h"
#include "os/proc.h"
#include "python/pss_reader.h"

#define NS	  1000000000ULL
#define IDLE_NS	  NS	    /* until it is looked again whether a turn is due */
#define ANSWER_NS (60 * NS) /* for an answer: the examiner gives up long before */
#define GONE	  "--pss: the helper that reads PSS is gone"

struct agent_pss {
	struct pss_reader reader;
	struct pss_book *book;
	struct loop_fd answers;
	struct loop_timer next;
	struct pss_process asked;
	double asked_at; /* CLOCK_MONOTONIC, seconds */
	uint64_t readings[PSS_STATE_COUNT], took_ns;
	bool no_memory, no_file; /* which was said */
};

static void ask_next(void *arg);

static void wait_for_next(struct agent *a, uint64_t ns)
{
	loop_timer_start(a->loop, &a->pss->next, ns, 0, ask_next, a);
}

/* The helper is gone, or might as well be, and nobody has the right to start another one. */
static void give_up(struct agent *a, const char *why)
{
	struct agent_pss *pss = a->pss;

	agent_complain("%s: it is not read any more, until the agent is restarted", why);
	pss_book_give_up(pss->book);
	loop_remove(&pss->answers);
	loop_timer_stop(&pss->next);
	pss_reader_end(&pss->reader);
}

static void give_up_late(void *arg)
{
	give_up(arg, "--pss: the helper that reads PSS gives no answer");
}

static void ask_next(void *arg)
{
	struct agent *a = arg;
	struct agent_pss *pss = a->pss;
	double now = clock_seconds(CLOCK_MONOTONIC);

	pss->asked = pss_book_next(pss->book, now);
	pss->asked_at = now;
	if (!pss->asked.image)
		wait_for_next(a, IDLE_NS);
	else if (pss_reader_ask(&pss->reader, pss->asked.pid))
		give_up(a, GONE);
	else
		loop_timer_start(a->loop, &pss->next, ANSWER_NS, 0, give_up_late, a);
}

/* Has the process that was asked for kept its PID until now? Then it is the one that was read. */
static bool is_same(const struct pss_process *asked)
{
	uint64_t tick_ns = NS / (uint64_t)sysconf(_SC_CLK_TCK);

	return proc_start_ticks(asked->pid) == asked->start_boottime_ns / tick_ns;
}

static void say_no_file(struct agent_pss *pss)
{
	if (!pss->no_file)
		agent_complain("--pss: this kernel has no /proc/PID/smaps_rollup "
			       "(CONFIG_PROC_PAGE_MONITOR): no PSS is known");
	pss->no_file = true;
}

static void take(struct agent *a, const struct pss_answer *answer)
{
	struct agent_pss *pss = a->pss;
	enum pss_state state = pss_state_of(answer->error);
	int64_t bytes = -1, swap_bytes = -1;

	if (!is_same(&pss->asked))
		state = PSS_ENDED;
	if (state == PSS_READ) {
		bytes = answer->rollup.pss_bytes;
		swap_bytes = answer->rollup.swap_pss_bytes;
	}
	if (state == PSS_NO_FILE)
		say_no_file(pss);
	pss->readings[state]++;
	pss->took_ns += answer->took_ns;
	pss_book_add(pss->book, pss->asked.image, state, bytes, swap_bytes, pss->asked_at);
	if (state != PSS_ENDED)
		recorder_add_pss(a->recorder, pss->asked.image, bytes, swap_bytes);
	wait_for_next(a, pss_rest_ns(answer->error, answer->took_ns));
}

static void on_answer(void *arg, uint32_t events)
{
	struct agent *a = arg;
	struct pss_answer answer;
	int err = pss_reader_take(&a->pss->reader, &answer);

	(void)events;
	if (!err)
		take(a, &answer);
	else if (err != -EAGAIN)
		give_up(a, GONE);
}

/* --- what runs --- */

struct noting {
	struct agent_pss *pss;
	int64_t page;
	bool failed;
};

static void note(void *arg, uint32_t image, pid_t pid, uint64_t start_boottime_ns,
		 int64_t rss_pages)
{
	struct noting *noting = arg;
	const struct pss_process process = {
		.image = image,
		.pid = pid,
		.start_boottime_ns = start_boottime_ns,
		.rss_bytes = rss_pages * noting->page,
	};

	noting->failed |= pss_book_note(noting->pss->book, &process) != 0;
}

void agent_pss_tick(struct agent *a)
{
	struct noting noting = {.pss = a->pss, .page = sysconf(_SC_PAGESIZE)};

	if (!a->pss)
		return;
	pss_book_begin(a->pss->book);
	recorder_each_image(a->recorder, note, &noting);
	pss_book_settle(a->pss->book);
	if (noting.failed && !a->pss->no_memory)
		agent_complain("--pss: there is no memory to read all: %s", strerror(ENOMEM));
	a->pss->no_memory = noting.failed;
}

int agent_pss_put(const struct agent *a, const struct model *model, enum model_by by,
		  struct group_sums *sums, struct agent_pss_figures *figures)
{
	if (figures) {
		memcpy(figures->readings, a->pss->readings, sizeof(figures->readings));
		figures->seconds = (double)a->pss->took_ns / 1e9;
	}
	return pss_book_put(a->pss->book, model, by, clock_seconds(CLOCK_MONOTONIC), sums,
			    figures ? figures->processes : NULL);
}

/* --- begin and end --- */

int agent_pss_fork(struct agent *a)
{
	struct agent_pss *pss;
	int err;

	if (!a->options.pss)
		return 0;
	pss = calloc(1, sizeof(*pss));
	if (pss)
		pss->book = pss_book_new();
	if (!pss || !pss->book) {
		free(pss);
		agent_complain("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	a->pss = pss;
	err = pss_reader_fork(&pss->reader);
	if (!err)
		return 0;
	agent_complain("--pss: the helper process that reads PSS can't be started: %s",
		       strerror(-err));
	return EXIT_FAILED;
}

int agent_pss_watch(struct agent *a)
{
	int err;

	if (!a->pss)
		return 0;
	err = loop_add(a->loop, &a->pss->answers, a->pss->reader.socket, EPOLLIN, on_answer, a);
	if (err) {
		agent_complain("the loop can't be set up: %s", strerror(-err));
		return EXIT_FAILED;
	}
	/* What runs is known after the first tick. */
	wait_for_next(a, IDLE_NS + IDLE_NS / 2);
	return 0;
}

void agent_pss_close(struct agent *a)
{
	if (!a->pss)
		return;
	loop_remove(&a->pss->answers);
	loop_timer_stop(&a->pss->next);
	pss_reader_end(&a->pss->reader);
	pss_book_free(a->pss->book);
	free(a->pss);
	a->pss = NULL;
}
