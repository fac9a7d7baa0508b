/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much of its C stack a thread has left, for the frame evaluation function (_lines_eval.c).
 *
 * Where a stack ends is read in /proc/self/maps, once for each thread that goes deep enough for
 * that to matter: glibc's functions for it have other versions since 2.32 and 2.34, and objects
 * built there would not load on older ones. Stacks grow downwards.
 */
#include "_lines.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SHALLOW_BYTES 12288 /* the smallest stack of a Python thread is 32 KiB */
#define LINE_BYTES    8192  /* of maps: a path and some numbers */

/* Of this thread. begin: the shallowest place that it was seen at; end: 0: not known. */
static __thread uintptr_t begin, end;
static __thread bool is_known;

/* Is the address in the mapping of a line of maps? Then *low is how far down the stack may go, 0:
 * that is not limited. */
static bool take_line(const char *line, uintptr_t address, uintptr_t *low)
{
	char *after;
	uintptr_t from = strtoull(line, &after, 16), to;
	struct rlimit limit;

	to = *after == '-' ? strtoull(after + 1, NULL, 16) : 0;
	if (address < from || address >= to)
		return false;
	*low = from;
	if (!strstr(line, "[stack]"))
		return true;
	/* The kernel extends this one down to the limit. */
	if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur >= to)
		*low = 0;
	else
		*low = to - limit.rlim_cur;
	return true;
}

/* 0: it is not known. */
static uintptr_t find_end(uintptr_t address)
{
	static char buffer[LINE_BYTES + 1]; /* not on a stack that may be small */
	char *line, *next;
	size_t held = 0;
	uintptr_t low = 0;
	bool found = false;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	while (!found && held < LINE_BYTES &&
	       (n = read(fd, buffer + held, LINE_BYTES - held)) > 0) {
		held += n;
		buffer[held] = 0;
		for (line = buffer; !found && (next = strchr(line, '\n')); line = next + 1) {
			*next = 0;
			found = take_line(line, address, &low);
		}
		held -= line - buffer;
		memmove(buffer, line, held);
	}
	close(fd);
	return low;
}

bool lines_stack_is_low(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (here > begin)
		begin = here;
	if (begin - here < SHALLOW_BYTES)
		return false;
	if (!is_known) {
		is_known = true;
		end = find_end(here);
	}
	return end && here >= end && here - end < (begin - end) / 2;
}
