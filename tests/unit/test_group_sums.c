/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/group_sums.c: rows by program and place, by container, by unit, by user, by process, of a
 * bounded number; nothing is left out. That a
 * row's parts add up is also checked of random models (format_sums.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/group_sums.h"
#include "os/rights.h"

#define PAGE 4096

static struct model_process *add(struct model *model, int pid, const char *script,
				 const char *cgroup, int64_t rss_pages)
{
	char *argv[] = {"python3", (char *)script, NULL};
	struct model_process *p =
		model_add_process(model, pid, 1, "python3", argv, cgroup, "3.11.2", "walk");

	assert_non_null(p);
	p->rss_end_bytes = rss_pages * PAGE;
	p->rss_start_bytes = p->rss_end_bytes;
	p->rss_peak_bytes = p->rss_end_bytes;
	p->pss_bytes = rss_pages * PAGE / 2;
	return p;
}

static void grow(struct model *model, struct model_process *p, const char *file, int line,
		 int64_t pages)
{
	const struct model_location *at = model_location(model, file, "f", line, 1);
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = pages}};

	*(pages > 0 ? &counters.grown_pages : &counters.freed_pages) =
		(uint64_t)(pages > 0 ? pages : -pages);
	assert_int_equal(model_add_stack(model, p, &at, 1, false, &counters, NULL), 0);
	p->rss_start_bytes -= pages * PAGE;
}

static struct model *begin(void)
{
	struct model *model = model_new(PAGE);

	assert_non_null(model);
	return model;
}

static void make_by(struct model *model, enum model_by by, size_t groups, size_t lines,
		    struct group_sums *sums)
{
	assert_int_equal(model_compute(model), 0);
	assert_int_equal(group_sums_make(model, by, groups, lines, sums), 0);
	for (size_t i = 0; i < sums->count; i++) {
		const struct group_sum *sum = &sums->list[i];
		int64_t rest = sum->change_bytes - sum->other_lines_bytes;

		for (size_t j = 0; j < sum->line_count; j++)
			rest -= sum->lines[j].change_bytes;
		for (int j = 0; j < PYMEM_LOSS_COUNT; j++)
			rest -= sum->lost_bytes[j];
		assert_int_equal(rest, 0);
	}
}

static void make(struct model *model, size_t programs, size_t lines, struct group_sums *sums)
{
	make_by(model, MODEL_BY_PROGRAM, programs, lines, sums);
}

static void end(struct model *model, struct group_sums *sums)
{
	group_sums_free(sums);
	model_free(model);
}

static void test_one_program(void **state)
{
	struct model *model = begin();
	struct group_sums sums;
	struct model_process *ended;

	(void)state;
	grow(model, add(model, 1, "/srv/a.py", "/system.slice/api.service", 100), "a.py", 7, 10);
	grow(model, add(model, 2, "/srv/a.py", "/system.slice/api.service", 200), "a.py", 7, 20);
	grow(model, add(model, 3, "/srv/a.py", "/system.slice/b.service", 50), "a.py", 9, -4);
	ended = add(model, 4, "/srv/a.py", "/system.slice/b.service", 0);
	ended->exited = true;
	ended->lost_bytes[PYMEM_LOSS_NO_FRAME] = -3 * PAGE;
	ended->rss_start_bytes = 3 * PAGE;
	ended->rss_peak_bytes = 900 * PAGE;
	make(model, 10, 10, &sums);
	assert_int_equal(sums.count, 2);
	assert_string_equal(sums.list[0].name, "a.py");
	assert_string_equal(sums.list[0].where, "api.service");
	assert_int_equal(sums.list[0].processes, 2);
	assert_int_equal(sums.list[0].rss_bytes, 300 * PAGE);
	assert_int_equal(sums.list[0].pss_bytes, 150 * PAGE);
	assert_int_equal(sums.list[0].change_bytes, 30 * PAGE);
	assert_int_equal(sums.list[0].line_count, 1);
	assert_int_equal(sums.list[0].lines[0].change_bytes, 30 * PAGE);
	assert_int_equal(sums.list[1].processes, 1);
	assert_int_equal(sums.list[1].peak_bytes, 900 * PAGE);
	assert_int_equal(sums.list[1].change_bytes, -7 * PAGE);
	assert_int_equal(sums.list[1].freed_bytes, 4 * PAGE);
	end(model, &sums);
}

