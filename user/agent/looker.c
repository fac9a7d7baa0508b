/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a look at a heap takes rights that the agent has given up, memory as the target has, and
 * seconds. And it reads what hostile programs wrote.
 *
 * So the helper keeps the rights of an examiner, and no BPF; it starts no program, and opens no
 * file for writing. A request is a struct of fixed size, and the helper reads nothing of a target
 * itself: a child does, which gives up more. If memory runs out, these two are the first to be
 * killed. */
#include "agent/looker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_status.h"
#include "os/confine.h"
#include "os/proc.h"

#define FILES	    5 /* of an answer: text, JSON, verdict, messages, the look in brief */
#define OOM_LAST    "1000"
#define STATUS_FULL 100 /* of a child whose files were full; no exit status of a command */

/* --- the child --- */

/* Cuts the file where what was written ends. False: some of that is not in it. */
static bool end_file(FILE *file)
{
	bool whole = !fflush(file) && !ferror(file);
	off_t end = ftello(file);

	return end >= 0 && !ftruncate(fileno(file), end) && whole;
}

_Noreturn static void look(looker_heap_fn *heap, const struct looker_request *request,
			   const int files[FILES])
{
	FILE *text = fdopen(files[0], "w"), *json = fdopen(files[1], "w"),
	     *verdict = fdopen(files[2], "w"), *brief = fdopen(files[4], "w");
	int status = EXIT_FAILED;
	bool whole;

	if (text && json && verdict && brief && dup2(files[3], STDERR_FILENO) >= 0) {
		status = heap(request->pid, request->start_ticks, text, json, verdict, brief);
		/* A verdict that is cut says enough. */
		end_file(verdict);
		end_file(brief); /* one that is cut is none */
		whole = end_file(text);
		whole = end_file(json) && whole;
		if (!whole)
			status = STATUS_FULL;
	}
	/* What the agent has asked for at its end is not this process's to do. */
	_exit(status);
}

static pid_t begin(int socket, looker_heap_fn *heap, const struct looker_request *request,
		   const int files[FILES])
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "pymem-look");
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	close(socket);
	look(heap, request, files);
}

/* --- the helper --- */

/* Waits until the child ends, the agent does, or the time is over. True: the child has ended. */
static bool wait_for(int child, int socket, unsigned most_ms)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC), end = now + most_ms;
	struct pollfd polled[] = {{.fd = child, .events = POLLIN}, {.fd = socket}};

	for (; now < end; now = clock_ms(CLOCK_MONOTONIC)) {
		if (poll(polled, 2, (int)(end - now)) <= 0)
			continue;
		if (polled[0].revents)
			return true;
		if (polled[1].revents)
			return false;
	}
	return false;
}

static bool is_meant(const struct looker_request *request)
{
	return proc_start_ticks(request->pid) == request->start_ticks;
}

static enum looker_result result_of(int status, bool in_time, const struct looker_request *request)
{
	if (!in_time)
		return LOOKER_LATE;
	if (!WIFEXITED(status))
		return LOOKER_DIED;
	/* The child has made sure which process it was. If that has ended since, the look is as
	 * good: who nears a limit is killed soon. */
	if (!WEXITSTATUS(status))
		return LOOKER_MADE;
	if (WEXITSTATUS(status) == STATUS_FULL)
		return LOOKER_TOO_MUCH;
	return is_meant(request) ? LOOKER_FAILED : LOOKER_ENDED;
}

/* The RSS in bytes. For statm nobody waits: the kernel reads counters, which may lag by some pages
 * for each CPU. 0: not known. */
