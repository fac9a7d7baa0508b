/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model_functions.c: what a function gets, what is in none, parts of recordings, sums of processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/model.h"
#include "model/programs.h"

#define PAGE 4096

static struct model_process *add_process(struct model *model, int pid)
{
	char *argv[] = {"python3", "x.py", NULL};
	struct model_process *p =
		model_add_process(model, pid, 0, "python3", argv, "/", "3.15.0", "functions");

	assert_non_null(p);
	p->functions_counted = true;
	p->rss_start_bytes = 100 * PAGE;
	p->rss_end_bytes = 160 * PAGE;
	return p;
}

static int setup(void **state)
{
	*state = model_new(PAGE);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	model_free(*state);
	return 0;
}

static void add(struct model *model, struct model_process *p, const char *name, uint64_t calls,
		int64_t total, int64_t self)
{
	const struct pymem_line counted = {.runs = calls,
					   .pages = 1000, /* recursions more than once: of no use */
					   .once_pages = total,
					   .row_pages = self,
					   .gc_pages = -1,
					   .collections = 1,
					   .usage_pages = 100 + calls,
					   .peak_pages = 150 + calls};

	assert_int_equal(
		model_add_calls(model, p, model_location(model, "x.py", name, 3, 3), &counted), 0);
}

static const struct model_function *find(const struct model_process *p, const char *name)
{
	for (size_t i = 0; i < p->function_count; i++)
		if (!strcmp(p->functions[i].location->function, name))
			return &p->functions[i];
	fail_msg("no function %s", name);
	return NULL;
}

/* Code objects of one function are one row; what is in no function is the rest of the change. */
static void test_sums(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model, 1);
	const struct model_function *f;

	add(model, p, "f", 2, 20, 5);
	add(model, p, "g", 1, -30, -30);
	add(model, p, "f", 3, 30, 6);
	add(model, p, "h", 9, 30, 0);
	add(model, p, "i", 8, 40, 0);
	add(model, p, "j", 10, 30, 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(p->function_count, 5);
	assert_int_equal(p->line_count, 0);
	f = find(p, "f");
	assert_int_equal(f->calls, 5);
	assert_int_equal(f->total_bytes, 50 * PAGE);
	assert_int_equal(f->self_bytes, 11 * PAGE);
	assert_int_equal(f->gc_bytes, -2 * PAGE);
	assert_int_equal(f->collections, 2);
	assert_int_equal(f->peak_bytes, 153 * PAGE);
	assert_int_equal(f->return_bytes, 103 * PAGE);
	assert_int_equal(model_outside_bytes(p), (60 - 11 + 30) * PAGE);
	/* By what they changed themselves, either way; then with their callees; then by calls. */
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(p->functions[i].location->function[0], "gfijh"[i]);
	/* A second time nothing is added. */
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(find(p, "f")->calls, 5);
}

/* Without the engine there are no functions, whatever comes. */
static void test_not_counted(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model, 1);

	p->functions_counted = false;
	add(model, p, "f", 2, 20, 5);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(p->function_count, 0);
	assert_int_equal(p->line_count, 0);
}

/* Of a part of a recording, what was as high before it is not known. What never returned has no RSS
 * at its return. */
static void test_unknown(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model, 1);
	const struct pymem_line running = {.row_pages = 3};

	add(model, p, "f", 1, 1, 1);
	add(model, p, "g", 1, 1, 1);
	assert_int_equal(
		model_add_calls_before(model, p, model_location(model, "x.py", "f", 3, 3), 152, 90),
		0);
	assert_int_equal(
		model_add_calls(model, p, model_location(model, "x.py", "h", 3, 3), &running), 0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(find(p, "f")->peak_bytes, -1);
	assert_int_equal(find(p, "f")->return_bytes, 101 * PAGE);
	assert_int_equal(find(p, "g")->peak_bytes, 151 * PAGE);
	assert_int_equal(find(p, "h")->return_bytes, -1);
	assert_int_equal(find(p, "h")->calls, 0);
	assert_int_equal(find(p, "h")->self_bytes, 3 * PAGE);
}

