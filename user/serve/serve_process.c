/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a PID may be reused, so what is read from /proc may belong to two processes, one after
 * the other.
 *
 * So a descriptor of the process (pidfd) is opened first. What /proc said meanwhile belongs to that
 * process if it has not ended afterwards. Only files that the process can't hold up are read: not
 * its command line, which lies in its own memory. */
#include "serve/serve_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/account.h"
#include "os/proc.h"

/* Reads a file of /proc/PID. Returns its length or -errno. `st`, if not NULL, becomes that of
 * fstat(). */
static ssize_t read_proc(pid_t pid, const char *name, char *text, size_t size, struct stat *st)
{
	char path[64];
	size_t have = 0;
	ssize_t n = 0;
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (st && fstat(fd, st))
		err = -errno;
	while (!err && have < size) {
		n = read(fd, text + have, size - have);
		if (n < 0)
			err = errno == ENOENT ? -ESRCH : -errno;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	close(fd);
	return err ? err : (ssize_t)have;
}

int serve_creds_read(pid_t pid, struct serve_creds *creds)
{
	char text[8192];
	struct stat st;
	ssize_t n = read_proc(pid, "status", text, sizeof(text), &st);

	if (n < 0)
		return (int)n;
	creds->owner = st.st_uid;
	creds->userns = account_namespace_of(pid);
	return serve_creds_parse(text, (size_t)n, creds);
}

bool serve_process_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) != 0;
}

static enum pymem_serve_status gone(pid_t pid, char *why, size_t size)
{
	snprintf(why, size, "pid %d: no such process, or it has ended", pid);
	return PYMEM_SERVE_NO_PROCESS;
}

static enum pymem_serve_status check(const struct serve_peer *peer, struct serve_process *process,
				     uint64_t start_ticks, char *why, size_t size)
{
	struct proc_info info = {};
	struct serve_creds creds;
	pid_t pid = process->pid;
	const char *refusal;
	char text[1024];
	ssize_t n;

	n = read_proc(pid, "stat", text, sizeof(text), NULL);
	if (n < 0 || proc_stat_parse(text, (size_t)n, &info) || serve_creds_read(pid, &creds) ||
	    serve_process_ended(process->pidfd))
		return gone(pid, why, size);
	/* Before anything else, and without the name: the peer may not even see the process. */
	refusal = serve_access_refusal(peer, &creds);
	if (refusal) {
		snprintf(why, size, "pid %d: %s", pid, refusal);
		return PYMEM_SERVE_NOT_PERMITTED;
	}
	if (start_ticks && start_ticks != info.start_ticks) {
		snprintf(why, size,
			 "pid %d (%s): is another process, which got that PID after yours ended",
			 pid, info.comm);
		return PYMEM_SERVE_NO_PROCESS;
	}
	if (info.kernel_thread || info.state == 'Z' || info.state == 'X') {
		snprintf(why, size, "pid %d (%s): %s", pid, info.comm,
			 info.kernel_thread ? "is a kernel thread, which has no memory of its own"
					    : "has ended already");
		return PYMEM_SERVE_NO_PROCESS;
	}
	process->start_ticks = info.start_ticks;
	return PYMEM_SERVE_OK;
}

enum pymem_serve_status serve_process_open(const struct serve_peer *peer, pid_t pid,
					   uint64_t start_ticks, struct serve_process *process,
					   char *why, size_t size)
{
	enum pymem_serve_status status;
	struct serve_creds creds;

	*process = (struct serve_process){.pid = pid, .pidfd = -1};
	if (pid <= 0)
		return gone(pid, why, size);
	process->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process->pidfd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
		snprintf(why, size, "pid %d: %s", pid, strerror(errno));
		return PYMEM_SERVE_FAILED;
	}
	if (process->pidfd < 0) {
		/* A thread has a folder in /proc, but no pidfd. */
		if (!serve_creds_read(pid, &creds) && creds.tgid != pid &&
		    !serve_access_refusal(peer, &creds)) {
			snprintf(why, size, "pid %d: is a thread of process %d: ask for that", pid,
				 creds.tgid);
			return PYMEM_SERVE_NO_PROCESS;
		}
		return gone(pid, why, size);
	}
	status = check(peer, process, start_ticks, why, size);
	if (status != PYMEM_SERVE_OK) {
		close(process->pidfd);
		process->pidfd = -1;
	}
	return status;
}

bool serve_process_still_allowed(const struct serve_peer *peer, const struct serve_process *process)
{
	struct serve_creds creds;

	return !serve_creds_read(process->pid, &creds) && !serve_process_ended(process->pidfd) &&
	       !serve_access_refusal(peer, &creds);
}
