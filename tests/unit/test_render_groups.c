/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reports by container, unit, user, program and process: the answer, the rows, what fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"
#include "render/render.h"
#include "render/render_groups.h"

#define PAGE   4096
#define MIB(n) ((int64_t)((n)*1024 * 1024))
#define WEB    "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD                                                            \
	"/kubepods/burstable/pod8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f/" \
	"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

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
	p->id = (uint32_t)pid;
	p->rss_start_bytes = MIB(10);
	p->rss_end_bytes = p->rss_peak_bytes = MIB(10 + grown);
	p->pss_bytes = -1;
	counters.pages[PYMEM_ANON] = MIB(grown) / PAGE;
	counters.grown_pages = (uint64_t)(MIB(grown) / PAGE);
	assert_int_equal(model_add_stack(model, p, &location, 1, false, &counters, NULL), 0);
	return p;
}

static struct model *host(void)
{
	struct model *model = model_new(PAGE);

	assert_non_null(model);
	model->start = 100;
	model->end = 110;
	add(model, 1, "scorer.py", POD, 2.0, 3);
	add(model, 2, "scorer.py", POD "/init.scope", 1.5, 3);
	add(model, 3, "api.py", WEB, 1.0, 4);
	add(model, 4, "api.py", "/system.slice/api.service", 0.5, 4);
	add(model, 5, "idle.py", "", 0, 1);
	assert_int_equal(model_compute(model), 0);
	return model;
}

static void add_cgroups(struct model *model)
{
	const struct model_cgroup pod = {(char *)POD, MIB(40), MIB(64), MIB(48), 2, 12.5};
	const struct model_cgroup web = {(char *)WEB, MIB(30), -1, -1, 0, 0};

	assert_int_equal(model_add_cgroup(model, &pod), 0);
	assert_int_equal(model_add_cgroup(model, &web), 0);
}

