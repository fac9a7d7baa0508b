/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bursts.
 *
 * A burst: attach, record for 10 ms or 600 events, see what dies for 3 ms more, stop the target,
 * read what was recorded, take fingerprints, detach, let it go on. The 10 ms begin when the target
 * does something, which is waited for: most bursts would miss a service that works for a
 * millisecond, 25 times a second. The stop comes before the detach: meanwhile objects die and
 * others take their blocks. The breakpoints go while the target is stopped, since until then each
 * call of these functions traps; the rest of the detach takes 15 ms and more, and the target runs
 * on. Look again after 3, 20, 60 and 150 ms, so that what is short-lived is dropped while little
 * can have taken its place, and once more at the end. Bursts come at random moments: at regular
 * ones a program's own rhythm would hide what it does.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "heap/births_collect.h"
#include "os/proc.h"
#include "python/elf_symbols.h"

#define BURST_MS	10
#define BURST_EVENTS	600
#define SETTLE_EVENTS	300
#define SETTLE_MS	3
#define SETTLE_SLICE_US 250
#define IDLE_MS		60 /* how long it waits for BUSY_EVENTS */
#define BUSY_EVENTS	20
#define PERIOD_MS	750 /* from burst to burst, on average */
#define FIRST_MS	100
#define SLICE_MS	1

/* Functions that make objects, exported and called by all builds of 3.8 to 3.15 that were tried. */
static const char *const makers[] = {
	"_PyObject_GC_New", "_PyObject_GC_NewVar",	  "PyType_GenericAlloc",
	"PyList_New",	    "PyFunction_NewWithQualName", "PyUnicode_New",
	"PyUnicode_Format", "PyBytes_FromStringAndSize",  "PyTuple_New",
	"PyDict_New",
};
_Static_assert(sizeof(makers) == BIRTHS_MAKERS * sizeof(makers[0]), "none is missing");

/* Types whose dead objects go to a free list, and come back from it by ways that are not seen. The
 * functions that free them have no names: the types know them. */
static const char *const recycled[] = {"PyTuple_Type", "PyDict_Type", "PyList_Type"};
_Static_assert(sizeof(recycled) == BIRTHS_RECYCLED * sizeof(recycled[0]), "nor here");

static const unsigned looks_ms[] = {3, 20, 60, 150};
#define LOOKS (sizeof(looks_ms) / sizeof(looks_ms[0]))

/* --- samples --- */

static int take_event(void *arg, const struct birth_event *event)
{
	return births_take(arg, event);
}

static int by_object(const void *a, const void *b)
{
	const struct made *x = a, *y = b;

	if (x->sample.object != y->sample.object)
		return x->sample.object < y->sample.object ? -1 : 1;
	return x->made < y->made ? -1 : x->made > y->made;
}

/* Of the samples from `first` on: takes their fingerprints (`anew`) or compares them, and drops the
 * dead. */
static void look_again(struct collecting *c, size_t first, bool anew)
{
	size_t kept = first;

	for (size_t i = first; i < c->made_count; i++) {
		struct made *made = &c->made[i];
		uint64_t type = 0, print = fingerprint(&c->prints, made->sample.object, &type);

		if (!print ||
		    (anew ? !fingerprint_fits(&c->prints, made->sample.object, type, made->head)
			  : print != made->print || type != made->sample.type)) {
			c->figures.died++;
			continue;
		}
		made->print = print;
		made->sample.type = type;
		c->made[kept++] = *made;
	}
	c->made_count = kept;
}

/* An address that several events are about: the object of the latest one is there. If that one has
 * no stack, nobody knows whose it is. */
static void drop_replaced(struct collecting *c, size_t first)
{
	size_t kept = first;

	if (c->made_count == first)
		return;
	qsort(c->made + first, c->made_count - first, sizeof(*c->made), by_object);
	for (size_t i = first; i < c->made_count; i++) {
		if (c->made[i].sample.stack == UINT32_MAX ||
		    (i + 1 < c->made_count &&
		     c->made[i + 1].sample.object == c->made[i].sample.object))
			c->figures.died += c->made[i].sample.stack != UINT32_MAX;
		else
			c->made[kept++] = c->made[i];
	}
	c->made_count = kept;
}

static unsigned random_below(unsigned limit)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint32_t)clock_ns(CLOCK_MONOTONIC);
	return number % limit;
}

/* --- the interpreter's file --- */

static bool is_image(const struct proc_mapping *mapping, const struct py_process *process)
{
	return mapping->inode == process->image_inode && mapping->perms[2] == 'x' &&
	       makedev(mapping->dev_major, mapping->dev_minor) == process->image_dev;
}

static int open_if_image(const struct proc_mapping *mapping, void *arg)
{
	struct collecting *c = arg;

	if (!is_image(mapping, &c->request->process))
		return 0;
	c->image_fd = proc_open_mapping(c->request->pid, mapping);
	return 1;
}

struct place {
	const struct py_process *process;
	uint64_t address, offset; /* given; found */
};

static int offset_if_inside(const struct proc_mapping *mapping, void *arg)
{
	struct place *place = arg;

	if (!is_image(mapping, place->process) || place->address < mapping->start ||
	    place->address >= mapping->end)
		return 0;
	place->offset = place->address - mapping->start + mapping->offset;
	return 1;
}

