/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model_ended.c, model_fold.c: ended processes that are no longer kept one by one. Nothing is
 * missing from sums, and what is kept is bounded, whatever has ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/group_sums.h"
#include "model/model_diff.h"
#include "model/model_private.h"
#include "model/programs.h"

#define PAGE 4096
#define MIB  (1024 * 1024)

struct given {
	struct model *model;
	struct model_ended_limits limits;
	uint64_t processes, numbers[64], folded_in[64];
	int64_t change, late;
	size_t gone;
};

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	g->model = model_new(PAGE);
	g->limits = (struct model_ended_limits){.bytes = 64 * MIB, .processes = 20};
	*state = g;
	return g->model ? 0 : -1;
}

static int teardown(void **state)
{
	struct given *g = *state;

	model_free(g->model);
	free(g);
	return 0;
}

static void on_gone(const struct model_process *process, void *arg)
{
	struct given *g = arg;

	/* All is still there. */
	assert_true(process->line_count > 0 && process->folded_in > 0);
	if (process->id < 64)
		g->folded_in[process->id] = process->folded_in;
	g->gone++;
}

static struct model_process *begin(struct given *g, const char *script)
{
	char *argv[] = {"python3", (char *)script, NULL};
	struct model_process *p = model_add_process(g->model, 100 + (int)g->processes, 1, "python3",
						    argv, "/a", "3.11.2", "walk");

	assert_non_null(p);
	p->id = (uint32_t)++g->processes;
	p->exited = true;
	p->rss_start_bytes = 50 * PAGE;
	p->rss_end_bytes = 50 * PAGE;
	p->rss_peak_bytes = 60 * PAGE;
	return p;
}

/* The process's own pages at the line. */
static void add(struct given *g, struct model_process *p, const char *file, int line, int pages)
{
	const struct model_location *frame = model_location(g->model, file, "f", line, 1);
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = pages},
					  .grown_pages = pages > 0 ? (uint64_t)pages : 0,
					  .freed_pages = pages < 0 ? (uint64_t)-pages : 0,
					  .minor_faults = 2,
					  .peak_pages = 60};

	assert_non_null(frame);
	assert_int_equal(model_add_stack(g->model, p, &frame, 1, false, &counters, NULL), 0);
	p->rss_end_bytes += pages * PAGE;
}

static void lose(struct model_process *p, enum pymem_loss loss, int pages)
{
	p->lost_bytes[loss] += pages * PAGE;
	p->rss_end_bytes += pages * PAGE;
}

static void finish(struct given *g, struct model_process *p)
{
	g->change += p->rss_end_bytes - p->rss_start_bytes;
	assert_int_equal(model_freeze(g->model), 0);
	assert_int_equal(model_gather_ended(g->model, &g->limits, on_gone, g), 0);
}

/* Sums hold: of each row, of the rows of ended ones, and of all that there ever was. */
static void check(struct given *g)
{
	struct model *model = g->model;
	struct model_gathered rest = model->unfolded;
	int64_t change = model->gathered.change_bytes;
	size_t i, j;

	assert_int_equal(model_compute(model), 0);
	for (i = 0; i < model_row_count(model); i++) {
		const struct model_process *p = model_row(model, i);
		int64_t lines = 0, own = p->rss_end_bytes - p->rss_start_bytes;

		for (j = 0; j < p->line_count; j++)
			lines += p->lines[j].increment_bytes;
		assert_int_equal(lines, p->charged_bytes);
		if (!p->folded) {
			change += own;
			continue;
		}
		assert_true(!p->pid && p->exited);
		rest.processes += p->folded;
		rest.change_bytes += own;
		rest.charged_bytes += p->charged_bytes;
		for (j = 0; j < PYMEM_LOSS_COUNT; j++)
			rest.lost_bytes[j] += p->lost_bytes[j];
	}
	assert_memory_equal(&rest, &model->gathered, sizeof(rest));
	assert_int_equal(model->process_count + model->gathered.processes, g->processes);
	assert_int_equal(change, g->change);
	assert_int_equal(g->gone, model->gathered.processes);
	assert_true(model->folded_count <= MODEL_FOLDED_MOST);
}

