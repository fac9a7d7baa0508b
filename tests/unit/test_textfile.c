/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/textfile: the file is there as a whole or not at all, readable for all, and gone at the
 * end; what others put there leads nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/textfile.h"

struct given {
	char folder[32], path[64], fresh[64], elsewhere[64];
	struct textfile file;
};

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	*state = g;
	strcpy(g->folder, "/tmp/pymem-text-XXXXXX");
	if (!mkdtemp(g->folder))
		return -1;
	snprintf(g->path, sizeof(g->path), "%s/a.prom", g->folder);
	snprintf(g->fresh, sizeof(g->fresh), "%s/a.prom.tmp", g->folder);
	snprintf(g->elsewhere, sizeof(g->elsewhere), "%s/other", g->folder);
	g->file.folder = -1;
	return 0;
}

static int teardown(void **state)
{
	struct given *g = *state;
	int err;

	textfile_close(&g->file);
	unlink(g->elsewhere);
	/* Nothing else is left. */
	err = rmdir(g->folder);
	free(g);
	return err;
}

static void opened(struct given *g)
{
	char why[512];

	assert_int_equal(textfile_open(&g->file, g->path, why, sizeof(why)), 0);
}

static void has(const char *path, const char *text)
{
	char found[64] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fread(found, 1, sizeof(found) - 1, file), strlen(text));
	assert_string_equal(found, text);
	fclose(file);
}

static void test_write(void **state)
{
	struct given *g = *state;
	mode_t before = umask(0077);
	struct stat st;

	opened(g);
	assert_int_equal(access(g->path, F_OK), -1);
	assert_int_equal(textfile_write(&g->file, "one 1\n", 6), 0);
	has(g->path, "one 1\n");
	assert_int_equal(textfile_write(&g->file, "2\n", 2), 0);
	has(g->path, "2\n");
	assert_int_equal(stat(g->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(access(g->fresh, F_OK), -1);
	textfile_close(&g->file);
	assert_int_equal(access(g->path, F_OK), -1);
	umask(before);
}

/* What this agent has not written is another's: it stays. */
static void test_others(void **state)
{
	struct given *g = *state;
	struct textfile second = {.folder = -1};
	char why[512];

	opened(g);
	assert_int_equal(textfile_write(&g->file, "1\n", 2), 0);
	assert_int_equal(textfile_open(&second, g->path, why, sizeof(why)), 0);
	textfile_close(&second);
	has(g->path, "1\n");
	assert_int_equal(textfile_open(&second, g->path, why, sizeof(why)), 0);
	assert_int_equal(textfile_write(&second, "2\n", 2), 0);
	textfile_close(&g->file);
	has(g->path, "2\n");
	textfile_close(&second);
	assert_int_equal(access(g->path, F_OK), -1);
}

/* Links, and what an agent left that was killed, are replaced and not followed. */
static void test_links(void **state)
{
	struct given *g = *state;
	FILE *other = fopen(g->elsewhere, "w");

	assert_non_null(other);
	fputs("mine", other);
	fclose(other);
	opened(g);
	assert_int_equal(symlink(g->elsewhere, g->fresh), 0);
	assert_int_equal(symlink(g->elsewhere, g->path), 0);
	assert_int_equal(textfile_write(&g->file, "2\n", 2), 0);
	has(g->path, "2\n");
	has(g->elsewhere, "mine");
}

static void test_failures(void **state)
{
	struct given *g = *state;
	char why[512];

	assert_int_equal(textfile_open(&g->file, "/tmp/a.txt", why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "end with .prom"));
	textfile_close(&g->file);
	assert_int_equal(textfile_open(&g->file, "/tmp/.prom", why, sizeof(why)), -EINVAL);
	textfile_close(&g->file);
	assert_int_equal(textfile_open(&g->file, "/nowhere/a.prom", why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "its folder can't be opened: No such file"));
	textfile_close(&g->file);
	opened(g);
	/* A folder has its name: what was there stays, and nothing is left over. */
	assert_int_equal(textfile_write(&g->file, "1\n", 2), 0);
	assert_int_equal(unlink(g->path), 0);
	assert_int_equal(mkdir(g->path, 0700), 0);
	assert_int_equal(textfile_write(&g->file, "2\n", 2), -EISDIR);
	assert_int_equal(access(g->fresh, F_OK), -1);
	assert_int_equal(rmdir(g->path), 0);
	assert_int_equal(textfile_write(&g->file, "3\n", 2), 0);
	has(g->path, "3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
