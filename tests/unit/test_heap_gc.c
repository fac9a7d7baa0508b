/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* heap/gc.c: what a live collector says from outside against what the gc module says inside, on
 * each interpreter that tests know (tests/pythons.sh); and a collector that is made up, spoilt in
 * many ways. The latter lies in this program's memory and is read from a child of it. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "heap/gc.h"
#include "heap_live.h"
#include "python/py_heap_layouts.h"

/* Objects that a target may make or free while it says its count. */
#define COUNT_SLACK 100

static const struct snapshot_options take_options;

/* --- live --- */

/* What gc_target.py prints. */
struct truth {
	unsigned enabled, garbage, frozen, has_times;
	uint64_t stats[HEAP_GC_GENERATIONS][3];
	uint64_t candidates[HEAP_GC_GENERATIONS];
	double seconds[HEAP_GC_GENERATIONS];
	unsigned threshold[HEAP_GC_GENERATIONS], count[HEAP_GC_GENERATIONS];
};

static void parse(char *line, struct truth *truth)
{
	char *save = NULL;

#define NEXT() strtok_r(NULL, " \n", &save)
	truth->enabled = (unsigned)atoi(strtok_r(line, " \n", &save));
	truth->garbage = (unsigned)atoi(NEXT());
	truth->frozen = (unsigned)atoi(NEXT());
	truth->has_times = (unsigned)atoi(NEXT());
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++)
		for (unsigned j = 0; j < 3; j++)
			truth->stats[i][j] = strtoull(NEXT(), NULL, 10);
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		truth->candidates[i] = strtoull(NEXT(), NULL, 10);
		truth->seconds[i] = strtod(NEXT(), NULL);
	}
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++)
		truth->threshold[i] = (unsigned)atoi(NEXT());
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++)
		truth->count[i] = (unsigned)atoi(NEXT());
#undef NEXT
}

static void compare_times(const struct heap_gc *gc, const struct truth *truth)
{
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		const struct heap_gc_times *times = &gc->times[i];
		double off = times->seconds - truth->seconds[i];

		assert_int_equal(times->candidates, truth->candidates[i]);
		assert_true(off > -2e-9 && off < 2e-9);
		assert_true(times->last_seconds > 0);
		assert_true(times->longest_seconds >= times->last_seconds);
		assert_true(times->longest_seconds <= times->seconds * 1.000001);
		assert_true(times->remembered > 0);
		assert_true(times->remembered <= gc->generations[i].collections);
	}
}

static void compare(const struct heap_gc *gc, const struct truth *truth)
{
	assert_int_equal(gc->enabled, truth->enabled);
	assert_false(gc->collecting);
	assert_int_equal(gc->garbage, truth->garbage);
	assert_true(gc->frozen_known);
	assert_int_equal(gc->frozen, truth->frozen);
	assert_true(truth->frozen > 1000);
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		const struct heap_generation *generation = &gc->generations[i];

		assert_int_equal(generation->threshold, truth->threshold[i]);
		if (i)
			assert_int_equal(generation->count, truth->count[i]);
		else
			assert_in_range(generation->count + COUNT_SLACK, truth->count[i],
					truth->count[i] + 2 * COUNT_SLACK);
		assert_int_equal(generation->collections, truth->stats[i][0]);
		assert_int_equal(generation->collected, truth->stats[i][1]);
		assert_int_equal(generation->uncollectable, truth->stats[i][2]);
	}
	assert_int_equal(gc->has_times, truth->has_times);
	if (gc->has_times)
		compare_times(gc, truth);
}

/* The order of counts while the first or the second old space is the visited one: the word that
 * says which is another one here, whose value is known. */
static void compare_incremental(struct snapshot *snapshot, const struct py_process *process,
				struct py_heap_layout layout, const struct truth *truth)
{
	struct heap_gc gc;

