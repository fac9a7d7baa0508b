/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: many processes run the same files, and a report asks for their lines one by one.
 *
 * A file is read once for each view of the file system and each set of rights, so nobody is shown
 * what only another could read. It is read again only after a failure that had nothing to do with
 * the file. Nothing is ever removed from the cache, since callers hold pointers into it; its total
 * size is limited instead. source_read.c opens and reads a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/proc.h"
#include "os/rights.h"
#include "os/source.h"
#include "os/source_read.h"

#define BUCKETS 1024
/* A file written just before the start of its process may look newer: the start is known to a clock
 * tick only, and the wall clock may have been adjusted since. */
#define START_SLACK_SEC 0.1
#define SLOW_AGAIN_MS	30000

/* One view of the file system. The mount ID tells mount namespaces and chroots apart. */
struct view {
	uint64_t mount, inode, cwd_mount, cwd_inode;
};

struct source_file {
	struct source_file *next;
	struct view view;
	const struct source_rights *rights; /* the file holds a reference */
	char *name;
	enum source_state state; /* SOURCE_OK, _MISSING or _UNREADABLE */
	double changed;
	char *text; /* line ends are replaced by NULs */
	uint32_t *starts;
	int line_count;
	bool refused;	   /* the cache had no room for the text */
	uint64_t again_ms; /* CLOCK_MONOTONIC: when to read it again; 0: never */
};

/* Thousands of processes share a few sets of rights: equal ones are kept once. */
struct source_rights {
	struct source_rights *next;
	unsigned uses;
	struct rights rights; /* has only as many groups as the process */
};

static struct source_rights *all_rights;

struct source_cache {
	source_read_fn *read;
	struct source_file *buckets[BUCKETS];
	size_t bytes; /* of all files */
};

/* Thousands of processes share a few folders: each is open once. */
static struct folder {
	struct folder *next;
	uint64_t mount, inode;
	int fd;
	unsigned uses;
} * folders;

/* Uses only what the kernel knows. Asking the file system could take for ever. */
static int view_of_fd(int fd, uint64_t *mount, uint64_t *inode)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &st) != 0)
		return -errno;
	*mount = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : 0;
	*inode = st.stx_ino;
	return 0;
}

/* The descriptor by which the same folder is open already; else `fd`. */
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

static const struct source_rights *rights_share(const struct rights *rights)
{
	size_t size = rights_size(rights);
	struct source_rights *shared;

	for (shared = all_rights; shared; shared = shared->next) {
		if (rights_size(&shared->rights) != size || memcmp(&shared->rights, rights, size))
			continue;
		shared->uses++;
		return shared;
	}
	shared = malloc(offsetof(struct source_rights, rights) + size);
	if (!shared)
		return NULL;
	shared->next = all_rights;
	shared->uses = 1;
	memcpy(&shared->rights, rights, size);
	all_rights = shared;
	return shared;
}

static const struct source_rights *rights_hold(const struct source_rights *rights)
{
	if (rights)
		((struct source_rights *)rights)->uses++;
	return rights;
}

static void rights_release(const struct source_rights *rights)
{
	struct source_rights **at, *shared;

	for (at = &all_rights; (shared = *at); at = &shared->next) {
		if (shared != rights)
			continue;
		if (--shared->uses)
			return;
		*at = shared->next;
		free(shared);
		return;
	}
}

const struct rights *source_root_rights(const struct source_root *root)
{
	return root->rights ? &root->rights->rights : NULL;
}

void source_root_set_rights(struct source_root *root, const struct rights *rights)
{
	rights_release(root->rights);
	root->rights = rights ? rights_share(rights) : NULL;
}

void source_root_adopt(struct source_root *root, int root_fd, int cwd_fd,
		       const struct rights *rights, double start_wall)
{
	root->root_fd = folder_share(root_fd);
	root->cwd_fd = folder_share(cwd_fd);
	root->start_wall = start_wall;
	root->rights = rights ? rights_share(rights) : NULL;
	root->recorded = root->recorded_cwd = 0;
}

