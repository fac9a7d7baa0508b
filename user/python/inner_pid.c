/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "python/inner_pid.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "os/proc.h"
#include "python/examiner.h"

#define NAMED_MOST    4
#define EXAMINED_MOST 8
#define SECONDS_MOST  1.0

struct search {
	pid_t wanted;
	double began; /* CLOCK_MONOTONIC */
	unsigned examined;
	bool more; /* the others are not examined */
	pid_t found[NAMED_MOST];
	size_t count;
};

/* Only those that have the PID are examined, which costs more. Anybody can have thousands of them,
 * with user namespaces, and each may take its time. */
static int look(pid_t pid, void *arg)
{
	struct search *s = arg;
	struct py_process python;

	if (proc_ns_pid(pid) != s->wanted)
		return 0;
	s->more = s->examined >= EXAMINED_MOST ||
		  clock_seconds(CLOCK_MONOTONIC) - s->began >= SECONDS_MOST;
	if (s->more)
		return 1;
	s->examined++;
	if (examiner_identify(pid, &python))
		return 0;
	if (s->count < NAMED_MOST)
		s->found[s->count] = pid;
	s->count++;
	return 0;
}

void inner_pid_explain(pid_t pid, char *text, size_t size)
{
	struct search s = {.wanted = pid, .began = clock_seconds(CLOCK_MONOTONIC)};
	size_t used, i;

	*text = '\0';
	if (pid <= 0 || proc_each(look, &s) < 0 || !s.count)
		return;
	snprintf(text, size, "; %d is the PID in %s of what is ", (int)pid,
		 s.count == 1 && !s.more ? "a container" : "containers");
	for (i = 0; i < s.count && i < NAMED_MOST; i++) {
		used = strlen(text);
		snprintf(text + used, size - used, "%s%d", i ? ", " : "", (int)s.found[i]);
	}
	used = strlen(text);
	if (s.more)
		snprintf(text + used, size - used, " and perhaps more");
	else if (s.count > NAMED_MOST)
		snprintf(text + used, size - used, " and %zu more", s.count - NAMED_MOST);
	used = strlen(text);
	snprintf(text + used, size - used, " here");
}