static const struct model_line *line_of(const struct model_process *p, const char *file, int line)
{
	for (size_t i = 0; i < p->line_count; i++)
		if (!strcmp(p->lines[i].location->file, file) && p->lines[i].location->line == line)
			return &p->lines[i];
	fail_msg("no line %s:%d", file, line);
	return NULL;
}

/* Of one program no more are kept than the limit says, those that changed most. */
static void test_one_by_one(void **state)
{
	struct given *g = *state;
	struct model *model = g->model;
	const struct model_line *line;
	int64_t kept = INT64_MAX;
	struct model_process *p;
	int i, pages = 0, all = 0;

	for (i = 0; i < 500; i++) {
		p = begin(g, "fork.py");
		pages = i * 37 % 500;
		add(g, p, "fork.py", 7, pages);
		add(g, p, i % 2 ? "odd.py" : "even.py", 1, 3);
		lose(p, PYMEM_LOSS_EXIT, -1);
		all += pages;
		finish(g, p);
		if (i % 50)
			continue;
		check(g);
		assert_true(model->process_count <= 20);
		model_clear(model);
	}
	check(g);
	assert_int_equal(model->folded_count, 1);
	assert_true(model->process_count <= 20 && model->process_count >= 15);
	p = model->folded[0];
	line = line_of(p, "fork.py", 7);
	assert_int_equal(line->minor_faults, 2 * p->folded);
	assert_int_equal(line->peak_bytes, 60 * PAGE);
	assert_int_equal(line->path_count, 0);
	assert_int_equal(p->rss_peak_bytes, 60 * PAGE);
	for (size_t j = 0; j < model->process_count; j++) {
		const struct model_line *own = line_of(model->processes[j], "fork.py", 7);

		all -= (int)(own->increment_bytes / PAGE);
		kept = kept < own->increment_bytes ? kept : own->increment_bytes;
	}
	assert_int_equal(line->increment_bytes, all * PAGE);
	assert_int_equal(line_of(p, "odd.py", 1)->increment_bytes +
				 line_of(p, "even.py", 1)->increment_bytes,
			 3 * PAGE * (int64_t)p->folded);
	/* Those of the last few have not been compared with others. */
	assert_true(kept >= 400 * PAGE || g->processes - g->gone == model->process_count);
}

/* Another program, place or version is another sum; numbers in arguments are not. */
static void test_programs(void **state)
{
	struct given *g = *state;
	struct model_programs programs;
	struct model_process *p;
	uint64_t stands_for = 0;
	char name[32];
	int i;

	g->limits.processes = 1;
	for (i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "job-%c.py", 'a' + i % 3);
		p = begin(g, name);
		add(g, p, name, 7, 1 + i % 3);
		finish(g, p);
	}
	check(g);
	assert_int_equal(g->model->folded_count, 3);
	/* The largest comes first. */
	assert_string_equal(g->model->folded[0]->cmdline[1], "job-c.py");
	assert_string_equal(g->model->folded[2]->cmdline[1], "job-a.py");
	assert_int_equal(model_programs_gather(g->model, MODEL_SORT_INCREMENT, &programs), 0);
	assert_int_equal(programs.count, 3);
	for (size_t j = 0; j < programs.count; j++) {
		const struct model_program *program = programs.list[j];

		stands_for += program->stands_for;
		assert_int_equal(program->stands_for, 20);
		assert_int_equal(program->sum.charged_bytes, 20 * (3 - (int)j) * PAGE);
		assert_int_equal(program->sum.line_count, 1);
		assert_int_equal(program->sum.lines[0].increment_bytes, program->sum.charged_bytes);
		assert_true(program->processes[program->count - 1]->folded > 0);
	}
	assert_int_equal(stands_for, 60);
	model_programs_free(&programs);
}

