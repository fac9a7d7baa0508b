/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* heap/births.c on live programs that leak on a known line, beside many objects that are freed at
 * once: the line comes first for the container that grows, on each interpreter that tests know; no
 * row is of a line that puts nothing there. Needs root, and a kernel whose BPF is of use; debug
 * registers only where they work. */
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

#include "heap/births.h"
#include "heap_live.h"
#include "kernel/birth_probes.h"
#include "python/py_heap_layouts.h"

#define HOLDERS	  20
#define COLLECT_S 4
#define PROGRAM	  "births_target.py"

/* A copy of what runs on may have a list's items from before, and its size from after it grew. */
static const struct snapshot_options take_options = {.pause = true};

struct leaking {
	struct live live;
	int leak, other_leak; /* lines */
};

static void start(const char *command, const char *argument, struct leaking *leaking)
{
	char line[64];

	live_start(command, PROGRAM, argument, &leaking->live, line, sizeof(line));
	assert_int_equal(sscanf(line, "%d %d", &leaking->leak, &leaking->other_leak), 2);
}

/* --- censuses --- */

struct census {
	struct snapshot *snapshot;
	struct heap_types *types;
	struct heap_blocks *blocks;
	struct heap_graph *graph;
	struct holder *holders;
	size_t count;
};

static void take_census(pid_t pid, const struct py_process *process,
			const struct py_heap_layout *layout, struct births *births,
			struct census *census)
{
	int err = -EBUSY;

	/* A burst may have it stopped just now. */
	for (int i = 0; i < 100 && err == -EBUSY; i++) {
		err = snapshot_take(pid, &take_options, &census->snapshot);
		usleep(err == -EBUSY ? 20000 : 0);
	}
	assert_int_equal(err, 0);
	if (births)
		assert_int_equal(heap_births_finish(births), 0);
	census->types = heap_types_new(census->snapshot, layout, &process->layout);
	assert_non_null(census->types);
	assert_int_equal(heap_blocks_find(census->snapshot, layout, census->types, &census->blocks),
			 0);
	assert_int_equal(heap_graph_build(census->snapshot, layout, &process->layout,
					  process->runtime_addr, census->types, census->blocks,
					  &census->graph),
			 0);
	assert_int_equal(
		heap_holders_find(census->graph, HOLDERS, &census->holders, &census->count), 0);
}

static void free_census(struct census *census)
{
	heap_holders_free(census->holders, census->count);
	heap_graph_free(census->graph);
	heap_blocks_free(census->blocks);
	heap_types_free(census->types);
	snapshot_free(census->snapshot);
}

/* --- rows --- */

/* All that a container holds was made by one line, called by the right ones. */
static uint64_t check_holder(const struct heap_birth_row *rows, size_t count, const char *path,
			     int line, const char *function, const char *caller)
{
	uint64_t insertions = 0;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].holder, path))
			continue;
		print_message("    %s <- %s:%d %s (%s, %s): %llu\n", path, rows[i].file,
			      rows[i].line, rows[i].function, rows[i].type, rows[i].method,
			      (unsigned long long)rows[i].insertions);
		assert_non_null(strstr(rows[i].file, PROGRAM));
		assert_int_equal(rows[i].line, line);
		assert_string_equal(rows[i].function, function);
		assert_non_null(rows[i].stack[0]);
		assert_non_null(rows[i].stack[1]);
		assert_non_null(strstr(rows[i].stack[1], caller));
		insertions += rows[i].insertions;
	}
	return insertions;
}

static void check_rows(const struct births *births, const struct census *census,
		       const struct leaking *leaking)
{
	struct heap_birth_row *rows = NULL;
	size_t count = 0;
	uint64_t leaks, others;

	assert_int_equal(heap_births_rows(births, census->graph, census->blocks, census->types,
					  census->holders, census->count, &rows, &count),
			 0);
	leaks = check_holder(rows, count, "__main__.kept", leaking->leak, "session_for", "handle");
	others = check_holder(rows, count, "__main__.listed", leaking->other_leak, "listed_for",
			      "handle");
	assert_true(leaks > 0);
	assert_true(others > 0);
	heap_birth_rows_free(rows, count);
}

