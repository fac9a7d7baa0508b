/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the screen reads for hours what hostile programs wrote. So it has given up the rights to
 * create files and to start programs (os/confine.h). But its user may ask for a report in a file,
 * whose name is not known before; and a look at a heap needs rights of its own.
 *
 * Two processes are forked before, the stewards, each with the rights for one of these tasks and no
 * others (screen_duties.c). The screen can ask them for little: a request is a struct of fixed
 * size, with a number or a name in it. A steward ends when its socket does, which is when the
 * screen ends. */
#include "screen/screen_steward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "screen/screen_duties.h"

struct steward {
	pid_t pid;
	int fd; /* our end of the socket */
};

static struct steward looker = {-1, -1}, scribe = {-1, -1};

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), part = strlen(end);

	return length > part && !strcmp(name + length - part, end);
}

bool steward_may_write(const char *name)
{
	size_t length = strlen(name);

	if (!length || length >= STEWARD_NAME_MAX || *name == '.' || *name == '-' ||
	    (!ends_with(name, ".txt") && !ends_with(name, ".json")))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	       length;
}

/* --- begin and end --- */

static void stop(struct steward *steward)
{
	if (steward->fd >= 0)
		close(steward->fd);
	if (steward->pid > 0)
		waitpid(steward->pid, NULL, 0);
	*steward = (struct steward){-1, -1};
}

/* Forks a steward. In the child, sets `*theirs` to the steward's end of the socket and returns 1.
 * In the parent, closes that end. 0 or -errno. */
static int fork_steward(struct steward *steward, int *theirs)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	steward->pid = fork();
	err = steward->pid < 0 ? -errno : 0;
	*theirs = pair[1];
	if (!steward->pid) {
		close(pair[0]);
		return 1;
	}
	close(pair[1]);
	steward->fd = pair[0];
	return err;
}

/* Waits until the steward has given up its rights. 0 or -errno. */
static int wait_for(const struct steward *steward)
{
	int result;
	ssize_t length;

	do {
		length = recv(steward->fd, &result, sizeof(result), 0);
	} while (length < 0 && errno == EINTR);
	if (length == sizeof(result))
		return result;
	return length < 0 ? -errno : -EPIPE;
}

int steward_start(steward_heap_fn *heap, const char *report, mode_t mode)
{
	int theirs, err = fork_steward(&looker, &theirs);

	if (err == 1)
		duty_look_serve(theirs, heap);
	if (!err)
		err = fork_steward(&scribe, &theirs);
	if (err == 1) {
		/* Else the looker would not see the end of its socket. */
		close(looker.fd);
		duty_write_serve(theirs, report, mode);
	}
	if (!err)
		err = wait_for(&looker) ?: wait_for(&scribe);
	if (err)
		steward_stop();
	return err;
}

void steward_stop(void)
{
	stop(&looker);
	stop(&scribe);
}

/* --- what they are asked --- */

/* Sends the request, and with it the descriptor `beside` (-1: none). 0 or -errno. */
static int request_send(const struct steward *steward, void *request, size_t size, int beside)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec data = {request, size};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (beside >= 0) {
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &beside, sizeof(int));
	}
	if (sendmsg(steward->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
}

int steward_look(pid_t pid, unsigned columns)
{
	struct duty_look request = {.pid = pid, .columns = columns};
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	err = request_send(&looker, &request, sizeof(request), ends[1]);
	close(ends[1]);
	if (!err && fcntl(ends[0], F_SETFL, O_NONBLOCK))
		err = -errno;
	if (!err)
		return ends[0];
	close(ends[0]);
	return err;
}

void steward_give_up(void)
{
	struct duty_look request = {};

	request_send(&looker, &request, sizeof(request), -1);
}

int steward_write(int text, const char *name)
{
	struct duty_write request = {};

	snprintf(request.name, sizeof(request.name), "%s", name);
	return request_send(&scribe, &request, sizeof(request), text);
}

int steward_fd(void)
{
	return scribe.fd;
}

int steward_written(void)
{
	ssize_t length;
	int result;

	length = recv(scribe.fd, &result, sizeof(result), MSG_DONTWAIT);
	if (length == sizeof(result))
		return result;
	return length < 0 ? -errno : -EPIPE;
}
