/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: the file in which the births' child hands over what it has seen
 * (heap/births_results.h). The child reads what a process controls.
 *
 * Input: that file. A file that is taken has stacks, samples and figures within their bounds; it is
 * joined with a small heap made by hand, in which an object's address of 0 to 15 in the file stands
 * for an object that is there, and a type of 1 for its type. Each row is of a holder of that heap,
 * and the shares of a holder's rows sum up to 1.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "heap/births_results.h"
#include "../unit/synthetic_heap.h"

#define SPACE	(512u << 10)
#define OBJECTS 16
#define HOLDERS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct synthetic_heap heap;
	uint64_t objects[OBJECTS];
	struct holder *holders;
	size_t holder_count;
} known;

/* A list and a dict of long tuples, which a module has. */
static void make_heap(void)
{
	static const char *const names[] = {"listed", "kept"};
	struct synthetic_heap *h = &known.heap;
	uint64_t items[64] = {0}, kept[2];

	synthetic_begin(h, 11, SPACE);
	for (int i = 0; i < OBJECTS; i++)
		known.objects[i] = synthetic_tuple(h, items, 60);
	kept[0] = synthetic_list(h, known.objects, 7, 7);
	kept[1] = synthetic_dict(h, known.objects + 7, known.objects + 8, 7);
	known.objects[0] = kept[0];
	known.objects[1] = kept[1];
	synthetic_module(h, "app", synthetic_names(h, names, kept, 2));
	if (synthetic_build(h) ||
	    heap_holders_find(h->graph, HOLDERS, &known.holders, &known.holder_count) ||
	    known.holder_count < 2)
		abort();
}

static void name_objects(struct births_results *results)
{
	const struct py_heap_layout *l = &known.heap.layout;

	for (uint32_t i = 0; i < results->sample_count; i++) {
		struct birth_sample *sample = &results->samples[i];

		if (sample->object >= OBJECTS)
			continue;
		sample->object = known.objects[sample->object];
		if (sample->type == 1)
			sample->type = synthetic_get(&known.heap, sample->object + l->object_type);
	}
}

static void check_results(const struct births_results *results)
{
	const struct births_figures *figures = &results->figures;

	for (uint32_t i = 0; i < results->stack_count; i++) {
		const struct birth_stack *stack = &results->stacks[i];

		if (stack->depth > BIRTH_FRAMES)
			abort();
		for (unsigned k = 0; k < stack->depth; k++)
			if (!stack->lines[k].file || !stack->lines[k].function ||
			    stack->lines[k].line < 0)
				abort();
	}
	for (uint32_t i = 0; i < results->sample_count; i++)
		if (results->samples[i].stack >= results->stack_count ||
		    results->samples[i].change < 0)
			abort();
	if (!(figures->watched_part >= 0 && figures->watched_part <= 1) ||
	    !isfinite(figures->stopped_ms) || figures->watch_error > 0)
		abort();
}

static double share_of(const struct heap_birth_row *rows, size_t count, const char *holder)
{
	double share = 0;

	for (size_t i = 0; i < count; i++)
		if (!strcmp(rows[i].holder, holder))
			share += rows[i].share;
	return share;
}

static void check_rows(const struct births_results *results)
{
	const struct synthetic_heap *h = &known.heap;
	struct heap_birth_row *rows = NULL;
	size_t count = 0;

	if (births_results_rows(results, h->graph, h->blocks, h->found_types, known.holders,
				known.holder_count, &rows, &count))
		abort();
	for (size_t i = 0; i < known.holder_count; i++) {
		double share = share_of(rows, count, known.holders[i].path);

		if (share != 0 && fabs(share - 1) > 1e-6)
			abort();
	}
	for (size_t i = 0; i < count; i++)
		if (share_of(rows, count, rows[i].holder) == 0 || !rows[i].insertions)
			abort();
	heap_birth_rows_free(rows, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct births_results results = {0};
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	uint8_t *file = malloc(size ? size : 1);
	int err;

	if (!file)
		abort();
	if (!known.holder_count)
		make_heap();
	memcpy(file, data, size);
	err = births_results_read(&results, file, size);
	free(file);
	if (err > 0)
		abort();
	if (!err) {
		check_results(&results);
		name_objects(&results);
		check_rows(&results);
	}
	births_results_fini(&results);
	return 0;
}
