/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From stacks to lines.
 *
 * A stack's own figures go to the line of its innermost frame, so increments add up to what was
 * charged. Its total goes once to each line on it, however often the line occurs. Each location
 * knows the number of its line: a frame costs one access to an array and no hash.
 *
 * If imports are gathered, frames of the import system are skipped. A stack that has no other
 * frames (while the interpreter starts) is charged to its outermost one. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct mark {			 /* by line number: where the line was last met */
	uint32_t process, stack; /* the last process and stack that had it, plus 1 */
	size_t at;		 /* its index in the process's lines */
};

/* What a line's figures must reach to be known: settle_peaks(). */
struct before {
	int64_t peak_bytes, usage_bytes;
};

struct summing {
	const struct book *book;
	struct mark *marks;
	struct model_process *process;
	uint32_t number; /* of the process, plus 1 */
	size_t room;
	size_t *heaviest;      /* for each line of the process: model_compute_paths() */
	struct before *before; /* for each line of the process, too */
	size_t heaviest_room, before_room;
};

/* The line of `location` in the current process, added if it is new. NULL: out of memory. The
 * pointer is valid until the next call. */
static struct model_line *line_of(struct summing *s, const struct model_location *location)
{
	struct mark *mark = &s->marks[location_of(location)->line];
	struct model_process *process = s->process;

	if (mark->process == s->number)
		return &process->lines[mark->at];
	if (!ARRAY_HAS_ROOM(process->lines, process->line_count, s->room) ||
	    !ARRAY_HAS_ROOM(s->heaviest, process->line_count, s->heaviest_room) ||
	    !ARRAY_HAS_ROOM(s->before, process->line_count, s->before_room))
		return NULL;
	s->heaviest[process->line_count] = 0;
	s->before[process->line_count] = (struct before){};
	*mark = (struct mark){.process = s->number, .at = process->line_count};
	process->lines[process->line_count] =
		(struct model_line){.location = location,
				    .mem_usage_bytes = -1,
				    .occurrences = -1,
				    .resident_bytes = process->resident_known ? 0 : -1};
	return &process->lines[process->line_count++];
}

static void add_self(struct model_line *line, const struct pymem_counters *counters,
		     const struct pymem_vmcalls *vmcalls, int64_t page)
{
	int i;

	line->anon_bytes += counters->pages[PYMEM_ANON] * page;
	line->file_bytes += counters->pages[PYMEM_FILE] * page;
	line->shmem_bytes += counters->pages[PYMEM_SHMEM] * page;
	line->swap_bytes += counters->pages[PYMEM_SWAP] * page;
	line->increment_bytes = line->anon_bytes + line->file_bytes + line->shmem_bytes;
	line->grown_bytes += counters->grown_pages * page;
	line->freed_bytes += counters->freed_pages * page;
	line->minor_faults += counters->minor_faults;
	line->major_faults += counters->major_faults;
	line->cow_faults += counters->cow_faults;
	for (i = 0; vmcalls && i < PYMEM_VMCALL_COUNT; i++) {
		line->vm_calls[i] += vmcalls->calls[i];
		line->vm_bytes[i] += vmcalls->bytes[i];
	}
	for (i = 0; vmcalls && i < PYMEM_STALL_COUNT; i++) {
		line->kind_stalls[i] += vmcalls->stalls[i];
		line->kind_ns[i] += vmcalls->stall_ns[i];
		line->stalls += vmcalls->stalls[i];
		line->stalled_ns += vmcalls->stall_ns[i];
	}
	line->reclaimed_bytes += vmcalls ? vmcalls->reclaimed_pages * page : 0;
}

static int64_t rss_bytes(const struct pymem_counters *counters, int64_t page)
{
	return (counters->pages[PYMEM_ANON] + counters->pages[PYMEM_FILE] +
		counters->pages[PYMEM_SHMEM]) *
	       page;
}

bool model_is_left_out(const struct book *book, const struct model_stack *stack, unsigned frame)
{
	return book->pub.imports_gathered && location_of(stack->frames[frame])->importer &&
	       frame + 1 < stack->depth;
}

static int64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -bytes : bytes;
}

/* True if stack `a` says more of its innermost line than `b`. */
static bool is_heavier(const struct pymem_counters *a, const struct pymem_counters *b)
{
	int64_t one = size_of(rss_bytes(a, 1)), other = size_of(rss_bytes(b, 1));

	if (one != other)
		return one > other;
	return a->grown_pages + a->freed_pages + a->cow_faults >
	       b->grown_pages + b->freed_pages + b->cow_faults;
}

/* Keeps, for the line of a stack's innermost frame, the stack that changed most. */
static void keep_heaviest(struct summing *s, const struct model_line *line, size_t index)
{
	const struct model_stack *stacks = s->process->stacks;
	size_t *kept = &s->heaviest[line - s->process->lines];

	if (!*kept || is_heavier(&stacks[index].counters, &stacks[*kept - 1].counters))
		*kept = index + 1;
}

/* Adds `bytes` of a stack to what imports changed, if one ran. */
static int sum_imports(struct summing *s, const struct model_stack *stack, struct model_line *leaf,
		       int64_t bytes)
{
	struct model_line *starter;
	unsigned i = stack->depth;

	while (i && !location_of(stack->frames[i - 1])->importer)
		i--;
	if (!i)
		return 0;
	leaf->import_bytes += bytes;
	if (location_of(stack->frames[0])->importer)
		leaf->import_system_bytes += bytes;
	if (i == stack->depth)
		return 0;
	starter = line_of(s, stack->frames[i]);
	if (!starter)
		return -ENOMEM;
	starter->imported_bytes += bytes;
	return 0;
}

