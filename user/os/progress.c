/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: what takes long is mostly one call that does not come back before it is done: a copy of
 * a heap, the load of BPF programs. A helper process has its own clock. It gets a message when
 * something begins, and an empty one when it has ended; it answers the empty one when the line is
 * cleared, so that two processes do not write to the terminal at the same time. It ends with its
 * socket.
 *
 * Left out: how much is done. Few of our waits know that, and seconds show that it is alive. */
#include "os/progress.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/confine.h"

#define TEXT_MAX  120
#define QUIET_MS  2000 /* what takes less is not worth a line */
#define ANSWER_MS 1000 /* a terminal that takes nothing must not hold us up for longer */

static pid_t helper;
static int helper_fd = -1;
static bool begun;

/* What the helper shows. */
struct line {
	char text[TEXT_MAX + 1]; /* "": nothing */
	uint64_t since_ms;
	unsigned columns; /* on the terminal now */
};

static void show(struct line *line)
{
	uint64_t ms = clock_ms(CLOCK_MONOTONIC) - line->since_ms;
	char text[TEXT_MAX + 32];
	int length;

	if (ms < QUIET_MS)
		return;
	length = snprintf(text, sizeof(text), "%s … %llu s", line->text,
			  (unsigned long long)(ms / 1000));
	/* The ellipsis has three bytes and one column. Spaces wipe out a longer line before. */
	dprintf(STDERR_FILENO, "\r%s%*s", text,
		line->columns > (unsigned)length - 2 ? (int)(line->columns - length + 2) : 0, "");
	line->columns = (unsigned)length - 2;
}

static void clear(struct line *line)
{
	if (line->columns)
		dprintf(STDERR_FILENO, "\r%*s\r", (int)line->columns, "");
	*line = (struct line){};
}

/* How long the helper may sleep; -1: until there is a message. */
static int sleep_ms(const struct line *line)
{
	uint64_t ms = clock_ms(CLOCK_MONOTONIC) - line->since_ms;

	if (!*line->text)
		return -1;
	return ms < QUIET_MS ? (int)(QUIET_MS - ms) : 1000 - (int)(ms % 1000);
}

/* The helper process. Does not return. */
static void help(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct confined confined;
	struct line line = {};
	char text[TEXT_MAX + 1];
	ssize_t size;

	/* No end of another pipe may stay open because of us. */
	if (fd > 3)
		syscall(SYS_close_range, 3, fd - 1, 0);
	syscall(SYS_close_range, fd + 1, ~0u, 0);
	prctl(PR_SET_NAME, "pymem-progress");
	if (confine(0, &confined))
		_exit(1);
	for (;;) {
		if (poll(&p, 1, sleep_ms(&line)) == 0) {
			show(&line);
			continue;
		}
		size = recv(fd, text, TEXT_MAX, MSG_DONTWAIT);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (size <= 0)
			break;
		text[size] = '\0';
		if (*text) {
			if (!*line.text)
				line.since_ms = clock_ms(CLOCK_MONOTONIC);
			snprintf(line.text, sizeof(line.text), "%s", text);
			continue;
		}
		clear(&line);
		if (send(fd, "", 1, MSG_NOSIGNAL) < 0)
			break;
	}
	clear(&line);
	_exit(0);
}

void progress_start(bool wanted)
{
	int ends[2];

	if (!wanted || !isatty(STDERR_FILENO) || helper > 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return;
	helper = fork();
	if (!helper) {
		/* Signals of the terminal are for the profiler, which ends us. */
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		close(ends[0]);
		help(ends[1]);
	}
	close(ends[1]);
	helper_fd = ends[0];
	if (helper < 0)
		progress_stop();
}

void progress_say(const char *format, ...)
{
	char text[TEXT_MAX + 1];
	va_list args;
	int length;

	if (helper_fd < 0)
		return;
	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length <= 0)
		return;
	if (send(helper_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		begun = true;
}

void progress_done(void)
{
	struct pollfd p = {.fd = helper_fd, .events = POLLIN};
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + ANSWER_MS, now;
	char answer;

	if (helper_fd < 0 || !begun)
		return;
	begun = false;
	if (send(helper_fd, "", 1, MSG_NOSIGNAL) < 0)
		return;
	while ((now = clock_ms(CLOCK_MONOTONIC)) < end) {
		if (poll(&p, 1, (int)(end - now)) < 0 && errno == EINTR)
			continue;
		if (recv(helper_fd, &answer, 1, MSG_DONTWAIT) >= 0 || errno != EINTR)
			return;
	}
}

void progress_stop(void)
{
	if (helper_fd >= 0)
		close(helper_fd);
	helper_fd = -1;
	if (helper > 0)
		while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
			;
	helper = 0;
	begun = false;
}
