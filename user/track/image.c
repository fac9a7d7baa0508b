/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A child is what its parent was at the fork. It is described by its parent: a short-lived child is
 * gone before it can be read, and others run another program by then. */
#include "track/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/examiner.h"
#include "os/cgroup_memory.h"
#include "os/proc.h"
#include "os/rights.h"

static void strings_free(char **strings)
{
	char **s;

	for (s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

void image_free(struct image *image)
{
	strings_free(image->argv);
	free(image->cgroup);
	free(image->memory_cgroup);
	image_words_free(image->words);
	source_root_close(&image->root);
	resident_release(image->before);
	free(image);
}

/* The group in which its memory is accounted: once it has ended, nothing tells of that. */
static void note_memory_cgroup(struct image *image)
{
	char name[4096], *copy;

	cgroup_memory_name(image->pid, image->cgroup, name, sizeof(name));
	if (!*name || (image->memory_cgroup && !strcmp(name, image->memory_cgroup)))
		return;
	copy = strdup(name);
	if (!copy)
		return; /* what was known before, or nothing */
	free(image->memory_cgroup);
	image->memory_cgroup = copy;
}

void image_describe(struct image *image)
{
	struct source_root root;
	struct proc_info info;
	int err = examiner_describe(image->pid, &info, &root);

	image->undescribed = err && err != -ESRCH;
	/* Its name can be read even if the process holds up everything else. */
	if (err && (err == -ESRCH || proc_stat_read(image->pid, &info)))
		return;
	strings_free(image->argv);
	free(image->cgroup);
	image->argv = info.argv;
	image->cgroup = info.cgroup;
	info.argv = NULL;
	info.argc = 0;
	info.cgroup = NULL;
	image->ppid = info.ppid;
	image->ns_pid = info.ns_pid;
	snprintf(image->comm, sizeof(image->comm), "%s", info.comm);
	proc_info_fini(&info);
	source_root_close(&image->root);
	image->root = root;
	note_memory_cgroup(image);
}

void image_note_user(struct image *image, const struct pymem_msg_code *code)
{
	const struct rights *had = source_root_rights(&image->root);
	struct rights has = {.uid = code->uid, .gid = code->gid};
	struct rights now;

	/* Only root can give up rights. A process that gains rights does so by running another
	 * program. */
	if (!had || had->uid == code->uid || (had->uid != 0 && !had->any))
		return;
	/* Its groups have changed too; read them if the process still exists and still has that
	 * user. */
	if (!rights_of(image->pid, &now) && now.uid == code->uid)
		has = now;
	source_root_set_rights(&image->root, &has);
}

/* All of them; NULL: out of memory. */
static char **strings_copy(char *const *strings)
{
	size_t n = 0;
	char **copy;

	while (strings && strings[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(strings[i]);
		if (copy[i])
			continue;
		strings_free(copy);
		return NULL;
	}
	return copy;
}

int image_inherit(struct image *image, const struct image *parent, bool identified)
{
	if (identified && parent->identified && !image->identified) {
		memcpy(image->python, parent->python, sizeof(image->python));
		image->layout = parent->layout;
		image->runtime = parent->runtime;
		image->interp_head = parent->interp_head;
		image->identified = true;
	}
	image->hidden = parent->hidden;
	if (!image->before)
		image->before = resident_share(parent->before);
	if (!*image->comm)
		memcpy(image->comm, parent->comm, sizeof(image->comm));
	if (image->root.root_fd < 0) {
		source_root_close(&image->root);
		source_root_copy(&image->root, &parent->root);
	}
	image->root.start_wall = parent->root.start_wall;
	/* It has one of its own, as long as it exists. */
	if (!image->ns_pid && parent->ns_pid)
		image->ns_pid = proc_ns_pid(image->pid);
	if (!image->argv)
		image->argv = strings_copy(parent->argv);
	if (!image->cgroup && parent->cgroup) {
		image->cgroup = strdup(parent->cgroup);
		if (!image->cgroup)
			return -ENOMEM;
	}
	return image->argv ? 0 : -ENOMEM;
}
