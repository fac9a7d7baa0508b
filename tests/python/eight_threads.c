/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The counting of the Python package's extension (native/), as free-threaded builds have it,
 * without an interpreter: eight threads run lines whose amounts are known, and end, while one more
 * makes, enables, reads, disables and drops recorders of the same code. test_thread_sanitizer.py
 * builds it under ThreadSanitizer and runs it.
 *
 *   eight_threads [unguarded]
 *
 * Prints "right" if all was counted, else what was not, with status 1. unguarded: events are not
 * said to be any. Then there are races, which the sanitizer has to find.
 *
 * The interpreter's part are two functions that nobody calls. The kernel's part, the counter block,
 * is written unseen by the sanitizer, as the kernel does.
 */
#include "_lines.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS	   8
#define WAVES	   6   /* of threads that begin and end */
#define CALLS	   400 /* of each thread */
#define LINES	   3   /* of the function: its def, one that grows, one that shrinks */
#define RECURSIONS 3

static struct pymem_block block = {.version = PYMEM_BLOCK_VERSION, .state = PYMEM_BLOCK_LIVE};
static PyObject functions[2]; /* "code objects": addresses are all that counts */
static bool unguarded, over;
static int wave;

/* What of the interpreter the parts refer to. */
PyObject *PyObject_CallFunction(PyObject *function, const char *format, ...)
{
	(void)function;
	(void)format;
	abort();
}

void _Py_Dealloc(PyObject *object)
{
	(void)object;
	abort();
}

bool lines_blind(bool own_thread)
{
	(void)own_thread;
	return false;
}

/* Changes what the calling thread has, as the kernel would. */
__attribute__((no_sanitize("thread"))) static void grow(int64_t pages)
{
	volatile struct pymem_block_thread *mine;
	uint32_t tid = syscall(SYS_gettid);
	int i;

	for (i = 0; i < PYMEM_BLOCK_PROBES; i++) {
		mine = &block.threads[(tid + i) % PYMEM_BLOCK_THREADS];
		if (mine->tid != tid && !__sync_bool_compare_and_swap(&mine->tid, 0, tid))
			continue;
		mine->net_pages += pages;
		__sync_fetch_and_add(&block.rss_pages, pages);
		return;
	}
	abort();
}

static void enter(PyObject *object)
{
	struct code *code;

	if (!unguarded && !lines_event_begin())
		abort();
	code = lines_find(object);
	if (code)
		lines_enter(code, code->begin, BY_ENTRY);
	if (!unguarded)
		lines_event_end();
}

static void line(PyObject *object, int number)
{
	if (!unguarded && !lines_event_begin())
		abort();
	if (lines_line(object, number))
		abort(); /* no alarm was set */
	if (!unguarded)
		lines_event_end();
}

static void leave(PyObject *object)
{
	struct code *code;

	if (!unguarded && !lines_event_begin())
		abort();
	code = lines_find(object);
	if (code)
		lines_leave_code(code);
	if (!unguarded)
		lines_event_end();
}

/* A call of a function that grows by `pages` on one line and shrinks by one page on the next, and
 * calls itself there. */
static void call(PyObject *object, int pages, int depth)
{
	enter(object);
	line(object, 1);
	line(object, 2);
	grow(pages);
	line(object, 3);
	grow(-1);
	if (depth)
		call(object, pages, depth - 1);
	leave(object);
}

static void *run(void *argument)
{
	int pages = (int)(intptr_t)argument, i;

	for (i = 0; i < CALLS; i++) {
		call(&functions[0], pages, i % (RECURSIONS + 1));
		call(&functions[1], 1, 0);
	}
	return NULL;
}

static struct recorder *recorder_new(void)
{
	struct recorder *r = calloc(1, sizeof(*r));
	struct code like = {.first = 1, .count = LINES, .begin = 1};
	int32_t units[LINES] = {1, 2, 3};
	int i, err = 0;

