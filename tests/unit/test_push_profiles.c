/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/push_profiles: a series for each program, of a bounded number and size; all of them
 * together have what the model has, to the byte, and nothing below zero. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/push.pb-c.h"
#include "agent/push_profiles.h"
#include "goldens.h"
#include "many_stacks.h"
#include "pprof_text.h"

#define PAGES	 4096
#define DOCKER	 "/system.slice/docker-" DIGITS ".scope"
#define DIGITS	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PROGRAMS (PUSH_PROGRAMS + 10)

static struct model *new_model(void)
{
	struct model *model = model_new(PAGES);

	assert_non_null(model);
	model->trees_kept = true;
	model->host = strdup("host-1");
	model->start = 100;
	model->end = 115;
	assert_non_null(model->host);
	return model;
}

/* A process with one stack that grew by so many pages, or shrank. */
static struct model_process *add(struct model *model, int pid, const char *script,
				 const char *cgroup, int64_t pages)
{
	const struct model_location *place =
		model_location(model, "/srv/app.py", "grow", pid % 7 + 1, 1);
	struct pymem_counters counters = {
		.pages = {[PYMEM_ANON] = pages},
		.grown_pages = pages > 0 ? (uint64_t)pages : 0,
		.freed_pages = pages < 0 ? (uint64_t)-pages : 0,
	};
	char *argv[] = {"/usr/bin/python3", (char *)script, NULL};
	struct model_process *p =
		model_add_process(model, pid, 1, "python3", argv, cgroup, "3.11.2", "walk");

	assert_non_null(p);
	assert_non_null(place);
	assert_int_equal(model_add_stack(model, p, &place, 1, false, &counters, NULL), 0);
	p->rss_start_bytes = (int64_t)1000 * PAGES;
	p->rss_end_bytes = p->rss_start_bytes + pages * PAGES;
	return p;
}

static Push__PushRequest *pushed(struct model *model, bool resident)
{
	Push__PushRequest *request;
	uint8_t *body;
	size_t size;

	assert_int_equal(push_profiles(model, resident, &body, &size), 0);
	assert_non_null(body);
	request = push__push_request__unpack(NULL, size, body);
	assert_non_null(request);
	free(body);
	return request;
}

static void release(Push__PushRequest *request)
{
	push__push_request__free_unpacked(request, NULL);
}

static const char *label(const Push__Series *series, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < series->n_labels; i++) {
		if (strcmp(series->labels[i]->name, name) != 0)
			continue;
		assert_null(value);
		value = series->labels[i]->value;
	}
	return value;
}

static const Push__Series *find(const Push__PushRequest *request, const char *program)
{
	for (size_t i = 0; i < request->n_series; i++)
		if (!strcmp(label(request->series[i], "service_name"), program))
			return request->series[i];
	return NULL;
}

static Pprof__Profile *profile_of(const Push__Series *series)
{
	struct rendered output = {0};

	assert_int_equal(series->n_samples, 1);
	output.text = (char *)series->samples[0]->raw_profile.data;
	output.size = series->samples[0]->raw_profile.len;
	return pprof_unpack(&output);
}

/* The sum of a column, of which no value is below zero. */
static int64_t sum(const Push__Series *series, const char *type)
{
	Pprof__Profile *p = profile_of(series);
	int64_t all = 0;
	size_t at;

	/* Pyroscope fails without one. */
	assert_non_null(p->period_type);
	assert_string_equal(pprof_string(p, p->period_type->type), "space");
	for (at = 0; at < p->n_sample_type; at++)
		if (!strcmp(pprof_string(p, p->sample_type[at]->type), type))
			break;
	if (at == p->n_sample_type)
		fail_msg("there is no %s", type);
	for (size_t i = 0; i < p->n_sample; i++) {
		assert_int_equal(p->sample[i]->n_label, 0);
		for (size_t j = 0; j < p->sample[i]->n_value; j++)
			assert_true(p->sample[i]->value[j] >= 0);
		all += p->sample[i]->value[at];
	}
	pprof__profile__free_unpacked(p, NULL);
	return all;
}

static int64_t sum_all(const Push__PushRequest *request, const char *type)
{
	int64_t all = 0;

	for (size_t i = 0; i < request->n_series; i++)
		all += sum(request->series[i], type);
	return all;
}

