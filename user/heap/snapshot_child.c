/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The child: it reads maps and page tables, makes the copy, writes the records of the file, and
 * later reads single pages.
 *
 * The memory for the copy is populated before a target is paused, as this takes most of the time. A
 * page that has vanished since the page tables were read counts as resident, and is not copied.
 */
#include "heap/snapshot_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

/* --- the file --- */

/* Makes the file long enough for `pages` copied pages, and maps it. */
static int file_reserve(struct capture *c, uint64_t pages)
{
	size_t bytes = SNAPSHOT_DATA + (pages << c->page_shift);
	void *file;

	if (bytes <= c->file_bytes)
		return 0;
	if (ftruncate(c->memory_fd, (off_t)bytes))
		return -errno;
	file = c->file ? mremap(c->file, c->file_bytes, bytes, MREMAP_MAYMOVE)
		       : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->memory_fd, 0);
	if (file == MAP_FAILED)
		return -errno;
	c->file = file;
	c->file_bytes = bytes;
	c->progress = &((struct snapshot_header *)file)->progress;
	return 0;
}

static uint64_t pages_to_copy(const struct capture *c)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < c->run_count; i++) {
		if (c->runs[i].state & PAGE_COPIED)
			pages += c->runs[i].pages;
	}
	return pages;
}

/* --- what is written behind the data --- */

struct writer {
	int fd;
	uint64_t at;
	int err;
};

static void put(struct writer *w, const void *data, size_t bytes)
{
	const char *from = data;
	size_t done = 0;

	while (!w->err && done < bytes) {
		ssize_t n = pwrite(w->fd, from + done, bytes - done, (off_t)(w->at + done));

		if (n < 0 && errno != EINTR)
			w->err = -errno;
		if (n > 0)
			done += (size_t)n;
	}
	w->at += (bytes + 7) & ~7ull;
}

static void put_threads(struct writer *w, const struct capture *c)
{
	for (size_t i = 0; i < c->thread_count; i++) {
		struct snapshot_file_thread thread = {c->threads[i].tid,
						      c->threads[i].stack_pointer};

		put(w, &thread, sizeof(thread));
	}
}

static int write_file(struct capture *c, double paused_ms)
{
	struct snapshot_header header = {
		.magic = SNAPSHOT_MAGIC_FIELD,
		.page_shift = c->page_shift,
		.later = c->later,
		.pid = c->pid,
		.paused_ms = paused_ms,
		.regions = c->region_count,
		.mappings = c->mapping_count,
		.runs = c->copied_count,
		.threads = c->thread_count,
		.names_bytes = c->names_bytes,
		.data_pages = c->data_pages,
		.meta_offset = SNAPSHOT_DATA + (c->data_pages << c->page_shift),
	};
	struct writer w = {.fd = c->memory_fd, .at = header.meta_offset};

	put(&w, c->regions, c->region_count * sizeof(*c->regions));
	put(&w, c->mappings, c->mapping_count * sizeof(*c->mappings));
	put(&w, c->copied, c->copied_count * sizeof(*c->copied));
	put_threads(&w, c);
	put(&w, c->names, c->names_bytes);
	if (!w.err && ftruncate(c->memory_fd, (off_t)w.at))
		w.err = -errno;
	w.at = 0;
	put(&w, &header, sizeof(header));
	return w.err;
}

/* --- all of it --- */

static int look(struct capture *c)
{
	int err = capture_maps(c);

	return err ? err : capture_pages(c);
}

static int check_limit(const struct capture *c, const struct snapshot_request *request)
{
	uint64_t pages = pages_to_copy(c);

	if (pages > SNAPSHOT_PAGES_MAX)
		return -EFBIG;
	if (request->copy_limit_bytes && pages << c->page_shift > request->copy_limit_bytes)
		return -EFBIG;
	return 0;
}

/* Makes room for the pages that there are now, and for some that may come until the copy begins. A
 * running target changes while it is copied: the shorter the copy takes, the less of it is torn. */
static int prepare_copy(struct capture *c)
{
	uint64_t pages = pages_to_copy(c);
	int err = file_reserve(c, pages + pages / 256 + 256);

	if (!err)
		capture_populate(c);
	return err;
}

/* Copies all pages: at one moment if the target is paused, else over some milliseconds. */
static int copy_now(struct capture *c, const struct snapshot_request *request)
{
	int err = look(c);

	if (!err)
		err = check_limit(c, request);
	if (!err)
		err = file_reserve(c, pages_to_copy(c));
	if (!err)
		err = capture_copy(c);
	return err ? err : capture_threads(c);
}

static int copy_paused(struct capture *c, const struct snapshot_request *request, double *paused_ms)
{
	double begin;
	int err;

	capture_hurry(c);
	begin = clock_seconds(CLOCK_MONOTONIC);
	err = capture_pause(c);
	if (!err) {
		err = copy_now(c, request);
		capture_resume(c);
		*paused_ms = 1e3 * (clock_seconds(CLOCK_MONOTONIC) - begin);
	}
	capture_calm(c);
	return err;
}

