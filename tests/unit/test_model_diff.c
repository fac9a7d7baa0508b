/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two profiles side by side: which programs and lines belong together, and that all adds up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "diff_models.h"
#include "model/model_diff_private.h"

#define APP "/srv/app/app.py"

static char *app[] = {"/usr/bin/python3", "/srv/app/app.py", NULL};

/* The sums of each side must be the change of RSS, to the byte. */
static void check_sums(const struct model_diff *diff)
{
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		const struct model *model = diff->side[side].model;
		int64_t sum = model->unfolded.change_bytes;
		int64_t change = model->gathered.change_bytes;

		for (size_t i = 0; i < diff->program_count; i++) {
			const struct model_diff_program *p = &diff->programs[i];
			int64_t lines = 0;

			for (size_t j = 0; j < p->line_count; j++)
				lines += p->lines[j].side[side].increment_bytes;
			assert_int_equal(lines, p->side[side].charged_bytes);
			sum += lines + model_diff_lost(&p->side[side]) +
			       p->side[side].unaccounted_bytes;
		}
		for (size_t i = 0; i < model->process_count; i++)
			change += model->processes[i]->rss_end_bytes -
				  model->processes[i]->rss_start_bytes;
		assert_int_equal(sum, change);
		assert_int_equal(diff->side[side].change_bytes, change);
	}
}

/* The only line with these numbers in A and B (0: it is not there). */
static const struct model_diff_line *line_at(const struct model_diff *diff, int a, int b)
{
	const struct model_diff_line *found = NULL;

	for (size_t i = 0; i < diff->program_count; i++)
		for (size_t j = 0; j < diff->programs[i].line_count; j++) {
			const struct model_diff_line *line = &diff->programs[i].lines[j];

			if ((line->at[0] ? line->at[0]->line : 0) != a ||
			    (line->at[1] ? line->at[1]->line : 0) != b)
				continue;
			assert_null(found);
			found = line;
		}
	if (!found)
		fail_msg("no line %d, %d", a, b);
	return found;
}

static void expect(const struct model_diff_line *line, enum model_diff_match match, int64_t a,
		   int64_t b)
{
	assert_int_equal(line->match, match);
	assert_int_equal(line->side[0].increment_bytes, a * PAGE);
	assert_int_equal(line->side[1].increment_bytes, b * PAGE);
}

/* A line was put in at the top: all others moved, and are the same; so is one that was indented. */
static void test_moved(void **state)
{
	static const struct diff_file files[] = {
		{0, APP, "def f():\n    a = read()\n    b = more(a)\n    old(b)\n"},
		{1, APP,
		 "import os\ndef f():\n    if os:\n\t a = read()   \n    b = more(a)\n    new(b)"},
		{0, NULL, NULL},
	};
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_diff *diff;

	(void)state;
	diff_case_init(&c, files);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 4711, app);
	diff_add(&c, 0, p, APP, "f", 2, 1, 10);
	diff_add(&c, 0, p, APP, "f", 3, 1, 20);
	diff_add(&c, 0, p, APP, "f", 4, 1, 5);
	diff_add(&c, 1, q, APP, "f", 4, 2, 100);
	diff_add(&c, 1, q, APP, "f", 5, 2, 21);
	diff_add(&c, 1, q, APP, "f", 6, 2, 7);
	diff = diff_make(&c);
	assert_int_equal(diff->program_count, 1);
	assert_int_equal(diff->programs->match, MODEL_DIFF_PROGRAM_SAME);
	assert_int_equal(diff->programs->line_count, 4);
	expect(&diff->programs->lines[0], MODEL_DIFF_TEXT, 10, 100);
	expect(line_at(diff, 2, 4), MODEL_DIFF_TEXT, 10, 100);
	expect(line_at(diff, 3, 5), MODEL_DIFF_TEXT, 20, 21);
	/* A line that was changed is another one, though its number would fit. */
	expect(line_at(diff, 4, 0), MODEL_DIFF_ONLY, 5, 0);
	expect(line_at(diff, 0, 6), MODEL_DIFF_ONLY, 0, 7);
	assert_int_equal(line_at(diff, 2, 4)->side[1].grown_bytes, 100 * PAGE);
	assert_int_equal(line_at(diff, 2, 4)->side[0].faults, 10);
	check_sums(diff);
	diff_case_fini(&c);
}