/* Processes of a program: each function once, and what is unknown of one may have been higher. */
static void test_program(void **state)
{
	struct model *model = *state;
	struct model_process *a = add_process(model, 1), *b = add_process(model, 2);
	struct model_programs programs;
	const struct model_process *sum;

	add(model, a, "f", 1, 5, 2);
	add(model, b, "f", 2, 6, 3);
	add(model, b, "g", 1, 1, 1);
	add(model, a, "h", 1, 1, 1);
	assert_int_equal(
		model_add_calls_before(model, b, model_location(model, "x.py", "f", 3, 3), 999, 0),
		0);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model_programs_gather(model, MODEL_SORT_INCREMENT, &programs), 0);
	assert_int_equal(programs.count, 1);
	sum = &programs.list[0]->sum;
	assert_int_equal(sum->function_count, 3);
	assert_int_equal(find(sum, "f")->calls, 3);
	assert_int_equal(find(sum, "f")->total_bytes, 11 * PAGE);
	assert_int_equal(find(sum, "f")->self_bytes, 5 * PAGE);
	assert_int_equal(find(sum, "f")->peak_bytes, -1);
	assert_int_equal(find(sum, "f")->return_bytes, 102 * PAGE);
	assert_int_equal(model_outside_bytes(sum), (120 - 7) * PAGE);
	model_programs_free(&programs);
}

static void nothing(const struct model_process *process, void *arg)
{
	(void)process;
	++*(int *)arg;
}

/* Functions of what has ended stay, with their names, when others are gathered; and they count in
 * the memory that is limited. */
static void test_ended(void **state)
{
	struct model *model = *state;
	struct model_process *p = add_process(model, 1), *other;
	char name[32];
	const struct model_ended_limits limits = {.bytes = 100 * 1000};
	int gone = 0;

	p->rss_end_bytes = 1000000ll * PAGE;
	add(model, p, "kept", 1, 5, 2);
	assert_int_equal(model_freeze(model), 0);
	other = add_process(model, 2);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		add(model, other, name, 1, 1, 1);
	}
	assert_int_equal(model_freeze(model), 0);
	assert_int_equal(model_gather_ended(model, &limits, nothing, &gone), 0);
	assert_int_equal(gone, 1);
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(model->process_count, 1);
	assert_string_equal(model->processes[0]->functions[0].location->function, "kept");
	assert_int_equal(model->processes[0]->functions[0].calls, 1);
	/* That of the other one is less than its functions need. Which it has not are outside. */
	assert_int_equal(model->folded_count, 1);
	assert_in_range(model->folded[0]->function_count, 1, 999);
	assert_int_equal(model_outside_bytes(model->folded[0]),
			 (60 - (int64_t)model->folded[0]->function_count) * PAGE);
}

/* The sum of a program's ended processes has the functions of all of them. */
static void test_folded(void **state)
{
	const struct model_ended_limits limits = {.bytes = 1 << 20, .processes = 1};
	struct model *model = *state;
	struct model_process *p;
	int gone = 0;

	for (int i = 0; i < 5; i++) {
		p = add_process(model, i + 1);
		add(model, p, "f", 1, 3, 2);
		add(model, p, i % 2 ? "odd" : "even", 2, 1, 1);
		assert_int_equal(model_freeze(model), 0);
		assert_int_equal(model_gather_ended(model, &limits, nothing, &gone), 0);
	}
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(gone, 4);
	assert_int_equal(model->folded_count, 1);
	p = model->folded[0];
	assert_true(p->functions_counted);
	assert_int_equal(p->function_count, 3);
	assert_int_equal(find(p, "f")->calls, 4);
	assert_int_equal(find(p, "f")->self_bytes, 8 * PAGE);
	assert_int_equal(find(p, "f")->return_bytes, 101 * PAGE);
	assert_int_equal(find(p, "odd")->calls + find(p, "even")->calls, 8);
	assert_int_equal(model_outside_bytes(p), (4 * 60 - 12) * PAGE);
	assert_int_equal(find(model->processes[0], "f")->calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
