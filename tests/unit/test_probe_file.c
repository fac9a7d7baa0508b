/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* probe_file.c: the errors if the file of a mapping can't be had. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "python/probe_file.h"

/* Asks for a file that no process runs. */
static int open_unmapped(pid_t pid, struct probe_file *file)
{
	char path[] = "/tmp/test_probe_file.XXXXXX";
	int fd = mkstemp(path), err;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	err = probe_file_open_mapped(pid, st.st_dev, st.st_ino, file);
	assert_int_equal(file->fd, -1);
	close(fd);
	unlink(path);
	return err;
}

/* A process that lives is not reported as ended. */
static void test_not_mapped(void **state)
{
	struct probe_file file;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	assert_int_equal(open_unmapped(getpid(), &file), -ESTALE);
	assert_int_equal(open_unmapped(pid, &file), -ESTALE);
	kill(pid, SIGKILL);
	/* A zombie maps nothing. */
	assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT), 0);
	assert_int_equal(open_unmapped(pid, &file), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(open_unmapped(pid, &file), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
