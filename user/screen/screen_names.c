/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: "/usr/bin/python3 -X dev /srv/app/worker.py --shard 1" and its other shards are one
 * program, but another script is another program. And if no runtime is asked, only the cgroup's
 * path tells which container a process is in.
 *
 * Container runtimes put the container's id, 64 hexadecimal digits, into the last part of the path
 * that they made. Containers with names (machines of systemd, lxc) have the name there. */
#include "screen/screen_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS 64
#define ID_SHOWN  12

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

/* --- containers --- */

static bool is_id(const char *text)
{
	for (unsigned i = 0; i < ID_DIGITS; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

struct runtime {
	const char *begin; /* how the part of the path, or one above it, begins */
	const char *name;
};

static const struct runtime by_prefix[] = {
	{"docker-", "docker"}, {"libpod-", "podman"},	{"cri-containerd-", "containerd"},
	{"crio-", "crio"},     {"nerdctl-", "nerdctl"},
};

static const struct runtime by_parent[] = {
	{"docker/", "docker"},
	{"libpod_parent/", "podman"},
	{"kubepods", "pod"},
};

/* Names that a runtime or a user gave: "machine-web.scope", "lxc.payload.web". */
static const struct runtime named[] = {
	{"lxc.payload.", "lxc"},
	{"machine-", "machine"},
};

/* The runtime of the id at `part` + `offset` of `cgroup`. */
static const char *runtime_of(const char *cgroup, const char *part, size_t offset)
{
	size_t i;

	for (i = 0; i < sizeof(by_prefix) / sizeof(by_prefix[0]); i++) {
		if (strlen(by_prefix[i].begin) == offset &&
		    !strncmp(part, by_prefix[i].begin, offset))
			return by_prefix[i].name;
	}
	for (i = 0; !offset && i < sizeof(by_parent) / sizeof(by_parent[0]); i++) {
		const char *found = strstr(cgroup, by_parent[i].begin);

		if (found && found < part)
			return by_parent[i].name;
	}
	return "container";
}

static char *named_container(const char *part, size_t length)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		size_t begin = strlen(named[i].begin);
		char *text;

		if (length <= begin || strncmp(part, named[i].begin, begin))
			continue;
		length -= begin;
		part += begin;
		if (length > 6 && !strncmp(part + length - 6, ".scope", 6))
			length -= 6;
		return asprintf(&text, "%s:%.*s", named[i].name, (int)length, part) < 0 ? NULL
											: text;
	}
	return NULL;
}

/* The id that the part ends with, but for ".scope"; NULL: none. */
static const char *id_in(const char *part, size_t length)
{
	if (length > 6 && !strncmp(part + length - 6, ".scope", 6))
		length -= 6;
	if (length < ID_DIGITS || !is_id(part + length - ID_DIGITS))
		return NULL;
	return part + length - ID_DIGITS;
}

char *screen_container(const char *cgroup)
{
	const char *part, *id, *last = NULL, *last_id = NULL;
	char *text = NULL;
	size_t length;

	for (part = cgroup; *part; part += length) {
		part += strspn(part, "/");
		length = strcspn(part, "/");
		id = id_in(part, length);
		if (id) {
			last = part;
			last_id = id;
		} else if (!text) {
			text = named_container(part, length);
		}
	}
	if (!last)
		return text ? text : strdup("");
	free(text);
	if (asprintf(&text, "%s:%.*s", runtime_of(cgroup, last, (size_t)(last_id - last)), ID_SHOWN,
		     last_id) < 0)
		return NULL;
	return text;
}

bool screen_is_library(const char *file)
{
	const char *lib;

	if (!strncmp(file, "<frozen ", 8))
		return true;
	lib = strstr(file, "/lib/python");
	return lib && !strstr(lib, "/site-packages/") && !strstr(lib, "/dist-packages/");
}
