/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/oom_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/deaths.h"
#include "base/array.h"
#include "cli/oom_document.h"

#define NAMES_MOST 100000 /* of files in a folder */

/* Reads an open file. NULL with errno set. */
static char *read_text(int fd, size_t *size)
{
	struct stat st;
	char *text;
	ssize_t n;

	*size = 0;
	if (fstat(fd, &st))
		return NULL;
	if (!S_ISREG(st.st_mode) || st.st_size > OOM_FILE_BYTES) {
		errno = EINVAL;
		return NULL;
	}
	text = malloc((size_t)st.st_size + 1);
	while (text && *size < (size_t)st.st_size) {
		n = read(fd, text + *size, (size_t)st.st_size - *size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(text);
			return NULL;
		}
		if (!n)
			break;
		*size += (size_t)n;
	}
	if (text)
		text[*size] = '\0';
	return text;
}

/* Adds the file `name` of a folder. One that can't be opened is listed with the reason. */
static int add_file(struct oom_files *files, int folder, const char *name, int flags)
{
	struct oom_file file = {.name = strdup(name)};
	int fd;

	if (!file.name || !ARRAY_HAS_ROOM(files->at, files->count, files->room)) {
		free(file.name);
		return -ENOMEM;
	}
	fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
	if (fd >= 0)
		file.text = read_text(fd, &file.size);
	if (!file.text)
		file.why = errno == EINVAL ? "it is no file of last words" : strerror(errno);
	if (fd >= 0)
		close(fd);
	files->at[files->count++] = file;
	files->bytes += file.size;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	return strcmp(deaths_stamp(*(char *const *)b), deaths_stamp(*(char *const *)a));
}

/* The names of such files, the newest first. The caller frees them. 0 or -errno. */
static int list_names(int folder, char ***names, size_t *count)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *file;
	size_t room = 0;

	err = dir ? 0 : -errno;
	*names = NULL;
	*count = 0;
	while (dir && !err && (file = readdir(dir))) {
		if (!deaths_is_name(file->d_name))
			continue;
		if (*count == NAMES_MOST) {
			err = -E2BIG;
			break;
		}
		if (ARRAY_HAS_ROOM(*names, *count, room) &&
		    ((*names)[*count] = strdup(file->d_name)))
			++*count;
		else
			err = -ENOMEM;
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	if (*count)
		qsort(*names, *count, sizeof(**names), newest_first);
	return err;
}

static int read_folder(struct oom_files *files, int folder)
{
	char **names;
	size_t count;
	int err = list_names(folder, &names, &count);

	for (size_t i = 0; i < count; i++) {
		if (!err && files->count < OOM_FILES_MOST && files->bytes < OOM_BYTES_MOST)
			err = add_file(files, folder, names[i], O_NOFOLLOW);
		free(names[i]);
	}
	free(names);
	files->more = count - files->count;
	return err;
}

int oom_files_read(struct oom_files *files, const char *path, char *why, size_t size)
{
	struct stat st;
	int folder, err;

	*files = (struct oom_files){};
	if (stat(path, &st)) {
		err = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = folder < 0 ? -errno : read_folder(files, folder);
		if (folder >= 0)
			close(folder);
	} else {
		files->single = true;
		err = add_file(files, AT_FDCWD, path, 0);
		if (!err && files->at->why) {
			snprintf(why, size, "%s", files->at->why);
			return -EINVAL;
		}
	}
	if (err)
		snprintf(why, size, "%s", strerror(-err));
	return err;
}

int oom_files_parse(struct oom_files *files)
{
	files->model = model_new((uint64_t)sysconf(_SC_PAGESIZE));
	if (!files->model)
		return -ENOMEM;
	for (size_t i = 0; i < files->count; i++) {
		struct oom_file *file = &files->at[i];
		int err;

		if (file->why)
			continue;
		file->document = json_loadb(file->text, file->size, JSON_REJECT_DUPLICATES, NULL);
		err = oom_document_read(files->model, file->document, &file->process);
		if (err == -ENOMEM)
			return err;
		free(file->text);
		file->text = NULL;
		if (!err)
			continue;
		json_decref(file->document);
		file->document = NULL;
		file->why = err == -ENOTSUP ? "another version of pymem-bpf wrote it"
					    : "it is no file of last words";
	}
	return model_compute(files->model);
}

void oom_files_free(struct oom_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->at[i].name);
		free(files->at[i].text);
		json_decref(files->at[i].document);
	}
	free(files->at);
	model_free(files->model);
}
