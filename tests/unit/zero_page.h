/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Most kernels map one page of zeros wherever memory is only read; some are started without it. */
#ifndef ZERO_PAGE_H
#define ZERO_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Whether this kernel has it: then memory that was only read is no part of RSS. By smaps. */
static inline bool has_zero_page(void)
{
	size_t size = 64 * (size_t)sysconf(_SC_PAGESIZE);
	volatile char *at =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long begin, end, rss = 1;
	bool inside = false, found = false;
	char line[512];

	for (size_t i = 0; i < size; i += (size_t)sysconf(_SC_PAGESIZE))
		(void)at[i];
	while (smaps && !found && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			inside = begin <= (uintptr_t)at && (uintptr_t)at < end;
		else
			found = inside && sscanf(line, "Rss: %lu kB", &rss) == 1;
	}
	if (smaps)
		fclose(smaps);
	munmap((void *)at, size);
	/* The mapping may have been joined with a neighbour, of which something is resident. */
	return found && rss * 1024 < size;
}

#endif