/* Of equal texts the first is the first, also where the first one of A has no figures in B. */
static void test_duplicates(void **state)
{
	static const struct diff_file files[] = {
		{0, APP,
		 "def f():\n    x.append(1)\n    y()\n    x.append(1)\n"
		 "def g():\n    x.append(1)\n"},
		{1, APP,
		 "\ndef f():\n    x.append(1)\n    y()\n    x.append(1)\n"
		 "def g():\n    x.append(1)\n"},
		{0, NULL, NULL},
	};
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_diff *diff;

	(void)state;
	diff_case_init(&c, files);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	diff_add(&c, 0, p, APP, "f", 2, 1, 1);
	diff_add(&c, 0, p, APP, "f", 4, 1, 2);
	diff_add(&c, 0, p, APP, "g", 6, 5, 3);
	diff_add(&c, 1, q, APP, "f", 5, 2, 20);
	diff_add(&c, 1, q, APP, "g", 7, 6, 30);
	diff = diff_make(&c);
	assert_int_equal(diff->programs->line_count, 3);
	expect(line_at(diff, 4, 5), MODEL_DIFF_TEXT, 2, 20);
	expect(line_at(diff, 6, 7), MODEL_DIFF_TEXT, 3, 30);
	expect(line_at(diff, 2, 0), MODEL_DIFF_ONLY, 1, 0);
	check_sums(diff);
	diff_case_fini(&c);
}

/* Without texts, and where one side has none, the number counts; and it is known that it did. */
static void test_no_text(void **state)
{
	static const struct diff_file files[] = {
		{0, APP, "one\ntwo\nthree\n"},
		{0, NULL, NULL},
	};
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_diff *diff;

	(void)state;
	diff_case_init(&c, files);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	diff_add(&c, 0, p, APP, "f", 2, 1, 10);
	diff_add(&c, 0, p, APP, "f", 3, 1, 10);
	diff_add(&c, 0, p, "<string>", "<module>", 7, 1, 1);
	diff_add(&c, 1, q, APP, "f", 2, 1, 11);
	diff_add(&c, 1, q, APP, "f", 4, 1, 12);
	diff_add(&c, 1, q, "<string>", "<module>", 7, 1, 2);
	diff = diff_make(&c);
	expect(line_at(diff, 2, 2), MODEL_DIFF_NUMBER, 10, 11);
	expect(line_at(diff, 7, 7), MODEL_DIFF_NUMBER, 1, 2);
	expect(line_at(diff, 3, 0), MODEL_DIFF_ONLY, 10, 0);
	expect(line_at(diff, 0, 4), MODEL_DIFF_ONLY, 0, 12);
	assert_true(line_at(diff, 3, 0)->text_known);
	assert_false(line_at(diff, 0, 4)->text_known);
	assert_int_equal(diff->programs->line_count, 4);
	check_sums(diff);
	diff_case_fini(&c);
}

