/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A census needs about as much memory as the process has. If there is not so much, a survey
 * (survey.h) takes its place, which needs little. If memory ends while the graph is made, the
 * census goes on without a graph.
 *
 * A process that runs may be copied in the middle of a change. A table that moves meanwhile is
 * missed, with all that it leads to. Then the process is copied again.
 */
#include "heap/census.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/memory.h"
#include "os/proc.h"

#define BUSY_TRIES 100
#define BUSY_US	   20000
#define TRIES	   3
#define MORE_TRIES 8 /* while all of them together take less than TRIES_S */
#define TRIES_S	   2.0
#define NO_MEMORY  "there is not enough memory to find out"
/* A copy is torn if nothing reaches more than LOST_LEAST bytes, and more than 1/LOST_PART of the
 * live bytes, or at the second look (where only what is more than before counts) more than
 * 1/LOST_GROWN of what they grew by. */
#define LOST_LEAST (64u << 10)
#define LOST_PART  500
#define LOST_GROWN 8

void census_fini(struct census *census)
{
	heap_type_rows_free(census->rows, census->row_count);
	heap_graph_free(census->graph);
	heap_blocks_free(census->blocks);
	heap_survey_free(census->survey);
	heap_types_free(census->types);
	snapshot_free(census->snapshot);
	heap_touched_fini(&census->touched);
}

/* --- errors --- */

static void explain_copy(int err, char *why, size_t size)
{
	switch (err) {
	case -ESRCH:
		snprintf(why, size, "has ended");
		return;
	case -EBUSY:
		snprintf(why, size,
			 "can't be stopped: a debugger, or another pymem-bpf heap --pause, is "
			 "attached "
			 "to it; without --pause it is looked at while it runs");
		return;
	case -ETIME:
		snprintf(why, size,
			 "its memory can't be read in time: what it mapped answers late, or one of "
			 "its threads does not stop");
		return;
	case -EFBIG:
		snprintf(why, size, "has more memory than can be copied here");
		return;
	default:
		snprintf(why, size, "its memory can't be read: %s", strerror(-err));
	}
}

/* --- one census --- */

/* The part of the available memory that a copy may take: the graph needs some, too, and so do other
 * processes. */
#define COPY_PART 0.6

/* Bytes that may be copied; 0: no limit is known. */
static uint64_t copy_limit(const struct heap_options *options)
{
	uint64_t bytes = options->memory_bytes ? options->memory_bytes : memory_available();

	return bytes == MEMORY_UNKNOWN ? 0 : (uint64_t)(COPY_PART * (double)bytes) + 1;
}

/* Just after memory was copied: 0; -ESRCH: it may be another process's. Who has its PID now had it
 * all the time. What becomes of it later does not matter. */
static int check_same(const struct heap_target *target)
{
	return target->start_ticks && proc_start_ticks(target->pid) != target->start_ticks ? -ESRCH
											   : 0;
}

static int take(struct census *census, const struct heap_target *target,
		const struct heap_options *options, char *why, size_t size)
{
	const struct snapshot_options how = {.pause = options->pause,
					     .copy_limit_bytes = copy_limit(options),
					     .interrupted = options->interrupted};
	int err = snapshot_take(target->pid, &how, &census->snapshot);

	/* Our own burst may be stopping it, for some milliseconds. */
	for (int i = 0; i < BUSY_TRIES && err == -EBUSY && target->births; i++) {
		usleep(BUSY_US);
		err = snapshot_take(target->pid, &how, &census->snapshot);
	}

	census->at = clock_seconds(CLOCK_MONOTONIC);
	err = err ?: check_same(target);
	if (err)
		explain_copy(err, why, size);
	else if (options->touched && target->touches)
		census->touched_error =
			heap_touches_read(target->touches, target->pid, &census->touched);
	return err;
}

static int find_blocks(struct census *census, const struct heap_target *target)
{
	census->types = heap_types_new(census->snapshot, &target->layout, &target->python.layout);
	if (!census->types)
		return -ENOMEM;
	return heap_blocks_find(census->snapshot, &target->layout, census->types, &census->blocks);
}

/* Makes the graph, which takes most memory of all. If there is none, goes on without. */
static int find_references(struct census *census, const struct heap_target *target)
{
	int err = heap_graph_build(census->snapshot, &target->layout, &target->python.layout,
				   target->python.runtime_addr, census->types, census->blocks,
				   &census->graph);

	if (!err)
		return 0;
	census->graph = NULL;
	census->lacks = NO_MEMORY;
	return err == -ENOMEM ? 0 : err;
}

static bool is_owned(void *arg, uint32_t block)
{
	const struct census *census = arg;

	return heap_graph_owner(census->graph, block) != BLOCK_NONE;
}

/* Bytes of objects that nothing seems to reach, although no collection could free them. If the
 * process changed while it was copied, a table is missed, with all that it leads to. */
static uint64_t count_lost(const struct census *census)
{
	uint32_t count = heap_blocks_count(census->blocks);
	uint64_t bytes = 0, garbage = 0, objects;

	if (!census->graph)
		return 0;
	for (uint32_t block = 0; block < count; block++) {
		int32_t type = heap_blocks_type(census->blocks, block);

		if (type >= 0 && heap_graph_tier(census->graph, block) == ROOT_UNREACHED)
			bytes += heap_blocks_size(census->blocks, block);
	}
	heap_graph_garbage(census->graph, &garbage, &objects);
	return bytes > garbage ? bytes - garbage : 0;
}

