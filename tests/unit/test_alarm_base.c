/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/alarm_base: what one process did since a time; agent/alarms: what is watched is bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/alarm_base.h"
#include "agent/alarm_private.h"
#include "counts_table.h"
#include "report/report.h"

static struct counts_table table;

static int begin(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	return 0;
}

/* Adds pages to the stack, and to its image's RSS. */
static void grow(struct table_stack *stack, int64_t pages)
{
	struct table_image *image = table_image(&table, stack->key.proc);

	stack->counters.pages[PYMEM_ANON] += pages;
	stack->counters.grown_pages += (uint64_t)(pages > 0 ? pages : 0);
	image->record.now_pages[PYMEM_ANON] += pages;
	if (image->record.now_pages[PYMEM_ANON] > (int64_t)image->record.peak_pages)
		image->record.peak_pages = (uint64_t)image->record.now_pages[PYMEM_ANON];
}

static const struct model_line *line_of(const struct model *model, int number)
{
	const struct model_process *process = model->processes[0];

	for (size_t i = 0; i < process->line_count; i++)
		if (process->lines[i].location->line == number)
			return &process->lines[i];
	return NULL;
}

static struct model *report_of(const struct alarm_base *base, uint32_t image,
			       struct report **report)
{
	struct model *model = alarm_base_report(table_counts(&table), base, image, 5, report);

	assert_non_null(model);
	assert_int_equal(model->process_count, 1);
	/* All that there is of it is in the lines. */
	assert_int_equal(model->processes[0]->lost_bytes[PYMEM_LOSS_UNSETTLED], 0);
	assert_int_equal(model->processes[0]->charged_bytes,
			 model->processes[0]->rss_end_bytes - model->processes[0]->rss_start_bytes -
				 model_lost_bytes(model->processes[0]));
	return model;
}

/* Two processes grow, are noted, and grow again. */
static struct alarm_base *base_of_growth(void)
{
	struct table_stack *start, *leak, *thread, *other;
	struct alarm_base *base;

	table_add_image(&table, 1);
	table_add_image(&table, 2);
	start = table_add_stack(&table, 1, 10, 2, 0);
	leak = table_add_stack(&table, 1, 20, 1, 0);
	other = table_add_stack(&table, 2, 30, 1, 0);
	thread = table_add_stack(&table, 1, 20, 1, 0);
	thread->thread = true;
	grow(start, 1000);
	grow(leak, 5);
	grow(thread, 7);
	grow(other, 50);
	table.images[0].record.lost_pages[PYMEM_LOSS_NO_FRAME] = 3;
	table.images[0].record.now_pages[PYMEM_ANON] += 3;
	base = alarm_base_take(table_counts(&table));
	assert_non_null(base);
	assert_true(alarm_base_has(base, 1) && alarm_base_has(base, 2) && !alarm_base_has(base, 3));
	assert_int_equal(alarm_base_rss(base, 1), 1015);
	assert_int_equal(alarm_base_rss(NULL, 1), 0);
	/* The thread adds what it has collected to the stack, and collects more. */
	leak->counters.pages[PYMEM_ANON] += 7;
	leak->counters.grown_pages += 7;
	thread->counters = (struct pymem_counters){};
	grow(leak, 100);
	grow(thread, 2);
	grow(start, -30);
	grow(other, 500);
	table.images[0].record.lost_pages[PYMEM_LOSS_NO_FRAME] += 4;
	table.images[0].record.now_pages[PYMEM_ANON] += 4;
	return base;
}

static void test_since(void **state)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	struct report *report;
	struct alarm_base *base = base_of_growth();
	struct model *model;

	(void)state;
	model = report_of(base, 1, &report);
	assert_int_equal(model->processes[0]->pid, 1001);
	assert_int_equal(line_of(model, 20)->increment_bytes, 102 * page);
	assert_int_equal(line_of(model, 20)->grown_bytes, 102 * page);
	assert_int_equal(line_of(model, 10)->increment_bytes, -30 * page);
	assert_int_equal(model->processes[0]->lost_bytes[PYMEM_LOSS_NO_FRAME], 4 * page);
	assert_int_equal(model->processes[0]->rss_start_bytes, 1015 * page);
	assert_true(model->start > 1e9); /* the base's time */
	report_free(report);

	/* All of it, without a base; of one that came later, with one. */
	model = report_of(NULL, 1, &report);
	assert_int_equal(line_of(model, 10)->increment_bytes, 970 * page);
	assert_true(model->start == 5);
	report_free(report);
	table_add_image(&table, 3);
	grow(table_add_stack(&table, 3, 40, 1, 0), 9);
	model = report_of(base, 3, &report);
	assert_int_equal(line_of(model, 40)->increment_bytes, 9 * page);
	assert_true(model->start == 5);
	report_free(report);
	/* Nothing was taken from the source. */
	for (size_t i = 0; i < table.stack_count; i++)
		assert_false(table.stacks[i].gone);
	assert_int_equal(table.takes, 0);
	alarm_base_free(base);
}

