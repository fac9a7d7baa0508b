/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the kernel splits and merges mappings as it likes. madvise() and guard pages cut a heap
 * into pieces, at which a walk of the heap would end. So adjacent mappings without a file and with
 * the same rights are one region. The kernel's own bounds are kept, too. */
#include "heap/snapshot_child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "os/proc.h"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Kind of a mapping, by the names that the kernel gives (fs/proc/task_mmu.c, get_vma_name()).
 * "[anon:…]" is a program's own name for it (PR_SET_VMA). */
static enum region_kind kind_of(const struct proc_mapping *m)
{
	/* Huge pages of hugetlbfs are in no RSS: HugetlbPages of /proc/PID/status counts them. */
	if (begins(m->path, "/anon_hugepage"))
		return REGION_SPECIAL;
	if (m->perms[3] == 's')
		return REGION_SHARED;
	if (begins(m->path, "[anon:") || strcmp(m->path, "/dev/zero") == 0)
		return REGION_ANONYMOUS;
	if (m->inode)
		return REGION_FILE;
	if (strcmp(m->path, "[heap]") == 0)
		return REGION_HEAP;
	if (strcmp(m->path, "[stack]") == 0)
		return REGION_STACK;
	if (m->path[0] == '[')
		return REGION_SPECIAL;
	return m->path[0] ? REGION_FILE : REGION_ANONYMOUS;
}

static bool has_name_of_last(const struct capture *c, const char *name)
{
	return c->region_count &&
	       strcmp(c->names + c->regions[c->region_count - 1].name, name) == 0;
}

/* Keeps a name and sets *offset to where it is; to that of "" if there are too many names. 0 or
 * -ENOMEM. */
static int keep_name(struct capture *c, const char *name, uint64_t *offset)
{
	size_t length = strlen(name) + 1, room = 2 * (c->names_room + length);
	char *grown;

	*offset = 0;
	if (has_name_of_last(c, name)) {
		*offset = c->regions[c->region_count - 1].name;
		return 0;
	}
	if (c->names_bytes + length > SNAPSHOT_NAMES_MAX)
		return 0;
	if (c->names_bytes + length > c->names_room) {
		grown = realloc(c->names, room);
		if (!grown)
			return -ENOMEM;
		c->names = grown;
		c->names_room = room;
	}
	memcpy(c->names + c->names_bytes, name, length);
	*offset = c->names_bytes;
	c->names_bytes += length;
	return 0;
}

static bool merges(const struct snapshot_file_region *last, const struct snapshot_file_region *next)
{
	return last->end == next->start && last->kind == next->kind &&
	       last->rights == next->rights &&
	       (next->kind == REGION_ANONYMOUS || next->kind == REGION_HEAP);
}

static int keep_file(struct capture *c, const struct proc_mapping *m)
{
	struct capture_file file = {.mapping = *m};
	int err = keep_name(c, m->path, &file.name);

	if (err)
		return err;
	if (!ARRAY_HAS_ROOM(c->files, c->file_count, c->file_room))
		return -ENOMEM;
	file.mapping.path = NULL;
	c->files[c->file_count++] = file;
	return 0;
}

static int add_region(struct capture *c, const struct proc_mapping *m)
{
	struct snapshot_file_region region = {
		.start = m->start,
		.end = m->end,
		.kind = kind_of(m),
		.rights = (m->perms[0] == 'r') << 2 | (m->perms[1] == 'w') << 1 |
			  (m->perms[2] == 'x'),
	};

	int err;

	if (c->region_count && merges(&c->regions[c->region_count - 1], &region)) {
		c->regions[c->region_count - 1].end = region.end;
		return 0;
	}
	if (!ARRAY_HAS_ROOM(c->regions, c->region_count, c->region_room))
		return -ENOMEM;
	err = keep_name(c, m->path, &region.name);
	if (!err)
		c->regions[c->region_count++] = region;
	if (!err && region.kind == REGION_FILE && m->perms[0] == 'r')
		err = keep_file(c, m);
	return err;
}

static int add_mapping(const struct proc_mapping *m, void *arg)
{
	struct capture *c = arg;

	capture_progress(c);
	if (m->start >> 63) /* [vsyscall] */
		return 0;
	if (c->mapping_count == SNAPSHOT_REGIONS_MAX)
		return -E2BIG;
	if (!ARRAY_HAS_ROOM(c->mappings, c->mapping_count, c->mapping_room))
		return -ENOMEM;
	/* A mapping may have grown downward since the line before was written. */
	if (c->mapping_count && c->mappings[c->mapping_count - 1].end > m->start)
		return 0;
	c->mappings[c->mapping_count++] = (struct snapshot_file_mapping){m->start, m->end};
	return add_region(c, m);
}

int capture_maps(struct capture *c)
{
	c->region_count = c->mapping_count = c->file_count = 0;
	if (!c->names) {
		c->names = calloc(1, 4096);
		c->names_room = 4096;
	}
	if (!c->names)
		return -ENOMEM;
	c->names_bytes = 1; /* "" */
	return proc_maps_each(c->pid, add_mapping, c);
}

/* --- single pages --- */

static const struct snapshot_run *run_of(const struct capture *c, uint64_t addr)
{
	size_t low = 0, high = c->copied_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct snapshot_run *run = &c->copied[middle];

		if (run->start + ((uint64_t)run->pages << c->page_shift) <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->copied_count && c->copied[low].start <= addr ? &c->copied[low] : NULL;
}

static int read_memory(struct capture *c, uint64_t addr, void *page)
{
	ssize_t bytes = 1 << c->page_shift, n = proc_read_memory(c->pid, addr, page, (size_t)bytes);

	return n == bytes ? 0 : n < 0 ? (int)n : -EFAULT;
}

static int read_file(struct capture *c, struct capture_file *file, uint64_t addr, void *page)
{
	size_t bytes = (size_t)1 << c->page_shift;
	struct proc_mapping *m = &file->mapping;
	ssize_t n;
	int fd;

	m->path = c->names + file->name;
	fd = proc_open_mapping(c->pid, m);
	if (fd < 0)
		return fd;
	n = pread(fd, page, bytes, (off_t)(m->offset + (addr - m->start)));
	if (n < 0)
		n = -errno;
	else /* the last page of a file */
		memset((char *)page + n, 0, bytes - (size_t)n);
	close(fd);
	return n < 0 ? (int)n : n == 0 ? -EFAULT : 0;
}

int capture_read_page(struct capture *c, uint64_t addr, void *page)
{
	const struct snapshot_run *run = run_of(c, addr);

	if (capture_is_gone(c))
		return -ESRCH;
	if (run && run->state & PAGE_RESIDENT)
		return read_memory(c, addr, page);
	for (size_t i = 0; !run && i < c->file_count; i++) {
		const struct proc_mapping *m = &c->files[i].mapping;

		if (addr >= m->start && addr < m->end)
			return read_file(c, &c->files[i], addr, page);
	}
	return -EFAULT;
}
