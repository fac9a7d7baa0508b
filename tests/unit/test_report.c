/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* report/: from a table of counts to lines and losses. For each image charged + lost = change of
 * RSS: while it runs, after its end, and if more arrives later. Notes are in test_report_notes.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "report_fixture.h"

static int setup(void **state)
{
	return given_setup(state, 100.0);
}

/* An image whose RSS has changed by `change` pages; its record has lost `lost` of them. */
static struct table_image *give_image(struct given *g, uint32_t id, int64_t change, int64_t lost)
{
	struct table_image *row = table_add_image(&g->table, id);

	row->record.start_pages[PYMEM_ANON] = 100;
	row->record.start_pages[PYMEM_FILE] = 10;
	row->record.now_pages[PYMEM_ANON] = 100 + change;
	row->record.now_pages[PYMEM_FILE] = 10;
	row->record.now_pages[PYMEM_SWAP] = 7; /* no part of RSS */
	row->record.lost_pages[PYMEM_LOSS_NO_FRAME] = lost;
	return row;
}

static struct model *built(struct given *g, bool final)
{
	struct model *model = report_build(g->report, final);

	assert_non_null(model);
	return model;
}

static const struct model_process *process(const struct model *model, uint32_t id)
{
	size_t i;

	for (i = 0; i < model->process_count; i++)
		if (model->processes[i]->id == id)
			return model->processes[i];
	return NULL;
}

/* Pages of charged + lost beyond the change; 0: conserved. */
static int64_t excess(const struct given *g, const struct model_process *p)
{
	assert_non_null(p);
	return (p->charged_bytes + model_lost_bytes(p) - (p->rss_end_bytes - p->rss_start_bytes)) /
	       g->page;
}

static int64_t lost_pages(const struct given *g, const struct model_process *p,
			  enum pymem_loss loss)
{
	assert_non_null(p);
	return p->lost_bytes[loss] / g->page;
}

static const struct model_line *line(const struct model_process *p, int number)
{
	size_t i;

	for (i = 0; i < p->line_count; i++)
		if (p->lines[i].location->line == number)
			return &p->lines[i];
	fail_msg("no line %d", number);
	return NULL;
}

static void test_charged(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct table_stack *stack;
	struct model *model;

	give_image(g, 1, 15, 2);
	stack = table_add_stack(&g->table, 1, 10, 2, 8);
	stack->vmcalls.calls[PYMEM_VMCALL_MMAP] = 3;
	stack->has_vmcalls = true;
	/* The same, from a thread. */
	table_add_stack(&g->table, 1, 10, 2, 4)->thread = true;
	table_add_stack(&g->table, 1, 20, 1, 1);
	g->table.facts.end = 105.5;
	model = built(g, true);
	assert_int_equal(model->process_count, 1);
	assert_true(model->start == 100.0 && model->end == 105.5);
	p = process(model, 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(p->charged_bytes, 13 * g->page);
	assert_int_equal(p->rss_start_bytes, 110 * g->page);
	assert_int_equal(line(p, 10)->increment_bytes, 12 * g->page);
	assert_int_equal(line(p, 10)->vm_calls[PYMEM_VMCALL_MMAP], 3);
	assert_int_equal(line(p, 11)->increment_bytes, 0);
	assert_int_equal(line(p, 11)->total_bytes, 12 * g->page);
	assert_int_equal(line(p, 20)->increment_bytes, g->page);
	assert_string_equal(p->engine, "walk");
	assert_false(p->exited);
}

/* Amounts without frames are lost and charged to nobody. */
static void test_undelivered(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	give_image(g, 1, 9, 0);
	table_add_stack(&g->table, 1, 10, 0, 6);
	table_add_stack(&g->table, 1, 20, 0, 1)->thread = true;
	table_add_stack(&g->table, 1, 30, 1, 2);
	p = process(built(g, true), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 7);
	assert_int_equal(p->line_count, 1);
	/* Its code objects were refused. */
	g->table.stacks[0].lack = PYMEM_LACK_QUOTA;
	p = process(built(g, true), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 1);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_CODE_QUOTA), 6);
}

/* A final report shows what does not add up. */
static void test_unaccounted(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	give_image(g, 1, 9, 0);
	table_add_stack(&g->table, 1, 10, 1, 6);
	p = process(built(g, true), 1);
	assert_int_equal(excess(g, p), -3);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 0);
}

