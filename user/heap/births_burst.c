/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A burst: attach the probes; record for some milliseconds or 600 events; for 3 ms more, only watch
 * which objects die; stop the target; begin to detach; read what was recorded and take
 * fingerprints; let the target go on; end the detach.
 *
 * The time begins when the target is seen to work (BUSY_EVENTS). Else most bursts would miss a
 * service that works for a millisecond, 25 times a second. The stop comes before the detach: during
 * a detach objects die, and others take their blocks. The breakpoints are removed while the target
 * is stopped, since each call of these functions traps until then. The rest of the detach takes 15
 * ms and more, while the target runs on.
 *
 * Programs make many more strings and tuples than anything else, and a burst has room for 600
 * objects. So each second burst leaves these out, and by turns dicts and lists, too: what is made
 * seldom is seen as well. Such bursts last longer.
 *
 * The objects are looked at again after 3, 20, 60 and 150 ms, and once more at the end. So
 * short-lived ones are dropped before many blocks have been used again. Bursts come at random
 * moments: regular ones could keep time with the program and miss what it does.
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

#define BURST_EVENTS	600
#define BURST_ENDS	3000 /* deaths that are seen meanwhile: each of them costs, too */
#define SETTLE_EVENTS	300
#define SETTLE_MS	3
#define SETTLE_IDLE_MS	20 /* while it does hardly anything: it may wait for a CPU */
#define SETTLE_SLICE_US 250
#define IDLE_MS		60 /* how long a burst waits for BUSY_EVENTS */
#define BUSY_EVENTS	20
#define PERIOD_MS	750 /* from burst to burst, on average */
#define FIRST_MS	100
#define SLICE_MS	1

/* What is made more and more often. A burst of a kind sees what is of the kinds up to it. */
enum burst_kind { INSTANCES, TABLES, ALL };

static const unsigned burst_ms[] = {[INSTANCES] = 60, [TABLES] = 30, [ALL] = 10};
static const enum burst_kind burst_order[] = {ALL, TABLES, ALL, INSTANCES};
#define BURST_ORDER (sizeof(burst_order) / sizeof(burst_order[0]))

/* Functions that make objects, exported and called by all builds of 3.8 to 3.15 that were tried. By
 * kind. */
static const struct maker {
	const char *name;
	enum burst_kind kind;
} makers[] = {
	{"PyType_GenericAlloc", INSTANCES},
	{"PyFunction_NewWithQualName", INSTANCES},
	/* Some types of C are made by either (PyWeakref_NewRef(), and a call of the type). */
	{"_PyObject_GC_New", INSTANCES},
	{"PyList_New", TABLES},
	{"PyDict_New", TABLES},
	{"_PyObject_GC_NewVar", ALL},
	{"PyTuple_New", ALL},
	{"PyUnicode_New", ALL},
	{"PyUnicode_Format", ALL},
	{"PyBytes_FromStringAndSize", ALL},
};
_Static_assert(sizeof(makers) == BIRTHS_MAKERS * sizeof(makers[0]), "none is missing");

/* Types whose dead objects go to a free list. From there they are used again in ways that no probe
 * sees, so the functions that free them are probed too. These functions have no symbols: tp_dealloc
 * of the type leads to them. A burst that does not probe one tells of no object of that type. */
static const char *const recycled[] = {"PyDict_Type", "PyList_Type", "PyTuple_Type"};
static const size_t freers_of[] = {[INSTANCES] = 0, [TABLES] = 2, [ALL] = BIRTHS_RECYCLED};
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

/* Objects of that type may have been replaced unseen in this burst. */
static bool is_recycled(const struct collecting *c, uint64_t type)
{
	for (size_t i = c->freers; i < BIRTHS_RECYCLED; i++)
		if (c->recycled[i] == type)
			return true;
	return false;
}

/* Takes the fingerprints of the samples from index `first` on (`anew`), or compares them with those
 * taken before. Drops the samples whose objects have died. */