static void test_unknown_pss(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	add(model, 1, "a.py", "", 10)->pss_bytes = -1;
	add(model, 2, "a.py", "", 10);
	add(model, 3, "b.py", "", 5);
	make(model, 10, 10, &sums);
	assert_int_equal(sums.list[0].pss_bytes, -1);
	assert_int_equal(sums.list[1].pss_bytes, 5 * PAGE / 2);
	end(model, &sums);
	model = begin();
	add(model, 1, "a.py", "", 10)->pss_bytes = -1;
	add(model, 3, "b.py", "", 5);
	make(model, 0, 10, &sums);
	assert_true(sums.count == 1 && sums.list[0].rest);
	assert_int_equal(sums.list[0].pss_bytes, -1);
	end(model, &sums);
}

/* Ten thousand programs: the largest have rows. */
static void test_many(void **state)
{
	struct model *model = begin();
	struct group_sums sums;
	char name[32];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "p%d.py", i);
		grow(model, add(model, 1 + i, name, "", 10 + i), name, 1, 2);
	}
	make(model, 500, 10, &sums);
	assert_int_equal(sums.count, 501);
	assert_string_equal(sums.list[0].name, "p9999.py");
	assert_string_equal(sums.list[500].name, GROUP_SUMS_REST);
	assert_true(sums.list[500].rest);
	assert_int_equal(sums.list[500].processes, 9500);
	assert_int_equal(sums.list[500].change_bytes, 9500 * 2 * PAGE);
	assert_int_equal(sums.list[500].line_count, 0);
	assert_int_equal(sums.list[500].other_lines_bytes, 9500 * 2 * PAGE);
	end(model, &sums);
}

/* The lines that changed most, of either sign; all others are one figure. */
static void test_lines(void **state)
{
	struct model *model = begin();
	struct model_process *p = add(model, 1, "a.py", "", 5000);
	struct group_sums sums;

	(void)state;
	for (int i = 1; i <= 100; i++)
		grow(model, p, "a.py", i, i % 2 ? i : -i);
	make(model, 5, 3, &sums);
	assert_int_equal(sums.list[0].line_count, 3);
	assert_int_equal(sums.list[0].lines[0].location->line, 100);
	assert_int_equal(sums.list[0].lines[0].change_bytes, -100 * PAGE);
	assert_int_equal(sums.list[0].lines[2].location->line, 98);
	assert_int_equal(sums.list[0].other_lines_bytes, (-50 + 100 - 99 + 98) * PAGE);
	group_sums_free(&sums);
	make(model, 5, 0, &sums);
	assert_int_equal(sums.list[0].line_count, 0);
	assert_int_equal(sums.list[0].other_lines_bytes, -50 * PAGE);
	end(model, &sums);
}

/* What looks the same is one row; no program can pass for the rest. */
static void test_names(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	add(model, 1, "a\x1b", "", 40);
	add(model, 2, "a\\x1b", "", 40);
	add(model, 3, GROUP_SUMS_REST, "", 20);
	add(model, 4, "b.py", "", 1);
	make(model, 2, 10, &sums);
	assert_int_equal(sums.count, 3);
	assert_string_equal(sums.list[0].name, "a\\x1b");
	assert_int_equal(sums.list[0].processes, 2);
	assert_string_equal(sums.list[1].name, GROUP_SUMS_REST "_");
	assert_false(sums.list[1].rest);
	assert_string_equal(sums.list[2].name, GROUP_SUMS_REST);
	end(model, &sums);
}