/* Copies nothing. Only reserves the file's room, which takes no memory. */
static int copy_later(struct capture *c)
{
	uint64_t pages = snapshot_later_pages(c->page_shift) + pages_to_copy(c);
	int err = pages > SNAPSHOT_PAGES_MAX ? -EFBIG : file_reserve(c, pages);

	c->copied_count = 0;
	for (size_t i = 0; i < c->run_count && !err; i++) {
		const struct snapshot_run *run = &c->runs[i];
		uint32_t state = run->state;

		if (state & PAGE_COPIED)
			state = (state & ~(uint32_t)PAGE_COPIED) | RUN_READABLE;
		err = capture_add_copied(c, run->start, run->pages, state);
	}
	c->data_pages = pages;
	return err ? err : capture_threads(c);
}

static int take(struct capture *c, const struct snapshot_request *request)
{
	double paused_ms = -1;
	int err = look(c);

	c->later = request->later;
	if (!err && c->later) {
		err = copy_later(c);
	} else if (!err) {
		err = check_limit(c, request);
		if (!err)
			err = prepare_copy(c);
		if (!err)
			err = request->pause ? copy_paused(c, request, &paused_ms)
					     : copy_now(c, request);
	}
	/* Reads are by PID: if it has another image now, they may have been of that. */
	if (!err && capture_is_gone(c))
		err = -ESRCH;
	return err ? err : write_file(c, paused_ms);
}

static int open_proc(struct capture *c)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)c->pid);
	c->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (c->pagemap < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)c->pid);
	c->task = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->task < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return 0;
}

static int answer_page(struct capture *c, uint64_t addr, int socket)
{
	struct {
		int32_t err, reserved;
		unsigned char page[1 << 16];
	} answer;
	size_t bytes = offsetof(typeof(answer), page);

	answer.err = capture_read_page(c, addr >> c->page_shift << c->page_shift, answer.page);
	answer.reserved = 0;
	if (!answer.err)
		bytes += (size_t)1 << c->page_shift;
	return send(socket, &answer, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -EPIPE;
}

/* --- orders --- */

/* Fills `remote` with what is left of the order. Ranges before `first` are done, and `done` units
 * of that one. Returns how many ranges are left. */
static unsigned ranges_left(const struct snapshot_order *order, unsigned first, uint64_t done,
			    struct iovec *remote)
{
	unsigned count = 0;

	for (unsigned i = first; i < order->count; i++, done = 0) {
		const struct snapshot_order_range *range = &order->ranges[i];

		remote[count++] =
			(struct iovec){(void *)(uintptr_t)(range->addr + done * order->unit_bytes),
				       (range->units - done) * order->unit_bytes};
	}
	return count;
}

static bool order_is_sound(const struct capture *c, const struct snapshot_order *order,
			   uint64_t *units)
{
	*units = 0;
	if (!order->unit_bytes || order->count > ORDER_RANGES || order->offset > c->file_bytes)
		return false;
	for (unsigned i = 0; i < order->count; i++) {
		if (order->ranges[i].units > ORDER_UNITS - *units || !order->ranges[i].units)
			return false;
		*units += order->ranges[i].units;
	}
	return *units * order->unit_bytes <= c->file_bytes - order->offset;
}

/* Carries out an order. A unit that can't be read is left out: its bit in `copied` stays 0. 0 or
 * -errno. */
static int carry_out(struct capture *c, const struct snapshot_order *order, uint64_t units,
		     unsigned char *copied)
{
	struct iovec remote[ORDER_RANGES], local;
	uint64_t unit = 0, done = 0;
	unsigned range = 0;

	while (unit < units) {
		unsigned count = ranges_left(order, range, done, remote);
		uint64_t read;
		ssize_t n;

		local.iov_base = c->file + order->offset + unit * order->unit_bytes;
		local.iov_len = (units - unit) * order->unit_bytes;
		n = process_vm_readv(c->pid, &local, 1, remote, count, 0);
		capture_progress(c);
		if (n < 0 && errno != EFAULT)
			return -errno;
		read = n < 0 ? 0 : (uint64_t)n / order->unit_bytes;
		for (uint64_t i = unit; i < unit + read; i++)
			copied[i / 8] |= (unsigned char)(1 << (i & 7));
		/* Skips the unit behind these, which can't be read. */
		unit += read + 1;
		done += read + 1;
		while (range < order->count && done >= order->ranges[range].units)
			done -= order->ranges[range++].units;
	}
	return capture_is_gone(c) ? -ESRCH : 0;
}

static int answer_order(struct capture *c, const struct snapshot_order *order, int socket)
{
	struct snapshot_answer answer = {.err = -EINVAL};
	uint64_t units;

	if (order_is_sound(c, order, &units))
		answer.err = carry_out(c, order, units, answer.copied);
	return send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) ? 0 : -EPIPE;
}

void snapshot_child_serve(const struct snapshot_request *request, int memory_fd, int socket)
{
	static struct snapshot_order order;
	struct capture c = {
		.pid = request->pid,
		.page_shift = (unsigned)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE)),
		.pagemap = -1,
		.task = -1,
		.memory_fd = memory_fd,
	};
	int32_t err = file_reserve(&c, 0);
	uint64_t addr;
	ssize_t n;

	if (!err)
		err = open_proc(&c);
	if (!err)
		err = take(&c, request);
	if (send(socket, &err, sizeof(err), MSG_NOSIGNAL) != sizeof(err) || err)
		return;
	while ((n = recv(socket, &order, sizeof(order), 0)) > 0) {
		if (n == sizeof(addr)) {
			memcpy(&addr, &order, sizeof(addr));
			err = answer_page(&c, addr, socket);
		} else {
			err = n == sizeof(order) ? answer_order(&c, &order, socket) : -EINVAL;
		}
		if (err)
			return;
	}
}
