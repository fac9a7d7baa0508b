/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: have a child read a target, and wait for it only as long as it makes progress.
 *
 * The child counts in the header of the file that it writes. If it sleeps and does not count, the
 * target holds it up: it is killed. If it only gets no CPU, it is waited for longer.
 */
#include "heap/snapshot.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "heap/snapshot_private.h"
#include "os/proc.h"
#include "python/examiner.h"

#define SLICE_MS 50

struct snapshot_child {
	pid_t pid; /* <= 0: there is none */
	int pidfd;
	int socket;
	int memory_fd;			      /* until the snapshot is taken */
	const struct snapshot_header *header; /* shared with it */
	bool (*interrupted)(void);
	bool ordered;  /* an order is under way */
	bool answered; /* and its answer is here */
	struct snapshot_answer answer;
};

void snapshot_child_end(struct snapshot_child *child)
{
	if (!child)
		return;
	if (child->socket >= 0)
		close(child->socket);
	if (child->pid > 0)
		snapshot_child_kill(child->pid, child->pidfd);
	if (child->header)
		munmap((void *)child->header, sizeof(*child->header));
	if (child->memory_fd >= 0)
		close(child->memory_fd);
	free(child);
}

/* --- waiting --- */

struct waiting {
	uint64_t progress,
		moved_ms; /* the child's count when it was last seen to change, and when that was */
	uint64_t ran_ms;  /* when the child was last seen to run or to be runnable */
};

static bool is_held_up(const struct snapshot_child *child, struct waiting *w)
{
	uint64_t progress = __atomic_load_n(&child->header->progress, __ATOMIC_RELAXED);
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	struct proc_info info;

	if (progress != w->progress) {
		*w = (struct waiting){progress, now, now};
		return false;
	}
	if (proc_stat_read(child->pid, &info) || info.state == 'R')
		w->ran_ms = now;
	return now - w->ran_ms > EXAMINER_ASLEEP_MS || now - w->moved_ms > EXAMINER_STARVED_MS;
}

/* Waits until the child has answered. 0, -ETIME, -EINTR. */
static int await_answer(struct snapshot_child *child)
{
	struct pollfd p = {.fd = child->socket, .events = POLLIN};
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	struct waiting w = {.moved_ms = now, .ran_ms = now};

	for (;;) {
		if (poll(&p, 1, SLICE_MS) > 0)
			return 0;
		if (child->interrupted && child->interrupted())
			return -EINTR;
		if (is_held_up(child, &w))
			return -ETIME;
	}
}

/* Closes the socket: a late answer would be taken for the next one. Returns `err`. */
static int give_up(struct snapshot_child *child, int err)
{
	close(child->socket);
	child->socket = -1;
	return err;
}

static int send_to(struct snapshot_child *child, const void *message, size_t bytes)
{
	if (!child || child->socket < 0)
		return -ENOTCONN;
	return send(child->socket, message, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -ENOTCONN;
}

/* Takes the answer to an order that is under way, so that the next answer is that of the next
 * question. */
static int receive_answer(struct snapshot_child *child)
{
	int err;

	if (!child->ordered || child->answered)
		return 0;
	err = await_answer(child);
	if (!err &&
	    recv(child->socket, &child->answer, sizeof(child->answer), 0) != sizeof(child->answer))
		err = -ENOTCONN;
	if (err)
		return give_up(child, err);
	child->answered = true;
	return 0;
}

int snapshot_child_order(struct snapshot_child *child, const struct snapshot_order *order)
{
	int err = child && child->ordered ? -EBUSY : send_to(child, order, sizeof(*order));

	if (!err) {
		child->ordered = true;
		child->answered = false;
	}
	return err;
}

int snapshot_child_answer(struct snapshot_child *child, struct snapshot_answer *answer)
{
	int err;

	if (!child || child->socket < 0 || !child->ordered)
		return -ENOTCONN;
	err = receive_answer(child);
	child->ordered = false;
	if (err)
		return err;
	*answer = child->answer;
	return answer->err;
}

int snapshot_child_read(struct snapshot_child *child, uint64_t addr, void *page, size_t bytes)
{
	int32_t head[2];
	struct iovec parts[2] = {{head, sizeof(head)}, {page, bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;
	int err;

	if (!child || child->socket < 0)
		return -ENOTCONN;
	err = receive_answer(child);
	if (!err)
		err = send_to(child, &addr, sizeof(addr));
	if (err)
		return err;
	err = await_answer(child);
	n = err ? 0 : recvmsg(child->socket, &message, 0);
	if (!err && n < (ssize_t)sizeof(head))
		err = -ENOTCONN;
	if (err)
		return give_up(child, err);
	if (head[0])
		return head[0];
	return n == (ssize_t)(sizeof(head) + bytes) ? 0 : -ENOTCONN;
}

/* --- taking --- */

static struct snapshot_child *new_child(const struct snapshot_options *options)
{
	struct snapshot_child *child = calloc(1, sizeof(*child));
	void *header;

	if (!child)
		return NULL;
	child->socket = -1;
	child->interrupted = options->interrupted;
	child->memory_fd = (int)syscall(SYS_memfd_create, "pymem-snapshot", 1 /* MFD_CLOEXEC */);
	if (child->memory_fd >= 0 && !ftruncate(child->memory_fd, SNAPSHOT_DATA)) {
		header = mmap(NULL, sizeof(*child->header), PROT_READ, MAP_SHARED, child->memory_fd,
			      0);
		child->header = header == MAP_FAILED ? NULL : header;
	}
	if (child->header)
		return child;
	snapshot_child_end(child);
	return NULL;
}

static int await_snapshot(struct snapshot_child *child)
{
	int32_t result;
	int err = await_answer(child);

	if (err)
		return err;
	/* The child has died, most likely for want of memory. */
	if (recv(child->socket, &result, sizeof(result), 0) != sizeof(result))
		return -ENOMEM;
	return result;
}

int snapshot_take(pid_t pid, const struct snapshot_options *options, struct snapshot **snapshot)
{
	struct snapshot_request request = {
		.pid = pid,
		.pause = options->pause,
		.later = options->later,
		.copy_limit_bytes = options->copy_limit_bytes,
	};
	struct snapshot_child *child = new_child(options);
	int err;

	*snapshot = NULL;
	if (!child)
		return -ENOMEM;
	/* Pages that are copied later are of a process that runs again. */
	if (options->pause && options->later) {
		snapshot_child_end(child);
		return -EINVAL;
	}
	child->pid =
		snapshot_child_start(&request, child->memory_fd, &child->socket, &child->pidfd);
	err = child->pid < 0 ? child->pid : await_snapshot(child);
	if (!err)
		err = snapshot_open(child->memory_fd, snapshot);
	if (err) {
		snapshot_child_end(child);
		return err;
	}
	(*snapshot)->memory_fd = child->memory_fd;
	child->memory_fd = -1;
	(*snapshot)->child = child;
	return 0;
}
