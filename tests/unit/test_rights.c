/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/rights.c with real processes: what a user is allowed in a user namespace of its own gives no
 * right here. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/rights.h"

#define USER 65534

static bool become(bool user, bool own_namespace)
{
	if (user && (setresgid(USER, USER, USER) || setresuid(USER, USER, USER)))
		return false;
	return !own_namespace || !unshare(CLONE_NEWUSER);
}

/* A child that is root or a user, perhaps in a user namespace of its own. */
static pid_t begin(bool user, bool own_namespace)
{
	int ready[2];
	char can = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		can = become(user, own_namespace);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], &can, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &can, 1), 1);
	close(ready[0]);
	close(ready[1]);
	if (can)
		return pid;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Opens the file with these rights. 0 or -errno. */
static int open_with(const struct rights *rights, const char *path)
{
	int err = rights_take(rights), fd;

	assert_int_equal(err, 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	rights_give_back();
	if (fd >= 0)
		close(fd);
	return err;
}

static void test_user_namespaces(void **state)
{
	static const struct {
		bool user, own_namespace, may;
	} cases[] = {
		{.may = true},
		{.user = true},
		{.own_namespace = true},
		{.user = true, .own_namespace = true},
	};
	char path[] = "/tmp/pymem-rights-XXXXXX";
	struct rights rights;
	int fd;

	(void)state;
	if (geteuid())
		skip();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	/* It belongs to another user, so root needs its capability for it. */
	assert_int_equal(fchown(fd, USER - 1, USER - 1), 0);
	close(fd);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = begin(cases[i].user, cases[i].own_namespace);

		/* This machine may not allow users to make one. */
		if (!pid && cases[i].own_namespace)
			continue;
		assert_true(pid);
		assert_int_equal(rights_of(pid, &rights), 0);
		assert_int_equal(rights.uid, cases[i].user ? USER : 0);
		assert_int_equal(rights.any, cases[i].may);
		assert_int_equal(open_with(&rights, path), cases[i].may ? 0 : -EACCES);
		end(pid);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rights_of(INT32_MAX, &rights), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_namespaces),
	};

	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