static void by_program(void **state)
{
	struct model *model = new_model();
	Push__PushRequest *request;
	const Push__Series *shop, *blog;

	(void)state;
	add(model, 10, "/srv/shop.py", DOCKER, 30);
	add(model, 11, "/srv/shop.py", DOCKER, 12);
	add(model, 12, "/srv/shop.py", "/system.slice/shop.service", 5);
	add(model, 13, "/srv/blog.py", "", -8);
	add(model, 14, "/srv/idle.py", "", 0);
	assert_int_equal(model_compute(model), 0);
	request = pushed(model, false);
	assert_int_equal(request->n_series, 3);
	assert_null(find(request, "idle.py"));
	/* The largest one comes last. */
	shop = request->series[2];
	assert_string_equal(label(shop, "service_name"), "shop.py");
	assert_string_equal(label(shop, "container"), "docker:0123456789ab");
	assert_string_equal(label(shop, "__name__"), "rss");
	assert_string_equal(label(shop, "hostname"), "host-1");
	assert_int_equal(sum(shop, "rss_growth"), 42 * PAGES);
	assert_int_equal(sum(shop, "inuse_space"), 42 * PAGES);
	assert_int_equal(sum(shop, "rss_freed"), 0);
	assert_string_equal(label(request->series[0], "where"), "shop.service");
	blog = find(request, "blog.py");
	assert_null(label(blog, "where"));
	assert_null(label(blog, "container"));
	assert_int_equal(sum(blog, "rss_freed"), 8 * PAGES);
	assert_int_equal(sum_all(request, "rss_growth") - sum_all(request, "rss_freed"),
			 39 * PAGES);
	release(request);
	model_free(model);
}

static void of_others(void **state)
{
	struct model *model = new_model();
	Push__PushRequest *request;
	int64_t all = 0, others = 0;
	char name[32];

	(void)state;
	for (int i = 0; i < PROGRAMS; i++) {
		snprintf(name, sizeof(name), "/srv/p%02d.py", i);
		add(model, 100 + i, name, "", i + 1);
		all += (i + 1) * PAGES;
		others += i < PROGRAMS - PUSH_PROGRAMS ? (i + 1) * PAGES : 0;
	}
	/* One that is called as if it was the rest. */
	add(model, 99, "(other)", "", 1000);
	all += 1000 * PAGES;
	others += (PROGRAMS - PUSH_PROGRAMS + 1) * PAGES;
	assert_int_equal(model_compute(model), 0);
	request = pushed(model, false);
	assert_int_equal(request->n_series, PUSH_PROGRAMS + 1);
	assert_int_equal(sum(find(request, "(other)"), "rss_growth"), others);
	assert_int_equal(sum(find(request, "(other)_"), "rss_growth"), 1000 * PAGES);
	assert_int_equal(sum_all(request, "rss_growth"), all);
	release(request);
	model_free(model);
}

static void resident(void **state)
{
	struct model *model = new_model();
	Push__PushRequest *request;

	(void)state;
	add(model, 10, "/srv/shop.py", "", 30);
	add(model, 11, "/srv/blog.py", "", 0)->exited = true;
	assert_int_equal(model_compute(model), 0);
	request = pushed(model, true);
	assert_int_equal(request->n_series, 1);
	assert_string_equal(label(request->series[0], "__name__"), "kept");
	assert_int_equal(sum(request->series[0], "inuse_space"), 1030 * PAGES);
	release(request);
	model_free(model);
}

static void of_nothing(void **state)
{
	struct model *model = new_model();
	uint8_t *body;
	size_t size;

	(void)state;
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(push_profiles(model, false, &body, &size), 0);
	assert_null(body);
	assert_int_equal(size, 0);
	model_free(model);
}

/* However many stacks: all have what they have together, within the bound; and what a small program
 * does not need is there for the large one. */
static void bounded(void **state)
{
	struct model *model = new_model();
	Push__PushRequest *request;
	Pprof__Profile *p;
	size_t samples;

	(void)state;
	many_fill(model, MANY_STACKS / 5, 0, 7);
	add(model, 10, "/srv/shop.py", "", 3);
	assert_int_equal(model_compute(model), 0);
	request = pushed(model, false);
	assert_int_equal(request->n_series, 2);
	assert_int_equal(sum_all(request, "rss_growth"), (MANY_STACKS / 5 + 3) * (int64_t)PAGES);
	p = profile_of(request->series[1]);
	samples = p->n_sample;
	assert_in_range(samples, 1000, 4096 + 1);
	assert_in_range(pprof__profile__get_packed_size(p), PUSH_PROFILE_BYTES / 8,
			PUSH_PROFILE_BYTES);
	pprof__profile__free_unpacked(p, NULL);
	release(request);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_program), cmocka_unit_test(of_others),
		cmocka_unit_test(resident),   cmocka_unit_test(of_nothing),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