	layout.flags |= PY_HEAP_GC_INCREMENTAL;
	layout.gc_visited_space = layout.gc_enabled;
	assert_int_equal(heap_gc_read(snapshot, process, &layout, &gc), 0);
	assert_int_equal(gc.generations[0].threshold, truth->threshold[0]);
	assert_int_equal(gc.generations[1].threshold, truth->threshold[1]);
	assert_int_equal(gc.generations[2].threshold, 0);
	assert_int_equal(gc.generations[1].count, truth->count[truth->enabled ? 2 : 1]);
	assert_int_equal(gc.generations[2].count, truth->count[truth->enabled ? 1 : 2]);
}

/* False: that interpreter is refused. */
static bool check(const char *command, const char *argument)
{
	struct py_image_cache *cache = py_image_cache_new();
	struct py_heap_layout layout;
	struct py_process process;
	struct snapshot *snapshot;
	char line[1024];
	struct truth truth;
	struct heap_gc gc;
	struct live live;
	int err;

	assert_non_null(cache);
	live_start(command, "gc_target.py", argument, &live, line, sizeof(line));
	assert_int_equal(py_process_identify(cache, live.pid, &process), 0);
	err = py_heap_layout_find(&process, &layout);
	print_message("  %s %s: %s", command, argument, err ? "refused\n" : line);
	if (!err) {
		assert_true(*line);
		parse(line, &truth);
		assert_int_equal(snapshot_take(live.pid, &take_options, &snapshot), 0);
		assert_int_equal(heap_gc_read(snapshot, &process, &layout, &gc), 0);
		compare(&gc, &truth);
		compare_incremental(snapshot, &process, layout, &truth);
		snapshot_free(snapshot);
	}
	live_stop(&live);
	py_image_cache_free(cache);
	return !err;
}

static bool check_both(const char *command, unsigned number)
{
	(void)number;
	return check(command, "") && check(command, "enable");
}

static void test_live(void **state)
{
	(void)state;
	assert_true(live_each_python(check_both) > 0);
}

/* --- made up --- */

#define FROZEN 5

/* As 3.12 has it, but for what lies between. */
struct generation {
	uint64_t next, prev;
	int threshold, count;
};

struct statistic {
	int64_t start, stop;
	uint64_t collections, collected, uncollectable, candidates;
	double seconds;
};

struct ring {
	struct statistic items[4];
	int8_t index;
};

/* A page of its own: what is written after the fork is not seen. */
static struct {
	struct {
		int enabled, collecting;
		struct generation generations[HEAP_GC_GENERATIONS], permanent;
		struct statistic stats[HEAP_GC_GENERATIONS];
		uint64_t rings, garbage;
	} gc;
	char rest[1024];
	uint64_t runtime, next_interpreter;
	uint64_t list[3];
	struct ring young, old[2];
	struct {
		uint64_t next, prev;
	} frozen[FROZEN];
} fake __attribute__((aligned(4096)));

#define AT(member)	 ((uint16_t)offsetof(__typeof__(fake.gc), member))
#define IN(type, member) ((uint16_t)offsetof(struct type, member))

static const struct py_heap_layout fake_layout = {
	.object_head = 16,
	.object_size = 16,
	.gc_head = 16,
	.runtime_interp_head = 0,
	.runtime_gc = PY_NONE,
	.interp_gc = 0,
	.gc_enabled = AT(enabled),
	.gc_collecting = AT(collecting),
	.gc_generations = AT(generations),
	.gc_generations_other = PY_NONE,
	.gc_permanent = AT(permanent),
	.gc_stats = AT(stats),
	.gc_garbage = AT(garbage),
	.gc_generation_size = sizeof(struct generation),
	.gc_generation_threshold = IN(generation, threshold),
	.gc_generation_count = IN(generation, count),
	.gc_stat_size = sizeof(struct statistic),
	.gc_stat_collections = IN(statistic, collections),
	.gc_stat_collected = IN(statistic, collected),
	.gc_stat_uncollectable = IN(statistic, uncollectable),
	.gc_stat_start = IN(statistic, start),
	.gc_stat_stop = IN(statistic, stop),
	.gc_stat_candidates = IN(statistic, candidates),
	.gc_stat_duration = IN(statistic, seconds),
	.gc_ring_young = 0,
	.gc_ring_young_items = 4,
	.gc_ring_young_index = IN(ring, index),
	.gc_ring_old = sizeof(struct ring),
	.gc_ring_old_items = 4,
	.gc_ring_old_index = IN(ring, index),
	.gc_ring_old_size = sizeof(struct ring),
};

