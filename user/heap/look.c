/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a census takes as much memory as the process has, and two looks must not take twice as
 * much. So of the first look only sums and containers' addresses are kept, some thousandths of
 * that.
 *
 * If memory runs out while the graph is made, the look goes on without holders and says so: types
 * and balance need little memory.
 */
#include "heap/look.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/births.h"
#include "heap/census.h"
#include "heap/holders.h"
#include "heap/look_births.h"
#include "heap/touched_rows.h"

struct heap_past {
	double at, paused_ms;
	uint64_t rss_bytes, garbage_bytes;
	struct heap_balance balance;
	struct census_before before;
	struct heap_type_row *rows;
	size_t row_count;
	struct holders_past *holders; /* NULL: not enough memory */
	/* With has_graph: the same figures as a census without a graph would have them. */
	bool has_graph;
	const char *lacks; /* census.lacks */
	struct heap_balance plain_balance;
	struct heap_type_row *plain_rows;
	size_t plain_row_count;
};

/* --- the first of two --- */

void heap_past_free(struct heap_past *past)
{
	if (!past)
		return;
	heap_type_rows_free(past->rows, past->row_count);
	heap_type_rows_free(past->plain_rows, past->plain_row_count);
	heap_holders_past_free(past->holders);
	free(past);
}

static uint64_t garbage_of(const struct census *census)
{
	uint64_t bytes = 0, objects = 0;

	if (census->graph)
		heap_graph_garbage(census->graph, &bytes, &objects);
	return bytes;
}

static struct heap_past *keep(struct census *census)
{
	struct heap_past *past = calloc(1, sizeof(*past));

	if (!past)
		return NULL;
	past->at = census->at;
	past->paused_ms = snapshot_paused_ms(census->snapshot);
	past->rss_bytes = snapshot_rss_bytes(census->snapshot);
	past->garbage_bytes = garbage_of(census);
	past->balance = census->balance;
	past->before =
		(struct census_before){heap_balance_live(&census->balance), census->lost_bytes};
	past->rows = census->rows;
	past->row_count = census->row_count;
	census->rows = NULL;
	census->row_count = 0;
	past->has_graph = census->graph;
	past->lacks = census->lacks;
	if (census->graph && heap_holders_keep(census->graph, &past->holders))
		past->holders = NULL;
	if (census->graph && census_without_graph(census, &past->plain_rows, &past->plain_row_count,
						  &past->plain_balance)) {
		heap_past_free(past);
		return NULL;
	}
	return past;
}

static void swap_rows(struct heap_type_row **a, struct heap_type_row **b, size_t *a_count,
		      size_t *b_count)
{
	struct heap_type_row *rows = *a;
	size_t count = *a_count;

	*a = *b;
	*b = rows;
	*a_count = *b_count;
	*b_count = count;
}

/* Makes two looks comparable: the owners of buffers must be known in both or in neither. Else the
 * difference would show changes that never were. 0 or -errno. */
static int make_alike(struct census *census, struct heap_past *past)
{
	struct heap_type_row *rows;
	size_t count;
	int err;

	if (!past || past->has_graph == (census->graph != NULL))
		return 0;
	if (past->has_graph) {
		past->balance = past->plain_balance;
		swap_rows(&past->rows, &past->plain_rows, &past->row_count, &past->plain_row_count);
		past->has_graph = false;
		return 0;
	}
	err = census_without_graph(census, &rows, &count, &census->balance);
	if (err)
		return err;
	swap_rows(&census->rows, &rows, &census->row_count, &count);
	heap_type_rows_free(rows, count);
	return 0;
}

int heap_look_first(const struct heap_target *target, const struct heap_options *options,
		    struct heap_past **past, char *why, size_t size)
{
	struct census census = {};
	int err = census_take(&census, target, options, NULL, why, size);

	if (!err)
		look_births_begin(&census, target);
	*past = err ? NULL : keep(&census);
	if (!err && !*past) {
		err = -ENOMEM;
		snprintf(why, size, "%s", strerror(ENOMEM));
	}
	census_fini(&census);
	return err;
}

/* --- what is reported --- */

