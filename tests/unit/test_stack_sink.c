/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* report/stack_sink.h: a sink gets the stacks that become lines, all of them and no others. So what
 * it makes of them has the sums of the lines. The sink here makes folded stacks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "counts_table.h"
#include "report/report.h"

#define PROCESSES 8

/* Folded stacks of one process: "<module>:13;main:12;…", each with an amount. */
struct folded {
	uint32_t id;
	struct folded_stack {
		char text[256];
		int64_t pages;
		uint64_t hash;
	} stacks[TABLE_ROWS];
	size_t count;
	unsigned done, final; /* calls of done() */
	int64_t lost_bytes;   /* at the last call */
};

struct given {
	struct counts_table table;
	struct folded processes[PROCESSES];
	size_t count;
	int error; /* of the sink's next call */
	struct stack_sink sink;
	struct report *report;
	int64_t page;
};

static struct folded *folded(struct given *g, uint32_t id)
{
	size_t i;

	for (i = 0; i < g->count; i++)
		if (g->processes[i].id == id)
			return &g->processes[i];
	assert_true(g->count < PROCESSES);
	g->processes[g->count].id = id;
	return &g->processes[g->count++];
}

static int take_stack(void *self, const struct model_process *process,
		      const struct counts_stack *stack)
{
	struct given *g = self;
	struct folded *f = folded(g, process->id);
	struct folded_stack *s;
	unsigned i;
	int length = 0;

	assert_int_equal(stack->key.proc, process->id);
	assert_int_equal(process->pid, 1000 + process->id);
	assert_true(stack->depth > 0);
	assert_int_equal(f->final, 0);
	/* It replaces what the last live report brought. */
	if (f->done)
		f->count = f->done = 0;
	assert_true(f->count < TABLE_ROWS);
	s = &f->stacks[f->count++];
	for (i = stack->depth; i-- > 0;)
		length += snprintf(s->text + length, sizeof(s->text) - length, "%s%s:%d",
				   length ? ";" : "", stack->frames[i].function,
				   stack->frames[i].line);
	s->pages = counts_rss_pages(stack->counters->pages);
	s->hash = stack->key.hash;
	return g->error;
}

static int take_done(void *self, const struct model_process *process, bool final)
{
	struct given *g = self;
	struct folded *f = folded(g, process->id);

	/* No stack arrived since the last report. */
	if (f->done && !f->final && !final)
		f->count = 0;
	f->done++;
	f->final += final;
	f->lost_bytes = model_lost_bytes(process);
	return g->error;
}

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->page = sysconf(_SC_PAGESIZE);
	g->sink = (struct stack_sink){g, take_stack, take_done};
	g->report = report_new(table_counts(&g->table), 0, 64 << 20, false, &g->sink);
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

static void give_image(struct given *g, uint32_t id, int64_t change)
{
	table_add_image(&g->table, id)->record.now_pages[PYMEM_ANON] = change;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);

	return length >= n && !strcmp(text + length - n, end) &&
	       (length == n || text[length - n - 1] == ';');
}

static bool contains(const char *text, const char *frame)
{
	char between[256], all[512];

	snprintf(between, sizeof(between), ";%s;", frame);
	snprintf(all, sizeof(all), ";%s;", text);
	return strstr(all, between) != NULL;
}

/* The sums of the folded stacks are those of the lines. */
static void check(const struct given *g, const struct folded *f, const struct model_process *p)
{
	int64_t all = 0, self, total;
	char frame[128];
	size_t i, j;

	for (j = 0; j < f->count; j++)
		all += f->stacks[j].pages;
	assert_int_equal(all * g->page, p->charged_bytes);
	assert_int_equal(f->lost_bytes, model_lost_bytes(p));
	for (i = 0; i < p->line_count; i++) {
		snprintf(frame, sizeof(frame), "%s:%d", p->lines[i].location->function,
			 p->lines[i].location->line);
		self = total = 0;
		for (j = 0; j < f->count; j++) {
			self += ends_with(f->stacks[j].text, frame) ? f->stacks[j].pages : 0;
			total += contains(f->stacks[j].text, frame) ? f->stacks[j].pages : 0;
		}
		assert_int_equal(self * g->page, p->lines[i].increment_bytes);
		assert_int_equal(total * g->page, p->lines[i].total_bytes);
	}
}

static void check_all(struct given *g, const struct model *model)
{
	size_t i;

	for (i = 0; i < model->process_count; i++)
		check(g, folded(g, model->processes[i]->id), model->processes[i]);
}

