/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One process after the other is asked for; the helper answers when it can. */
#include "cli/profile_pss.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "model/pss_book.h"

#define ROUND_NS 1000000000ULL

int profile_pss_fork(struct profile_pss *pss)
{
	int err = pss_reader_fork(&pss->reader);

	pss->wanted = !err;
	return err;
}

/* The next one, behind `*image`, that may be read. 0: there is none. */
static pid_t next_readable(struct profile_pss *pss, uint32_t *image)
{
	const int64_t most = PSS_RSS_MOST / sysconf(_SC_PAGESIZE);
	pid_t pid;

	while ((pid = recorder_next_image(pss->recorder, image)) &&
	       recorder_image_pages(pss->recorder, *image) > most) {
		/* It may have been smaller: what it was is not what it is. */
		recorder_add_pss(pss->recorder, *image, -1, -1);
		pss->too_large_now++;
	}
	return pid;
}

static void ask_next(void *arg)
{
	struct profile_pss *pss = arg;
	uint32_t image = pss->image;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	pid_t pid;

	if (!pss->image) {
		pss->due_ns = now + ROUND_NS;
		pss->too_large_now = 0;
	}
	pid = next_readable(pss, &image);
	if (pss->too_large_now > pss->too_large)
		pss->too_large = pss->too_large_now;
	pss->image = pid ? image : 0;
	if (!pid) {
		/* The next round begins when it is due, or at once if this one took longer. */
		loop_timer_start(pss->loop, &pss->next, pss->due_ns > now ? pss->due_ns - now : 0,
				 0, ask_next, pss);
		return;
	}
	/* The helper has answered everything: it is waiting for this. */
	if (pss_reader_ask(&pss->reader, pid)) {
		pss->gave_up = true;
		profile_pss_end(pss);
	}
}

static void take(struct profile_pss *pss, const struct pss_answer *answer)
{
	if (!answer->error) {
		pss->made++;
		recorder_add_pss(pss->recorder, pss->image, answer->rollup.pss_bytes,
				 answer->rollup.swap_pss_bytes);
	} else if (answer->error != -ESRCH) {
		/* It goes on, but what it was is not what it is. */
		pss->failed++;
		recorder_add_pss(pss->recorder, pss->image, -1, -1);
	}
	/* One that is held up costs nothing: the others need not wait for long. */
	loop_timer_start(pss->loop, &pss->next,
			 answer->error ? ROUND_NS : answer->took_ns * PSS_REST, 0, ask_next, pss);
}

static void on_answer(void *arg, uint32_t events)
{
	struct profile_pss *pss = arg;
	struct pss_answer answer;
	int err = pss_reader_take(&pss->reader, &answer);

	(void)events;
	if (!err) {
		take(pss, &answer);
	} else if (err != -EAGAIN) {
		pss->gave_up = true;
		profile_pss_end(pss);
	}
}

int profile_pss_watch(struct profile_pss *pss, struct loop *loop, struct recorder *recorder)
{
	int err;

	if (!pss->reader.helper)
		return 0;
	pss->loop = loop;
	pss->recorder = recorder;
	err = loop_add(loop, &pss->answers, pss->reader.socket, EPOLLIN, on_answer, pss);
	/* What runs is known from the first interval on. */
	if (!err)
		loop_timer_start(loop, &pss->next, ROUND_NS, 0, ask_next, pss);
	return err;
}

void profile_pss_end(struct profile_pss *pss)
{
	if (!pss->reader.helper)
		return;
	loop_remove(&pss->answers);
	loop_timer_stop(&pss->next);
	pss_reader_end(&pss->reader);
}