static void close_list(struct generation *generation)
{
	generation->next = generation->prev = (uint64_t)generation;
}

static void make_up(void)
{
	uint64_t before = (uint64_t)&fake.gc.permanent;

	memset(&fake, 0, sizeof(fake));
	fake.runtime = (uint64_t)&fake.gc;
	fake.gc.enabled = 1;
	fake.gc.garbage = (uint64_t)fake.list;
	fake.list[2] = 7;
	for (int i = 0; i < HEAP_GC_GENERATIONS; i++) {
		close_list(&fake.gc.generations[i]);
		fake.gc.generations[i].threshold = 10 + i;
		fake.gc.generations[i].count = 20 + i;
		fake.gc.stats[i].collections = 30 + (uint64_t)i;
		fake.gc.stats[i].collected = 40 + (uint64_t)i;
		fake.gc.stats[i].uncollectable = 50 + (uint64_t)i;
	}
	close_list(&fake.gc.permanent);
	for (int i = 0; i < FROZEN; i++) {
		fake.frozen[i].prev = before;
		fake.frozen[i].next = (uint64_t)&fake.gc.permanent;
		*(uint64_t *)before = (uint64_t)&fake.frozen[i] | 1; /* flags are in the low bits */
		before = (uint64_t)&fake.frozen[i];
	}
	fake.gc.permanent.prev = before | 2;
}

/* What heap_gc_read() says of the structure as it is now. */
static int read_fake(const struct py_heap_layout *layout, struct heap_gc *gc)
{
	struct py_process process = {.runtime_addr = (uint64_t)&fake.runtime};
	struct snapshot *snapshot;
	pid_t pid = fork();
	int err;

	process.layout.interp_next = offsetof(__typeof__(fake), next_interpreter);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	err = snapshot_take(pid, &take_options, &snapshot);
	assert_int_equal(err, 0);
	err = heap_gc_read(snapshot, &process, layout, gc);
	snapshot_free(snapshot);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return err;
}

static void test_sound(void **state)
{
	struct heap_gc gc;

	(void)state;
	make_up();
	assert_int_equal(read_fake(&fake_layout, &gc), 0);
	assert_true(gc.enabled && !gc.collecting && !gc.has_times && gc.frozen_known);
	assert_int_equal(gc.frozen, FROZEN);
	assert_int_equal(gc.garbage, 7);
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		assert_int_equal(gc.generations[i].threshold, 10 + i);
		assert_int_equal(gc.generations[i].count, 20 + i);
		assert_int_equal(gc.generations[i].collections, 30 + i);
		assert_int_equal(gc.generations[i].collected, 40 + i);
		assert_int_equal(gc.generations[i].uncollectable, 50 + i);
	}
	fake.gc.collecting = 1;
	fake.gc.generations[1].count = -3;
	fake.list[2] = UINT64_MAX / 2;
	assert_int_equal(read_fake(&fake_layout, &gc), 0);
	assert_true(gc.collecting);
	assert_int_equal(gc.generations[1].count, 0);
	assert_int_equal(gc.garbage, 0);
}

/* One list of three is enough: the others may have changed while they were copied. */
static void test_no_generations(void **state)
{
	struct py_heap_layout layout = fake_layout;
	struct heap_gc gc;

	(void)state;
	make_up();
	layout.gc_generations_other = AT(generations) + 4;
	assert_int_equal(read_fake(&layout, &gc), 0);
	assert_int_equal(gc.generations[0].threshold, 10);
	layout.gc_generations_other = AT(generations);
	layout.gc_generations = AT(generations) + 4;
	assert_int_equal(read_fake(&layout, &gc), 0);
	assert_int_equal(gc.generations[0].threshold, 10);
	fake.gc.generations[0].next = 0x1000;
	fake.gc.generations[2].prev = UINT64_MAX;
	assert_int_equal(read_fake(&layout, &gc), 0);
	fake.gc.generations[1].prev = (uint64_t)&fake.rest;
	assert_int_equal(read_fake(&layout, &gc), -EINVAL);
}

