/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/program.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* "python", "python3.11", "python3.13t", "-python3" (of a login shell), "pypy3". */
static bool is_interpreter(const char *word)
{
	const char *name = base_name(*word == '-' ? word + 1 : word);

	if (!strncmp(name, "python", 6))
		name += 6;
	else if (!strncmp(name, "pypy", 4))
		name += 4;
	else
		return false;
	name += strspn(name, "0123456789.");
	return !*name || !strcmp(name, "t") || !strcmp(name, "d") || !strcmp(name, "-dbg");
}

/* An option of the interpreter at `*at`, which moves behind it. Options may be written together
 * (-Bm), and an argument may follow in the same word. Returns the letter, of 'c' and 'm' with
 * `*what` as their argument; '\0': the next word is no option. */
static char next_option(char *const **at, const char **what)
{
	const char *word = **at, *letter;

	if (*word != '-' || !word[1])
		return '\0';
	++*at;
	if (word[1] == '-') {
		if (!strcmp(word, "--check-hash-based-pycs") && **at)
			++*at;
		return '-';
	}
	for (letter = word + 1; *letter; letter++) {
		if (!strchr("cmWX", *letter))
			continue;
		*what = letter[1] ? letter + 1 : **at;
		if (!letter[1] && **at)
			++*at;
		break;
	}
	return *letter ? *letter : '-';
}

void program_parse(struct program *program, char *const *argv, const char *comm)
{
	static char *const none[] = {NULL};
	char *const *at = argv;
	const char *what = NULL;
	char option = '\0';

	*program = (struct program){.kind = PROGRAM_OTHER, .what = comm, .arguments = none};
	if (!argv || !argv[0] || !*argv[0])
		return;
	program->what = argv[0];
	program->arguments = argv + 1;
	if (!is_interpreter(argv[0]))
		return;
	program->interpreter = argv[0];
	program->kind = PROGRAM_ALONE;
	for (at++; *at; what = NULL) {
		option = next_option(&at, &what);
		if (!option || ((option == 'c' || option == 'm') && what))
			break;
	}
	if (what)
		program->kind = option == 'm' ? PROGRAM_MODULE : PROGRAM_CODE;
	else if (*at && strcmp(*at, "-"))
		program->kind = PROGRAM_SCRIPT;
	if (program->kind == PROGRAM_SCRIPT)
		what = *at++;
	if (what)
		program->what = what;
	program->arguments = at;
}

/* The length of what stands before ": " in a title such as "gunicorn: master [shop]"; of all else,
 * the whole length. */
static size_t title_length(const char *what)
{
	const char *end = strstr(what, ": ");

	return end && end > what ? (size_t)(end - what) : strlen(what);
}

void program_name(const struct program *program, char *name, size_t size)
{
	const char *what = program->what;

	switch (program->kind) {
	case PROGRAM_SCRIPT:
		snprintf(name, size, "%s", base_name(what));
		return;
	case PROGRAM_MODULE:
		snprintf(name, size, "-m %s", what);
		return;
	case PROGRAM_CODE:
		snprintf(name, size, "-c %s", what);
		return;
	case PROGRAM_ALONE:
		snprintf(name, size, "%s", base_name(program->interpreter));
		return;
	case PROGRAM_OTHER:
		break;
	}
	if (title_length(what) == strlen(what))
		what = base_name(what);
	snprintf(name, size, "%.*s", (int)title_length(what), what);
}

char *program_command(const struct program *program)
{
	const char *what = program->what;
	char *const *argument;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (program->kind == PROGRAM_MODULE || program->kind == PROGRAM_CODE)
		fprintf(out, "%s -%c %s", base_name(program->interpreter),
			program->kind == PROGRAM_MODULE ? 'm' : 'c', what);
	else if (program->kind == PROGRAM_OTHER && title_length(what) < strlen(what))
		fputs(what, out);
	else
		fputs(base_name(what), out);
	for (argument = program->arguments; *argument; argument++)
		fprintf(out, " %s", *argument);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* True if `text` is `name`, or `name` with ".py" behind it. */
static bool matches(const char *text, size_t length, const char *name)
{
	size_t wanted = strlen(name);

	if (length == wanted && !strncmp(text, name, length))
		return true;
	return length == wanted + 3 && !strncmp(text, name, wanted) &&
	       !strncmp(text + wanted, ".py", 3);
}

bool program_is_called(const struct program *program, const char *comm, const char *name)
{
	const char *what = program->what, *base = base_name(what);

	if (!*name)
		return false;
	if (!strcmp(comm, name))
		return true;
	switch (program->kind) {
	case PROGRAM_SCRIPT:
		return !strcmp(what, name) || matches(base, strlen(base), name);
	case PROGRAM_MODULE:
		return !strcmp(what, strncmp(name, "-m ", 3) ? name : name + 3);
	case PROGRAM_OTHER:
		return !strcmp(what, name) || matches(base, strlen(base), name) ||
		       matches(what, title_length(what), name);
	case PROGRAM_ALONE:
		return !strcmp(base_name(program->interpreter), name);
	case PROGRAM_CODE:
		break;
	}
	return false;
}

char *const *program_telling(char *const *argument)
{
	while (*argument && !isalpha((unsigned char)**argument) && **argument != '/' &&
	       **argument != '.')
		argument++;
	return argument;
}

bool program_same(const struct program *one, const struct program *other)
{
	size_t length = title_length(one->what);

	if (one->kind != other->kind)
		return false;
	if (one->kind == PROGRAM_OTHER)
		return length == title_length(other->what) &&
		       !strncmp(one->what, other->what, length);
	if (one->kind == PROGRAM_ALONE)
		return !strcmp(base_name(one->interpreter), base_name(other->interpreter));
	return !strcmp(one->what, other->what);
}
