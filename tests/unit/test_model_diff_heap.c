/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What heaps kept in two profiles: sums over processes, what lists that were cut leave open, and
 * what can't be compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "diff_models.h"
#include "model/model_diff_heap.h"

static char *app[] = {"python3", "app.py", NULL};
static char *shard_1[] = {"python3", "worker.py", "1", NULL};
static char *shard_2[] = {"python3", "worker.py", "2", NULL};

struct kept_case {
	struct diff_case diff;
	struct heap_times heap[MODEL_DIFF_SIDES];
};

static void init(struct kept_case *c)
{
	*c = (struct kept_case){0};
	diff_case_init(&c->diff, NULL);
}

static struct heap_times_look *look(struct kept_case *c, int side,
				    const struct model_process *process, double after)
{
	struct heap_times_look *look = heap_times_add(&c->heap[side]);

	assert_non_null(look);
	look->process = process;
	look->time = c->diff.model[side]->start + after;
	return look;
}

static void hold(struct kept_case *c, int side, struct heap_times_look *look, const char *path,
		 int64_t entries, uint64_t bytes)
{
	assert_int_equal(heap_times_add_holder(&c->heap[side], look, path, "list", entries, bytes),
			 0);
}

static void count(struct kept_case *c, int side, struct heap_times_look *look, const char *type,
		  uint64_t objects, uint64_t bytes)
{
	assert_int_equal(heap_times_add_type(&c->heap[side], look, type, objects, bytes), 0);
}

/* Fills both lists with rows of 1 MiB and more, so that they are cut. */
static void fill_up(struct kept_case *c, int side, struct heap_times_look *look, const char *name)
{
	char text[32];

	for (int i = 0; i < HEAP_TIMES_ROWS; i++) {
		snprintf(text, sizeof(text), "%s%d", name, i);
		hold(c, side, look, text, i, (uint64_t)(1 + i) * MIB);
		count(c, side, look, text, (uint64_t)i, (uint64_t)(1 + i) * MIB);
	}
}

static const struct model_diff_heap *make(struct kept_case *c)
{
	diff_make(&c->diff);
	assert_int_equal(model_diff_take_heaps(c->diff.diff, &c->heap[0], &c->heap[1]), 0);
	return c->diff.diff->programs[0].heap;
}

static void fini(struct kept_case *c)
{
	diff_case_fini(&c->diff);
	heap_times_fini(&c->heap[0]);
	heap_times_fini(&c->heap[1]);
}

static const struct model_diff_kept *find(const struct model_diff_kept *rows, size_t rows_count,
					  const char *name)
{
	for (size_t i = 0; i < rows_count; i++)
		if (!strcmp(rows[i].path ? rows[i].path : rows[i].type, name))
			return &rows[i];
	fail_msg("%s is not there", name);
	return NULL;
}

#define HOLDER(heap, name) find((heap)->holders, (heap)->holder_count, name)
#define TYPE(heap, name)   find((heap)->types, (heap)->type_count, name)

/* Only the last look counts; the largest difference comes first, of either sign. */
static void test_last_look(void **state)
{
	struct kept_case c;
	const struct model_diff_heap *heap;
	struct model_process *p;
	struct heap_times_look *l;

	(void)state;
	init(&c);
	p = diff_process(&c.diff, 0, 1, app);
	l = look(&c, 0, p, 1);
	hold(&c, 0, l, "m.OLD", 1, 99 * MIB);
	l = look(&c, 0, p, 2);
	hold(&c, 0, l, "m.A", 10, 2 * MIB);
	hold(&c, 0, l, "m.B", -1, 30 * MIB);
	count(&c, 0, l, "str", 7, 5 * MIB);
	p = diff_process(&c.diff, 1, 9, app);
	l = look(&c, 1, p, 3.5);
	hold(&c, 1, l, "m.A", 50, 9 * MIB);
	hold(&c, 1, l, "m.B", -1, 10 * MIB);
	hold(&c, 1, l, "m.C", 4, 1 * MIB);
	count(&c, 1, l, "str", 9, 5 * MIB);
	heap = make(&c);
	assert_non_null(heap);
	assert_true(heap->has_holders && heap->has_types);
	assert_int_equal(heap->holder_count, 3);
	assert_string_equal(heap->holders[0].path, "m.B");
	assert_int_equal(heap->holders[0].sure_bytes, -20 * MIB);
	assert_int_equal(heap->holders[0].side[0].number, -1);
	assert_string_equal(heap->holders[1].path, "m.A");
	assert_string_equal(heap->holders[1].type, "list");
	assert_int_equal(heap->holders[1].sure_bytes, 7 * MIB);
	assert_int_equal(heap->holders[1].side[0].number, 10);
	assert_int_equal(heap->holders[1].side[1].number, 50);
	/* No list was cut: it is known not to be there. */
	assert_string_equal(heap->holders[2].path, "m.C");
	assert_int_equal(heap->holders[2].least_bytes, MIB);
	assert_int_equal(heap->holders[2].most_bytes, MIB);
	assert_int_equal(heap->holders[2].side[0].number, 0);
	assert_int_equal(heap->type_count, 1);
	assert_null(heap->types[0].path);
	assert_int_equal(heap->types[0].sure_bytes, 0);
	assert_int_equal(heap->types[0].side[1].number, 9);
	assert_true(heap->side[0].first == c.diff.model[0]->start + 2);
	assert_true(heap->side[1].last == c.diff.model[1]->start + 3.5);
	fini(&c);
}

