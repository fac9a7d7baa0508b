/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the forms of titles and arguments come from:
 *
 *   gunicorn   gunicorn/util.py, _setproctitle(): "gunicorn: worker [NAME]"; NAME is the
 * application unless --name was given celery     celery/platforms.py, set_mp_process_title():
 * "[celeryd: NODE:ForkPoolWorker-1]", with
 *              "-active- (worker -A jobs)" after that of MainProcess
 *   uWSGI      uwsgi_setup_workers(), with --auto-procname: "uWSGI worker 1"
 *
 * An application is MODULE:NAME. So "127.0.0.1:8000", "localhost:8000" and "unix:/run/x" are none.
 */
#include "model/program_label.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* How the command line of a server names what it serves. */
static const struct server {
	const char *name;
	const char *options[4]; /* before it, or with "=" before it; none: it stands alone */
} servers[] = {
	{"gunicorn", {NULL}},
	{"uvicorn", {NULL}},
	{"hypercorn", {NULL}},
	{"daphne", {NULL}},
	{"granian", {NULL}},
	{"waitress-serve", {NULL}},
	{"celery", {"-A", "--app", NULL}},
	{"flask", {"-A", "--app", NULL}},
	{"uwsgi", {"--module", "-w", "--wsgi-file", NULL}},
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static const struct server *server_of(const struct program *program)
{
	const char *name = base_name(program->what);

	if (program->kind == PROGRAM_CODE || program->kind == PROGRAM_ALONE)
		return NULL;
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (!strcmp(servers[i].name, name))
			return &servers[i];
	return NULL;
}

/* The length of a dotted name at the beginning of `text`; 0: there is none. */
static size_t dotted(const char *text)
{
	size_t length = 0;

	for (;;) {
		if (!isalpha((unsigned char)text[length]) && text[length] != '_')
			return 0;
		while (isalnum((unsigned char)text[length]) || text[length] == '_')
			length++;
		if (text[length] != '.')
			return length;
		length++;
	}
}

/* "shop:application", "shop.web:make()" */
static bool is_application(const char *word)
{
	size_t module = dotted(word), name;

	if (!module || word[module] != ':')
		return false;
	name = dotted(word + module + 1);
	return name && (!word[module + 1 + name] || word[module + 1 + name] == '(');
}

/* The value of the option in the word, or in the next one. NULL: it is another word. */
static const char *value_of(const char *option, char *const *word)
{
	size_t length = strlen(option);

	if (strncmp(*word, option, length) != 0)
		return NULL;
	if (!(*word)[length])
		return word[1];
	if ((*word)[length] == '=')
		return *word + length + 1;
	return option[1] == '-' ? NULL : *word + length; /* -Ajobs */
}

static const char *served_by(const struct server *server, char *const *arguments)
{
	for (char *const *word = arguments; *word; word++) {
		const char *found = !server->options[0] && is_application(*word) ? *word : NULL;

		for (size_t i = 0; server->options[i] && !found; i++)
			found = value_of(server->options[i], word);
		if (found)
			return base_name(found);
	}
	return NULL;
}

/* --- titles --- */

struct title {
	const char *role, *name;
	size_t role_length, name_length;
};

/* "gunicorn: worker [shop:application]" */
static bool gunicorn_title(const char *what, struct title *title)
{
	const char *open, *end = strrchr(what, ']');

	if (strncmp(what, "gunicorn: ", 10) != 0)
		return false;
	title->role = what + 10;
	title->role_length = strcspn(title->role, " [");
	open = strchr(what, '[');
	if (open && end && end > open) {
		title->name = open + 1;
		title->name_length = (size_t)(end - open - 1);
	}
	return true;
}

/* "[celeryd: celery@host:ForkPoolWorker-1]" */
static bool celery_title(const char *what, struct title *title)
{
	const char *end = strchr(what, ']'), *colon;

	if (strncmp(what, "[celeryd: ", 10) != 0 || !end)
		return false;
	title->name = what + 10;
	colon = memrchr(title->name, ':', (size_t)(end - title->name));
	title->name_length = (size_t)((colon ?: end) - title->name);
	if (colon) {
		title->role = colon + 1;
		title->role_length = (size_t)(end - title->role);
		colon = memchr(title->role, '-', title->role_length);
		title->role_length = colon ? (size_t)(colon - title->role) : title->role_length;
	}
	return true;
}

static bool uwsgi_title(const char *what, struct title *title)
{
	if (strncmp(what, "uWSGI ", 6) != 0)
		return false;
	title->role = what + 6;
	title->role_length = strcspn(title->role, " ");
	return true;
}

void program_label(const struct program *program, char *label, size_t size)
{
	const struct server *server = server_of(program);
	const char *served = server ? served_by(server, program->arguments) : NULL;
	struct title title = {};
	size_t used;

	if (program->kind == PROGRAM_OTHER && celery_title(program->what, &title)) {
		snprintf(label, size, "%.*s", (int)title.name_length, title.name);
		return;
	}
	if (program->kind == PROGRAM_OTHER && uwsgi_title(program->what, &title)) {
		snprintf(label, size, "uwsgi");
		return;
	}
	program_name(program, label, size);
	used = strlen(label);
	if (served)
		snprintf(label + used, size - used, " %s", served);
	else if (program->kind == PROGRAM_OTHER && gunicorn_title(program->what, &title) &&
		 title.name_length)
		snprintf(label + used, size - used, " %.*s", (int)title.name_length, title.name);
}

void program_role(const struct program *program, char *role, size_t size)
{
	struct title title = {.role = ""};

	if (program->kind == PROGRAM_OTHER && !gunicorn_title(program->what, &title) &&
	    !celery_title(program->what, &title))
		uwsgi_title(program->what, &title);
	snprintf(role, size, "%.*s", (int)title.role_length, title.role);
}