/* Of all programs together no more are kept than the limit says. */
static void test_all(void **state)
{
	struct given *g = *state;
	char name[32];

	g->limits.all = 50;
	for (int i = 0; i < 300; i++) {
		struct model_process *p;

		snprintf(name, sizeof(name), "job-%c%c.py", 'a' + i % 20, 'a' + i / 20 % 5);
		p = begin(g, name);
		add(g, p, "x.py", 7, 1 + i % 11);
		finish(g, p);
		if (i % 20)
			continue;
		check(g);
		assert_true(g->model->process_count <= 50);
		model_clear(g->model);
	}
	check(g);
	assert_in_range(g->model->process_count, 37, 50);
	assert_in_range(g->model->folded_count, 20, 100);
}

/* What comes late is lost by the program, or by the rest if that has no sum any more. */
static void test_late(void **state)
{
	struct given *g = *state;
	struct model_process *p;
	int i;

	g->limits.processes = 4;
	for (i = 0; i < 12; i++) {
		p = begin(g, i % 2 ? "a.py" : "b.py");
		add(g, p, "x.py", 7, 12 - i);
		finish(g, p);
	}
	check(g);
	for (uint32_t id = 1; id <= 12; id++) {
		if (!g->folded_in[id])
			continue;
		model_lose_gathered(g->model, g->folded_in[id], PYMEM_LOSS_UNDELIVERED, PAGE);
		g->late += PAGE;
	}
	assert_true(g->late > 0);
	check(g);
	assert_int_equal(g->model->gathered.lost_bytes[PYMEM_LOSS_UNDELIVERED], g->late);
	assert_int_equal(g->model->unfolded.lost_bytes[PYMEM_LOSS_UNDELIVERED], 0);
	model_lose_gathered(g->model, 12345, PYMEM_LOSS_UNDELIVERED, PAGE);
	assert_int_equal(g->model->unfolded.lost_bytes[PYMEM_LOSS_UNDELIVERED], PAGE);
	check(g);
}

static size_t killed(const struct model *model)
{
	size_t count = 0;

	for (size_t i = 0; i < model->process_count; i++)
		count += model->processes[i]->death != NULL;
	return count;
}

/* Who has said last words stays, however little it did. Of a pool that is killed again and again as
 * many stay as of others. */
static void test_last_words(void **state)
{
	const struct death death = {.signal = 9};
	struct given *g = *state;

	g->limits.processes = 5;
	for (int i = 0; i < 300; i++) {
		struct model_process *p = begin(g, "a.py");

		add(g, p, "x.py", 7, 300 - i);
		if (i % 30 == 29 || i >= 200)
			assert_int_equal(model_set_death(p, &death, 0), 0);
		finish(g, p);
		if (i != 119)
			continue;
		check(g);
		assert_int_equal(killed(g->model), 4);
		model_clear(g->model);
	}
	check(g);
	assert_in_range(killed(g->model), 4, 5);
	assert_true(g->model->process_count <= 10);
}

/* The sum has a note of its own, when who had it is gone; it counts a long command line. */
static void test_texts(void **state)
{
	struct given *g = *state;
	struct book *book = book_of(g->model);
	char *script = malloc(60001);

	memset(script, 'a', 60000);
	script[60000] = 0;
	g->limits.processes = 1;
	for (int i = 0; i < 10; i++) {
		struct model_process *p = begin(g, script);

		add(g, p, "x.py", 7, 10 + i);
		if (i % 3 == 1)
			p->note = strdup("it can't be examined");
		finish(g, p);
	}
	check(g);
	assert_int_equal(g->model->folded_count, 1);
	assert_string_equal(g->model->folded[0]->note, "it can't be examined");
	assert_in_range(book->folding_bytes, 60000, 70000);
	free(script);
}

