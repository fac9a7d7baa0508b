/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: the recorder guesses which stack comes next. Whatever order they come in, and whichever
 * come and go, no change is overlooked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "record_fixture.h"

#define IMAGES	 4
#define STACKS	 12 /* of each image at first */
#define ROUNDS	 60
#define READINGS 62 /* of these, one brings all stacks after the first */

struct shuffle {
	struct run *run;
	int64_t pages[2 * IMAGES + 1]; /* that each image has by now */
	unsigned seed;
};

static unsigned chance(struct shuffle *s, unsigned below)
{
	s->seed = s->seed * 1103515245 + 12345;
	return (s->seed >> 16) % below;
}

static void grow(struct shuffle *s, struct table_stack *row, int64_t pages)
{
	row->counters.pages[PYMEM_ANON] += pages;
	row->counters.grown_pages += (uint64_t)pages;
	s->pages[row->key.proc] += pages;
}

static void add_stack(struct shuffle *s, uint32_t image)
{
	struct counts_table *table = &s->run->table;
	int line = 10 + (int)table->stack_count;

	grow(s, table_add_stack(table, image, line, 2, 0), 1 + chance(s, 9));
}

/* A thread begins to collect for the stack, or hands over what it has. */
static void change_thread(struct shuffle *s, struct table_stack *row)
{
	struct counts_table *table = &s->run->table;

	for (size_t i = 0; i < table->stack_count; i++) {
		struct table_stack *thread = &table->stacks[i];

		if (!thread->thread || thread->gone || thread->key.hash != row->key.hash)
			continue;
		row->counters.pages[PYMEM_ANON] += thread->counters.pages[PYMEM_ANON];
		row->counters.grown_pages += thread->counters.grown_pages;
		thread->gone = true;
		return;
	}
	if (table->stack_count == TABLE_ROWS)
		return;
	table->stacks[table->stack_count] = *row;
	table->stacks[table->stack_count].thread = true;
	table->stacks[table->stack_count].counters = (struct pymem_counters){};
	grow(s, &table->stacks[table->stack_count++], 1 + chance(s, 9));
}

/* Rows of stacks first, as a source hands them over, and each of both in an order of its own. */
static void shuffle_rows(struct shuffle *s, unsigned swaps)
{
	struct counts_table *table = &s->run->table;

	while (swaps--) {
		struct table_stack *a = &table->stacks[chance(s, (unsigned)table->stack_count)];
		struct table_stack *b = &table->stacks[chance(s, (unsigned)table->stack_count)];
		struct table_stack c = *a;

		*a = *b;
		*b = c;
	}
	for (size_t i = 0, stacks = 0; i < table->stack_count; i++) {
		struct table_stack row = table->stacks[i];

		if (row.thread)
			continue;
		table->stacks[i] = table->stacks[stacks];
		table->stacks[stacks++] = row;
	}
}

static void check_sums(struct shuffle *s, uint32_t images)
{
	struct model *model;

	run_open(s->run);
	model = run_window(s->run, 0, 0);
	for (uint32_t id = 1; id <= images; id++)
		assert_int_equal(run_process(model, id)->charged_bytes,
				 s->pages[id] * sysconf(_SC_PAGESIZE));
}

static void one_round(struct shuffle *s, unsigned swaps)
{
	struct counts_table *table = &s->run->table;

	for (int i = 0; i < 5; i++) {
		struct table_stack *row = &table->stacks[chance(s, (unsigned)table->stack_count)];

		if (!row->gone)
			grow(s, row, 1 + chance(s, 9));
		row = &table->stacks[chance(s, (unsigned)table->stack_count)];
		if (!row->thread && !row->gone)
			change_thread(s, row);
	}
	if (table->stack_count < TABLE_ROWS - 8)
		add_stack(s, 1 + chance(s, IMAGES));
	shuffle_rows(s, swaps);
	run_tick(s->run, 1);
	run_take(s->run);
	/* A new stack may wait for its frames, but these have theirs. */
	check_sums(s, IMAGES);
}

