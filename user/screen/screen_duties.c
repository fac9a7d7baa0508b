/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: an attacker who has taken over the screen's process can ask the stewards for anything.
 * So each can do only its own task, by its rights (os/confine.h), and checks what it is asked.
 *
 * The looker can look at heaps, which the screen's own rights allow anyway: it keeps the rights of
 * the examiner, and opens nothing for writing. A look runs in a child, which gives up more of these
 * rights.
 *
 * The scribe can make files. It starts nothing and looks at nothing. A file that the screen names
 * is in the folder where the program was started, and does not replace another. No program runs a
 * file of such a name by itself: it has no dot at its beginning, and .txt or .json at its end. The
 * file named by -o is the user's own choice and may be replaced. */
#include "screen/screen_duties.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/confine.h"
#include "os/output.h"

/* One message has room for two: alignment adds room for the second one. */
#define DESCRIPTORS_MOST 2

#define REPORT_MOST (64u << 20) /* bytes */

/* --- both --- */

/* Begins a steward. Keys that end the screen must not end it: it ends after the screen. It keeps no
 * descriptor of the terminal. It gives up rights and sends the result; after a failure it ends. */
static void settle(const char *name, int fd, unsigned needs)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTSTP};
	struct confined confined;
	int nothing = open("/", O_PATH | O_CLOEXEC), err;

	prctl(PR_SET_NAME, name);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	for (int i = 0; i <= STDERR_FILENO && nothing >= 0; i++)
		dup2(nothing, i);
	/* The limits of a steward depend on the seccomp filter: without it no steward runs. */
	err = nothing < 0 ? -errno : confine(needs, &confined) ?: confined.filter_error;
	if (send(fd, &err, sizeof(err), MSG_NOSIGNAL) < 0 || err)
		_exit(1);
}

/* The descriptor that came with the message; -1: none, or not exactly one. */
static int take_descriptor(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fds[DESCRIPTORS_MOST];
	size_t count;

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return -1;
	count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (count > DESCRIPTORS_MOST)
		return -1;
	memcpy(fds, CMSG_DATA(header), count * sizeof(int));
	if (count == 1)
		return fds[0];
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return -1;
}

/* Receives a request of `size` bytes, and the descriptor sent with it. False: the screen has ended,
 * or sends what is no request. */
static bool receive(int fd, void *request, size_t size, int *beside)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	struct iovec data = {request, size};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t length;

	do {
		length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length != (ssize_t)size)
		return false;
	*beside = take_descriptor(&message);
	return true;
}

/* --- the looker --- */

static void end_look(pid_t *looking)
{
	if (*looking < 0)
		return;
	kill(*looking, SIGKILL);
	waitpid(*looking, NULL, 0);
	*looking = -1;
}

/* Starts a look whose text goes to `out`. Its PID; -1: it can't be started, and `out` stays empty.
 */
static pid_t begin_look(int fd, steward_heap_fn *heap, const struct duty_look *request, int out)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(1);
	close(fd);
	exit(heap(request->pid, request->columns));
}

_Noreturn void duty_look_serve(int fd, steward_heap_fn *heap)
{
	struct duty_look request;
	pid_t looking = -1;
	int out;

	/* A look kills its own examiner if that hangs. */
	settle("pymem-looker", fd, CONFINE_READ | CONFINE_EXAMINE);
	while (receive(fd, &request, sizeof(request), &out)) {
		end_look(&looking);
		if (out < 0)
			continue;
		if (request.pid > 0)
			looking = begin_look(fd, heap, &request, out);
		close(out);
	}
	end_look(&looking);
	_exit(0);
}

/* --- the scribe --- */

/* Copies all of `from` to the stream. 0; -EFBIG: that is more than REPORT_MOST; or -errno. */
static int copy(int from, FILE *to)
{
	char block[65536];
	size_t left = REPORT_MOST;
	ssize_t length;

	while ((length = read(from, block, sizeof(block))) > 0) {
		if ((size_t)length > left)
			return -EFBIG;
		left -= (size_t)length;
		if (fwrite(block, 1, (size_t)length, to) != (size_t)length)
			return errno ? -errno : -EIO;
	}
	return length < 0 ? -errno : 0;
}

/* Writes the file that the request names, with what the descriptor `text` contains. 0 or -errno. */
static int write_file(const struct duty_write *request, const char *report, mode_t mode, int text)
{
	struct output output;
	int err;

	if (text < 0 || (*request->name ? !steward_may_write(request->name) : !report))
		return -EINVAL;
	err = *request->name ? output_open_new(&output, request->name, mode)
			     : output_open(&output, report, mode);
	if (!err) {
		err = copy(text, output.file);
		if (!err)
			return output_commit(&output);
	}
	output_discard(&output);
	return err;
}

_Noreturn void duty_write_serve(int fd, const char *report, mode_t mode)
{
	struct duty_write request;
	int text, result;

	settle("pymem-scribe", fd, CONFINE_WRITE | CONFINE_REPORT);
	while (receive(fd, &request, sizeof(request), &text)) {
		request.name[STEWARD_NAME_MAX - 1] = '\0';
		result = write_file(&request, report, mode, text);
		if (text >= 0)
			close(text);
		if (send(fd, &result, sizeof(result), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}
