/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel says of the memory of the containers that a report has. The files are the
 * kernel's, so nobody can hold the reader up; and there is one group for each container, however
 * many processes it has. */
#include <stdlib.h>
#include <string.h>

#include "os/cgroup_memory.h"
#include "os/cgroup_parse.h"
#include "report/report.h"

#define NAME_MOST 4096

static bool is_known(const struct model *model, const char *path)
{
	for (size_t i = 0; i < model->cgroup_count; i++)
		if (!strcmp(model->cgroups[i].path, path))
			return true;
	return false;
}

static void cut_to_container(char *path)
{
	struct cgroup_parsed parsed;

	cgroup_parse(path, &parsed);
	if (parsed.container)
		path[parsed.length] = '\0';
}

/* Adds the group of the container that the process is in, if it is in one. 0 or -ENOMEM. */
static int add_group_of(struct model *model, const struct model_process *process)
{
	char path[NAME_MOST], memory[NAME_MOST];
	struct cgroup_usage usage;
	struct cgroup_parsed parsed;

	cgroup_parse(process->cgroup, &parsed);
	if (!parsed.container || parsed.length >= sizeof(path))
		return 0;
	memcpy(path, process->cgroup, parsed.length);
	path[parsed.length] = '\0';
	if (is_known(model, path))
		return 0;
	/* The process may be in a group below the container's. */
	cgroup_memory_name(process->pid, path, memory, sizeof(memory));
	cut_to_container(memory);
	cgroup_usage_read(memory, &usage);
	return model_add_cgroup(model, &(struct model_cgroup){
					       .path = path,
					       .current_bytes = usage.current_bytes,
					       .limit_bytes = usage.limit_bytes,
					       .limited_bytes = usage.limited_bytes,
					       .oom_kills = usage.oom_kills,
					       .pressure = usage.pressure,
				       });
}

int report_add_cgroups(struct model *model)
{
	int err = 0;

	for (size_t i = 0; i < model->process_count && !err; i++)
		if (!model->processes[i]->exited)
			err = add_group_of(model, model->processes[i]);
	return err;
}

int report_add_memory_groups(struct model *model, const struct cgroup_book *book)
{
	int err = 0;

	if (!book || !book->ended)
		return 0;
	model->memory_batch = book->batch;
	for (size_t i = 0; i < book->count && !err; i++) {
		const struct cgroup_book_group *group = &book->groups[i];

		err = model_add_memory_group(model, &(struct model_memory_group){
							    .path = group->path,
							    .start = group->start,
							    .end = group->end,
							    .began = group->began,
						    });
	}
	return err;
}
