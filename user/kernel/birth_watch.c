/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Debug registers on the sizes of containers, and on the places that lead to them.
 *
 * A breakpoint of perf_event_open(2) belongs to one thread. Threads that this one starts inherit
 * it, with its BPF program (kernel/events/core.c, inherit_event()); each other thread that exists
 * gets its own. Some hypervisors let the registers be set and raise no trap, so that is tried
 * first.
 */
#include <bpf/libbpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/birth_private.h"

#define TRIES 8 /* writes to a variable of our own */

/* perf_event_attr.inherit_thread, from 5.13 on. Older headers have a reserved bit there. */
#define ATTR_INHERIT_THREAD (1ull << 35)

static int open_breakpoint(pid_t tid, uint64_t addr, bool inherit)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = addr,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.sample_period = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.inherit = inherit,
	};
	uint64_t *flags =
		(uint64_t *)((char *)&attr + offsetof(struct perf_event_attr, read_format) + 8);
	int fd;

	if (inherit)
		*flags |= ATTR_INHERIT_THREAD;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 && errno == EINVAL && inherit) {
		*flags &= ~ATTR_INHERIT_THREAD;
		fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

int birth_probes_try_watch(void)
{
	static volatile uint64_t variable;
	uint64_t traps = 0;
	int fd = open_breakpoint(0, (uint64_t)(uintptr_t)&variable, false);

	if (fd < 0)
		return fd == -ENODEV || fd == -EOPNOTSUPP ? -ENOTSUP : fd;
	for (unsigned i = 0; i < TRIES; i++)
		variable = i;
	if (read(fd, &traps, sizeof(traps)) != sizeof(traps))
		traps = 0;
	close(fd);
	return traps == TRIES ? 0 : -ENOTSUP;
}

static int watch_thread(struct birth_probes *probes, pid_t tid, size_t number)
{
	const struct birth_watch *watch = &probes->watches[number];
	struct bpf_link *link;
	int fd;

	if (!watch->object)
		return 0;
	if (!ARRAY_HAS_ROOM(probes->watch_links, probes->watch_count, probes->watch_room) ||
	    !ARRAY_HAS_ROOM(probes->watch_fds, probes->watch_count, probes->watch_fd_room))
		return -ENOMEM;
	fd = open_breakpoint(tid, watch->by_slot ? watch->slot : watch->size_addr, true);
	if (fd < 0)
		return fd;
	/* The link owns the descriptor. */
	link = bpf_program__attach_perf_event(probes->on_write, fd);
	if (!link) {
		int err = -errno;

		close(fd);
		return err;
	}
	probes->watch_fds[probes->watch_count] = fd;
	probes->watch_links[probes->watch_count++] = link;
	return 0;
}

static int watch_all(struct birth_probes *probes, pid_t tid, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int err = watch_thread(probes, tid, i);

		if (err)
			return err;
	}
	return 0;
}

/* A thread that ends meanwhile is left out, and is no error. */
static int watch_threads(struct birth_probes *probes, size_t count)
{
	char path[32];
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)probes->pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		err = watch_all(probes, (pid_t)atoi(entry->d_name), count);
		if (err == -ESRCH)
			err = 0;
	}
	closedir(dir);
	if (!err && !probes->watch_count)
		return -ESRCH;
	return err;
}

int birth_probes_watch(struct birth_probes *probes, const struct birth_watch *watches, size_t count)
{
	libbpf_print_fn_t print;
	int err;

	if (count > BIRTH_WATCHES)
		return -E2BIG;
	memset(probes->watches, 0, BIRTH_WATCHES * sizeof(*watches));
	for (size_t i = 0; i < count; i++) {
		probes->watches[i] = watches[i];
		probes->watches[i].ended = 0;
	}
	print = libbpf_set_print(NULL);
	err = watch_threads(probes, count);
	libbpf_set_print(print);
	if (err)
		birth_probes_unwatch(probes);
	return err;
}

bool birth_probes_watch_ended(const struct birth_probes *probes, size_t number)
{
	return number < BIRTH_WATCHES && probes->watches[number].ended;
}

/* An inherited event is switched together with the one that it was inherited from. */
void birth_probes_watch_on(struct birth_probes *probes, bool on)
{
	for (size_t i = 0; i < probes->watch_count; i++)
		ioctl(probes->watch_fds[i], on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
}

void birth_probes_unwatch(struct birth_probes *probes)
{
	while (probes->watch_count)
		bpf_link__destroy(probes->watch_links[--probes->watch_count]);
	free(probes->watch_links);
	free(probes->watch_fds);
	probes->watch_links = NULL;
	probes->watch_fds = NULL;
	probes->watch_room = probes->watch_fd_room = 0;
}