/* Ended processes that are no longer kept apart are part of the rest. */
static void test_gathered(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	model->gathered.processes = 3;
	model->gathered.change_bytes = 9 * PAGE;
	model->gathered.charged_bytes = 5 * PAGE;
	model->gathered.lost_bytes[PYMEM_LOSS_NO_FRAME] = 4 * PAGE;
	model->unfolded = model->gathered;
	make(model, 10, 10, &sums);
	assert_int_equal(sums.count, 1);
	assert_true(sums.list[0].rest);
	assert_int_equal(sums.list[0].change_bytes, 9 * PAGE);
	end(model, &sums);
	model = begin();
	make(model, 10, 10, &sums);
	assert_int_equal(sums.count, 0);
	end(model, &sums);
}

/* --- by what else --- */

#define A   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B   "0123456789ab0000000000000000000000000000000000000000000000000000"
#define POD "8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f"

static void check_row(const struct group_sum *sum, const char *name, const char *where,
		      size_t processes, int64_t change_pages)
{
	assert_string_equal(sum->name, name);
	assert_string_equal(sum->where, where);
	assert_int_equal(sum->processes, processes);
	assert_int_equal(sum->change_bytes, change_pages * PAGE);
}

/* Programs are added up across each other, and what is below a container is its own. */
static void test_containers(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	grow(model, add(model, 1, "a.py", "/kubepods/pod" POD "/" A, 100), "a.py", 1, 3);
	grow(model, add(model, 2, "b.py", "/kubepods/pod" POD "/" A "/init.scope", 100), "b.py", 1,
	     4);
	/* Its id has the same beginning. */
	grow(model, add(model, 3, "b.py", "/kubepods/pod" POD "/" B, 90), "b.py", 1, 5);
	grow(model, add(model, 4, "b.py", "/system.slice/b.service", 80), "b.py", 1, 6);
	grow(model, add(model, 5, "c.py", "", 70), "c.py", 1, 7);
	make_by(model, MODEL_BY_CONTAINER, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "container:0123456789ab", POD, 2, 7);
	assert_int_equal(sums.list[0].first->pid, 1);
	assert_int_equal(sums.list[0].line_count, 2);
	check_row(&sums.list[1], "", "", 2, 13);
	check_row(&sums.list[2], "container:0123456789ab", POD, 1, 5);
	group_sums_free(&sums);
	make_by(model, MODEL_BY_CONTAINER, 1, 10, &sums);
	assert_int_equal(sums.count, 2);
	assert_true(sums.list[1].rest && !sums.list[1].first);
	check_row(&sums.list[1], GROUP_SUMS_REST, "", 3, 18);
	end(model, &sums);
}

#define HOST  "/system.slice/docker-" A ".scope"
#define USERS "/user.slice/user-7.slice/user@7.service/"

/* A user names a group as the host's container: it is a row of its own, in each sum, and has
 * neither the id nor the Pod of that. */
static void test_forged(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	grow(model, add(model, 1, "a.py", HOST, 100), "a.py", 1, 3);
	grow(model, add(model, 2, "a.py", USERS "docker-" A ".scope", 90), "a.py", 1, 4);
	grow(model, add(model, 3, "a.py", USERS "kubepods/pod" POD "/" A, 80), "a.py", 1, 5);
	make_by(model, MODEL_BY_CONTAINER, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "docker:0123456789ab", "", 1, 3);
	assert_string_equal(sums.list[0].id, A);
	check_row(&sums.list[1], "docker:0123456789ab of user 7", "", 1, 4);
	assert_string_equal(sums.list[1].id, "");
	check_row(&sums.list[2], "container:0123456789ab of user 7", POD " of user 7", 1, 5);
	assert_string_equal(sums.list[2].id, "");
	group_sums_free(&sums);
	make_by(model, MODEL_BY_PROGRAM, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "a.py", "docker:0123456789ab", 1, 3);
	check_row(&sums.list[1], "a.py", "docker:0123456789ab of user 7", 1, 4);
	group_sums_free(&sums);
	make_by(model, MODEL_BY_UNIT, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "docker-" A ".scope", "docker:0123456789ab", 1, 3);
	check_row(&sums.list[1], "docker-" A ".scope", "docker:0123456789ab of user 7", 1, 4);
	end(model, &sums);
}

