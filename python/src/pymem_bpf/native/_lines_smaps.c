// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* PSS and USS of this process, from /proc/self/smaps_rollup: for the backends of memory_profiler
 * that have them. The kernel walks the page tables for each reading, so a line costs
 * some ten to a hundred microseconds; and they are the process's, whichever thread changed them.
 */
/* First, as Python's headers say what the system's have. */
#include "_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of the line `name`, which has them in kB; 0: there is no such line. */
static int64_t bytes_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

int lines_smaps(struct smaps *smaps)
{
	char text[4096];
	size_t size = 0;
	ssize_t n = 1;
	int fd;

	do
		fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -1;
	while (n && size < sizeof(text) - 1) {
		n = read(fd, text + size, sizeof(text) - 1 - size);
		if (n < 0 && errno != EINTR)
			break;
		size += n > 0 ? n : 0;
	}
	close(fd);
	if (n < 0)
		return -1;
	text[size] = 0;
	if (!strstr(text, "\nPss:"))
		return -1;
	smaps->pss_bytes = bytes_of(text, "\nPss:");
	smaps->uss_bytes = bytes_of(text, "\nPrivate_Clean:") + bytes_of(text, "\nPrivate_Dirty:") +
			   bytes_of(text, "\nPrivate_Hugetlb:");
	return 0;
}
