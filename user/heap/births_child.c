/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The child that collects births: from the request to the results. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "heap/births_collect.h"
#include "os/confine.h"
#include "os/proc.h"

#define LATE_MS 2 /* for which a thread may stand still that has stopped late */

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
	if (c->stack_count >= BIRTHS_STACKS_MAX)
		return UINT32_MAX;
	if (!known->stack.depth || !ARRAY_HAS_ROOM(c->by_index, c->stack_count, c->stack_room))
		return UINT32_MAX;
	c->by_index[c->stack_count] = known;
	return (uint32_t)c->stack_count++;
}

uint32_t births_stack(struct collecting *c, const struct birth_event *event)
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

void births_forget_unnamed(struct collecting *c)
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

/* --- events and time --- */

int births_take(struct collecting *c, const struct birth_event *event)
{
	struct made *made;
	uint32_t stack;

	if (c->made_count >= BIRTHS_SAMPLES_MAX + BIRTHS_BURST_MAX)
		return -E2BIG;
	stack = event->change ? births_stack(c, event) : UINT32_MAX;
	c->figures.unnamed += event->change && stack == UINT32_MAX;
	if (!ARRAY_HAS_ROOM(c->made, c->made_count, c->made_room))
		return -ENOMEM;
	made = &c->made[c->made_count++];
	*made = (struct made){
		.sample = {.object = event->object, .change = event->change, .stack = stack},
		.made = c->next_made++};
	memcpy(made->head, event->head, sizeof(made->head));
	return 0;
}

bool births_ended(struct collecting *c, unsigned ms)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + ms, now;
	struct pollfd p = {.fd = c->socket, .events = POLLIN};

	/* A thread that stops only now must not stand still until the next burst. */
	while (capture_let_go(&c->pause) && (now = clock_ms(CLOCK_MONOTONIC)) < end) {
		unsigned left = (unsigned)(end - now);

		if (poll(&p, 1, (int)(left < LATE_MS ? left : LATE_MS)))
			return true;
	}
	now = clock_ms(CLOCK_MONOTONIC);
	return poll(&p, 1, now < end ? (int)(end - now) : 0) != 0;
}

/* --- results --- */

/* Who looks at a line of a watch needs no names: it inserts. */
static void put_line(FILE *out, const struct birth_line *line, bool watched)
{
	size_t file = strlen(line->file), function = strlen(line->function);
	struct births_line_header header = {.line = line->line,
					    .names = (uint16_t)(watched ? 0 : line->name_count)};

	header.file_bytes = (uint16_t)(file < UINT16_MAX ? file : UINT16_MAX);
	header.function_bytes = (uint16_t)(function < UINT16_MAX ? function : UINT16_MAX);
	fwrite(&header, sizeof(header), 1, out);
	fwrite(line->file, 1, header.file_bytes, out);
	fwrite(line->function, 1, header.function_bytes, out);
	fwrite(line->names, sizeof(*line->names), header.names, out);
}

/* Of stacks whose objects have all died only the place is kept. */
static void put_stacks(const struct collecting *c, FILE *out)
{
	bool *is_used = calloc(c->stack_count + 1, sizeof(*is_used));

	for (size_t i = 0; i < c->made_count && is_used; i++)
		is_used[c->made[i].sample.stack] = true;
	for (size_t i = 0; i < c->stack_count; i++) {
		const struct birth_stack *stack = &c->by_index[i]->stack;
		struct births_stack_header head = {!is_used || is_used[i] ? stack->depth : 0};

		fwrite(&head, sizeof(head), 1, out);
		for (unsigned k = 0; k < head.depth; k++)
			put_line(out, &stack->lines[k], c->figures.watched);
	}
	free(is_used);
}

static void put_results(struct collecting *c, int err, FILE *out)
{
	struct births_header header = {.magic = BIRTHS_MAGIC,
				       .error = err,
				       .stacks = (uint32_t)c->stack_count,
				       .samples = (uint32_t)c->made_count,
				       .figures = c->figures};

	fwrite(&header, sizeof(header), 1, out);
	put_stacks(c, out);
	for (size_t i = 0; i < c->made_count; i++)
		fwrite(&c->made[i].sample, sizeof(c->made[i].sample), 1, out);
	fflush(out);
}

/* --- the child --- */

static int begin(struct collecting *c)
{
	pid_t pid = c->request->pid;
	struct confined confined;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	c->pause = (struct capture){
		.pid = pid, .progress = &c->progress, .pagemap = -1, .stop_ms = BIRTHS_STOP_MS};
	c->pause.task = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->pause.task < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* All that follows reads what the target controls. */
	return confine(CONFINE_PROBES | CONFINE_TRACE | CONFINE_PEEK, &confined);
}

int births_open(struct collecting *c, size_t watches)
{
	const struct births_request *request = c->request;
	struct birth_target target = {.pid = request->pid,
				      .watches = watches,
				      .runtime = request->process.runtime_addr,
				      .layout = request->process.layout};

	return birth_probes_open(&target, &c->probes);
}

static int collect(struct collecting *c)
{
	enum births_method method = c->request->method;
	int err = begin(c);

	if (err)
		return err;
	if (method != BIRTHS_METHOD_BURST) {
		err = births_writes(c);
		if (method == BIRTHS_METHOD_WATCH ||
		    (c->figures.watched && (err || c->made_count || births_ended(c, 0))))
			return err;
		/* Watching gave nothing: it was not possible, or watched containers were replaced.
		 * Bursts, which follow, see whatever is made. */
		c->figures.watched = false;
		c->figures.replaced = 0;
		c->figures.watch_error = err;
		birth_probes_close(c->probes);
		c->probes = NULL;
	}
	return births_bursts(c);
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
	free(c->pause.late);
}

void births_child_serve(const struct births_request *request, FILE *results, int socket)
{
	struct collecting c = {
		.request = request,
		.socket = socket,
		.names = {.pid = request->pid,
			  .py = &request->process.layout,
			  .heap = &request->heap},
		.prints = {.pid = request->pid,
			   .l = &request->heap,
			   .py = &request->process.layout},
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
