/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: which stack touched a page first is in tables that go on changing, by ids, and names of
 * lines come as messages. A look needs lines, at one moment, as plain data.
 *
 * Pages come in order of address, and neighbours were mostly touched by one line. So runs of pages
 * are kept: there are few.
 */
#include "heap/touches.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/hash.h"
#include "kernel/session.h"
#include "track/tracker.h"

/* The sizes of `-p PID`, see profile_options.c. */
#define STACKS	   65536
#define IMAGES	   256
#define RING_BYTES (1024 * 1024)

struct heap_touches {
	struct session *session;
	struct tracker tracker;
	bool tracking;
};

/* --- lines and runs --- */

void heap_touched_fini(struct heap_touched *touched)
{
	for (size_t i = 0; i < touched->line_count; i++) {
		free(touched->lines[i].file);
		free(touched->lines[i].function);
	}
	free(touched->lines);
	free(touched->runs);
	*touched = (struct heap_touched){};
}

uint32_t heap_touched_line(struct heap_touched *t, const char *file, int line, const char *function)
{
	struct heap_touched_line *added;

	for (size_t i = 0; i < t->line_count; i++) {
		const struct heap_touched_line *known = &t->lines[i];

		if (known->line == line && !strcmp(known->function, function) &&
		    !strcmp(known->file, file))
			return (uint32_t)i;
	}
	if (t->line_count >= TOUCHED_UNKNOWN ||
	    !ARRAY_HAS_ROOM(t->lines, t->line_count, t->line_room))
		return TOUCHED_UNKNOWN;
	added = &t->lines[t->line_count];
	*added = (struct heap_touched_line){
		.file = strdup(file), .function = strdup(function), .line = line};
	if (added->file && added->function)
		return (uint32_t)t->line_count++;
	free(added->file);
	free(added->function);
	return TOUCHED_UNKNOWN;
}

int heap_touched_add(struct heap_touched *t, uint64_t address, uint32_t line)
{
	struct heap_touched_run *last = t->run_count ? &t->runs[t->run_count - 1] : NULL;

	if (last && last->line == line && last->pages < UINT32_MAX &&
	    last->start + last->pages * t->page == address) {
		last->pages++;
		return 0;
	}
	if (!ARRAY_HAS_ROOM(t->runs, t->run_count, t->run_room))
		return -ENOMEM;
	t->runs[t->run_count++] = (struct heap_touched_run){address, 1, line};
	return 0;
}

/* --- the BPF side --- */

int heap_touches_open(struct heap_touches **result, int verbosity, char *why, size_t size)
{
	struct session_options options = {
		.faults = true,
		.syscalls = true,
		.touched = true,
		.max_stacks = STACKS,
		.max_images = IMAGES,
		.ring_bytes = RING_BYTES,
		.verbosity = verbosity,
	};
	struct heap_touches *t = calloc(1, sizeof(*t));
	char text[512] = "";
	int err = 0;

	*result = NULL;
	if (!t)
		return -ENOMEM;
	t->session = session_new(&options, text, sizeof(text));
	if (!t->session)
		err = -errno;
	if (!err && !session_sees_touches(t->session)) {
		err = -ENOTSUP;
		snprintf(text, sizeof(text),
			 "that needs Linux 6.2 or newer, page fault tracepoints (arm64 has none), "
			 "and a cheap way to tell which mappings change");
	}
	if (!err)
		err = tracker_init(&t->tracker, t->session, false, false);
	t->tracking = !err;
	if (!err)
		err = session_attach(t->session);
	if (!err) {
		*result = t;
		return 0;
	}
	snprintf(why, size, "%s", *text ? text : strerror(-err));
	heap_touches_close(t);
	return err;
}

void heap_touches_close(struct heap_touches *t)
{
	if (!t)
		return;
	if (t->tracking)
		tracker_fini(&t->tracker);
	session_free(t->session);
	free(t);
}

int heap_touches_watch(struct heap_touches *t, pid_t pid, char *why, size_t size)
{
	return tracker_attach(&t->tracker, pid, why, size);
}

int heap_touches_poll(struct heap_touches *t)
{
	int got = tracker_poll(&t->tracker, 0);

	return got < 0 && got != -EINTR ? got : 0;
}

int heap_touches_fd(const struct heap_touches *t)
{
	return session_fd(t->session);
}

/* --- reading --- */

struct known_stack { /* a stack that has touched pages, with its line */
	struct pymem_stack_key key;
	uint32_t line;
	UT_hash_handle hh;
};

struct touched_reading {
	struct heap_touches *touches;
	struct heap_touched *touched;
	struct known_stack *stacks, *last;
	uint32_t line; /* line of the stack that is being looked up */
};

static int place(const struct counts_frame *innermost, void *arg)
{
	struct touched_reading *r = arg;

	r->line = TOUCHED_UNKNOWN;
	if (!innermost)
		return 0;
	r->line = heap_touched_line(r->touched, innermost->file, innermost->line,
				    innermost->function);
	return r->line == TOUCHED_UNKNOWN ? -ENOMEM : 0;
}

/* Sets r->last to the stack of the key. 0 or -errno. */
static int find_stack(struct touched_reading *r, const struct pymem_stack_key *key)
{
	struct known_stack *stack;
	int err;

	if (r->last && !memcmp(&r->last->key, key, sizeof(*key)))
		return 0;
	HASH_FIND(hh, r->stacks, key, sizeof(*key), r->last);
	if (r->last)
		return 0;
	err = tracker_stack_place(&r->touches->tracker, key, place, r);
	stack = err ? NULL : calloc(1, sizeof(*stack));
	if (!stack)
		return err ? err : -ENOMEM;
	stack->key = *key;
	stack->line = r->line;
	if (HASH_INSERT(r->stacks, key, stack)) {
		free(stack);
		return -ENOMEM;
	}
	r->last = stack;
	return 0;
}

static int add_page(uint64_t address, const struct pymem_stack_key *key, bool before, void *arg)
{
	struct touched_reading *r = arg;
	int err;

	if (!key)
		return heap_touched_add(r->touched, address,
					before ? TOUCHED_BEFORE : TOUCHED_UNKNOWN);
	err = find_stack(r, key);
	return err ? err : heap_touched_add(r->touched, address, r->last->line);
}

int heap_touches_read(struct heap_touches *t, pid_t pid, struct heap_touched *touched)
{
	struct touched_reading r = {.touches = t, .touched = touched};
	struct known_stack *stack, *next;
	int err;

	heap_touched_fini(touched);
	touched->page = (uint64_t)sysconf(_SC_PAGESIZE);
	/* Messages with the names of lines come first. */
	err = heap_touches_poll(t);
	if (!err)
		err = tracker_touched_pages(&t->tracker, pid, add_page, &r);
	HASH_ITER(hh, r.stacks, stack, next)
	{
		HASH_DEL(r.stacks, stack);
		free(stack);
	}
	if (err)
		heap_touched_fini(touched);
	return err;
}
