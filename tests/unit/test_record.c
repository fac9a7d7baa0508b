/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: what a recorder writes, a recording reports as the run was reported. Parts of recordings
 * are in test_record_parts.c, files in test_record_files.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "record_fixture.h"

static struct table_image *give_image(struct run *run, uint32_t id)
{
	struct table_image *row = table_add_image(&run->table, id);

	row->record.start_pages[PYMEM_ANON] = row->record.now_pages[PYMEM_ANON] = 100;
	row->record.start_pages[PYMEM_FILE] = row->record.now_pages[PYMEM_FILE] = 10;
	row->record.peak_pages = 110;
	return row;
}

/* The stack changes the image by so many pages. */
static void change(struct run *run, struct table_stack *stack, int64_t pages)
{
	struct pymem_proc *record = &table_image(&run->table, stack->key.proc)->record;

	stack->counters.pages[PYMEM_ANON] += pages;
	*(pages > 0 ? &stack->counters.grown_pages : &stack->counters.freed_pages) +=
		(uint64_t)llabs(pages);
	stack->counters.minor_faults += pages > 0 ? (uint64_t)pages : 0;
	if (stack->counters.pages[PYMEM_ANON] > (int64_t)stack->counters.peak_pages)
		stack->counters.peak_pages = (uint64_t)stack->counters.pages[PYMEM_ANON];
	record->now_pages[PYMEM_ANON] += pages;
	if (record->now_pages[PYMEM_ANON] + 10 > (int64_t)record->peak_pages)
		record->peak_pages = (uint64_t)record->now_pages[PYMEM_ANON] + 10;
}

static void end_image(struct run *run, uint32_t id)
{
	table_image(&run->table, id)->image.ended = true;
}

static void test_several_ticks(void **state)
{
	struct run *run = *state;
	struct table_stack *a, *b;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 3, 0);
	change(run, a, 7);
	run_tick(run, 1);
	change(run, a, -3);
	b = table_add_stack(&run->table, 1, 20, 2, 0);
	b->truncated = true;
	b->has_vmcalls = true;
	b->vmcalls = (struct pymem_vmcalls){.calls = {3}, .bytes = {1 << 20}};
	change(run, b, 50);
	run_tick(run, 1);
	run_tick(run, 1);
	give_image(run, 2)->image.reason = "it is too new";
	run_tick(run, 1);
	change(run, a, 1000);
	b->vmcalls.bytes[0] += 1ll << 41; /* of address space: more than a machine has memory */
	table_image(&run->table, 1)->record.lost_pages[PYMEM_LOSS_NO_FRAME] = -4;
	table_image(&run->table, 1)->record.now_pages[PYMEM_ANON] -= 4;
	table_image(&run->table, 1)->record.truncated = 1;
	table_image(&run->table, 1)->record.lost_faults = 9;
	run->table.notes[COUNTS_NOTE_KERNEL] = "this kernel has no tracepoint";
	run_end(run, 0.5);
	assert_int_equal(run_process(run->model, 1)->line_count, 5);
	run_same(run);
	assert_int_equal(run_files(run), 1);
}

/* Images that end are handed over once. One ends in its first interval, one was never read. */
static void test_ended(void **state)
{
	struct run *run = *state;
	struct table_stack *a, *b, *c;

	run_begin(run, NULL);
	for (uint32_t id = 1; id <= 3; id++)
		give_image(run, id);
	a = table_add_stack(&run->table, 1, 10, 3, 0);
	b = table_add_stack(&run->table, 2, 10, 3, 0);
	change(run, a, 5);
	run_tick(run, 1);
	change(run, a, 6);
	change(run, b, 16);
	end_image(run, 1);
	run_take(run);
	end_image(run, 2);
	run_tick(run, 1);
	run_take(run);
	run_tick(run, 1);
	c = table_add_stack(&run->table, 3, 30, 1, 0);
	change(run, c, 9);
	end_image(run, 3);
	run_end(run, 1);
	assert_true(run_process(run->model, 1)->exited);
	run_same(run);
}

