/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: show the source text of a target, as root, while the target chooses the names
 * of the files and what is behind them.
 *
 * Every name is resolved by openat2 inside the target's own root, so neither "..", symlinks nor
 * /proc's magic links lead out of it. The result is an O_PATH descriptor first: only what
 * fstat calls a regular file, and not one of a kernel file system (reading trace_pipe or
 * kmsg takes data away from others), is opened for reading. Nothing cached is ever dropped, as
 * callers hold pointers into it; so the total is limited instead.
 *
 * Left out: sources in zip files; a FUSE file system that never answers can delay us.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "proc.h"
#include "source.h"

#define BUCKETS 1024
/* A file written just before its process started may look newer: the process's start is
 * known to a clock tick, and its wall-clock time moves with adjustments of the clock. */
#define START_SLACK_SEC 0.1

/* One view of the file system: mount ids tell mount namespaces and chroots apart. */
struct view {
	uint64_t mount, inode, cwd_mount, cwd_inode;
};

struct source_file {
	struct source_file *next;
	struct view view;
	char *name;
	enum source_state state; /* SOURCE_OK, _MISSING or _UNREADABLE */
	double mtime;
	char *text; /* line ends are NULs */
	uint32_t *starts;
	int line_count;
};

struct source_cache {
	struct source_file *buckets[BUCKETS];
	size_t bytes; /* held by all files */
};

/* Thousands of processes have few folders between them: each is open once. */
static struct folder {
	struct folder *next;
	uint64_t mount, inode;
	int fd;
	unsigned uses;
} * folders;

static int view_of_fd(int fd, uint64_t *mount, uint64_t *inode);

/* The descriptor of the same folder that is open already, or this one. */
static int folder_share(int fd)
{
	uint64_t mount, inode;
	struct folder *folder;

	if (fd < 0 || view_of_fd(fd, &mount, &inode))
		return fd;
	for (folder = folders; folder; folder = folder->next) {
		if (!mount || folder->mount != mount || folder->inode != inode)
			continue;
		close(fd);
		folder->uses++;
		return folder->fd;
	}
	folder = calloc(1, sizeof(*folder));
	if (!folder) {
		close(fd);
		return -1;
	}
	*folder = (struct folder){folders, mount, inode, fd, 1};
	folders = folder;
	return fd;
}

