/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The child that collects births.
 *
 * A burst: attach, record for 10 ms or 600 events, stop the target, read what was recorded, take
 * fingerprints, let it go on, detach. In that order: a detach takes 15 ms and more, in which
 * objects die and others take their blocks. Look again after 3, 20, 60 and 150 ms, so that what is
 * short-lived is dropped while little can have taken its place, and once more at the end. Bursts
 * come at random moments: at regular ones a program's own rhythm would hide what it does.
 */
#include "heap/births_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "heap/snapshot_child.h"
#include "os/proc.h"
#include "python/elf_symbols.h"

#define BURST_MS      10
#define BURST_EVENTS  600
#define PERIOD_MS     750 /* from burst to burst, on average */
#define FIRST_MS      100
#define SLICE_MS      1
#define SAMPLES_MAX   200000
#define WATCH_READ_MS 20

/* Functions that make objects, exported and called by all builds of 3.8 to 3.15 that were tried. */
static const char *const makers[] = {
	"_PyObject_GC_New",	      "_PyObject_GC_NewVar",
	"PyType_GenericAlloc",	      "PyList_New",
	"PyFunction_NewWithQualName", "PyUnicode_New",
	"PyBytes_FromStringAndSize",
};
#define MAKERS (sizeof(makers) / sizeof(makers[0]))

/* Types whose dead objects go to a free list, and come back from it by ways that are not seen. The
 * functions that free them have no names: the types know them. */
static const char *const recycled[] = {"PyTuple_Type", "PyDict_Type", "PyList_Type"};
#define RECYCLED (sizeof(recycled) / sizeof(recycled[0]))

static const unsigned looks_ms[] = {3, 20, 60, 150};
#define LOOKS (sizeof(looks_ms) / sizeof(looks_ms[0]))

struct made { /* an object */
	struct birth_sample sample;
	uint64_t print;
	uint64_t made; /* number of its event: the latest at an address counts */
};

struct stack_key {
	uint32_t depth, pad;
	struct birth_frame frames[BIRTH_FRAMES];
};

struct known_stack {
	struct stack_key key;
	uint32_t index;		      /* UINT32_MAX: it has no name */
	struct birth_stack stack;     /* texts are the code names' */
	size_t writes[BIRTH_WATCHES]; /* of each container: number of their sample, plus 1 */
	UT_hash_handle hh;
};

struct collecting {
	const struct births_request *request;
	struct birth_probes *probes;
	struct code_names names;
	struct fingerprints prints;
	struct known_stack *stacks;
	struct known_stack **by_index;
	size_t stack_count, stack_room;
	struct made *made;
	size_t made_count, made_room;
	uint64_t next_made;
	struct births_figures figures;
	struct capture pause;
	uint64_t progress;
	int image_fd, socket;
	uint64_t make_at[MAKERS], free_at[RECYCLED]; /* offsets in the interpreter's file */
	size_t makers, freers;
};

/* --- stacks --- */

static uint32_t name_stack(struct collecting *c, struct known_stack *known)
{
	unsigned depth = known->key.depth;

	for (unsigned i = 0; i < depth; i++) {
		if (code_names_line(&c->names, &known->key.frames[i], &known->stack.lines[i]))
			known->stack.depth = i + 1;
		else
			break;
	}
	if (!known->stack.depth || !ARRAY_HAS_ROOM(c->by_index, c->stack_count, c->stack_room))
		return UINT32_MAX;
	c->by_index[c->stack_count] = known;
	return (uint32_t)c->stack_count++;
}

/* Index of the event's stack, named at its first time; UINT32_MAX: it has no name. */
static uint32_t stack_of(struct collecting *c, const struct birth_event *event)
{
	struct known_stack *known, *found;
	uint32_t depth = event->depth < BIRTH_FRAMES ? event->depth : BIRTH_FRAMES;

	known = calloc(1, sizeof(*known));
	if (!known)
		return UINT32_MAX;
	known->key.depth = depth;
	memcpy(known->key.frames, event->frames, depth * sizeof(event->frames[0]));
	HASH_FIND(hh, c->stacks, &known->key, sizeof(known->key), found);
	if (!found && !HASH_INSERT(c->stacks, key, known)) {
		known->index = name_stack(c, known);
		return known->index;
	}
	free(known);
	return found ? found->index : UINT32_MAX;
}

/* Another time it may be there: a stack without a name is forgotten with its burst. */
static void forget_unnamed(struct collecting *c)
{
	struct known_stack *known, *next;

	HASH_ITER(hh, c->stacks, known, next)
	{
		if (known->index != UINT32_MAX)
			continue;
		HASH_DEL(c->stacks, known);
		free(known);
	}
}