/* What comes for an image after it was taken is lost by cause, once. */
static void test_late(void **state)
{
	struct run *run = *state;
	struct table_stack *a, *late;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 3, 0);
	change(run, a, 5);
	run_tick(run, 1);
	change(run, a, 3);
	end_image(run, 1);
	run_take(run);
	late = table_add_stack(&run->table, 1, 11, 1, 0);
	late->counters.pages[PYMEM_ANON] = 21;
	table_image(&run->table, 1)->record.now_pages[PYMEM_ANON] += 21;
	run_tick(run, 1);
	assert_true(late->gone);
	run_tick(run, 1);
	late = table_add_stack(&run->table, 1, 12, 1, 0);
	late->counters.pages[PYMEM_ANON] = 2;
	run_end(run, 1);
	assert_int_equal(run_process(run->model, 1)->lost_bytes[PYMEM_LOSS_UNDELIVERED],
			 23 * sysconf(_SC_PAGESIZE));
	run_same(run);
}

/* A thread of an image that was taken still has something for a known stack. */
static void test_thread_of_taken(void **state)
{
	struct run *run = *state;
	struct table_stack *a, *thread;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 3, 0);
	change(run, a, 5);
	thread = table_add_stack(&run->table, 1, 10, 3, 0);
	thread->thread = true;
	thread->counters.pages[PYMEM_ANON] = 4;
	table_image(&run->table, 1)->record.now_pages[PYMEM_ANON] += 4;
	run_tick(run, 1);
	end_image(run, 1);
	run_take(run);
	for (int i = 0; i < 3; i++)
		run_tick(run, 1);
	run_end(run, 1);
	assert_int_equal(run_excess(run_process(run->model, 1)), 0);
	run_same(run);
}

/* Frames that become known later: what was recorded without them moves to them. */
static void test_resolved_later(void **state)
{
	struct run *run = *state;
	struct table_stack *a, *b;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 3, 0);
	b = table_add_stack(&run->table, 1, 20, 2, 0);
	a->depth = 0;
	a->cut = true;
	b->depth = 1;
	b->cut = b->truncated = true;
	change(run, a, 30);
	change(run, b, 40);
	run_tick(run, 1);
	a->depth = 3;
	a->cut = false;
	run_tick(run, 1);
	change(run, a, 1);
	b->depth = 2;
	b->cut = b->truncated = false;
	run_tick(run, 1);
	run_end(run, 1);
	assert_int_equal(run_process(run->model, 1)->lost_bytes[PYMEM_LOSS_UNDELIVERED], 0);
	run_same(run);
}

/* A stack that is known, and of which nothing came: in the report all the same. */
static void test_empty_stack(void **state)
{
	struct run *run = *state;

	run_begin(run, NULL);
	give_image(run, 1);
	give_image(run, 2);
	table_add_stack(&run->table, 1, 10, 3, 0);
	table_add_stack(&run->table, 2, 20, 1, 0);
	run_tick(run, 1);
	end_image(run, 1);
	run_take(run);
	for (int i = 0; i < 700; i++)
		run_tick(run, 1);
	run_end(run, 1);
	assert_int_equal(run_process(run->model, 1)->line_count, 3);
	run_same(run);
	/* In a part in which it did nothing, it is not. */
	assert_int_equal(run_process(run_window(run, 600, 0), 2)->line_count, 0);
}

/* Frames that never become known. */
static void test_unresolved(void **state)
{
	struct run *run = *state;
	struct table_stack *a;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 0, 0);
	a->cut = true;
	a->lack = (enum pymem_lack)1;
	change(run, a, 30);
	run_tick(run, 1);
	run_end(run, 1);
	assert_int_equal(model_lost_bytes(run_process(run->model, 1)), 30 * sysconf(_SC_PAGESIZE));
	run_same(run);
}

