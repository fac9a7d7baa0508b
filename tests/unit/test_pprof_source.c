/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/pprof_source: what all processes did in windows of time, those that ended in them too; and
 * what is resident. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/pprof_source.h"
#include "base/clock.h"
#include "counts_table.h"
#include "report/report.h"

struct given {
	struct counts_table table;
	struct pprof_source *source;
	struct report *rest; /* that of everything else */
	int64_t page;
};

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	*state = g;
	g->page = sysconf(_SC_PAGESIZE);
	g->source = pprof_source_new();
	if (!g->source)
		return -1;
	g->rest = report_new(pprof_source_counts(g->source, table_counts(&g->table)), 100, 1 << 20,
			     false);
	return g->rest ? 0 : -1;
}

static int teardown(void **state)
{
	struct given *g = *state;

	report_free(g->rest);
	pprof_source_free(g->source);
	free(g);
	return 0;
}

static void grow(struct given *g, struct table_stack *stack, int64_t pages)
{
	struct table_image *image = table_image(&g->table, stack->key.proc);

	stack->counters.pages[PYMEM_ANON] += pages;
	stack->counters.grown_pages += (uint64_t)(pages > 0 ? pages : 0);
	image->record.now_pages[PYMEM_ANON] += pages;
}

static void finish(struct given *g, uint32_t image)
{
	table_image(&g->table, image)->image.ended = true;
	assert_int_equal(report_finish_ended(g->rest, false), 0);
}

static const struct model_process *process_of(const struct model *model, uint32_t image)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i]->pid == (int)(1000 + image))
			return model->processes[i];
	return NULL;
}

/* The process grew by so many pages, all of which is on lines. `pages` < 0: it is not there. */
static void check(const struct given *g, const struct model *model, uint32_t image, int64_t pages)
{
	const struct model_process *p = process_of(model, image);

	if (pages < 0) {
		assert_null(p);
		return;
	}
	assert_non_null(p);
	assert_int_equal(p->rss_end_bytes - p->rss_start_bytes, pages * g->page);
	assert_int_equal(p->charged_bytes, pages * g->page);
	assert_int_equal(p->lost_bytes[PYMEM_LOSS_UNSETTLED], 0);
	assert_true(!pages || !model->trees_kept || p->node_count > 1);
}

static struct model *model_of(const struct given *g, unsigned window)
{
	struct model *model = pprof_source_model(g->source, window);

	assert_non_null(model);
	assert_true(model->trees_kept);
	return model;
}

/* A window is closed: the others go on, and nothing is missing from what all else is made of. */
static void check_others(struct given *g)
{
	struct model *model;

	table_add_image(&g->table, 7);
	grow(g, table_add_stack(&g->table, 7, 70, 1, 0), 8);
	finish(g, 7);
	check(g, model_of(g, 0), 7, 8);
	model = report_build(g->rest, false);
	assert_non_null(model);
	check(g, model, 1, 1016);
	check(g, model, 2, 81);
	check(g, model, 4, 77);
	check(g, model, 5, 11);
	check(g, model, 7, 8);
	/* A place is used again. */
	assert_int_equal(pprof_source_open(g->source, 2), 0);
	check(g, model_of(g, 2), 1, 0);
}

/* Two windows; processes run through, end in one of them, or begin in one. */
static void test_windows(void **state)
{
	struct given *g = *state;
	struct table_stack *runs, *thread, *ends, *late, *begins;
	struct model *model;

	for (uint32_t id = 1; id <= 4; id++)
		table_add_image(&g->table, id);
	runs = table_add_stack(&g->table, 1, 10, 2, 0);
	thread = table_add_stack(&g->table, 1, 10, 2, 0);
	thread->thread = true;
	ends = table_add_stack(&g->table, 2, 20, 1, 0);
	grow(g, table_add_stack(&g->table, 3, 30, 1, 0), 400);
	grow(g, table_add_stack(&g->table, 4, 40, 1, 0), 77);
	grow(g, runs, 1000);
	grow(g, thread, 3);
	grow(g, ends, 50);
	/* It has ended, and is taken after the window has begun: it is none of its. */
	table_image(&g->table, 4)->image.ended = true;
	assert_int_equal(pprof_source_open(g->source, 2), 0);
	finish(g, 4);
	grow(g, runs, 5);
	runs->counters.pages[PYMEM_ANON] += 3;
	runs->counters.grown_pages += 3;
	thread->counters = (struct pymem_counters){};
	grow(g, ends, 30);
	table_add_image(&g->table, 5);
	begins = table_add_stack(&g->table, 5, 50, 1, 0);
	grow(g, begins, 9);
	assert_int_equal(pprof_source_open(g->source, 0), 0);
	grow(g, ends, 1);
	finish(g, 2);
	grow(g, begins, 2);
	finish(g, 5);
	/* What begins and ends between two looks at what runs. */
	table_add_image(&g->table, 6);
	late = table_add_stack(&g->table, 6, 60, 3, 0);
	grow(g, late, 6);
	finish(g, 6);
	grow(g, runs, 7);
	grow(g, thread, 1);

	model = model_of(g, 2);
	check(g, model, 1, 13);
	check(g, model, 2, 31);
	check(g, model, 3, 0);
	check(g, model, 4, -1);
	check(g, model, 5, 11);
	check(g, model, 6, 6);
	assert_int_equal(model->process_count, 5);
	model = model_of(g, 0);
	check(g, model, 1, 8);
	check(g, model, 2, 1);
	check(g, model, 5, 2);
	check(g, model, 6, 6);
	pprof_source_close(g->source, 2);
	check_others(g);
}

