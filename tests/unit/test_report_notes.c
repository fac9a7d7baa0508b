/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* report_notes.c: each fact that is no figure has its sentence. Without such facts there are no
 * notes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "report_fixture.h"

static int setup(void **state)
{
	return given_setup(state, 0);
}

static const struct model *built(struct given *g)
{
	const struct model *model = report_build(g->report, true);

	assert_non_null(model);
	return model;
}

/* The notes must be exactly these, in this order; NULL ends the list. */
static void expect(struct given *g, const char *const *texts)
{
	const struct model *model = built(g);
	size_t i;

	for (i = 0; i < model->note_count && texts[i]; i++)
		assert_string_equal(model->notes[i], texts[i]);
	assert_null(texts[i]);
	if (i < model->note_count)
		fail_msg("a note more: %s", model->notes[i]);
}

static void expect_one(struct given *g, const char *text)
{
	const char *const texts[] = {text, NULL};

	expect(g, texts);
	memset(&g->table.facts, 0, sizeof(g->table.facts));
	memset(g->table.gaps, 0, sizeof(g->table.gaps));
}

static void test_none(void **state)
{
	struct given *g = *state;
	const char *const none[] = {NULL};

	table_add_image(&g->table, 1);
	expect(g, none);
}

static void test_counts(void **state)
{
	struct given *g = *state;
	struct counts_facts *facts = &g->table.facts;

	facts->dropped_images = 3;
	expect_one(g, "3 process images were not tracked: table full; raise --max-processes");
	facts->dropped_messages = 4;
	expect_one(g, "4 messages about processes did not arrive: raise --ring-size");
	facts->malformed = 6;
	expect_one(g, "6 malformed messages were dropped");
	facts->unseen = 1;
	expect_one(g, "1 program that others started ended before it could be examined");
	facts->copies_error = -EPERM;
	expect_one(g, "copies on write could not be watched (Operation not permitted): they are "
		      "not counted");
	facts->refused = 7;
	facts->image_bytes = 256 << 20;
	facts->all_bytes = 512 << 20;
	expect_one(g, "7 stacks or code objects were too many for one process (256 MiB) or all "
		      "(512 MiB): what they changed is unattributed (undelivered)");
	facts->no_memory = 1;
	expect_one(g, "memory ran out for 1 message about stacks and code objects: what they "
		      "changed is unattributed (undelivered), or has no line");
	g->table.gaps[COUNTS_GAP_OUTSIDE] = 2;
	expect_one(g, "some lines of 2 code objects could not be told (their line tables do not "
		      "have the instructions): what they changed is on the first line of the "
		      "function");
}

static void test_unexamined(void **state)
{
	static const char comms[COUNTS_COMMS_MAX][16] = {"sh", "env"};
	static const char many[COUNTS_COMMS_MAX][16] = {"sh", "env", "ls", "cat"};
	struct given *g = *state;

	g->table.facts.unexamined = 3;
	g->table.facts.unexamined_comms = comms;
	expect_one(g, "3 programs that traced processes started ended before they could be "
		      "examined: sh, env");
	g->table.facts.unexamined = 5;
	g->table.facts.unexamined_comms = many;
	expect_one(g, "5 programs that traced processes started ended before they could be "
		      "examined: sh, env, ls, cat, perhaps others");
}

/* Notes of the source have their place: the kernel's come first, those of probes later. */
static void test_order(void **state)
{
	static const char *const texts[] = {
		"the kernel lacks it",
		"2 messages about processes did not arrive: raise --ring-size",
		"5 waits were not counted",
		"6 malformed messages were dropped",
		"its line probes were not attached",
		NULL,
	};
	struct given *g = *state;

	g->table.notes[COUNTS_NOTE_KERNEL] = texts[0];
	g->table.facts.dropped_messages = 2;
	g->table.notes[COUNTS_NOTE_EVENTS] = texts[2];
	g->table.facts.malformed = 6;
	g->table.notes[COUNTS_NOTE_PROBES] = texts[4];
	expect(g, texts);
}

/* Runs of a line whose code object never arrived are added to the events without a line. */
static void test_line_events(void **state)
{
	static const char *const causes[] = {
#define MISS_TEXT(id, text) text,
		PYMEM_LINE_MISSES(MISS_TEXT)
#undef MISS_TEXT
	};
	struct given *g = *state;
	char text[256];

	table_add_image(&g->table, 1)->image.lines = true;
	table_add_line(&g->table, 1, 10, 3)->named = false;
	g->table.facts.line_misses[PYMEM_LINE_MISS_UNNAMED] = 4;
	snprintf(text, sizeof(text), "7 line events not counted: %s",
		 causes[PYMEM_LINE_MISS_UNNAMED]);
	expect_one(g, text);
}

