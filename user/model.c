/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: keep a profile of hundreds of thousands of stacks, of up to 128 frames each, so that
 * adding one costs a hash and a comparison, and so that renderers need nothing else.
 *
 * Strings are kept once; so equal file names are equal pointers, and locations and stacks
 * can be hashed and compared by pointers. Names come from the target: the hash is seeded with
 * what the target can't know, else it could choose names that all collide.
 *
 * Invariant: pointers handed out stay valid until model_free(). What becomes of lines is in
 * model_lines.c.
 */
#include "model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)(a ^ 0x9e3779b97f4a7c15ull) * (b | 1);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_string(const struct book *book, const char *text)
{
	uint64_t hash = book->seed, word;
	size_t length = strlen(text);

	for (; length >= sizeof(word); length -= sizeof(word), text += sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		hash = mix(hash ^ word, book->seed);
	}
	word = 0;
	memcpy(&word, text, length);
	return mix(hash ^ word, book->seed + length);
}

static uint64_t hash_pointer(const struct book *book, uint64_t hash, const void *pointer)
{
	return mix(hash ^ (uintptr_t)pointer, book->seed);
}

static int table_grow(struct table *table)
{
	size_t room = table->room ? table->room * 2 : 64, i, at;
	struct table_slot *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (i = 0; i < table->room; i++) {
		if (!table->slots[i].index)
			continue;
		for (at = table->slots[i].hash & (room - 1); slots[at].index;)
			at = (at + 1) & (room - 1);
		slots[at] = table->slots[i];
	}
	free(table->slots);
	table->slots = slots;
	table->room = room;
	return 0;
}

/* Walks the indices that were added under `hash`: `*cursor` starts at `hash`. False at the end. */
static bool table_next(const struct table *table, uint64_t hash, uint64_t *cursor, size_t *index)
{
	const struct table_slot *slot;

	while (table->room) {
		slot = &table->slots[*cursor & (table->room - 1)];
		if (!slot->index)
			return false;
		++*cursor;
		if (slot->hash != hash)
			continue;
		*index = slot->index - 1;
		return true;
	}
	return false;
}

static int table_add(struct table *table, uint64_t hash, size_t index)
{
	uint64_t at;

	/* At most half full: the walk above always meets a free slot, soon. */
	if (2 * (table->used + 1) > table->room && table_grow(table) != 0)
		return -ENOMEM;
	for (at = hash; table->slots[at & (table->room - 1)].index;)
		at++;
	table->slots[at & (table->room - 1)] = (struct table_slot){hash, index + 1};
	table->used++;
	return 0;
}

/* Room for one more element of `size` bytes; NULL: out of memory, and `array` is unchanged. */
static void *with_room(void *array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : 16;
	void *grown;

	if (count < *room)
		return array;
	grown = reallocarray(array, wanted, size);
	if (grown)
		*room = wanted;
	return grown;
}

#define MAKE_ROOM(array, count, room)                                              \
	({                                                                         \
		void *grown_ = with_room(array, count, &(room), sizeof(*(array))); \
		if (grown_)                                                        \
			(array) = grown_;                                          \
		grown_ != NULL;                                                    \
	})

static const char *intern(struct book *book, const char *text)
{
	uint64_t hash, cursor;
	size_t index;
	char *copy;

	if (!text)
		text = "";
	cursor = hash = hash_string(book, text);
	while (table_next(&book->string_table, hash, &cursor, &index)) {
		if (!strcmp(book->strings[index], text))
			return book->strings[index];
	}
	copy = strdup(text);
	if (!copy || !MAKE_ROOM(book->strings, book->string_count, book->string_room) ||
	    table_add(&book->string_table, hash, book->string_count) != 0) {
		free(copy);
		return NULL;
	}
	book->strings[book->string_count++] = copy;
	return copy;
}

static bool same_line(const struct model_location *a, const struct model_location *b)
{
	return a->file == b->file && a->function == b->function && a->line == b->line;
}

