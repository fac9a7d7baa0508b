/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the process that interprets a target's memory should have no right to read it, and the
 * process that reads it may hang and must be given up then.
 *
 * So there is a keeper, forked before the program gives up its rights. It does nothing but fork
 * children, one for each snapshot. Neither sees more of a target than what the system calls that
 * read it return. Without a keeper (snapshot_start() was not called) the program itself forks the
 * child, with the rights that it has by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/snapshot_private.h"
#include "os/confine.h"
#include "os/proc.h"
#include "python/examiner.h"
#include "python/examiner_wire.h"

#define END_MS 200

static int control = -1; /* the keeper's socket */

/* --- what a child begins with --- */

/* Closes all descriptors but these two and 0 to 2. Those are made to lead to "/": a reader of our
 * output waits until the last copy of it is closed, and a child may hang. */
static void keep_only(int one, int other)
{
	int low = one < other ? one : other, high = one < other ? other : one;
	int fd = open("/", O_PATH | O_CLOEXEC);

	for (int i = 0; i <= STDERR_FILENO && fd >= 0; i++)
		dup2(fd, i);
	syscall(SYS_close_range, 3, low - 1, 0);
	if (low + 1 < high)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0u, 0);
}

/* Raises the priority: a paused target waits for us. It is a hint, for which a right may be
 * missing. capture_hurry() goes further while the target stands still. */
static void go_first(void)
{
	setpriority(PRIO_PROCESS, 0, -20);
}

/* What a child begins with. Signals of the terminal are for the program to answer, and no memory of
 * a target may end in a core file. */
static void settle(const char *name, int one, int other)
{
	struct rlimit none = {0, 0};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_NAME, name);
	keep_only(one, other);
	/* Only the program asks the examiner. */
	proc_set_memory_reader(NULL);
}

static _Noreturn void be_child(const struct snapshot_request *request, int memory_fd, int socket)
{
	/* Descriptors 0 to 2 will be replaced. */
	memory_fd = fcntl(memory_fd, F_DUPFD_CLOEXEC, 3);
	socket = fcntl(socket, F_DUPFD_CLOEXEC, 3);
	if (memory_fd < 0 || socket < 0)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (request->pause)
		go_first();
	settle("pymem-snapshot", memory_fd, socket);
	snapshot_child_serve(request, memory_fd, socket);
	_exit(0);
}

/* Forks a child. Its PID, and in *pidfd a descriptor that the caller closes; or -errno. */
static pid_t fork_child(const struct snapshot_request *request, int memory_fd, int socket,
			int *pidfd)
{
	pid_t pid = fork();

	if (pid == 0)
		be_child(request, memory_fd, socket);
	if (pid < 0)
		return -errno;
	*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*pidfd < 0) {
		int err = -errno;

		kill(pid, SIGKILL);
		return err;
	}
	return pid;
}

/* --- the keeper --- */

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void answer_request(struct wire_message *request, struct wire_message *answer)
{
	int memory_fd = wire_take_fd(request, 0), socket = wire_take_fd(request, 1), pidfd = -1;
	pid_t pid = -EINVAL;

	answer->head.number = request->head.number;
	if (memory_fd >= 0 && socket >= 0 &&
	    request->head.body_bytes == sizeof(struct snapshot_request))
		pid = fork_child(request->body, memory_fd, socket, &pidfd);
	if (pid > 0) {
		answer->head.a = (uint64_t)pid;
		answer->fds[answer->fd_count++] = pidfd;
	} else {
		answer->head.result = (int)pid;
	}
	if (memory_fd >= 0)
		close(memory_fd);
	if (socket >= 0)
		close(socket);
}

/* The keeper. It ends when its socket is closed, and its children end with it. */
static _Noreturn void keep(int socket, bool trace)
{
	struct wire_message request;
	struct confined confined;

	settle("pymem-keeper", socket, socket);
	signal(SIGCHLD, SIG_DFL);
	if (trace)
		go_first();
	if (confine(CONFINE_READ | (trace ? CONFINE_TRACE | CONFINE_HURRY : 0), &confined))
		_exit(1);
	while (wire_receive(socket, &request) > 0) {
		struct wire_message answer = {.fd_count = 0};
		int err;

		reap();
		answer_request(&request, &answer);
		wire_fini(&request);
		err = wire_send(socket, &answer);
		wire_fini(&answer);
		if (err)
			break;
	}
	_exit(0);
}

int snapshot_start(bool pause)
{
	int pair[2], fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid == 0) {
		fd = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			_exit(1);
		keep(fd, pause);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -errno;
	}
	control = pair[0];
	return 0;
}

void snapshot_stop(void)
{
	if (control >= 0)
		close(control);
	control = -1;
}

/* --- a child, of the keeper or of the program --- */

/* Asks the keeper for a child. It reads nothing of a target: so it answers, unless it has ended or
 * gets no CPU. */
static int ask_keeper(const struct snapshot_request *request, int memory_fd, int socket, int *pidfd)
{
	static uint32_t number;
	struct pollfd p = {.fd = control, .events = POLLIN};
	struct wire_message message = {
		.head = {.number = ++number, .body_bytes = sizeof(*request)},
		.body = (void *)request,
		.fds = {memory_fd, socket},
		.fd_count = 2,
	};
	int err = wire_send(control, &message);
	pid_t pid;

	if (!err && poll(&p, 1, EXAMINER_STARVED_MS) <= 0)
		err = -ETIME;
	if (!err && wire_receive(control, &message) <= 0)
		err = -ENOTCONN;
	if (err) { /* a late answer would be taken for the next one */
		snapshot_stop();
		return err;
	}
	*pidfd = wire_take_fd(&message, 0);
	pid = message.head.result ? message.head.result : (pid_t)message.head.a;
	wire_fini(&message);
	return pid;
}

int snapshot_child_start(const struct snapshot_request *request, int memory_fd, int *socket,
			 int *pidfd)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (control >= 0)
		pid = ask_keeper(request, memory_fd, pair[1], pidfd);
	else
		pid = fork_child(request, memory_fd, pair[1], pidfd);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return pid;
	}
	*socket = pair[0];
	return pid;
}

/* The child is the keeper's to reap, if there is one. Else it is waited for at most END_MS: it may
 * hang in the kernel. */
void snapshot_child_kill(pid_t pid, int pidfd)
{
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	for (int i = 0; i < END_MS && control < 0 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		usleep(1000);
	close(pidfd);
}
