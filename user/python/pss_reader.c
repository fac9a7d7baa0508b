/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The helper reads PIDs from its socket, and answers each with what its examiner says. It ends with
 * the process that has forked it. */
#include "python/pss_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/confine.h"
#include "python/examiner.h"

#define END_MS 300

/* --- the helper --- */

static void answer(pid_t pid, bool has_file, struct pss_answer *answer)
{
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	*answer = (struct pss_answer){.error = -ENOTSUP};
	if (has_file)
		answer->error = examiner_read_rollup(pid, &answer->rollup);
	answer->took_ns = clock_ns(CLOCK_MONOTONIC) - begin;
}

/* The parent's descriptors are none of the helper's, nor of the examiner's, which it forks. Of the
 * standard ones it keeps stderr. 0 or -errno. */
static int leave_all_else(int socket)
{
	const struct rlimit none = {0, 0};
	int nothing = open("/", O_PATH | O_CLOEXEC);

	if (nothing < 0)
		return -errno;
	for (int i = 0; i <= STDOUT_FILENO; i++)
		dup2(nothing, i);
	if (socket > STDERR_FILENO + 1)
		syscall(SYS_close_range, STDERR_FILENO + 1, socket - 1, 0);
	syscall(SYS_close_range, socket + 1, ~0u, 0);
	return setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}

static void serve(int socket, pid_t parent)
{
	/* Without CONFIG_PROC_PAGE_MONITOR no process has it. */
	bool has_file = !access("/proc/self/smaps_rollup", F_OK);
	struct confined confined;
	struct pss_answer now;
	int32_t pid;

	prctl(PR_SET_NAME, "pymem-pss");
	/* Ctrl-C is for the parent, with which this helper ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (leave_all_else(socket) || examiner_start(NULL) ||
	    confine(CONFINE_EXAMINE | CONFINE_RELAY, &confined))
		_exit(1);
	/* After confine(), which may undo it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent && recv(socket, &pid, sizeof(pid), 0) == sizeof(pid)) {
		answer(pid, has_file, &now);
		if (send(socket, &now, sizeof(now), MSG_NOSIGNAL) != sizeof(now))
			break;
	}
	examiner_stop();
	_exit(0);
}

/* --- who asks --- */

int pss_reader_fork(struct pss_reader *reader)
{
	pid_t parent = getpid();
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	reader->helper = fork();
	err = -errno;
	if (!reader->helper) {
		close(ends[0]);
		serve(ends[1], parent);
	}
	close(ends[1]);
	/* The parent may give up kill(2). */
	if (reader->helper > 0) {
		reader->pidfd = (int)syscall(SYS_pidfd_open, reader->helper, 0);
		err = -errno;
	}
	if (reader->helper < 0 || reader->pidfd < 0) {
		/* One that runs ends with its socket. */
		reader->helper = 0;
		close(ends[0]);
		return err;
	}
	reader->socket = ends[0];
	return 0;
}

int pss_reader_ask(const struct pss_reader *reader, pid_t pid)
{
	int32_t number = pid;
	ssize_t sent = send(reader->socket, &number, sizeof(number), MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent == sizeof(number) ? 0 : sent < 0 ? -errno : -EPIPE;
}

int pss_reader_take(const struct pss_reader *reader, struct pss_answer *answer)
{
	ssize_t got = recv(reader->socket, answer, sizeof(*answer), MSG_DONTWAIT);

	if (got == sizeof(*answer))
		return 0;
	if (got < 0 && errno == EINTR)
		return -EAGAIN;
	return got < 0 ? -errno : -EPIPE;
}

void pss_reader_end(struct pss_reader *reader)
{
	unsigned ms = 0;
	pid_t ended;

	if (!reader->helper)
		return;
	/* It ends its examiner and itself, unless it waits for that one. */
	shutdown(reader->socket, SHUT_RDWR);
	close(reader->socket);
	while (!(ended = waitpid(reader->helper, NULL, WNOHANG)) && ms++ < END_MS)
		usleep(1000);
	if (!ended) {
		syscall(SYS_pidfd_send_signal, reader->pidfd, SIGKILL, NULL, 0);
		waitpid(reader->helper, NULL, 0);
	}
	close(reader->pidfd);
	*reader = (struct pss_reader){};
}
