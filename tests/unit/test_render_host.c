/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The beginning of a report on a host: programs, what they grew by, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "render/render.h"
#include "render/render_host.h"

#define PAGE   4096
#define MIB(n) ((int64_t)((n)*1024 * 1024))
#define DOCKER "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A process of `script` whose RSS went from 10 MiB to 10 MiB + `grown`, by `line`. */
static struct model_process *add(struct model *model, int pid, const char *script,
				 const char *cgroup, double grown, int line)
{
	char *argv[] = {(char *)"/usr/bin/python3", (char *)script, NULL};
	struct pymem_counters counters = {};
	const struct model_location *location = model_location(model, script, "work", line, 1);
	struct model_process *p =
		model_add_process(model, pid, 1, "python3", argv, cgroup, "3.11.2", "walk");

	assert_non_null(p);
	p->rss_start_bytes = MIB(10);
	p->rss_end_bytes = p->rss_peak_bytes = MIB(10 + grown);
	counters.pages[PYMEM_ANON] = MIB(grown) / PAGE;
	counters.grown_pages = (uint64_t)(MIB(grown) / PAGE);
	assert_int_equal(model_add_stack(model, p, &location, 1, false, &counters, NULL), 0);
	return p;
}

static struct model *host(void)
{
	struct model *model = model_new(PAGE);

	model->start = 100;
	model->end = 110;
	add(model, 1, "scorer.py", "/batch.slice", 2.0, 3);
	add(model, 2, "scorer.py", "/batch.slice", 1.5, 3);
	add(model, 3, "scorer.py", "/batch.slice", 0.5, 9);
	add(model, 4, "api.py", DOCKER, 1.0, 4);
	add(model, 5, "api.py", "/system.slice/api.service", 0.01, 4);
	add(model, 6, "idle.py", "", 0, 1);
	add(model, 7, "gone.py", "", 8, 1)->exited = true;
	assert_int_equal(model_compute(model), 0);
	return model;
}

/* What the function writes; the caller frees it. */
static char *said(const struct model *model, struct render_options options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(render_host(out, model, &options), 0);
	render_host_rest(out, model, &options);
	fclose(out);
	return text;
}

static void test_programs(void **state)
{
	struct model *model = host();
	char *text = said(model, (struct render_options){.host = true, .top = 20});

	(void)state;
	/* api.py is one program at two places; what has ended counts nowhere but in its section. */
	assert_string_equal(
		text,
		"6 Pythons, 3 programs, 1 container   10 s   RSS 65.0 MiB   +5.0 MiB (+30.1/min)\n"
		"     MiB      /min       RSS     N  PROGRAM    WHERE                TOP LINE\n"
		"    +4.0     +24.0      34.0     3  scorer.py  batch.slice          scorer.py:3 "
		"work\n"
		"    +1.0      +6.0      11.0     1  api.py     docker:0123456789ab  api.py:4 "
		"work\n"
		"\n"
		"2 others did not change by as much as 64 KiB (-v lists them)\n");
	free(text);
	text = said(model, (struct render_options){.host = true, .top = 1, .every = true});
	assert_non_null(strstr(text, "\nand 1 more program that grew (-n 0 shows all)\n"));
	assert_null(strstr(text, "others"));
	free(text);
	text = said(model, (struct render_options){.top = 20});
	assert_string_equal(text, "");
	free(text);
	model_free(model);
}

/* Shared pages are counted once if that is known of each process that runs. */
static void test_shared_once(void **state)
{
	struct model *model = host();
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < model->process_count; i++)
		if (!model->processes[i]->exited)
			model->processes[i]->pss_bytes = MIB(300);
	text = said(model, (struct render_options){.host = true});
	assert_non_null(strstr(text, "RSS 1.8 GiB (shared once)"));
	assert_non_null(strstr(text, "/min       PSS     N  PROGRAM"));
	assert_non_null(strstr(text, "  900.0     3  scorer.py"));
	free(text);
	model->processes[0]->pss_bytes = -1;
	text = said(model, (struct render_options){.host = true});
	assert_null(strstr(text, "shared once"));
	assert_non_null(strstr(text, "/min       RSS     N  PROGRAM"));
	free(text);
	model_free(model);
}