static void test_engine(void **state)
{
	static const int errors[] = {-ENOTSUP, -ESRCH, -ECANCELED, -EIO, -EINPROGRESS, -ENOTSUP};
	static const char *const texts[] = {
		"2 processes have no line probe that can be used: profiled by the walk engine",
		"the line probes of 1 process could not be attached: profiled by the walk engine",
		"1 process ended before the line probes could be attached: profiled by the walk "
		"engine",
		"the profile ended before the line probes of 1 process could be attached: profiled "
		"by the walk engine",
		"1 process ran for a moment before the line probes were attached: lines that ran "
		"in it have no occurrences of then",
		NULL,
	};
	struct given *g = *state;
	uint32_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		table_add_image(&g->table, i + 1)->image.lines_error = errors[i];
	table_add_image(&g->table, 10)->image.lines = true;
	g->table.images[i].image.lines_late = true;
	expect(g, texts);
	/* After the images have ended, the notes are the same, and each is counted once. */
	for (i = 0; i < g->table.image_count; i++)
		g->table.images[i].image.ended = true;
	assert_int_equal(report_finish_ended(g->report, true), 0);
	expect(g, texts);
	expect(g, texts);
}

/* The same, where functions are counted. */
static void test_functions(void **state)
{
	static const int errors[] = {-ENOTSUP, -ESRCH, -ECANCELED, -EIO};
	static const char *const texts[] = {
		"1 process has no function probes that can be used: profiled by the walk engine",
		"the function probes of 1 process could not be attached: profiled by the walk "
		"engine",
		"1 process ended before the function probes could be attached: profiled by the "
		"walk engine",
		"the profile ended before the function probes of 1 process could be attached: "
		"profiled by the walk engine",
		"1 process ran for a moment before the function probes were attached: functions "
		"that ran in it have no calls of then",
		"3 function events not counted: returns of functions whose entry was not seen, "
		"since they ran before, or an exception was thrown into them; their callers have "
		"the amounts",
		NULL,
	};
	struct given *g = *state;
	uint32_t i;

	g->table.facts.functions = true;
	g->table.facts.line_misses[PYMEM_LINE_MISS_UNSEEN] = 3;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		table_add_image(&g->table, i + 1)->image.lines_error = errors[i];
	table_add_image(&g->table, 10)->image.lines = true;
	g->table.images[i].image.functions = true;
	g->table.images[i].image.lines_late = true;
	expect(g, texts);
}

static void refuse(struct given *g, uint32_t id, enum pymem_table table, uint32_t held)
{
	struct table_image *row = table_image(&g->table, id) ?: table_add_image(&g->table, id);

	row->record.places[table] = (struct pymem_places){.held = held, .refused = 1};
}

static void test_quotas(void **state)
{
	static const char *const texts[] = {
		"PID 1001 reached its quota of stacks (it has 7): raise --max-stacks",
		"PID 1001 reached its quota of threads (it has 8): raise --max-processes",
		NULL,
	};
	struct given *g = *state;

	refuse(g, 1, PYMEM_TABLE_STACKS, 7);
	refuse(g, 1, PYMEM_TABLE_THREADS, 8);
	expect(g, texts);
	g->table.images[0].image.ended = true;
	assert_int_equal(report_finish_ended(g->report, true), 0);
	expect(g, texts);
	expect(g, texts);
}

/* Of many ended images, the first notes are kept, and the number of the others. */
static void test_many_quotas(void **state)
{
	struct given *g = *state;
	const struct model *model;
	uint32_t id;

	for (id = 1; id <= 20; id++) {
		refuse(g, id, PYMEM_TABLE_STACKS, id);
		if (id >= 16)
			refuse(g, id, PYMEM_TABLE_CODES, id);
		g->table.images[id - 1].image.ended = true;
	}
	model = built(g);
	assert_int_equal(model->note_count, 17);
	assert_string_equal(model->notes[15],
			    "PID 1016 reached its quota of stacks (it has 16): raise --max-stacks");
	assert_string_equal(model->notes[16],
			    "4 more processes reached a quota: raise --max-stacks");
}

/* Also of a process that has ended, in each later report. */
static void test_many_threads(void **state)
{
	const char *const texts[] = {"45 threads of 2 processes are shown as \"other "
				     "threads\": the first 256 of "
				     "a process are told apart",
				     NULL};
	struct given *g = *state;
	struct table_image *image;

	table_add_image(&g->table, 1)->record.threads = PYMEM_THREADS_TOLD;
	table_add_image(&g->table, 2)->record.threads = PYMEM_THREADS_TOLD + 1;
	image = table_add_image(&g->table, 3);
	image->record.threads = PYMEM_THREADS_TOLD + 44;
	image->image.ended = true;
	assert_int_equal(report_finish_ended(g->report, true), 0);
	expect(g, texts);
	expect(g, texts);
}