	if (!r)
		abort();
	r->block.buf = &block;
	r->block.len = sizeof(block);
	r->fd = -1;
	r->alarm_pages = INT64_MAX;
	lines_exclusive_begin();
	for (i = 0; i < 2 && !err; i++) {
		like.object = &functions[i];
		err = lines_add(r, like.object, &like, (const char *)units, sizeof(units));
	}
	lines_exclusive_end();
	if (err)
		abort();
	return r;
}

/* Copy of what a recorder has of a function. */
static struct counts *counted(const struct recorder *r, PyObject *object)
{
	struct counts *counts;

	lines_exclusive_begin();
	counts = lines_counts_copy(lines_sink(lines_find(object), r, object));
	lines_exclusive_end();
	if (!counts)
		abort();
	return counts;
}

static void drop(struct recorder *r)
{
	lines_drop(r);
	free(r);
}

/* Recorders come and go while the threads run; what one has never gets less while it is enabled. */
static void *meddle(void *argument)
{
	int64_t *wrong = argument, before, now;
	struct recorder *r;
	struct counts *counts;
	int i;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		r = recorder_new();
		if (lines_enable(r))
			abort();
		for (before = i = 0; i < 5; i++) {
			counts = counted(r, &functions[0]);
			now = counts->calls;
			*wrong += now < before;
			before = now;
			free(counts);
			usleep(200);
		}
		lines_exclusive_begin();
		lines_disable(r);
		lines_exclusive_end();
		drop(r);
	}
	return NULL;
}

static int compare(const char *what, int64_t found, int64_t wanted)
{
	if (found == wanted)
		return 0;
	printf("%s: %lld, not %lld\n", what, (long long)found, (long long)wanted);
	return 1;
}

static int check(const struct recorder *r)
{
	int64_t once = WAVES * (int64_t)CALLS, sum = THREADS * (THREADS + 1) / 2, calls;
	struct counts *first = counted(r, &functions[0]), *second = counted(r, &functions[1]);
	int err = 0;

	calls = once * THREADS * (RECURSIONS + 2) / 2; /* with those inside: 1, 2, 3, 4 in turns */
	err += compare("calls", first->calls, calls);
	err += compare("runs of the def", first->lines[0].runs, calls);
	err += compare("runs of line 2", first->lines[1].runs, calls);
	err += compare("runs of line 3", first->lines[2].runs, calls);
	err += compare("pages of line 2", first->lines[1].pages, once * sum * (RECURSIONS + 2) / 2);
	/* What the calls inside change is in the outermost run, too: less one page for each call,
	 * and what line 2 of each call inside has. */
	err += compare("pages of line 3", first->lines[2].pages,
		       once * sum * RECURSIONS / 2 - calls);
	err += compare("calls of the other", second->calls, once * THREADS);
	err += compare("pages of its line 2", second->lines[1].pages, once * THREADS);
	err += compare("pages of its line 3", second->lines[2].pages, -once * THREADS);
	err += compare("without memory", r->unplaced, 0);
	free(first);
	free(second);
	return err;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS], meddler;
	struct recorder *everyone;
	int64_t wrong = 0;
	int i, err;

	unguarded = argc > 1 && !strcmp(argv[1], "unguarded");
	for (i = 0; i < 2; i++)
		functions[i].ob_refcnt = 1;
	everyone = recorder_new();
	if (lines_init() || lines_enable(everyone))
		abort();
	if (pthread_create(&meddler, NULL, meddle, &wrong))
		abort();
	for (wave = 0; wave < WAVES; wave++) {
		for (i = 0; i < THREADS; i++)
			if (pthread_create(&threads[i], NULL, run, (void *)(intptr_t)(i + 1)))
				abort();
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(meddler, NULL);
	err = check(everyone) + compare("less than before", wrong, 0);
	drop(everyone);
	puts(err ? "wrong" : "right");
	return err ? 1 : 0;
}
