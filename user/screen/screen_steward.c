/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the screen reads for hours what hostile programs wrote. So it has given up the right to
 * create files and to start anything (os/confine.h). But its user may ask for a report in a file,
 * whose name is not known before; and a look at a heap needs rights of its own.
 *
 * The steward is forked before, keeps its rights, and reads nothing of any target. What the screen
 * may ask of it is little: a struct of fixed size with a number or a name in it. A screen that
 * somebody has taken over can make it look at a heap, which anybody with the screen's rights could,
 * and create a file. So that file can only lie in the folder where the program was started, can't
 * replace another, and has a name that no program reads by itself (no dot at its beginning). The
 * file named by -o is the user's own choice and may be replaced.
 *
 * A heap look runs in a child of the steward. It ends with the steward, and the steward with the
 * screen: then its socket has ended. */
#include "screen/screen_steward.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/output.h"

enum wish { WISH_LOOK, WISH_GIVE_UP, WISH_WRITE };

struct request { /* with a descriptor beside it, but for WISH_GIVE_UP */
	enum wish wish;
	pid_t pid;
	unsigned columns;
	char name[STEWARD_NAME_MAX];
};

static struct {
	pid_t pid;
	int fd; /* our end of the socket */
} steward = {-1, -1};

struct duty { /* what the steward knows */
	int fd;
	steward_heap_fn *heap;
	const char *report;
	mode_t mode;
	pid_t looking; /* -1: no heap look runs */
};

bool steward_may_write(const char *name)
{
	size_t length = strlen(name);

	if (!length || length >= STEWARD_NAME_MAX || *name == '.' || *name == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	       length;
}

/* --- in the steward --- */

/* Receives a request and the descriptor beside it (-1: none). False: the screen has ended. */
static bool receive(int fd, struct request *request, int *beside)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {request, sizeof(*request)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	ssize_t length;

	do {
		length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length != sizeof(*request))
		return false;
	request->name[STEWARD_NAME_MAX - 1] = '\0';
	header = CMSG_FIRSTHDR(&message);
	*beside = -1;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(beside, CMSG_DATA(header), sizeof(int));
	return true;
}

static void end_look(struct duty *duty)
{
	if (duty->looking < 0)
		return;
	kill(duty->looking, SIGKILL);
	waitpid(duty->looking, NULL, 0);
	duty->looking = -1;
}

static void begin_look(struct duty *duty, const struct request *request, int out)
{
	pid_t parent = getpid();

	end_look(duty);
	duty->looking = fork();
	if (duty->looking)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(1);
	close(duty->fd);
	exit(duty->heap(request->pid, request->columns));
}

/* Copies all of `from` to the stream. 0 or -errno. */
static int copy(int from, FILE *to)
{
	char block[65536];
	ssize_t length;

	while ((length = read(from, block, sizeof(block))) > 0) {
		if (fwrite(block, 1, (size_t)length, to) != (size_t)length)
			return errno ? -errno : -EIO;
	}
	return length < 0 ? -errno : 0;
}

static int write_report(const struct duty *duty, const char *name, int text)
{
	struct output output;
	struct stat st;
	int err;

	if (*name && !steward_may_write(name))
		return -EINVAL;
	if (*name && !lstat(name, &st))
		return -EEXIST;
	if (!*name && !duty->report)
		return -EINVAL;
	err = output_open(&output, *name ? name : duty->report, duty->mode);
	if (!err) {
		err = copy(text, output.file);
		if (!err)
			return output_commit(&output);
	}
	output_discard(&output);
	return err;
}

static void serve(struct duty *duty)
{
	struct request request;
	int beside, result;

	while (receive(duty->fd, &request, &beside)) {
		if (request.wish == WISH_LOOK && beside >= 0) {
			begin_look(duty, &request, beside);
		} else if (request.wish == WISH_WRITE && beside >= 0) {
			result = write_report(duty, request.name, beside);
			if (send(duty->fd, &result, sizeof(result), MSG_NOSIGNAL) < 0)
				break;
		} else {
			end_look(duty);
		}
		if (beside >= 0)
			close(beside);
	}
	end_look(duty);
}

/* --- in the screen --- */

int steward_start(steward_heap_fn *heap, const char *report, mode_t mode)
{
	struct duty duty = {.heap = heap, .report = report, .mode = mode, .looking = -1};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	steward.pid = fork();
	if (steward.pid < 0) {
		int err = -errno;

		close(pair[0]);
		close(pair[1]);
		return err;
	}
	if (!steward.pid) {
		close(pair[0]);
		duty.fd = pair[1];
		prctl(PR_SET_NAME, "pymem-steward");
		/* Keys that end the screen end us with it, and not before. */
		signal(SIGINT, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		signal(SIGTSTP, SIG_IGN);
		serve(&duty);
		_exit(0);
	}
	close(pair[1]);
	steward.fd = pair[0];
	return 0;
}

void steward_stop(void)
{
	if (steward.fd < 0)
		return;
	close(steward.fd);
	steward.fd = -1;
	waitpid(steward.pid, NULL, 0);
	steward.pid = -1;
}

/* Sends the request with a descriptor beside it (-1: none). 0 or -errno. */
static int request_send(struct request *request, int beside)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec data = {request, sizeof(*request)};
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
	if (sendmsg(steward.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
}

int steward_look(pid_t pid, unsigned columns)
{
	struct request request = {.wish = WISH_LOOK, .pid = pid, .columns = columns};
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	err = request_send(&request, ends[1]);
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
	struct request request = {.wish = WISH_GIVE_UP};

	request_send(&request, -1);
}

int steward_write(int text, const char *name)
{
	struct request request = {.wish = WISH_WRITE};

	snprintf(request.name, sizeof(request.name), "%s", name);
	return request_send(&request, text);
}

int steward_fd(void)
{
	return steward.fd;
}

int steward_written(void)
{
	ssize_t length;
	int result;

	length = recv(steward.fd, &result, sizeof(result), MSG_DONTWAIT);
	if (length == sizeof(result))
		return result;
	return length < 0 ? -errno : -EPIPE;
}
