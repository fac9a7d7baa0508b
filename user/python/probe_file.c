/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Probes are attached to a file; the kernel puts them wherever that file is mapped. So the file
 * must be the one that the process runs. A name does not tell: by the time it is looked up it may
 * lead to another file, even another user's program.
 *
 * So the file is opened once, by its mapping: /proc/PID/map_files, or where that is refused, a name
 * whose device and inode are those of the mapping. All else is done with that descriptor: what file
 * it is (fstat(); a mapping's device and inode may differ on overlayfs and btrfs), its notes, and
 * what the kernel looks up.
 *
 * To attach a probe, the kernel reads a page of the file in the thread that asks for it. If the
 * file system does not answer, that thread hangs and can't be killed. So files on file systems that
 * a user can mount and serve are refused. Left out: an overlay above such a file system, which
 * can't be recognised. */
#include "python/probe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "python/elf_image.h"
#include "os/proc.h"

#define INTERPRETERS_MOST 4 /* #! lines in a row, each naming a script */
#define OPEN_TRIES	  3

#ifndef FUSE_SUPER_MAGIC /* missing in older headers */
#define FUSE_SUPER_MAGIC 0x65735546
#endif

struct opening {
	pid_t pid;
	uint64_t dev, inode;
	int fd; /* or -errno */
};

static int open_if_mapped(const struct proc_mapping *mapping, void *arg)
{
	struct opening *o = arg;

	if (mapping->perms[2] != 'x' || mapping->inode != o->inode ||
	    makedev(mapping->dev_major, mapping->dev_minor) != o->dev)
		return 0;
	o->fd = proc_open_mapping(o->pid, mapping);
	return o->fd != -ENOENT;
}

static bool has_ended(pid_t pid)
{
	struct proc_info info;

	return proc_stat_read(pid, &info) || info.state == 'Z' || info.state == 'X';
}

/* A descriptor or -errno. */
static int open_mapped(struct opening *o)
{
	int err = 0;

	/* If a mapping merges with its neighbour, its name in map_files changes. */
	for (int i = 0; i < OPEN_TRIES && o->fd < 0 && err >= 0; i++)
		err = proc_maps_each(o->pid, open_if_mapped, o);
	if (err >= 0 && o->fd == -ENOENT)
		return has_ended(o->pid) ? -ESRCH : -ESTALE;
	return err < 0 ? err : o->fd;
}

/* Refuses file systems that a user may serve, before anything else of the file is read. 0 or
 * -errno. */
static int check_file_system(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return -errno;
	return fs.f_type == FUSE_SUPER_MAGIC || fs.f_type == V9FS_MAGIC ? -EREMOTEIO : 0;
}

/* Fills in `file`, which owns `fd` from now on. 0 or -errno; then `fd` is closed. */
static int fill(int fd, struct probe_file *file)
{
	struct stat st;
	int err = check_file_system(fd);

	if (!err && fstat(fd, &st))
		err = -errno;
	if (!err)
		err = elf_image_probe_sites(fd, &file->sites);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd;
	file->dev = st.st_dev;
	file->inode = st.st_ino;
	return 0;
}

int probe_file_open_mapped(pid_t pid, uint64_t dev, uint64_t inode, struct probe_file *file)
{
	struct opening o = {pid, dev, inode, -ENOENT};
	int fd = open_mapped(&o);

	memset(file, 0, sizeof(*file));
	file->fd = -1;
	return fd < 0 ? fd : fill(fd, file);
}

/* Finds the file that executing `program` would open, by PATH. False: there is none. */
static bool find_program(const char *program, char *name, size_t size)
{
	const char *path = getenv("PATH"), *end;

	if (strchr(program, '/')) {
		snprintf(name, size, "%s", program);
		return !access(name, X_OK);
	}
	for (path = path ? path : "/usr/bin:/bin"; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(name, size, "%.*s/%s", (int)(end - path), path, program);
		if (end > path && !access(name, X_OK))
			return true;
	}
	return false;
}

/* If `name` begins with #!, replaces it by its interpreter. False: it is no script. */
static bool follow_script(char *name, size_t size)
{
	char line[PATH_MAX], *word, *rest = line + 2;
	FILE *file = fopen(name, "re");
	bool is_script;

	if (!file)
		return false;
	is_script = fgets(line, sizeof(line), file) && line[0] == '#' && line[1] == '!';
	fclose(file);
	if (!is_script)
		return false;
	word = strtok_r(rest, " \t\n", &rest);
	if (!word)
		return false;
	/* "#!/usr/bin/env [-S] python3" */
	if (!strcmp(strrchr(word, '/') ? strrchr(word, '/') + 1 : word, "env")) {
		do
			word = strtok_r(rest, " \t\n", &rest);
		while (word && (*word == '-' || strchr(word, '=')));
	}
	return word && find_program(word, name, size);
}

static bool has_what(const struct elf_image *image, unsigned needs)
{
	bool probes =
		needs & PROBE_FILE_FUNCTIONS ? image->has_function_probe : image->has_line_probe;

	return image->is_python && probes && (image->fixed_address || !(needs & PROBE_FILE_FIXED));
}

int probe_file_open_program(const char *program, unsigned needs, struct probe_file *file)
{
	struct elf_image image = {};
	char name[PATH_MAX];
	int fd, err;

	memset(file, 0, sizeof(*file));
	file->fd = -1;
	if (!find_program(program, name, sizeof(name)))
		return -ENOENT;
	for (int i = 0; i < INTERPRETERS_MOST && follow_script(name, sizeof(name)); i++)
		;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -ENOENT;
	if (elf_image_read(fd, &image) || !has_what(&image, needs)) {
		close(fd);
		return -ENOENT;
	}
	err = fill(fd, file);
	file->sites.entry_wants_line = image.entry_wants_line;
	return err;
}
