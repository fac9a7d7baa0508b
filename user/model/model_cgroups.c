/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control groups of containers. There are few, so they are looked for one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "model/model_private.h"

int model_add_cgroup(struct model *model, const struct model_cgroup *cgroup)
{
	struct model_cgroup copy = *cgroup;

	copy.path = strdup(cgroup->path);
	if (!copy.path ||
	    !ARRAY_HAS_ROOM(model->cgroups, model->cgroup_count, book_of(model)->cgroup_room)) {
		free(copy.path);
		return -ENOMEM;
	}
	model->cgroups[model->cgroup_count++] = copy;
	return 0;
}

int model_add_memory_group(struct model *model, const struct model_memory_group *group)
{
	struct model_memory_group copy = *group;

	copy.path = strdup(group->path);
	if (!copy.path || !ARRAY_HAS_ROOM(model->memory_groups, model->memory_group_count,
					  book_of(model)->memory_group_room)) {
		free(copy.path);
		return -ENOMEM;
	}
	model->memory_groups[model->memory_group_count++] = copy;
	return 0;
}

const struct model_cgroup *model_find_cgroup(const struct model *model, const char *path)
{
	const struct model_cgroup *found = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < model->cgroup_count; i++) {
		const char *own = model->cgroups[i].path;
		size_t length = strlen(own);

		if (length <= longest || strncmp(path, own, length) != 0 ||
		    (path[length] && path[length] != '/'))
			continue;
		longest = length;
		found = &model->cgroups[i];
	}
	return found;
}