static char *said(struct model *model, const char *format, struct render_options options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(renderer_find(format)->emit(out, model, &options), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void check(struct model *model, struct render_options options, const char *wanted)
{
	char *text = said(model, "table", options);

	assert_string_equal(text, wanted);
	free(text);
}

#define HEAD "5 Pythons, 3 programs, 2 containers   10 s   RSS 55.0 MiB   +5.0 MiB (+30.0/min)\n"

static void test_containers(void **state)
{
	struct model *model = host();

	(void)state;
	check(model, (struct render_options){.by = MODEL_BY_CONTAINER},
	      "container:fedcba987654 (8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f) grew most: "
	      "+3.5 MiB in 10 s, 70 % of what grew. Most of it at scorer.py:3 work.\n" HEAD
	      "     MiB      /min       RSS     N  CONTAINER               POD           "
	      "                        TOP LINE\n"
	      "    +3.5     +21.0      23.5     2  container:fedcba987654  "
	      "8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f  scorer.py:3 work\n"
	      "    +1.0      +6.0      11.0     1  docker:0123456789ab     "
	      "                                      api.py:4 work\n"
	      "    +0.5      +3.0      20.5     2  (no container)          "
	      "                                      api.py:4 work\n");
	add_cgroups(model);
	check(model, (struct render_options){.by = MODEL_BY_CONTAINER, .top = 1},
	      "container:fedcba987654 (8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f) grew most: "
	      "+3.5 MiB in 10 s, 70 % of what grew. Most of it at scorer.py:3 work. It uses "
	      "48.0 MiB of its limit of 64.0 MiB (75 %). 2 of its processes were killed for "
	      "want of memory.\n" HEAD
	      "     MiB      /min       RSS     N      USED     LIMIT  OF IT  KILLS  PRESSURE  "
	      "CONTAINER               POD                                   TOP LINE\n"
	      "    +3.5     +21.0      23.5     2      40.0      64.0    75%      2     12.5%  "
	      "container:fedcba987654  8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f  scorer.py:3 work\n"
	      "and 2 more, +1.5 MiB (-n 0 shows all)\n");
	model_free(model);
}

static void test_others(void **state)
{
	struct model *model = host();
	char *text;

	(void)state;
	check(model, (struct render_options){.by = MODEL_BY_PROGRAM, .top = 2},
	      "scorer.py (container:fedcba987654) grew most: +3.5 MiB in 10 s, 70 % of what "
	      "grew. Most of it at scorer.py:3 work.\n" HEAD
	      "     MiB      /min       RSS     N  PROGRAM    WHERE                   TOP LINE\n"
	      "    +3.5     +21.0      23.5     2  scorer.py  container:fedcba987654  "
	      "scorer.py:3 work\n"
	      "    +1.0      +6.0      11.0     1  api.py     docker:0123456789ab     "
	      "api.py:4 work\n"
	      "and 2 more, +0.5 MiB (-n 0 shows all)\n");
	text = said(model, "table", (struct render_options){.by = MODEL_BY_PROCESS});
	assert_non_null(strstr(text, "PID 1 scorer.py (container:fedcba987654) grew most: +2.0"));
	assert_non_null(strstr(text, "  PID 5 idle.py "));
	free(text);
	text = said(model, "table", (struct render_options){.by = MODEL_BY_UNIT});
	assert_true(strstr(text, "What runs in no unit grew most: +3.0 MiB") == text);
	assert_non_null(strstr(text, "  api.service "));
	assert_non_null(strstr(text, "  init.scope   container:fedcba98765"));
	free(text);
	text = said(model, "table", (struct render_options){.by = MODEL_BY_USER});
	assert_true(strstr(text, "Processes of unknown users grew most: +5.0 MiB") == text);
	assert_non_null(strstr(text, "  (unknown)  scorer.py:3"));
	free(text);
	model_free(model);
}

/* If it is known of all, in which no page counts twice. */
static void test_pss(void **state)
{
	struct model *model = host();
	char *text;

	(void)state;
	for (size_t i = 0; i < model->process_count; i++)
		model->processes[i]->pss_bytes = MIB(5);
	text = said(model, "table", (struct render_options){.by = MODEL_BY_CONTAINER});
	assert_non_null(strstr(text, " PSS     N  "));
	assert_non_null(strstr(text, "      10.0     2  container:fedcba987654"));
	assert_non_null(strstr(text, "RSS 25.0"));
	free(text);
	model->processes[4]->pss_bytes = -1;
	text = said(model, "table", (struct render_options){.by = MODEL_BY_CONTAINER});
	assert_non_null(strstr(text, " RSS     N  "));
	free(text);
	model_free(model);
}

static void test_nothing(void **state)
{
	struct model *model = model_new(PAGE);
	char *text;

	(void)state;
	check(model, (struct render_options){.by = MODEL_BY_CONTAINER},
	      "No container grew in 0.0 s.\n"
	      "0 Pythons, 0 programs   0.0 s   RSS 0.0 MiB   0.0 MiB\n");
	model->gathered = (struct model_gathered){.processes = 3, .change_bytes = MIB(2)};
	model->unfolded = model->gathered;
	text = said(model, "table", (struct render_options){.by = MODEL_BY_CONTAINER});
	assert_true(strstr(text, "What has no row of its own grew most: +2.0 MiB") == text);
	assert_non_null(strstr(text, "  (other)    \n"));
	free(text);
	model_free(model);
}

/* No row is wider than the terminal, and no byte of a name gets there. */
static void test_narrow(void **state)
{
	struct model *model = host();
	char name[3000], *text, *line, *rest;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memcpy(name, "/lxc.payload.\033[31m\xff", 19);
	add(model, 9, name + 1, name, 4, 3);
	assert_int_equal(model_compute(model), 0);
	add_cgroups(model);
	for (unsigned width = 60; width < 260; width++) {
		for (enum model_by by = MODEL_BY_PROCESS; by <= MODEL_BY_USER; by++) {
			text = said(model, "table",
				    (struct render_options){.by = by, .width = width});
			assert_null(strchr(text, '\033'));
			for (rest = text; (line = strsep(&rest, "\n"));)
				if (text_columns(line) > width)
					fail_msg("%u columns: %s", width, line);
			free(text);
		}
	}
	text = said(model, "table",
		    (struct render_options){
			    .by = MODEL_BY_PROCESS, .live = true, .height = 11, .width = 100});
	assert_non_null(strstr(text, "\nand 3 more, "));
	free(text);
	model_free(model);
}

#define USER "/user.slice/user-1000.slice/user@1000.service"

/* Whose a container or a unit is, is said at any width, and no blanks push it away. */
static void test_owners(void **state)
{
	static const char *const forged[] = {
		USER WEB,
		USER "/api.service                                        .service",
		USER "/lxc.payload.\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		USER WEB "/api.service",
	};
	struct model *model = host();
	char *text, *line, *rest;

	(void)state;
	for (int i = 0; i < 4; i++)
		add(model, 10 + i, "forger.py", forged[i], 20 - i, 3);
	assert_int_equal(model_compute(model), 0);
	for (unsigned width = 60; width < 260; width++) {
		for (enum model_by by = MODEL_BY_CONTAINER; by <= MODEL_BY_UNIT; by++) {
			size_t owned = 0;

			text = said(model, "table",
				    (struct render_options){.by = by, .width = width});
			assert_null(strstr(text, "api.service  .service"));
			rest = strstr(text, "TOP LINE") ?: strstr(text, "     MiB      /min");
			for (; (line = strsep(&rest, "\n"));)
				owned += strstr(line, " of user 1000 ") ? 1 : 0;
			/* The second one is no container, and the last one is in the first. */
			if (owned != (by == MODEL_BY_CONTAINER ? 2 : 4))
				fail_msg("%u columns, by %s: %zu", width, render_by_names[by],
					 owned);
			free(text);
		}
	}
	text = said(model, "table", (struct render_options){.by = MODEL_BY_CONTAINER, .width = 60});
	assert_non_null(strstr(text, "  docker… of user 1000  "));
	free(text);
	model_free(model);
}

static int64_t sum_of(json_t *row, const char *key)
{
	json_t *object = json_object_get(row, key), *value;
	const char *name;
	int64_t sum = 0;

	json_object_foreach(object, name, value) sum += json_integer_value(value);
	return sum;
}

static void check_sums(json_t *row)
{
	int64_t change = json_integer_value(json_object_get(row, "change_bytes"));
	json_t *line;
	size_t i;

	change -= json_integer_value(json_object_get(row, "other_lines_bytes"));
	change -= sum_of(row, "lost_bytes");
	json_array_foreach(json_object_get(row, "lines"), i, line) change -=
		json_integer_value(json_object_get(line, "increment_bytes"));
	assert_int_equal(change, 0);
}

static void test_json(void **state)
{
	static const char *const keys[] = {"name", "runtime", "id", "pod", "qos"};
	static const char *const values[] = {
		"container:fedcba987654", NULL,
		"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
		"8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f", "burstable"};
	struct model *model = host();
	json_t *report, *rows, *row, *container;
	size_t i;
	char *text;

	(void)state;
	add_cgroups(model);
	text = said(model, "json", (struct render_options){.by = MODEL_BY_CONTAINER, .top = 1});
	report = json_loads(text, 0, NULL);
	assert_non_null(report);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(report, "groups"), "by")),
		"container");
	rows = json_object_get(json_object_get(report, "groups"), "rows");
	assert_int_equal(json_array_size(rows), 3);
	json_array_foreach(rows, i, row) check_sums(row);
	container = json_object_get(json_array_get(rows, 0), "container");
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = json_string_value(json_object_get(container, keys[i]));

		assert_string_equal(value ?: "", values[i] ?: "");
	}
	assert_int_equal(json_integer_value(json_object_get(container, "limit_bytes")), MIB(64));
	assert_int_equal(json_integer_value(json_object_get(container, "oom_kills")), 2);
	/* The one of each process is the same. */
	assert_true(json_equal(
		container, json_object_get(json_array_get(json_object_get(report, "processes"), 0),
					   "container")));
	assert_true(json_is_null(json_object_get(json_array_get(rows, 1), "container")));
	json_decref(report);
	free(text);
	model_free(model);
}

