/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The live screen without a terminal: what its rows are, their order, the selected one, and all
 * texts on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "screen/screen_cells.h"
#include "screen/screen_names.h"
#include "screen/screen_steward.h"

#define PAGE 4096
#define MIB  (1024 * 1024)

/* --- histories --- */

static void test_history_rate(void **state)
{
	struct screen_history history = {};

	(void)state;
	assert_true(isnan(history_per_minute(&history)));
	history_add(&history, 10, 100);
	history_add(&history, 11, 200);
	assert_true(isnan(history_per_minute(&history)));
	history_add(&history, 12, 300);
	assert_int_equal((int)history_per_minute(&history), 6000);
	/* After a minute what was before does not count any more. */
	for (int i = 0; i < 200; i++)
		history_add(&history, 13 + i, 300);
	assert_int_equal((int)history_per_minute(&history), 0);
	history_clear(&history);
	assert_true(isnan(history_per_minute(&history)));
	/* A value that is corrected at once. */
	history_add(&history, 300, 900);
	history_add(&history, 300, 100);
	history_add(&history, 302, 100);
	assert_int_equal((int)history_per_minute(&history), 0);
}

static void test_history_trend(void **state)
{
	struct screen_history history = {};
	char text[HISTORY_TEXT];

	(void)state;
	history_trend(&history, 0, true, text);
	assert_string_equal(text, "        ");
	for (int i = 0; i <= 80; i++)
		history_add(&history, i, i * 1000);
	history_trend(&history, 0, true, text);
	assert_string_equal(text, "▁▂▃▄▅▆▇█");
	history_trend(&history, 0, false, text);
	assert_string_equal(text, "__..--^^");
	history_trend(&history, 1 << 30, true, text);
	assert_string_equal(text, "▁▁▁▁▁▁▁▁");
}

/* --- names --- */

static void check_program(const char *wanted, char *const *cmdline)
{
	char *name = screen_program(cmdline, "comm");

	assert_string_equal(name, wanted);
	free(name);
}

#define PROGRAM(wanted, ...) check_program(wanted, (char *[]){__VA_ARGS__, NULL})

static void test_programs(void **state)
{
	(void)state;
	PROGRAM("comm", NULL);
	PROGRAM("scorer.py", "/usr/bin/python3", "scorer.py", "--shard", "1");
	PROGRAM("worker.py", "python3.11", "-X", "dev", "-Bu", "/srv/app/worker.py");
	PROGRAM("worker.py", "python3", "-Xframe_m=1", "-W", "ignore", "worker.py");
	PROGRAM("worker.py", "python3", "--check-hash-based-pycs", "always", "worker.py");
	PROGRAM("json.tool", "python3", "-m", "json.tool", "x");
	PROGRAM("json.tool", "python3", "-Imjson.tool");
	PROGRAM("python -c", "python3", "-Sc", "import time");
	PROGRAM("python -", "python3", "-", "x");
	PROGRAM("python3", "/usr/bin/python3");
	PROGRAM("gunicorn", "gunicorn: worker [shop]");
	PROGRAM("uwsgi", "/usr/sbin/uwsgi", "--ini", "x: y");
	PROGRAM("comm", "python3", "-m");
}

static void check_command(const char *wanted, char *const *cmdline)
{
	char *name = screen_command(cmdline, "comm");

	assert_string_equal(name, wanted);
	free(name);
}

#define COMMAND(wanted, ...) check_command(wanted, (char *[]){__VA_ARGS__, NULL})

static void test_commands(void **state)
{
	(void)state;
	COMMAND("comm", NULL);
	COMMAND("scorer.py --shard 1", "/usr/bin/python3", "-X", "dev", "/srv/scorer.py", "--shard",
		"1");
	COMMAND("json.tool x", "python3", "-Im", "json.tool", "x");
	COMMAND("json.tool x", "python3", "-mjson.tool", "x");
	COMMAND("python -c import time", "python3", "-Sc", "import time");
	COMMAND("python3", "/usr/bin/python3", "-i");
	COMMAND("gunicorn -w 3", "/usr/bin/gunicorn", "-w", "3");
	COMMAND("gunicorn: worker [/srv/shop]", "gunicorn: worker [/srv/shop]");
}