/* A library of another installation and another Python; its functions have other names there. */
static void test_prefixes(void **state)
{
	static const char old[] = "/old/lib/python3.10/site-packages/shop/cart.py";
	static const char new[] = "/new/venv/lib/python3.12/site-packages/shop/cart.py";
	struct diff_file files[] = {
		{0, old, "class C:\n    def get():\n        return 1\n"},
		{1, new, "class C:\n    def get():\n        return 1\n"},
		{0, NULL, NULL},
	};
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_diff *diff;

	(void)state;
	diff_case_init(&c, files);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	free(p->python);
	free(q->python);
	p->python = strdup("3.10.4");
	q->python = strdup("3.12.0");
	diff_add(&c, 0, p, old, "get", 3, 2, 10);
	diff_add(&c, 1, q, new, "C.get", 3, 2, 11);
	diff_add(&c, 0, p, "/opt/a/own.py", "f", 5, 2, 1);
	diff_add(&c, 1, q, "/opt/b/own.py", "f", 5, 2, 2);
	diff = diff_make(&c);
	expect(line_at(diff, 3, 3), MODEL_DIFF_TEXT, 10, 11);
	assert_int_equal(diff->programs->line_count, 2);
	check_sums(diff);
	diff_case_fini(&c);
}

/* The program lies in another folder in B; one file is at the same place in both, and stays apart.
 */
static void test_folders(void **state)
{
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_diff *diff;
	const struct model_diff_program *program;

	(void)state;
	diff_case_init(&c, NULL);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	diff_add(&c, 0, p, "/builds/1/app.py", "f", 1, 1, 10);
	diff_add(&c, 0, p, "/builds/1/shop/__init__.py", "f", 2, 1, 10);
	diff_add(&c, 0, p, "/builds/1/shop/cart/__init__.py", "f", 3, 1, 10);
	diff_add(&c, 0, p, "/builds/shared.py", "f", 4, 1, 10);
	diff_add(&c, 0, p, "/builds/1/gone.py", "f", 5, 1, 10);
	diff_add(&c, 1, q, "/builds/two/app.py", "f", 1, 1, 11);
	diff_add(&c, 1, q, "/builds/two/shop/__init__.py", "f", 2, 1, 12);
	diff_add(&c, 1, q, "/builds/two/shop/cart/__init__.py", "f", 3, 1, 13);
	diff_add(&c, 1, q, "/builds/shared.py", "f", 4, 1, 14);
	diff_add(&c, 1, q, "/builds/two/new.py", "f", 6, 1, 15);
	diff = diff_make(&c);
	program = diff->programs;
	assert_int_equal(program->line_count, 6);
	for (int line = 1; line <= 4; line++)
		expect(line_at(diff, line, line), MODEL_DIFF_NUMBER, 10, 10 + line);
	expect(line_at(diff, 5, 0), MODEL_DIFF_ONLY, 10, 0);
	expect(line_at(diff, 0, 6), MODEL_DIFF_ONLY, 0, 15);
	assert_int_equal(program->folder_length[0], strlen("/builds/1"));
	assert_int_equal(program->folder_length[1], strlen("/builds/two"));
	assert_memory_equal(program->folder[1], "/builds/two/", 12);
	check_sums(diff);
	diff_case_fini(&c);
}

/* With the same kind of Python, two methods of a name are two. */
static void test_qualified_names(void **state)
{
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_diff *diff;

	(void)state;
	diff_case_init(&c, NULL);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	diff_add(&c, 0, p, APP, "A.get", 3, 2, 10);
	diff_add(&c, 1, q, APP, "B.get", 3, 2, 11);
	diff = diff_make(&c);
	assert_int_equal(diff->programs->line_count, 2);
	expect(line_at(diff, 3, 0), MODEL_DIFF_ONLY, 10, 0);
	check_sums(diff);
	diff_case_fini(&c);
}

static const struct model_diff_program *program_of(const struct model_diff *diff, int side, int pid)
{
	for (size_t i = 0; i < diff->program_count; i++)
		if (diff->programs[i].side[side].process &&
		    diff->programs[i].side[side].process->pid == pid)
			return &diff->programs[i];
	fail_msg("no program with PID %d", pid);
	return NULL;
}

static void move_to(struct model_process *p, const char *cgroup)
{
	free(p->cgroup);
	p->cgroup = strdup(cgroup);
}

/* By name and arguments, in the same service, or in another one; by the name alone if no other has
 * it. PIDs and numbers in arguments don't count. */
