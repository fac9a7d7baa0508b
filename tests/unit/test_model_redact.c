/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* --redact: what is not for others is in no format, and all figures stay. */
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

static const struct sample secret_samples[] = {
	{.frames = {{"/srv/secret/shop/orders/model.py", "load", 3, 1},
		    {"/srv/secret/shop/main.py", "<module>", 4, 1}},
	 .anon = 50,
	 .grown = 50,
	 .minor = 50},
	{.frames = {{"/srv/secret/lone.py", "run", 1, 1}}, .anon = 5, .grown = 5},
	{.frames = {{NUMPY_FILE, "ones", 204, 170}}, .anon = 7, .grown = 7},
	{.frames = {{"<string>", "<module>", 1, 1}}, .anon = 1, .grown = 1},
	{.frames = {{"secret/relative.py", "run", 1, 1}}, .anon = 2, .grown = 2},
	{.frames = {{"", "nameless", 1, 1}}, .anon = 2, .grown = 2},
};

/* shop and its orders are packages; secret is none. */
static void fill(struct profile *profile)
{
	char *argv[] = {"/opt/secret/bin/python3", "/srv/secret/shop/main.py", "--key=secret",
			NULL};
	struct model_process *p;
	size_t i;

	profile_write(profile, "/srv/secret/shop/__init__.py", "", 1);
	profile_write(profile, "/srv/secret/shop/orders/__init__.py", "# secret\n", 1);
	profile_write(profile, "/srv/secret/shop/orders/model.py", "def load():\n\n    secret\n",
		      1);
	p = model_add_process(profile->model, 5, 1, "python3", argv, "", "3.11.2", "walk");
	profile_open_root(profile, p);
	for (i = 0; i < sizeof(secret_samples) / sizeof(secret_samples[0]); i++) {
		profile_add(profile, p, &secret_samples[i]);
		p->rss_end_bytes += secret_samples[i].anon * PAGE;
	}
	p->note = strdup("can't read '/srv/secret/x.so' (no symbols) in /srv/secret/y.so");
	assert_int_equal(model_add_skip(profile->model, 8, "x", "/srv/secret/z: gone"), 0);
	assert_int_equal(model_add_note(profile->model, "/srv/secret/ /srv/secret/a/b, and c"), 0);
	assert_int_equal(model_compute(profile->model), 0);
}

static bool has_file(const struct model *model, const char *file)
{
	const struct model_process *p = model->processes[0];

	for (size_t i = 0; i < p->line_count; i++)
		if (!strcmp(p->lines[i].location->file, file))
			return true;
	return false;
}

static void test_names(void **state)
{
	static const char *const wanted[] = {"shop/orders/model.py",
					     "shop/main.py",
					     "lone.py",
					     "numpy/core/numeric.py",
					     "<string>",
					     "relative.py",
					     ""};
	struct source_cache *sources = source_cache_new(source_read_here);
	struct profile profile;
	size_t i;

	(void)state;
	profile_init(&profile);
	fill(&profile);
	assert_int_equal(model_redact(profile.model, sources), 0);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!has_file(profile.model, wanted[i]))
			fail_msg("no %s", wanted[i]);
	assert_string_equal(profile.model->processes[0]->note,
			    "can't read 'x.so' (no symbols) in y.so");
	assert_string_equal(profile.model->skips[0].reason, "z: gone");
	assert_string_equal(profile.model->notes[0], "/srv/secret/ b, and c");
	source_cache_free(sources);
	profile_fini(&profile);
}

/* Without sources nothing is known to be a package. */
static void test_without_sources(void **state)
{
	struct profile profile;

	(void)state;
	profile_init(&profile);
	fill(&profile);
	assert_int_equal(model_redact(profile.model, NULL), 0);
	assert_true(has_file(profile.model, "model.py") && has_file(profile.model, "main.py"));
	assert_true(has_file(profile.model, "numpy/core/numeric.py"));
	profile_fini(&profile);
}

static void test_commands(void **state)
{
	static const struct {
		char *argv[6];
		const char *left;
	} cases[] = {
		{{"/usr/bin/python3", "-u", "/srv/a/api.py", "--key", "x"}, "python3 api.py"},
		{{"python3", "-m", "http.server", "80"}, "python3 -m http.server"},
		{{"python3", "-c", "secret = 1", "x"}, "python3 -c"},
		{{"/opt/x/python3"}, "python3"},
		{{"gunicorn: worker [secret]"}, "gunicorn"},
		{{"/opt/x/uwsgi", "--ini", "x"}, "uwsgi"},
		{{"python3", "/home/a/secret/app/", "x"}, "python3 app"},
		{{"/home/a/run.py: worker"}, "run.py"},
		{{"myjob --user a --token /b/c"}, "myjob"},
		{{NULL}, ""},
	};
	struct profile profile;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[128] = "", *const * word;

		profile_init(&profile);
		assert_non_null(model_add_process(profile.model, 5, 1, "comm", cases[i].argv, "",
						  "3.11.2", "walk"));
		assert_int_equal(model_compute(profile.model), 0);
		assert_int_equal(model_redact(profile.model, NULL), 0);
		word = profile.model->processes[0]->cmdline;
		for (j = 0; word[j]; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 j ? " " : "", word[j]);
		assert_string_equal(text, cases[i].left);
		profile_fini(&profile);
	}
}

/* No format has the word, and the sums are what they were. */
static void test_formats(void **state)
{
	struct source_cache *sources = source_cache_new(source_read_here);
	struct profile profile;
	struct rendered output;
	struct sums sums;
	size_t i;

	(void)state;
	profile_init(&profile);
	fill(&profile);
	sums = sums_of_model(profile.model);
	free(profile.model->notes[0]);
	profile.model->notes[0] = strdup("/srv/secret/a");
	assert_int_equal(model_redact(profile.model, sources), 0);
	for (i = 0; renderers[i]; i++) {
		if (renderers[i]->absent)
			continue;
		output = render(profile.model, renderers[i]->name, 0);
		if (!renderers[i]->binary || renderers[i]->page)
			assert_null(strstr(output.text, "secret"));
		free(output.text);
	}
	check_folded(profile.model, &sums);
	check_all(profile.model);
	source_cache_free(sources);
	profile_fini(&profile);
}

/* Names of all kinds, and a process whose pages are known. */
static void test_others(void **state)
{
	void (*const fills[])(struct profile *) = {profile_fill, profile_fill_touched,
						   profile_fill_hostile};
	struct profile profile;
	struct sums sums;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		profile_init(&profile);
		fills[i](&profile);
		sums = sums_of_model(profile.model);
		assert_int_equal(model_redact(profile.model, NULL), 0);
		check_folded(profile.model, &sums);
		check_all(profile.model);
		profile_fini(&profile);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	 cmocka_unit_test(test_without_sources),
		cmocka_unit_test(test_commands), cmocka_unit_test(test_formats),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
