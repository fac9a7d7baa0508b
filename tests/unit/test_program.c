/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/program.c and model/cgroup_name.c: what people call what runs, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/cgroup_name.h"
#include "model/program.h"

#define WORDS_MOST 12

struct line { /* a command line, split at blanks; '_' stands for a blank in a word */
	char text[256], *argv[WORDS_MOST];
	struct program program;
};

static void parse(struct line *l, const char *text)
{
	char *rest = l->text, *word;
	size_t count = 0;

	snprintf(l->text, sizeof(l->text), "%s", text);
	while (*text && (word = strsep(&rest, " ")) && count < WORDS_MOST - 1) {
		l->argv[count++] = word;
		for (; *word; word++)
			*word = *word == '_' ? ' ' : *word;
	}
	l->argv[count] = NULL;
	program_parse(&l->program, l->argv, "comm");
}

static const struct {
	const char *line, *name, *command;
} lines[] = {
	{"/usr/bin/python3 /srv/app/api.py --port 80", "api.py", "api.py --port 80"},
	{"python3 -u -X importtime -W ignore api.py", "api.py", "api.py"},
	{"python3.13t -Bu ./api.py", "api.py", "api.py"},
	{"/usr/bin/python3 /usr/bin/gunicorn -w 3 shop:application", "gunicorn",
	 "gunicorn -w 3 shop:application"},
	{"/usr/bin/python3 -m http.server 8000", "-m http.server", "python3 -m http.server 8000"},
	{"python3 -Bmhttp.server", "-m http.server", "python3 -m http.server"},
	{"python3 -c import_time x", "-c import time", "python3 -c import time x"},
	{"python3 --check-hash-based-pycs always a.py", "a.py", "a.py"},
	{"python3", "python3", "python3"},
	{"/usr/bin/python3 -", "python3", "python3 -"},
	{"/usr/bin/python3 -u", "python3", "python3"},
	{"-python3", "-python3", "-python3"},
	{"python3-config --libs", "python3-config", "python3-config --libs"},
	{"/opt/uwsgi/bin/uwsgi --ini x.ini", "uwsgi", "uwsgi --ini x.ini"},
	{"gunicorn:_master_[shop]", "gunicorn", "gunicorn: master [shop]"},
	{"gunicorn:_worker_[/srv/a]", "gunicorn", "gunicorn: worker [/srv/a]"},
	{"", "comm", "comm"},
};

static void test_names(void **state)
{
	struct line l;
	char name[64], *command;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		parse(&l, lines[i].line);
		program_name(&l.program, name, sizeof(name));
		command = program_command(&l.program);
		assert_string_equal(name, lines[i].name);
		assert_string_equal(command, lines[i].command);
		free(command);
	}
	program_parse(&l.program, NULL, "comm");
	program_name(&l.program, name, 3);
	assert_string_equal(name, "co");
}

static void test_called(void **state)
{
	static const struct {
		const char *line, *name;
		bool is;
	} cases[] = {
		{"python3 /srv/api.py", "api.py", true},
		{"python3 /srv/api.py", "api", true},
		{"python3 /srv/api.py", "/srv/api.py", true},
		{"python3 /srv/api.py", "ap", false},
		{"python3 /srv/api.py", "python3", false},
		{"python3 /srv/api.py", "comm", true},
		{"python3 /srv/api.py", "", false},
		{"python3 -m http.server", "http.server", true},
		{"python3 -m http.server", "-m http.server", true},
		{"python3 -m http.server", "server", false},
		{"python3 -c pass", "pass", false},
		{"/usr/bin/python3 -q", "python3", true},
		{"python3 /usr/bin/gunicorn shop:app", "gunicorn", true},
		{"python3 /usr/bin/gunicorn shop:app", "shop:app", false},
		{"python3 /srv/api.py --x x", "x", false},
		{"gunicorn:_master_[shop]", "gunicorn", true},
		{"gunicorn:_master_[shop]", "gunicor", false},
		{"/opt/bin/uwsgi --ini x", "uwsgi", true},
	};
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse(&l, cases[i].line);
		if (program_is_called(&l.program, "comm", cases[i].name) != cases[i].is)
			fail_msg("%s, %s", cases[i].line, cases[i].name);
	}
}

static void test_same(void **state)
{
	static const struct {
		const char *one, *other;
		bool same;
	} cases[] = {
		{"python3 a.py --shard 1", "/usr/bin/python3.11 -u a.py --shard 2", true},
		{"python3 /srv/a.py", "python3 /opt/a.py", false},
		{"python3 a", "python3 -m a", false},
		{"python3", "/usr/bin/python3 -q", true},
		{"gunicorn:_master", "gunicorn:_worker", true},
		{"gunicorn:_master", "gunicornx:_worker", false},
		{"uwsgi --a", "uwsgi --b", true},
	};
	struct line one, other;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse(&one, cases[i].one);
		parse(&other, cases[i].other);
		assert_int_equal(program_same(&one.program, &other.program), cases[i].same);
	}
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_cgroups(void **state)
{
	static const struct {
		const char *path, *name;
		bool container;
	} cases[] = {
		{"", "", false},
		{"/", "", false},
		{"/system.slice/api.service", "api.service", false},
		{"/system.slice/api.service/worker", "api.service", false},
		{"/batch.slice", "batch.slice", false},
		{"/user.slice/user-0.slice/session-3.scope", "session-3.scope", false},
		{"/system.slice/docker-" ID ".scope", "docker:0123456789ab", true},
		{"/docker/" ID, "docker:0123456789ab", true},
		{"/docker/" ID "/init.scope", "docker:0123456789ab", true},
		{"/machine.slice/libpod-" ID ".scope/container", "podman:0123456789ab", true},
		{"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
		 "containerd:0123456789ab", true},
		{"/kubepods/besteffort/pod1234/" ID, "container:0123456789ab", true},
		{"/" ID, "container:0123456789ab", true},
		{"/lxc/web", "lxc:web", true},
		{"/lxc.payload.web/system.slice", "lxc:web", true},
		{"/machine.slice/machine-web.scope", "nspawn:web", true},
		{"//", "", false},
	};
	char name[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cgroup_name(cases[i].path, name, sizeof(name)),
				 cases[i].container);
		assert_string_equal(name, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_called),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_cgroups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