static void test_programs(void **state)
{
	static char *web[] = {"python3", "manage.py", "web", "--port", "80", NULL};
	static char *other_web[] = {"python3", "manage.py", "web", "--port", "81", NULL};
	static char *mail[] = {"python3", "manage.py", "mail", NULL};
	static char *tool[] = {"python3", "/a/tool.py", "/tmp/x", NULL};
	static char *other_tool[] = {"python3", "/b/tool.py", "/tmp/y", NULL};
	static char *gone[] = {"python3", "gone.py", NULL};
	static char *new[] = {"python3", "-m", "new", NULL};
	static char *many[][4] = {{"python3", "many.py", "x", NULL},
				  {"python3", "many.py", "y", NULL},
				  {"python3", "many.py", "z", NULL}};
	struct diff_case c;
	const struct model_diff *diff;
	const struct model_diff_program *p;

	(void)state;
	diff_case_init(&c, NULL);
	move_to(diff_process(&c, 0, 1, web), "/system.slice/one.service");
	move_to(diff_process(&c, 0, 2, web), "/system.slice/two.service");
	diff_process(&c, 0, 3, mail);
	diff_process(&c, 0, 4, tool);
	diff_process(&c, 0, 31, many[0]);
	diff_process(&c, 0, 32, many[1]);
	diff_process(&c, 1, 33, many[2]);
	diff_add(&c, 0, diff_process(&c, 0, 5, gone), "gone.py", "f", 1, 1, 3);
	move_to(diff_process(&c, 1, 11, other_web), "/system.slice/two.service");
	move_to(diff_process(&c, 1, 12, other_web), "/system.slice/three.service");
	diff_process(&c, 1, 1, mail);
	diff_process(&c, 1, 14, other_tool);
	diff_add(&c, 1, diff_process(&c, 1, 15, new), "new.py", "f", 1, 1, 4);
	diff = diff_make(&c);
	assert_int_equal(diff->program_count, 9);
	/* Which of the two would it be? */
	for (int pid = 31; pid <= 32; pid++)
		assert_int_equal(program_of(diff, 0, pid)->match, MODEL_DIFF_PROGRAM_ONLY);
	assert_int_equal(program_of(diff, 1, 33)->match, MODEL_DIFF_PROGRAM_ONLY);
	p = program_of(diff, 0, 2);
	assert_int_equal(p->match, MODEL_DIFF_PROGRAM_SAME);
	assert_int_equal(p->side[1].process->pid, 11);
	p = program_of(diff, 0, 1);
	assert_int_equal(p->match, MODEL_DIFF_PROGRAM_ELSEWHERE);
	assert_int_equal(p->side[1].process->pid, 12);
	assert_int_equal(program_of(diff, 0, 3)->side[1].process->pid, 1);
	p = program_of(diff, 0, 4);
	assert_int_equal(p->match, MODEL_DIFF_PROGRAM_NAME);
	assert_int_equal(p->side[1].process->pid, 14);
	p = program_of(diff, 0, 5);
	assert_int_equal(p->match, MODEL_DIFF_PROGRAM_ONLY);
	assert_null(p->side[1].process);
	assert_int_equal(p->side[1].processes, 0);
	assert_int_equal(p->lines[0].side[0].increment_bytes, 3 * PAGE);
	assert_int_equal(p->lines[0].side[1].increment_bytes, 0);
	assert_null(program_of(diff, 1, 15)->side[0].process);
	/* The largest difference is first. */
	assert_ptr_equal(diff->programs, program_of(diff, 1, 15));
	check_sums(diff);
	diff_case_fini(&c);
}

/* Several processes of a program are one, whatever their number; some have ended. Losses, and what
 * is in neither, are kept apart by side. */
