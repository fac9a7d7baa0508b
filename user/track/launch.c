/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The child must be tracked before it execs, so that nothing of the command is missed. So it waits
 * until a pipe is closed. If we die, the pipe is closed too: the command then runs unprofiled and
 * does not hang.
 *
 * A command has the rights of the user who asked for it. A program that drops its own rights first
 * (confine.h) and starts commands later uses a launcher. That is a process, forked while all rights
 * were there, that does nothing but fork this one command. With CLONE_PARENT the commands are our
 * children: we wait for them, and the kernel tells us their PIDs. */
#include "track/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "track/launch_trace.h"

static void child(char **command, int go_fd, int error_fd, const struct sigaction *ended)
{
	sigset_t none;
	char byte;
	int err;

	while (read(go_fd, &byte, 1) < 0 && errno == EINTR)
		;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	sigaction(SIGCHLD, ended, NULL);
	execvp(command[0], command);
	err = errno;
	if (write(error_fd, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(err == ENOENT ? 127 : 126);
}

/* One pipe lets the child go; the other reports its exec. */
struct pipes {
	int go[2], error[2];
};

static int pipes_open(struct pipes *pipes)
{
	int err;

	if (pipe2(pipes->go, O_CLOEXEC))
		return -errno;
	if (!pipe2(pipes->error, O_CLOEXEC))
		return 0;
	err = -errno;
	close(pipes->go[0]);
	close(pipes->go[1]);
	return err;
}

static void pipes_close(struct pipes *pipes, bool childs, bool ours)
{
	if (childs) {
		close(pipes->go[0]);
		close(pipes->error[1]);
	}
	if (ours) {
		close(pipes->go[1]);
		close(pipes->error[0]);
	}
}

int launch_prepare(struct launch *launch, char **command)
{
	/* If SIGCHLD were ignored, as the parent may have left it, the kernel would not tell us how
	 * the command ended. */
	struct sigaction ended = {.sa_handler = SIG_DFL}, before;
	struct pipes pipes;
	int err;

	*launch = (struct launch){.pid = -1, .go_fd = -1, .error_fd = -1};
	err = pipes_open(&pipes);
	if (err)
		return err;
	sigaction(SIGCHLD, &ended, &before);
	launch->pid = fork();
	if (launch->pid < 0) {
		err = -errno;
		pipes_close(&pipes, true, true);
		return err;
	}
	if (!launch->pid) {
		pipes_close(&pipes, false, true);
		child(command, pipes.go[0], pipes.error[1], &before);
	}
	pipes_close(&pipes, true, false);
	launch->go_fd = pipes.go[1];
	launch->error_fd = pipes.error[0];
	return 0;
}

/* --- the launcher --- */

struct birth {
	pid_t pid; /* or -errno; sent with the two descriptors of struct launch */
};

union two_descriptors {
	char bytes[CMSG_SPACE(2 * sizeof(int))];
	struct cmsghdr align;
};

static void tell_birth(int fd, struct birth birth, const struct pipes *pipes)
{
	union two_descriptors control = {};
	struct iovec part = {&birth, sizeof(birth)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (birth.pid > 0) {
		int fds[2] = {pipes->go[1], pipes->error[0]};

		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(header), fds, sizeof(fds));
	}
	/* If nobody receives this, no further request will come. */
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		_exit(1);
}

/* The launcher must not handle its parent's signals. It ends when its parent has ended. */
static void launcher(int fd, char **command)
{
	struct sigaction ended;
	struct birth birth;
	struct pipes pipes;
	sigset_t all;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, NULL, &ended);
	while (recv(fd, &byte, 1, 0) == 1) {
		birth.pid = pipes_open(&pipes);
		if (birth.pid) {
			tell_birth(fd, birth, NULL);
			continue;
		}
		birth.pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (!birth.pid) {
			close(fd);
			pipes_close(&pipes, false, true);
			child(command, pipes.go[0], pipes.error[1], &ended);
		}
		if (birth.pid < 0)
			birth.pid = -errno;
		tell_birth(fd, birth, &pipes);
		pipes_close(&pipes, true, true);
	}
	_exit(0);
}

int launcher_start(struct launcher *l, char **command)
{
	struct sigaction ended = {.sa_handler = SIG_DFL};
	int pair[2], err;

	*l = (struct launcher){.pid = -1, .fd = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	l->pid = fork();
	if (!l->pid) {
		close(pair[0]);
		launcher(pair[1], command);
	}
	err = l->pid < 0 ? -errno : 0;
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	l->fd = pair[0];
	/* As in launch_prepare(). */
	sigaction(SIGCHLD, &ended, NULL);
	return 0;
}

int launcher_prepare(struct launcher *l, struct launch *launch)
{
	union two_descriptors control = {};
	struct birth birth = {};
	struct iovec part = {&birth, sizeof(birth)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int fds[2];
	ssize_t n;

	*launch = (struct launch){.pid = -1, .go_fd = -1, .error_fd = -1};
	if (send(l->fd, "", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	do {
		n = recvmsg(l->fd, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(birth))
		return n < 0 ? -errno : -ECHILD;
	if (birth.pid <= 0)
		return birth.pid ?: -ECHILD;
	launch->pid = birth.pid;
	if (message.msg_flags & MSG_CTRUNC || message.msg_controllen < CMSG_LEN(sizeof(fds))) {
		kill(birth.pid, SIGKILL);
		launch_exit_status(launch);
		return -EMFILE;
	}
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
	launch->go_fd = fds[0];
	launch->error_fd = fds[1];
	return 0;
}

void launcher_end(struct launcher *l)
{
	if (l->pid <= 0)
		return;
	close(l->fd);
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		;
	l->pid = -1;
}

bool launch_hold(struct launch *launch)
{
	launch->traced = !ptrace(PTRACE_SEIZE, launch->pid, NULL,
				 (void *)(PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD));
	return launch->traced;
}

static void take_status(struct launch *launch, int status)
{
	if (WIFSTOPPED(status)) {
		launch_trace_stopped(launch, status);
	} else {
		launch->ended = true;
		launch->status = status;
	}
}

/* Waits until the traced child has executed another program, or has ended. */
static void wait_for_exec(struct launch *launch)
{
	int status;

	while (launch->traced && !launch->execs && !launch->ended) {
		if (waitpid(launch->pid, &status, 0) == launch->pid)
			take_status(launch, status);
		else if (errno != EINTR)
			return;
	}
}

int launch_go(struct launch *launch, bool (*known)(void *arg), void *arg)
{
	int err = 0;
	ssize_t n;

	launch->known = known;
	launch->known_arg = arg;
	close(launch->go_fd);
	launch->go_fd = -1;
	wait_for_exec(launch);
	do {
		n = read(launch->error_fd, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	close(launch->error_fd);
	launch->error_fd = -1;
	if (n == sizeof(err))
		return -err;
	if (known && !launch->execs)
		known(arg);
	return 0;
}

bool launch_ended(struct launch *launch)
{
	int status;

	while (!launch->ended && waitpid(launch->pid, &status, WNOHANG) == launch->pid)
		take_status(launch, status);
	return launch->ended;
}

int launch_let_go(struct launch *launch)
{
	int err;

	launch->known = NULL;
	if (!launch->traced || launch->ended)
		return 0;
	err = launch_trace_end(launch);
	/* The command may be stopped already. */
	launch_ended(launch);
	return err;
}

int launch_exit_status(struct launch *launch)
{
	int status;

	/* From now on the command is not examined when it stops. */
	launch->known = NULL;
	while (!launch->ended) {
		if (waitpid(launch->pid, &status, 0) == launch->pid)
			take_status(launch, status);
		else if (errno != EINTR)
			return 1;
	}
	if (WIFSIGNALED(launch->status))
		return 128 + WTERMSIG(launch->status);
	return WEXITSTATUS(launch->status);
}

void launch_abandon(struct launch *launch)
{
	if (launch->pid <= 0 || launch->ended || launch->go_fd < 0)
		return;
	kill(launch->pid, SIGKILL);
	launch_exit_status(launch);
}