/* Adds a stack's own figures to the line of its innermost frame. */
static int sum_leaf(struct summing *s, size_t index, struct model_line *line)
{
	const struct model_stack *stack = &s->process->stacks[index];
	const struct stack_extra *extra = &process_of(s->process)->extras[index];
	int64_t page = s->book->pub.page_size;

	add_self(line, &stack->counters, extra->vmcalls, page);
	if (extra->vmcalls)
		model_add_extras(&s->book->pub, line->extras, extra->vmcalls->extras);
	if (s->process->resident_known)
		line->resident_bytes += extra->resident_pages * page;
	line->swapped_now_bytes += extra->swapped_pages * page;
	line->gone_bytes += extra->gone_pages * page;
	model_add_amounts(&line->cached, &extra->cached);
	if (model_take_kernel(&line->kernel, extra->kernel))
		return -ENOMEM;
	keep_heaviest(s, line, index);
	return sum_imports(s, stack, line, rss_bytes(&stack->counters, page));
}

static void keep_larger(int64_t *most, int64_t more)
{
	if (*most < more)
		*most = more;
}

/* In a part of a recording, what was not higher than before is not known. A line's figure is if
 * that of one of its stacks is, and is as high as those of the others were before. */
static void settle_peaks(const struct summing *s)
{
	for (size_t i = 0; i < s->process->line_count; i++) {
		struct model_line *line = &s->process->lines[i];

		if (line->peak_bytes < s->before[i].peak_bytes)
			line->peak_bytes = -1;
		if (line->mem_usage_bytes < s->before[i].usage_bytes)
			line->mem_usage_bytes = -1;
	}
}

static struct before *before_of(struct summing *s, const struct model_line *line)
{
	return &s->before[line - s->process->lines];
}

static int sum_stack(struct summing *s, size_t index)
{
	const struct model_stack *stack = &s->process->stacks[index];
	int64_t page = s->book->pub.page_size, bytes = rss_bytes(&stack->counters, page);
	int64_t peak = (int64_t)stack->counters.peak_pages * page;
	int64_t before = (int64_t)process_of(s->process)->extras[index].peak_before_pages * page;
	struct model_line *line;
	struct mark *mark;
	bool leaf = true;
	unsigned i;

	for (i = 0; i < stack->depth; i++) {
		if (model_is_left_out(s->book, stack, i))
			continue;
		line = line_of(s, stack->frames[i]);
		if (!line || (leaf && sum_leaf(s, index, line) != 0))
			return -ENOMEM;
		/* The line may have moved. */
		line = line_of(s, stack->frames[i]);
		leaf = false;
		mark = &s->marks[location_of(stack->frames[i])->line];
		if (mark->stack == index + 1)
			continue;
		mark->stack = index + 1;
		line->total_bytes += bytes;
		line->cow_total_faults += stack->counters.cow_faults;
		keep_larger(&line->peak_bytes, peak);
		if (peak < before)
			keep_larger(&before_of(s, line)->peak_bytes, before);
	}
	s->process->charged_bytes += bytes;
	return 0;
}

static int sum_runs(struct summing *s, const struct runs *runs)
{
	int64_t page = s->book->pub.page_size;
	int64_t usage_before = (int64_t)runs->usage_before_pages * page;
	const struct pymem_line *counted = &runs->counted;
	struct model_line *line;

	if (s->book->pub.imports_gathered && location_of(runs->location)->importer)
		return 0;
	line = line_of(s, runs->location);
	if (!line)
		return -ENOMEM;
	if (line->occurrences < 0)
		line->occurrences = 0;
	line->occurrences += counted->runs;
	line->run_bytes += counted->pages * page;
	line->once_bytes += counted->once_pages * page;
	line->row_bytes += counted->row_pages * page;
	line->gc_bytes += counted->gc_pages * page;
	line->collections += counted->collections;
	keep_larger(&line->mem_usage_bytes, (int64_t)counted->usage_pages * page);
	keep_larger(&line->peak_bytes, (int64_t)counted->peak_pages * page);
	keep_larger(&before_of(s, line)->usage_bytes, usage_before);
	keep_larger(&before_of(s, line)->peak_bytes, (int64_t)runs->peak_before_pages * page);
	return 0;
}

static int sum_process(struct summing *s)
{
	struct model_process *process = s->process;
	size_t i;
	int err = 0;

	model_lines_free(process->lines, process->line_count);
	process->lines = NULL;
	process->line_count = 0;
	process->charged_bytes = 0;
	s->room = 0;
	for (i = 0; i < process->stack_count && !err; i++)
		err = sum_stack(s, i);
	for (i = 0; i < process_of(process)->run_count && !err; i++)
		if (!process_of(process)->runs[i].function)
			err = sum_runs(s, &process_of(process)->runs[i]);
	settle_peaks(s);
	if (!err)
		err = model_compute_functions(s->book, process);
	if (!err)
		err = model_compute_cached(s->book, process);
	if (!err)
		err = model_compute_paths(s->book, process, s->heaviest);
	if (!err && s->book->pub.trees_kept)
		err = model_compute_tree(s->book, process);
	return err;
}

int model_compute_lines(struct model *model)
{
	struct summing s = {.book = book_of(model)};
	size_t i;
	int err = 0;

	s.marks = calloc(s.book->line_count + 1, sizeof(*s.marks));
	if (!s.marks)
		return -ENOMEM;
	for (i = 0; i < model->process_count && !err; i++) {
		s.process = model->processes[i];
		s.number = i + 1;
		err = sum_process(&s);
		if (!err)
			model_sort_lines(s.process, MODEL_SORT_INCREMENT);
	}
	free(s.marks);
	free(s.heaviest);
	free(s.before);
	return err;
}