static void test_sums(void **state)
{
	static char *one[] = {"python3", APP, "--shard", "1", NULL};
	static char *two[] = {"python3", APP, "--shard", "2", NULL};
	struct diff_case c;
	struct model_process *p;
	const struct model_diff *diff;
	const struct model_diff_program_side *a, *b;

	(void)state;
	diff_case_init(&c, NULL);
	p = diff_process(&c, 0, 10, one);
	diff_add(&c, 0, p, APP, "f", 2, 1, 10);
	diff_lose(p, PYMEM_LOSS_NO_FRAME, 3);
	for (int i = 0; i < 3; i++) {
		p = diff_process(&c, 1, 20 + i, i ? two : one);
		p->exited = i == 2;
		diff_add(&c, 1, p, APP, "f", 2, 1, 7);
		diff_add(&c, 1, p, APP, "f", 3, 1, -2);
		diff_lose(p, PYMEM_LOSS_EXIT, -1);
	}
	p->rss_end_bytes += 5; /* nobody knows why */
	c.model[1]->gathered.processes = 9;
	c.model[1]->gathered.change_bytes = 123456789;
	c.model[1]->gathered.charged_bytes = 123456780;
	c.model[1]->gathered.lost_bytes[0] = 9;
	c.model[1]->unfolded = c.model[1]->gathered;
	diff = diff_make(&c);
	assert_int_equal(diff->program_count, 1);
	a = &diff->programs->side[0];
	b = &diff->programs->side[1];
	assert_int_equal(a->processes, 1);
	assert_int_equal(b->processes, 3);
	assert_int_equal(b->exited, 1);
	expect(line_at(diff, 2, 2), MODEL_DIFF_NUMBER, 10, 21);
	expect(line_at(diff, 0, 3), MODEL_DIFF_ONLY, 0, -6);
	assert_int_equal(a->lost_bytes[PYMEM_LOSS_NO_FRAME], 3 * PAGE);
	assert_int_equal(b->lost_bytes[PYMEM_LOSS_EXIT], -3 * PAGE);
	assert_int_equal(b->lost_bytes[PYMEM_LOSS_NO_FRAME], 0);
	assert_int_equal(a->unaccounted_bytes, 0);
	assert_int_equal(b->unaccounted_bytes, 5);
	assert_int_equal(model_diff_change(b), 12 * PAGE + 5);
	check_sums(diff);
	diff_case_fini(&c);
}

/* By rates a longer side counts less; the order of lines and the difference follow. */
static void test_rates(void **state)
{
	struct diff_case c;
	struct model_process *p;
	struct model_diff *diff;

	(void)state;
	diff_case_init(&c, NULL);
	c.model[1]->end = c.model[1]->start + 600;
	p = diff_process(&c, 0, 10, app);
	diff_add(&c, 0, p, APP, "f", 2, 1, 100);
	diff_add(&c, 0, p, APP, "f", 3, 1, 100);
	p = diff_process(&c, 1, 20, app);
	diff_add(&c, 1, p, APP, "f", 2, 1, 1000);
	diff_add(&c, 1, p, APP, "f", 3, 1, 200);
	diff_make(&c);
	diff = c.diff;
	assert_true(model_diff_prefers_rates(diff));
	assert_int_equal(diff->programs->lines[0].at[0]->line, 2);
	assert_true(model_diff_difference(diff, 100, 1000) == 900);
	model_diff_sort(diff, true);
	assert_true(diff->by_rates);
	assert_int_equal(diff->programs->lines[0].at[0]->line, 3);
	assert_true(model_diff_difference(diff, 100, 1000) > -1e-6 &&
		    model_diff_difference(diff, 100, 1000) < 1e-6);
	assert_true(model_diff_growth(diff, false) == 1000.0 * PAGE);
	assert_true(model_diff_growth(diff, true) == -800.0 * PAGE);
	/* What has ended is compared as a whole. */
	c.model[0]->processes[0]->exited = c.model[1]->processes[0]->exited = true;
	model_diff_free(diff);
	diff_make(&c);
	assert_false(model_diff_prefers_rates(c.diff));
	/* There is no rate without a length. */
	c.model[1]->end = c.model[1]->start - 1;
	model_diff_free(c.diff);
	diff_make(&c);
	assert_false(model_diff_prefers_rates(c.diff));
	model_diff_sort(c.diff, true);
	assert_false(c.diff->by_rates);
	diff_case_fini(&c);
}

