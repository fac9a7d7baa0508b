/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: keep a profile of hundreds of thousands of stacks, of up to 128 frames each. To add one
 * must cost no more than a hash and a comparison, and a renderer must find everything here.
 *
 * model_book.c keeps strings and locations, model_lines.c computes lines, model_ended.c keeps
 * processes that have ended. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

struct model *model_new(uint64_t page_size)
{
	struct book *book = calloc(1, sizeof(*book));

	if (!book)
		return NULL;
	book->pub.page_size = page_size;
	/* The kernel gives each program 16 random bytes there; they always exist. */
	memcpy(&book->seed, (const void *)getauxval(AT_RANDOM), sizeof(book->seed));
	book->seed |= 1;
	return &book->pub;
}

void model_stacks_free(struct model_process *pub)
{
	struct process *process = process_of(pub);
	size_t i;

	for (i = 0; i < pub->stack_count; i++) {
		free(pub->stacks[i].frames);
		free(process->extras[i].vmcalls);
		free(process->extras[i].kernel);
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
	model_cached_rows_free(process);
	model_parts_free(process);
}

void model_process_free(struct model_process *pub)
{
	size_t i;

	for (i = 0; pub->cmdline && pub->cmdline[i]; i++)
		free(pub->cmdline[i]);
	model_stacks_free(pub);
	source_root_close(&pub->root);
	free(pub->cmdline);
	free(pub->comm);
	free(pub->cgroup);
	free(pub->python);
	free(pub->note);
	model_death_free(pub->death);
	model_lines_free(pub->lines, pub->line_count);
	free(pub->functions);
	free(pub->nodes);
	free(pub->node_events);
	model_cached_files_free(process_of(pub));
	free(process_of(pub)->hops);
	free(process_of(pub));
}

void model_clear(struct model *model)
{
	size_t i;

	for (i = 0; i < model->process_count; i++)
		if (!process_of(model->processes[i])->frozen)
			model_process_free(model->processes[i]);
	for (i = 0; i < model->skip_count; i++) {
		free(model->skips[i].comm);
		free(model->skips[i].reason);
	}
	for (i = 0; i < model->note_count; i++)
		free(model->notes[i]);
	for (i = 0; i < model->cgroup_count; i++)
		free(model->cgroups[i].path);
	for (i = 0; i < model->memory_group_count; i++)
		free(model->memory_groups[i].path);
	model->memory_group_count = 0;
	model->process_count = model->skip_count = model->note_count = model->cgroup_count = 0;
}

void model_free(struct model *model)
{
	struct book *book = book_of(model);
	size_t i;

	if (!model)
		return;
	model_clear(model);
	for (i = 0; i < book->frozen_count; i++)
		model_process_free(book->frozen[i]);
	free(book->frozen);
	model_foldings_free(book);
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
	free(model->cgroups);
	free(model->memory_groups);
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
	pub->resident_before_bytes = pub->resident_unknown_bytes = -1;
	pub->pss_bytes = -1;
	pub->comm = copy_of(comm);
	pub->cmdline = copy_vector(cmdline);
	pub->cgroup = copy_of(cgroup);
	pub->python = copy_of(python);
	pub->engine = model_intern(book, engine);
	if (!pub->comm || !pub->cmdline || !pub->cgroup || !pub->python || !pub->engine ||
	    !ARRAY_HAS_ROOM(model->processes, model->process_count, book->process_room)) {
		model_process_free(pub);
		return NULL;
	}
	model->processes[model->process_count++] = pub;
	return pub;
}

int model_add_skip(struct model *model, int pid, const char *comm, const char *reason)
{
	struct model_skip skip = {pid, copy_of(comm), copy_of(reason)};

	if (!skip.comm || !skip.reason ||
	    !ARRAY_HAS_ROOM(model->skips, model->skip_count, book_of(model)->skip_room)) {
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

	if (!copy || !ARRAY_HAS_ROOM(model->notes, model->note_count, book_of(model)->note_room)) {
		free(copy);
		return -ENOMEM;
	}
	model->notes[model->note_count++] = copy;
	return 0;
}

ssize_t model_take_stack(struct book *book, struct process *process,
			 const struct model_location *const *frames, unsigned depth)
{
	struct model_process *pub = &process->pub;
	size_t bytes = depth * sizeof(*frames), index, room = process->stack_room;
	uint64_t hash = book->seed ^ depth, cursor;
	struct model_stack stack = {.depth = depth};
	unsigned i;

	for (i = 0; i < depth; i++)
		hash = model_hash_pointer(book, hash, frames[i]);
	cursor = hash;
	while (model_table_next(&process->table, hash, &cursor, &index)) {
		if (pub->stacks[index].depth == depth &&
		    !memcmp(pub->stacks[index].frames, frames, bytes))
			return index;
	}
	stack.frames = malloc(bytes);
	/* The two arrays have the same size. `stack_room` is only set when both have grown. */
	if (!stack.frames || !ARRAY_HAS_ROOM(pub->stacks, pub->stack_count, room))
		goto fail;
	room = process->stack_room;
	if (!ARRAY_HAS_ROOM(process->extras, pub->stack_count, room))
		goto fail;
	process->stack_room = room;
	if (model_table_add(&process->table, hash, pub->stack_count) != 0)
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
	for (i = 0; i < PYMEM_STALL_COUNT; i++) {
		extra->vmcalls->stalls[i] += vmcalls->stalls[i];
		extra->vmcalls->stall_ns[i] += vmcalls->stall_ns[i];
	}
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		extra->vmcalls->extras[i] += vmcalls->extras[i];
	extra->vmcalls->reclaimed_pages += vmcalls->reclaimed_pages;
	return 0;
}

void model_add_counters(struct pymem_counters *sum, const struct pymem_counters *more)
{
	int i;

	for (i = 0; i < PYMEM_MEMBERS; i++)
		sum->pages[i] += more->pages[i];
	sum->grown_pages += more->grown_pages;
	sum->freed_pages += more->freed_pages;
	sum->minor_faults += more->minor_faults;
	sum->major_faults += more->major_faults;
	sum->cow_faults += more->cow_faults;
	if (sum->peak_pages < more->peak_pages)
		sum->peak_pages = more->peak_pages;
}

int model_add_stack(struct model *model, struct model_process *process,
		    const struct model_location *const *frames, unsigned depth, bool truncated,
		    const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls)
{
	struct process *inner = process_of(process);
	ssize_t index;

	if (!depth)
		return -EINVAL;
	index = model_take_stack(book_of(model), inner, frames, depth);
	if (index < 0)
		return index;
	if (vmcalls && add_vmcalls(&inner->extras[index], vmcalls) != 0)
		return -ENOMEM;
	process->stacks[index].truncated |= truncated;
	model_add_counters(&process->stacks[index].counters, counters);
	return 0;
}

/* Where more is kept of a stack, which is made if it is new. 0 or -errno. */
static int extra_of(struct model *model, struct model_process *process,
		    const struct model_location *const *frames, unsigned depth,
		    struct stack_extra **extra)
{
	struct process *inner = process_of(process);
	ssize_t index = depth ? model_take_stack(book_of(model), inner, frames, depth) : -EINVAL;

	*extra = NULL;
	if (index < 0)
		return (int)index;
	*extra = &inner->extras[index];
	return 0;
}

int model_add_peak_before(struct model *model, struct model_process *process,
			  const struct model_location *const *frames, unsigned depth,
			  uint64_t pages)
{
	struct stack_extra *extra;
	int err = extra_of(model, process, frames, depth, &extra);

	if (err)
		return err;
	if (extra->peak_before_pages < pages)
		extra->peak_before_pages = pages;
	return 0;
}

int model_add_resident(struct model *model, struct model_process *process,
		       const struct model_location *const *frames, unsigned depth, uint64_t pages)
{
	struct stack_extra *extra;
	int err = extra_of(model, process, frames, depth, &extra);

	if (err)
		return err;
	extra->resident_pages += pages;
	return 0;
}

int model_add_away(struct model *model, struct model_process *process,
		   const struct model_location *const *frames, unsigned depth,
		   uint64_t swapped_pages, uint64_t gone_pages)
{
	struct stack_extra *extra;
	int err = extra_of(model, process, frames, depth, &extra);

	if (err)
		return err;
	extra->swapped_pages += swapped_pages;
	extra->gone_pages += gone_pages;
	return 0;
}

void model_stalls(const struct model_process *process, uint64_t *stalls, uint64_t *ns)
{
	*stalls = process->lost_stalls;
	*ns = process->lost_stall_ns;
	for (size_t i = 0; i < process->line_count; i++) {
		*stalls += process->lines[i].stalls;
		*ns += process->lines[i].stalled_ns;
	}
}

int64_t model_lost_bytes(const struct model_process *process)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		sum += process->lost_bytes[i];
	return sum;
}

static int add_run(struct model_process *process, const struct runs *run)
{
	struct process *p = process_of(process);

	if (!ARRAY_HAS_ROOM(p->runs, p->run_count, p->run_room))
		return -ENOMEM;
	p->runs[p->run_count++] = *run;
	return 0;
}

int model_add_runs(struct model *model, struct model_process *process,
		   const struct model_location *location, const struct pymem_line *runs)
{
	(void)model;
	return add_run(process, &(struct runs){.location = location, .counted = *runs});
}

int model_add_runs_before(struct model *model, struct model_process *process,
			  const struct model_location *location, uint64_t peak_pages,
			  uint64_t usage_pages)
{
	(void)model;
	return add_run(process, &(struct runs){.location = location,
					       .peak_before_pages = peak_pages,
					       .usage_before_pages = usage_pages});
}

int model_add_calls(struct model *model, struct model_process *process,
		    const struct model_location *location, const struct pymem_line *calls)
{
	(void)model;
	return add_run(process,
		       &(struct runs){.location = location, .counted = *calls, .function = true});
}

int model_add_calls_before(struct model *model, struct model_process *process,
			   const struct model_location *location, uint64_t peak_pages,
			   uint64_t usage_pages)
{
	(void)model;
	return add_run(process, &(struct runs){.location = location,
					       .peak_before_pages = peak_pages,
					       .usage_before_pages = usage_pages,
					       .function = true});
}
