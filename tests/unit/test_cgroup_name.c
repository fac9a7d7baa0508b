/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/cgroup_name.c: whose a container or a service is, whatever its group is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "model/cgroup_name.h"
#include "os/cgroup_parse.h"

#define A   "5d6aaa6d0e4b7ad3c9d5a0d6c2c7b65b9cbf7cd31ff2bbaca8b8be9a8a3d8f10"
#define UID "8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f"

static void same(const char *path, const char *what, const char *is, const char *wanted)
{
	if (strcmp(is, wanted) != 0)
		fail_msg("%s: %s is \"%s\", not \"%s\"", path, what, is, wanted);
}

/* Who was given groups to make may name them as he likes: what is below a unit or a container says
 * in whose place it is, and can't be taken for what root has made. */
static const struct {
	const char *path, *name, *place, *owner;
	bool inner;
} forged[] = {
	/* another one's container */
	{"/system.slice/docker-" A ".scope", "docker:5d6aaa6d0e4b", "docker:5d6aaa6d0e4b", "",
	 false},
	{"/user.slice/user-7.slice/user@7.service/docker-" A ".scope",
	 "docker:5d6aaa6d0e4b of user 7", "docker:5d6aaa6d0e4b of user 7", "7", true},
	{"/user.slice/user-7.slice/user@7.service/docker/" A, "docker:5d6aaa6d0e4b of user 7",
	 "docker:5d6aaa6d0e4b of user 7", "7", true},
	{"/user.slice/user-7.slice/session-3.scope/lxc.payload.web", "lxc:web of user 7",
	 "lxc:web of user 7", "7", true},
	{"/user.slice/user-7.slice/user@7.service/kubepods/pod" UID "/" A,
	 "container:5d6aaa6d0e4b of user 7", "container:5d6aaa6d0e4b of user 7", "7", true},
	{"/system.slice/job.service/docker-" A ".scope", "docker:5d6aaa6d0e4b in job.service",
	 "docker:5d6aaa6d0e4b in job.service", "", true},
	{"/lxc.payload.web/docker/" A, "docker:5d6aaa6d0e4b in lxc:web",
	 "docker:5d6aaa6d0e4b in lxc:web", "", true},
	/* another user: the first one is root's word */
	{"/user.slice/user-7.slice/user@7.service/user.slice/user-0.slice/user@0.service/"
	 "libpod-" A ".scope",
	 "podman:5d6aaa6d0e4b of user 7", "podman:5d6aaa6d0e4b of user 7", "7", true},
	/* another one's service */
	{"/system.slice/api.service", "api.service", "api.service", "", false},
	{"/user.slice/user-7.slice/user@7.service/app.slice/api.service", "api.service of user 7",
	 "api.service of user 7", "7", false},
	{"/system.slice/job.service/api.service", "api.service in job.service",
	 "api.service in job.service", "", false},
	/* nothing special: not that of another user, nor of the service itself */
	{"/user.slice/user-7.slice/session-3.scope", "session-3.scope", "user 7", "7", false},
	{"/user.slice/user-7.slice/session-4.scope", "session-4.scope", "user 7", "7", false},
	{"/user.slice/user-7.slice/user@7.service/app.slice/a.scope", "a.scope of user 7", "user 7",
	 "7", false},
	{"/user.slice/user-7.slice/user@7.service/init.scope", "init.scope of user 7", "user 7",
	 "7", false},
	{"/user.slice/user-7.slice/user@7.service", "user@7.service", "user@7.service", "7", false},
	{"/system.slice/job.service/x.scope", "x.scope in job.service", "job.service", "", false},
	{"/system.slice/run-u5.service", "run-u5.service", "", "", false},
	{"/system.slice/x.scope", "x.scope", "", "", false},
	{"/user.slice/user-7.slice", "user-7.slice", "user 7", "7", false},
	{"memory:/user.slice/user-7.slice/user@7.service/docker/" A,
	 "docker:5d6aaa6d0e4b of user 7", "docker:5d6aaa6d0e4b of user 7", "7", true},
	{"/batch.slice", "batch.slice", "", "", false},
	/* what docs/SECURITY.md does not promise: the path does not say that root gave it away */
	{"/alice/docker-" A ".scope", "docker:5d6aaa6d0e4b", "docker:5d6aaa6d0e4b", "", false},
	{"/", "", "", "", false},
};

