/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A burst sees where an object is made. For `REPORTS.append(rows(number))` that is a line of
 * rows(), or of a library, while who looks for a leak has to find the line with REPORTS in it. That
 * line was executing, too: it is in the stack, and its code has the name that the holder's path
 * ends in.
 *
 * A name is not an object: an attribute of the same name may be another one's. So the line is told
 * as one in which the object was made, which it is in any case. */
#include "heap/births_keeper.h"

#include <ctype.h>
#include <string.h>

#include "heap/births_results.h"

#define AND " and in "

static bool is_of_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Without the subscripts at its end. */
static size_t without_items(const char *path, size_t size)
{
	while (size && path[size - 1] == ']') {
		const char *bracket = memrchr(path, '[', size);

		if (!bracket)
			return 0;
		size = (size_t)(bracket - path);
	}
	return size;
}

static bool is_special(const char *name, size_t size)
{
	return size > 4 && !strncmp(name, "__", 2) && !strncmp(name + size - 2, "__", 2);
}

/* "main thread work():rows": its function. */
static void add_function(struct keeper_names *names, const char *path, size_t size)
{
	const char *space = memrchr(path, ' ', size);
	const char *begin = space ? space + 1 : path;

	if (size < 3 || strncmp(path + size - 3, "():", 3))
		return;
	names->function = begin;
	names->function_size = (size_t)(path + size - 3 - begin);
}

static void add_part(struct keeper_names *names, const char *path, size_t size)
{
	size_t end = without_items(path, size), begin = end;

	while (begin && is_of_name(path[begin - 1]))
		begin--;
	if (begin == end || isdigit((unsigned char)path[begin]))
		return;
	if (begin && path[begin - 1] == ':')
		add_function(names, path, begin);
	else if (begin && path[begin - 1] == '.' && !is_special(path + begin, end - begin) &&
		 names->count < KEEPER_NAMES)
		names->hashes[names->count++] = births_name_hash(path + begin, end - begin);
}

void keeper_names_of(const char *path, struct keeper_names *names)
{
	const char *end;

	memset(names, 0, sizeof(*names));
	if (!strncmp(path, "held by ", 8))
		return;
	if (strncmp(path, "in ", 3) != 0) {
		add_part(names, path, strlen(path));
		return;
	}
	for (path += 3; (end = strstr(path, AND)); path = end + strlen(AND))
		add_part(names, path, (size_t)(end - path));
	add_part(names, path, strlen(path));
}

static bool is_named(const struct keeper_names *names, const struct birth_line *line)
{
	if (names->function && !strncmp(line->function, names->function, names->function_size) &&
	    !line->function[names->function_size])
		return true;
	for (unsigned i = 0; i < line->name_count; i++)
		for (unsigned k = 0; k < names->count; k++)
			if (line->names[i] == names->hashes[k])
				return true;
	return false;
}

unsigned keeper_find(const struct keeper_names *names, const struct birth_stack *stack)
{
	for (unsigned i = 0; i < stack->depth; i++)
		if (is_named(names, &stack->lines[i]))
			return i;
	return 0;
}