/* --- events --- */

static int take_event(void *arg, const struct birth_event *event)
{
	struct collecting *c = arg;
	struct made *made;
	uint32_t stack;

	if (c->made_count >= SAMPLES_MAX)
		return -E2BIG;
	stack = event->change ? stack_of(c, event) : UINT32_MAX;
	c->figures.unnamed += event->change && stack == UINT32_MAX;
	if (!ARRAY_HAS_ROOM(c->made, c->made_count, c->made_room))
		return -ENOMEM;
	made = &c->made[c->made_count++];
	*made = (struct made){
		.sample = {.object = event->object, .change = event->change, .stack = stack},
		.made = c->next_made++};
	return 0;
}

/* One sample for all insertions into a container by one stack. */
static int take_write(void *arg, const struct birth_event *event)
{
	const struct births_options *options = &((struct collecting *)arg)->request->options;
	struct collecting *c = arg;
	size_t watch = 0, *number;
	uint32_t stack;
	int err = 0;

	while (watch < options->watch_count && options->watches[watch].object != event->object)
		watch++;
	if (event->change <= 0 || watch == options->watch_count)
		return 0;
	stack = stack_of(c, event);
	if (stack == UINT32_MAX) {
		c->figures.unnamed++;
		return 0;
	}
	number = &c->by_index[stack]->writes[watch];
	if (*number) {
		c->made[*number - 1].sample.change += event->change;
		return 0;
	}
	err = take_event(c, event);
	*number = c->made_count;
	return err;
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

		if (!print || (!anew && (print != made->print || type != made->sample.type))) {
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

/* --- time --- */

/* Waits; true: it is over. */
static bool ended(struct collecting *c, unsigned ms)
{
	struct pollfd p = {.fd = c->socket, .events = POLLIN};

	return poll(&p, 1, (int)ms) != 0;
}

static unsigned random_below(unsigned limit)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint32_t)clock_ns(CLOCK_MONOTONIC);
	return number % limit;
}

/* --- a burst --- */

static void record(struct collecting *c)
{
	uint64_t begin = clock_ms(CLOCK_MONOTONIC), seen = birth_probes_counts(c->probes).seen;

	birth_probes_enable(c->probes, true, BURST_EVENTS);
	while (clock_ms(CLOCK_MONOTONIC) - begin < BURST_MS &&
	       birth_probes_counts(c->probes).seen - seen < BURST_EVENTS)
		usleep(SLICE_MS * 1000);
	birth_probes_enable(c->probes, false, 0);
}

/* The target stands still meanwhile. */
static int take_samples(struct collecting *c, size_t first)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	int err = capture_pause(&c->pause);
	double ms;

	if (err)
		return err;
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
	record(c);
	err = take_samples(c, first);
	birth_probes_detach(c->probes);
	c->figures.probed_ms += (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e6;
	c->figures.bursts++;
	forget_unnamed(c);
	for (size_t i = 0; i < LOOKS && !err; i++) {
		if (ended(c, looks_ms[i] - waited))
			break;
		waited = looks_ms[i];
		look_again(c, first, false);
	}
	return err;
}

static int collect_bursts(struct collecting *c)
{
	unsigned wait = random_below(FIRST_MS);
	int err = 0;

	while (!err && !ended(c, wait)) {
		if (c->made_count + BURST_EVENTS <= SAMPLES_MAX)
			err = burst(c);
		wait = PERIOD_MS / 2 + random_below(PERIOD_MS);
	}
	/* What was made in several bursts at one address is the last one's. */
	drop_replaced(c, 0);
	look_again(c, 0, false);
	return err;
}

/* --- watching --- */

static int collect_writes(struct collecting *c)
{
	const struct births_options *options = &c->request->options;
	int err = birth_probes_try_watch();

	if (err)
		return err;
	err = birth_probes_watch(c->probes, options->watches, options->watch_count);
	if (err)
		return err;
	birth_probes_enable(c->probes, true, 0);
	do {
		err = birth_probes_read(c->probes, take_write, c);
	} while (err >= 0 && !ended(c, WATCH_READ_MS));
	birth_probes_enable(c->probes, false, 0);
	if (err >= 0)
		err = birth_probes_read(c->probes, take_write, c);
	birth_probes_unwatch(c->probes);
	return err < 0 ? err : 0;
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

	if (!is_image(mapping, c->request->process))
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
	const struct py_process *process = c->request->process;
	struct place place = {.process = process};
	uint64_t at = type->address - process->image_runtime_vaddr + process->runtime_addr;

	if (!type->address || !births_read(c->request->pid, at + c->request->heap->type_dealloc,
					   &place.address, sizeof(place.address)))
		return 0;
	proc_maps_each(c->request->pid, offset_if_inside, &place);
	return place.offset;
}