static void test_sections(void **state)
{
	struct model *model = host();
	struct render_options options = {.host = true, .verbose = true};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(renderer_find("table")->emit(out, model, &options), 0);
	fclose(out);
	assert_non_null(strstr(text, "PID 1 "));
	assert_non_null(strstr(text, "PID 7 "));
	assert_null(strstr(text, "PID 5 "));
	assert_null(strstr(text, "PID 6 "));
	assert_true(strstr(text, "6 Pythons") == text);
	free(text);
	model_free(model);
}

/* Applications of one server are programs of their own; a titled server's processes are one. */
static void test_servers(void **state)
{
	static const char *const titles[] = {"gunicorn: master [a:app]", "gunicorn: worker [a:app]",
					     "gunicorn: worker [b:app]"};
	struct model *model = model_new(PAGE);
	char *text;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct model_process *p = add(model, i + 1, titles[i], "", 1, 3);

		/* The title is all that there is. */
		free(p->cmdline[0]);
		p->cmdline[0] = p->cmdline[1];
		p->cmdline[1] = NULL;
	}
	assert_int_equal(model_compute(model), 0);
	text = said(model, (struct render_options){.host = true});
	assert_non_null(strstr(text, "3 Pythons, 2 programs"));
	assert_non_null(strstr(text, "     2  gunicorn a:app  "));
	assert_non_null(strstr(text, "     1  gunicorn b:app  "));
	free(text);
	model_free(model);
}

static void test_nothing(void **state)
{
	struct model *model = model_new(PAGE);
	char *text = said(model, (struct render_options){.host = true});

	(void)state;
	assert_string_equal(text, "0 Pythons, 0 programs   0.0 s   RSS 0.0 MiB   0.0 MiB\n"
				  "no program grew\n\n");
	free(text);
	model_free(model);
}

/* No row is wider than it may be, however long the names are, down to where it can't be. */
static void test_narrow(void **state)
{
	char script[5000], *text, *line, *rest;
	struct model *model = model_new(PAGE);

	(void)state;
	memset(script, 'x', sizeof(script) - 1);
	script[sizeof(script) - 1] = '\0';
	memcpy(script, "/srv/\033[31m", 10);
	add(model, 1, script, script, 4, 3);
	assert_int_equal(model_compute(model), 0);
	text = said(model, (struct render_options){.host = true, .width = 120});
	assert_null(strchr(text, '\033'));
	for (rest = text; (line = strsep(&rest, "\n"));)
		assert_true(strlen(line) <= 120 + 8); /* an ellipsis has 3 bytes */
	free(text);
	model_free(model);
}

/* A live screen begins with the first line alone, and is no higher for that. */
/* Whose a place is, is not cut. */
static void test_owner(void **state)
{
	struct model *model = host();
	char *text;

	(void)state;
	add(model, 8, "forger.py", "/user.slice/user-1000.slice/user@1000.service" DOCKER, 9, 3);
	assert_int_equal(model_compute(model), 0);
	text = said(model, (struct render_options){.host = true, .width = 60});
	assert_non_null(strstr(text, "  forger.py  docker:012… of user 1000  "));
	assert_non_null(strstr(text, "  api.py     docker:0123456789ab       "));
	free(text);
	model_free(model);
}

static void test_live(void **state)
{
	struct model *model = host();
	struct render_options options = {.host = true, .live = true, .top = 20, .width = 100};
	unsigned rows;
	size_t size;
	char *text;
	FILE *out;

	(void)state;
	for (options.height = 5; options.height < 40; options.height++) {
		text = NULL;
		out = open_memstream(&text, &size);
		assert_int_equal(renderer_find("table")->emit(out, model, &options), 0);
		fclose(out);
		assert_true(strstr(text, "6 Pythons, 3 programs, 1 container   10 s") == text);
		/* Below that there is only room for what has grown most. */
		assert_true(options.height < 12 || strstr(text, "\nscorer.py"));
		assert_null(strstr(text, "TOP LINE"));
		rows = 0;
		for (const char *at = text; (at = strchr(at, '\n')); at++)
			rows++;
		assert_true(rows <= options.height);
		free(text);
	}
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs), cmocka_unit_test(test_shared_once),
		cmocka_unit_test(test_sections), cmocka_unit_test(test_servers),
		cmocka_unit_test(test_nothing),	 cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_live),	 cmocka_unit_test(test_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