static void check_container(const char *wanted, const char *cgroup)
{
	char *name = screen_container(cgroup);

	assert_string_equal(name, wanted);
	free(name);
}

static void test_containers(void **state)
{
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	(void)state;
	check_container("", "");
	check_container("", "/system.slice/cron.service");
	check_container("docker:0123456789ab", "/system.slice/docker-" ID ".scope");
	check_container("docker:0123456789ab", "/docker/" ID);
	check_container("podman:0123456789ab", "/machine.slice/libpod-" ID ".scope/container");
	check_container("containerd:0123456789ab",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/"
			"cri-containerd-" ID ".scope");
	check_container("container:0123456789ab", "/kubepods/besteffort/pod1-2/" ID);
	check_container("container:0123456789ab", "/actions_job/" ID);
	check_container("lxc:web", "/lxc.payload.web/system.slice/x.service");
	check_container("nspawn:web", "/machine.slice/machine-web.scope/payload");
	/* The innermost one. */
	check_container("docker:0123456789ab in lxc:a", "/lxc.payload.a/docker/" ID);
	check_container("", "/docker/0123456789abcdef");
}

static void test_library(void **state)
{
	(void)state;
	assert_true(screen_is_library("/usr/lib/python3.11/json/encoder.py"));
	assert_true(screen_is_library("<frozen importlib._bootstrap>"));
	assert_false(screen_is_library("/usr/lib/python3/dist-packages/numpy/x.py"));
	assert_false(screen_is_library("/opt/venv/lib/python3.11/site-packages/x.py"));
	assert_false(screen_is_library("/srv/app/python3.py"));
}

/* --- a host of processes --- */

struct host {
	struct model *model;
	struct screen_data data;
	struct screen_view view;
	struct screen_rows rows;
	double now;
};

struct one { /* a process of a sample */
	int pid;
	const char *script, *cgroup;
	int64_t mib; /* RSS now; it began with 10 */
	bool ended;
};

static void add_line(struct model *model, struct model_process *process, const char *file, int line,
		     int64_t pages, const char *caller)
{
	const struct model_location *frames[2];
	struct pymem_counters counters = {};
	unsigned depth = caller ? 2 : 1;

	frames[0] = model_location(model, file, "work", line, 1);
	frames[1] = caller ? model_location(model, caller, "main", 9, 1) : NULL;
	counters.pages[PYMEM_ANON] = pages;
	counters.grown_pages = pages > 0 ? (uint64_t)pages : 0;
	counters.freed_pages = pages < 0 ? (uint64_t)-pages : 0;
	assert_false(model_add_stack(model, process, frames, depth, false, &counters, NULL));
}

static void sample(struct host *host, const struct one *ones, size_t count, double seconds)
{
	model_clear(host->model);
	host->now += seconds;
	for (size_t i = 0; i < count; i++) {
		char *cmdline[] = {"python3", (char *)ones[i].script, NULL};
		struct model_process *process =
			model_add_process(host->model, ones[i].pid, 1, "python3", cmdline,
					  ones[i].cgroup, "3.11.2", "walk");

		process->id = (uint32_t)ones[i].pid;
		process->rss_start_bytes = 10 * MIB;
		process->rss_end_bytes = ones[i].mib * MIB;
		process->exited = ones[i].ended;
		add_line(host->model, process, "/srv/app/work.py", 3,
			 (ones[i].mib - 10) * (MIB / PAGE), "/srv/app/main.py");
	}
	assert_false(model_compute(host->model));
	assert_false(screen_data_take(&host->data, host->model, host->now));
	assert_false(screen_rows_make(&host->rows, &host->data, &host->view));
}