static void test_metrics(void **state)
{
	static const struct {
		enum model_by by;
		const char *sample;
	} cases[] = {
		{MODEL_BY_CONTAINER,
		 "\npymem_rss_change_bytes{container=\"container:fedcba987654\",pod=\"8f2d7c3e-"
		 "1b7a-"
		 "4c55-9d0e-0a1b2c3d4e5f\",id=\"fedcba9876543210fedcba9876543210fedcba9876543210"
		 "fedcba9876543210\"} 3670016\n"},
		{MODEL_BY_CONTAINER,
		 "\npymem_rss_change_bytes{container=\"\",pod=\"\",id=\"\"} 524288\n"},
		{MODEL_BY_UNIT,
		 "\npymem_rss_change_bytes{unit=\"api.service\",container=\"\",id=\"\"} 524288\n"},
		{MODEL_BY_USER, "\npymem_rss_change_bytes{user=\"\"} 5242880\n"},
		{MODEL_BY_PROCESS,
		 "\npymem_rss_change_bytes{program=\"api.py\",where=\"docker:0123456789ab\","
		 "pid=\"3\",image=\"3\"} 1048576\n"},
		{MODEL_BY_LINE, "\npymem_rss_change_bytes{program=\"api.py\",where=\"docker:"
				"0123456789ab\"} 1048576\n"},
	};
	struct model *model = host();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = said(model, "openmetrics", (struct render_options){.by = cases[i].by});

		if (!strstr(text, cases[i].sample))
			fail_msg("no %s in %s", cases[i].sample, text);
		free(text);
	}
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_containers), cmocka_unit_test(test_others),
		cmocka_unit_test(test_pss),	   cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_owners),	   cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_json),	   cmocka_unit_test(test_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
