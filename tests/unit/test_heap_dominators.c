/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* dominators.c and ancestry.h against what the definitions say, on random graphs; and shapes that
 * are deep, or made to be slow.
 *
 * The reference: d dominates v if v can't be reached from the root once d is taken away. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "heap/ancestry.h"
#include "heap/dominators.h"

#define NODES_MAX 48
#define EDGES_MAX (NODES_MAX * 6)

static uint32_t dice(uint32_t below)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

struct sample {
	struct dominator_graph graph;
	uint32_t first[NODES_MAX + 1], targets[EDGES_MAX];
};

/* Edges that lead anywhere, or (`forward`) mostly on: few circles. */
static void make_random(struct sample *s, uint32_t nodes, uint32_t edges_of_node, bool forward)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < nodes; i++) {
		uint32_t edges = dice(edges_of_node + 1);

		s->first[i] = count;
		for (uint32_t e = 0; e < edges; e++) {
			uint32_t target = dice(nodes);

			if (forward && dice(8) && i + 1 < nodes)
				target = i + 1 + dice(nodes - i - 1);
			s->targets[count++] = target;
		}
	}
	s->first[nodes] = count;
	s->graph = (struct dominator_graph){nodes, s->first, s->targets};
}

/* Which nodes the root reaches without `without`. */
static void reach(const struct dominator_graph *g, uint32_t without, bool *reached)
{
	uint32_t queue[NODES_MAX], head = 0, tail = 0;

	memset(reached, 0, g->count * sizeof(*reached));
	if (without == 0)
		return;
	reached[0] = true;
	queue[tail++] = 0;
	while (head < tail) {
		uint32_t node = queue[head++];

		for (uint32_t e = g->first[node]; e < g->first[node + 1]; e++) {
			uint32_t target = g->targets[e];

			if (target == without || reached[target])
				continue;
			reached[target] = true;
			queue[tail++] = target;
		}
	}
}

/* The immediate dominator is the one that all other dominators of v dominate: the one with most. */
static void check(const struct dominator_graph *g)
{
	static bool dominates[NODES_MAX][NODES_MAX];
	bool all[NODES_MAX], without[NODES_MAX];
	uint32_t found[NODES_MAX], order[NODES_MAX], reached, depth[NODES_MAX] = {0};
	uint32_t place[NODES_MAX], count = 0;

	reach(g, DOMINATOR_NONE, all);
	for (uint32_t d = 0; d < g->count; d++) {
		reach(g, d, without);
		for (uint32_t v = 0; v < g->count; v++) {
			dominates[d][v] = all[v] && all[d] && d != v && !without[v];
			depth[v] += dominates[d][v];
		}
	}
	assert_int_equal(dominators_find(g, found, order, &reached), 0);
	for (uint32_t v = 0; v < g->count; v++)
		count += all[v];
	assert_int_equal(reached, count);
	for (uint32_t i = 0; i < reached; i++)
		place[order[i]] = i;
	assert_int_equal(found[0], 0);
	for (uint32_t v = 1; v < g->count; v++) {
		if (!all[v]) {
			assert_int_equal(found[v], DOMINATOR_NONE);
			continue;
		}
		assert_true(dominates[found[v]][v]);
		assert_int_equal(depth[found[v]], depth[v] - 1);
		assert_true(place[found[v]] < place[v]);
	}
}

static void test_random(void **state)
{
	static struct sample sample;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		make_random(&sample, 1 + dice(NODES_MAX), 1 + dice(5), i % 2);
		check(&sample.graph);
	}
}

static void test_small(void **state)
{
	const uint32_t none[] = {0, 0}, loop[] = {0, 2}, to_itself[] = {0, 0};
	struct dominator_graph graph = {0, none, none};
	uint32_t found[1], order[1], reached = 7;

	(void)state;
	assert_int_equal(dominators_find(&graph, found, order, &reached), 0);
	assert_int_equal(reached, 0);
	graph.count = 1;
	check(&graph);
	graph.first = loop;
	graph.targets = to_itself;
	check(&graph);
}

