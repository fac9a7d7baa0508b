/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A tree of files made by hand, in place of the host's: begin() and end() are a test's setup and
 * teardown. Included behind cmocka.h, by one file of a test. */
#ifndef FILE_TREE_H
#define FILE_TREE_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/pymem-tree.XXXXXX";

/* A file below the root, with the folders it takes. */
static void put(const char *path, const char *text)
{
	char command[PATH_MAX * 2];
	FILE *file;

	snprintf(command, sizeof(command), "mkdir -p \"$(dirname '%s%s')\"", root, path);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s%s", root, path);
	file = fopen(command, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

#endif