/* What a thread has collected moves to the stack, in the same amount, or stays. */
static void test_pending(void **state)
{
	struct run *run = *state;
	struct table_stack *stack, *thread;

	run_begin(run, NULL);
	give_image(run, 1);
	stack = table_add_stack(&run->table, 1, 10, 2, 0);
	thread = table_add_stack(&run->table, 1, 10, 2, 0);
	thread->thread = true;
	change(run, stack, 5);
	change(run, thread, 6);
	run_tick(run, 1);
	change(run, thread, 2);
	run_tick(run, 1);
	stack->counters.pages[PYMEM_ANON] += 8;
	stack->counters.grown_pages += 8;
	stack->counters.minor_faults += 8;
	stack->counters.peak_pages = 13;
	thread->counters = (struct pymem_counters){};
	thread->gone = true;
	run_tick(run, 1);
	run_tick(run, 1);
	thread->gone = false;
	change(run, thread, 4);
	run_end(run, 1);
	assert_int_equal(run_excess(run_process(run->model, 1)), 0);
	run_same(run);
}

/* A stack that only stalls is in the interval in which it did. */
static void test_stalls(void **state)
{
	struct run *run = *state;
	struct table_stack *a;
	uint64_t stalls, ns;

	run_begin(run, NULL);
	run->table.facts.stalls = true;
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 2, 0);
	change(run, a, 5);
	run_tick(run, 1);
	run_tick(run, 1);
	a->has_vmcalls = true;
	a->vmcalls.stalls[PYMEM_STALL_MEMCG] = 2;
	a->vmcalls.stall_ns[PYMEM_STALL_MEMCG] = 700;
	a->vmcalls.reclaimed_pages = 32;
	run_tick(run, 1);
	a->vmcalls.stalls[PYMEM_STALL_DIRECT] = 1;
	a->vmcalls.stall_ns[PYMEM_STALL_DIRECT] = 30;
	run_tick(run, 1);
	a->vmcalls.stalls[PYMEM_STALL_HIGH] = 3;
	a->vmcalls.stall_ns[PYMEM_STALL_HIGH] = 8000;
	run_tick(run, 1);
	table_image(&run->table, 1)->record.lost_stalls = 1;
	table_image(&run->table, 1)->record.lost_stall_ns = 4;
	run_end(run, 1);
	run_same(run);
	assert_true(run->model->stalls_known);
	model_stalls(run_process(run->model, 1), &stalls, &ns);
	assert_int_equal(stalls, 7);
	assert_int_equal(ns, 8734);
	model_stalls(run_process(run_window(run, 0, 2), 1), &stalls, &ns);
	assert_int_equal(stalls, 0);
	model_stalls(run_process(run_window(run, 2, 3), 1), &stalls, &ns);
	assert_int_equal(stalls, 2);
	assert_int_equal(ns, 700);
	model_stalls(run_process(run_window(run, 3, 4), 1), &stalls, &ns);
	assert_int_equal(ns, 30);
	model_stalls(run_process(run_window(run, 4, 5), 1), &stalls, &ns);
	assert_int_equal(stalls, 3);
	assert_int_equal(ns, 8000);
}

/* The same of a stack whose pages became huge ones, and of what no stack has. */
static void test_extras(void **state)
{
	struct run *run = *state;
	const struct model_process *p;
	struct table_stack *a;

	run_begin(run, NULL);
	run->table.facts.extras = PYMEM_EXTRA_HUGE | PYMEM_EXTRA_EXTERNAL;
	run->table.facts.huge_page_bytes = 2 << 20;
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 2, 0);
	change(run, a, 5);
	run_tick(run, 1);
	a->has_vmcalls = true;
	a->vmcalls.extras[PYMEM_EXTRA_HUGE_PAGES] = 2;
	run_tick(run, 1);
	a->vmcalls.extras[PYMEM_EXTRA_HUGE_PAGES] = 5;
	table_image(&run->table, 1)->record.lost_extras[PYMEM_EXTRA_TAKEN] = 3;
	run_end(run, 1);
	run_same(run);
	assert_int_equal(run->model->extras, PYMEM_EXTRA_HUGE | PYMEM_EXTRA_EXTERNAL);
	assert_int_equal(run->model->huge_page_bytes, 2 << 20);
	p = run_process(run->model, 1);
	assert_int_equal(model_extra(p, PYMEM_EXTRA_HUGE_PAGES), 5);
	assert_int_equal(p->lost_extras[PYMEM_EXTRA_TAKEN], 3 * run->model->page_size);
	p = run_process(run_window(run, 1, 2), 1);
	assert_int_equal(model_extra(p, PYMEM_EXTRA_HUGE_PAGES), 2);
	assert_int_equal(p->lost_extras[PYMEM_EXTRA_TAKEN], 0);
}

