/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process that is no Python and has files mapped executable.
 *
 *   mapper               maps descriptor 9, writes "m" to descriptor 8, sleeps
 *   mapper FILE …        maps these, says "mapped", sleeps until its input ends
 *   mapper -n N FILE     N children that each do so, without a word; says "mapped" when all have
 *   mapper -m N FILE     maps FILE N times, and then once more and less, again and again
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

static void map(int fd)
{
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
}

static void wait_for_end(void)
{
	char byte;

	puts("mapped");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void many_children(int count, const char *file)
{
	int ready[2];
	char byte = 'm';

	if (pipe(ready))
		exit(1);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			exit(1);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			map(open(file, O_RDONLY));
			if (write(ready[1], &byte, 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
	}
	for (int i = 0; i < count; i++) {
		if (read(ready[0], &byte, 1) != 1)
			exit(1);
	}
	wait_for_end();
}

static void many_mappings(int count, const char *file)
{
	int fd = open(file, O_RDONLY);

	/* Every other page is left without a mapping, so that mappings are not merged. */
	for (int i = 0; i < count; i++)
		map(fd);
	puts("mapped");
	fflush(stdout);
	for (;;) {
		void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

		usleep(10000);
		munmap(page, 4096);
	}
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		map(9);
		if (write(8, "m", 1) != 1)
			return 1;
		for (;;)
			pause();
	}
	if (argc == 4 && !strcmp(argv[1], "-n"))
		many_children(atoi(argv[2]), argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "-m"))
		many_mappings(atoi(argv[2]), argv[3]);
	for (int i = 1; i < argc; i++)
		map(open(argv[i], O_RDONLY));
	wait_for_end();
	return 0;
}
