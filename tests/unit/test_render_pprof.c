/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* render/stack_choice, agent/agent_pprof: profiles of bounded size. However few stacks are written,
 * the columns add up to what all of them have, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "agent/agent_pprof.h"
#include "goldens.h"
#include "many_stacks.h"
#include "pprof_text.h"
#include "profiles.h"
#include "render/render_pprof.h"

#define PLENTY ((size_t)64 << 20)

static Pprof__Profile *bounded(struct model *model, size_t stacks, bool resident)
{
	const struct pprof_bounds bounds = {.stacks = stacks, .resident = resident};
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);
	Pprof__Profile *p;

	assert_non_null(out);
	assert_int_equal(pprof_write(out, model, &bounds), 0);
	assert_int_equal(fclose(out), 0);
	p = pprof_unpack(&output);
	free(output.text);
	return p;
}

static int64_t column(const Pprof__Profile *p, const char *type)
{
	int64_t sum = 0;
	size_t at;

	for (at = 0; at < p->n_sample_type; at++)
		if (!strcmp(pprof_string(p, p->sample_type[at]->type), type))
			break;
	assert_true(at < p->n_sample_type);
	for (size_t i = 0; i < p->n_sample; i++)
		sum += p->sample[i]->value[at];
	return sum;
}

static bool is_rest(const Pprof__Profile *p, const Pprof__Sample *sample)
{
	return !strcmp(pprof_string(p, pprof_function(p, sample->location_id[0])->name), "(other)");
}

/* rss_net of the samples with that PID; 0: with none. */
static int64_t net_of(const Pprof__Profile *p, int64_t pid)
{
	int64_t sum = 0, of;

	for (size_t i = 0; i < p->n_sample; i++) {
		of = 0;
		for (size_t j = 0; j < p->sample[i]->n_label; j++)
			if (!strcmp(pprof_string(p, p->sample[i]->label[j]->key), "pid"))
				of = p->sample[i]->label[j]->num;
		sum += of == pid ? p->sample[i]->value[2] : 0;
	}
	return sum;
}

static size_t count_rest(const Pprof__Profile *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->n_sample; i++)
		count += is_rest(p, p->sample[i]);
	return count;
}

/* Processes of very different sizes. */
static struct model *filled(struct profile *profile)
{
	profile_init(profile);
	profile_fill_hostile(profile);
	profile_fill(profile);
	return profile->model;
}

static void test_sums(void **state)
{
	static const char *const columns[] = {"rss_growth", "rss_freed", "rss_net", "cow_copied",
					      "page_faults"};
	struct profile profile;
	struct model *model = filled(&profile);
	Pprof__Profile *all = bounded(model, SIZE_MAX, false), *p;

	(void)state;
	assert_int_equal(count_rest(all), 0);
	for (size_t stacks = 0; stacks <= all->n_sample + 1; stacks++) {
		p = bounded(model, stacks, false);
		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			assert_int_equal(column(p, columns[i]), column(all, columns[i]));
		assert_int_equal(p->n_sample - count_rest(p),
				 stacks < all->n_sample ? stacks : all->n_sample);
		assert_in_range(count_rest(p), stacks < all->n_sample, stacks + 1);
		/* Of a process that has a sample, nothing is elsewhere. */
		for (size_t i = 0; i < model->process_count; i++)
			if (net_of(p, model->processes[i]->pid))
				assert_int_equal(net_of(p, model->processes[i]->pid),
						 net_of(all, model->processes[i]->pid));
		pprof__profile__free_unpacked(p, NULL);
	}
	pprof__profile__free_unpacked(all, NULL);
	profile_fini(&profile);
}

/* One of 1 page among many of 1 page: ties are cut, too. */
static void test_many(void **state)
{
	struct model *model = model_new(4096);
	Pprof__Profile *p;
	char *bytes;
	size_t size, large;

	(void)state;
	model->trees_kept = true;
	model->host = strdup("h");
	model->kernel = strdup("6.1");
	model->version = strdup("0");
	many_fill(model, 9000, 9000, 1);
	p = bounded(model, 100, false);
	assert_int_equal(p->n_sample, 101);
	assert_int_equal(column(p, "rss_net"), 9000 * 4096);
	pprof__profile__free_unpacked(p, NULL);
	/* What is too large is written again with fewer. */
	assert_int_equal(pprof_bytes(model, false, PLENTY, &bytes, &large), 0);
	free(bytes);
	for (size_t most = large; most > 2000; most /= 3) {
		struct rendered output;

		assert_int_equal(pprof_bytes(model, false, most, &bytes, &size), 0);
		assert_in_range(size, 1, most);
		output = (struct rendered){.text = bytes, .size = size};
		p = pprof_unpack(&output);
		assert_int_equal(column(p, "rss_net"), 9000 * 4096);
		pprof__profile__free_unpacked(p, NULL);
		free(bytes);
	}
	assert_int_equal(pprof_bytes(model, false, 100, &bytes, &size), -EFBIG);
	model_free(model);
}

/* Only what is resident: of each process its RSS, whether it is known by whom or not. */
static void test_resident(void **state)
{
	struct profile profile;
	Pprof__Profile *p;
	int64_t rss = 0;

	(void)state;
	profile_init(&profile);
	profile_fill_touched(&profile);
	for (size_t i = 0; i < profile.model->process_count; i++)
		if (profile.model->processes[i]->resident_known ||
		    !profile.model->processes[i]->exited)
			rss += profile.model->processes[i]->rss_end_bytes;
	for (size_t stacks = 0; stacks < 20; stacks++) {
		p = bounded(profile.model, stacks, true);
		assert_int_equal(p->n_sample_type, 1);
		assert_int_equal(column(p, "inuse_space"), rss);
		for (size_t i = 0; i < p->n_sample; i++)
			assert_true(p->sample[i]->value[0] > 0);
		pprof__profile__free_unpacked(p, NULL);
	}
	profile_fini(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_resident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