/* One line as it was before is not in the report; how high the process was is known at least. */
static void test_quiet(void **state)
{
	struct table_stack *high, *same;
	struct report *report;
	struct alarm_base *base;
	struct model *model;

	(void)state;
	table_add_image(&table, 1);
	high = table_add_stack(&table, 1, 10, 1, 0);
	same = table_add_stack(&table, 1, 20, 1, 0);
	grow(high, 1000);
	grow(high, -900);
	grow(same, 10);
	base = alarm_base_take(table_counts(&table));
	grow(high, 5);
	model = report_of(base, 1, &report);
	assert_null(line_of(model, 20));
	assert_non_null(line_of(model, 10));
	assert_true(model->processes[0]->rss_peak_at_least);
	assert_int_equal(model->processes[0]->rss_peak_bytes, 115 * sysconf(_SC_PAGESIZE));
	report_free(report);
	grow(high, 2000);
	model = report_of(base, 1, &report);
	assert_false(model->processes[0]->rss_peak_at_least);
	report_free(report);
	alarm_base_free(base);
}

static void test_errors(void **state)
{
	struct counts counts = table_counts(&table);
	struct report *report = NULL;
	struct model *model;

	(void)state;
	table_add_image(&table, 1);
	table.error = -EIO;
	assert_null(alarm_base_take(counts));
	assert_int_equal(errno, EIO);
	assert_null(alarm_base_report(counts, NULL, 1, 5, &report));
	assert_int_equal(errno, EIO);
	report_free(report);
	table.error = 0;
	/* It has ended meanwhile. */
	model = alarm_base_report(counts, NULL, 7, 5, &report);
	assert_non_null(model);
	assert_int_equal(model->process_count, 0);
	report_free(report);
}

/* --- a host with very many processes --- */

static unsigned crowd;
static int64_t crowd_pages;
static bool crowd_sizes_only; /* the last reading asked for nothing else */

static int crowd_read(void *self, const struct counts_reader *reader, void *arg)
{
	static const struct source_root no_root = {.root_fd = -1, .cwd_fd = -1};

	(void)self;
	crowd_sizes_only = !reader->stack && !reader->stalled && !reader->changes;
	for (unsigned i = 1; i <= crowd; i++) {
		char name[32];
		char *argv[] = {name, NULL};
		struct pymem_proc record = {.id = i, .now_pages[PYMEM_ANON] = crowd_pages};
		const struct counts_image image = {
			.id = i,
			.pid = (pid_t)(i + 10000000),
			.comm = "python3",
			.argv = argv,
			.cgroup = "/",
			.python = "3.11.2",
			.reason = "",
			.root = &no_root,
			.record = &record,
		};

		snprintf(name, sizeof(name), "program%u", i);
		if (reader->image(&image, arg))
			return -EIO;
	}
	return 0;
}

/* Sizes alone are read: that costs a part of what stacks cost. */
static void second(struct alarms *alarms)
{
	assert_int_equal(alarms_read(alarms), 0);
	assert_true(crowd_sizes_only);
	alarms_tick(alarms, 1 << 20);
}

static void test_crowd(void **state)
{
	static const struct counts_ops ops = {.read = crowd_read};
	static struct alarm_rules rules;
	struct alarms *alarms = alarms_new(NULL, NULL);
	char why[256];

	(void)state;
	assert_non_null(alarms);
	assert_int_equal(alarm_rules_add(&rules, "rss>1GiB", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&rules, "program:rss>1GiB", why, sizeof(why)), 0);
	alarms_counts(alarms, (struct counts){&ops, NULL});
	crowd = 50;
	crowd_pages = 100;
	/* Without alarms nothing is watched. */
	second(alarms);
	assert_int_equal(HASH_COUNT(alarms->processes), 0);
	alarms_set(alarms, &rules);
	second(alarms);
	assert_int_equal(HASH_COUNT(alarms->processes), 50);
	assert_int_equal(HASH_COUNT(alarms->others), 50);
	crowd = 20000;
	second(alarms);
	second(alarms);
	assert_int_equal(HASH_COUNT(alarms->processes), ALARM_SUBJECTS_MOST);
	assert_true(HASH_COUNT(alarms->others) <= ALARM_SUBJECTS_MOST);
	assert_true(alarms->crowded);
	/* What ends is forgotten, with its program. */
	crowd = 3;
	second(alarms);
	assert_int_equal(HASH_COUNT(alarms->processes), 3);
	assert_int_equal(HASH_COUNT(alarms->others), 3);
	rules.count = 0;
	alarms_set(alarms, &rules);
	assert_int_equal(HASH_COUNT(alarms->processes), 0);
	assert_int_equal(HASH_COUNT(alarms->others), 0);
	alarms_free(alarms);
}

/* --- programs --- */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const places[] = {
	"/user.slice/user-7.slice/session-1.scope",
	"/user.slice/user-7.slice/session-2.scope",
	"/user.slice/user-8.slice/session-3.scope",
	"/system.slice/docker-" ID ".scope",
	"/system.slice/docker-" ID ".scope/init.scope",
	"/user.slice/user-7.slice/user@7.service/docker-" ID ".scope",
	"/system.slice/api.service",
};

