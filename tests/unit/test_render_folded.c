/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How ended processes look that are in the sum of their program: in the table and in JSON as
 * stored, and what each format adds up to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format_sums.h"
#include "profiles.h"

static void ignore(const struct model_process *process, void *arg)
{
	(void)process;
	(void)arg;
}

static struct model_process *begin(struct profile *profile, const char *script, const char *cgroup)
{
	char *argv[] = {"/usr/bin/python3", (char *)script, NULL};
	struct model_process *p =
		model_add_process(profile->model, 4000 + (int)profile->model->end++, 1, "python3",
				  argv, cgroup, "3.11.2", "walk");

	assert_non_null(p);
	p->exited = true;
	p->rss_start_bytes = p->rss_end_bytes = MIB(10) * PAGE;
	p->rss_peak_bytes = MIB(14) * PAGE;
	return p;
}

static void add(struct profile *profile, struct model_process *p, const char *file, int line,
		int grown, int freed)
{
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = grown - freed},
					  .grown_pages = (uint64_t)grown,
					  .freed_pages = (uint64_t)freed,
					  .minor_faults = (uint64_t)grown,
					  .cow_faults = 3,
					  .peak_pages = MIB(14)};
	const struct model_location *frames[] = {
		model_location(profile->model, file, "work", line, 1),
		model_location(profile->model, file, "<module>", 99, 1),
	};

	assert_int_equal(model_add_stack(profile->model, p, frames, 2, false, &counters, NULL), 0);
	p->rss_end_bytes += (grown - freed) * PAGE;
}

/* Nine children of a program of which two are kept, three of one in a container, and one that
 * runs. */
static void fill(struct profile *profile, int lines)
{
	const struct model_ended_limits limits = {.bytes = 64 << 20, .processes = 2};
	static const char docker[] = "/system.slice/docker-"
				     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
				     "cdef.scope";
	double start = profile->model->start, end = profile->model->end;
	struct model_process *p;

	profile->model->end = 0;
	for (int i = 0; i < 9; i++) {
		p = begin(profile, "/srv/app/forks.py", "/");
		add(profile, p, "/srv/app/forks.py", 7, 256 + i, 0);
		add(profile, p, "/srv/app/forks.py", 8, 10, 20 * (i % 2));
		p->lost_bytes[PYMEM_LOSS_EXIT] = PAGE;
		p->rss_end_bytes += PAGE;
		p->lost_faults = 1;
		assert_int_equal(model_freeze(profile->model), 0);
	}
	for (int i = 0; i < 3; i++) {
		p = begin(profile, "/srv/job.py", docker);
		for (int line = 1; line <= lines; line++)
			add(profile, p, "/srv/job.py", lines * i + line, line == 5 ? 1000 : 1, 0);
		assert_int_equal(model_freeze(profile->model), 0);
	}
	assert_int_equal(model_gather_ended(profile->model, &limits, ignore, NULL), 0);
	p = begin(profile, "/srv/app/forks.py", "/");
	p->exited = false;
	add(profile, p, "/srv/app/forks.py", 7, 20, 0);
	profile->model->start = start;
	profile->model->end = end;
	assert_int_equal(model_compute(profile->model), 0);
	assert_int_equal(profile->model->folded_count, 2);
}

static void check_stored(struct model *model, const char *format, const char *name,
			 struct render_options options)
{
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);

	assert_non_null(out);
	output.err = renderer_find(format)->emit(out, model, &options);
	fclose(out);
	golden_compare(name, &output);
	golden_harmless(&output, options.width);
	free(output.text);
}

static void test_stored(void **state)
{
	struct profile profile;

	(void)state;
	profile_init(&profile);
	fill(&profile, 6);
	check_stored(profile.model, "table", "ended-programs-120.txt",
		     (struct render_options){.width = 120, .top = 5});
	check_stored(profile.model, "table", "ended-programs-40.txt",
		     (struct render_options){.width = 40, .top = 3});
	check_stored(profile.model, "table", "ended-programs-verbose-100.txt",
		     (struct render_options){.width = 100, .top = 3, .verbose = true});
	check_stored(profile.model, "table", "ended-programs-by-100.txt",
		     (struct render_options){.width = 100, .top = 3, .by = MODEL_BY_PROGRAM});
	check_stored(profile.model, "json", "ended-programs.json", (struct render_options){0});
	check_stored(profile.model, "csv", "ended-programs.csv", (struct render_options){0});
	check_stored(profile.model, "folded", "ended-programs.folded",
		     (struct render_options){.metric = RENDER_NET});
	profile_fini(&profile);
}

static void test_sums(void **state)
{
	struct profile profile;

	(void)state;
	profile_init(&profile);
	fill(&profile, 2000);
	check_all(profile.model);
	profile_fini(&profile);
}

/* What a program chose stays out of a report that is for others. */
static void test_redacted(void **state)
{
	struct profile profile;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	fill(&profile, 2000);
	assert_int_equal(model_redact(profile.model, NULL), 0);
	output = render(profile.model, "json", 0);
	assert_null(strstr(output.text, "/srv/"));
	assert_non_null(strstr(output.text, "\"forks.py\""));
	free(output.text);
	profile_fini(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_redacted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