/* --- bursts --- */

static void print_figures(const struct births_figures *figures)
{
	print_message(
		"    %llu bursts, %llu events, %llu lost, %llu unwalked, %llu unnamed, %llu died; "
		"stopped %.1f ms, longest %.1f, probed %.1f\n",
		(unsigned long long)figures->bursts, (unsigned long long)figures->seen,
		(unsigned long long)figures->lost, (unsigned long long)figures->unwalked,
		(unsigned long long)figures->unnamed, (unsigned long long)figures->died,
		figures->stopped_ms, figures->longest_stop_ms, figures->probed_ms);
}

/* A first census, births in between, a second one. */
static void collect(const struct leaking *leaking, const struct py_process *process,
		    const struct py_heap_layout *layout, enum births_method method)
{
	struct births_request *request;
	const struct births_figures *figures;
	struct census before, after;
	struct births *births;

	assert_int_equal(heap_births_prepare(&births), 0);
	request = heap_births_request(births);
	request->pid = leaking->live.pid;
	request->method = method;
	request->process = *process;
	request->heap = *layout;
	take_census(leaking->live.pid, process, layout, NULL, &before);
	heap_births_candidates(request, before.graph, before.holders, before.count);
	assert_true(request->candidate_count >= 2);
	heap_births_begin(births);
	sleep(COLLECT_S);
	take_census(leaking->live.pid, process, layout, births, &after);
	figures = heap_births_figures(births);
	print_figures(figures);
	assert_int_equal(figures->watched, method == BIRTHS_METHOD_WATCH);
	assert_int_equal(figures->bursts > 0, method == BIRTHS_METHOD_BURST);
	check_rows(births, &after, leaking);
	heap_births_free(births);
	free_census(&after);
	free_census(&before);
	/* It runs on as before. */
	assert_int_equal(kill(leaking->live.pid, 0), 0);
}

/* False: that interpreter is refused. */
static bool check(const char *command, const char *argument)
{
	struct py_image_cache *cache = py_image_cache_new();
	struct py_heap_layout layout;
	struct py_process process;
	struct leaking leaking;
	int err;

	assert_non_null(cache);
	start(command, argument, &leaking);
	assert_int_equal(py_process_identify(cache, leaking.live.pid, &process), 0);
	err = py_heap_layout_find(&process, &layout);
	print_message("  %s %s%s\n", command, argument, err ? ": refused" : "");
	if (!err)
		collect(&leaking, &process, &layout, BIRTHS_METHOD_BURST);
	live_stop(&leaking.live);
	py_image_cache_free(cache);
	return !err;
}

static bool check_python(const char *command, unsigned number)
{
	return check(command, number % 2 ? "threads" : "");
}

static void test_bursts(void **state)
{
	(void)state;
	assert_true(live_each_python(check_python) > 0);
}

/* --- debug registers --- */

static void test_watch(void **state)
{
	struct py_image_cache *cache = py_image_cache_new();
	struct py_heap_layout layout;
	struct py_process process;
	struct leaking leaking;

	(void)state;
	assert_non_null(cache);
	if (birth_probes_try_watch()) {
		print_message("  debug registers do nothing here\n");
		py_image_cache_free(cache);
		skip();
	}
	start("/usr/bin/python3", "threads", &leaking);
	sleep(1);
	assert_int_equal(py_process_identify(cache, leaking.live.pid, &process), 0);
	assert_int_equal(py_heap_layout_find(&process, &layout), 0);
	collect(&leaking, &process, &layout, BIRTHS_METHOD_WATCH);
	live_stop(&leaking.live);
	py_image_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_bursts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