static int census_try(struct census *census, const struct heap_target *target,
		      const struct heap_options *options, char *why, size_t size)
{
	int err = take(census, target, options, why, size);

	if (err)
		return err;
	err = find_blocks(census, target);
	/* Read before the graph is made, as that gives the copy back. */
	census->gc_known =
		!heap_gc_read(census->snapshot, &target->python, &target->layout, &census->gc);
	if (!err)
		err = find_references(census, target);
	if (!err)
		err = heap_balance_make(census->snapshot, census->blocks,
					census->graph ? is_owned : NULL, census, &census->balance);
	if (!err)
		err = heap_type_rows_make(census->types, census->blocks, census->graph,
					  &census->rows, &census->row_count);
	if (err == -E2BIG)
		snprintf(why, size, "has more blocks than can be numbered");
	else if (err)
		snprintf(why, size, "its heap can't be sorted out: %s", strerror(-err));
	else
		census->lost_bytes = count_lost(census);
	return err;
}

bool census_is_torn(const struct census *census, const struct census_before *before)
{
	uint64_t live = heap_balance_live(&census->balance), lost = census->lost_bytes, grown;

	if (snapshot_paused_ms(census->snapshot) >= 0 || lost <= LOST_LEAST)
		return false;
	if (!before)
		return lost > live / LOST_PART;
	/* What only C holds, out of sight, is missed each time. */
	lost -= lost < before->lost_bytes ? lost : before->lost_bytes;
	grown = live > before->live_bytes ? live - before->live_bytes : before->live_bytes - live;
	return lost > LOST_LEAST && (lost > live / LOST_PART || lost > grown / LOST_GROWN);
}

/* Copies a running process again if the copy is torn. */
static int census_whole(struct census *census, const struct heap_target *target,
			const struct heap_options *options, const struct census_before *before,
			char *why, size_t size)
{
	double begin = clock_seconds(CLOCK_MONOTONIC);
	int err = census_try(census, target, options, why, size);

	for (int i = 1; i < MORE_TRIES && !err && !options->pause; i++) {
		if (!census_is_torn(census, before) ||
		    (i >= TRIES && clock_seconds(CLOCK_MONOTONIC) - begin > TRIES_S))
			break;
		census_fini(census);
		*census = (struct census){};
		err = census_try(census, target, options, why, size);
	}
	return err;
}

/* --- a survey in its place --- */

/* Reads rows of types from the survey, and takes over its snapshot and types. */
static int adopt_survey(struct census *census)
{
	struct heap_survey *survey = census->survey;
	int err;

	census->snapshot = survey->snapshot;
	census->types = survey->types;
	survey->snapshot = NULL;
	survey->types = NULL;
	census->balance = survey->balance;
	err = heap_type_rows_of_survey(census->types, survey->rows, survey->row_count,
				       &census->rows, &census->row_count);
	return err;
}

static int census_survey(struct census *census, const struct heap_target *target,
			 const struct heap_options *options, char *why, size_t size)
{
	const struct snapshot_options how = {.interrupted = options->interrupted};
	int err = heap_survey_take(target->pid, &how, &target->layout, &target->python.layout,
				   &census->survey);

	census->at = clock_seconds(CLOCK_MONOTONIC);
	err = err ?: check_same(target);
	if (err) {
		explain_copy(err, why, size);
		return err;
	}
	err = adopt_survey(census);
	if (err)
		snprintf(why, size, "%s", strerror(-err));
	else
		census->gc_known = !heap_gc_read(census->snapshot, &target->python, &target->layout,
						 &census->gc);
	return err;
}

/* Why a census failed where a survey may not; NULL: a survey would fail, too. */
static const char *lack_of(int err)
{
	switch (err) {
	case -ENOMEM:
	case -EFBIG:
		return NO_MEMORY;
	case -E2BIG:
		return "it has more blocks than can be numbered";
	default:
		return NULL;
	}
}

int census_take(struct census *census, const struct heap_target *target,
		const struct heap_options *options, const struct census_before *before, char *why,
		size_t size)
{
	const char *lacks;
	int err;

	if (options->types_only)
		return census_survey(census, target, options, why, size);
	err = census_whole(census, target, options, before, why, size);
	lacks = lack_of(err);
	if (!lacks)
		return err;
	census_fini(census);
	*census = (struct census){.lacks = lacks};
	return census_survey(census, target, options, why, size);
}

/* --- what either says --- */

const struct heap_allocators *census_allocators(const struct census *census)
{
	return census->survey ? &census->survey->allocators
			      : heap_blocks_allocators(census->blocks);
}

int census_pool_use(const struct census *census, struct heap_look *look)
{
	struct pool_use use = {.pools = 0};
	int err;

	if (census->survey)
		return pool_use_tell(&census->survey->pools, census->types, look);
	err = heap_blocks_add_use(census->blocks, &use);
	if (!err)
		err = pool_use_tell(&use, census->types, look);
	pool_use_fini(&use);
	return err;
}

int census_without_graph(const struct census *census, struct heap_type_row **rows, size_t *count,
			 struct heap_balance *balance)
{
	int err;

	if (census->survey) {
		*balance = census->balance;
		return heap_type_rows_of_survey(census->types, census->survey->rows,
						census->survey->row_count, rows, count);
	}
	err = heap_balance_make(census->snapshot, census->blocks, NULL, NULL, balance);
	return err ? err : heap_type_rows_make(census->types, census->blocks, NULL, rows, count);
}
