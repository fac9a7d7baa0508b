/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the pager is wanted when the report is ready, and by then this process may run no
 * program any more (confine.c). So the process that becomes the pager is forked before, and waits
 * for the first byte of the report. It does not take that byte from the pipe. It then executes the
 * pager, with the pipe as standard input. If the pipe is closed first, it ends. */
#include "os/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program(void)
{
	const char *wanted = getenv("PAGER");

	return wanted && *wanted ? wanted : "less -R";
}

/* less (which gets -R unless the user has options of his own) and more show colours. Of others that
 * is not known. */
static bool shows_colors(const char *command)
{
	const char *name = command + strspn(command, " ");
	size_t length = strcspn(name, " ");

	while (length && memchr(name, '/', length)) {
		name++;
		length--;
	}
	return length == 4 && (!strncmp(name, "less", 4) || !strncmp(name, "more", 4));
}

/* The forked process. Does not return. */
static void wait_and_become(int input)
{
	struct pollfd p = {.fd = input, .events = POLLIN};

	/* No end of another pipe may stay open because of us. */
	if (input > 3)
		syscall(SYS_close_range, 3, input - 1, 0);
	syscall(SYS_close_range, input + 1, ~0u, 0);
	/* Ctrl-C before that ends the profile, whose report is then to be shown. */
	signal(SIGINT, SIG_IGN);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	if (!(p.revents & POLLIN))
		_exit(0);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(input, STDIN_FILENO) < 0)
		_exit(126);
	/* Unless the user has options of his own: show colours (R), and end if all fits on one
	 * screen (F). */
	setenv("LESS", "FR", 0);
	/* A user may be allowed to run the profiler as root, and nothing else. So less must not
	 * start other programs. */
	setenv("LESSSECURE", "1", 0);
	execl("/bin/sh", "sh", "-c", program(), (char *)NULL);
	_exit(126);
}

int pager_prepare(struct pager *pager)
{
	int ends[2];

	*pager = (struct pager){};
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pager->pid = fork();
	if (!pager->pid) {
		close(ends[1]);
		wait_and_become(ends[0]);
	}
	close(ends[0]);
	if (pager->pid < 0) {
		close(ends[1]);
		*pager = (struct pager){};
		return -errno;
	}
	pager->fd = ends[1];
	pager->colors = shows_colors(program());
	return 0;
}

FILE *pager_begin(struct pager *pager)
{
	if (pager->pid <= 0)
		return NULL;
	/* The user may end the pager before it has read all of the report. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	pager->file = fdopen(pager->fd, "w");
	return pager->file;
}

bool pager_has_colors(const struct pager *pager)
{
	return pager->colors;
}

int pager_end(struct pager *pager)
{
	int status = 0;

	if (pager->file)
		fclose(pager->file);
	else
		close(pager->fd);
	while (waitpid(pager->pid, &status, 0) < 0 && errno == EINTR)
		;
	*pager = (struct pager){};
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	return status == 126 || status == 127 ? status : 0;
}

void pager_abandon(struct pager *pager)
{
	if (pager->pid > 0)
		pager_end(pager);
}