static uint64_t rss_of(pid_t pid)
{
	char text[128];
	ssize_t len = proc_file_read(pid, "statm", text, sizeof(text) - 1);
	unsigned long long pages = 0;

	if (len < 0)
		return 0;
	text[len] = '\0';
	return sscanf(text, "%*u %llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static enum looker_result run(int socket, looker_heap_fn *heap, unsigned most_ms,
			      const struct looker_request *request, const int files[FILES])
{
	uint64_t rss = rss_of(request->pid);
	pid_t child;
	int pidfd, status = 0;
	bool in_time;

	if (!is_meant(request))
		return LOOKER_ENDED;
	/* It may have waited for its turn, and have grown. */
	if (rss > request->rss_most)
		return LOOKER_TOO_LARGE;
	child = begin(socket, heap, request, files);
	if (child < 0)
		return LOOKER_NO_ROOM;
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	in_time = pidfd >= 0 && wait_for(pidfd, socket, most_ms);
	if (!in_time)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (pidfd < 0)
		return LOOKER_NO_ROOM;
	close(pidfd);
	return result_of(status, in_time, request);
}

/* The result, with as many of the files as there are. */
static bool send_answer(int socket, enum looker_result result, const int files[FILES], size_t count)
{
	union {
		char bytes[CMSG_SPACE(FILES * sizeof(int))];
		struct cmsghdr header;
	} control = {};
	int32_t number = (int32_t)result;
	struct iovec data = {&number, sizeof(number)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), files, count * sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof(number);
}

/* A file in memory that can't grow beyond `most` bytes. A descriptor, or -1. */
static int new_file(uint64_t most)
{
	int fd = memfd_create("look", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && !ftruncate(fd, (off_t)most) && !fcntl(fd, F_ADD_SEALS, F_SEAL_GROW))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool answer(int socket, looker_heap_fn *heap, unsigned most_ms,
		   const struct looker_request *request)
{
	const uint64_t most[FILES] = {request->file_most, request->file_most, LOOKER_VERDICT_MOST,
				      LOOKER_SAID_MOST, LOOKER_BRIEF_MOST};
	enum looker_result result = LOOKER_NO_ROOM;
	int files[FILES];
	size_t count = 0;
	bool sent;

	while (count < FILES && (files[count] = new_file(most[count])) >= 0)
		count++;
	if (count == FILES)
		result = run(socket, heap, most_ms, request, files);
	sent = send_answer(socket, result, files, count == FILES ? count : 0);
	while (count)
		close(files[--count]);
	return sent;
}

/* Of the processes of this service, a look is the first to be killed for want of memory. */
static void be_killed_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* If it fails, the kernel chooses by size. */
	(void)!write(fd, OOM_LAST, strlen(OOM_LAST));
	close(fd);
}

static void serve(int socket, looker_heap_fn *heap, unsigned most_ms, pid_t parent)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct rlimit none = {0, 0};
	int nothing = open("/", O_PATH | O_CLOEXEC);
	struct looker_request request;
	struct confined confined;

	prctl(PR_SET_NAME, "pymem-looker");
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	/* If it were ignored, as the agent may have it from its parent, waitpid() would find
	 * nothing. */
	signal(SIGCHLD, SIG_DFL);
	be_killed_first();
	for (int i = 0; i <= STDOUT_FILENO && nothing >= 0; i++)
		dup2(nothing, i);
	/* It needs none of the agent's, and leaves no copy of a target's memory. */
	syscall(SYS_close_range, STDERR_FILENO + 1, socket - 1, 0);
	syscall(SYS_close_range, socket + 1, ~0u, 0);
	setrlimit(RLIMIT_CORE, &none);
	/* Its limits depend on the seccomp filter: without it, there are no looks. */
	if (nothing < 0 || confine(CONFINE_READ | CONFINE_EXAMINE, &confined) ||
	    confined.filter_error)
		_exit(EXIT_FAILED);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent &&
	       recv(socket, &request, sizeof(request), 0) == sizeof(request) && request.pid > 0 &&
	       answer(socket, heap, most_ms, &request))
		;
	_exit(0);
}

/* --- the agent's side --- */

int looker_fork(struct looker *looker, looker_heap_fn *heap, unsigned most_ms)
{
	pid_t parent = getpid();
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	looker->helper = fork();
	err = -errno;
	if (!looker->helper) {
		close(ends[0]);
		serve(ends[1], heap, most_ms, parent);
	}
	close(ends[1]);
	if (looker->helper > 0) {
		looker->pidfd = (int)syscall(SYS_pidfd_open, looker->helper, 0);
		err = -errno;
	}
	if (looker->helper < 0 || looker->pidfd < 0) {
		/* One that runs ends with its socket. */
		looker->helper = 0;
		close(ends[0]);
		return err;
	}
	looker->socket = ends[0];
	return 0;
}

int looker_ask(const struct looker *looker, const struct looker_request *request)
{
	ssize_t sent = send(looker->socket, request, sizeof(*request), MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent == sizeof(*request) ? 0 : sent < 0 ? -errno : -EPIPE;
}

/* The descriptors of a message, if they are those of an answer; others are closed. */
static void take_files(struct msghdr *message, int files[FILES])
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
	     header = CMSG_NXTHDR(message, header)) {
		int came[FILES];
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
		    count > FILES)
			continue;
		memcpy(came, CMSG_DATA(header), count * sizeof(int));
		if (count == FILES) {
			memcpy(files, came, sizeof(came));
			continue;
		}
		while (count)
			close(came[--count]);
	}
}

int looker_take(const struct looker *looker, struct looker_answer *answer)
{
	union {
		char bytes[CMSG_SPACE(FILES * sizeof(int))];
		struct cmsghdr header;
	} control = {};
	int32_t number = LOOKER_FAILED;
	struct iovec data = {&number, sizeof(number)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(looker->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int files[FILES] = {-1, -1, -1, -1, -1};

	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	take_files(&message, files);
	*answer = (struct looker_answer){
		(enum looker_result)number, files[0], files[1], files[2], files[3], files[4]};
	if (got == sizeof(number) && !(message.msg_flags & MSG_TRUNC))
		return 0;
	looker_close(answer);
	return -EPIPE;
}

void looker_close(struct looker_answer *answer)
{
	const int files[FILES] = {answer->text, answer->json, answer->verdict, answer->said,
				  answer->brief};

	for (int i = 0; i < FILES; i++)
		if (files[i] >= 0)
			close(files[i]);
	answer->text = answer->json = answer->verdict = answer->said = answer->brief = -1;
}

void looker_end(struct looker *looker)
{
	if (!looker->helper)
		return;
	/* A look that goes on is killed with it. */
	close(looker->socket);
	syscall(SYS_pidfd_send_signal, looker->pidfd, SIGKILL, NULL, 0);
	waitpid(looker->helper, NULL, 0);
	close(looker->pidfd);
	*looker = (struct looker){};
}
