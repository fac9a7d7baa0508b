/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* swapper FILE [OTHER]: maps FILE executable, says so, and stays until its input ends. With OTHER:
 * whenever FILE is opened, except for the first time, the two names are exchanged until another
 * byte of OTHER has changed. So a look-up of the name in between finds OTHER. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AWAY_MS 300    /* at most */
#define PAGE	0x3000 /* where it changes: fake_python.SITES */

static void swap(const char *file, const char *other)
{
	if (renameat2(AT_FDCWD, file, AT_FDCWD, other, RENAME_EXCHANGE)) {
		perror("renameat2");
		exit(1);
	}
}

static void *map(int fd, off_t size)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (mapped == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return mapped;
}

static unsigned changed_in(const volatile unsigned char *other)
{
	unsigned changed = 0;

	for (int i = 0; i < 0x100; i++)
		changed += other[PAGE + i] != other[PAGE + 0x800];
	return changed;
}

static void change_places(const char *file, const char *other, const unsigned char *mapped)
{
	unsigned before = changed_in(mapped);
	struct timespec start, now;

	swap(file, other);
	clock_gettime(CLOCK_MONOTONIC, &start);
	/* Without a pause, since the profiler goes on to the next probe at once. */
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (changed_in(mapped) == before &&
	       (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
		       AWAY_MS);
	swap(file, other);
}

int main(int argc, char **argv)
{
	int fd = open(argv[1], O_RDONLY), notes = inotify_init1(IN_NONBLOCK), opened = 0;
	struct pollfd wait[] = {{.fd = 0, .events = POLLIN}, {.fd = notes, .events = POLLIN}};
	const unsigned char *other = NULL;
	char events[4096];
	struct stat st;

	if (fd < 0 || notes < 0 || fstat(fd, &st) ||
	    inotify_add_watch(notes, argv[1], IN_OPEN) < 0) {
		perror(argv[1]);
		return 1;
	}
	map(fd, st.st_size);
	if (argc > 2)
		other = map(open(argv[2], O_RDONLY), PAGE + 0x1000);
	puts("mapped");
	fflush(stdout);
	while (poll(wait, other ? 2 : 1, -1) > 0 && !wait[0].revents) {
		while (read(notes, events, sizeof(events)) > 0)
			;
		if (opened++)
			change_places(argv[1], argv[2], other);
	}
	return 0;
}
