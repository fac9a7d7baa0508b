/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/sudo.c: what a user is told to type, wherever the program lies. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/sudo.h"

static void is(const char *path, const char *folders, const char *wanted)
{
	char text[PATH_MAX];

	sudo_command_of(text, sizeof(text), path, folders);
	assert_string_equal(text, wanted);
}

static void make_file(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* A folder with venv/bin/pymem-bpf, other/pymem-bpf, and plain/pymem-bpf, which nobody can run. */
struct tree {
	char top[64], program[128], path[512];
};

static int make_tree(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));
	char name[128];

	assert_non_null(t);
	strcpy(t->top, "/tmp/pymem-sudo.XXXXXX");
	assert_non_null(mkdtemp(t->top));
	snprintf(t->program, sizeof(t->program), "%s/venv/bin/pymem-bpf", t->top);
	snprintf(name, sizeof(name), "%s/venv", t->top);
	assert_int_equal(mkdir(name, 0755), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s/%s", t->top,
			 (const char *[]){"venv/bin", "other", "plain"}[i]);
		assert_int_equal(mkdir(name, 0755), 0);
		strcat(name, "/pymem-bpf");
		make_file(name, i == 2 ? 0644 : 0755);
	}
	*state = t;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *t = *state;
	char name[128];

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s/%s", t->top,
			 (const char *[]){"venv/bin", "venv", "other", "plain"}[i]);
		if (i != 1) {
			strcat(name, "/pymem-bpf");
			unlink(name);
			*strrchr(name, '/') = '\0';
		}
		rmdir(name);
	}
	assert_int_equal(rmdir(t->top), 0);
	free(t);
	return 0;
}

static void test_where_sudo_looks(void **state)
{
	(void)state;
	is("/usr/local/sbin/pymem-bpf", "/usr/local/sbin:/usr/bin", "sudo pymem-bpf");
	is("/usr/bin/pymem-bpf", NULL, "sudo pymem-bpf");
	/* Below such a folder, or by another name, sudo does not find it. */
	is("/usr/bin/x/pymem-bpf", "", "sudo /usr/bin/x/pymem-bpf");
	is("/usr/bin/pymem-bpf-new", "", "sudo /usr/bin/pymem-bpf-new");
	is("/usr/lo/pymem-bpf", "", "sudo /usr/lo/pymem-bpf");
}

static void test_in_path(void **state)
{
	struct tree *t = *state;
	char wanted[160];

	snprintf(t->path, sizeof(t->path), "/nonexistent:%s/plain:%s/venv/bin:%s/other", t->top,
		 t->top, t->top);
	is(t->program, t->path, "sudo $(which pymem-bpf)");
	/* Another comes first: which would name that one. */
	snprintf(t->path, sizeof(t->path), "%s/other:%s/venv/bin", t->top, t->top);
	snprintf(wanted, sizeof(wanted), "sudo %s", t->program);
	is(t->program, t->path, wanted);
	is(t->program, "", wanted);
	is(t->program, NULL, wanted);
}

/* pipx and the like put a link into a folder of PATH. */
static void test_link(void **state)
{
	struct tree *t = *state;
	char link[160];

	snprintf(link, sizeof(link), "%s/plain/pymem-bpf", t->top);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(t->program, link), 0);
	snprintf(t->path, sizeof(t->path), "%s/plain", t->top);
	is(t->program, t->path, "sudo $(which pymem-bpf)");
}

/* An empty entry of PATH is the current folder. */
static void test_current_folder(void **state)
{
	struct tree *t = *state;
	char before[PATH_MAX], folder[160];

	assert_non_null(getcwd(before, sizeof(before)));
	snprintf(folder, sizeof(folder), "%s/venv/bin", t->top);
	assert_int_equal(chdir(folder), 0);
	is(t->program, "/nonexistent:", "sudo $(which pymem-bpf)");
	assert_int_equal(chdir(before), 0);
}

static void test_quoted(void **state)
{
	(void)state;
	is("/my tools/pymem-bpf", NULL, "sudo '/my tools/pymem-bpf'");
	is("/it's/$(x)/pymem-bpf", NULL, "sudo '/it'\\''s/$(x)/pymem-bpf'");
	/* What a terminal would obey is not printed, nor what is no word of ASCII. */
	is("/\033[2J/pymem-bpf", NULL, "sudo pymem-bpf");
	is("/caf\303\251/pymem-bpf", NULL, "sudo pymem-bpf");
}

static void test_too_long(void **state)
{
	char text[64], path[256];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	for (size_t size = 1; size <= sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		sudo_command_of(text, size, path, NULL);
		assert_true(strlen(text) < size);
		assert_memory_equal(text, "sudo pymem-bpf", strlen(text));
	}
	memset(path + 1, '\'', sizeof(path) - 2);
	sudo_command_of(text, sizeof(text), path, NULL);
	assert_string_equal(text, "sudo pymem-bpf");
}

/* This test's own binary is somewhere in the build folder. */
static void test_own_file(void **state)
{
	char text[PATH_MAX];

	(void)state;
	sudo_command(text, sizeof(text));
	assert_memory_equal(text, "sudo ", 5);
	assert_non_null(strstr(text, "test_sudo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_sudo_looks),
		cmocka_unit_test_setup_teardown(test_in_path, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_link, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_current_folder, make_tree, remove_tree),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_own_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
