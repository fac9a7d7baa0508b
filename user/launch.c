/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The child must be tracked before it execs, so that nothing of the command is missed: it
 * waits for a pipe to close. If we die, the pipe closes too and the command runs
 * unprofiled rather than hang.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch_trace.h"

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

/* It ends our wait for events, so that a traced command is not kept waiting. */
static void woken(int number)
{
	(void)number;
}

int launch_prepare(struct launch *launch, char **command)
{
	/* If we were started with it ignored, the kernel would keep the command's end from us. */
	struct sigaction ended = {.sa_handler = woken, .sa_flags = SA_RESTART}, before;
	int go[2], error[2], err;

	*launch = (struct launch){.pid = -1, .go_fd = -1, .error_fd = -1};
	if (pipe2(go, O_CLOEXEC))
		return -errno;
	if (pipe2(error, O_CLOEXEC)) {
		err = -errno;
		goto close_go;
	}
	sigaction(SIGCHLD, &ended, &before);
	launch->pid = fork();
	if (launch->pid < 0) {
		err = -errno;
		goto close_error;
	}
	if (!launch->pid) {
		close(go[1]);
		close(error[0]);
		child(command, go[0], error[1], &before);
	}
	close(go[0]);
	close(error[1]);
	launch->go_fd = go[1];
	launch->error_fd = error[0];
	return 0;
close_error:
	close(error[0]);
	close(error[1]);
close_go:
	close(go[0]);
	close(go[1]);
	return err;
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

/* Until the traced child has run another program, or has ended. */
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

int launch_exit_status(struct launch *launch)
{
	int status;

	/* Nobody looks at it any more. */
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