/* However long his name is when it is escaped. */
static void test_long_names(void **state)
{
	struct model *model = begin();
	struct group_sums sums;
	char path[512] = USERS "lxc.payload.";

	(void)state;
	memset(path + strlen(path), 0xff, 200);
	grow(model, add(model, 1, "a.py", path, 100), "a.py", 1, 3);
	for (enum model_by by = MODEL_BY_PROCESS; by <= MODEL_BY_CONTAINER; by++) {
		make_by(model, by, 10, 10, &sums);
		const char *name =
			by == MODEL_BY_CONTAINER ? sums.list[0].name : sums.list[0].where;

		assert_int_equal(sums.count, 1);
		assert_memory_equal(name, "lxc:\\xff\\xff", 12);
		assert_string_equal(name + strlen(name) - 10, " of user 7");
		group_sums_free(&sums);
	}
	make_by(model, MODEL_BY_CONTAINER, 10, 10, &sums);
	end(model, &sums);
}

/* Sessions of one user are one place; two users are two, and services are their users'. */
static void test_places(void **state)
{
	struct model *model = begin();
	struct group_sums sums;
	struct group_place place, other;

	(void)state;
	add(model, 1, "a.py", "/user.slice/user-7.slice/session-1.scope", 100);
	add(model, 2, "a.py", "/user.slice/user-7.slice/session-2.scope", 100);
	add(model, 3, "a.py", "/user.slice/user-8.slice/session-3.scope", 90);
	add(model, 4, "a.py", "/system.slice/api.service", 80);
	add(model, 5, "a.py", USERS "app.slice/api.service", 70);
	add(model, 6, "a.py", "/system.slice/run-u5.service", 60);
	make(model, 10, 10, &sums);
	assert_int_equal(sums.count, 5);
	check_row(&sums.list[0], "a.py", "user 7", 2, 0);
	check_row(&sums.list[1], "a.py", "user 8", 1, 0);
	check_row(&sums.list[2], "a.py", "api.service", 1, 0);
	check_row(&sums.list[3], "a.py", "api.service of user 7", 1, 0);
	check_row(&sums.list[4], "a.py", "", 1, 0);
	/* Alarms know programs by the same key. */
	for (size_t i = 0; i < model->process_count; i++) {
		const struct model_process *p = model->processes[i];

		group_place_of(&place, MODEL_BY_PROGRAM, p);
		group_place_of_program(&other, p->cmdline, p->comm, p->cgroup);
		assert_memory_equal(&place, &other, sizeof(place));
	}
	end(model, &sums);
}

static void test_units(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	grow(model, add(model, 1, "a.py", "/system.slice/a\\x2db.service/x", 100), "a.py", 1, 3);
	grow(model, add(model, 2, "b.py", "/system.slice/a\\x2db.service/y", 100), "b.py", 1, 4);
	grow(model, add(model, 3, "b.py", "/docker/" A "/system.slice/a\\x2db.service", 90), "b.py",
	     1, 5);
	grow(model, add(model, 4, "b.py", "/batch", 80), "b.py", 1, 6);
	make_by(model, MODEL_BY_UNIT, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "a-b.service", "", 2, 7);
	check_row(&sums.list[1], "a-b.service", "docker:0123456789ab", 1, 5);
	check_row(&sums.list[2], "", "", 1, 6);
	end(model, &sums);
}

static void set_user(struct model_process *process, uint32_t uid)
{
	struct rights rights = {.uid = uid};

	source_root_adopt(&process->root, -1, -1, &rights, 0);
}