static const struct model *built(struct given *g, bool final)
{
	const struct model *model = report_build(g->report, final);

	assert_non_null(model);
	return model;
}

static void give_stacks(struct given *g, uint32_t id)
{
	table_add_stack(&g->table, id, 10, 3, 5);
	table_add_stack(&g->table, id, 11, 2, 7);
	table_add_stack(&g->table, id, 12, 4, -2);
	table_add_stack(&g->table, id, 20, 0, 3); /* no frames: lost */
	table_add_stack(&g->table, id, 11, 2, 4)->thread = true;
}

static void test_final(void **state)
{
	struct given *g = *state;
	struct folded *f;

	give_image(g, 1, 17);
	give_stacks(g, 1);
	check_all(g, built(g, true));
	f = folded(g, 1);
	assert_int_equal(f->count, 4);
	assert_int_equal(f->final, 1);
	assert_string_equal(f->stacks[0].text, "main:12;caller:11;leaf:10");
	/* What a thread has collected comes with the key of its stack. */
	assert_string_equal(f->stacks[3].text, f->stacks[1].text);
	assert_int_equal(f->stacks[3].hash, f->stacks[1].hash);
	assert_int_equal(f->lost_bytes, 3 * g->page);
}

/* Each live report hands over all stacks of what still runs. */
static void test_live(void **state)
{
	struct given *g = *state;

	give_image(g, 1, 17);
	give_stacks(g, 1);
	check_all(g, built(g, false));
	assert_int_equal(folded(g, 1)->final, 0);
	table_add_stack(&g->table, 1, 30, 1, 2);
	check_all(g, built(g, false));
	assert_int_equal(folded(g, 1)->count, 5);
	table_add_stack(&g->table, 1, 31, 1, 2);
	check_all(g, built(g, true));
	assert_int_equal(folded(g, 1)->count, 6);
	assert_int_equal(folded(g, 1)->final, 1);
}

/* Stacks of an ended image come once, when it is finished, and in no later report. */
static void test_ended(void **state)
{
	struct given *g = *state;
	int i;

	give_image(g, 1, 17);
	give_stacks(g, 1);
	give_image(g, 2, 17);
	give_stacks(g, 2);
	/* A report is built while this one runs. */
	check_all(g, built(g, false));
	g->table.images[0].image.ended = true;
	g->table.stacks[4].thread = false;
	for (i = 0; i < 3; i++)
		assert_int_equal(report_finish_ended(g->report, false), 0);
	assert_int_equal(folded(g, 1)->final, 1);
	assert_int_equal(folded(g, 2)->final, 0);
	check_all(g, built(g, false));
	check_all(g, built(g, true));
	assert_int_equal(folded(g, 1)->final, 1);
	assert_int_equal(folded(g, 2)->final, 1);
}

/* Amounts that arrive late are lost, and the sink learns that more is lost; unsettled amounts are
 * not reported to it. */
static void test_late(void **state)
{
	struct given *g = *state;

	give_image(g, 1, 9);
	g->table.images[0].image.ended = true;
	table_add_stack(&g->table, 1, 10, 3, 5);
	assert_int_equal(report_finish_ended(g->report, false), 0);
	assert_int_equal(folded(g, 1)->lost_bytes, 0);
	table_add_stack(&g->table, 1, 11, 1, 3);
	built(g, false);
	assert_int_equal(folded(g, 1)->final, 1);
	assert_int_equal(report_finish_ended(g->report, false), 0);
	assert_int_equal(folded(g, 1)->final, 2);
	assert_int_equal(folded(g, 1)->lost_bytes, 3 * g->page);
	table_add_stack(&g->table, 1, 12, 1, 1)->thread = true;
	check_all(g, built(g, true));
	assert_int_equal(folded(g, 1)->final, 3);
	assert_int_equal(folded(g, 1)->lost_bytes, 4 * g->page);
}

/* A sink that fails ends the report. */
static void test_error(void **state)
{
	struct given *g = *state;

	give_image(g, 1, 9);
	table_add_stack(&g->table, 1, 10, 1, 9);
	g->error = -ENOSPC;
	errno = 0;
	assert_null(report_build(g->report, true));
	assert_int_equal(errno, ENOSPC);
	g->table.stack_count = 0;
	assert_null(report_build(g->report, true));
	g->table.images[0].image.ended = true;
	assert_int_equal(report_finish_ended(g->report, true), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_final, setup, teardown),
		cmocka_unit_test_setup_teardown(test_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error, setup, teardown),
	};

	return cmocka_run_group_tests_name("stack_sink", tests, NULL, NULL);
}