static int begin(void **state)
{
	struct host *host = calloc(1, sizeof(*host));

	host->model = model_new(PAGE);
	host->now = 100;
	screen_data_init(&host->data, host->now);
	screen_view_init(&host->view, false);
	*state = host;
	return 0;
}

static int end(void **state)
{
	struct host *host = *state;

	screen_rows_fini(&host->rows);
	screen_view_fini(&host->view);
	screen_data_fini(&host->data);
	model_free(host->model);
	free(host);
	return 0;
}

static void remake(struct host *host)
{
	assert_false(screen_rows_make(&host->rows, &host->data, &host->view));
}

static void enter(struct host *host)
{
	assert_false(screen_enter(&host->data, &host->view, &host->rows));
	remake(host);
}

static const char *names(const struct host *host, char *text)
{
	*text = '\0';
	for (size_t i = 0; i < host->rows.count; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "", host->rows.rows[i].name);
	return text;
}

#define NAMES(host, wanted) assert_string_equal(names(host, (char[1000]){}), wanted)
#define SAMPLE(host, ...)                         \
	sample(host, (struct one[]){__VA_ARGS__}, \
	       sizeof((struct one[]){__VA_ARGS__}) / sizeof(struct one), 1)

static void test_programs_are_gathered(void **state)
{
	struct host *host = *state;

	for (int i = 0; i < 4; i++)
		SAMPLE(host, {1, "a.py", "", 20 + i, false}, {2, "b.py", "", 30 + i, false},
		       {3, "b.py", "", 40, false});
	NAMES(host, "b.py a.py");
	assert_int_equal(host->rows.rows[0].object->now.count, 2);
	assert_int_equal(host->rows.rows[0].object->now.rss_bytes, 73 * MIB);
	assert_int_equal(host->rows.rows[0].object->now.growth_bytes, 53 * MIB);
	assert_int_equal((int64_t)host->rows.rows[0].object->now.per_minute, 60 * MIB);
	assert_int_equal(host->data.host.now.rss_bytes, 96 * MIB);
	assert_int_equal((int64_t)host->data.host.now.per_minute, 120 * MIB);
	assert_int_equal(host->data.host.now.count, 3);
}

static void test_pages_are_shared_once(void **state)
{
	struct host *host = *state;
	struct screen_process *process, *next;

	SAMPLE(host, {1, "a.py", "", 20, false}, {2, "a.py", "", 20, false});
	assert_false(host->data.all_shared);
	HASH_ITER(hh, host->data.processes, process, next)
	{
		process->pss_bytes = 12 * MIB;
		process->pss_rss_bytes = 20 * MIB;
	}
	SAMPLE(host, {1, "a.py", "", 21, false}, {2, "a.py", "", 20, false});
	assert_true(host->data.all_shared);
	assert_int_equal(host->data.host.now.rss_bytes, 25 * MIB);
}

static void test_the_ended_stay_in_place(void **state)
{
	struct host *host = *state;

	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "a.py", "", 30, false},
	       {3, "a.py", "", 20, false});
	enter(host);
	assert_int_equal(host->rows.count, 3);
	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "a.py", "", 30, true},
	       {3, "a.py", "", 20, false});
	assert_int_equal(host->rows.rows[1].number, 2);
	assert_true(host->rows.rows[1].ended);
	/* It is no part of any sum. */
	assert_int_equal(host->data.host.now.growth_bytes, 50 * MIB);
	assert_int_equal(host->data.host.now.count, 2);
	SAMPLE(host, {1, "a.py", "", 50, false}, {3, "a.py", "", 20, false});
	assert_int_equal(host->rows.count, 2);
}