static int set_line(struct book *book, struct location *location)
{
	uint64_t hash = hash_pointer(book, book->seed, location->pub.file), cursor;

	hash = hash_pointer(book, hash, location->pub.function);
	cursor = hash = mix(hash ^ (unsigned)location->pub.line, book->seed);
	while (table_next(&book->line_table, hash, &cursor, &location->line)) {
		if (same_line(&book->lines[location->line]->pub, &location->pub))
			return 0;
	}
	/* The book already owns the location: it stays, even if the caller fails. */
	location->line = book->line_count;
	if (!MAKE_ROOM(book->lines, book->line_count, book->line_room))
		return -ENOMEM;
	if (table_add(&book->line_table, hash, book->line_count) != 0)
		return -ENOMEM;
	book->lines[book->line_count++] = location;
	return 0;
}

const struct model_location *model_location(struct model *model, const char *file,
					    const char *function, int line, int first_line)
{
	struct book *book = book_of(model);
	struct model_location wanted = {intern(book, file), intern(book, function),
					line > 0 ? line : 0, first_line};
	struct location *location;
	uint64_t hash, cursor;
	size_t index;

	if (!wanted.file || !wanted.function)
		return NULL;
	hash = hash_pointer(book, book->seed, wanted.file);
	hash = hash_pointer(book, hash, wanted.function);
	hash = mix(hash ^ ((uint64_t)(unsigned)wanted.line << 32 | (unsigned)first_line),
		   book->seed);
	cursor = hash;
	while (table_next(&book->location_table, hash, &cursor, &index)) {
		location = book->locations[index];
		if (same_line(&location->pub, &wanted) && location->pub.first_line == first_line)
			return &location->pub;
	}
	location = malloc(sizeof(*location));
	if (!location || !MAKE_ROOM(book->locations, book->location_count, book->location_room)) {
		free(location);
		return NULL;
	}
	location->pub = wanted;
	/* Owned by the book from here on, found or not. */
	book->locations[book->location_count++] = location;
	if (set_line(book, location) != 0 ||
	    table_add(&book->location_table, hash, book->location_count - 1) != 0)
		return NULL;
	return &location->pub;
}

struct model *model_new(uint64_t page_size)
{
	struct book *book = calloc(1, sizeof(*book));

	if (!book)
		return NULL;
	book->pub.page_size = page_size;
	/* 16 random bytes that the kernel gives each program; always there. */
	memcpy(&book->seed, (const void *)getauxval(AT_RANDOM), sizeof(book->seed));
	book->seed |= 1;
	return &book->pub;
}

/* Frees what lines are computed from. */
static void stacks_free(struct model_process *pub)
{
	struct process *process = process_of(pub);
	size_t i;

	for (i = 0; i < pub->stack_count; i++) {
		free(pub->stacks[i].frames);
		free(process->extras[i].vmcalls);
	}
	free(pub->stacks);
	free(process->extras);
	free(process->runs);
	free(process->table.slots);
	pub->stacks = NULL;
	pub->stack_count = 0;
	process->extras = NULL;
	process->runs = NULL;
	process->run_count = process->run_room = process->stack_room = 0;
	process->table = (struct table){0};
}

static void process_free(struct model_process *pub)
{
	size_t i;

	for (i = 0; pub->cmdline && pub->cmdline[i]; i++)
		free(pub->cmdline[i]);
	stacks_free(pub);
	source_root_close(&pub->root);
	free(pub->cmdline);
	free(pub->comm);
	free(pub->cgroup);
	free(pub->python);
	free(pub->note);
	free(pub->lines);
	free(process_of(pub));
}

void model_clear(struct model *model)
{
	size_t i;

	for (i = 0; i < model->process_count; i++)
		if (!process_of(model->processes[i])->sealed)
			process_free(model->processes[i]);
	for (i = 0; i < model->skip_count; i++) {
		free(model->skips[i].comm);
		free(model->skips[i].reason);
	}
	for (i = 0; i < model->note_count; i++)
		free(model->notes[i]);
	model->process_count = model->skip_count = model->note_count = 0;
}