/* Finds what is to be probed: 0; -ENOENT: there are none of them; -errno. */
static int find_functions(struct collecting *c)
{
	struct elf_symbol functions[MAKERS], types[RECYCLED];
	int err;

	c->image_fd = -ENOENT;
	err = proc_maps_each(c->request->pid, open_if_image, c);
	if (err < 0)
		return err;
	if (c->image_fd < 0)
		return c->image_fd;
	err = elf_symbols_find(c->image_fd, makers, MAKERS, functions)
		      ?: elf_symbols_find(c->image_fd, recycled, RECYCLED, types);
	for (size_t i = 0; i < MAKERS && !err; i++)
		if (functions[i].offset)
			c->make_at[c->makers++] = functions[i].offset;
	for (size_t i = 0; i < RECYCLED && !err; i++) {
		uint64_t offset = freeing_offset(c, &types[i]);

		if (!offset)
			return -ENOENT;
		c->free_at[c->freers++] = offset;
	}
	return !err && !c->makers ? -ENOENT : err;
}

/* --- results --- */

static void put_line(FILE *out, const struct birth_line *line)
{
	size_t file = strlen(line->file), function = strlen(line->function);
	struct births_line_header header = {.line = line->line};

	header.file_bytes = (uint16_t)(file < UINT16_MAX ? file : UINT16_MAX);
	header.function_bytes = (uint16_t)(function < UINT16_MAX ? function : UINT16_MAX);
	fwrite(&header, sizeof(header), 1, out);
	fwrite(line->file, 1, header.file_bytes, out);
	fwrite(line->function, 1, header.function_bytes, out);
}

static void put_results(struct collecting *c, int err, FILE *out)
{
	struct births_header header = {.magic = BIRTHS_MAGIC,
				       .error = err,
				       .stacks = (uint32_t)c->stack_count,
				       .samples = (uint32_t)c->made_count,
				       .figures = c->figures};

	fwrite(&header, sizeof(header), 1, out);
	for (size_t i = 0; i < c->stack_count; i++) {
		const struct birth_stack *stack = &c->by_index[i]->stack;
		struct births_stack_header head = {stack->depth};

		fwrite(&head, sizeof(head), 1, out);
		for (unsigned k = 0; k < stack->depth; k++)
			put_line(out, &stack->lines[k]);
	}
	for (size_t i = 0; i < c->made_count; i++)
		fwrite(&c->made[i].sample, sizeof(c->made[i].sample), 1, out);
	fflush(out);
}

/* --- the child --- */

static int begin(struct collecting *c)
{
	const struct births_request *request = c->request;
	struct birth_target target = {.pid = request->pid,
				      .runtime = request->process->runtime_addr,
				      .layout = request->process->layout};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)request->pid);
	c->pause = (struct capture){.pid = request->pid, .progress = &c->progress, .pagemap = -1};
	c->pause.task = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->pause.task < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return birth_probes_open(&target, &c->probes);
}

static int collect(struct collecting *c)
{
	int err = begin(c);

	if (!err && c->request->options.method == BIRTHS_BURST)
		err = find_functions(c) ?: collect_bursts(c);
	else if (!err)
		err = collect_writes(c);
	return err;
}

static void release(struct collecting *c)
{
	struct known_stack *known, *next;

	birth_probes_close(c->probes);
	HASH_ITER(hh, c->stacks, known, next)
	{
		HASH_DEL(c->stacks, known);
		free(known);
	}
	code_names_free(&c->names);
	fingerprints_free(&c->prints);
	free(c->by_index);
	free(c->made);
	free(c->pause.threads);
}

void births_child_serve(const struct births_request *request, FILE *results, int socket)
{
	struct collecting c = {
		.request = request,
		.socket = socket,
		.names = {.pid = request->pid, .py = &request->process->layout},
		.prints = {.pid = request->pid, .l = request->heap},
		.image_fd = -1,
	};
	struct birth_counts counts = {};
	int err;

	proc_set_memory_reader(NULL);
	err = collect(&c);
	if (c.probes)
		counts = birth_probes_counts(c.probes);
	c.figures.seen = counts.seen;
	c.figures.lost = counts.lost;
	c.figures.unwalked = counts.unwalked;
	put_results(&c, err, results);
	release(&c);
}