static void test_programs_without_processes(void **state)
{
	struct host *host = *state;

	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 30, false});
	SAMPLE(host, {1, "a.py", "", 50, true}, {2, "b.py", "", 30, false});
	NAMES(host, "b.py a.py");
	assert_true(host->rows.rows[1].ended);
	for (int i = 0; i < 12; i++)
		SAMPLE(host, {1, "a.py", "", 50, true}, {2, "b.py", "", 30, false});
	NAMES(host, "b.py");
	/* The last ones stay. */
	for (int i = 0; i < 12; i++)
		SAMPLE(host, {1, "a.py", "", 50, true}, {2, "b.py", "", 30, true});
	assert_int_equal(host->rows.count, 2);
}

static void test_order_stays(void **state)
{
	struct host *host = *state;

	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 49, false},
	       {3, "c.py", "", 20, false});
	NAMES(host, "a.py b.py c.py");
	/* A little ahead is not ahead. */
	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 52, false},
	       {3, "c.py", "", 20, false});
	NAMES(host, "a.py b.py c.py");
	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 60, false},
	       {3, "c.py", "", 70, false});
	NAMES(host, "c.py b.py a.py");
	/* But who asks for the order gets it. */
	SAMPLE(host, {1, "a.py", "", 61, false}, {2, "b.py", "", 60, false},
	       {3, "c.py", "", 70, false});
	NAMES(host, "c.py b.py a.py");
	screen_rows_resort(&host->data);
	remake(host);
	NAMES(host, "c.py a.py b.py");
	/* A new one is where it belongs. */
	SAMPLE(host, {1, "a.py", "", 61, false}, {2, "b.py", "", 60, false},
	       {3, "c.py", "", 70, false}, {4, "d.py", "", 90, false});
	NAMES(host, "d.py c.py a.py b.py");
}

static void test_selection_follows(void **state)
{
	struct host *host = *state;

	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 30, false},
	       {3, "c.py", "", 20, false});
	screen_select(&host->view, &host->rows, 1, 10);
	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 30, false},
	       {3, "c.py", "", 90, false});
	NAMES(host, "c.py a.py b.py");
	assert_int_equal(screen_place(&host->view)->at, 2);
	/* What takes the place of one that has gone is selected. */
	SAMPLE(host, {1, "a.py", "", 50, false}, {3, "c.py", "", 90, false});
	assert_int_equal(screen_place(&host->view)->at, 1);
	SAMPLE(host, {3, "c.py", "", 90, false});
	assert_int_equal(screen_place(&host->view)->at, 0);
}

static void test_scrolling(void **state)
{
	struct host *host = *state;
	struct screen_place *place;

	SAMPLE(host, {1, "a", "", 90, false}, {2, "b", "", 80, false}, {3, "c", "", 70, false},
	       {4, "d", "", 60, false}, {5, "e", "", 50, false});
	place = screen_place(&host->view);
	screen_select(&host->view, &host->rows, 100, 2);
	assert_int_equal(place->at, 4);
	assert_int_equal(place->top, 3);
	/* A taller screen has no empty rows below. */
	screen_select(&host->view, &host->rows, 0, 4);
	assert_int_equal(place->top, 1);
	screen_select(&host->view, &host->rows, -100, 2);
	assert_int_equal(place->at, 0);
	assert_int_equal(place->top, 0);
}

static void test_filter(void **state)
{
	struct host *host = *state;

	SAMPLE(host, {1, "api.py", "", 50, false}, {2, "scorer.py", "", 30, false});
	strcpy(screen_place(&host->view)->filter, "SCO");
	remake(host);
	NAMES(host, "scorer.py");
	assert_int_equal(host->rows.filtered, 1);
	/* It belongs to its level. */
	enter(host);
	assert_int_equal(host->rows.count, 1);
	assert_true(screen_leave(&host->data, &host->view));
	remake(host);
	NAMES(host, "scorer.py");
}

