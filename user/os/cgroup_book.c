/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/cgroup_book.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "os/cgroup_memory.h"

#define NAME_MOST 4096

struct cgroup_book_entry {
	char *path; /* that of the group */
	unsigned number;
	UT_hash_handle hh;
};

struct cgroup_book *cgroup_book_new(void)
{
	struct cgroup_book *book = calloc(1, sizeof(*book));

	if (book)
		book->batch = cgroup_stat_batch();
	return book;
}

void cgroup_book_free(struct cgroup_book *book)
{
	struct cgroup_book_entry *entry, *next;

	if (!book)
		return;
	HASH_ITER(hh, book->entries, entry, next)
	{
		HASH_DEL(book->entries, entry);
		free(entry);
	}
	for (size_t i = 0; i < book->count; i++)
		free(book->groups[i].path);
	free(book->groups);
	free(book);
}

/* The new group, or NULL: out of memory. */
static struct cgroup_book_group *add(struct cgroup_book *book, const char *name)
{
	struct cgroup_book_entry *entry = calloc(1, sizeof(*entry));
	char *path = strdup(name);

	if (entry && path && ARRAY_HAS_ROOM(book->groups, book->count, book->room)) {
		entry->path = path;
		entry->number = (unsigned)book->count + 1;
		HASH_ADD_KEYPTR(hh, book->entries, path, strlen(path), entry);
		if (entry->hh.tbl) {
			book->groups[book->count] = (struct cgroup_book_group){.path = path};
			return &book->groups[book->count++];
		}
	}
	free(entry);
	free(path);
	return NULL;
}

/* True if there is room for one more group of that user. There are few groups, and this is asked
 * only of a new one. */
static bool has_room(const struct cgroup_book *book, uid_t owner)
{
	size_t users = 0, own = 0;

	for (size_t i = 0; i < book->count; i++) {
		users += book->groups[i].start.owner != 0;
		own += book->groups[i].start.owner == owner;
	}
	return book->count < CGROUP_BOOK_MOST &&
	       (!owner || (users < CGROUP_BOOK_USERS && own < CGROUP_BOOK_USER));
}

unsigned cgroup_book_see_at(struct cgroup_book *book, const char *root, const char *path,
			    bool began)
{
	struct cgroup_book_group *group;
	struct cgroup_book_entry *entry;
	struct cgroup_stat found;
	char name[NAME_MOST];

	if (!*path || strlen(path) >= sizeof(name))
		return 0;
	strcpy(name, path);
	cgroup_stat_owner_at(root, name);
	HASH_FIND_STR(book->entries, name, entry);
	if (entry)
		return entry->number;
	cgroup_stat_find_at(root, name, &found);
	if (!has_room(book, found.owner))
		return CGROUP_BOOK_BEYOND;
	group = add(book, name);
	if (!group)
		return 0;
	cgroup_stat_read_at(root, name, &group->start);
	group->end = group->start;
	group->began = began;
	return (unsigned)book->count;
}

unsigned cgroup_book_see(struct cgroup_book *book, pid_t pid, const char *path, bool began)
{
	char name[NAME_MOST];

	cgroup_memory_name(pid, path, name, sizeof(name));
	return cgroup_book_see_at(book, "", name, began);
}

/* Of a process that is ending, version 1 says that it is in the topmost group: see tracker_words.c.
 * A group that was removed has no figures. */
static bool is_told(const char *name)
{
	static const char gone[] = " (deleted)";
	size_t length = strlen(name), ending = sizeof(gone) - 1;

	return length && strcmp(name, CGROUP_MEMORY_V1 "/") != 0 &&
	       (length < ending || strcmp(name + length - ending, gone) != 0);
}

unsigned cgroup_book_see_now_at(struct cgroup_book *book, const char *root, pid_t pid)
{
	char name[NAME_MOST];

	cgroup_memory_now_at(root, pid, name, sizeof(name));
	return is_told(name) ? cgroup_book_see_at(book, root, name, true) : 0;
}

unsigned cgroup_book_see_now(struct cgroup_book *book, pid_t pid)
{
	return cgroup_book_see_now_at(book, "", pid);
}

bool cgroup_book_has_left_at(const struct cgroup_book *book, const char *root, pid_t pid,
			     unsigned number)
{
	char name[NAME_MOST];

	if (!number || number > book->count)
		return false;
	cgroup_memory_now_at(root, pid, name, sizeof(name));
	if (!*name)
		return false;
	cgroup_stat_owner_at(root, name);
	return strcmp(name, book->groups[number - 1].path) != 0;
}

bool cgroup_book_has_left(const struct cgroup_book *book, pid_t pid, unsigned number)
{
	return cgroup_book_has_left_at(book, "", pid, number);
}

void cgroup_book_end_at(struct cgroup_book *book, const char *root)
{
	for (size_t i = 0; i < book->count; i++)
		cgroup_stat_count_at(root, book->groups[i].path, &book->groups[i].end);
	book->ended = true;
}

void cgroup_book_end(struct cgroup_book *book)
{
	cgroup_book_end_at(book, "");
}