static int places_read(void *self, const struct counts_reader *reader, void *arg)
{
	static const struct source_root no_root = {.root_fd = -1, .cwd_fd = -1};
	static char *argv[] = {"shop.py", NULL};

	(void)self;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct pymem_proc record = {.id = (uint32_t)i + 1, .now_pages[PYMEM_ANON] = 100};
		const struct counts_image image = {
			.id = record.id,
			.pid = (pid_t)i + 10000000,
			.ns_pid = 7,
			.comm = "python3",
			.argv = argv,
			.cgroup = places[i],
			.python = "3.11.2",
			.reason = "",
			.root = &no_root,
			.record = &record,
		};

		if (reader->image(&image, arg))
			return -EIO;
	}
	return 0;
}

/* A program is what --by program says: one in two sessions of a user, two in two containers. What a
 * user's group is called does not bring it into the container of the host. */
static void test_places(void **state)
{
	static const struct {
		uint32_t image;
		const char *place;
		unsigned users;
	} wanted[] = {{1, "user 7", 2},
		      {3, "user 8", 1},
		      {4, "docker:0123456789ab", 2},
		      {6, "docker:0123456789ab of user 7", 1},
		      {7, "api.service", 1}};
	static const struct counts_ops ops = {.read = places_read};
	static struct alarm_rules rules;
	struct alarms *alarms = alarms_new(NULL, NULL);
	char why[256];

	(void)state;
	assert_non_null(alarms);
	assert_int_equal(alarm_rules_add(&rules, "program:rss>1GiB", why, sizeof(why)), 0);
	alarms_counts(alarms, (struct counts){&ops, NULL});
	alarms_set(alarms, &rules);
	second(alarms);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct alarm_subject *s;

		HASH_FIND(hh, alarms->processes, &wanted[i].image, sizeof(wanted[i].image), s);
		assert_true(s && s->of_program);
		assert_int_equal(s->ns_pid, 7);
		assert_string_equal(s->of_program->name, "shop.py");
		assert_string_equal(s->of_program->place, wanted[i].place);
		assert_int_equal(s->of_program->users, wanted[i].users);
	}
	alarms_free(alarms);
}

/* What was not told in a minute is counted. */
static void test_held(void **state)
{
	struct alarms *alarms = alarms_new(NULL, NULL);
	int stderr_was = dup(STDERR_FILENO);
	FILE *said = tmpfile();
	char text[256];

	(void)state;
	assert_true(alarms && said && stderr_was >= 0);
	alarms->gate = (struct alarm_gate){.since = 1e-3, .told = ALARM_LINES, .held = 7};
	assert_true(dup2(fileno(said), STDERR_FILENO) >= 0);
	alarms_tick(alarms, 1 << 20);
	alarms_tick(alarms, 1 << 20);
	assert_true(dup2(stderr_was, STDERR_FILENO) >= 0);
	rewind(said);
	assert_non_null(fgets(text, sizeof(text), said));
	assert_string_equal(text, "pymem-bpf agent: alarms: 7 more are met: at most 10 are told in "
				  "a minute, the others later\n");
	assert_null(fgets(text, sizeof(text), said));
	fclose(said);
	close(stderr_was);
	alarms_free(alarms);
}

/* Other rules: what was watched before goes on, and is not told again. */
static void test_other_rules(void **state)
{
	static const struct counts_ops ops = {.read = crowd_read};
	static struct alarm_rules rules, more;
	struct alarms *alarms = alarms_new(NULL, NULL);
	const struct alarm_series *series;
	struct alarm_subject *s;
	uint32_t id = 1;
	char why[256];

	(void)state;
	assert_int_equal(alarm_rules_add(&rules, "growth>1MiB/h", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&rules, "rss>1GiB", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&more, "growth>1MiB/d", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&more, "rss>1GiB", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&more, "growth>9MiB/h", why, sizeof(why)), 0);
	alarms_counts(alarms, (struct counts){&ops, NULL});
	alarms_set(alarms, &rules);
	crowd = 1;
	crowd_pages = 100;
	second(alarms);
	HASH_FIND(hh, alarms->processes, &id, sizeof(id), s);
	assert_non_null(s);
	s->states[1].raised = true;
	series = s->series[0];
	assert_non_null(series);
	alarms_set(alarms, &more);
	assert_null(s->series[0]);
	assert_ptr_equal(s->series[2], series);
	assert_true(s->states[1].raised && !s->states[0].raised && !s->states[2].raised);
	second(alarms);
	assert_non_null(s->series[0]);
	alarms_free(alarms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_since, begin),
		cmocka_unit_test_setup(test_quiet, begin),
		cmocka_unit_test_setup(test_errors, begin),
		cmocka_unit_test_setup(test_crowd, begin),
		cmocka_unit_test_setup(test_places, begin),
		cmocka_unit_test_setup(test_held, begin),
		cmocka_unit_test_setup(test_other_rules, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