void source_root_find(int pid, int *root_fd, int *cwd_fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	*root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	*cwd_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void source_root_open(struct source_root *root, int pid)
{
	struct rights rights;
	int root_fd, cwd_fd;

	source_root_find(pid, &root_fd, &cwd_fd);
	source_root_adopt(root, root_fd, cwd_fd, rights_of(pid, &rights) ? NULL : &rights,
			  proc_start_wall(pid));
}

void source_root_copy(struct source_root *root, const struct source_root *from)
{
	root->root_fd = folder_hold(from->root_fd);
	root->cwd_fd = folder_hold(from->cwd_fd);
	root->start_wall = from->start_wall;
	root->rights = rights_hold(from->rights);
	root->recorded = from->recorded;
	root->recorded_cwd = from->recorded_cwd;
}

void source_root_close(struct source_root *root)
{
	folder_release(root->root_fd);
	folder_release(root->cwd_fd);
	rights_release(root->rights);
	root->root_fd = -1;
	root->cwd_fd = -1;
	root->rights = NULL;
}

int source_read_here(const struct source_root *root, const char *name, struct source_text *text)
{
	source_read_file(root->root_fd, root->cwd_fd, &root->rights->rights, name, text);
	return 0;
}

struct source_cache *source_cache_new(source_read_fn *read)
{
	struct source_cache *cache = calloc(1, sizeof(*cache));

	if (cache)
		cache->read = read;
	return cache;
}

static void file_free(struct source_file *file)
{
	if (!file)
		return;
	rights_release(file->rights);
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

/* Splits the text at Python's line ends: LF, CR LF, CR. Returns the number of lines. If `starts` is
 * not NULL, notes where each begins and ends it with a NUL. */
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

/* Puts the text that was read into the cache. 0 or -errno. */
static int take_text(struct source_cache *cache, struct source_file *file, struct source_text *text)
{
	size_t lines = split_lines(text->data, text->size, NULL);
	size_t bytes = text->size + 1 + lines * sizeof(uint32_t);

	file->refused = lines <= SOURCE_LINES_MAX && bytes + cache->bytes > SOURCE_CACHE_MAX;
	if (lines > SOURCE_LINES_MAX || file->refused)
		return -EFBIG;
	file->starts = malloc((lines + 1) * sizeof(uint32_t)); /* + 1: an empty file is no error */
	if (!file->starts)
		return -ENOMEM;
	text->data[text->size] = '\0';
	split_lines(text->data, text->size, file->starts);
	file->text = text->data;
	text->data = NULL;
	file->line_count = (int)lines;
	file->changed = text->changed;
	cache->bytes += bytes;
	return 0;
}

/* When to try again after an error that had nothing to do with the file. */
static uint64_t when_again(int err)
{
	switch (err) {
	case -EINTR: /* also the errors of examiner.h */
	case -EBUSY:
	case -ENOTCONN:
		return clock_ms(CLOCK_MONOTONIC);
	case -ETIME: /* another try would take as long */
		return clock_ms(CLOCK_MONOTONIC) + SLOW_AGAIN_MS;
	default:
		return 0;
	}
}

static enum source_state read_file(struct source_cache *cache, struct source_file *file,
				   const struct source_root *root)
{
	struct source_text text = {.state = SOURCE_UNREADABLE};
	int err;

	file->again_ms = 0;
	/* Without known rights, nothing may be read; what was recorded, was read with them. */
	if (!root->rights && !root->recorded)
		return SOURCE_UNREADABLE;
	file->refused = cache->bytes >= SOURCE_CACHE_MAX;
	if (file->refused)
		return SOURCE_UNREADABLE;
	err = cache->read(root, file->name, &text);
	file->again_ms = when_again(err);
	if (!err && text.state == SOURCE_OK)
		err = take_text(cache, file, &text);
	free(text.data);
	return err ? SOURCE_UNREADABLE : text.state;
}

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash % BUCKETS;
}

/* The whole view; zeros for what is unknown. */
static struct view view_of(const struct source_root *root)
{
	struct view view = {0};

	if (root->root_fd >= 0)
		view_of_fd(root->root_fd, &view.mount, &view.inode);
	if (root->cwd_fd >= 0)
		view_of_fd(root->cwd_fd, &view.cwd_mount, &view.cwd_inode);
	return view;
}

bool source_root_same(const struct source_root *one, const struct source_root *other)
{
	struct view a = view_of(one), b = view_of(other);

	/* Equal rights are kept once. Of what was recorded only numbers are known. */
	return one->rights == other->rights && one->recorded == other->recorded &&
	       one->recorded_cwd == other->recorded_cwd && !memcmp(&a, &b, sizeof(a));
}

void source_root_key(const struct source_root *root, bool absolute, struct source_view_key *key)
{
	struct view view = view_of(root);

	*key = (struct source_view_key){.mount = view.mount,
					.inode = view.inode,
					.cwd_mount = absolute ? 0 : view.cwd_mount,
					.cwd_inode = absolute ? 0 : view.cwd_inode,
					.rights = (uintptr_t)root->rights};
}

/* The part of the view on which the name depends. False: it is unknown. */
static bool view_for(const struct source_root *root, const char *name, struct view *view)
{
	*view = (struct view){0};
	if (root->recorded) {
		/* Mount IDs are smaller. */
		view->mount = UINT64_MAX;
		view->inode = name[0] == '/' ? root->recorded : root->recorded_cwd;
		return true;
	}
	if (root->root_fd < 0 || view_of_fd(root->root_fd, &view->mount, &view->inode) != 0)
		return false;
	return name[0] == '/' || root->cwd_fd < 0 ||
	       view_of_fd(root->cwd_fd, &view->cwd_mount, &view->cwd_inode) == 0;
}

/* The file from the cache; if it is not there, it is read. NULL: out of memory, or its view is
 * unknown. */
static struct source_file *get_file(struct source_cache *cache, const struct source_root *root,
				    const char *name)
{
	struct source_file **bucket = &cache->buckets[hash_name(name)], *file;
	struct view view;

	if (!view_for(root, name, &view))
		return NULL;
	for (file = *bucket; file; file = file->next) {
		if (memcmp(&file->view, &view, sizeof(view)) == 0 && file->rights == root->rights &&
		    strcmp(file->name, name) == 0)
			break;
	}
	if (file && file->again_ms && clock_ms(CLOCK_MONOTONIC) >= file->again_ms)
		file->state = read_file(cache, file, root);
	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	if (file)
		file->name = strdup(name);
	if (!file || !file->name) {
		file_free(file);
		return NULL;
	}
	file->view = view;
	file->rights = rights_hold(root->rights);
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
	if (root->start_wall > 0 && entry->changed > root->start_wall + START_SLACK_SEC)
		*state = SOURCE_CHANGED;
	if (line < 1 || line > entry->line_count)
		return NULL;
	return entry->text + entry->starts[line - 1];
}

char *source_text_of(struct source_cache *cache, const struct source_root *root, const char *file,
		     size_t *size)
{
	struct source_file *entry = is_no_file(file) ? NULL : get_file(cache, root, file);
	int count = entry ? entry->line_count : 0, i;
	size_t room = 1, at = 0;
	char *text;

	for (i = 0; i < count; i++)
		room += strlen(entry->text + entry->starts[i]) + 1;
	text = malloc(room);
	for (i = 0; i < count && text; i++) {
		const char *line = entry->text + entry->starts[i];
		size_t length = strlen(line);

		memcpy(text + at, line, length);
		at += length;
		text[at++] = '\n';
	}
	*size = at;
	return text;
}

int source_line_count(struct source_cache *cache, const struct source_root *root, const char *file)
{
	struct source_file *entry = is_no_file(file) ? NULL : get_file(cache, root, file);

	return entry ? entry->line_count : 0;
}

bool source_was_refused(struct source_cache *cache, const struct source_root *root,
			const char *file)
{
	struct source_file *entry = is_no_file(file) ? NULL : get_file(cache, root, file);

	return entry && entry->refused;
}

double source_changed(struct source_cache *cache, const struct source_root *root, const char *file)
{
	struct source_file *entry = is_no_file(file) ? NULL : get_file(cache, root, file);

	return entry && entry->state == SOURCE_OK ? entry->changed : 0;
}