/* Fills a row, which takes over the holder's texts. */
static void fill_holder(struct heap_holder_row *row, struct holder *holder)
{
	*row = (struct heap_holder_row){
		.path = holder->path,
		.type = holder->type,
		.shared_by = holder->shared_by,
		.entries = holder->entries,
		.has_entries = holder->has_entries,
		.retained_bytes = holder->retained_bytes,
		.entries_grown = holder->entries_grown,
		.grown_bytes = holder->grown_bytes,
		.is_new = holder->is_new,
		.is_local = holder->tier == ROOT_FRAME || holder->is_temporary,
		.is_temporary = holder->is_temporary,
		.is_unreached = holder->tier == ROOT_UNREACHED,
	};
	holder->path = holder->type = holder->shared_by = NULL;
}

static int add_touched(struct heap_look *look, const struct census *census,
		       const struct holder *holders, size_t count)
{
	int err = census->touched_error;

	if (!err)
		return heap_touched_rows(&census->touched, census->snapshot, census->blocks,
					 census->graph, holders, count, look);
	return heap_look_say(&look->notes, "which lines touched what is resident is not known: %s",
			     err == -ESRCH ? "it could not be watched" : strerror(-err));
}

/* Says what a look without holders lacks, and why if it was not asked for. 0 or -ENOMEM. */
static int say_types_only(struct heap_look *look, const struct census *census,
			  const struct heap_past *past, const struct heap_options *asked)
{
	const char *lacks = census->lacks ? census->lacks : past ? past->lacks : NULL;

	if (!asked->types_only &&
	    heap_look_say(
		    &look->skipped, "who holds the memory: %s; this is what --types-only finds%s",
		    lacks ? lacks : "",
		    asked->pause && census->survey ? ", and the process was not stopped" : ""))
		return -ENOMEM;
	return heap_look_say(&look->notes,
			     "whose a buffer is was not looked for: \"their buffers\" "
			     "are all that is in use and no object, C code's, too");
}

static int add_holders(struct heap_look *look, struct census *census, const struct heap_past *past,
		       const struct heap_target *target, const struct heap_options *asked)
{
	size_t most = asked->holders;
	struct holder *holders = NULL;
	size_t count = 0;
	int err = 0;

	if (look->types_only) {
		err = say_types_only(look, census, past, asked);
		if (!err && asked->touched && target->touches)
			err = heap_look_say(&look->skipped,
					    "what lives where lines have touched: that needs a "
					    "whole look");
		return err;
	}
	if (past && !past->holders) {
		err = heap_look_say(&look->skipped,
				    "who holds the memory: there is not enough memory to find out");
		return err || !asked->touched || !target->touches
			       ? err
			       : add_touched(look, census, NULL, 0);
	}
	if (past)
		err = heap_holders_compare(census->graph, past->holders, most, &holders, &count);
	else
		err = heap_holders_find(census->graph, most, &holders, &count);
	if (!err && past)
		err = look_births_add(look, census, target, holders, count);
	if (!err && asked->touched && target->touches)
		err = add_touched(look, census, holders, count);
	if (err) {
		heap_holders_free(holders, count);
		return err;
	}
	look->holders = calloc(count ? count : 1, sizeof(*look->holders));
	for (size_t i = 0; look->holders && i < count; i++)
		fill_holder(&look->holders[look->holder_count++], &holders[i]);
	look->has_holders = look->holders != NULL;
	heap_holders_free(holders, count);
	err = look->holders ? heap_look_sort_holders(look) : -ENOMEM;
	return !err && past ? look_births_explain(look, census, target) : err;
}

static int add_types(struct heap_look *look, struct census *census, const struct heap_past *past)
{
	int err = 0;

	if (past)
		err = heap_type_rows_compare(&census->rows, &census->row_count, past->rows,
					     past->row_count);
	if (err)
		return err;
	heap_type_rows_sort(census->rows, census->row_count, past);
	look->types = census->rows;
	look->type_count = census->row_count;
	census->rows = NULL;
	census->row_count = 0;
	return 0;
}

static void add_past(struct heap_look *look, const struct census *census,
		     const struct heap_past *past)
{
	look->seconds = census->at - past->at;
	look->rss_first_bytes = past->rss_bytes;
	look->balance_first = past->balance;
	look->garbage_grown = (int64_t)(look->garbage_bytes - past->garbage_bytes);
	look->paused_ms[1] = look->paused_ms[0];
	look->paused_ms[0] = past->paused_ms;
}

