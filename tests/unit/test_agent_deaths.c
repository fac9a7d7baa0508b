/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/deaths: files of last words in the agent's folder. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/deaths.h"

struct place {
	char path[64];
	int folder;
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	if (!place)
		return -1;
	strcpy(place->path, "/tmp/pymem-deaths.XXXXXX");
	if (!mkdtemp(place->path))
		return -1;
	place->folder = open(place->path, O_RDONLY | O_DIRECTORY);
	*state = place;
	return place->folder < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	char command[128];

	close(place->folder);
	snprintf(command, sizeof(command), "rm -rf %s", place->path);
	free(place);
	return system(command);
}

static bool is_there(const struct place *place, const char *name)
{
	return !faccessat(place->folder, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void test_names(void **state)
{
	static const char *const others[] = {
		"oom-20231114T221320Z-.json",
		"oom-20231114T221320Z-7.json.x",
		"oom-20231114T221320-7.json",
		"oom-20231114T221320Z-7x.json",
		"20231114T221320Z.pymem",
		"oom-notes.json",
		"end-20231114T221320Z-7.json",
		"-20231114T221320Z-7.json",
		"killed-20231114T221320Z-7.json",
		"oom-20231114T221320Z-12345678901.json",
		"",
	};
	char name[DEATHS_NAME];

	(void)state;
	assert_int_equal(deaths_name(DEATH_OOM, 1700000000.75, 4711, name), 0);
	assert_string_equal(name, "oom-20231114T221320Z-4711.json");
	assert_true(deaths_is_name(name));
	assert_int_equal(deaths_name(DEATH_CRASH, 1700000000.75, 2147483647, name), 0);
	assert_true(deaths_is_name(name));
	assert_int_equal(deaths_name(DEATH_KILL, 1e18, 1, name), -ERANGE);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (deaths_is_name(others[i]))
			fail_msg("%s is a name", others[i]);
}

static void test_write(void **state)
{
	const struct place *place = *state;
	struct stat st;

	umask(0);
	assert_int_equal(deaths_write(place->folder, "oom-20231114T221320Z-1.json", "text", 4), 0);
	assert_int_equal(fstatat(place->folder, "oom-20231114T221320Z-1.json", &st, 0), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* What is there stays, and links are not followed. */
	assert_int_equal(deaths_write(place->folder, "oom-20231114T221320Z-1.json", "", 0),
			 -EEXIST);
	assert_int_equal(
		symlinkat("/tmp/pymem-deaths-none", place->folder, "oom-20231114T221320Z-2.json"),
		0);
	assert_int_equal(deaths_write(place->folder, "oom-20231114T221320Z-2.json", "", 0),
			 -EEXIST);
}

/* The oldest go first, by number and by bytes; other files stay. */
static void test_trim(void **state)
{
	const struct place *place = *state;
	char name[DEATHS_NAME], text[4096] = "";
	uint64_t bytes;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(deaths_name(DEATH_OOM, 1700000000.0 + i, i + 1, name), 0);
		assert_int_equal(deaths_write(place->folder, name, text, sizeof(text)), 0);
	}
	assert_int_equal(deaths_write(place->folder, "oom-notes.json", text, sizeof(text)), 0);
	assert_int_equal(deaths_trim(place->folder, 10, 1 << 20, &bytes), 0);
	assert_int_equal(bytes, 10 * 4096);
	assert_int_equal(deaths_trim(place->folder, 7, 1 << 20, &bytes), 0);
	assert_int_equal(bytes, 7 * 4096);
	assert_false(is_there(place, "oom-20231114T221322Z-3.json"));
	assert_true(is_there(place, "oom-20231114T221323Z-4.json"));
	assert_int_equal(deaths_trim(place->folder, 7, 4096 + 1, &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_true(is_there(place, "oom-20231114T221329Z-10.json"));
	assert_false(is_there(place, "oom-20231114T221328Z-9.json"));
	assert_true(is_there(place, "oom-notes.json"));
	assert_int_equal(deaths_trim(-1, 7, 0, &bytes), -EBADF);
}

/* Those of the OOM killer go last, however many others come. */
static void test_worth(void **state)
{
	const struct place *place = *state;
	char name[DEATHS_NAME];
	uint64_t bytes;

	for (int i = 0; i < 9; i++) {
		enum death_cause cause = (enum death_cause)(i % DEATH_CAUSES);

		assert_int_equal(deaths_name(cause, 1700000000.0 + i, i + 1, name), 0);
		assert_int_equal(deaths_write(place->folder, name, "x", 1), 0);
	}
	assert_int_equal(deaths_trim(place->folder, 4, 1 << 20, &bytes), 0);
	assert_true(is_there(place, "oom-20231114T221320Z-1.json"));
	assert_true(is_there(place, "oom-20231114T221323Z-4.json"));
	assert_true(is_there(place, "oom-20231114T221326Z-7.json"));
	assert_true(is_there(place, "crash-20231114T221328Z-9.json"));
	assert_false(is_there(place, "kill-20231114T221327Z-8.json"));
	assert_int_equal(deaths_trim(place->folder, 2, 1 << 20, &bytes), 0);
	assert_false(is_there(place, "crash-20231114T221328Z-9.json"));
	assert_false(is_there(place, "oom-20231114T221320Z-1.json"));
	assert_true(is_there(place, "oom-20231114T221326Z-7.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_worth, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
