/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A report of very many stacks that have little in common, for tests and for bench/html.py, which
 * opens such pages in browsers. To be included after cmocka.h. */
#ifndef MANY_STACKS_H
#define MANY_STACKS_H

#include "goldens.h"
#include "model/model.h"

#define MANY_STACKS  100000
#define MANY_DEPTH   24
#define MANY_SECONDS 60 /* of CPU time, under the sanitizers; it takes a fraction of that */

static inline uint32_t many_pick(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(*seed >> 8) * below) >> 24);
}

/* Fills a model that keeps trees with one process. The stacks from number `common` on depend on
 * `other`, the ones before do not. */
static inline void many_fill(struct model *model, unsigned stacks, unsigned common, uint32_t other)
{
	const struct model_location *places[3000], *frames[MANY_DEPTH];
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = 1}, .grown_pages = 1};
	struct model_process *p;
	uint32_t seed = 1;
	char file[64];
	unsigned i, j;

	for (i = 0; i < 3000; i++) {
		snprintf(file, sizeof(file), "/srv/app/package/module_%u.py", i / 30);
		places[i] = model_location(model, file, "Class.method", (int)i + 1, 1);
	}
	p = model_add_process(model, 9, 1, "python3", NULL, "", "3.11.2", "walk");
	for (i = 0; i < stacks; i++) {
		if (i == common)
			seed = other;
		for (j = 0; j < MANY_DEPTH; j++)
			frames[j] = places[j * 125 + many_pick(&seed, j > 18 ? 2 : 60)];
		assert_int_equal(
			model_add_stack(model, p, frames, MANY_DEPTH, false, &counters, NULL), 0);
	}
	p->rss_end_bytes = stacks * (int64_t)4096;
	assert_int_equal(model_compute(model), 0);
}

/* Keeps the output if bench/html.py asks for it. */
static inline void many_keep(const char *name, const struct rendered *output)
{
	const char *folder = getenv("PYMEM_KEEP_MANY");
	char path[512];
	FILE *file;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(output->text, 1, output->size, file), output->size);
	assert_int_equal(fclose(file), 0);
}

#endif