/* A live report is read while things change. What it lacks comes with the next one. */
static void test_unsettled(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct table_stack *stack;

	give_image(g, 1, 9, 0);
	stack = table_add_stack(&g->table, 1, 10, 1, 6);
	p = process(built(g, false), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 3);
	stack->counters.pages[PYMEM_ANON] = 11;
	p = process(built(g, false), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), -2);
	stack->counters.pages[PYMEM_ANON] = 9;
	p = process(built(g, true), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 0);
}

/* It ended after the detaching. What its threads had collected is gone with them. */
static void test_ended_unseen(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	give_image(g, 1, 9, 0)->not_running = true;
	give_image(g, 2, 9, 0);
	table_add_stack(&g->table, 1, 10, 1, 6);
	p = process(built(g, true), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 3);
	assert_int_equal(excess(g, process(built(g, true), 2)), -9);
}

/* Lines of finished images are in all later reports. Their counts are taken once. */
static void test_finish_ended(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct model *model;
	int i;

	give_image(g, 1, 9, 1)->image.ended = true;
	give_image(g, 2, 5, 0);
	table_add_stack(&g->table, 1, 10, 2, 6);
	table_add_stack(&g->table, 1, 20, 0, 2);
	table_add_stack(&g->table, 2, 10, 2, 5);
	assert_int_equal(report_finish_ended(g->report, false), 0);
	assert_true(g->table.images[0].gone && g->table.stacks[0].gone && g->table.stacks[1].gone);
	assert_false(g->table.images[1].gone || g->table.stacks[2].gone);
	for (i = 0; i < 3; i++) {
		model = built(g, i == 2);
		assert_int_equal(model->process_count, 2);
		p = process(model, 1);
		assert_true(p->exited);
		assert_int_equal(excess(g, p), 0);
		assert_int_equal(line(p, 10)->increment_bytes, 6 * g->page);
		assert_int_equal(line(p, 11)->total_bytes, 6 * g->page);
		assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 2);
		assert_int_equal(excess(g, process(model, 2)), 0);
	}
}

/* A thread of an ended process adds what it has when it gets a CPU again. */
static void test_late(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	give_image(g, 1, 9, 0)->image.ended = true;
	table_add_stack(&g->table, 1, 10, 1, 4);
	assert_int_equal(report_finish_ended(g->report, false), 0);
	/* It has not added it yet: it is missing, but may still come. */
	table_add_stack(&g->table, 1, 20, 1, 3)->thread = true;
	p = process(built(g, false), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 5);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 0);
	/* Another thread has added it: the counts are taken, once. */
	table_add_stack(&g->table, 1, 10, 1, 2);
	p = process(built(g, false), 1);
	assert_true(g->table.stacks[2].gone);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 3);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 2);
	/* Nothing comes after this: what the thread still has is lost, too. */
	p = process(built(g, true), 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 5);
	assert_int_equal(line(p, 10)->increment_bytes, 4 * g->page);
}

/* Figures of an image that was never in the report belong to nobody and stay. */
static void test_of_nobody(void **state)
{
	struct given *g = *state;
	struct model *model;

	table_add_stack(&g->table, 5, 10, 1, 4);
	table_add_stack(&g->table, 5, 20, 1, 4)->thread = true;
	table_add_line(&g->table, 5, 10, 1);
	model = built(g, true);
	assert_int_equal(model->process_count, 0);
	assert_int_equal(model->note_count, 0);
	assert_false(g->table.stacks[0].gone);
}

/* Of many ended images, those that changed least are gathered, with what arrives late. */
static void test_gathered(void **state)
{
	struct given *g = *state;
	struct model *model;
	int64_t change;
	uint32_t id;
	size_t i;

	report_free(g->report);
	g->report = report_new(table_counts(&g->table), 0, 4096, false);
	assert_non_null(g->report);
	for (id = 1; id <= 50; id++) {
		give_image(g, id, id + 2, 2)->image.ended = true;
		table_add_stack(&g->table, id, 10, 2, id);
	}
	assert_int_equal(report_finish_ended(g->report, false), 0);
	model = built(g, false);
	assert_true(model->gathered.processes > 0 && model->gathered.processes < 50);
	assert_int_equal(model->gathered.processes + model->process_count, 50);
	assert_null(process(model, 1));
	table_add_stack(&g->table, 1, 10, 1, 3);
	model = built(g, true);
	assert_int_equal(model->gathered.lost_bytes[PYMEM_LOSS_UNDELIVERED], 3 * g->page);
	change = model->gathered.change_bytes;
	for (i = 0; i < model->process_count; i++) {
		assert_int_equal(excess(g, model->processes[i]), 0);
		change += model->processes[i]->rss_end_bytes - model->processes[i]->rss_start_bytes;
	}
	assert_int_equal(change, (50 * 51 / 2 + 100) * g->page);
}

