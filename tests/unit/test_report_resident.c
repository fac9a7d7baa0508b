/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* report/: who touched first what is resident now. For each process the lines, what was there
 * before and what is unknown add up to RSS. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "counts_table.h"
#include "report/report.h"

#define RSS 100 /* pages of each image */

struct given {
	struct counts_table table;
	struct report *report;
	int64_t page;
};

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->page = sysconf(_SC_PAGESIZE);
	g->report = report_new(table_counts(&g->table), 100.0, 1 << 20, false);
	*state = g;
	return g->report ? 0 : -1;
}

static int teardown(void **state)
{
	struct given *g = *state;

	report_free(g->report);
	free(g);
	return 0;
}

static struct table_touched *give_image(struct given *g, uint32_t id)
{
	struct table_touched *touched = &g->table.touched[g->table.touched_count++];

	table_add_image(&g->table, id)->record.now_pages[PYMEM_ANON] = RSS;
	g->table.images[g->table.image_count - 1].record.start_pages[PYMEM_ANON] = RSS;
	touched->resident.image = id;
	return touched;
}

static const struct model_process *process(const struct model *model, uint32_t id)
{
	size_t i;

	for (i = 0; model && i < model->process_count; i++)
		if (model->processes[i]->id == id)
			return model->processes[i];
	fail_msg("no process %u", id);
	return NULL;
}

/* Pages of the line `number` of that process; -1: not known. */
static int64_t resident(const struct given *g, const struct model_process *p, int number)
{
	size_t i;

	for (i = 0; i < p->line_count; i++)
		if (p->lines[i].location->line == number)
			return p->lines[i].resident_bytes < 0
				       ? -1
				       : p->lines[i].resident_bytes / g->page;
	fail_msg("no line %d", number);
	return -1;
}

static void assert_sum(const struct given *g, const struct model_process *p)
{
	int64_t sum = p->resident_before_bytes + p->resident_unknown_bytes;
	size_t i;

	assert_true(p->resident_known);
	for (i = 0; i < p->line_count; i++)
		sum += p->lines[i].resident_bytes;
	assert_int_equal(sum, p->rss_end_bytes);
	assert_int_equal(p->rss_end_bytes, RSS * g->page);
}

static void test_sum(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = give_image(g, 1);
	const struct model_process *p;

	table_add_stack(&g->table, 1, 10, 2, 30);
	table_add_stack(&g->table, 1, 20, 1, 0);
	touched->resident.before_pages = 50;
	touched->pages[0] = 20;
	touched->pages[1] = 7;
	p = process(report_build(g->report, false), 1);
	assert_sum(g, p);
	assert_int_equal(resident(g, p, 10), 20);
	assert_int_equal(resident(g, p, 11), 0); /* a caller */
	assert_int_equal(resident(g, p, 20), 7);
	assert_int_equal(p->resident_before_bytes, 50 * g->page);
	assert_int_equal(p->resident_unknown_bytes, 23 * g->page);
	/* The next report begins anew. */
	touched->pages[0] = 1;
	p = process(report_build(g->report, true), 1);
	assert_sum(g, p);
	assert_int_equal(resident(g, p, 10), 1);
}

/* A child has pages that its parent touched: the line is in both. */
static void test_inherited(void **state)
{
	struct given *g = *state;
	struct model *model;

	give_image(g, 1)->pages[0] = 40;
	give_image(g, 2)->pages[0] = 30;
	table_add_stack(&g->table, 1, 10, 1, 40);
	model = report_build(g->report, true);
	assert_sum(g, process(model, 1));
	assert_sum(g, process(model, 2));
	assert_int_equal(resident(g, process(model, 1), 10), 40);
	assert_int_equal(resident(g, process(model, 2), 10), 30);
}

/* The frames of a stack never came: its pages are unknown. */
static void test_undelivered(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = give_image(g, 1);
	const struct model_process *p;

	table_add_stack(&g->table, 1, 10, 1, 0);
	table_add_stack(&g->table, 1, 20, 0, 0);
	touched->pages[0] = 10;
	touched->pages[1] = 60;
	p = process(report_build(g->report, true), 1);
	assert_sum(g, p);
	assert_int_equal(p->resident_unknown_bytes, (RSS - 10) * g->page);
}

/* In swap: the lines and the rest are what it has there. Taken: no line has more than others took.
 */
static void test_away(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = give_image(g, 1);
	const struct model_process *p;
	int64_t sum;

	g->table.images[0].record.now_pages[PYMEM_SWAP] = 50;
	g->table.images[0].record.lost_extras[PYMEM_EXTRA_TAKEN] = 20;
	table_add_stack(&g->table, 1, 10, 1, 0);
	touched->swapped[0] = 30;
	touched->absent[0] = 25;
	assert_false(process(report_build(g->report, true), 1)->away_known);
	touched->resident.away = true;
	p = process(report_build(g->report, true), 1);
	assert_true(p->away_known && p->line_count == 1);
	assert_sum(g, p);
	sum = (int64_t)p->lines[0].swapped_now_bytes + p->swapped_unknown_bytes;
	assert_int_equal(sum, p->swap_end_bytes);
	assert_int_equal(p->swapped_unknown_bytes, 20 * g->page);
	assert_int_equal(p->lines[0].gone_bytes, 25 * g->page);
	assert_int_equal(model_taken_most(p, &p->lines[0]), 20 * g->page);
}

