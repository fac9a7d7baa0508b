/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* forks BEFORE AFTER: has BEFORE children at once, and after a byte on the standard input AFTER
 * more. They end with their parent, which ends with its standard input. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void fork_children(int count)
{
	pid_t parent = getpid();

	for (; count > 0; count--) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			exit(1);
		}
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		for (;;)
			pause();
	}
	puts("forked");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char byte;

	if (argc != 3)
		return 2;
	fork_children(atoi(argv[1]));
	if (read(0, &byte, 1) == 1)
		fork_children(atoi(argv[2]));
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