void model_free(struct model *model)
{
	struct book *book = book_of(model);
	size_t i;

	if (!model)
		return;
	model_clear(model);
	for (i = 0; i < book->sealed_count; i++)
		process_free(book->sealed[i]);
	free(book->sealed);
	for (i = 0; i < book->string_count; i++)
		free(book->strings[i]);
	for (i = 0; i < book->location_count; i++)
		free(book->locations[i]);
	free(book->strings);
	free(book->locations);
	free(book->lines);
	free(book->string_table.slots);
	free(book->location_table.slots);
	free(book->line_table.slots);
	free(model->processes);
	free(model->skips);
	free(model->notes);
	free(model->host);
	free(model->kernel);
	free(model->version);
	free(book);
}

static char *copy_of(const char *text)
{
	return strdup(text ? text : "");
}

static char **copy_vector(char *const *vector)
{
	size_t count = 0, i;
	char **copy;

	while (vector && vector[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (i = 0; copy && i < count; i++) {
		copy[i] = strdup(vector[i]);
		if (copy[i])
			continue;
		while (i--)
			free(copy[i]);
		free(copy);
		return NULL;
	}
	return copy;
}

struct model_process *model_add_process(struct model *model, int pid, int ppid, const char *comm,
					char *const *cmdline, const char *cgroup,
					const char *python, const char *engine)
{
	struct book *book = book_of(model);
	struct process *process = calloc(1, sizeof(*process));
	struct model_process *pub = process ? &process->pub : NULL;

	if (!process)
		return NULL;
	pub->pid = pid;
	pub->ppid = ppid;
	pub->root.root_fd = pub->root.cwd_fd = -1;
	pub->comm = copy_of(comm);
	pub->cmdline = copy_vector(cmdline);
	pub->cgroup = copy_of(cgroup);
	pub->python = copy_of(python);
	pub->engine = intern(book, engine);
	if (!pub->comm || !pub->cmdline || !pub->cgroup || !pub->python || !pub->engine ||
	    !MAKE_ROOM(model->processes, model->process_count, book->process_room)) {
		process_free(pub);
		return NULL;
	}
	model->processes[model->process_count++] = pub;
	return pub;
}

int model_add_skip(struct model *model, int pid, const char *comm, const char *reason)
{
	struct model_skip skip = {pid, copy_of(comm), copy_of(reason)};

	if (!skip.comm || !skip.reason ||
	    !MAKE_ROOM(model->skips, model->skip_count, book_of(model)->skip_room)) {
		free(skip.comm);
		free(skip.reason);
		return -ENOMEM;
	}
	model->skips[model->skip_count++] = skip;
	return 0;
}

int model_add_note(struct model *model, const char *note)
{
	char *copy = copy_of(note);

	if (!copy || !MAKE_ROOM(model->notes, model->note_count, book_of(model)->note_room)) {
		free(copy);
		return -ENOMEM;
	}
	model->notes[model->note_count++] = copy;
	return 0;
}

/* The process's stack of these frames, new if need be; its index, or -ENOMEM. */
static ssize_t take_stack(struct book *book, struct process *process,
			  const struct model_location *const *frames, unsigned depth)
{
	struct model_process *pub = &process->pub;
	size_t bytes = depth * sizeof(*frames), index, room = process->stack_room;
	uint64_t hash = book->seed ^ depth, cursor;
	struct model_stack stack = {.depth = depth};
	unsigned i;

	for (i = 0; i < depth; i++)
		hash = hash_pointer(book, hash, frames[i]);
	cursor = hash;
	while (table_next(&process->table, hash, &cursor, &index)) {
		if (pub->stacks[index].depth == depth &&
		    !memcmp(pub->stacks[index].frames, frames, bytes))
			return index;
	}
	stack.frames = malloc(bytes);
	/* Two arrays of one size: `stack_room` follows once both have it. */
	if (!stack.frames || !MAKE_ROOM(pub->stacks, pub->stack_count, room))
		goto fail;
	room = process->stack_room;
	if (!MAKE_ROOM(process->extras, pub->stack_count, room))
		goto fail;
	process->stack_room = room;
	if (table_add(&process->table, hash, pub->stack_count) != 0)
		goto fail;
	memcpy(stack.frames, frames, bytes);
	process->extras[pub->stack_count] = (struct stack_extra){0};
	pub->stacks[pub->stack_count] = stack;
	return pub->stack_count++;
fail:
	free(stack.frames);
	return -ENOMEM;
}

static int add_vmcalls(struct stack_extra *extra, const struct pymem_vmcalls *vmcalls)
{
	int i;

	if (!extra->vmcalls)
		extra->vmcalls = calloc(1, sizeof(*extra->vmcalls));
	if (!extra->vmcalls)
		return -ENOMEM;
	for (i = 0; i < PYMEM_VMCALL_COUNT; i++) {
		extra->vmcalls->calls[i] += vmcalls->calls[i];
		extra->vmcalls->bytes[i] += vmcalls->bytes[i];
	}
	return 0;
}

int model_add_stack(struct model *model, struct model_process *process,
		    const struct model_location *const *frames, unsigned depth, bool truncated,
		    const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls)
{
	struct process *inner = process_of(process);
	struct pymem_counters *sum;
	ssize_t index;
	int i;

	if (!depth)
		return -EINVAL;
	index = take_stack(book_of(model), inner, frames, depth);
	if (index < 0)
		return index;
	if (vmcalls && add_vmcalls(&inner->extras[index], vmcalls) != 0)
		return -ENOMEM;
	process->stacks[index].truncated |= truncated;
	sum = &process->stacks[index].counters;
	for (i = 0; i < PYMEM_MEMBERS; i++)
		sum->pages[i] += counters->pages[i];
	sum->grown_pages += counters->grown_pages;
	sum->freed_pages += counters->freed_pages;
	sum->minor_faults += counters->minor_faults;
	sum->major_faults += counters->major_faults;
	sum->cow_faults += counters->cow_faults;
	if (sum->peak_pages < counters->peak_pages)
		sum->peak_pages = counters->peak_pages;
	return 0;
}

/* The lines stay as they are from now on: no more memory than they need. */
static void shrink(struct model_process *process)
{
	struct model_line *lines = NULL;

	if (process->line_count)
		lines = reallocarray(process->lines, process->line_count, sizeof(*lines));
	if (lines)
		process->lines = lines;
}

static void hide_sealed(struct model *model)
{
	while (model->process_count &&
	       process_of(model->processes[model->process_count - 1])->sealed)
		model->process_count--;
}

static int show_sealed(struct book *book)
{
	struct model *model = &book->pub;
	size_t i;

	for (i = 0; i < book->sealed_count; i++) {
		if (!MAKE_ROOM(model->processes, model->process_count, book->process_room))
			return -ENOMEM;
		model->processes[model->process_count++] = book->sealed[i];
	}
	return 0;
}

int model_finish(struct model *model)
{
	hide_sealed(model);
	return model_gather(model) ?: show_sealed(book_of(model));
}

int model_seal(struct model *model)
{
	struct book *book = book_of(model);
	struct model_process *process;
	size_t i;
	int err;

	hide_sealed(model);
	err = model_gather(model);
	for (i = 0; i < model->process_count && !err; i++) {
		process = model->processes[i];
		if (!MAKE_ROOM(book->sealed, book->sealed_count, book->sealed_room)) {
			err = -ENOMEM;
			break;
		}
		stacks_free(process);
		shrink(process);
		process_of(process)->sealed = true;
		book->sealed[book->sealed_count++] = process;
	}
	/* What could not be sealed stays; what was is no longer among these. */
	memmove(model->processes, model->processes + i,
		(model->process_count - i) * sizeof(struct model_process *));
	model->process_count -= i;
	return err;
}

int64_t model_lost_bytes(const struct model_process *process)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		sum += process->lost_bytes[i];
	return sum;
}

int model_add_runs(struct model *model, struct model_process *process,
		   const struct model_location *location, const struct pymem_line *runs)
{
	struct process *p = process_of(process);

	(void)model;
	if (!MAKE_ROOM(p->runs, p->run_count, p->run_room))
		return -ENOMEM;
	p->runs[p->run_count++] = (struct runs){location, *runs};
	return 0;
}
