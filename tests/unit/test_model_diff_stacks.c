/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stacks of two profiles as one tree: which frames belong together, and that all adds up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "diff_models.h"

#define APP "/srv/app/app.py"
#define LIB "/srv/lib/helper.py"

static char *app[] = {"/usr/bin/python3", "/srv/app/app.py", NULL};
static char *shard_1[] = {"python3", "/srv/app/app.py", "1", NULL};
static char *shard_2[] = {"python3", "/srv/app/app.py", "2", NULL};

struct at { /* a frame; outermost first, the list ends with NULL */
	const char *file, *function;
	int line, first_line;
};

/* Adds a stack that grew by `pages`. */
static void add_stack(struct diff_case *c, int side, struct model_process *p, const struct at *at,
		      bool truncated, int64_t pages)
{
	const struct model_location *frames[16];
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = pages},
					  .grown_pages = pages > 0 ? (uint64_t)pages : 0,
					  .freed_pages = pages < 0 ? (uint64_t)-pages : 0,
					  .cow_faults = 1,
					  .minor_faults = 3};
	unsigned depth = 0, i;

	while (at[depth].file)
		depth++;
	for (i = 0; i < depth; i++) {
		frames[depth - 1 - i] = model_location(c->model[side], at[i].file, at[i].function,
						       at[i].line, at[i].first_line);
		assert_non_null(frames[depth - 1 - i]);
	}
	assert_int_equal(
		model_add_stack(c->model[side], p, frames, depth, truncated, &counters, NULL), 0);
	p->rss_end_bytes += pages * PAGE;
}

static void init(struct diff_case *c, const struct diff_file *files)
{
	diff_case_init(c, files);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		c->model[side]->trees_kept = true;
}

/* Of each side, the nodes have what the lines have. */
static void check_sums(const struct model_diff *diff)
{
	for (size_t i = 0; i < diff->program_count; i++)
		for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
			const struct model_diff_program *p = &diff->programs[i];
			struct model_diff_figures sum = {0}, wanted = {0};

			for (size_t j = 1; j < p->node_count; j++) {
				const struct model_diff_figures *f =
					&p->amounts[p->nodes[j].amounts].side[side];

				if (!p->nodes[j].amounts)
					continue;
				sum.increment_bytes += f->increment_bytes;
				sum.grown_bytes += f->grown_bytes;
				sum.freed_bytes += f->freed_bytes;
				sum.copied_bytes += f->copied_bytes;
				sum.faults += f->faults;
			}
			for (size_t j = 0; j < p->line_count; j++) {
				const struct model_diff_figures *f = &p->lines[j].side[side];

				wanted.increment_bytes += f->increment_bytes;
				wanted.grown_bytes += f->grown_bytes;
				wanted.freed_bytes += f->freed_bytes;
				wanted.copied_bytes += f->copied_bytes;
				wanted.faults += f->faults;
			}
			assert_memory_equal(&sum, &wanted, sizeof(sum));
			assert_int_equal(sum.increment_bytes, p->side[side].charged_bytes);
		}
}

/* The node with these line numbers in A and B below `parent`; -1, -1: callers that are missing. */
static uint32_t below(const struct model_diff_program *p, uint32_t parent, int a, int b)
{
	uint32_t found = 0, node;

	for (node = p->nodes[parent].first; node; node = p->nodes[node].next) {
		const struct model_diff_frame *frame = &p->frames[p->nodes[node].frame];

		assert_int_equal(p->nodes[node].parent, parent);
		if (p->nodes[node].frame == MODEL_DIFF_CUT
			    ? a != -1
			    : (frame->at[0] ? frame->at[0]->line : 0) != a ||
				      (frame->at[1] ? frame->at[1]->line : 0) != b)
			continue;
		assert_int_equal(found, 0);
		found = node;
	}
	if (!found)
		fail_msg("no node %d, %d", a, b);
	return found;
}

static void expect(const struct model_diff_program *p, uint32_t node, int64_t a, int64_t b)
{
	const struct model_diff_amounts *amounts = &p->amounts[p->nodes[node].amounts];

	assert_true(p->nodes[node].amounts > 0);
	assert_int_equal(amounts->side[0].increment_bytes, a * PAGE);
	assert_int_equal(amounts->side[1].increment_bytes, b * PAGE);
}

static const struct diff_file moved[] = {
	{0, APP, "def f():\n    g()\n    h()\ndef g():\n    x.append(1)\nf()\n"},
	{1, APP,
	 "import os\ndef f():\n    g()\n    new()\n    h()\ndef g():\n    x.append(1)\n\nf()\n"},
	{0, NULL, NULL},
};

/* Whoever moved lines has the same stacks: callers count as lines do, though they have no figures
 * of their own. A caller that is new makes another stack of the same innermost line. */
