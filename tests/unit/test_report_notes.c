/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* report_notes.c: each process once, however often a report is drawn; the right cause. What the
 * kernel side would say is nothing here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "report/report_notes.c"

uint64_t session_dropped_images(const struct session *session)
{
	return session != NULL;
}

uint64_t session_dropped_messages(const struct session *session)
{
	return session != NULL;
}

void session_each_dropped(const struct session *session,
			  void (*fn)(uint64_t events, const char *text, void *arg), void *arg)
{
	(void)session;
	(void)fn;
	(void)arg;
}

uint64_t session_line_misses(const struct session *session, enum pymem_line_miss cause)
{
	return session && cause;
}

void session_each_note(const struct session *session, void (*fn)(const char *text, void *arg),
		       void *arg)
{
	(void)session;
	(void)fn;
	(void)arg;
}

void probes_each_refusal(struct probes *probes, void (*fn)(const char *text, void *arg), void *arg)
{
	(void)probes;
	(void)fn;
	(void)arg;
}

struct fixture {
	struct tracker tracker;
	struct report report;
	struct build build;
};

static void set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->report.tracker = &f->tracker;
	f->report.model = model_new(4096);
	assert_non_null(f->report.model);
	f->build.report = &f->report;
	f->build.tracker = &f->tracker;
	f->build.model = f->report.model;
}

/* How many of the notes have these words. */
static unsigned notes_with(const struct fixture *f, const char *words)
{
	unsigned count = 0;

	for (size_t i = 0; i < f->report.model->note_count; i++)
		count += strstr(f->report.model->notes[i], words) != NULL;
	return count;
}

/* A report is drawn: each image's record is looked at. */
static void draw(struct fixture *f, struct image *images, unsigned count)
{
	model_clear(f->report.model);
	for (unsigned i = 0; i < count; i++) {
		struct pymem_proc record = {.id = i + 1};

		record.places[PYMEM_TABLE_STACKS].refused = 7;
		record.places[PYMEM_TABLE_STACKS].held = 100;
		record.places[PYMEM_TABLE_CODES].refused = 1;
		report_note_quotas(&f->build, &images[i], &record);
	}
	report_add_notes(&f->build);
}

/* Processes, not tables and not redraws, are counted. */
static void test_quotas(void **state)
{
	struct image images[QUOTAS_TOLD + 5] = {0};
	struct fixture f;

	(void)state;
	set_up(&f);
	for (unsigned i = 0; i < QUOTAS_TOLD + 5; i++)
		images[i] = (struct image){.id = i + 1, .pid = 1000 + (int)i, .dead = true};
	for (unsigned round = 0; round < 3; round++) {
		draw(&f, images, QUOTAS_TOLD / 2);
		assert_int_equal(notes_with(&f, "reached its quota of stacks (it has 100)"),
				 QUOTAS_TOLD / 2);
		assert_int_equal(notes_with(&f, "more process"), 0);
	}
	for (unsigned round = 0; round < 3; round++) {
		draw(&f, images, QUOTAS_TOLD + 5);
		assert_int_equal(notes_with(&f, "reached its quota of"), QUOTAS_TOLD);
		/* Eight are named, for two tables each. */
		assert_int_equal(notes_with(&f, "13 more processes reached a quota"), 1);
	}
	model_free(f.report.model);
}

/* One that lives meets its quota anew in each report. */
static void test_quota_of_the_living(void **state)
{
	struct image image = {.id = 1, .pid = 1000};
	struct fixture f;

	(void)state;
	set_up(&f);
	for (unsigned round = 0; round < 2; round++) {
		draw(&f, &image, 1);
		assert_int_equal(notes_with(&f, "PID 1000 reached its quota of stacks"), 1);
		assert_int_equal(notes_with(&f, "more process"), 0);
	}
	model_free(f.report.model);
}

/* Who ended, and whose probes we did not get to, are two things. */
static void test_probes(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	f.build.tallies.unready = 3;
	report_add_notes(&f.build);
	assert_int_equal(notes_with(&f, "the profile ended before the line probes of 3 processes"),
			 1);
	assert_int_equal(notes_with(&f, "3 processes ended before"), 0);
	model_clear(f.report.model);
	f.build.tallies = (struct tallies){.short_lived = 1};
	report_add_notes(&f.build);
	assert_int_equal(notes_with(&f, "1 process ended before the line probes"), 1);
	assert_int_equal(notes_with(&f, "the profile ended"), 0);
	model_free(f.report.model);
}

/* What was not looked at is said, also of who has no unwatched child that is known. */
static void test_unwatched(void **state)
{
	struct unwatched late = {.parent = 5, .late = true, .more = true};
	struct unwatched found = {.parent = 6, .pids = {7, 8}, .named = 2, .count = 2};
	struct fixture f;

	(void)state;
	set_up(&f);
	late.next = &found;
	f.tracker.unwatched = &late;
	report_note_unwatched(&f.report);
	assert_int_equal(notes_with(&f, "not all children of process 5 were looked at"), 1);
	assert_int_equal(notes_with(&f, "process 6 has 2 Python children that are not watched: "
					"-p 7,8"),
			 1);
	assert_int_equal(f.report.model->note_count, 2);
	model_free(f.report.model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quotas),
		cmocka_unit_test(test_quota_of_the_living),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_unwatched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