static struct table_cached *give_cached(struct run *run, size_t stack, const char *path)
{
	struct table_cached *row = &run->table.cached[run->table.cached_count++];

	*row = (struct table_cached){.stack = stack, .cached = {.path = path}};
	return row;
}

/* What came into the page cache and what went, by file: in the interval in which it did, also of an
 * image that has ended. */
static void test_cached(void **state)
{
	struct run *run = *state;
	struct table_cached *read, *lost, *written;
	const struct model_process *p;

	run_begin(run, NULL);
	run->table.facts.cache = true;
	for (uint32_t id = 1; id <= 2; id++)
		give_image(run, id);
	table_add_stack(&run->table, 1, 10, 2, 0);
	table_add_stack(&run->table, 1, 20, 0, 0);
	table_add_stack(&run->table, 2, 10, 3, 0);
	read = give_cached(run, 0, "/srv/data\x1b\xff");
	lost = give_cached(run, 1, NULL);
	written = give_cached(run, 2, "/srv/out");
	read->cached.added_pages = read->cached.own_pages = 100;
	lost->cached.added_pages = lost->cached.unknown_pages = 7;
	lost->cached.loss = PYMEM_LOSS_NO_FRAME;
	run_tick(run, 1);
	read->cached.added_pages += 20;
	read->cached.other_pages = 20;
	read->cached.gone_pages = 50;
	written->cached.added_pages = 9;
	written->cached.deleted = true;
	end_image(run, 2);
	run_take(run);
	run_tick(run, 1);
	table_image(&run->table, 1)->record.cached_unkept = 3;
	run_end(run, 1);
	run_same(run);
	assert_true(run->model->cache_known);
	p = run_process(run->model, 1);
	assert_int_equal(p->cached.bytes, (100 + 20 + 7 + 3) * 4096);
	assert_int_equal(p->cached_lost_bytes[PYMEM_LOSS_NO_FRAME], 7 * 4096);
	assert_int_equal(p->cached_lost_bytes[PYMEM_LOSS_MAP_FULL], 3 * 4096);
	assert_int_equal(p->cached_file_count, 2);
	p = run_process(run->model, 2);
	assert_true(p->cached_files[0]->deleted);
	p = run_process(run_window(run, 0, 1), 1);
	assert_int_equal(p->cached.bytes, 107 * 4096);
	assert_int_equal(p->cached.gone_bytes, 0);
	p = run_process(run_window(run, 1, 2), 1);
	assert_int_equal(p->cached.bytes, 20 * 4096);
	assert_int_equal(p->cached.gone_bytes, 50 * 4096);
	assert_int_equal(p->cached.other_bytes, 20 * 4096);
	assert_int_equal(model_cached_there(&p->cached), 0);
}

static struct pymem_kernel *give_kernel(struct run *run, size_t stack)
{
	struct table_kernel *row = &run->table.kernel[run->table.kernel_count++];

	*row = (struct table_kernel){.stack = stack};
	return &row->kernel.sums;
}

/* The kernel's own memory: in the interval in which it came or went, also of an image that has
 * ended; beside what came into the page cache. */