/* It went on while its pages were looked at: the sum holds, and the rest is negative. */
static void test_changed_meanwhile(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = give_image(g, 1);
	const struct model_process *p;

	table_add_stack(&g->table, 1, 10, 1, 0);
	touched->pages[0] = RSS + 5;
	p = process(report_build(g->report, true), 1);
	assert_sum(g, p);
	assert_int_equal(p->resident_unknown_bytes, -5 * g->page);
}

static bool has_note(const struct model *model, const char *part)
{
	size_t i;

	for (i = 0; i < model->note_count; i++)
		if (strstr(model->notes[i], part))
			return true;
	return false;
}

static void test_unread(void **state)
{
	struct given *g = *state;
	const struct model_process *p;
	struct model *model;

	give_image(g, 1)->resident.error = -EACCES;
	table_add_stack(&g->table, 1, 10, 1, 5);
	model = report_build(g->report, true);
	p = process(model, 1);
	assert_false(p->resident_known);
	assert_int_equal(p->resident_before_bytes, -1);
	assert_int_equal(resident(g, p, 10), -1);
	assert_true(has_note(model, "could not be looked at"));
}

static void test_not_noted(void **state)
{
	struct given *g = *state;
	const struct model_process *p;

	give_image(g, 1);
	g->table.touched_count = 0;
	table_add_stack(&g->table, 1, 10, 1, 5);
	p = process(report_build(g->report, true), 1);
	assert_false(p->resident_known);
	assert_int_equal(resident(g, p, 10), -1);
}

static void test_notes(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = give_image(g, 1);
	struct model *model;

	touched->resident.refused_pages = 12;
	touched->resident.cut = true;
	model = report_build(g->report, true);
	assert_true(has_note(model, "12 pages"));
	assert_true(has_note(model, "had forked too often"));
}

/* A line that grew much, of which little is there: who keeps memory is another question. */
static void test_asks_for_heap(void **state)
{
	struct given *g = *state;
	struct table_touched *touched = give_image(g, 1);
	int64_t pages = (8 << 20) / g->page;
	struct model *model;

	table_add_stack(&g->table, 1, 10, 1, pages);
	touched->pages[0] = 60;
	model = report_build(g->report, true);
	assert_true(has_note(model, "pymem-bpf heap -p 1001 -d 30"));
	/* What is in swap nobody gave back. */
	touched->resident.away = true;
	touched->swapped[0] = (uint64_t)pages;
	assert_false(has_note(report_build(g->report, true), "pymem-bpf heap"));
	touched->swapped[0] = 0;
	touched->pages[0] = RSS;
	g->table.stacks[0].counters.pages[PYMEM_ANON] = RSS;
	model = report_build(g->report, true);
	assert_false(has_note(model, "pymem-bpf heap"));
}

/* A line whose pages are resident, of which `looked` places tell whether what it put there first is
 * gone. */
static struct model *report_of_firsts(struct given *g, unsigned looked, unsigned gone, bool final)
{
	struct table_touched *touched = &g->table.touched[0];

	if (!g->table.touched_count) {
		touched = give_image(g, 1);
		table_add_stack(&g->table, 1, 10, 1, (8 << 20) / g->page);
		table_add_stack(&g->table, 1, 20, 1, 1);
		touched->pages[0] = (uint64_t)((8 << 20) / g->page);
	}
	g->table.firsts[0] = looked;
	g->table.firsts_gone[0] = gone;
	return report_build(g->report, final);
}

/* Its pages are there, but what it put there is not. */
static void test_others_live_there(void **state)
{
	struct given *g = *state;
	struct model *model;

	model = report_of_firsts(g, 40, 31, true);
	assert_true(has_note(model, ":10 touched 8 MiB that are resident"));
	assert_true(has_note(model, "of 40 places looked at there, 31 no longer hold"));
	assert_true(has_note(model, "pymem-bpf heap -p 1001 -d 30"));
}

static void test_says_nothing_of_few_or_kept(void **state)
{
	struct given *g = *state;

	assert_false(has_note(report_of_firsts(g, 40, 19, true), "pymem-bpf heap"));
	assert_false(has_note(report_of_firsts(g, 15, 15, true), "pymem-bpf heap"));
	assert_false(has_note(report_of_firsts(g, 0, 0, true), "pymem-bpf heap"));
	/* A live report does not look: it is made once a second. */
	assert_false(has_note(report_of_firsts(g, 40, 40, false), "pymem-bpf heap"));
	/* Those of another line tell nothing of this one. */
	g->table.firsts[1] = g->table.firsts_gone[1] = 40;
	assert_false(has_note(report_of_firsts(g, 0, 0, true), "pymem-bpf heap"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inherited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_undelivered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asks_for_heap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_live_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_says_nothing_of_few_or_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