static void test_sort(void **state)
{
	struct host *host = *state;
	struct screen_place *place = screen_place(&host->view);

	SAMPLE(host, {1, "b.py", "", 50, false}, {2, "a.py", "", 30, false},
	       {3, "a.py", "", 15, false});
	place->sort = COLUMN_NAME;
	screen_rows_resort(&host->data);
	remake(host);
	NAMES(host, "a.py b.py");
	place->backwards = true;
	screen_rows_resort(&host->data);
	remake(host);
	NAMES(host, "b.py a.py");
	/* Columns that are not there are passed over, and it goes round. */
	place->sort = COLUMN_FAULTS;
	screen_sort_step(&host->data, &host->view, 1);
	assert_int_equal(place->sort, COLUMN_COUNT);
	screen_sort_step(&host->data, &host->view, 1);
	assert_int_equal(place->sort, COLUMN_NAME);
	screen_sort_step(&host->data, &host->view, 1);
	assert_int_equal(place->sort, COLUMN_RSS);
	screen_sort_step(&host->data, &host->view, -1);
	assert_int_equal(place->sort, COLUMN_NAME);
}

static void test_levels(void **state)
{
	struct host *host = *state;
	struct one ones[] = {{1, "a.py", "/docker/" ID, 50, false}, {2, "a.py", "", 30, false}};

	sample(host, ones, 2, 1);
	assert_true(host->data.has_containers);
	host->view.outermost = host->view.level = LEVEL_CONTAINERS;
	remake(host);
	NAMES(host, "docker:0123456789ab (no container)");
	enter(host);
	NAMES(host, "a.py");
	assert_int_equal(host->rows.rows[0].object->now.count, 1);
	enter(host);
	assert_int_equal(host->rows.count, 1);
	assert_int_equal(host->rows.rows[0].number, 1);
	enter(host);
	sample(host, ones, 2, 1);
	NAMES(host, "/srv/app/work.py:3");
	assert_int_equal(host->rows.hidden, 1);
	assert_int_equal(host->rows.rows[0].object->now.growth_bytes, 40 * MIB);
	host->view.total = true;
	remake(host);
	assert_int_equal(host->rows.count, 2);
	for (int i = 0; i < 3; i++)
		assert_true(screen_leave(&host->data, &host->view));
	assert_false(screen_leave(&host->data, &host->view));
	remake(host);
	assert_int_equal(host->rows.count, 2);
	assert_null(host->view.container);
}

static void test_source(void **state)
{
	struct host *host = *state;
	struct one one = {1, "a.py", "", 50, false};

	sample(host, &one, 1, 1);
	enter(host);
	enter(host);
	sample(host, &one, 1, 1);
	enter(host);
	assert_int_equal(host->view.level, LEVEL_SOURCE);
	assert_string_equal(host->view.file, "/srv/app/work.py");
	assert_false(screen_source_begin(&host->data, host->view.file, 1, 5));
	host->data.source.texts[2] = strdup("\tkept.append(1)");
	screen_source_fill(&host->data);
	remake(host);
	assert_int_equal(host->rows.count, 5);
	assert_int_equal(host->rows.rows[2].number, 3);
	assert_int_equal(host->rows.rows[2].object->now.growth_bytes, 40 * MIB);
	assert_int_equal(host->rows.rows[1].object->now.growth_bytes, 0);
	assert_int_equal(screen_enter(&host->data, &host->view, &host->rows), 1);
	assert_true(screen_leave(&host->data, &host->view));
	assert_int_equal(host->data.source.count, 0);
}

static void test_reset(void **state)
{
	struct host *host = *state;
	struct one one = {1, "a.py", "", 50, false};
	uint64_t selected;

	sample(host, &one, 1, 1);
	enter(host);
	enter(host);
	sample(host, &one, 1, 1);
	screen_select(&host->view, &host->rows, 0, 5);
	selected = host->rows.rows[0].object->number;
	assert_false(screen_data_reset(&host->data, host->model, host->now));
	remake(host);
	/* Nothing has changed since, so there is no line. */
	assert_int_equal(host->rows.count, 0);
	assert_int_equal(host->data.host.now.growth_bytes, 0);
	one.mib = 53;
	sample(host, &one, 1, 1);
	assert_int_equal(host->rows.rows[0].object->now.growth_bytes, 3 * MIB);
	assert_int_equal(host->rows.rows[0].object->number, selected);
	assert_int_equal(host->rows.rows[0].object->now.grown_bytes, 3 * MIB);
	assert_int_equal(host->data.host.now.growth_bytes, 3 * MIB);
}

