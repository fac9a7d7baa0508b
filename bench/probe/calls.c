/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What system calls take of processor time, so that others' work counts little: bench/host_cost.py
 * builds it and tells it what to measure.
 *
 * Reads "NAME COUNT" lines and answers each with the nanoseconds of one call (two calls: mmap and
 * munmap, brk up and down).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int call(const char *name)
{
	void *at;

	if (!strcmp(name, "getppid"))
		return syscall(SYS_getppid) < 0;
	if (!strcmp(name, "brk"))
		return sbrk(4096) == (void *)-1 || sbrk(-4096) == (void *)-1;
	if (strcmp(name, "mmap"))
		return -1;
	at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return at == MAP_FAILED || munmap(at, 4096);
}

int main(void)
{
	char name[16];
	long count;

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (scanf("%15s %ld", name, &count) == 2) {
		double start = now_ns();

		for (long i = 0; i < count; i++) {
			if (call(name)) {
				fprintf(stderr, "%s: a call failed\n", name);
				return 1;
			}
		}
		printf("%.1f\n", (now_ns() - start) / count);
	}
	return 0;
}