/* Processes of a program are added up, also if one has the holder and the other has not. */
static void test_sums(void **state)
{
	struct kept_case c;
	const struct model_diff_heap *heap;
	const struct model_diff_kept *kept;
	struct model_process *p, *q;
	struct heap_times_look *l;

	(void)state;
	init(&c);
	p = diff_process(&c.diff, 0, 1, shard_1);
	q = diff_process(&c.diff, 0, 2, shard_2);
	l = look(&c, 0, p, 1);
	hold(&c, 0, l, "m.A", 10, 2 * MIB);
	hold(&c, 0, l, "m.A", 1, 3 * MIB); /* the same name twice in one look */
	l = look(&c, 0, q, 5);
	hold(&c, 0, l, "m.A", 100, 4 * MIB);
	p = diff_process(&c.diff, 1, 3, shard_1);
	q = diff_process(&c.diff, 1, 4, shard_2);
	diff_process(&c.diff, 1, 5, shard_2); /* was not looked at */
	hold(&c, 1, look(&c, 1, p, 1), "m.A", 1000, 20 * MIB);
	hold(&c, 1, look(&c, 1, q, 1), "m.Z", 1, MIB);
	heap = make(&c);
	kept = HOLDER(heap, "m.A");
	assert_int_equal(kept->side[0].least_bytes, 9 * MIB);
	assert_int_equal(kept->side[0].most_bytes, 9 * MIB);
	assert_int_equal(kept->side[0].number, 111);
	assert_int_equal(kept->side[0].looks, 2);
	assert_int_equal(kept->side[1].looks, 1);
	assert_int_equal(kept->sure_bytes, 11 * MIB);
	assert_int_equal(heap->side[0].looks, 2);
	assert_int_equal(heap->side[1].looks, 2);
	assert_int_equal(c.diff.diff->programs[0].side[1].processes, 3);
	assert_true(heap->side[0].last - heap->side[0].first == 4);
	fini(&c);
}

/* What is not among the rows of a list that was cut is never taken for 0. */
static void test_cut(void **state)
{
	struct kept_case c;
	const struct model_diff_heap *heap;
	const struct model_diff_kept *kept;
	struct heap_times_look *l;

	(void)state;
	init(&c);
	l = look(&c, 0, diff_process(&c.diff, 0, 1, app), 1);
	fill_up(&c, 0, l, "m.x");
	hold(&c, 0, l, "m.small", 5, MIB / 2); /* falls out */
	l = look(&c, 1, diff_process(&c.diff, 1, 2, app), 1);
	hold(&c, 1, l, "m.small", 5, MIB / 2);
	hold(&c, 1, l, "m.new", 5, 100 * MIB);
	hold(&c, 1, l, "m.x29", 5, 30 * MIB);
	count(&c, 1, l, "int", 5, 3 * MIB);
	heap = make(&c);
	kept = HOLDER(heap, "m.small");
	assert_int_equal(kept->side[0].looks, 0);
	assert_int_equal(kept->side[0].unsure, 1);
	assert_int_equal(kept->side[0].least_bytes, 0);
	assert_int_equal(kept->side[0].most_bytes, MIB);
	assert_int_equal(kept->side[0].number, -1);
	assert_int_equal(kept->least_bytes, -MIB / 2);
	assert_int_equal(kept->most_bytes, MIB / 2);
	assert_int_equal(kept->sure_bytes, 0);
	kept = &heap->holders[0];
	assert_string_equal(kept->path, "m.new");
	assert_int_equal(kept->sure_bytes, 99 * MIB);
	assert_int_equal(kept->most_bytes, 100 * MIB);
	kept = HOLDER(heap, "m.x29");
	assert_int_equal(kept->side[0].unsure, 0);
	assert_int_equal(kept->sure_bytes, 0);
	/* B's list was not cut. */
	kept = HOLDER(heap, "m.x20");
	assert_int_equal(kept->side[1].unsure, 0);
	assert_int_equal(kept->sure_bytes, -21 * MIB);
	kept = TYPE(heap, "int");
	assert_int_equal(kept->side[0].most_bytes, MIB);
	assert_int_equal(kept->sure_bytes, 2 * MIB);
	fini(&c);
}

