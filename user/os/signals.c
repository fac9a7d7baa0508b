/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which process a signal is meant for. While a command that we started lives, it is for the
 * command: the command decides what to do, and we report when it ends. Otherwise the first signal
 * ends the profile, and the second one gives up the report.
 *
 * A hangup ends nothing if it was ignored when we were started: nohup(1) does that. An ignored
 * SIGINT does not count. A shell without job control, and so a script or a CI job, ignores it in
 * all that it starts with &. If we obeyed, `kill -INT` could not end the profile, and Ctrl-C would
 * leave the profiler behind.
 *
 * A terminal (that is, the kernel) sends a signal to a process group. The command has already got
 * that one, unless it moved to a group of its own. A signal from another process is passed on, even
 * if it was sent to the group: twice is better than never.
 *
 * Handlers do this, not the loop's signalfd. A signal must be passed on, and the second one must
 * end us, also while a target is examined, while BPF programs are loaded, or while a report waits
 * for a slow reader. The loop does not run at these times. A descriptor wakes it afterwards. */
#include "os/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/output.h"

#define SAME_MS	     100 /* two SIGINT within this time are one */
#define SCREEN_ENTER "\033[?1049h\033[2J"
#define SCREEN_LEAVE "\033[?1049l"

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t wait_ended; /* SIGINT came in a wait that it ends */
static volatile uint64_t first_ms;	 /* when: CLOCK_MONOTONIC. Only its handler uses it */
static volatile sig_atomic_t wake_fd = -1;
static volatile sig_atomic_t on_screen; /* we have switched the terminal to its alternate screen */
static bool hangup_ignored;		/* when we were started */

/* A PID may come to mean another process; the pidfd never does. */
static volatile sig_atomic_t command_pid, command_fd = -1;

static void forward(int number, const siginfo_t *info)
{
	int err = errno;

	if (info->si_code <= 0 || getpgid(command_pid) != getpgrp())
		syscall(SYS_pidfd_send_signal, command_fd, number, NULL, 0);
	errno = err;
}

static void wake(void)
{
	uint64_t one = 1;
	int err = errno;

	/* It can only fail if the descriptor is ready already. */
	if (write(wake_fd, &one, sizeof(one)) < 0)
		errno = err;
}

/* False for a terminal that was stopped (Ctrl-S) or that nobody reads: writing to it would hold up
 * our end. */
static bool takes_output(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

/* False if the command has ended, even if nobody has waited for it yet. Signals are for us then. */
static bool command_lives(void)
{
	struct pollfd p = {.fd = command_fd, .events = POLLIN};
	int err = errno;
	bool lives = command_fd >= 0 && poll(&p, 1, 0) != 1;

	errno = err;
	return lives;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (command_lives()) {
		forward(number, info);
		return;
	}
	/* The command has ended: these are no reason to end for us. */
	if (number == SIGUSR1 || number == SIGUSR2 || number == SIGWINCH)
		return;
	if (number == SIGHUP && hangup_ignored)
		return;
	/* The second one ends us, whatever the report is waiting for. */
	if (!interrupted++) {
		wake();
		return;
	}
	output_abandon();
	if (on_screen && takes_output() &&
	    write(STDOUT_FILENO, SCREEN_LEAVE, sizeof(SCREEN_LEAVE) - 1) < 0)
		_exit(1);
	_exit(128 + number);
}

bool signals_hangup_ignored(void)
{
	struct sigaction before;

	return !sigaction(SIGHUP, NULL, &before) && before.sa_handler == SIG_IGN;
}

int signals_catch(bool launched)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	static const int more[] = {SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
	/* SA_RESTART: writing a report goes on. epoll_wait() ends in any case. */
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	size_t i;

	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return -errno;
	hangup_ignored = signals_hangup_ignored();
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &action, NULL);
	for (i = 0; launched && i < sizeof(more) / sizeof(more[0]); i++)
		sigaction(more[i], &action, NULL);
	/* A closed pipe shall be an error that is reported, not a silent death. */
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static void on_end(int number)
{
	output_abandon();
	_exit(128 + number);
}

void signals_end_at_once(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_end};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (ends[i] != SIGHUP || !signals_hangup_ignored())
			sigaction(ends[i], &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* timeout(1) and others send one to the process and once more to its group: those are one. */
static void on_wait_signal(int number)
{
	uint64_t now_ms = clock_ms(CLOCK_MONOTONIC);

	if (!wait_ended)
		first_ms = now_ms;
	else if (now_ms - first_ms >= SAME_MS)
		on_end(number);
	wait_ended = 1;
}

void signals_begin_wait(sigset_t *unblocked)
{
	struct sigaction action = {.sa_handler = on_wait_signal};
	sigset_t interrupt;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, unblocked);
	sigaction(SIGINT, &action, NULL);
}

bool signals_wait_ended(void)
{
	return wait_ended;
}

void signals_end_wait(const sigset_t *unblocked)
{
	struct sigaction action = {.sa_handler = on_end};

	/* One that came at the last moment asked for what comes now, and so did the other of two.
	 */
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	if (wait_ended)
		action.sa_handler = on_wait_signal;
	sigaction(SIGINT, &action, NULL);
}

bool signals_interrupted(void)
{
	return interrupted;
}

int signals_fd(void)
{
	return wake_fd;
}

int signals_give_to(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	command_pid = pid;
	command_fd = fd;
	return 0;
}

void signals_take_back(void)
{
	int fd = command_fd;

	command_fd = -1;
	if (fd >= 0)
		close(fd);
}

void signals_screen(bool enter)
{
	if (on_screen == enter)
		return;
	fputs(enter ? SCREEN_ENTER : SCREEN_LEAVE, stdout);
	fflush(stdout);
	on_screen = enter;
}