static void test_kernel(void **state)
{
	struct run *run = *state;
	struct pymem_kernel *line, *lost, *ended;
	const struct model_process *p;

	run_begin(run, NULL);
	run->table.facts.cache = run->table.facts.kernel = true;
	for (uint32_t id = 1; id <= 2; id++)
		give_image(run, id);
	table_add_stack(&run->table, 1, 10, 2, 0);
	table_add_stack(&run->table, 1, 20, 0, 0);
	table_add_stack(&run->table, 2, 10, 3, 0);
	give_cached(run, 0, "/srv/data")->cached.added_pages = 5;
	line = give_kernel(run, 0);
	lost = give_kernel(run, 1);
	ended = give_kernel(run, 2);
	run->table.kernel[1].kernel.loss = PYMEM_LOSS_NO_THREAD;
	line->bytes[PYMEM_KERNEL_TABLES] = 8192;
	lost->bytes[PYMEM_KERNEL_SOCKETS] = 700;
	run_tick(run, 1);
	line->bytes[PYMEM_KERNEL_TABLES] = 4096;
	line->bytes[PYMEM_KERNEL_SOCKETS] = 3000;
	line->gone[PYMEM_KERNEL_SOCKETS] = 1000;
	line->objects[PYMEM_KERNEL_SOCKETS] = 3;
	line->unknown = 10;
	ended->bytes[PYMEM_KERNEL_PAGES] = 12288;
	end_image(run, 2);
	run_take(run);
	run_tick(run, 1);
	run_end(run, 1);
	run_same(run);
	assert_true(run->model->kernel_known);
	p = run_process(run->model, 1);
	assert_int_equal(model_kernel_bytes(&p->kernel), 4096 + 700 + 3000 - 1000 - 10);
	assert_int_equal(p->kernel.objects[PYMEM_KERNEL_SOCKETS], 3);
	assert_int_equal(p->kernel_lost_bytes[PYMEM_LOSS_NO_THREAD], 700);
	assert_int_equal(p->cached.bytes, 5 * 4096);
	p = run_process(run->model, 2);
	assert_int_equal(p->kernel.bytes[PYMEM_KERNEL_PAGES], 12288);
	p = run_process(run_window(run, 0, 1), 1);
	assert_int_equal(model_kernel_bytes(&p->kernel), 8192 + 700);
	p = run_process(run_window(run, 1, 2), 1);
	assert_int_equal(p->kernel.bytes[PYMEM_KERNEL_TABLES], -4096);
	assert_int_equal(p->kernel.gone[PYMEM_KERNEL_SOCKETS], 1000);
}

/* The exact engine: two code objects have one line, one has a line that is not known. */
static void test_lines(void **state)
{
	const struct recorder_options options = {.lines = true};
	struct run *run = *state;
	struct table_image *image;
	struct table_line *line;

	run_begin(run, &options);
	image = give_image(run, 1);
	image->image.lines = true;
	line = table_add_line(&run->table, 1, 7, 10);
	line->counted.pages = 5;
	line->counted.usage_pages = 100;
	line->counted.peak_pages = 120;
	table_add_line(&run->table, 1, 7, 3)->counted.usage_pages = 70;
	table_add_line(&run->table, 1, 8, 1)->named = false;
	run_tick(run, 1);
	line->counted.runs += 5;
	line->counted.usage_pages = 110;
	run_tick(run, 1);
	run_tick(run, 1);
	line->counted.runs += 1;
	run_end(run, 1);
	run_same(run);
	assert_true(recording_about(run->recording)->lines);
}

static void test_touched(void **state)
{
	const struct recorder_options options = {.touched = true};
	struct run *run = *state;
	struct table_stack *stack;

	run_begin(run, &options);
	give_image(run, 1);
	stack = table_add_stack(&run->table, 1, 10, 2, 0);
	change(run, stack, 5);
	run->table.touched_count = 1;
	run->table.touched[0] = (struct table_touched){
		.resident = {.image = 1, .pages = 115, .line_pages = 5, .before_pages = 100},
		.pages = {5}};
	run->table.firsts[0] = 20;
	run->table.firsts_gone[0] = 15;
	run_tick(run, 1);
	run_end(run, 1);
	assert_true(run_process(run->model, 1)->resident_known);
	assert_false(run_process(run->model, 1)->away_known);
	run_same(run);
	assert_true(recording_about(run->recording)->touched);
}

