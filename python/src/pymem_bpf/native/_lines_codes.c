/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The profiled code objects, by address, and which recorders count them.
 *
 * A record holds a reference to its code object, so that no other one can get its address.
 */
#include "_lines.h"

#include <stdlib.h>
#include <string.h>

/* room: 0 or a power of two, at most half full. */
static struct {
	struct code **codes;
	size_t room, used;
} table;

static size_t place_of(const void *object, size_t room)
{
	return ((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15ULL >> 20 & (room - 1);
}

struct code *lines_find(PyObject *object)
{
	size_t at;

	if (!table.room)
		return NULL;
	for (at = place_of(object, table.room); table.codes[at]; at = (at + 1) & (table.room - 1))
		if (table.codes[at]->object == object)
			return table.codes[at];
	return NULL;
}

/* Puts all records into a new table of `room` places. 0 or -1. */
static int rehash(size_t room)
{
	struct code **codes = calloc(room, sizeof(struct code *));
	size_t i, at;

	if (!codes)
		return -1;
	for (i = 0; i < table.room; i++) {
		if (!table.codes[i])
			continue;
		for (at = place_of(table.codes[i]->object, room); codes[at];)
			at = (at + 1) & (room - 1);
		codes[at] = table.codes[i];
	}
	free(table.codes);
	table.codes = codes;
	table.room = room;
	return 0;
}

static int code_insert(struct code *code)
{
	size_t at;

	if (2 * (table.used + 1) > table.room && rehash(table.room ? table.room * 2 : 64))
		return -1;
	for (at = place_of(code->object, table.room); table.codes[at];)
		at = (at + 1) & (table.room - 1);
	table.codes[at] = code;
	table.used++;
	return 0;
}

static void code_remove(struct code *code)
{
	size_t at = place_of(code->object, table.room), hole, home;

	while (table.codes[at] != code)
		at = (at + 1) & (table.room - 1);
	table.codes[at] = NULL;
	table.used--;
	/* Those behind it may have been displaced by it. */
	for (hole = at, at = (at + 1) & (table.room - 1); table.codes[at];
	     at = (at + 1) & (table.room - 1)) {
		home = place_of(table.codes[at]->object, table.room);
		if (((at - home) & (table.room - 1)) < ((at - hole) & (table.room - 1)))
			continue;
		table.codes[hole] = table.codes[at];
		table.codes[at] = NULL;
		hole = at;
	}
}

static struct code *code_new(const struct code *like, const char *lines, Py_ssize_t size)
{
	struct code *code = malloc(sizeof(*code));

	if (!code)
		return NULL;
	*code = *like;
	code->sinks = NULL;
	code->dead = NULL;
	code->offset_count = size / sizeof(int32_t);
	code->offset_lines = malloc(size ? size : 1);
	if (!code->offset_lines || code_insert(code)) {
		free(code->offset_lines);
		free(code);
		return NULL;
	}
	memcpy(code->offset_lines, lines, size);
	Py_INCREF(code->object);
	return code;
}

/* Frees the records of code objects that are in the table no more. */
static void free_codes(struct code *dead)
{
	struct code *code;

	while ((code = dead)) {
		dead = code->dead;
		Py_DECREF(code->object);
		free(code->offset_lines);
		free(code);
	}
}

int lines_at(const struct code *code, long offset)
{
	Py_ssize_t unit = offset / 2;
	int line = unit >= 0 && unit < code->offset_count ? code->offset_lines[unit] : 0;

	return line > 0 ? line : code->begin;
}

struct sink *lines_sink(const struct code *code, const struct recorder *r, const PyObject *function)
{
	struct sink *sink;

	for (sink = code->sinks; sink; sink = sink->next)
		if (sink->recorder == r && sink->function == function)
			break;
	return sink;
}

/* --- counters --- */

static size_t counts_bytes(const struct sink *sink)
{
	return sizeof(struct counts) + sink->code->count * sizeof(struct line);
}

#if LINES_FREE_THREADED
/* The sinks by their numbers. A number that is free is used again. */
static struct {
	struct sink **sinks;
	size_t room;
} numbered;

static int number_take(struct sink *sink)
{
	size_t number, room = numbered.room ? numbered.room * 2 : 64;
	struct sink **sinks;

	for (number = 0; number < numbered.room && numbered.sinks[number]; number++)
		;
	if (number == numbered.room) {
		sinks = realloc(numbered.sinks, room * sizeof(*sinks));
		if (!sinks)
			return -1;
		memset(sinks + number, 0, (room - number) * sizeof(*sinks));
		numbered.sinks = sinks;
		numbered.room = room;
	}
	numbered.sinks[number] = sink;
	sink->number = number;
	return 0;
}

struct counts *lines_counts_new(struct sink *sink, struct thread *t)
{
	size_t room = sink->number + 16;
	struct counts **counts;

	if (sink->number >= t->count_room) {
		counts = realloc(t->counts, room * sizeof(*counts));
		if (!counts)
			goto no_memory;
		memset(counts + t->count_room, 0, (room - t->count_room) * sizeof(*counts));
		t->counts = counts;
		t->count_room = room;
	}
	counts = &t->counts[sink->number];
	if (!*counts)
		*counts = calloc(1, counts_bytes(sink));
	if (*counts)
		return *counts;
no_memory:
	__atomic_fetch_add(&sink->recorder->unplaced, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void add_counts(struct counts *sum, const struct counts *more, int count)
{
	int i;

	sum->calls += more->calls;
	sum->untold += more->untold;
	for (i = 0; i < count; i++) {
		sum->lines[i].runs += more->lines[i].runs;
		sum->lines[i].pages += more->lines[i].pages;
		if (more->lines[i].usage_pages > sum->lines[i].usage_pages)
			sum->lines[i].usage_pages = more->lines[i].usage_pages;
	}
}

void lines_counts_fold(struct thread *t)
{
	struct sink *sink;
	size_t i;

	for (i = 0; i < t->count_room; i++) {
		if (!t->counts[i])
			continue;
		sink = numbered.sinks[i];
		add_counts(&sink->counts, t->counts[i], sink->code->count);
		free(t->counts[i]);
	}
	free(t->counts);
	t->counts = NULL;
	t->count_room = 0;
}

static void add_threads(struct counts *sum, const struct sink *sink)
{
	const struct thread *t;

	for (t = lines_threads(); t; t = t->next)
		if (sink->number < t->count_room && t->counts[sink->number])
			add_counts(sum, t->counts[sink->number], sink->code->count);
}

static void number_free(const struct sink *sink)
{
	struct thread *t;

	for (t = lines_threads(); t; t = t->next) {
		if (sink->number >= t->count_room)
			continue;
		free(t->counts[sink->number]);
		t->counts[sink->number] = NULL;
	}
	numbered.sinks[sink->number] = NULL;
}
#else /* a sink has the counters of all threads */
static int number_take(struct sink *sink)
{
	(void)sink;
	return 0;
}

static void add_threads(struct counts *sum, const struct sink *sink)
{
	(void)sum;
	(void)sink;
}

static void number_free(const struct sink *sink)
{
	(void)sink;
}
#endif

struct counts *lines_counts_copy(const struct sink *sink)
{
	struct counts *copy = malloc(counts_bytes(sink));

	if (!copy)
		return NULL;
	memcpy(copy, &sink->counts, counts_bytes(sink));
	add_threads(copy, sink);
	return copy;
}

static void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	number_free(sink);
	free(sink);
}

/* --- recorders' --- */

int lines_add(struct recorder *r, const PyObject *function, const struct code *like,
	      const char *lines, Py_ssize_t size)
{
	struct code *code = lines_find(like->object);
	struct sink *sink;

	if (code && (code->first != like->first || code->count != like->count))
		return -2;
	if (code && lines_sink(code, r, function))
		return 0;
	sink = calloc(1, sizeof(*sink) + like->count * sizeof(struct line));
	if (sink && number_take(sink)) {
		free(sink);
		return -1;
	}
	if (sink && !code)
		code = code_new(like, lines, size);
	if (!sink || !code) {
		sink_free(sink);
		return -1;
	}
	sink->recorder = r;
	sink->function = function;
	sink->code = code;
	sink->next = code->sinks;
	code->sinks = sink;
	sink->sibling = r->sinks;
	r->sinks = sink;
	return 0;
}

/* Removes the frames of a code object from all threads' stacks. */
static void forget_frames(const struct code *code)
{
	struct thread *t;
	size_t i, kept;

	for (t = lines_threads(); t; t = t->next) {
		for (i = kept = 0; i < t->depth; i++)
			if (t->frames[i].code != code)
				t->frames[kept++] = t->frames[i];
		t->depth = kept;
	}
}

void lines_drop(struct recorder *r)
{
	struct code *code, *dead = NULL;
	struct sink *sink, **at;

	lines_exclusive_begin();
	lines_disable(r);
	while ((sink = r->sinks)) {
		r->sinks = sink->sibling;
		code = sink->code;
		for (at = &code->sinks; *at != sink;)
			at = &(*at)->next;
		*at = sink->next;
		sink_free(sink);
		if (code->sinks)
			continue;
		forget_frames(code);
		code_remove(code);
		code->dead = dead;
		dead = code;
	}
	lines_exclusive_end();
	free_codes(dead);
}
