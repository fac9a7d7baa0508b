/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: clients need one known place to connect to. It must survive a server that was killed,
 * and two servers must not take it from each other. And the identity of a client must come from the
 * kernel alone.
 *
 * A socket file is stale if connecting gives ECONNREFUSED: nobody listens. Left out: two servers
 * that start at the same instant over a stale file; the later one wins. Before 6.5 there is no
 * SO_PEERPIDFD, and the peer is looked up by its PID. If that process has ended and its PID was
 * reused before the connection was accepted, the other process is taken for it. Its user is correct
 * in any case. */
#include "serve/serve_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/account.h"
#include "serve/serve_process.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* since 6.5 */
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* since 6.16 */
#endif

#define BACKLOG		128
#define FIRST_LISTEN_FD 3    /* the first one that systemd passes */
#define QUEUE_MAX	4096 /* more than any host allows to wait (net.unix.max_dgram_qlen) */

/* Refuses descriptors from clients. We would have to close them, and closing some takes as long as
 * their sender likes. Kernels before 6.16 can't refuse them. */
static void refuse_descriptors(int fd)
{
	int off = 0;

	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? -errno : value;
}

static bool is_seqpacket(int fd, bool listening)
{
	return socket_option(fd, SO_DOMAIN) == AF_UNIX &&
	       socket_option(fd, SO_TYPE) == SOCK_SEQPACKET &&
	       socket_option(fd, SO_ACCEPTCONN) == listening;
}

/* The socket that systemd passed; -ENOENT: it passed none. */
static int inherited(char *why, size_t size)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

	if (!pid || !fds || atoi(pid) != getpid())
		return -ENOENT;
	if (strcmp(fds, "1")) {
		snprintf(why, size, "LISTEN_FDS is %.8s: exactly one socket is served", fds);
		return -EINVAL;
	}
	if (!is_seqpacket(FIRST_LISTEN_FD, true)) {
		snprintf(why, size,
			 "the socket passed by LISTEN_FDS is no listening SOCK_SEQPACKET unix "
			 "socket: the unit needs ListenSequentialPacket=");
		return -EINVAL;
	}
	fcntl(FIRST_LISTEN_FD, F_SETFD, FD_CLOEXEC);
	fcntl(FIRST_LISTEN_FD, F_SETFL, fcntl(FIRST_LISTEN_FD, F_GETFL) | O_NONBLOCK);
	return FIRST_LISTEN_FD;
}

/* Removes the file at the path if it is the socket of a dead server. 0: the path is free. Else
 * -errno, and a sentence in `why` unless it is empty. */
static int clear_stale(const struct sockaddr_un *address, char *why, size_t size)
{
	struct stat st;
	int fd, err;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, size, "%s is there and is no socket; it is left alone",
			 address->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(fd);
	if (err != ECONNREFUSED) {
		snprintf(why, size,
			 "%s: another server listens there already; end it, or choose another "
			 "--socket",
			 address->sun_path);
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
}

static int bind_at(int fd, const struct sockaddr_un *address, char *why, size_t size)
{
	/* Everybody may connect: credentials decide, not the mode of the file. */
	mode_t mask = umask(0111);
	int err = 0, attempt;

	for (attempt = 0; attempt < 2; attempt++) {
		err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
		if (err != -EADDRINUSE || attempt)
			break;
		err = clear_stale(address, why, size);
		if (err)
			break;
	}
	umask(mask);
	return err;
}

int serve_listener_open(struct serve_listener *listener, const char *path, char *why, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int err;

	*why = '\0';
	*listener = (struct serve_listener){.fd = inherited(why, size)};
	if (listener->fd >= 0)
		refuse_descriptors(listener->fd);
	if (listener->fd != -ENOENT)
		return listener->fd < 0 ? listener->fd : 0;
	if (!*path || strlen(path) >= sizeof(address.sun_path)) {
		snprintf(why, size, "--socket: a path of 1 to %zu bytes is needed",
			 sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	listener->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return -errno;
	refuse_descriptors(listener->fd);
	err = bind_at(listener->fd, &address, why, size);
	if (!err && (lstat(path, &st) || listen(listener->fd, BACKLOG)))
		err = -errno;
	if (err) {
		if (!*why)
			snprintf(why, size, "%s: %s", path, strerror(-err));
		close(listener->fd);
		listener->fd = -1;
		return err;
	}
	listener->path = path;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return 0;
}

void serve_listener_close(struct serve_listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (listener->path && !lstat(listener->path, &st) && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->path);
	close(listener->fd);
	listener->fd = -1;
}

int serve_socket_adopt(int fd)
{
	struct sockaddr_un other;
	socklen_t size = sizeof(other);

	if (fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -errno;
	if (!is_seqpacket(fd, false))
		return -EPROTOTYPE;
	if (getpeername(fd, (struct sockaddr *)&other, &size))
		return -errno;
	refuse_descriptors(fd);
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) ? -errno : 0;
}

void serve_socket_end(int fd)
{
	char byte;

	/* A message that we leave unread makes the client's next read fail (ECONNRESET), and it
	 * never learns what it was told last. After the shutdown nothing more is queued: what is
	 * there can be read away, however fast the client sends. */
	shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < QUEUE_MAX && recv(fd, &byte, 1, MSG_DONTWAIT) > 0; i++)
		;
	close(fd);
}

int serve_peer_read(int fd, struct serve_peer *peer)
{
	struct serve_creds creds;
	struct ucred ucred;
	socklen_t size = sizeof(ucred);
	int pidfd = -1, err;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size))
		return -errno;
	*peer = (struct serve_peer){.pid = ucred.pid, .uid = ucred.uid, .gid = ucred.gid};
	if (ucred.pid <= 0)
		return -ESRCH; /* it is in another PID namespace */
	size = sizeof(pidfd);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size)) {
		/* The error for a peer that is gone differs between kernels. */
		pidfd = (int)syscall(SYS_pidfd_open, ucred.pid, 0);
		if (pidfd < 0)
			return errno == ENOSYS || errno == EMFILE || errno == ENFILE ? -errno
										     : -ESRCH;
	}
	err = serve_creds_read(ucred.pid, &creds);
	peer->account = account_of(ucred.pid, ucred.uid);
	if (!err && serve_process_ended(pidfd))
		err = -ESRCH;
	if (err) {
		close(pidfd);
		return err;
	}
	peer->permitted = creds.permitted;
	peer->userns = creds.userns;
	return pidfd;
}