/* What grew in B counts, whether A has the program or not; what only A has does not. */
static void test_growth(void **state)
{
	static char *gone[] = {"python3", "gone.py", NULL};
	static char *new[] = {"python3", "-m", "new", NULL};
	struct diff_case c;

	(void)state;
	diff_case_init(&c, NULL);
	diff_add(&c, 0, diff_process(&c, 0, 10, app), APP, "f", 2, 1, 10);
	diff_add(&c, 1, diff_process(&c, 1, 11, app), APP, "f", 2, 1, 30);
	diff_add(&c, 0, diff_process(&c, 0, 12, gone), "gone.py", "f", 2, 1, 1000);
	diff_add(&c, 1, diff_process(&c, 1, 13, new), "new.py", "f", 2, 1, 5);
	c.model[0]->gathered.change_bytes = 2 * PAGE;
	c.model[1]->gathered.change_bytes = 3 * PAGE;
	c.model[0]->unfolded = c.model[0]->gathered;
	c.model[1]->unfolded = c.model[1]->gathered;
	diff_make(&c);
	assert_true(model_diff_growth(c.diff, false) == (30 - 10 + 5 + 1) * (double)PAGE);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* A process that has ended grew to its peak: what it freed before it ended is no merit. */
static void test_growth_of_ended(void **state)
{
	struct diff_case c;
	struct model_process *p, *q;

	(void)state;
	diff_case_init(&c, NULL);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	p->rss_peak_bytes = p->rss_start_bytes + 50 * PAGE;
	q->rss_peak_bytes = q->rss_start_bytes + 90 * PAGE;
	p->exited = q->exited = true;
	diff_make(&c);
	assert_true(model_diff_has_ended(c.diff));
	assert_true(model_diff_growth(c.diff, false) == 40.0 * PAGE);
	assert_int_equal(c.diff->side[1].growth_bytes, 90 * PAGE);
	assert_int_equal(c.diff->side[1].change_bytes, 0);
	model_diff_free(c.diff);
	/* A peak of what still runs may be from a moment that says nothing. */
	q->exited = false;
	diff_make(&c);
	assert_false(model_diff_has_ended(c.diff));
	assert_true(model_diff_growth(c.diff, false) == -50.0 * PAGE);
	check_sums(c.diff);
	diff_case_fini(&c);
}

/* Lines that were only called from, and of which nothing is known, have no row. Of a side that does
 * not know what is resident, the lines don't either. */
static void test_resident(void **state)
{
	struct diff_case c;
	struct model_process *p, *q;
	const struct model_location *at;
	const struct model_diff *diff;

	(void)state;
	diff_case_init(&c, NULL);
	p = diff_process(&c, 0, 10, app);
	q = diff_process(&c, 1, 11, app);
	p->resident_known = true;
	diff_add(&c, 0, p, APP, "f", 2, 1, 1);
	at = model_location(c.model[0], APP, "f", 9, 1);
	assert_int_equal(model_add_resident(c.model[0], p, &at, 1, 6), 0);
	diff_add(&c, 1, q, APP, "f", 2, 1, 1);
	diff = diff_make(&c);
	assert_int_equal(diff->programs->line_count, 2);
	assert_int_equal(line_at(diff, 9, 0)->side[0].resident_bytes, 6 * PAGE);
	assert_int_equal(line_at(diff, 9, 0)->side[1].resident_bytes, -1);
	assert_int_equal(line_at(diff, 2, 2)->side[1].resident_bytes, -1);
	check_sums(diff);
	diff_case_fini(&c);
}

static size_t looked_up;

static const char *same_text(void *arg, const struct model_process *process, const char *file,
			     int line)
{
	(void)arg;
	(void)process;
	(void)file;
	(void)line;
	looked_up++;
	return "value = value + 1  # each line of the file is this one, and long";
}

/* Recordings may be made in which each line is the last one of a very long function: twelve million
 * texts, which would be compared with each other. It ends, adds up, and is said. */
static void test_hostile_functions(void **state)
{
	struct model_diff_texts texts = {.text = same_text};
	struct model_diff *diff;
	struct diff_case c;
	char name[16];

	(void)state;
	diff_case_init(&c, NULL);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		struct model_process *p = diff_process(&c, side, 1, app);

		for (int i = 0; i < 300; i++) {
			snprintf(name, sizeof(name), "f%d", i);
			diff_add(&c, side, p, APP, name, 20000, 1, 1 + side);
		}
		assert_int_equal(model_compute(c.model[side]), 0);
	}
	diff = model_diff_new(c.model[MODEL_DIFF_A], c.model[MODEL_DIFF_B], &texts);
	assert_non_null(diff);
	assert_in_range(looked_up, 1000000, DIFF_TEXTS_MOST / 64);
	assert_in_range(diff->hurried, 1, 599);
	check_sums(diff);
	/* Those of which a text is unknown in one side have the same number in both. */
	assert_int_equal(diff->programs[0].line_count, 300);
	for (int i = 0; i < 300; i++)
		assert_int_not_equal(diff->programs[0].lines[i].match, MODEL_DIFF_ONLY);
	model_diff_free(diff);
	diff_case_fini(&c);
}