static void test_skips(void **state)
{
	struct counts_skip second = {.pid = 8, .comm = "b", .reason = "is odd"};
	struct counts_skip first = {.pid = 7, .comm = "a", .reason = "is even", .next = &second};
	struct given *g = *state;
	const struct model *model;

	g->table.facts.skips = &first;
	g->table.facts.more_skips = 9;
	g->table.facts.skips_most = 2;
	model = built(g);
	assert_int_equal(model->note_count, 1);
	assert_string_equal(model->notes[0],
			    "and 9 more processes were skipped: only the first 2 are named");
	assert_int_equal(model->skip_count, 2);
	assert_int_equal(model->skips[1].pid, 8);
	assert_string_equal(model->skips[1].reason, "is odd");
}

/* Children are looked for after the report was built. If the search was not complete, a note says
 * so, also for a process without a known unwatched child. */
static void test_unwatched(void **state)
{
	struct counts_unwatched late = {.parent = 5, .late = true};
	struct counts_unwatched children = {
		.parent = 4, .pids = {40, 41}, .named = 2, .count = 3, .more = true, .next = &late};
	struct given *g = *state;
	const struct model *model = built(g);

	assert_int_equal(model->note_count, 0);
	g->table.facts.unwatched = &children;
	report_note_unwatched(g->report);
	assert_int_equal(model->note_count, 2);
	assert_string_equal(model->notes[0],
			    "process 4 has at least 3 Python children that are not watched: -p "
			    "40,41 and 1 more");
	assert_string_equal(model->notes[1],
			    "not all children of process 5 were looked at, which took too long: "
			    "whether Pythons among them are not watched is not known");
}

/* Why callers are missing. It is remembered after the image's end. */
static void test_cut(void **state)
{
	static const char *const causes[] = {
#define LACK_TEXT(id, text) text,
		PYMEM_LACKS(LACK_TEXT)
#undef LACK_TEXT
	};
	struct given *g = *state;
	struct table_stack *stack;
	char text[256];
	int i;

	for (i = 0; i < PYMEM_LACK_COUNT; i++) {
		table_add_image(&g->table, i + 1)->image.ended = true;
		stack = table_add_stack(&g->table, i + 1, 10, 2, 0);
		stack->cut = true;
		stack->lack = i;
	}
	assert_int_equal(report_finish_ended(g->report, true), 0);
	assert_int_equal(built(g)->note_count, PYMEM_LACK_COUNT);
	for (i = 0; i < PYMEM_LACK_COUNT; i++) {
		snprintf(text, sizeof(text),
			 "callers are missing from some stacks: their code objects %s", causes[i]);
		assert_string_equal(built(g)->notes[i], text);
	}
}

/* A user whose processes reached a quota together is named once. */
static void test_users(void **state)
{
	const char *const texts[] = {
		"the processes of user 33 together reached the quota of code objects: raise "
		"--max-stacks",
		NULL,
	};
	struct given *g = *state;
	uint32_t id;

	for (id = 1; id <= 3; id++) {
		struct table_image *row = table_add_image(&g->table, id);

		row->record.user = 33;
		row->record.places[PYMEM_TABLE_CODES].denied = 1;
		row->image.ended = id == 1;
	}
	expect(g, texts);
	expect(g, texts);
}

/* If there are more users than can be named, each report says once that there are others. */
static void test_many_users(void **state)
{
	struct given *g = *state;
	const struct model *model;

	for (uint32_t id = 1; id <= 17; id++) {
		struct table_image *row = table_add_image(&g->table, id);

		row->record.user = 1000 + id;
		row->record.places[PYMEM_TABLE_STACKS].denied = 1;
	}
	for (int round = 0; round < 2; round++) {
		model = built(g);
		assert_int_equal(model->note_count, 17);
		assert_non_null(strstr(model->notes[15], "of user 1016 together"));
		assert_string_equal(model->notes[16], "further users reached a quota: only the "
						      "first ones are named");
	}
}

static void test_unwatched_writes(void **state)
{
	struct given *g = *state;
	const char *const texts[] = {"3 write faults on shared pages came before copies were "
				     "watched: not counted as copied",
				     NULL};

	table_add_image(&g->table, 1)->record.unwatched_writes = 2;
	table_add_image(&g->table, 2)->record.unwatched_writes = 1;
	g->table.images[1].image.ended = true;
	expect(g, texts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_unexamined, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_line_events, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_engine, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_functions, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_quotas, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_many_quotas, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_many_threads, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_skips, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_unwatched, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_users, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_many_users, setup, given_teardown),
		cmocka_unit_test_setup_teardown(test_unwatched_writes, setup, given_teardown),
	};

	return cmocka_run_group_tests_name("report_notes", tests, NULL, NULL);
}
