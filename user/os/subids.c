/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/subids.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A whole word as a number; false: it is none, or too large. */
static bool number_of(const char *word, uint32_t *number)
{
	unsigned long long value;
	char *end;

	if (!*word || strspn(word, "0123456789") != strlen(word))
		return false;
	errno = 0;
	value = strtoull(word, &end, 10);
	*number = value;
	return !errno && value <= UINT32_MAX;
}

static bool user_of(const char *name, FILE *passwd, uid_t *user)
{
	const struct passwd *entry;

	if (number_of(name, user))
		return true;
	rewind(passwd);
	while ((entry = fgetpwent(passwd)))
		if (!strcmp(entry->pw_name, name)) {
			*user = entry->pw_uid;
			return true;
		}
	return false;
}

/* Takes a line "name:first:count" apart. False: it is malformed, a comment, or root's. */
static bool parse(char *line, FILE *passwd, struct subid_range *range)
{
	char *name = strsep(&line, ":"), *first = strsep(&line, ":"), *count = line;

	if (!first || !count || !*name || *name == '#')
		return false;
	if (!number_of(first, &range->first) || !number_of(count, &range->count))
		return false;
	if (!range->count || range->count - 1 > UINT32_MAX - range->first)
		return false;
	if (!user_of(name, passwd, &range->user))
		range->user = range->first;
	return range->user;
}

int subids_each(FILE *file, FILE *passwd, int (*fn)(const struct subid_range *range, void *arg),
		void *arg)
{
	struct subid_range range;
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int err = 0;

	while (!err && (length = getline(&line, &room, file)) >= 0) {
		if (length && line[length - 1] == '\n')
			line[length - 1] = 0;
		if (parse(line, passwd, &range))
			err = fn(&range, arg);
	}
	if (!err && ferror(file))
		err = -EIO;
	free(line);
	return err;
}

size_t subids_prefixes(const struct subid_range *range,
		       struct subid_prefix prefixes[SUBIDS_PREFIXES_MAX])
{
	uint64_t at = range->first, left = range->count, size;
	unsigned bits;
	size_t n = 0;

	while (left) {
		/* The largest block that begins here and is not more than is left. */
		for (bits = 32, size = 1; bits && !(at & (2 * size - 1)) && 2 * size <= left;
		     bits--)
			size *= 2;
		prefixes[n++] = (struct subid_prefix){at, bits};
		at += size;
		left -= size;
	}
	return n;
}