static void test_empty(void **state)
{
	struct diff_case c;

	(void)state;
	diff_case_init(&c, NULL);
	diff_make(&c);
	assert_int_equal(c.diff->program_count, 0);
	assert_false(model_diff_prefers_rates(c.diff));
	assert_true(model_diff_growth(c.diff, true) == 0);
	check_sums(c.diff);
	model_diff_free(NULL);
	diff_case_fini(&c);
}

/* Programs and lines made by chance, a few of which are equal: it adds up, and each line is in one
 * row of each side. */
static void test_chance(void **state)
{
	static const struct diff_file files[] = {
		{0, "a.py", "x\ny\nx\n\nz\nx\ny\n"},
		{1, "a.py", "y\nx\nx\nz\nz\n x\n"},
		{0, "b.py", "x\nx\nx\n"},
		{0, NULL, NULL},
	};
	static const char *const names[] = {"a.py", "b.py", "<string>"};
	static char *const arguments[] = {"p.py", "q.py", "r.py"};
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct diff_case c;

		diff_case_init(&c, files);
		for (int i = rand_r(&seed) % 8; i; i--) {
			char *command[] = {"python3", arguments[rand_r(&seed) % 3], NULL};
			int side = rand_r(&seed) % 2;
			struct model_process *p = diff_process(&c, side, i, command);

			for (int j = rand_r(&seed) % 12; j; j--)
				diff_add(&c, side, p, names[rand_r(&seed) % 3],
					 rand_r(&seed) % 2 ? "f" : "g", 1 + rand_r(&seed) % 8, 1,
					 rand_r(&seed) % 100 - 50);
			diff_lose(p, rand_r(&seed) % PYMEM_LOSS_COUNT, rand_r(&seed) % 9 - 4);
		}
		check_sums(diff_make(&c));
		model_diff_sort(c.diff, true);
		check_sums(c.diff);
		diff_case_fini(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved),		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_no_text),		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_folders),		cmocka_unit_test(test_qualified_names),
		cmocka_unit_test(test_programs),	cmocka_unit_test(test_sums),
		cmocka_unit_test(test_rates),		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_growth_of_ended), cmocka_unit_test(test_resident),
		cmocka_unit_test(test_empty),		cmocka_unit_test(test_hostile_functions),
		cmocka_unit_test(test_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