static void count_gone(void *arg, const struct model_process *process)
{
	int64_t *changed = arg;

	*changed += process->rss_end_bytes - process->rss_start_bytes;
}

/* Who asked for it is told of each of these once. */
static void test_gone(void **state)
{
	struct given *g = *state;
	struct model *model;
	int64_t changed = 0;
	uint32_t id;

	report_free(g->report);
	g->report = report_new(table_counts(&g->table), 0, 4096, false);
	assert_non_null(g->report);
	report_on_gone(g->report, count_gone, &changed);
	for (id = 1; id <= 50; id++) {
		give_image(g, id, id, 0)->image.ended = true;
		table_add_stack(&g->table, id, 10, 2, id);
		assert_int_equal(report_finish_ended(g->report, false), 0);
	}
	model = built(g, false);
	assert_true(changed > 0);
	assert_int_equal(changed, model->gathered.change_bytes);
}

/* Sums of processes that run, without lines: the same amounts, and nothing is taken from the
 * source. */
static void test_brief(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct model *model;

	give_image(g, 1, 15, 2);
	table_add_stack(&g->table, 1, 10, 2, 8)->counters.minor_faults = 3;
	table_add_stack(&g->table, 1, 10, 2, 4)->thread = true;
	table_add_stack(&g->table, 1, 20, 0, 1)->counters.minor_faults = 2;
	give_image(g, 2, 6, 0)->image.ended = true;
	table_add_stack(&g->table, 2, 10, 2, 6);
	assert_int_equal(report_finish_ended(g->report, false), 0);
	/* Late, of an image that is finished. */
	table_add_stack(&g->table, 2, 30, 1, 1);
	for (int i = 0; i < 2; i++) {
		model = report_build_brief(g->report, table_counts(&g->table));
		assert_non_null(model);
		assert_int_equal(model->process_count, 2);
		p = process(model, 1);
		assert_int_equal(excess(g, p), 0);
		assert_int_equal(p->charged_bytes, 13 * g->page);
		assert_int_equal(p->swap_end_bytes, 7 * g->page);
		assert_int_equal(p->line_count, 1);
		assert_int_equal(p->lines[0].minor_faults, 5);
		assert_int_equal(line(process(model, 2), 10)->increment_bytes, 6 * g->page);
	}
	/* What was late is still there for a whole report. */
	model = built(g, true);
	p = process(model, 1);
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(line(p, 10)->increment_bytes, 12 * g->page);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNDELIVERED), 1);
	assert_int_equal(lost_pages(g, process(model, 2), PYMEM_LOSS_UNDELIVERED), 1);
}

/* A held image could not run Python before it was identified. */
static void test_held(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct table_image *row = give_image(g, 1, 5, 2);

	row->record.lost_pages[PYMEM_LOSS_UNIDENTIFIED] = 3;
	p = process(built(g, true), 1);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNIDENTIFIED), 3);
	row->image.held = true;
	p = process(built(g, true), 1);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNIDENTIFIED), 0);
	assert_int_equal(lost_pages(g, p, PYMEM_LOSS_NO_FRAME), 5);
	assert_int_equal(excess(g, p), 0);
}

/* Runs of a line. What a function takes before its first line is added to the row of that. */
static void test_runs(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct table_stack *stack;

	give_image(g, 1, 6, 0)->image.lines = true;
	table_add_line(&g->table, 1, 10, 4)->counted.pages = 2;
	stack = table_add_stack(&g->table, 1, 20, 2, 6);
	stack->frames[0].prologue = true;
	p = process(built(g, true), 1);
	assert_string_equal(p->engine, "lines");
	assert_int_equal(excess(g, p), 0);
	assert_int_equal(line(p, 10)->occurrences, 4);
	assert_int_equal(line(p, 10)->run_bytes, 2 * g->page);
	assert_int_equal(line(p, 20)->run_bytes, 6 * g->page);
	/* The walk engine sees no runs. */
	g->table.images[0].image.lines = false;
	g->table.line_count = 0;
	p = process(built(g, true), 1);
	assert_int_equal(line(p, 20)->increment_bytes, 6 * g->page);
	assert_int_equal(line(p, 20)->occurrences, -1);
}