/* Of two processes one has the holder, and the other may have it. */
static void test_half_cut(void **state)
{
	struct kept_case c;
	const struct model_diff_heap *heap;
	const struct model_diff_kept *kept;
	struct model_process *p, *q;
	struct heap_times_look *l;

	(void)state;
	init(&c);
	p = diff_process(&c.diff, 0, 1, shard_1);
	q = diff_process(&c.diff, 0, 2, shard_2);
	l = look(&c, 0, p, 1);
	fill_up(&c, 0, l, "m.x");
	hold(&c, 0, look(&c, 0, q, 1), "m.A", 8, 5 * MIB);
	p = diff_process(&c.diff, 1, 3, shard_1);
	hold(&c, 1, look(&c, 1, p, 1), "m.A", 8, 2 * MIB);
	heap = make(&c);
	kept = HOLDER(heap, "m.A");
	assert_int_equal(kept->side[0].looks, 1);
	assert_int_equal(kept->side[0].unsure, 1);
	assert_int_equal(kept->side[0].least_bytes, 5 * MIB);
	assert_int_equal(kept->side[0].most_bytes, 6 * MIB);
	assert_int_equal(kept->least_bytes, -4 * MIB);
	assert_int_equal(kept->most_bytes, -3 * MIB);
	assert_int_equal(kept->sure_bytes, -3 * MIB);
	fini(&c);
}

/* Looks without buffers and holders are not compared with others. */
static void test_types_only(void **state)
{
	for (int both = 0; both < 2; both++) {
		struct kept_case c;
		const struct model_diff_heap *heap;
		struct heap_times_look *l;

		(void)state;
		init(&c);
		l = look(&c, 0, diff_process(&c.diff, 0, 1, app), 1);
		l->types_only = both;
		count(&c, 0, l, "str", 1, MIB);
		l = look(&c, 1, diff_process(&c.diff, 1, 2, app), 1);
		l->types_only = true;
		count(&c, 1, l, "str", 1, 5 * MIB);
		heap = make(&c);
		assert_false(heap->has_holders);
		assert_int_equal(heap->has_types, both);
		assert_int_equal(heap->holder_count, 0);
		assert_int_equal(heap->type_count, both);
		assert_int_equal(heap->side[1].types_only, 1);
		fini(&c);
	}
}

/* A program that B alone has keeps all of it; one that A has not looked at can't be compared. */
static void test_one_side(void **state)
{
	struct kept_case c;
	const struct model_diff_program *program;
	struct model_process *p;

	(void)state;
	init(&c);
	p = diff_process(&c.diff, 0, 1, shard_1);
	hold(&c, 0, look(&c, 0, p, 1), "m.A", 8, 5 * MIB);
	diff_process(&c.diff, 0, 2, app);
	p = diff_process(&c.diff, 1, 3, app);
	hold(&c, 1, look(&c, 1, p, 1), "m.A", 8, 2 * MIB);
	make(&c);
	for (size_t i = 0; i < 2; i++) {
		program = &c.diff.diff->programs[i];
		assert_non_null(program->heap);
		if (program->side[1].processes) {
			assert_int_equal(program->heap->side[0].looks, 0);
			assert_false(program->heap->has_holders);
			assert_false(program->heap->has_types);
			continue;
		}
		assert_true(program->heap->has_holders);
		assert_int_equal(program->heap->holders[0].sure_bytes, -5 * MIB);
		assert_int_equal(program->heap->holders[0].side[1].most_bytes, 0);
	}
	fini(&c);
}

/* Without looks in one of the two there is nothing to compare. */
static void test_no_looks(void **state)
{
	struct kept_case c;
	struct model_process *p;

	(void)state;
	init(&c);
	diff_process(&c.diff, 0, 1, app);
	p = diff_process(&c.diff, 1, 3, app);
	hold(&c, 1, look(&c, 1, p, 1), "m.A", 8, 2 * MIB);
	assert_null(make(&c));
	fini(&c);
}

/* Figures that no machine has don't run over. */
static void test_large(void **state)
{
	struct kept_case c;
	const struct model_diff_heap *heap;
	const struct model_diff_kept *kept;
	struct heap_times_look *l;

	(void)state;
	init(&c);
	l = look(&c, 0, diff_process(&c.diff, 0, 1, app), 1);
	for (int i = 0; i < HEAP_TIMES_ROWS; i++)
		hold(&c, 0, l, "m.A", INT64_MAX, UINT64_MAX);
	hold(&c, 1, look(&c, 1, diff_process(&c.diff, 1, 2, app), 1), "m.B", 1, UINT64_MAX);
	heap = make(&c);
	kept = HOLDER(heap, "m.A");
	assert_true(kept->side[0].least_bytes > 0 && kept->side[0].number > 0);
	assert_true(kept->sure_bytes < 0);
	fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_look),  cmocka_unit_test(test_sums),
		cmocka_unit_test(test_cut),	   cmocka_unit_test(test_half_cut),
		cmocka_unit_test(test_types_only), cmocka_unit_test(test_one_side),
		cmocka_unit_test(test_no_looks),   cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