/* Of too many lines the smallest are in one. */
static void test_lines(void **state)
{
	struct given *g = *state;
	const struct model_process *sum;
	size_t others = 0;
	char file[32];

	g->limits.processes = 1;
	g->model->trees_kept = true;
	for (int i = 0; i < 600; i++) {
		struct model_process *p = begin(g, "a.py");

		for (int line = 1; line <= 10; line++) {
			snprintf(file, sizeof(file), "file-%d.py", i);
			add(g, p, file, line, line == 3 && i == 300 ? 10000 : line % 7 - 3);
		}
		finish(g, p);
		if (i % 100)
			continue;
		/* Who reads it sorts the lines. */
		check(g);
		if (g->model->folded_count)
			model_sort_lines(g->model->folded[0], MODEL_SORT_PEAK);
		model_clear(g->model);
	}
	check(g);
	assert_int_equal(g->model->folded_count, 1);
	sum = g->model->folded[0];
	assert_in_range(sum->line_count, MODEL_FOLDED_LINES / 2, MODEL_FOLDED_LINES);
	for (size_t i = 0; i < sum->line_count; i++)
		others += sum->lines[i].others;
	assert_int_equal(others, 1);
	assert_int_equal(sum->node_count, sum->line_count + 1);
	for (size_t i = 1; i < sum->node_count; i++)
		assert_true(sum->nodes[i].truncated && !sum->nodes[i].parent);
}

/* Of too many programs the smallest have no sum. */
static void test_many_programs(void **state)
{
	struct given *g = *state;
	struct model_process *p;
	char name[32];

	g->limits.processes = 1;
	p = begin(g, "large.py");
	add(g, p, "large.py", 7, 1000);
	finish(g, p);
	p = begin(g, "large.py");
	add(g, p, "large.py", 7, 2000);
	finish(g, p);
	for (int i = 0; i < 2 * 1300; i++) {
		snprintf(name, sizeof(name), "x%d.py", i / 2);
		p = begin(g, name);
		add(g, p, name, 7, 1 + i % 5);
		finish(g, p);
	}
	check(g);
	assert_in_range(g->model->folded_count, MODEL_FOLDED_MOST / 2, MODEL_FOLDED_MOST);
	assert_true(g->model->unfolded.processes > 0);
	assert_string_equal(g->model->folded[0]->cmdline[1], "large.py");
}

/* A hundred thousand that have ended, of a few programs and of ever new files, need no more than
 * the limit, and nobody is missing. */
static void test_memory(void **state)
{
	struct given *g = *state;
	struct book *book = book_of(g->model);
	char file[64];

	g->limits = (struct model_ended_limits){.bytes = 2 * MIB, .processes = 200};
	g->model->trees_kept = true;
	for (int i = 0; i < 100000; i++) {
		struct model_process *p = begin(g, i % 3 ? "fork.py" : "other.py");

		add(g, p, "fork.py", 7, i % 50);
		snprintf(file, sizeof(file), "/tmp/%d.py", i % 20000);
		add(g, p, file, 1, 1);
		finish(g, p);
		assert_true(book->frozen_bytes + book->folding_bytes <= 2 * MIB);
		assert_true(book->folding_bytes <= MIB / 2);
		assert_true(book->location_count < 20000 && book->string_count < 20000);
		if (i % 20000)
			continue;
		check(g);
		model_clear(g->model);
	}
	check(g);
	assert_int_equal(g->model->folded_count, 2);
	assert_true(g->model->process_count <= 400);
}

