/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: "/usr/bin/python3 -X dev /srv/app/worker.py --shard 1" and its other shards are one
 * program, but another script is another program. */
#include "screen/screen_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cgroup_name.h"
#include "os/cgroup_parse.h"

/* --- programs --- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static bool is_interpreter(const char *word)
{
	const char *name = base_name(word);

	return !strncmp(name, "python", 6) || !strncmp(name, "pypy", 4);
}

/* "gunicorn: worker [shop]" is a title, "/srv/my app/run" is none. */
static char *title_program(const char *word)
{
	const char *colon = strstr(word, ": ");
	const char *space = strchr(word, ' ');

	if (colon && colon > word && (!space || space > colon))
		return strndup(word, (size_t)(colon - word));
	return strdup(base_name(word));
}

enum option_kind { KIND_PLAIN, KIND_TAKES_WORD, KIND_CODE, KIND_MODULE };

/* The kind of an option of the interpreter. Letters can share a dash: "-Bm". `*rest` becomes what
 * follows the letter that takes a word: "json.tool" of "-mjson.tool", else "". */
static enum option_kind kind_of(const char *option, const char **rest)
{
	*rest = "";
	if (option[1] == '-')
		return strcmp(option, "--check-hash-based-pycs") ? KIND_PLAIN : KIND_TAKES_WORD;
	for (const char *letter = option + 1; *letter; letter++) {
		*rest = letter + 1;
		if (*letter == 'c')
			return KIND_CODE;
		if (*letter == 'm')
			return KIND_MODULE;
		if (*letter == 'X' || *letter == 'W')
			return letter[1] ? KIND_PLAIN : KIND_TAKES_WORD;
	}
	return KIND_PLAIN;
}

/* The name of what an interpreter's command line runs. `*more` becomes the words after it. */
static const char *script_of(char *const *cmdline, const char *comm, char *const **more)
{
	char *const *word;
	const char *rest;

	for (word = cmdline + 1; *word && **word == '-' && (*word)[1]; word++) {
		*more = word + 1;
		switch (kind_of(*word, &rest)) {
		case KIND_CODE:
			return "python -c";
		case KIND_MODULE:
			*more += !*rest && word[1];
			return *rest ? rest : word[1] ? word[1] : comm;
		case KIND_TAKES_WORD:
			word += word[1] != NULL;
			break;
		case KIND_PLAIN:
			break;
		}
	}
	*more = *word ? word + 1 : word;
	if (!*word || !**word)
		return base_name(cmdline[0]);
	return strcmp(*word, "-") ? base_name(*word) : "python -";
}

char *screen_program(char *const *cmdline, const char *comm)
{
	char *const *more;

	if (!cmdline || !*cmdline || !**cmdline)
		return strdup(comm);
	if (!is_interpreter(*cmdline))
		return title_program(*cmdline);
	return strdup(script_of(cmdline, comm, &more));
}

/* `name` and the words, with spaces between them. */
static char *join(const char *name, char *const *words)
{
	size_t size = strlen(name) + 1;
	char *text, *end;

	for (char *const *word = words; *word; word++)
		size += strlen(*word) + 1;
	text = malloc(size);
	if (!text)
		return NULL;
	end = stpcpy(text, name);
	for (; *words; words++) {
		end = stpcpy(end, " ");
		end = stpcpy(end, *words);
	}
	return text;
}

char *screen_command(char *const *cmdline, const char *comm)
{
	char *const *more;
	const char *name;

	if (!cmdline || !*cmdline || !**cmdline)
		return strdup(comm);
	if (!is_interpreter(*cmdline))
		return join(strchr(*cmdline, ' ') ? *cmdline : base_name(*cmdline), cmdline + 1);
	name = script_of(cmdline, comm, &more);
	return join(name, more);
}

char *screen_container(const char *cgroup)
{
	char name[CGROUP_PLACE_MAX];

	return strdup(cgroup_name(cgroup, name, sizeof(name)) ? name : "");
}

bool screen_is_library(const char *file)
{
	const char *lib;

	if (!strncmp(file, "<frozen ", 8))
		return true;
	lib = strstr(file, "/lib/python");
	return lib && !strstr(lib, "/site-packages/") && !strstr(lib, "/dist-packages/");
}