static void test_limits(void **state)
{
	static const struct screen_limit limit = {100 * MIB, 75 * MIB}, other = {50 * MIB, 1 * MIB};
	struct host *host = *state;
	struct screen_process *process, *next;

	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "a.py", "", 20, false},
	       {3, "b.py", "", 11, false});
	assert_false(screen_sorts_by(&host->data, LEVEL_PROGRAMS, COLUMN_LIMIT));
	HASH_ITER(hh, host->data.processes, process, next)
	process->limit = process->key.pid == 3 ? NULL : &limit;
	assert_false(screen_data_group(&host->data));
	remake(host);
	assert_true(screen_sorts_by(&host->data, LEVEL_PROGRAMS, COLUMN_LIMIT));
	assert_int_equal((int)(host->rows.rows[0].object->now.limit_share * 100), 75);
	assert_true(isnan(host->rows.rows[1].object->now.limit_share));
	/* Two limits are none that could be shown. */
	host->data.processes->limit = &other;
	assert_false(screen_data_group(&host->data));
	assert_true(isnan(host->rows.rows[0].object->now.limit_share));
	assert_int_equal((int)(host->data.processes->object.now.limit_share * 100), 100);
}

/* --- texts --- */

static const char *amount(int64_t bytes, bool sign)
{
	static char text[32];

	screen_amount(text, sizeof(text), bytes, sign);
	return text;
}

static void test_amounts(void **state)
{
	(void)state;
	assert_string_equal(amount(0, true), "0");
	assert_string_equal(amount(4096, true), "+4K");
	assert_string_equal(amount(-4096, true), "-4K");
	assert_string_equal(amount(999 * 1024 + 1000, false), "1.0M");
	assert_string_equal(amount(480 * (int64_t)MIB, false), "480.0M");
	assert_string_equal(amount(1023 * (int64_t)MIB, false), "1.0G");
	assert_string_equal(amount(-(int64_t)999900 * MIB, true), "-976.5G");
	for (int64_t bytes = 1; bytes < 1LL << 59; bytes *= 3)
		assert_true(strlen(amount(-bytes, true)) <= 7);
}

static unsigned columns_of(struct host *host, unsigned width, char *titles)
{
	struct screen_columns chosen;
	unsigned used = 1;

	screen_columns_choose(&chosen, &host->data, &host->view, width);
	*titles = '\0';
	for (unsigned i = 0; i < chosen.count; i++) {
		sprintf(titles + strlen(titles), "%s ",
			screen_title(chosen.column[i], &host->data, &host->view));
		used += chosen.width[i] + (i + 1 < chosen.count);
	}
	return used;
}

static void test_columns(void **state)
{
	struct host *host = *state;
	char titles[200];

	assert_int_equal(columns_of(host, 40, titles), 40);
	assert_string_equal(titles, "RSS GROWTH N PROGRAM ");
	assert_int_equal(columns_of(host, 80, titles), 80);
	assert_string_equal(titles, "RSS GROWTH /MIN TREND GROWN FREED N PROGRAM ");
	assert_int_equal(columns_of(host, 200, titles), 200);
	assert_string_equal(titles, "RSS GROWTH /MIN TREND GROWN FREED FAULTS N PROGRAM ");
	/* What is sorted by is there. */
	screen_place(&host->view)->sort = COLUMN_FAULTS;
	columns_of(host, 40, titles);
	assert_string_equal(titles, "RSS GROWTH FAULTS PROGRAM ");
	host->view.level = LEVEL_LINES;
	columns_of(host, 80, titles);
	assert_string_equal(titles, "OWN /MIN TREND GROWN FREED FAULTS LINE ");
	for (unsigned width = 20; width < 300; width++)
		assert_int_equal(columns_of(host, width, titles), width);
	/* What counts shared pages once has another name than what does not. */
	host->data.all_shared = true;
	columns_of(host, 80, titles);
	assert_null(strstr(titles, "PSS"));
	host->view.level = LEVEL_PROCESSES;
	columns_of(host, 40, titles);
	assert_non_null(strstr(titles, "RSS"));
	host->view.level = LEVEL_PROGRAMS;
	columns_of(host, 40, titles);
	assert_string_equal(titles, "PSS GROWTH FAULTS PROGRAM ");
}