static void test_no_interpreter(void **state)
{
	struct heap_gc gc;

	(void)state;
	make_up();
	fake.runtime = 0;
	assert_int_equal(read_fake(&fake_layout, &gc), -EFAULT);
	fake.runtime = 0x10;
	assert_int_equal(read_fake(&fake_layout, &gc), -EFAULT);
	fake.runtime = (uint64_t)&fake.gc;
	fake.next_interpreter = (uint64_t)&fake.gc; /* for ever */
	assert_int_equal(read_fake(&fake_layout, &gc), -EFAULT);
}

static void test_frozen_list(void **state)
{
	struct heap_gc gc;

	(void)state;
	make_up();
	fake.frozen[3].next = (uint64_t)&fake.frozen[1]; /* not back */
	assert_int_equal(read_fake(&fake_layout, &gc), 0);
	assert_false(gc.frozen_known);
	assert_int_equal(gc.frozen, 0);
	/* Two that lead to each other for ever. */
	fake.gc.permanent.next = (uint64_t)&fake.frozen[0];
	fake.frozen[0].next = (uint64_t)&fake.frozen[0];
	fake.frozen[0].prev = (uint64_t)&fake.frozen[0];
	assert_int_equal(read_fake(&fake_layout, &gc), 0);
	assert_false(gc.frozen_known);
	make_up();
	fake.frozen[2].next = 0;
	assert_int_equal(read_fake(&fake_layout, &gc), 0);
	assert_false(gc.frozen_known);
}

static void test_frozen_for_ever(void **state)
{
	struct heap_gc gc;

	(void)state;
	make_up();
	/* Each is linked both ways, and the head is not among them. */
	fake.gc.permanent.next = (uint64_t)&fake.frozen[0];
	fake.frozen[0].prev = (uint64_t)&fake.gc.permanent;
	fake.frozen[0].next = (uint64_t)&fake.frozen[1];
	fake.frozen[1].prev = (uint64_t)&fake.frozen[0];
	fake.frozen[1].next = (uint64_t)&fake.frozen[1];
	assert_int_equal(read_fake(&fake_layout, &gc), 0);
	assert_false(gc.frozen_known);
}

static void test_rings(void **state)
{
	struct py_heap_layout layout = fake_layout;
	struct heap_gc gc;

	(void)state;
	layout.flags = PY_HEAP_GC_RING;
	layout.gc_stats = AT(rings);
	make_up();
	fake.gc.rings = (uint64_t)&fake.young;
	fake.young.index = 1;
	fake.young.items[0] = (struct statistic){1000, 5001000, 4, 40, 1, 400, 0.25};
	fake.young.items[1] = (struct statistic){6000000, 7000000, 5, 50, 2, 500, 0.5};
	fake.young.items[2] = (struct statistic){9000000, 8000000, 6, 60, 3, 600, 0.75};
	assert_int_equal(read_fake(&layout, &gc), 0);
	assert_true(gc.has_times);
	assert_int_equal(gc.generations[0].collections, 5);
	assert_int_equal(gc.generations[0].collected, 50);
	assert_int_equal(gc.generations[0].uncollectable, 2);
	assert_int_equal(gc.times[0].candidates, 500);
	assert_int_equal(gc.times[0].remembered, 2);
	assert_true(gc.times[0].seconds == 0.5);
	assert_true(gc.times[0].last_seconds > 0.00099 && gc.times[0].last_seconds < 0.00101);
	assert_true(gc.times[0].longest_seconds > 0.0049 && gc.times[0].longest_seconds < 0.0051);
	assert_int_equal(gc.times[1].remembered, 0);
	fake.old[1].index = 4;
	assert_int_equal(read_fake(&layout, &gc), -EINVAL);
	fake.old[1].index = -1;
	assert_int_equal(read_fake(&layout, &gc), -EINVAL);
	fake.gc.rings = 0x10;
	assert_int_equal(read_fake(&layout, &gc), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_no_generations),
		cmocka_unit_test(test_no_interpreter),
		cmocka_unit_test(test_frozen_list),
		cmocka_unit_test(test_frozen_for_ever),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