static void test_users(void **state)
{
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	set_user(add(model, 1, "a.py", "", 100), 1000);
	set_user(add(model, 2, "b.py", "/docker/" A, 100), 1000);
	set_user(add(model, 3, "a.py", "", 90), 0);
	add(model, 4, "a.py", "", 80);
	make_by(model, MODEL_BY_USER, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "1000", "", 2, 0);
	check_row(&sums.list[1], "0", "", 1, 0);
	check_row(&sums.list[2], "", "", 1, 0);
	end(model, &sums);
}

/* A PID that was given out again is another process. */
static void test_processes(void **state)
{
	struct model *model = begin();
	struct model_process *ended = add(model, 1, "a.py", "", 0);
	struct group_sums sums;

	(void)state;
	ended->exited = true;
	ended->id = 1;
	add(model, 1, "a.py", "/docker/" A, 90)->id = 2;
	add(model, 2, "a.py", "/docker/" A, 80)->id = 3;
	make_by(model, MODEL_BY_PROCESS, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "a.py", "docker:0123456789ab", 1, 0);
	assert_int_equal(sums.list[0].first->id, 2);
	assert_int_equal(sums.list[1].first->pid, 2);
	assert_int_equal(sums.list[2].first->id, 1);
	assert_int_equal(sums.list[2].processes, 0);
	end(model, &sums);
}

/* What a server serves is a program; its processes are told apart by their part only if each is a
 * row. */
static void test_servers(void **state)
{
	char *titles[] = {"gunicorn: master [shop:app]", "gunicorn: worker [shop:app]",
			  "gunicorn: worker [blog:app]"};
	struct model *model = begin();
	struct group_sums sums;

	(void)state;
	for (int i = 0; i < 3; i++) {
		char *argv[] = {titles[i], NULL};
		struct model_process *p =
			model_add_process(model, i + 1, 1, "gunicorn", argv, "", "3.11.2", "walk");

		assert_non_null(p);
		p->id = (uint32_t)i;
		p->rss_start_bytes = p->rss_end_bytes = (100 - i) * PAGE;
	}
	make(model, 10, 10, &sums);
	assert_int_equal(sums.count, 2);
	check_row(&sums.list[0], "gunicorn shop:app", "", 2, 0);
	check_row(&sums.list[1], "gunicorn blog:app", "", 1, 0);
	group_sums_free(&sums);
	make_by(model, MODEL_BY_PROCESS, 10, 10, &sums);
	assert_int_equal(sums.count, 3);
	check_row(&sums.list[0], "gunicorn shop:app master", "", 1, 0);
	check_row(&sums.list[1], "gunicorn shop:app worker", "", 1, 0);
	end(model, &sums);
}

/* That of a process is the container's, or one above its own. */
static void test_cgroups(void **state)
{
	struct model *model = begin();
	struct model_cgroup outer = {(char *)"/lxc/a", 1, 2, 3, 4, 5};
	struct model_cgroup inner = {(char *)"/lxc/a/docker/" A, 6, -1, -1, -1, -1};

	(void)state;
	assert_int_equal(model_add_cgroup(model, &outer), 0);
	assert_int_equal(model_add_cgroup(model, &inner), 0);
	assert_int_equal(model_find_cgroup(model, "/lxc/a")->current_bytes, 1);
	assert_int_equal(model_find_cgroup(model, "/lxc/a/init.scope")->current_bytes, 1);
	assert_int_equal(model_find_cgroup(model, "/lxc/a/docker/" A "/x")->current_bytes, 6);
	assert_null(model_find_cgroup(model, "/lxc/ab"));
	assert_null(model_find_cgroup(model, ""));
	model_clear(model);
	assert_null(model_find_cgroup(model, "/lxc/a"));
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_program), cmocka_unit_test(test_unknown_pss),
		cmocka_unit_test(test_many),	    cmocka_unit_test(test_lines),
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_gathered),
		cmocka_unit_test(test_containers),  cmocka_unit_test(test_units),
		cmocka_unit_test(test_users),	    cmocka_unit_test(test_processes),
		cmocka_unit_test(test_cgroups),	    cmocka_unit_test(test_servers),
		cmocka_unit_test(test_long_names),  cmocka_unit_test(test_forged),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