static void check_fit(const char *wanted, const char *text, unsigned columns, bool utf8, bool end)
{
	char out[CELL_TEXT];
	unsigned used = screen_fit(out, text, columns, utf8, end);

	assert_string_equal(out, wanted);
	assert_true(used <= columns);
	assert_int_equal(used, text_columns(wanted));
}

static void test_texts_are_escaped(void **state)
{
	(void)state;
	check_fit("a\\x1b[2Jb", "a\033[2Jb", 40, true, false);
	check_fit("a\\x1b[2Jb", "a\033[2Jb", 40, false, false);
	check_fit("\\u202eabc", "\u202eabc", 40, true, false);
	check_fit("caf\\u00e9", "café", 40, false, false);
	check_fit("café", "café", 40, true, false);
	check_fit("\\xff", "\xff", 40, false, false);
	check_fit("abc…", "abcdefg", 4, true, false);
	check_fit("abc~", "abcdefg", 4, false, false);
	check_fit("…efg", "abcdefg", 4, true, true);
	check_fit("~efg", "abcdefg", 4, false, true);
	check_fit("x <- y", "x ← y", 10, false, false);
	check_fit("", "abc", 0, false, false);
	check_fit("日…", "日本語", 4, true, false);
}

static void test_hostile_rows(void **state)
{
	struct host *host = *state;
	char text[CELL_TEXT];

	SAMPLE(host, {1, "\033]0;x\007\n/\xff\u202e.py", "/docker/\033[2J", 50, false});
	for (unsigned width = 1; width < 200; width++) {
		for (int utf8 = 0; utf8 < 2; utf8++) {
			screen_name(text, &host->rows.rows[0], width, utf8);
			assert_true(text_columns(text) <= width);
			for (const char *c = text; *c; c++)
				assert_true((unsigned char)*c >= ' ' && *c != 127 &&
					    (utf8 || (unsigned char)*c < 127));
		}
	}
}

/* Whose the container is, is seen at any width. */
static void test_owner(void **state)
{
	static const char cgroup[] = "/user.slice/user-7.slice/user@7.service/lxc.payload.a        "
				     "                      "
				     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
				     "\xff\xff\xff\xff\xff\xff\xff";
	struct host *host = *state;
	char text[CELL_TEXT];

	SAMPLE(host, {1, "a.py", cgroup, 50, false});
	host->view.level = host->view.outermost = LEVEL_CONTAINERS;
	assert_int_equal(screen_rows_make(&host->rows, &host->data, &host->view), 0);
	for (unsigned width = 11; width < 200; width++) {
		for (int utf8 = 0; utf8 < 2; utf8++) {
			screen_name(text, &host->rows.rows[0], width, utf8);
			assert_true(text_columns(text) <= width);
			assert_string_equal(text + strlen(text) - 10, " of user 7");
		}
	}
	screen_name(text, &host->rows.rows[0], 20, true);
	assert_string_equal(text, "lxc:a\\x20… of user 7");
	screen_name(text, &host->rows.rows[0], 20, false);
	assert_string_equal(text, "lxc:a\\x20~ of user 7");
}

#define MANY 10000