/* What was touched, and is not resident any more; also of a line that has nothing resident. */
static void test_away(void **state)
{
	const struct recorder_options options = {.touched = true};
	struct run *run = *state;
	const struct model_process *p;
	uint64_t swapped = 0, gone = 0;

	run_begin(run, &options);
	give_image(run, 1);
	give_image(run, 2);
	table_add_stack(&run->table, 1, 10, 2, 5);
	table_add_stack(&run->table, 1, 20, 1, 5);
	run->table.touched_count = 2;
	run->table.touched[0] = (struct table_touched){
		.resident = {.image = 1, .pages = 115, .line_pages = 5, .away = true},
		.pages = {5},
		.swapped = {0, 7},
		.absent = {3, 40}};
	/* Nothing of it is away, and that is known. */
	run->table.touched[1] = (struct table_touched){.resident = {.image = 2, .away = true}};
	run_tick(run, 1);
	run_end(run, 1);
	run_same(run);
	p = run_process(run->model, 1);
	assert_true(p->away_known && run_process(run->model, 2)->away_known);
	for (size_t i = 0; i < p->line_count; i++) {
		swapped += p->lines[i].swapped_now_bytes;
		gone += p->lines[i].gone_bytes;
	}
	assert_int_equal(swapped, 7 * run->model->page_size);
	assert_int_equal(gone, 43 * run->model->page_size);
}

/* No image has so much of it that a sum of it could be less than its parts. */
static void test_too_much_away(void **state)
{
	const struct recorder_options options = {.touched = true};
	const struct recording_view all = {};
	struct run *run = *state;

	run_begin(run, &options);
	give_image(run, 1);
	table_add_stack(&run->table, 1, 10, 2, 5);
	table_add_stack(&run->table, 1, 20, 1, 5);
	run->table.touched_count = 1;
	run->table.touched[0] = (struct table_touched){.resident = {.image = 1, .away = true},
						       .absent = {1ull << 32, 1}};
	run_tick(run, 1);
	run_end(run, 1);
	assert_null(recording_model(run_open(run), &all, run->why, sizeof(run->why)));
	assert_non_null(strstr(run->why, "what is not resident any more can't be read"));
}

/* All that a report tells beside figures. */
static void test_facts(void **state)
{
	struct counts_skip skip = {77, "java", "it is no Python", NULL};
	struct counts_unwatched unwatched = {.parent = 1001, .pids = {5}, .named = 1, .count = 1};
	struct run *run = *state;
	char *argv[] = {"python3", "", "a b", "\xff\n", NULL};
	struct table_image *image;

	run_begin(run, NULL);
	image = give_image(run, 1);
	image->image.argv = argv;
	image->image.comm = "na\nme";
	image->image.cgroup = NULL;
	image->image.held = true;
	image->record.lost_pages[PYMEM_LOSS_UNIDENTIFIED] = 3;
	image->record.unwatched_writes = 12;
	image->record.places[0].refused = 5;
	run_tick(run, 1);
	run->table.facts.skips = &skip;
	run->table.facts.dropped_messages = 4;
	run->table.facts.unwatched = &unwatched;
	run->table.gaps[COUNTS_GAP_UNREAD] = 2;
	run->table.notes[COUNTS_NOTE_EVENTS] = "3 faults were not counted";
	run_end(run, 1);
	report_note_unwatched(run->live);
	run_same(run);
}

/* It ended between the last tick and the end, and its end was not seen. */
static void test_gone(void **state)
{
	struct run *run = *state;
	struct table_image *image;

	run_begin(run, NULL);
	image = give_image(run, 1);
	change(run, table_add_stack(&run->table, 1, 10, 2, 0), 5);
	run_tick(run, 1);
	image->not_running = true;
	image->record.now_pages[PYMEM_ANON] += 3;
	run_end(run, 1);
	assert_int_equal(run_excess(run_process(run->model, 1)), 0);
	run_same(run);
}

/* Without an end: the file says so, and has all but what came after the last tick. */
static void test_no_end(void **state)
{
	struct run *run = *state;
	struct table_stack *a;
	struct model *model;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 2, 0);
	change(run, a, 5);
	run_tick(run, 1);
	change(run, a, 50);
	assert_int_equal(recorder_finish(run->recorder, NULL), 0);
	run_open(run);
	assert_false(recording_about(run->recording)->complete);
	model = run_window(run, 0, 0);
	assert_int_equal(run_process(model, 1)->charged_bytes, 5 * sysconf(_SC_PAGESIZE));
	assert_int_equal(run_excess(run_process(model, 1)), 0);
	assert_int_equal(model->note_count, 1);
	assert_non_null(strstr(model->notes[0], "was not ended by its recorder"));
}

