/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: which program of B is which one of A? PIDs differ, and so may the container, the folder
 * of the script, the interpreter, and arguments.
 *
 * There are three passes. Each takes what the last one left: programs of the same name and
 * arguments in the same container or service; of the same name and arguments anywhere; of the same
 * name, if there is only one of that name left in each side. So of two services that run the same
 * script, each is compared with itself. */
#include "model/model_diff_private.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cgroup_name.h"
#include "model/program.h"

/* Writes `text` so that no text can end it or look like two. */
static void put_word(FILE *out, const char *text)
{
	fprintf(out, "%zu:%s", strlen(text), text);
}

/* Writes what programs of one name have in common. Of code and of an interpreter alone that is
 * their kind: the code or the version of the interpreter may be what was changed. */
static void put_name(FILE *out, const struct program *program)
{
	char name[1024] = "";

	if (program->kind != PROGRAM_CODE && program->kind != PROGRAM_ALONE)
		program_name(program, name, sizeof(name));
	fprintf(out, "%d", program->kind);
	put_word(out, name);
}

static void put_what(FILE *out, const struct program *program)
{
	char *const *argument;

	put_name(out, program);
	if (program->kind == PROGRAM_CODE)
		put_word(out, program->what);
	for (argument = program_telling(program->arguments); *argument;
	     argument = program_telling(argument + 1))
		put_word(out, *argument);
}

static void put_where(FILE *out, const struct program *program, const char *cgroup)
{
	char place[256];

	cgroup_name(cgroup, place, sizeof(place));
	put_what(out, program);
	put_word(out, place);
}

enum key { KEY_WHERE, KEY_WHAT, KEY_NAME, KEY_COUNT };

/* The key in a new string; NULL: out of memory. */
static char *key_of(const struct model_process *process, enum key key)
{
	struct program program;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	program_parse(&program, process->cmdline, process->comm);
	if (key == KEY_NAME)
		put_name(out, &program);
	else if (key == KEY_WHAT)
		put_what(out, &program);
	else
		put_where(out, &program, process->cgroup);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

static int name_units(struct diff_unit *units, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		units[i].name = key_of(&units[i].program->sum, KEY_NAME);
		units[i].what = key_of(&units[i].program->sum, KEY_WHAT);
		units[i].where = key_of(&units[i].program->sum, KEY_WHERE);
		units[i].pair = SIZE_MAX;
		if (!units[i].name || !units[i].what || !units[i].where)
			return -ENOMEM;
	}
	return 0;
}

static int by_where(const void *left, const void *right)
{
	return strcmp((*(struct diff_unit *const *)left)->where,
		      (*(struct diff_unit *const *)right)->where);
}

static int by_what(const void *left, const void *right)
{
	return strcmp((*(struct diff_unit *const *)left)->what,
		      (*(struct diff_unit *const *)right)->what);
}

static int by_name(const void *left, const void *right)
{
	return strcmp((*(struct diff_unit *const *)left)->name,
		      (*(struct diff_unit *const *)right)->name);
}

struct pairing {
	struct diff_unit **left; /* units without a pair */
	size_t count;
	enum model_diff_program_match *match; /* of each pair; has room for all units */
	size_t pairs;
};

enum group { GROUP_OF_BOTH, GROUP_OF_ONE_EACH, GROUP_OF_ANY };

/* True if the group of units is as wanted: of both sides, of one unit of each, or any. */
static bool is_wanted(struct diff_unit *const *group, size_t count, enum group wanted)
{
	size_t sides[MODEL_DIFF_SIDES] = {0}, i;

	for (i = 0; i < count; i++)
		sides[group[i]->side]++;
	return wanted == GROUP_OF_ANY ||
	       (sides[0] && sides[1] && (wanted == GROUP_OF_BOTH || count == 2));
}

/* Makes a pair of each wanted group of equal units, and keeps the others. */
static void pass(struct pairing *p, int (*compare)(const void *, const void *), enum group wanted,
		 enum model_diff_program_match match)
{
	size_t first, end, i, kept = 0;

	qsort(p->left, p->count, sizeof(*p->left), compare);
	for (first = 0; first < p->count; first = end) {
		for (end = first + 1; end < p->count; end++)
			if (compare(&p->left[first], &p->left[end]))
				break;
		if (!is_wanted(p->left + first, end - first, wanted)) {
			for (i = first; i < end; i++)
				p->left[kept++] = p->left[i];
			continue;
		}
		for (i = first; i < end; i++)
			p->left[i]->pair = p->pairs;
		p->match[p->pairs++] = match;
	}
	p->count = kept;
}

ssize_t model_diff_pair(struct diff_unit *units, size_t count,
			enum model_diff_program_match **match)
{
	struct pairing p = {.count = count};
	size_t i;

	p.left = calloc(count + 1, sizeof(*p.left));
	p.match = calloc(count + 1, sizeof(*p.match));
	if (!p.left || !p.match || name_units(units, count)) {
		free(p.left);
		free(p.match);
		return -ENOMEM;
	}
	for (i = 0; i < count; i++)
		p.left[i] = &units[i];
	pass(&p, by_where, GROUP_OF_BOTH, MODEL_DIFF_PROGRAM_SAME);
	pass(&p, by_what, GROUP_OF_BOTH, MODEL_DIFF_PROGRAM_ELSEWHERE);
	pass(&p, by_name, GROUP_OF_ONE_EACH, MODEL_DIFF_PROGRAM_NAME);
	pass(&p, by_where, GROUP_OF_ANY, MODEL_DIFF_PROGRAM_ONLY);
	free(p.left);
	*match = p.match;
	return (ssize_t)p.pairs;
}