/* Room for nothing: all is in the sum of all, and by group it is in the rest. */
static void test_no_room(void **state)
{
	struct given *g = *state;
	struct group_sums sums;
	int64_t lines = 0;

	g->limits = (struct model_ended_limits){.bytes = 1};
	for (int i = 0; i < 50; i++) {
		struct model_process *p = begin(g, "a.py");

		add(g, p, "a.py", 1 + i % 3, i);
		finish(g, p);
	}
	check(g);
	assert_int_equal(model_row_count(g->model), 0);
	assert_int_equal(g->model->unfolded.processes, 50);
	assert_int_equal(group_sums_make(g->model, MODEL_BY_PROGRAM, 10, 10, &sums), 0);
	assert_int_equal(sums.count, 1);
	assert_true(sums.list[0].rest);
	for (size_t i = 0; i < sums.list[0].line_count; i++)
		lines += sums.list[0].lines[i].change_bytes;
	assert_int_equal(lines + sums.list[0].other_lines_bytes, g->change);
	group_sums_free(&sums);
}

/* By program, sums are rows with their lines; by process they are in the rest. */
static void test_groups(void **state)
{
	struct given *g = *state;
	struct group_sums sums;
	int64_t change = 0;

	for (int i = 0; i < 100; i++) {
		struct model_process *p = begin(g, i % 2 ? "a.py" : "b.py");

		add(g, p, "a.py", 1 + i % 3, 1 + i);
		finish(g, p);
	}
	check(g);
	assert_int_equal(group_sums_make(g->model, MODEL_BY_PROGRAM, 10, 10, &sums), 0);
	assert_int_equal(sums.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_false(sums.list[i].rest);
		assert_int_equal(sums.list[i].line_count, 3);
		assert_int_equal(sums.list[i].processes, 0);
		change += sums.list[i].change_bytes;
	}
	assert_int_equal(change, g->change);
	group_sums_free(&sums);
	assert_int_equal(group_sums_make(g->model, MODEL_BY_PROCESS, 1000, 10, &sums), 0);
	assert_int_equal(sums.count, g->model->process_count + 1);
	assert_true(sums.list[sums.count - 1].rest);
	change = 0;
	for (size_t i = 0; i < sums.count; i++)
		change += sums.list[i].change_bytes;
	assert_int_equal(change, g->change);
	group_sums_free(&sums);
}

/* Two models of which one kept all and one kept few do not differ. */
static void test_diff(void **state)
{
	struct given *g = *state, other = {.model = model_new(PAGE), .limits.bytes = 64 * MIB};
	struct model_diff *diff;

	for (int i = 0; i < 100; i++) {
		struct model_process *p = begin(g, "a.py"), *q = begin(&other, "a.py");

		add(g, p, "a.py", 1 + i % 3, 1 + i);
		add(&other, q, "a.py", 1 + i % 3, 1 + i);
		lose(p, PYMEM_LOSS_EXIT, -1 - i);
		lose(q, PYMEM_LOSS_EXIT, -1 - i);
		finish(g, p);
		finish(&other, q);
	}
	check(g);
	check(&other);
	assert_int_equal(other.model->folded_count, 0);
	assert_int_equal(g->model->folded_count, 1);
	diff = model_diff_new(g->model, other.model, NULL);
	assert_non_null(diff);
	assert_int_equal(diff->program_count, 1);
	assert_int_equal(diff->programs->side[0].processes, 100);
	assert_int_equal(diff->programs->side[1].processes, 100);
	assert_int_equal(diff->programs->side[0].exited, 100);
	assert_int_equal(diff->programs->side[0].growth_bytes,
			 diff->programs->side[1].growth_bytes);
	assert_int_equal(diff->side[0].growth_bytes, diff->side[1].growth_bytes);
	assert_int_equal(diff->programs->line_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(diff->programs->lines[i].side[0].increment_bytes,
				 diff->programs->lines[i].side[1].increment_bytes);
	model_diff_free(diff);
	model_free(other.model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_by_one),	  TEST(test_programs), TEST(test_late),
		TEST(test_last_words),	  TEST(test_texts),    TEST(test_lines),
		TEST(test_many_programs), TEST(test_memory),   TEST(test_no_room),
		TEST(test_groups),	  TEST(test_diff),     TEST(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