/* A recording can be read while it is written, and again later. */
static void test_while_recording(void **state)
{
	struct run *run = *state;
	struct table_stack *a;

	run_begin(run, NULL);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 2, 0);
	change(run, a, 5);
	run_tick(run, 1);
	run_open(run);
	assert_int_equal(run_process(run_window(run, 0, 0), 1)->charged_bytes,
			 5 * sysconf(_SC_PAGESIZE));
	change(run, a, 50);
	change(run, table_add_stack(&run->table, 1, 99, 4, 0), 7);
	run_tick(run, 1);
	/* What is open is as it was when it was opened. */
	assert_int_equal(run_process(run_window(run, 0, 0), 1)->charged_bytes,
			 5 * sysconf(_SC_PAGESIZE));
	run_open(run);
	assert_int_equal(run_process(run_window(run, 0, 0), 1)->charged_bytes,
			 62 * sysconf(_SC_PAGESIZE));
	run_end(run, 1);
	run_same(run);
}

/* The trees of the model, with their threads, as folded stacks. The caller frees it. */
static char *folded(struct model *model)
{
	const struct render_options options = {};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(renderer_find("folded")->emit(out, model, &options), 0);
	fclose(out);
	return text;
}

static struct model *threads_of(struct run *run, double since, double until)
{
	const struct recording_view view = {.since = since ? RUN_START + since : 0,
					    .until = until ? RUN_START + until : 0,
					    .keep_trees = true,
					    .tell_threads = true};

	run_open(run);
	return recording_model(run->recording, &view, run->why, sizeof(run->why));
}

/* Threads with the same frames are apart. One gets its name later: it has that from the beginning,
 * and what was recorded before stays where it was. */
static void test_threads(void **state)
{
	struct run *run = *state;
	const struct recorder_options options = {.threads = true};
	struct table_stack *a, *b, *other;
	char *live, *played;

	run_begin(run, &options);
	report_keep_trees(run->live);
	report_tell_threads(run->live);
	give_image(run, 1);
	a = table_add_stack(&run->table, 1, 10, 2, 0);
	b = table_add_stack(&run->table, 1, 10, 2, 0);
	other = table_add_stack(&run->table, 1, 10, 2, 0);
	b->key.hash++;
	other->key.hash += 2;
	a->told = (struct counts_thread){PYMEM_THREAD(1, 1001), "python3"};
	b->told = (struct counts_thread){PYMEM_THREAD(2, 1001), "python3"};
	other->told = (struct counts_thread){PYMEM_THREAD_OTHERS, ""};
	change(run, a, 30);
	change(run, b, 7);
	change(run, other, 3);
	run_tick(run, 1);
	b->told.name = "worker \033";
	change(run, b, 1);
	run_tick(run, 1);
	run_end(run, 1);
	live = folded(run->model);
	played = folded(threads_of(run, 0, 0));
	assert_string_equal(played, live);
	assert_non_null(strstr(played, ";thread 1001 (worker \\x1b);"));
	assert_non_null(strstr(played, ";thread 1001 (python3);"));
	assert_non_null(strstr(played, ";other threads;"));
	free(live);
	free(played);
	played = folded(threads_of(run, 0, 1));
	assert_non_null(strstr(played, ";thread 1001 (worker \\x1b);<module> (a.py:11);"
				       "leaf (a.py:10) 28672\n")
				?: strstr(played, ";thread 1001 (worker \\x1b);caller (a.py:11);"
						  "leaf (a.py:10) 28672\n"));
	free(played);
	run_same(run);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
		RUN(test_several_ticks), RUN(test_ended),
		RUN(test_late),		 RUN(test_thread_of_taken),
		RUN(test_pending),	 RUN(test_resolved_later),
		RUN(test_unresolved),	 RUN(test_lines),
		RUN(test_touched),	 RUN(test_away),
		RUN(test_too_much_away), RUN(test_facts),
		RUN(test_gone),		 RUN(test_no_end),
		RUN(test_empty_stack),	 RUN(test_while_recording),
		RUN(test_threads),	 RUN(test_extras),
		RUN(test_stalls),	 RUN(test_cached),
		RUN(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