static void look_again(struct collecting *c, size_t first, bool anew)
{
	size_t kept = first;

	for (size_t i = first; i < c->made_count; i++) {
		struct made *made = &c->made[i];
		uint64_t type = 0, print = fingerprint(&c->prints, made->sample.object, &type);

		if (!print || (anew && is_recycled(c, type)) ||
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

/* Of several samples with one address, keeps the latest: its object is the one that is there now.
 * Drops the latest, too, if it has no stack, as its line is not known. */
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
	uint64_t address, offset; /* `offset` is the result for `address` */
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

/* Address in the process. */
static uint64_t type_addr(const struct collecting *c, const struct elf_symbol *type)
{
	const struct py_process *process = &c->request->process;

	return type->address - process->image_runtime_vaddr + process->runtime_addr;
}

/* Offset in the interpreter's file of the function that frees objects of `type`; 0: it is not in
 * that file, or can't be found. */
static uint64_t freeing_offset(const struct collecting *c, const struct elf_symbol *type)
{
	struct place place = {.process = &c->request->process};

	if (!type->address ||
	    !births_read(c->request->pid, type_addr(c, type) + c->request->heap.type_dealloc,
			 &place.address, sizeof(place.address)))
		return 0;
	proc_maps_each(c->request->pid, offset_if_inside, &place);
	return place.offset;
}

/* Finds the functions to be probed. 0; -ENOENT: none of `makers` is there, or a type's freeing
 * function was not found; -errno. */
static int find_functions(struct collecting *c)
{
	struct elf_symbol functions[BIRTHS_MAKERS], types[BIRTHS_RECYCLED];
	const char *names[BIRTHS_MAKERS];
	int err;

	c->image_fd = -ENOENT;
	err = proc_maps_each(c->request->pid, open_if_image, c);
	if (err < 0)
		return err;
	if (c->image_fd < 0)
		return c->image_fd;
	for (size_t i = 0; i < BIRTHS_MAKERS; i++)
		names[i] = makers[i].name;
	err = elf_symbols_find(c->image_fd, names, BIRTHS_MAKERS, functions)
		      ?: elf_symbols_find(c->image_fd, recycled, BIRTHS_RECYCLED, types);
	for (size_t i = 0; i < BIRTHS_MAKERS && !err; i++) {
		if (functions[i].offset)
			c->make_at[c->makers++] = functions[i].offset;
		c->makers_of[makers[i].kind] = c->makers;
	}
	for (size_t i = 0; i < BIRTHS_RECYCLED && !err; i++) {
		uint64_t offset = freeing_offset(c, &types[i]);

		if (!offset)
			return -ENOENT;
		c->recycled[i] = type_addr(c, &types[i]);
		c->free_at[i] = offset;
	}
	return !err && !c->makers ? -ENOENT : err;
}

/* --- a burst --- */

static void record_events(struct collecting *c, unsigned ms)
{
	uint64_t begin_ms = clock_ms(CLOCK_MONOTONIC), now_ms, busy_ms = 0, events;
	const struct birth_counts before = birth_probes_counts(c->probes);
	struct birth_counts now;

	birth_probes_enable(c->probes, true, BURST_EVENTS);
	do {
		usleep(SLICE_MS * 1000);
		now = birth_probes_counts(c->probes);
		now_ms = clock_ms(CLOCK_MONOTONIC);
		events = now.seen - before.seen;
		if (!busy_ms && events + now.ends - before.ends >= BUSY_EVENTS)
			busy_ms = now_ms;
	} while (events < BURST_EVENTS && now.ends - before.ends < BURST_ENDS &&
		 (busy_ms ? now_ms - busy_ms < ms : now_ms - begin_ms < IDLE_MS));
}

/* Records no more births, only deaths. An object may die after the burst, and an equal one may be
 * made at its address and kept: that one would then be taken for the first. Most short-lived
 * objects die at once. */
static void settle(struct collecting *c)
{
	uint64_t ends = birth_probes_counts(c->probes).ends, begin_ms = clock_ms(CLOCK_MONOTONIC);
	uint64_t seen, ms;

	birth_probes_no_more(c->probes);
	do {
		usleep(SETTLE_SLICE_US);
		seen = birth_probes_counts(c->probes).ends - ends;
		ms = clock_ms(CLOCK_MONOTONIC) - begin_ms;
	} while (seen < SETTLE_EVENTS && ms < (seen < BUSY_EVENTS ? SETTLE_IDLE_MS : SETTLE_MS));
}

static int drop_event(void *arg, const struct birth_event *event)
{
	(void)arg;
	(void)event;
	return 0;
}

/* Drops the events of a burst that failed: another tracer has the target (a census that pauses it),
 * a thread did not stop, or events were lost. 0 or -errno. */
static int drop_samples(struct collecting *c)
{
	int err = birth_probes_read(c->probes, drop_event, NULL);

	c->figures.missed++;
	return err < 0 ? err : 0;
}

/* Stops the target, takes the samples of the burst, and lets the target go on. 0 or -errno. */
static int take_samples(struct collecting *c, size_t first)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	int err = capture_pause(&c->pause);
	double ms;

	/* Recording ends only when the target is stopped: until then objects die and are made, and
	 * all of that must be seen. */
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

/* The kind of the next burst. If a build has no function of that kind, all are probed. */
static enum burst_kind next_kind(const struct collecting *c)
{
	enum burst_kind kind = burst_order[c->figures.bursts % BURST_ORDER];

	return c->makers_of[kind] ? kind : ALL;
}

static int burst(struct collecting *c)
{
	enum burst_kind kind = next_kind(c);
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	size_t first = c->made_count;
	unsigned waited = 0;
	int err;

	c->freers = freers_of[kind];
	err = birth_probes_attach(c->probes, c->image_fd,
				  &(struct birth_places){c->make_at, c->makers_of[kind]},
				  &(struct birth_places){c->free_at, c->freers});
	if (err)
		return err;
	record_events(c, burst_ms[kind]);
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
		/* A thread that has not stopped since the last burst can't be stopped again. */
		if (capture_let_go(&c->pause)) {
			c->figures.bursts++;
			c->figures.missed++;
		} else if (c->made_count + BURST_EVENTS <= BIRTHS_SAMPLES_MAX) {
			err = burst(c);
		}
		wait = PERIOD_MS / 2 + random_below(PERIOD_MS);
	}
	/* If several bursts have a sample of one address, the last one counts. */
	drop_replaced(c, 0);
	look_again(c, 0, false);
	return err;
}