/* Windows in turns have all that came. What they need is no time of somebody who asks. */
static void test_pushed(void **state)
{
	struct given *g = *state;
	struct table_stack *runs;

	for (uint32_t id = 1; id <= 3; id++)
		table_add_image(&g->table, id);
	runs = table_add_stack(&g->table, 1, 10, 1, 0);
	grow(g, runs, 100);
	assert_int_equal(pprof_source_open(g->source, PPROF_PUSHED), 0);
	for (unsigned i = 0; i < 4; i++) {
		unsigned window = PPROF_PUSHED + i % 2, other = PPROF_PUSHED + (i + 1) % 2;

		grow(g, runs, 5 + i);
		assert_int_equal(pprof_source_open(g->source, other), 0);
		check(g, model_of(g, window), 1, 5 + i);
		pprof_source_close(g->source, window);
	}
	finish(g, 2);
	assert_true(pprof_source_cpu_ns(g->source) > 0);
	assert_int_equal(pprof_source_asked_ns(g->source), 0);
	assert_int_equal(pprof_source_open(g->source, 0), 0);
	finish(g, 3);
	assert_true(pprof_source_asked_ns(g->source) > 0);
}

/* CPU time that the test's source needs for what has ended. */
#define BEHIND_NS 60000000

static const struct counts_ops *table_ops;

static int busy_take_ended(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	uint64_t began = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) - began < BEHIND_NS)
		;
	return table_ops->take_ended(self, all, reader, arg);
}

/* What the source behind needs for what has ended, it needs without windows, too: that is no time
 * of theirs. Nor is it the agent's CPU time for profiles, of which there can't be more than went
 * by. */
static void test_time(void **state)
{
	struct given *g = *state;
	struct counts counts = table_counts(&g->table);
	static struct counts_ops busy;
	uint64_t began, cpu;

	report_free(g->rest);
	table_ops = counts.ops;
	busy = *counts.ops;
	busy.take_ended = busy_take_ended;
	counts.ops = &busy;
	g->rest = report_new(pprof_source_counts(g->source, counts), 100, 1 << 20, false);
	assert_non_null(g->rest);
	for (uint32_t id = 1; id <= 200; id++) {
		table_add_image(&g->table, id);
		grow(g, table_add_stack(&g->table, id, 10, 1, 0), 5);
	}
	assert_int_equal(pprof_source_open(g->source, 0), 0);
	began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	finish(g, 2);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - began;
	assert_true(cpu >= BEHIND_NS);
	assert_in_range(pprof_source_cpu_ns(g->source), 1, cpu - BEHIND_NS);
	assert_true(pprof_source_asked_ns(g->source) > 0);
}

/* What can't be read is told; the source goes on. */
static void test_failures(void **state)
{
	struct given *g = *state;

	table_add_image(&g->table, 1);
	g->table.error = -EIO;
	assert_int_equal(pprof_source_open(g->source, 1), -EIO);
	assert_null(pprof_source_model(g->source, 1));
	g->table.error = 0;
	assert_int_equal(pprof_source_open(g->source, 1), 0);
	g->table.error = -EIO;
	assert_int_equal(report_finish_ended(g->rest, false), -EIO);
	g->table.error = 0;
	/* What ended just then may not be in it. */
	assert_null(pprof_source_model(g->source, 1));
	assert_int_equal(errno, EIO);
	pprof_source_close(g->source, 1);
	assert_int_equal(pprof_source_open(g->source, 1), 0);
	assert_non_null(pprof_source_model(g->source, 1));
}

static bool has_note(const struct model *model, const char *text)
{
	for (size_t i = 0; i < model->note_count; i++)
		if (!strcmp(model->notes[i], text))
			return true;
	return false;
}

/* Resident is what lines touched first, what was before, and what is unknown. */
static void test_kept(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = g->table.touched;
	struct report *report;
	const struct model_process *p;
	struct model *model;

	for (uint32_t id = 1; id <= 3; id++) {
		table_add_image(&g->table, id);
		grow(g, table_add_stack(&g->table, id, 10 * (int)id, 2, 0), 100);
	}
	table_image(&g->table, 3)->image.ended = true;
	touched[0].resident = (struct counts_resident){.image = 1, .before_pages = 20};
	touched[0].pages[0] = 70;
	touched[1].resident = (struct counts_resident){.image = 2, .error = -EPERM};
	g->table.touched_count = 2;
	g->table.notes[COUNTS_NOTE_EVENTS] = "some pages were not seen";
	model = pprof_source_kept(g->source, &report);
	assert_non_null(model);
	assert_int_equal(model->process_count, 2);
	assert_true(has_note(model, "some pages were not seen"));
	p = process_of(model, 1);
	assert_true(p->resident_known);
	assert_int_equal(p->rss_end_bytes, 100 * g->page);
	assert_int_equal(p->resident_before_bytes, 20 * g->page);
	assert_int_equal(p->resident_unknown_bytes, 10 * g->page);
	assert_true(p->node_count > 1);
	assert_false(process_of(model, 2)->resident_known);
	report_free(report);
	g->table.error = -EIO;
	assert_null(pprof_source_kept(g->source, &report));
	assert_int_equal(errno, EIO);
	report_free(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pushed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