static void test_moved(void **state)
{
	static const struct at a[] = {
		{APP, "<module>", 6, 1}, {APP, "f", 2, 1}, {APP, "g", 5, 4}, {0}};
	static const struct at b[] = {
		{APP, "<module>", 9, 1}, {APP, "f", 3, 2}, {APP, "g", 7, 6}, {0}};
	static const struct at fresh[] = {
		{APP, "<module>", 9, 1}, {APP, "f", 4, 2}, {APP, "g", 7, 6}, {0}};
	const struct model_diff_program *p;
	struct diff_case c;
	uint32_t module;

	(void)state;
	init(&c, moved);
	add_stack(&c, 0, diff_process(&c, 0, 10, app), a, false, 10);
	struct model_process *q = diff_process(&c, 1, 4711, app);
	add_stack(&c, 1, q, b, false, 100);
	add_stack(&c, 1, q, fresh, false, 7);
	p = diff_make(&c)->programs;
	module = below(p, 0, 6, 9);
	expect(p, below(p, below(p, module, 2, 3), 5, 7), 10, 100);
	expect(p, below(p, below(p, module, 0, 4), 5, 7), 0, 7);
	assert_int_equal(p->nodes[p->nodes[0].first].next, 0);
	/* The table has one row for the innermost line, and none for its callers. */
	assert_int_equal(p->line_count, 1);
	assert_int_equal(p->frame_count, 4);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* What is in one side only is there, with zeros for the other one; text that was changed is
 * another frame, and what it called is below that one. */
static void test_only(void **state)
{
	static const struct diff_file files[] = {{0, APP, "run(1)\n"},
						 {1, APP, "run(2)\n"},
						 {0, LIB, "work()\n"},
						 {1, LIB, "work()\n"},
						 {0, NULL, NULL}};
	static const struct at stack[] = {{APP, "<module>", 1, 1}, {LIB, "run", 1, 1}, {0}};
	const struct model_diff_program *p;
	struct diff_case c;

	(void)state;
	init(&c, files);
	add_stack(&c, 0, diff_process(&c, 0, 1, app), stack, false, 5);
	add_stack(&c, 1, diff_process(&c, 1, 2, app), stack, false, 6);
	p = diff_make(&c)->programs;
	expect(p, below(p, below(p, 0, 1, 0), 1, 1), 5, 0);
	expect(p, below(p, below(p, 0, 0, 1), 1, 1), 0, 6);
	assert_int_equal(p->line_count, 1);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* For want of a text the number decides, also of a caller. */
static void test_numbers(void **state)
{
	static const struct diff_file files[] = {{0, APP, "a()\nb()\n"}, {0, NULL, NULL}};
	static const struct at one[] = {{APP, "<module>", 1, 1}, {"<string>", "f", 1, 1}, {0}};
	static const struct at other[] = {{APP, "<module>", 2, 1}, {"<string>", "f", 1, 1}, {0}};
	const struct model_diff_program *p;
	struct diff_case c;

	(void)state;
	init(&c, files);
	struct model_process *a = diff_process(&c, 0, 1, app), *b = diff_process(&c, 1, 2, app);
	add_stack(&c, 0, a, one, false, 1);
	add_stack(&c, 0, a, other, false, 2);
	add_stack(&c, 1, b, one, false, 30);
	add_stack(&c, 1, b, other, false, 40);
	p = diff_make(&c)->programs;
	expect(p, below(p, below(p, 0, 1, 1), 1, 1), 1, 30);
	expect(p, below(p, below(p, 0, 2, 2), 1, 1), 2, 40);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* Stacks whose outermost callers are missing are apart, and matched with one another. */
static void test_truncated(void **state)
{
	static const struct at a[] = {{APP, "f", 2, 1}, {APP, "g", 5, 4}, {0}};
	static const struct at b[] = {{APP, "f", 3, 2}, {APP, "g", 7, 6}, {0}};
	const struct model_diff_program *p;
	struct diff_case c;

	(void)state;
	init(&c, moved);
	add_stack(&c, 0, diff_process(&c, 0, 1, app), a, true, 3);
	struct model_process *q = diff_process(&c, 1, 2, app);
	add_stack(&c, 1, q, b, true, 4);
	p = diff_make(&c)->programs;
	expect(p, below(p, below(p, below(p, 0, -1, -1), 2, 3), 5, 7), 3, 4);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* Processes of a program are one tree. */
static void test_processes(void **state)
{
	static const struct at a[] = {{APP, "f", 2, 1}, {APP, "g", 5, 4}, {0}};
	static const struct at b[] = {{APP, "f", 3, 2}, {APP, "g", 7, 6}, {0}};
	const struct model_diff_program *p;
	struct diff_case c;

	(void)state;
	init(&c, moved);
	add_stack(&c, 0, diff_process(&c, 0, 1, shard_1), a, false, 3);
	add_stack(&c, 0, diff_process(&c, 0, 2, shard_2), a, false, 8);
	add_stack(&c, 1, diff_process(&c, 1, 3, shard_1), b, false, -2);
	p = diff_make(&c)->programs;
	assert_int_equal(c.diff->program_count, 1);
	expect(p, below(p, below(p, 0, 2, 3), 5, 7), 11, -2);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* A line that calls itself is a frame each time. Without trees nothing is merged. */
static void test_recursion(void **state)
{
	static const struct at deep[] = {{APP, "f", 2, 1}, {APP, "f", 2, 1}, {APP, "f", 2, 1}, {0}};
	static const struct at flat[] = {{APP, "f", 2, 1}, {0}};
	const struct model_diff_program *p;
	struct diff_case c;

	(void)state;
	for (int kept = 0; kept < 2; kept++) {
		init(&c, NULL);
		c.model[1]->trees_kept = kept;
		add_stack(&c, 0, diff_process(&c, 0, 1, app), deep, false, 3);
		add_stack(&c, 1, diff_process(&c, 1, 2, app), flat, false, 9);
		p = diff_make(&c)->programs;
		if (kept) {
			uint32_t first = below(p, 0, 2, 2);

			expect(p, first, 0, 9);
			expect(p, below(p, below(p, first, 2, 2), 2, 2), 3, 0);
			check_sums(c.diff);
		} else {
			assert_null(p->nodes);
			assert_int_equal(p->node_count, 0);
		}
		diff_case_fini(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved),	  cmocka_unit_test(test_only),
		cmocka_unit_test(test_numbers),	  cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_processes), cmocka_unit_test(test_recursion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
