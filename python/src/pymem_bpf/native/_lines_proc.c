/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RSS of this process and of its descendants from /proc: for line profiles without a helper.
 *
 * From Linux 6.16 on (commit 82241a83cd15, which some older kernels took over) statm adds up all
 * parts of the kernel's counters, and is right to the page. Before, it lacks what is held back: up
 * to 6.1 for each thread, later for each CPU. Whether it lacks anything is found by touching some
 * pages (lines_resident_steps()).
 *
 * The file is kept open while it is read at each event, since opening it costs three times as much
 * as reading it. A program may close a descriptor that it did not open, and get the number for a
 * file of its own. So each reading checks that it is still the same file. After a fork it would be
 * the parent's.
 */
/* First, as it makes statx() available. */
#include "_lines.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DESCENDANTS 4096

struct pids {
	int *pids;
	size_t count, room;
};

/* What tells a file from others. */
struct identity {
	uint64_t inode, device;
};

/* statm of this process. */
static struct {
	int fd; /* -1: not open */
	uint64_t forks;
	struct identity file;
} own = {.fd = -1};

#ifdef __GLIBC__
/* With fstat(2), objects built with glibc 2.33 would not load on older ones. */
static int identify(int fd, struct identity *file)
{
	struct statx found;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO, &found))
		return -1;
	file->inode = found.stx_ino;
	file->device = (uint64_t)found.stx_dev_major << 32 | found.stx_dev_minor;
	return 0;
}
#else
/* musl has statx(2) since 1.2.5 only. */
static int identify(int fd, struct identity *file)
{
	struct stat found;

	if (fstat(fd, &found))
		return -1;
	file->inode = found.st_ino;
	file->device = found.st_dev;
	return 0;
}
#endif

static int open_file(const char *path)
{
	int fd;

	do
		fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* The second number of a statm file; -1: it can't be read. */
static int64_t read_resident(int fd)
{
	char text[192], *rest;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return -1;
	text[n] = 0;
	strtoll(text, &rest, 10);
	return *rest == ' ' ? strtoll(rest, NULL, 10) : -1;
}

/* Resident pages of another process; -1: they can't be read. */
static int64_t resident_of(int pid)
{
	char path[32];
	int64_t pages;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	fd = open_file(path);
	if (fd < 0)
		return -1;
	pages = read_resident(fd);
	close(fd);
	return pages;
}

static bool own_is_open(void)
{
	struct identity file;

	return own.fd >= 0 && !identify(own.fd, &file) && file.inode == own.file.inode &&
	       file.device == own.file.device;
}

void lines_resident_end(void)
{
	if (own_is_open())
		close(own.fd);
	own.fd = -1;
}

static int own_open(void)
{
	if (own.forks != lines_forks())
		lines_resident_end();
	else if (own_is_open())
		return 0;
	own.forks = lines_forks();
	own.fd = open_file("/proc/self/statm");
	if (own.fd < 0)
		return -1;
	if (!identify(own.fd, &own.file))
		return 0;
	close(own.fd);
	own.fd = -1;
	return -1;
}

#if LINES_FREE_THREADED
/* Other threads may read `own` at this moment. */
int64_t lines_resident(void)
{
	int64_t pages;
	int fd;

	if (own.forks == lines_forks() && own_is_open())
		return read_resident(own.fd);
	lines_event_needs_mending();
	fd = open_file("/proc/self/statm");
	if (fd < 0)
		return -1;
	pages = read_resident(fd);
	close(fd);
	return pages;
}
#else
int64_t lines_resident(void)
{
	return own_open() ? -1 : read_resident(own.fd);
}
#endif

void lines_resident_begin(void)
{
	/* If it can't be opened now, each reading tries again. */
	(void)own_open();
}

void lines_resident_mend(void)
{
	(void)own_open();
}

static int add_pid(struct pids *list, int pid)
{
	size_t room = list->room ? list->room * 2 : 64;
	int *pids;

	if (list->count == MAX_DESCENDANTS)
		return -1;
	if (list->count == list->room) {
		pids = realloc(list->pids, room * sizeof(*pids));
		if (!pids)
			return -1;
		list->pids = pids;
		list->room = room;
	}
	list->pids[list->count++] = pid;
	return 0;
}

/* Adds the children of one thread. One that has ended has none. */
static int add_children_of_thread(struct pids *list, int pid, const char *tid)
{
	int child, err = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -1 : 0;
	while (!err && fscanf(f, "%d", &child) == 1)
		err = add_pid(list, child);
	fclose(f);
	return err;
}

static int add_children(struct pids *list, int pid)
{
	struct dirent *entry;
	char path[32];
	int err = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -1 : 0;
	while (!err && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			err = add_children_of_thread(list, pid, entry->d_name);
	closedir(tasks);
	return err;
}

bool lines_can_list_descendants(void)
{
	return !access("/proc/thread-self/children", R_OK);
}

int64_t lines_descendants(void)
{
	int64_t sum = 0, pages;
	struct pids list = {0};
	size_t i;
	int err;

	err = add_children(&list, getpid());
	for (i = 0; !err && i < list.count; i++) {
		pages = resident_of(list.pids[i]);
		sum += pages > 0 ? pages : 0; /* it may have ended */
		err = add_children(&list, list.pids[i]);
	}
	free(list.pids);
	return err ? -1 : sum;
}

int lines_resident_steps(void)
{
	long page = sysconf(_SC_PAGESIZE);
	size_t size = RESIDENT_STEPS * page;
	volatile char *memory;
	int64_t before, now;
	int i, steps = 0;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	/* So that one page comes at a time. A kernel without huge pages refuses this, and does not
	 * need it. */
	(void)madvise((void *)memory, size, MADV_NOHUGEPAGE);
	before = lines_resident();
	for (i = 0; i < RESIDENT_STEPS; i++) {
		memory[i * page] = 1;
		now = lines_resident();
		steps += now == before + 1;
		before = now;
	}
	munmap((void *)memory, size);
	return steps;
}
