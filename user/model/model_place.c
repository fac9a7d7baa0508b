/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose code a file is, by its name: the program's own, or that of a library. */
#include "model/model_private.h"

#include <ctype.h>
#include <string.h>

/* The part of a path behind "/lib/python3.11" and the like. */
static const char *behind_standard(const char *file)
{
	static const char *const marks[] = {"/lib/python", "/lib64/python"};
	const char *at;
	size_t i;

	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		at = strstr(file, marks[i]);
		if (at && isdigit((unsigned char)at[strlen(marks[i])]))
			return strchr(at + strlen(marks[i]), '/');
	}
	return NULL;
}

const char *model_library_part(const char *file)
{
	static const char *const marks[] = {"/site-packages/", "/dist-packages/"};
	const char *at, *found = NULL;
	size_t i;

	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		at = strstr(file, marks[i]);
		if (at && at + strlen(marks[i]) - 1 > (found ? found : file))
			found = at + strlen(marks[i]) - 1;
	}
	return found ? found : behind_standard(file);
}

bool model_is_library(const char *file)
{
	return !strncmp(file, "<frozen ", 8) || model_library_part(file);
}
