/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control group of a process that a signal ended, in a sentence. */
#include "render/last_words.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "os/cgroup_memory.h"
#include "render/render_parts.h"

#define IDLE_PART 64 /* of all it used: less is not told */

static void write_part(FILE *out, const char *lead, const char *name, int64_t bytes)
{
	char amount[40];

	if (bytes < 0)
		return;
	parts_amount(amount, sizeof(amount), bytes, false);
	fprintf(out, "%s%s%s%s", lead, name, *name ? " " : "", amount);
}

static void write_parts(FILE *out, const struct cgroup_last *group)
{
	char amount[40];

	if (group->bytes[CGROUP_TOTAL] < 0) {
		fputs("what it used is not known", out);
	} else {
		parts_amount(amount, sizeof(amount), group->bytes[CGROUP_TOTAL], false);
		fprintf(out, "it used %s", amount);
	}
	write_part(out, "; ", "anonymous", group->bytes[CGROUP_ANON]);
	write_part(out, ", ", "files", group->bytes[CGROUP_FILE]);
	/* A little of that is always there. */
	if (group->idle_bytes > 0 && group->idle_bytes >= group->bytes[CGROUP_TOTAL] / IDLE_PART) {
		write_part(out, " (", "", group->idle_bytes);
		fputs(" of it not used lately)", out);
	}
	write_part(out, ", ", "kernel", group->bytes[CGROUP_KERNEL]);
}

/* "once", "7 times". */
static void write_times(FILE *out, int64_t times)
{
	if (times == 1)
		fputs("once", out);
	else
		fprintf(out, "%" PRId64 NBSP "times", times);
}

static void write_events(FILE *out, const struct cgroup_last *group)
{
	int64_t met = group->events[CGROUP_EVENT_MAX];
	int64_t killed = group->events[CGROUP_EVENT_OOM_KILL];

	if (met > 0) {
		fputs(". Its limit was met ", out);
		write_times(out, met);
	}
	if (killed > 0) {
		fputs(met > 0 ? ", and the OOM killer has killed there "
			      : ". The OOM killer has killed there ",
		      out);
		write_times(out, killed);
	}
	fputc('.', out);
}

static void write_missing(FILE *out, enum cgroup_last_state state)
{
	switch (state) {
	case CGROUP_LAST_UNNAMED:
		fputs("Its control group is not known: the process had left it.", out);
		return;
	case CGROUP_LAST_ROOT:
		fputs("It was in the root control group, of which the kernel keeps no figures.",
		      out);
		return;
	case CGROUP_LAST_GONE:
		fputs("Its control group can't be read: it was removed.", out);
		return;
	default:
		return;
	}
}

void last_words_group(FILE *out, const struct cgroup_last *group)
{
	if (group->state != CGROUP_LAST_READ) {
		write_missing(out, group->state);
		return;
	}
	fputs("Control group ", out);
	text_print(out,
		   group->v1 && !strncmp(group->path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1))
			   ? group->path + strlen(CGROUP_MEMORY_V1)
			   : group->path,
		   0, false);
	fprintf(out, ", %.1f" NBSP "ms after the signal: ", (double)group->late_ns / 1e6);
	write_parts(out, group);
	write_events(out, group);
}