static void begin(struct shuffle *s, struct run *run)
{
	*s = (struct shuffle){.run = run, .seed = 1};
	run_begin(run, NULL);
	for (uint32_t id = 1; id <= IMAGES; id++) {
		table_add_image(&run->table, id);
		for (int i = 0; i < STACKS; i++)
			add_stack(s, id);
	}
	shuffle_rows(s, 0);
	run_tick(run, 1);
}

static void test_same_order(void **state)
{
	struct shuffle s;

	begin(&s, *state);
	for (int i = 0; i < ROUNDS; i++)
		one_round(&s, 0);
}

static void test_some_change_places(void **state)
{
	struct shuffle s;

	begin(&s, *state);
	for (int i = 0; i < ROUNDS; i++)
		one_round(&s, 2);
}

static void test_any_order(void **state)
{
	struct shuffle s;

	begin(&s, *state);
	for (int i = 0; i < ROUNDS; i++)
		one_round(&s, 200);
	/* Nearly all readings were of changes. */
	assert_in_range(((struct run *)*state)->table.changes_only, ROUNDS / 2, ROUNDS);
}

/* All stacks come once a minute, however many readings that are. */
static void check_minutes(struct run *run, double seconds)
{
	struct counts_table *table = &run->table;
	unsigned readings = (unsigned)(180 / seconds), before;
	struct shuffle s;

	begin(&s, run);
	run_tick(run, seconds);
	before = table->changes_only;
	for (unsigned i = 0; i < readings; i++)
		run_tick(run, seconds);
	assert_int_equal(readings - (table->changes_only - before), 3);
}

static void test_all_once_a_minute(void **state)
{
	check_minutes(*state, 1);
}

static void test_all_once_a_minute_of_few(void **state)
{
	check_minutes(*state, 5);
}

static void test_all_once_a_minute_of_one(void **state)
{
	check_minutes(*state, 60);
}

/* Something comes for each stack of an image that was taken, in the same order, with the same
 * figures. It is taken as late, and is no stack of the image any more: at the latest by the next
 * reading that brings all stacks, since the first one takes the same figures for old ones. */
static void come_late(struct shuffle *s, uint32_t image)
{
	struct counts_table *table = &s->run->table;

	for (size_t i = 0; i < table->stack_count; i++)
		if (table->stacks[i].key.proc == image)
			table->stacks[i].gone = table->stacks[i].is_told = false;
	for (int i = 0; i < READINGS; i++)
		run_tick(s->run, 1);
	for (size_t i = 0; i < table->stack_count; i++)
		if (table->stacks[i].key.proc == image)
			assert_true(table->stacks[i].gone);
}

/* Their places are given to others. */
static void test_images_end(void **state)
{
	struct run *run = *state;
	struct counts_table *table = &run->table;
	struct shuffle s;

	begin(&s, run);
	for (uint32_t id = 1; id < IMAGES; id++) {
		table_image(table, id)->image.ended = true;
		run_take(run);
		come_late(&s, id);
		table_add_image(table, IMAGES + id);
		for (int i = 0; i < STACKS / 2; i++)
			add_stack(&s, IMAGES + id);
		shuffle_rows(&s, 4);
		run_tick(run, 1);
		for (size_t i = 0; i < table->stack_count; i++)
			if (!table->stacks[i].gone && chance(&s, 2))
				grow(&s, &table->stacks[i], 1 + chance(&s, 9));
		run_tick(run, 1);
		check_sums(&s, IMAGES + id);
	}
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
		RUN(test_same_order),
		RUN(test_some_change_places),
		RUN(test_any_order),
		RUN(test_all_once_a_minute),
		RUN(test_all_once_a_minute_of_few),
		RUN(test_all_once_a_minute_of_one),
		RUN(test_images_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
