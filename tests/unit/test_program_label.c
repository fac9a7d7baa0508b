/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/program_label.c: what servers serve, and the parts of processes that have set a title. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/program_label.h"

#define WORDS_MOST 12

static const struct {
	const char *line; /* split at blanks; '~' stands for a blank in a word */
	const char *label, *role;
} cases[] = {
	{"/usr/bin/python3 /usr/bin/gunicorn -w 3 --bind 127.0.0.1:8000 shop:application",
	 "gunicorn shop:application", ""},
	{"python3 /usr/bin/gunicorn -b localhost:80 -b unix:/run/x shop.web:make(1)",
	 "gunicorn shop.web:make(1)", ""},
	{"python3 /usr/bin/gunicorn -c conf.py", "gunicorn", ""},
	{"python3 -m gunicorn shop:app", "-m gunicorn shop:app", ""},
	{"python3 -m uvicorn --port 80 shop:app", "-m uvicorn shop:app", ""},
	{"python3 /srv/bin/daphne shop.asgi:app", "daphne shop.asgi:app", ""},
	{"python3 /usr/bin/celery -A jobs worker", "celery jobs", ""},
	{"python3 /usr/bin/celery --app=jobs.main worker -c 2", "celery jobs.main", ""},
	{"python3 -m celery -Ajobs beat", "-m celery jobs", ""},
	{"python3 /usr/bin/celery worker -A", "celery", ""},
	{"python3 -m flask --app shop run", "-m flask shop", ""},
	{"/usr/bin/uwsgi --http :80 --module shop:application", "uwsgi shop:application", ""},
	{"uwsgi -w shop", "uwsgi shop", ""},
	{"uwsgi --wsgi-file /srv/shop.py", "uwsgi shop.py", ""},
	{"uwsgi --ini x.ini", "uwsgi", ""},
	{"gunicorn:~master~[shop:application]", "gunicorn shop:application", "master"},
	{"gunicorn:~worker~[shop:application]", "gunicorn shop:application", "worker"},
	{"gunicorn:~worker", "gunicorn", "worker"},
	{"gunicorn:~worker~[", "gunicorn", "worker"},
	{"[celeryd:~celery@host:MainProcess]~-active-~(worker~-A~jobs)", "celery@host",
	 "MainProcess"},
	{"[celeryd:~celery@host:ForkPoolWorker-12]", "celery@host", "ForkPoolWorker"},
	{"[celeryd:~x]", "x", ""},
	{"[celeryd:~x", "[celeryd", ""},
	{"uWSGI~master", "uwsgi", "master"},
	{"uWSGI~worker~3", "uwsgi", "worker"},
	{"python3 -m http.server shop:app", "-m http.server", ""},
	{"python3 /srv/api.py -A jobs shop:app", "api.py", ""},
	{"python3 -c gunicorn shop:app", "-c gunicorn", ""},
	{"python3", "python3", ""},
	{"postgres:~writer", "postgres", ""},
	{"", "comm", ""},
};

static void parse(struct program *program, char *text, char **argv)
{
	char *word, *rest = text;
	size_t count = 0;

	while (*text && (word = strsep(&rest, " ")) && count < WORDS_MOST - 1) {
		argv[count++] = word;
		for (; *word; word++)
			*word = *word == '~' ? ' ' : *word;
	}
	argv[count] = NULL;
	program_parse(program, argv, "comm");
}

static void test_labels(void **state)
{
	char text[256], *argv[WORDS_MOST], label[64], role[32];
	struct program program;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].line);
		parse(&program, text, argv);
		program_label(&program, label, sizeof(label));
		program_role(&program, role, sizeof(role));
		if (strcmp(label, cases[i].label) != 0 || strcmp(role, cases[i].role) != 0)
			fail_msg("%s: \"%s\", \"%s\"", cases[i].line, label, role);
		for (size_t size = 1; size < sizeof(label); size++) {
			program_label(&program, label, size);
			assert_true(strlen(label) < size);
			program_role(&program, role, size < sizeof(role) ? size : sizeof(role));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