static int folder_hold(int fd)
{
	struct folder *folder;

	for (folder = folders; folder; folder = folder->next) {
		if (folder->fd == fd) {
			folder->uses++;
			return fd;
		}
	}
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void folder_release(int fd)
{
	struct folder **at, *folder;

	for (at = &folders; (folder = *at); at = &folder->next) {
		if (folder->fd != fd)
			continue;
		if (--folder->uses)
			return;
		*at = folder->next;
		free(folder);
		break;
	}
	if (fd >= 0)
		close(fd);
}

void source_root_open(struct source_root *root, int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root->root_fd = folder_share(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	root->cwd_fd = folder_share(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	root->start_wall = proc_start_wall(pid);
}

void source_root_copy(struct source_root *root, const struct source_root *from)
{
	root->root_fd = folder_hold(from->root_fd);
	root->cwd_fd = folder_hold(from->cwd_fd);
	root->start_wall = from->start_wall;
}

void source_root_close(struct source_root *root)
{
	folder_release(root->root_fd);
	folder_release(root->cwd_fd);
	root->root_fd = -1;
	root->cwd_fd = -1;
}

struct source_cache *source_cache_new(void)
{
	return calloc(1, sizeof(struct source_cache));
}

static void file_free(struct source_file *file)
{
	if (!file)
		return;
	free(file->name);
	free(file->text);
	free(file->starts);
	free(file);
}

void source_cache_free(struct source_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (cache->buckets[i]) {
			struct source_file *file = cache->buckets[i];

			cache->buckets[i] = file->next;
			file_free(file);
		}
	}
	free(cache);
}

static int open_inside(int dir, const char *name, uint64_t resolve)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	long fd;

	/* EAGAIN: a rename elsewhere raced with a ".."; it is not ours to wait for long. */
	for (int tries = 0; tries < 8; tries++) {
		fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

static ssize_t read_link_of(int fd, char *buf, size_t size)
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, buf, size - 1);
	if (len < 0 || (size_t)len == size - 1)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	return len;
}

/* The working folder's name inside the root, in `buf`; proven to be that folder. */
static int cwd_inside(const struct source_root *root, char *buf, size_t size)
{
	char top[PATH_MAX], cwd[PATH_MAX];
	struct stat want, have;
	size_t skip;
	int fd, err;

	if (read_link_of(root->root_fd, top, sizeof(top)) < 0 ||
	    read_link_of(root->cwd_fd, cwd, sizeof(cwd)) < 0)
		return -ENOENT;
	skip = strcmp(top, "/") == 0 ? 0 : strlen(top);
	if (strncmp(cwd, top, skip) != 0 || (cwd[skip] != '/' && cwd[skip] != '\0'))
		return -EXDEV;
	snprintf(buf, size, "%s/", cwd + skip);
	fd = open_inside(root->root_fd, buf, RESOLVE_IN_ROOT);
	if (fd < 0)
		return fd;
	err = fstat(fd, &have) != 0 || fstat(root->cwd_fd, &want) != 0 ? -errno : 0;
	close(fd);
	if (!err && (have.st_dev != want.st_dev || have.st_ino != want.st_ino))
		err = -EXDEV;
	return err;
}

/* O_PATH descriptor of what `name` is to the target, or -errno. */
static int find_file(const struct source_root *root, const char *name)
{
	char path[2 * PATH_MAX], cwd[PATH_MAX + 1];

	if (name[0] == '/')
		return open_inside(root->root_fd, name, RESOLVE_IN_ROOT);
	if (root->cwd_fd < 0)
		return -EACCES;
	if (cwd_inside(root, cwd, sizeof(cwd)) != 0)
		return open_inside(root->cwd_fd, name, RESOLVE_BENEATH);
	if ((size_t)snprintf(path, sizeof(path), "%s%s", cwd, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return open_inside(root->root_fd, path, RESOLVE_IN_ROOT);
}

static int is_kernel_fs(int fd)
{
	static const uint32_t magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,	      DEBUGFS_MAGIC,	   TRACEFS_MAGIC,
		BPF_FS_MAGIC,	  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, SECURITYFS_MAGIC,
		EFIVARFS_MAGIC,	  PSTOREFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if ((uint32_t)fs.f_type == magics[i])
			return 1;
	}
	return 0;
}

/* Opens for reading what an O_PATH descriptor stands for, if that is harmless. */
static int open_for_reading(int found, struct stat *st)
{
	char path[64];
	int fd;

	if (fstat(found, st) != 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || is_kernel_fs(found))
		return -EACCES;
	if (st->st_size > SOURCE_FILE_MAX)
		return -EFBIG;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads up to `size` bytes, the file's size a moment ago; it may have shrunk since. */
static ssize_t read_text(int fd, char *text, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, text + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Line ends are Python's: LF, CR LF, CR. Counts lines; with `starts`, notes and ends them. */
static size_t split_lines(char *text, size_t len, uint32_t *starts)
{
	size_t count = 0, at = 0;

	while (at < len) {
		size_t end = at;

		while (end < len && text[end] != '\n' && text[end] != '\r')
			end++;
		if (starts)
			starts[count] = (uint32_t)at;
		count++;
		at = end + 1;
		if (end < len && text[end] == '\r' && at < len && text[at] == '\n')
			at++;
		if (starts)
			text[end] = '\0'; /* text has room for one more byte */
	}
	return count;
}

/* Fills `file` from an open descriptor. 0 or -errno. */
static int take_text(struct source_cache *cache, struct source_file *file, int fd, size_t size)
{
	size_t lines, bytes;
	ssize_t len;

	if (size + cache->bytes > SOURCE_CACHE_MAX)
		return -EFBIG;
	file->text = malloc(size + 1);
	if (!file->text)
		return -ENOMEM;
	len = read_text(fd, file->text, size);
	if (len < 0)
		return (int)len;
	file->text[len] = '\0';
	lines = split_lines(file->text, (size_t)len, NULL);
	bytes = size + 1 + lines * sizeof(uint32_t);
	if (lines > SOURCE_LINES_MAX || bytes + cache->bytes > SOURCE_CACHE_MAX)
		return -EFBIG;
	file->starts = malloc((lines + 1) * sizeof(uint32_t)); /* + 1: an empty file is no error */
	if (!file->starts)
		return -ENOMEM;
	split_lines(file->text, (size_t)len, file->starts);
	file->line_count = (int)lines;
	cache->bytes += bytes;
	return 0;
}

static enum source_state read_file(struct source_cache *cache, struct source_file *file,
				   const struct source_root *root)
{
	int found = find_file(root, file->name), fd, err;
	struct stat st;

	if (found == -ENOENT || found == -ENOTDIR || found == -ENAMETOOLONG)
		return SOURCE_MISSING;
	if (found < 0)
		return SOURCE_UNREADABLE;
	fd = open_for_reading(found, &st);
	close(found);
	if (fd < 0)
		return SOURCE_UNREADABLE;
	file->mtime = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9;
	err = take_text(cache, file, fd, (size_t)st.st_size);
	close(fd);
	if (!err)
		return SOURCE_OK;
	free(file->text);
	file->text = NULL;
	return SOURCE_UNREADABLE;
}

static int view_of_fd(int fd, uint64_t *mount, uint64_t *inode)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &st) != 0)
		return -errno;
	*mount = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : 0;
	*inode = st.stx_ino;
	return 0;
}

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash % BUCKETS;
}

