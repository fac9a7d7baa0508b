/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the line that makes memory resident need not keep it. Who asks at night why a service
 * grows wants to know who did, and in the morning the process may be gone.
 *
 * A look is dear, and any user can have alarms met. So it is bounded: by the size of the process,
 * in time, one at a time, each process once an hour, and all together for a tenth of the time. What
 * goes wrong is told in the log, and is in the place where the look would be. */
#include "agent/alarm_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/kept_looks.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/alarm_state.h"
#include "os/write_all.h"

#define REST	  9   /* times as long as a look is the rest after it */
#define NAME_MOST 192 /* bytes of a process's name */
#define SAID_MOST 512 /* of what a look complains of, and of what it says */
#define WHY_MOST  (2 * SAID_MOST)
#define BLOCK	  65536
#define NS_OF_MS  1000000ULL

struct wanted {
	struct looker_request request;
	char path[PATH_MAX + 64]; /* of the alarm's report */
	char name[NAME_MOST];
};

struct alarm_heap {
	struct looker looker;
	struct store *store;
	struct loop *loop;
	struct loop_fd answers;
	struct loop_timer next;
	uint64_t asked_ns, rest_ns; /* when the last look began; until when none is begun */
	bool looking;
	unsigned most_ms;
	uint64_t rss_bytes, file_bytes;
	/* The first one is looked at just now, or is the next one. */
	struct wanted wanted[ALARM_HEAP_WAITS + 1];
	size_t count;
	bool gone; /* the helper, as was said */
	struct kept_looks kept;
};

struct alarm_heap *alarm_heap_new(struct store *store, looker_heap_fn *look, unsigned most_ms)
{
	struct alarm_heap *heap = calloc(1, sizeof(*heap));
	int err;

	if (!heap)
		return NULL;
	heap->store = store;
	heap->most_ms = most_ms;
	heap->rss_bytes = ALARM_HEAP_RSS;
	err = looker_fork(&heap->looker, look, most_ms);
	if (!err)
		return heap;
	free(heap);
	errno = -err;
	return NULL;
}

void alarm_heap_limit(struct alarm_heap *heap, uint64_t rss_bytes, uint64_t file_bytes)
{
	heap->rss_bytes = rss_bytes;
	heap->file_bytes = file_bytes;
}

/* --- asking --- */

bool alarm_heap_may(const struct alarm_heap *heap, const struct alarm_heap_subject *subject,
		    double now, char *words, size_t size)
{
	char rss[32], most[32];

	alarm_put_bytes(rss, sizeof(rss), (double)subject->rss_bytes);
	alarm_put_bytes(most, sizeof(most), (double)heap->rss_bytes);
	if (heap->gone)
		snprintf(words, size, "its heap is not looked at: the helper that looks is gone");
	else if (subject->rss_bytes > 0 && (uint64_t)subject->rss_bytes > heap->rss_bytes)
		snprintf(words, size,
			 "its heap is not looked at: RSS %s is more than --alarm-heap-rss, %s", rss,
			 most);
	else if (subject->looked > 0 && now - subject->looked < ALARM_HEAP_AGAIN)
		snprintf(words, size,
			 "its heap is not looked at: that was asked for %.0f min ago; once an hour "
			 "is "
			 "all",
			 (now - subject->looked) / 60);
	else if (heap->count == ALARM_HEAP_WAITS + 1)
		snprintf(words, size, "its heap is not looked at: %d looks wait already",
			 ALARM_HEAP_WAITS);
	else
		return snprintf(words, size, "its heap is looked at") > 0;
	return false;
}

static void give_up(struct alarm_heap *heap, bool late);

/* The helper gives up what takes too long. If it says nothing then, it was stopped. */
static void give_up_late(void *arg)
{
	give_up(arg, true);
}

/* Begins the next look, if there is one, and not before the rest after the last one is over. */
static void look_at_first(void *arg)
{
	struct alarm_heap *heap = arg;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (!heap->count || heap->looking)
		return;
	if (now < heap->rest_ns) {
		loop_timer_start(heap->loop, &heap->next, heap->rest_ns - now, 0, look_at_first,
				 heap);
		return;
	}
	heap->asked_ns = now;
	heap->looking = true;
	/* As they are now. */
	heap->wanted[0].request.rss_most = heap->rss_bytes;
	heap->wanted[0].request.file_most = heap->file_bytes;
	if (looker_ask(&heap->looker, &heap->wanted[0].request))
		give_up(heap, false);
	else
		loop_timer_start(heap->loop, &heap->next,
				 heap->most_ms * NS_OF_MS + heap->most_ms * NS_OF_MS / 2, 0,
				 give_up_late, heap);
}