static int add_allocators(struct heap_look *look, const struct census *census)
{
	const struct heap_allocators *a = census_allocators(census);

	look->trimmable_bytes = a->malloc_trimmable_bytes;
	snprintf(look->allocator, sizeof(look->allocator), "%s%s", a->pools ? "pymalloc+" : "",
		 a->opaque ? a->opaque : "glibc");
	if (!a->opaque)
		return 0;
	look->opaque = strdup(a->opaque);
	return look->opaque ? 0 : -ENOMEM;
}

/* Says which memory of the allocators made no sense, mostly since it changed while it was copied. 0
 * or -ENOMEM. */
static int add_broken(struct heap_look *look, const struct census *census,
		      const struct census_before *before)
{
	static const char changed[] = "changed while the memory was copied",
			  damaged[] = "made no sense, though the process was stopped",
			  remedy[] = " (--pause stops the process meanwhile)";
	const struct heap_allocators *a = census_allocators(census);
	bool stopped = snapshot_paused_ms(census->snapshot) >= 0;
	int err = 0;

	if (a->broken_pools)
		err = heap_look_say(
			&look->notes,
			"%llu pool%s %s: what is there was counted as far as it made sense%s",
			(unsigned long long)a->broken_pools, a->broken_pools == 1 ? "" : "s",
			stopped ? damaged : changed, stopped ? "" : remedy);
	if (!err && census_is_torn(census, before))
		err = heap_look_say(
			&look->notes,
			"a table moved while the memory was copied, each time that was tried: what "
			"holds %.1f MiB of the objects is not known%s",
			(double)census->lost_bytes / (1 << 20), remedy);
	if (!err && a->broken_chunks)
		err = heap_look_say(
			&look->notes,
			"malloc's memory %s, at %llu place%s: what follows there is unexplained%s",
			stopped ? damaged : changed, (unsigned long long)a->broken_chunks,
			a->broken_chunks == 1 ? "" : "s", stopped ? "" : remedy);
	return err;
}

static void add_collector(struct heap_look *look, const struct census *census)
{
	const struct heap_gc *gc = &census->gc;

	if (!census->gc_known)
		return;
	look->gc_known = true;
	look->gc_enabled = gc->enabled;
	look->generation_count = HEAP_GC_GENERATIONS;
	memcpy(look->generations, gc->generations, sizeof(look->generations));
	look->gc_frozen = gc->frozen_known ? gc->frozen : 0;
	look->gc_uncollectable = gc->garbage;
}

static int fill(struct heap_look *look, const struct heap_target *target,
		const struct heap_options *options, struct census *census,
		const struct heap_past *past)
{
	int err;

	look->pid = target->pid;
	snprintf(look->python, sizeof(look->python), "%s", target->python.version);
	look->paused_ms[0] = snapshot_paused_ms(census->snapshot);
	look->rss_bytes = snapshot_rss_bytes(census->snapshot);
	look->swapped_bytes = snapshot_swapped_bytes(census->snapshot);
	look->types_only = !census->graph || (past && !past->has_graph);
	look->balance = census->balance;
	if (census->graph)
		heap_graph_garbage(census->graph, &look->garbage_bytes, &look->garbage_objects);
	if (past)
		add_past(look, census, past);
	add_collector(look, census);
	err = add_allocators(look, census);
	if (!err)
		err = add_broken(look, census, past ? &past->before : NULL);
	if (!err)
		err = census_pool_use(census, look);
	if (!err)
		err = add_holders(look, census, past, target, options);
	if (!err)
		err = add_types(look, census, past);
	return err;
}

int heap_look_make(const struct heap_target *target, const struct heap_options *options,
		   struct heap_past *past, struct heap_look **look, char *why, size_t size)
{
	struct census census = {};
	int err = census_take(&census, target, options, past ? &past->before : NULL, why, size);

	*look = NULL;
	/* Births end after the copy was made: an object that they find alive now was alive then. */
	if (!err && past && target->births)
		census.births_error = heap_births_finish(target->births);
	if (!err) {
		*look = heap_look_new();
		err = *look ? make_alike(&census, past) : -ENOMEM;
		if (!err)
			err = fill(*look, target, options, &census, past);
		if (err)
			snprintf(why, size, "%s", strerror(-err));
	}
	census_fini(&census);
	if (err) {
		heap_look_free(*look);
		*look = NULL;
	}
	return err;
}