/* Where the function begins that frees the objects of a type; 0: not in the interpreter's file. */
static uint64_t freeing_offset(const struct collecting *c, const struct elf_symbol *type)
{
	const struct py_process *process = &c->request->process;
	struct place place = {.process = process};
	uint64_t at = type->address - process->image_runtime_vaddr + process->runtime_addr;

	if (!type->address || !births_read(c->request->pid, at + c->request->heap.type_dealloc,
					   &place.address, sizeof(place.address)))
		return 0;
	proc_maps_each(c->request->pid, offset_if_inside, &place);
	return place.offset;
}

/* Finds what is to be probed: 0; -ENOENT: there are none of them; -errno. */
static int find_functions(struct collecting *c)
{
	struct elf_symbol functions[BIRTHS_MAKERS], types[BIRTHS_RECYCLED];
	int err;

	c->image_fd = -ENOENT;
	err = proc_maps_each(c->request->pid, open_if_image, c);
	if (err < 0)
		return err;
	if (c->image_fd < 0)
		return c->image_fd;
	err = elf_symbols_find(c->image_fd, makers, BIRTHS_MAKERS, functions)
		      ?: elf_symbols_find(c->image_fd, recycled, BIRTHS_RECYCLED, types);
	for (size_t i = 0; i < BIRTHS_MAKERS && !err; i++)
		if (functions[i].offset)
			c->make_at[c->makers++] = functions[i].offset;
	for (size_t i = 0; i < BIRTHS_RECYCLED && !err; i++) {
		uint64_t offset = freeing_offset(c, &types[i]);

		if (!offset)
			return -ENOENT;
		c->free_at[c->freers++] = offset;
	}
	return !err && !c->makers ? -ENOENT : err;
}

/* --- a burst --- */

static void record_events(struct collecting *c)
{
	uint64_t begin_ms = clock_ms(CLOCK_MONOTONIC), now_ms, busy_ms = 0, events;
	const struct birth_counts before = birth_probes_counts(c->probes);

	birth_probes_enable(c->probes, true, BURST_EVENTS);
	do {
		struct birth_counts now;

		usleep(SLICE_MS * 1000);
		now = birth_probes_counts(c->probes);
		now_ms = clock_ms(CLOCK_MONOTONIC);
		events = now.seen - before.seen;
		if (!busy_ms && events + now.ends - before.ends >= BUSY_EVENTS)
			busy_ms = now_ms;
	} while (events < BURST_EVENTS &&
		 (busy_ms ? now_ms - busy_ms < BURST_MS : now_ms - begin_ms < IDLE_MS));
}

/* Sees only what becomes of the objects. One that dies after the burst, and whose like is made at
 * its address and kept, would be taken for the one that is kept. Most die at once. */
static void settle(struct collecting *c)
{
	uint64_t ends = birth_probes_counts(c->probes).ends, begin_ms = clock_ms(CLOCK_MONOTONIC);

	birth_probes_no_more(c->probes);
	do
		usleep(SETTLE_SLICE_US);
	while (birth_probes_counts(c->probes).ends - ends < SETTLE_EVENTS &&
	       clock_ms(CLOCK_MONOTONIC) - begin_ms < SETTLE_MS);
}

static int drop_event(void *arg, const struct birth_event *event)
{
	(void)arg;
	(void)event;
	return 0;
}

/* Another tracer has the target (a census that pauses it), or a thread did not stop: this burst is
 * lost. */
static int drop_samples(struct collecting *c)
{
	int err = birth_probes_read(c->probes, drop_event, NULL);

	c->figures.missed++;
	return err < 0 ? err : 0;
}

/* The target stands still meanwhile. */
static int take_samples(struct collecting *c, size_t first)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	int err = capture_pause(&c->pause);
	double ms;

	/* Not before it stands still: what dies and is made until then must be known. */
	birth_probes_enable(c->probes, false, 0);
	birth_probes_detach_begin(c->probes);
	if (err == -EBUSY || err == -ETIME)
		return drop_samples(c);
	if (err)
		return err;
	if (birth_probes_spoilt(c->probes)) {
		capture_resume(&c->pause);
		return drop_samples(c);
	}
	err = birth_probes_read(c->probes, take_event, c);
	if (err >= 0) {
		drop_replaced(c, first);
		look_again(c, first, true);
		err = 0;
	}
	capture_resume(&c->pause);
	ms = (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e6;
	c->figures.stopped_ms += ms;
	if (ms > c->figures.longest_stop_ms)
		c->figures.longest_stop_ms = ms;
	return err;
}

static int burst(struct collecting *c)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	size_t first = c->made_count;
	unsigned waited = 0;
	int err;

	err = birth_probes_attach(c->probes, c->image_fd,
				  &(struct birth_places){c->make_at, c->makers},
				  &(struct birth_places){c->free_at, c->freers});
	if (err)
		return err;
	record_events(c);
	settle(c);
	err = take_samples(c, first);
	birth_probes_detach(c->probes);
	c->figures.probed_ms += (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e6;
	c->figures.bursts++;
	births_forget_unnamed(c);
	for (size_t i = 0; i < LOOKS && !err; i++) {
		if (births_ended(c, looks_ms[i] - waited))
			break;
		waited = looks_ms[i];
		look_again(c, first, false);
	}
	return err;
}

int births_bursts(struct collecting *c)
{
	unsigned wait = random_below(FIRST_MS);
	int err = find_functions(c) ?: births_open(c, 0);

	while (!err && !births_ended(c, wait)) {
		if (c->made_count + BURST_EVENTS <= BIRTHS_SAMPLES_MAX)
			err = burst(c);
		wait = PERIOD_MS / 2 + random_below(PERIOD_MS);
	}
	/* What was made in several bursts at one address is the last one's. */
	drop_replaced(c, 0);
	look_again(c, 0, false);
	return err;
}
