/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/timeline.h"

#include <stdlib.h>
#include <string.h>

bool timeline_is_below(const struct timeline_cgroup *cgroup, const char *name, size_t length)
{
	if (!length || strlen(cgroup->path) < length || memcmp(cgroup->path, name, length) != 0)
		return false;
	return !cgroup->path[length] || cgroup->path[length] == '/';
}

void timeline_free(struct timeline *timeline)
{
	if (!timeline)
		return;
	for (size_t i = 0; i < timeline->process_count; i++) {
		free(timeline->processes[i].levels);
		free(timeline->processes[i].pss_bytes);
		free(timeline->processes[i].peak_bytes);
		free(timeline->processes[i].most_bytes);
	}
	free(timeline->processes);
	for (size_t i = 0; i < timeline->cgroup_count; i++) {
		free(timeline->cgroups[i].path);
		free(timeline->cgroups[i].current_bytes);
		free(timeline->cgroups[i].limit_bytes);
	}
	free(timeline->cgroups);
	free(timeline->changes);
	for (size_t i = 0; i < timeline->mark_count; i++)
		free(timeline->marks[i].text);
	free(timeline->marks);
	free(timeline);
}
