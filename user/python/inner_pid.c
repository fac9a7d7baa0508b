/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "python/inner_pid.h"

#include <stdio.h>
#include <string.h>

#include "os/proc.h"
#include "python/examiner.h"

#define NAMED_MOST 4

struct search {
	pid_t wanted;
	pid_t found[NAMED_MOST];
	size_t count;
};

/* Only those that have the PID are examined, which costs more. */
static int look(pid_t pid, void *arg)
{
	struct search *s = arg;
	struct py_process python;

	if (proc_ns_pid(pid) != s->wanted || examiner_identify(pid, &python))
		return 0;
	if (s->count < NAMED_MOST)
		s->found[s->count] = pid;
	s->count++;
	return 0;
}

void inner_pid_explain(pid_t pid, char *text, size_t size)
{
	struct search s = {.wanted = pid};
	size_t used, i;

	*text = '\0';
	if (pid <= 0 || proc_each(look, &s) || !s.count)
		return;
	snprintf(text, size, "; %d is the PID in %s of what is ", (int)pid,
		 s.count == 1 ? "a container" : "containers");
	for (i = 0; i < s.count && i < NAMED_MOST; i++) {
		used = strlen(text);
		snprintf(text + used, size - used, "%s%d", i ? ", " : "", (int)s.found[i]);
	}
	used = strlen(text);
	if (s.count > NAMED_MOST)
		snprintf(text + used, size - used, " and %zu more", s.count - NAMED_MOST);
	used = strlen(text);
	snprintf(text + used, size - used, " here");
}