static void test_source_fails(void **state)
{
	struct given *g = *state;

	give_image(g, 1, 5, 5);
	g->table.error = -EIO;
	errno = 0;
	assert_null(report_build(g->report, false));
	assert_int_equal(errno, EIO);
	assert_int_equal(report_finish_ended(g->report, true), -EIO);
	g->table.error = 0;
	assert_int_equal(excess(g, process(built(g, true), 1)), 0);
}

/* --- any history --- */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Something happens to an image: its RSS changes; a stack, a thread or a loss gets the amount. */
static void change(struct given *g, struct table_image *row, uint64_t *seed)
{
	int64_t pages = (int64_t)(next_random(seed) % 41) - 20;
	unsigned what = next_random(seed) % 8;

	if (what >= 6 || g->table.stack_count == TABLE_ROWS) {
		row->record.lost_pages[next_random(seed) % PYMEM_LOSS_UNSETTLED] += pages;
	} else {
		/* Each amount has a row of its own; equal keys add up. */
		table_add_stack(&g->table, row->image.id, 1 + next_random(seed) % 9,
				next_random(seed) % (TABLE_DEPTH + 1), pages)
			->thread = what == 5;
	}
	row->record.now_pages[next_random(seed) % 2 ? PYMEM_ANON : PYMEM_FILE] += pages;
}

static int64_t line_bytes(const struct model_process *p)
{
	int64_t bytes = 0;
	size_t i;

	for (i = 0; i < p->line_count; i++)
		bytes += p->lines[i].increment_bytes;
	return bytes;
}

/* The table does not change while it is read. So only what threads of ended images have not added
 * yet is unsettled. */
static void check_all(struct given *g, struct model *model, bool final)
{
	size_t i;

	assert_int_equal(model->process_count, g->table.image_count);
	for (i = 0; i < g->table.image_count; i++) {
		const struct table_image *row = &g->table.images[i];
		const struct model_process *p = process(model, row->image.id);

		assert_int_equal(excess(g, p), 0);
		assert_int_equal(line_bytes(p), p->charged_bytes);
		if (final || !row->gone)
			assert_int_equal(lost_pages(g, p, PYMEM_LOSS_UNSETTLED), 0);
		assert_int_equal(p->rss_end_bytes,
				 counts_rss_pages(row->record.now_pages) * g->page);
	}
}

/* Images begin, change and end; reports are built at any time. */
static void live_through(struct given *g, uint64_t seed)
{
	struct table_image *row;
	int step;

	for (step = 0; step < 200; step++) {
		if (!g->table.image_count ||
		    (!(next_random(&seed) % 16) && g->table.image_count < 20))
			give_image(g, g->table.image_count + 1, 0, 0);
		row = &g->table.images[next_random(&seed) % g->table.image_count];
		if (!row->image.ended)
			change(g, row, &seed);
		if (!(next_random(&seed) % 32))
			row->image.ended = true;
		if (!(next_random(&seed) % 8))
			assert_int_equal(report_finish_ended(g->report, false), 0);
		if (!(next_random(&seed) % 8))
			check_all(g, built(g, false), false);
		if (!(next_random(&seed) % 8))
			check_all(g, report_build_brief(g->report, table_counts(&g->table)), false);
	}
	check_all(g, built(g, true), true);
}

static void test_any_history(void **state)
{
	struct given *g = *state;
	uint64_t seed;

	for (seed = 1; seed <= 50; seed++) {
		memset(&g->table, 0, sizeof(g->table));
		report_free(g->report);
		g->report = report_new(table_counts(&g->table), 0, ENDED_BYTES, seed % 2);
		assert_non_null(g->report);
		live_through(g, seed * 0x9e3779b97f4a7c15ull);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_charged, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_undelivered, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_unaccounted, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_unsettled, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_ended_unseen, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_finish_ended, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_of_nobody, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_gathered, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_brief, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_runs, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_source_fails, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_any_history, setup, given_teardown),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