/* Known: a diamond, whose end is dominated by its beginning; two roots of a circle. */
static void test_known(void **state)
{
	/* 0 -> 1, 5; 1 -> 2, 3; 2 -> 4; 3 -> 4; 4 -> 6; 5 -> 6; 6 -> 7; 7 -> 6 */
	const uint32_t first[] = {0, 2, 4, 5, 6, 7, 8, 9, 10};
	const uint32_t targets[] = {1, 5, 2, 3, 4, 4, 6, 6, 7, 6};
	const uint32_t expected[] = {0, 0, 1, 1, 1, 0, 0, 6};
	struct dominator_graph graph = {8, first, targets};
	uint32_t found[8], order[8], reached;

	(void)state;
	assert_int_equal(dominators_find(&graph, found, order, &reached), 0);
	assert_memory_equal(found, expected, sizeof(expected));
	assert_int_equal(reached, 8);
}

/* A chain of a million, each with an edge back to the one before. */
static void test_deep(void **state)
{
	const uint32_t count = 1000000;
	uint32_t *first = calloc(count + 1, sizeof(*first));
	uint32_t *targets = calloc(2 * count, sizeof(*targets));
	uint32_t *found = calloc(count, sizeof(*found)), *order = calloc(count, sizeof(*order));
	uint32_t reached, edges = 0;
	struct dominator_graph graph = {count, first, targets};

	(void)state;
	for (uint32_t i = 0; i < count; i++) {
		first[i] = edges;
		if (i + 1 < count)
			targets[edges++] = i + 1;
		if (i)
			targets[edges++] = i - 1;
	}
	first[count] = edges;
	assert_int_equal(dominators_find(&graph, found, order, &reached), 0);
	assert_int_equal(reached, count);
	for (uint32_t i = 1; i < count; i++)
		assert_int_equal(found[i], i - 1);
	free(first);
	free(targets);
	free(found);
	free(order);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + 1e-9 * now.tv_nsec;
}

/* A long chain, from which `count` nodes hang, each reached from the end of the chain and from the
 * root: the climb from the end to the root is as long as the chain, each time. Two sizes: time must
 * not go with the square. */
static double climb(uint32_t count)
{
	uint32_t nodes = 2 * count, edges = 0, reached;
	uint32_t *first = calloc(nodes + 1, sizeof(*first));
	uint32_t *targets = calloc(4 * count, sizeof(*targets));
	uint32_t *found = calloc(nodes, sizeof(*found)), *order = calloc(nodes, sizeof(*order));
	struct dominator_graph graph = {nodes, first, targets};
	double begin;

	for (uint32_t i = 0; i < nodes; i++) {
		first[i] = edges;
		if (i + 1 < count) {
			targets[edges++] = i + 1;
		} else if (i + 1 == count) {
			for (uint32_t v = count; v < nodes; v++)
				targets[edges++] = v;
		}
		if (!i) {
			for (uint32_t v = count; v < nodes; v++)
				targets[edges++] = v;
		}
	}
	first[nodes] = edges;
	begin = seconds();
	assert_int_equal(dominators_find(&graph, found, order, &reached), 0);
	begin = seconds() - begin;
	for (uint32_t v = count; v < nodes; v++)
		assert_int_equal(found[v], 0);
	free(first);
	free(targets);
	free(found);
	free(order);
	return begin;
}

static void test_climbs_are_short(void **state)
{
	double small = climb(4000), large;

	(void)state;
	large = climb(64000);
	/* 16 times as large: 256 times as long if it were quadratic. */
	assert_true(large < 100 * (small + 0.001));
}

/* ancestry.h against parents followed one by one. */
static void test_ancestry(void **state)
{
	enum { COUNT = 3000 };
	static uint32_t parent[COUNT], jump[COUNT], depth[COUNT];
	struct ancestry tree = {parent, jump, depth};

	(void)state;
	for (int shape = 0; shape < 3; shape++) {
		ancestry_add_root(&tree, 0);
		for (uint32_t i = 1; i < COUNT; i++)
			ancestry_add(&tree, i,
				     shape == 0	  ? i - 1
				     : shape == 1 ? dice(i)
						  : i - 1 - dice(i < 4 ? i : 4));
		for (int i = 0; i < 20000; i++) {
			uint32_t a = dice(COUNT), b = dice(COUNT), x = a, y = b;

			while (x != y) {
				if (depth[x] >= depth[y])
					x = parent[x];
				else
					y = parent[y];
			}
			assert_int_equal(ancestry_common(&tree, a, b), x);
			assert_int_equal(ancestry_at(&tree, a, depth[x]), x);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_climbs_are_short),
		cmocka_unit_test(test_ancestry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