/* The file from the cache, or read now; NULL: it can't even be looked for. */
static struct source_file *get_file(struct source_cache *cache, const struct source_root *root,
				    const char *name)
{
	struct source_file **bucket = &cache->buckets[hash_name(name)], *file;
	struct view view = {0};

	if (root->root_fd < 0 || view_of_fd(root->root_fd, &view.mount, &view.inode) != 0)
		return NULL;
	if (name[0] != '/' && root->cwd_fd >= 0 &&
	    view_of_fd(root->cwd_fd, &view.cwd_mount, &view.cwd_inode) != 0)
		return NULL;
	for (file = *bucket; file; file = file->next) {
		if (memcmp(&file->view, &view, sizeof(view)) == 0 && strcmp(file->name, name) == 0)
			return file;
	}
	file = calloc(1, sizeof(*file));
	if (file)
		file->name = strdup(name);
	if (!file || !file->name) {
		file_free(file);
		return NULL;
	}
	file->view = view;
	file->state = read_file(cache, file, root);
	file->next = *bucket;
	*bucket = file;
	return file;
}

static bool is_no_file(const char *name)
{
	size_t len = strlen(name);

	return len == 0 || (name[0] == '<' && name[len - 1] == '>');
}

const char *source_line(struct source_cache *cache, const struct source_root *root,
			const char *file, int line, enum source_state *state)
{
	struct source_file *entry;
	enum source_state ignored;

	if (!state)
		state = &ignored;
	*state = SOURCE_NONE;
	if (is_no_file(file))
		return NULL;
	entry = get_file(cache, root, file);
	*state = entry ? entry->state : SOURCE_UNREADABLE;
	if (*state != SOURCE_OK)
		return NULL;
	if (root->start_wall > 0 && entry->mtime > root->start_wall + START_SLACK_SEC)
		*state = SOURCE_CHANGED;
	if (line < 1 || line > entry->line_count)
		return NULL;
	return entry->text + entry->starts[line - 1];
}

int source_line_count(struct source_cache *cache, const struct source_root *root, const char *file)
{
	struct source_file *entry = is_no_file(file) ? NULL : get_file(cache, root, file);

	return entry ? entry->line_count : 0;
}