/* A program each, whose names are attacks; then all of them in another order. */
static void test_many(void **state)
{
	static char scripts[MANY][48];
	static struct one ones[MANY];
	struct host *host = *state;
	char text[CELL_TEXT];

	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < MANY; i++) {
			snprintf(scripts[i], sizeof(scripts[i]), "\033[2J\xff\xcc\x81%d\n.py", i);
			ones[i] = (struct one){i + 1, scripts[i], "",
					       10 + (turn ? MANY - i : i) / 10, false};
		}
		sample(host, ones, MANY, 1);
		assert_int_equal(host->rows.count, MANY);
		assert_int_equal(host->data.host.now.count, MANY);
		for (size_t i = 0; i < MANY; i++) {
			screen_name(text, &host->rows.rows[i], 30, true);
			assert_true(text_columns(text) <= 30 && !strchr(text, '\033'));
		}
	}
	/* The largest are first again. */
	assert_true(host->rows.rows[0].object->now.growth_bytes >=
		    (MANY / 10 - 200) * (int64_t)MIB);
	SAMPLE(host, {1, "a.py", "", 50, false});
	NAMES(host, "a.py");
}

static void test_heads_fit(void **state)
{
	struct host *host = *state;
	char text[CELL_TEXT], pace[32];

	SAMPLE(host, {1, "a.py", "", 50, false}, {2, "b.py", "", 30, false});
	for (unsigned width = 20; width < 200; width++) {
		screen_headline(text, "all Pythons", &host->data, "PAUSED", width, true);
		assert_true(text_columns(text) <= width);
		screen_sums(text, &host->data, width, true);
		assert_true(text_columns(text) <= width);
		screen_path(text, &host->data, &host->view, &host->rows, width, true);
		assert_true(text_columns(text) <= width);
		screen_keys_line(text, &host->view, width);
		assert_true(text_columns(text) <= width);
	}
	screen_headline(text, "all Pythons", &host->data, "", 80, true);
	assert_string_equal(text, "pymem-bpf  all Pythons  0:01  2 processes");
	screen_pace(pace, sizeof(pace), 1);
	assert_string_equal(pace, "");
	screen_pace(pace, sizeof(pace), 10);
	screen_headline(text, "all Pythons", &host->data, pace, 40, true);
	assert_string_equal(text, "pymem-bpf  all Pythons  0:01  every 10 s");
	screen_keys_line(text, &host->view, 20);
	assert_string_equal(text, "q quit  ? help");
}

/* --- files and /proc --- */

static void test_report_names(void **state)
{
	(void)state;
	assert_true(steward_may_write("report-1.txt"));
	assert_false(steward_may_write(""));
	assert_false(steward_may_write(".bashrc"));
	assert_false(steward_may_write("-x"));
	assert_false(steward_may_write("a/b"));
	assert_false(steward_may_write("a b"));
	assert_false(steward_may_write("a\n"));
	assert_false(steward_may_write("ä"));
}

#define ON_HOST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_history_rate),
		cmocka_unit_test(test_history_trend),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_library),
		ON_HOST(test_programs_are_gathered),
		ON_HOST(test_pages_are_shared_once),
		ON_HOST(test_the_ended_stay_in_place),
		ON_HOST(test_programs_without_processes),
		ON_HOST(test_order_stays),
		ON_HOST(test_selection_follows),
		ON_HOST(test_scrolling),
		ON_HOST(test_filter),
		ON_HOST(test_sort),
		ON_HOST(test_levels),
		ON_HOST(test_source),
		ON_HOST(test_reset),
		ON_HOST(test_limits),
		cmocka_unit_test(test_amounts),
		ON_HOST(test_columns),
		cmocka_unit_test(test_texts_are_escaped),
		ON_HOST(test_hostile_rows),
		ON_HOST(test_owner),
		ON_HOST(test_many),
		ON_HOST(test_heads_fit),
		cmocka_unit_test(test_report_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