static uint64_t ticks_of(uint64_t start_boottime_ns)
{
	return start_boottime_ns / (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

void alarm_heap_ask(struct alarm_heap *heap, const struct alarm_heap_subject *subject,
		    const char *path, const char *name)
{
	struct wanted *wanted = &heap->wanted[heap->count];

	*wanted = (struct wanted){
		.request = {.pid = subject->pid,
			    .start_ticks = ticks_of(subject->start_boottime_ns)},
	};
	snprintf(wanted->path, sizeof(wanted->path), "%s", path);
	snprintf(wanted->name, sizeof(wanted->name), "%s", name);
	heap->count++;
	look_at_first(heap);
}

/* --- what came of it --- */

/* Copies a file in memory to a new one beside the report. 0 or -errno: then there is none. */
static int keep(const struct alarm_heap *heap, const struct wanted *wanted, const char *end,
		int from, char *path, size_t size)
{
	char *block = malloc(BLOCK);
	off_t at = 0;
	ssize_t got = 0;
	int fd = -ENOMEM, err;
	struct stat st;

	if (block)
		fd = fstat(from, &st) ? -errno
		     : (uint64_t)st.st_size > heap->file_bytes
			     ? -EFBIG
			     : store_new_heap(heap->store, wanted->path, end, path, size);
	err = fd < 0 ? fd : 0;
	while (!err && (got = pread(from, block, BLOCK, at)) > 0) {
		err = write_all(fd, block, (size_t)got);
		at += got;
	}
	if (!err && got < 0)
		err = -errno;
	free(block);
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	if (fd >= 0 && err)
		store_drop_alarm(heap->store, path);
	return err;
}

/* The beginning of what the child has complained of, escaped; "": nothing. */
static void read_said(int said, char *text, size_t size)
{
	char raw[SAID_MOST];
	ssize_t got = said >= 0 ? pread(said, raw, sizeof(raw) - 1, 0) : 0;
	const char *line = raw, *begin = "pymem-bpf heap: ";

	raw[got > 0 ? got : 0] = '\0';
	raw[strcspn(raw, "\n")] = '\0';
	if (!strncmp(line, begin, strlen(begin)))
		line += strlen(begin);
	text_escape(text, size, line);
}

static void put_why(char *why, size_t size, const struct alarm_heap *heap,
		    const struct looker_answer *answer)
{
	char said[SAID_MOST], most[32];

	read_said(answer->said, said, sizeof(said));
	switch (answer->result) {
	case LOOKER_LATE:
		snprintf(why, size, "it took longer than %u s, and was given up",
			 heap->most_ms / 1000);
		break;
	case LOOKER_ENDED:
		snprintf(why, size, "the process has ended");
		break;
	case LOOKER_DIED:
		snprintf(why, size,
			 "the process that looked was killed, for want of memory perhaps");
		break;
	case LOOKER_NO_ROOM:
		snprintf(why, size, "the process that looks can't be started");
		break;
	case LOOKER_TOO_LARGE:
		alarm_put_bytes(most, sizeof(most), (double)heap->rss_bytes);
		snprintf(why, size, "it has grown to more than --alarm-heap-rss, %s", most);
		break;
	case LOOKER_TOO_MUCH:
		alarm_put_bytes(most, sizeof(most), (double)heap->file_bytes);
		snprintf(why, size, "what was found is more than a file of it may have, %s", most);
		break;
	default:
		snprintf(why, size, "%s", *said ? said : "it has failed");
	}
}

/* The answer of a look, which is not trusted; "": it has none. Names in it are the target's. */
static void read_verdict(int verdict, char *text, size_t size)
{
	char raw[LOOKER_VERDICT_MOST + 1];
	ssize_t got = pread(verdict, raw, sizeof(raw) - 1, 0);

	raw[got > 0 ? got : 0] = '\0';
	text_escape(text, size, raw);
	/* More follows in the line. */
	if (*text && text[strlen(text) - 1] == '.')
		text[strlen(text) - 1] = '\0';
}

/* A sentence where the look would be, so that who finds the report later knows. */
static void keep_failure(const struct alarm_heap *heap, const struct wanted *wanted,
			 const char *why)
{
	char path[sizeof(wanted->path)], text[WHY_MOST + 128];
	int fd = store_new_heap(heap->store, wanted->path, STORE_HEAP_TEXT, path, sizeof(path));
	int err = fd < 0 ? fd : 0;

	if (!err) {
		snprintf(text, sizeof(text), "There is no look at the heap of PID %d: %s\n",
			 wanted->request.pid, why);
		err = write_all(fd, text, strlen(text));
	}
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	if (fd >= 0 && err)
		store_drop_alarm(heap->store, path);
	if (err)
		agent_complain("alarms: what became of the look at PID %d can't be kept: %s",
			       wanted->request.pid, strerror(-err));
}

static void say_failure(const struct alarm_heap *heap, const struct wanted *wanted, const char *why)
{
	agent_complain("heap of %s, PID %d, was not looked at: %s", wanted->name,
		       wanted->request.pid, why);
	keep_failure(heap, wanted, why);
}

static void tell_failure(const struct alarm_heap *heap, const struct wanted *wanted,
			 const struct looker_answer *answer)
{
	char why[WHY_MOST];

	put_why(why, sizeof(why), heap, answer);
	say_failure(heap, wanted, why);
}

/* None of those that were asked for is made any more. */
static void drop_all(struct alarm_heap *heap, const char *why)
{
	for (size_t i = 0; i < heap->count; i++)
		say_failure(heap, &heap->wanted[i], why);
	heap->count = 0;
}

/* For the process's last words, if it has some one day. */
static void keep_brief(struct alarm_heap *heap, const struct wanted *wanted,
		       const struct looker_answer *answer)
{
	int err = kept_looks_take(&heap->kept, wanted->request.pid, wanted->request.start_ticks,
				  clock_seconds(CLOCK_REALTIME), answer->brief);

	if (err)
		agent_complain("heap of %s, PID %d: last words will not have this look: %s",
			       wanted->name, wanted->request.pid, strerror(-err));
}

json_t *alarm_heap_last(const struct alarm_heap *heap, pid_t pid, uint64_t start_boottime_ns,
			double at)
{
	return kept_looks_find(&heap->kept, pid, ticks_of(start_boottime_ns), at);
}

static void tell_look(struct alarm_heap *heap, const struct wanted *wanted,
		      const struct looker_answer *answer)
{
	char path[sizeof(wanted->path)], other[sizeof(wanted->path)], verdict[SAID_MOST],
		why[WHY_MOST];
	int err = keep(heap, wanted, STORE_HEAP_JSON, answer->json, other, sizeof(other));

	err = err ?: keep(heap, wanted, STORE_HEAP_TEXT, answer->text, path, sizeof(path));
	read_verdict(answer->verdict, verdict, sizeof(verdict));
	keep_brief(heap, wanted, answer);
	if (err) {
		agent_complain("heap of %s, PID %d: %s; the look can't be kept: %s", wanted->name,
			       wanted->request.pid, verdict, strerror(-err));
		snprintf(why, sizeof(why), "what it has found can't be kept: %s", strerror(-err));
		keep_failure(heap, wanted, why);
		return;
	}
	agent_complain("heap of %s, PID %d: %s; %s", wanted->name, wanted->request.pid, verdict,
		       path);
}

/* --- the end --- */

static void give_up(struct alarm_heap *heap, bool late)
{
	agent_complain("%s: there are no looks, until the agent is restarted",
		       late ? "--alarm-heap: the helper that looks at heaps gives no answer"
			    : "--alarm-heap: the helper that looks at heaps is gone");
	heap->gone = true;
	drop_all(heap,
		 late ? "the helper that looks gives no answer" : "the helper that looks is gone");
	loop_remove(&heap->answers);
	loop_timer_stop(&heap->next);
	looker_end(&heap->looker);
}

void alarm_heap_free(struct alarm_heap *heap)
{
	if (!heap)
		return;
	loop_remove(&heap->answers);
	loop_timer_stop(&heap->next);
	looker_end(&heap->looker);
	drop_all(heap, "the agent has ended before");
	kept_looks_free(&heap->kept);
	free(heap);
}

/* --- the loop --- */

static void on_answer(void *arg, uint32_t events)
{
	struct alarm_heap *heap = arg;
	struct looker_answer answer;
	int err = looker_take(&heap->looker, &answer);

	(void)events;
	if (err == -EAGAIN)
		return;
	if (err || !heap->looking) {
		if (!err)
			looker_close(&answer);
		give_up(heap, false);
		return;
	}
	loop_timer_stop(&heap->next);
	if (answer.result == LOOKER_MADE && answer.text >= 0)
		tell_look(heap, &heap->wanted[0], &answer);
	else
		tell_failure(heap, &heap->wanted[0], &answer);
	looker_close(&answer);
	heap->looking = false;
	heap->rest_ns = clock_ns(CLOCK_MONOTONIC);
	heap->rest_ns += REST * (heap->rest_ns - heap->asked_ns);
	memmove(&heap->wanted[0], &heap->wanted[1], --heap->count * sizeof(heap->wanted[0]));
	look_at_first(heap);
}

int alarm_heap_watch(struct alarm_heap *heap, struct loop *loop)
{
	heap->loop = loop;
	return loop_add(loop, &heap->answers, heap->looker.socket, EPOLLIN, on_answer, heap);
}
