/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A datagram has a maximal size, which an administrator may lower. So a long body is put into a
 * file in memory (memfd), and its descriptor is sent. */
#include "python/examiner_wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define INLINE_MAX (32 * 1024)
#define BODY_MAX   (256ull << 20)
#define FDS_MAX	   (WIRE_FDS_MAX + 1)

/* A descriptor of a new file with this body, or -errno. */
static int write_file(const void *body, size_t size)
{
	int fd = memfd_create("pymem-bpf", MFD_CLOEXEC), err;
	size_t done = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (done < size) {
		n = write(fd, (const char *)body + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? -errno : -EIO;
			close(fd);
			return err;
		}
		done += (size_t)n;
	}
	return fd;
}

static void put_fds(struct msghdr *m, char *control, const int *fds, unsigned count)
{
	struct cmsghdr *c;

	if (!count)
		return;
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(count * sizeof(int));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
}

int wire_send(int fd, struct wire_message *message)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct iovec parts[2] = {{&message->head, sizeof(message->head)},
				 {message->body, message->head.body_bytes}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	unsigned count = message->fd_count;
	int fds[FDS_MAX], file = -1, err = 0;

	memcpy(fds, message->fds, count * sizeof(int));
	message->head.in_file = message->head.body_bytes > INLINE_MAX;
	if (message->head.in_file) {
		file = write_file(message->body, message->head.body_bytes);
		if (file < 0)
			return file;
		fds[count++] = file;
		m.msg_iovlen = 1;
	}
	put_fds(&m, control, fds, count);
	while (sendmsg(fd, &m, MSG_NOSIGNAL) < 0) {
		err = -errno;
		if (err != -EINTR)
			break;
		err = 0;
	}
	if (file >= 0)
		close(file);
	return err;
}

/* Takes the descriptors of the message; returns how many. The kernel rounds the space for them up,
 * so more may arrive than expected: these are closed. */
static unsigned take_fds(struct msghdr *m, int *fds)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	unsigned sent, count;
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len < CMSG_LEN(0))
		return 0;
	sent = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	count = sent < FDS_MAX ? sent : FDS_MAX;
	memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	for (unsigned i = count; i < sent; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		close(fd);
	}
	return count;
}

static int read_file(int fd, char *body, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = pread(fd, body + done, size - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += (size_t)n;
	}
	return 0;
}

/* Takes the body: from what came with the head, or from the file of the last descriptor. 0 or
 * -errno. */
static int take_body(struct wire_message *message, const char *text, size_t have, int file)
{
	size_t size = message->head.body_bytes;
	char *body;

	if (size > BODY_MAX || (file < 0 && have != size))
		return -EBADMSG;
	body = malloc(size + 1);
	if (!body)
		return -ENOMEM;
	message->body = body;
	body[size] = '\0';
	if (file >= 0)
		return read_file(file, body, size);
	memcpy(body, text, size);
	return 0;
}

int wire_receive(int fd, struct wire_message *message)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	static char text[INLINE_MAX];
	struct iovec parts[2] = {{&message->head, sizeof(message->head)}, {text, sizeof(text)}};
	struct msghdr m = {.msg_iov = parts,
			   .msg_iovlen = 2,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fds[FDS_MAX], file = -1, err = 0;
	unsigned count;
	ssize_t n;

	memset(message, 0, sizeof(*message));
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 && errno != ECONNRESET ? -errno : 0;
	count = take_fds(&m, fds);
	if ((size_t)n < sizeof(message->head) || m.msg_flags & MSG_TRUNC)
		err = -EBADMSG;
	else if (m.msg_flags & MSG_CTRUNC)
		err = -EMFILE; /* this process had no number left for a descriptor */
	if (!err && message->head.in_file && count)
		file = fds[--count];
	message->fd_count = count < WIRE_FDS_MAX ? count : WIRE_FDS_MAX;
	memcpy(message->fds, fds, message->fd_count * sizeof(int));
	while (count > WIRE_FDS_MAX)
		close(fds[--count]);
	if (!err)
		err = take_body(message, text, (size_t)n - sizeof(message->head), file);
	if (file >= 0)
		close(file);
	if (err)
		wire_fini(message);
	return err ? err : 1;
}

void wire_fini(struct wire_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	}
	message->fd_count = 0;
	free(message->body);
	message->body = NULL;
}

int wire_take_fd(struct wire_message *message, unsigned index)
{
	int fd = index < message->fd_count ? message->fds[index] : -1;

	if (index < message->fd_count)
		message->fds[index] = -1;
	return fd;
}