static void test_forged(void **state)
{
	char name[CGROUP_PLACE_MAX];
	struct cgroup_parsed p;

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		const char *path = forged[i].path;

		cgroup_parse(path, &p);
		cgroup_name(path, name, sizeof(name));
		same(path, "the name", name, forged[i].name);
		cgroup_place_name(path, name, sizeof(name));
		same(path, "the place", name, forged[i].place);
		same(path, "the owner", p.owner, forged[i].owner);
		assert_int_equal(cgroup_is_inner(&p), forged[i].inner);
	}
}

/* A name that is as long as names can be does not hide whose it is. */
static void test_long(void **state)
{
	char path[1024] = "/user.slice/user-7.slice/user@7.service/lxc.payload.";
	char name[CGROUP_PLACE_MAX];
	size_t used = strlen(path);

	(void)state;
	memset(path + used, 'a', 255);
	assert_true(cgroup_name(path, name, sizeof(name)));
	assert_int_equal(strlen(name), sizeof(name) - 1);
	assert_string_equal(name + strlen(name) - strlen(" of user 7"), " of user 7");
	memset(path, 0, sizeof(path));
	strcpy(path, "/lxc.payload.");
	memset(path + strlen(path), 'b', 255);
	strcat(path, "/lxc.payload.web");
	assert_true(cgroup_name(path, name, sizeof(name)));
	assert_memory_equal(name, "lxc:web in lxc:bbb", 18);
	assert_true(strlen(name) < sizeof(name) - 1);
}

static void expect_end(const char *path, const char *end)
{
	char name[CGROUP_PLACE_MAX];

	for (size_t size = 1; size <= sizeof(name); size++) {
		cgroup_name(path, name, size);
		assert_true(strlen(name) < size);
		if (size <= strlen(end))
			continue;
		same(path, "the end", name + strlen(name) - strlen(end), end);
		same(path, "its end", cgroup_name_end(name), end);
	}
}

/* Nor does one of bytes that are shown as four, or one that pushes the end away by blanks. */
static void test_shown(void **state)
{
	char path[1024] = "/user.slice/user-7.slice/user@7.service/lxc.payload.", *at;
	char name[CGROUP_PLACE_MAX], again[CGROUP_PLACE_MAX];

	(void)state;
	at = path + strlen(path);
	memset(at, 0xff, 243);
	expect_end(path, " of user 7");
	cgroup_name(path, name, sizeof(name));
	assert_memory_equal(name, "lxc:\\xff\\xff", 12);
	text_escape(again, sizeof(again), name);
	assert_string_equal(again, name);
	memset(at, ' ', 243);
	expect_end(path, " of user 7");
	strcpy(at, "a of user 0");
	expect_end(path, " of user 7");
	memset(path, 0, sizeof(path));
	strcpy(path, "/user.slice/user-7.slice/user@7.service/api.service");
	memset(path + strlen(path), ' ', 40);
	strcat(path, ".service");
	expect_end(path, " of user 7");
	cgroup_name(path, name, sizeof(name));
	assert_string_equal(name, "api.service\\x20.service of user 7");
	memset(path, 0, sizeof(path));
	strcpy(path, "/lxc.payload.");
	memset(path + strlen(path), 0xff, 243);
	strcat(path, "/docker/" A);
	cgroup_name(path, name, sizeof(name));
	assert_memory_equal(name, "docker:5d6aaa6d0e4b in lxc:\\xff", 31);
	assert_memory_equal(cgroup_name_end(name), " in lxc:", 8);
	assert_string_equal(cgroup_name_end("docker:5d6aaa6d0e4b"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
