/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: an examiner may hang for ever; then another one is needed. But by then the program has
 * given up its rights, holds BPF programs that must end with it, and has much memory.
 *
 * So the program forks once, early, a keeper. It does nothing but fork examiners from its own small
 * self. A target's data reach both of them only as answers of system calls. Both have only the
 * capabilities that reading takes. Ctrl-C goes to all processes of a terminal, so both ignore
 * signals: they end when their socket is closed, however the program ends. A stopped process would
 * not see that; so it is continued when its parent ends. */
#include "python/examiner_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "os/confine.h"
#include "os/pagemap.h"
#include "python/examiner.h"
#include "python/examiner_wire.h"
#include "os/source_read.h"

/* A limit for the address space, into which a source of the largest size fits. A sanitizer needs
 * more for itself. */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_MAX RLIM_INFINITY
#else
#define MEMORY_MAX (2ull << 30)
#endif

/* --- what an examiner does --- */

static struct py_image_cache *cache;

static int reply(int fd, struct wire_message *answer, void *body, size_t size)
{
	answer->head.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	answer->body = body;
	answer->head.body_bytes = size;
	return wire_send(fd, answer);
}

static int do_identify(int fd, struct wire_message *answer)
{
	static struct py_process process;

	budget_begin();
	answer->head.result = py_process_identify(cache, answer->head.pid, &process);
	budget_end();
	return reply(fd, answer, &process, sizeof(process));
}

static size_t argv_bytes(const struct proc_info *info)
{
	size_t bytes = 0;

	for (int i = 0; i < info->argc; i++)
		bytes += strlen(info->argv[i]) + 1;
	return bytes;
}

static void *put(void *at, const void *data, size_t size)
{
	memcpy(at, data, size);
	return (char *)at + size;
}

/* The description with all that follows it, in one piece. The caller frees it. NULL: out of
 * memory. */
static char *pack(const struct proc_info *info, const struct rights *rights, double start_wall,
		  size_t *size)
{
	struct wire_description d = {
		.pid = info->pid,
		.ppid = info->ppid,
		.ns_pid = info->ns_pid,
		.start_ticks = info->start_ticks,
		.start_wall = start_wall,
		.kernel_thread = info->kernel_thread,
		.argc = (uint32_t)info->argc,
		.state = info->state,
		.rights_bytes = rights ? rights_size(rights) : 0,
		.argv_bytes = argv_bytes(info),
		.cgroup_bytes = strlen(info->cgroup) + 1,
	};
	char *body, *at;

	memcpy(d.comm, info->comm, sizeof(d.comm));
	*size = sizeof(d) + d.rights_bytes + d.argv_bytes + d.cgroup_bytes;
	body = at = malloc(*size);
	if (!body)
		return NULL;
	at = put(at, &d, sizeof(d));
	at = put(at, rights, d.rights_bytes);
	for (int i = 0; i < info->argc; i++)
		at = put(at, info->argv[i], strlen(info->argv[i]) + 1);
	put(at, info->cgroup, d.cgroup_bytes);
	return body;
}

static void add_fd(struct wire_message *message, int fd, uint32_t which)
{
	if (fd < 0)
		return;
	message->fds[message->fd_count++] = fd;
	message->head.has |= which;
}

static int do_describe(int fd, struct wire_message *answer)
{
	pid_t pid = answer->head.pid;
	struct rights rights;
	struct proc_info info;
	char *body = NULL;
	size_t size = 0;
	int root, cwd, err = proc_info_read(pid, &info);

	if (!err) {
		bool known = !rights_of(pid, &rights);

		source_root_find(pid, &root, &cwd);
		add_fd(answer, root, WIRE_HAS_ROOT);
		add_fd(answer, cwd, WIRE_HAS_CWD);
		body = pack(&info, known ? &rights : NULL, proc_start_wall(pid), &size);
		err = !body ? -ENOMEM : proc_start_ticks(pid) != info.start_ticks ? -ESRCH : 0;
		proc_info_fini(&info);
	}
	answer->head.result = err;
	err = reply(fd, answer, err ? NULL : body, err ? 0 : size);
	for (unsigned i = 0; i < answer->fd_count; i++)
		close(answer->fds[i]);
	free(body);
	return err;
}

static int do_rss(int fd, struct wire_message *answer)
{
	answer->head.a = (uint64_t)proc_rss_bytes(answer->head.pid);
	return reply(fd, answer, NULL, 0);
}

static int do_memory(int fd, struct wire_message *answer)
{
	uint64_t size = answer->head.b;
	void *memory;
	ssize_t n;
	int err;

	memory = malloc(size + 1);
	n = memory ? proc_read_memory(answer->head.pid, answer->head.a, memory, size) : -ENOMEM;
	answer->head.result = n < 0 ? (int)n : 0;
	err = reply(fd, answer, memory, n < 0 ? 0 : (size_t)n);
	free(memory);
	return err;
}

static int do_pages(int fd, struct wire_message *answer)
{
	struct pagemap_run *runs;
	size_t count;
	int err;

	answer->head.result =
		pagemap_read(answer->head.pid, (enum pagemap_kind)answer->head.a, &runs, &count);
	err = reply(fd, answer, runs, count * sizeof(*runs));
	free(runs);
	return err;
}

static int do_proc(int fd, const struct wire_message *request, struct wire_message *answer)
{
	uint64_t size = answer->head.b;
	char *text = malloc(size + 1);
	ssize_t n = -ENOMEM;
	int err;

	if (text && request->body)
		n = proc_file_read(answer->head.pid, request->body, text, size);
	answer->head.result = n < 0 ? (int)n : 0;
	err = reply(fd, answer, text, n < 0 ? 0 : (size_t)n);
	free(text);
	return err;
}

static int do_probes(int fd, const struct wire_message *request, struct wire_message *answer)
{
	static struct probe_file file;
	int err;

	budget_begin();
	budget_begin_file();
	if (request->head.op == WIRE_PROBES)
		err = probe_file_open_mapped(request->head.pid, request->head.a, request->head.b,
					     &file);
	else
		err = probe_file_open_program(request->body, (unsigned)request->head.a, &file);
	budget_end();
	answer->head.result = err;
	if (!err)
		answer->fds[answer->fd_count++] = file.fd;
	err = reply(fd, answer, &file, err ? 0 : sizeof(file));
	for (unsigned i = 0; i < answer->fd_count; i++)
		close(answer->fds[i]);
	return err;
}

static int do_find_collector(int fd, struct wire_message *answer)
{
	void *body;
	size_t size;

	budget_begin();
	answer->head.result = examiner_do_find_collector(cache, answer->head.pid, &body, &size);
	budget_end();
	return reply(fd, answer, body, size);
}

static int do_count(int fd, const struct wire_message *request, struct wire_message *answer)
{
	void *body;
	size_t size;

	examiner_do_count(request->body, request->head.body_bytes, &body, &size);
	return reply(fd, answer, body, size);
}

static int do_source(int fd, const struct wire_message *request, struct wire_message *answer)
{
	static struct rights rights;
	struct source_text text = {.state = SOURCE_UNREADABLE};
	uint64_t rights_bytes = request->head.a;
	unsigned next = 0;
	int root = -1, cwd = -1, err;

	if (request->head.has & WIRE_HAS_ROOT)
		root = request->fds[next++];
	if (request->head.has & WIRE_HAS_CWD)
		cwd = request->fds[next];
	if (rights_bytes <= sizeof(rights) && rights_bytes < request->head.body_bytes) {
		memcpy(&rights, request->body, rights_bytes);
		source_read_file(root, cwd, &rights, (const char *)request->body + rights_bytes,
				 &text);
	}
	answer->head.result = (int32_t)text.state;
	memcpy(&answer->head.a, &text.changed, sizeof(text.changed));
	err = reply(fd, answer, text.data, text.size);
	free(text.data);
	return err;
}

static int answer_request(int fd, const struct wire_message *request)
{
	struct wire_message answer = {.head = {.number = request->head.number,
					       .op = request->head.op,
					       .pid = request->head.pid,
					       .a = request->head.a,
					       .b = request->head.b}};

	switch (request->head.op) {
	case WIRE_IDENTIFY:
		return do_identify(fd, &answer);
	case WIRE_DESCRIBE:
		return do_describe(fd, &answer);
	case WIRE_RSS:
		return do_rss(fd, &answer);
	case WIRE_MEMORY:
		return do_memory(fd, &answer);
	case WIRE_SOURCE:
		return do_source(fd, request, &answer);
	case WIRE_PROBES:
	case WIRE_PROGRAM:
		return do_probes(fd, request, &answer);
	case WIRE_PAGES:
		return do_pages(fd, &answer);
	case WIRE_COLLECTOR:
		return do_find_collector(fd, &answer);
	case WIRE_COLLECTIONS:
		return do_count(fd, request, &answer);
	case WIRE_PROC:
		return do_proc(fd, request, &answer);
	default:
		return -EBADMSG;
	}
}

/* SIGCONT continues a stopped process even if the signal is blocked. Changing the user resets this
 * setting, so it is made again after each request. */
static void continue_at_parents_end(void)
{
	prctl(PR_SET_PDEATHSIG, SIGCONT);
}

void examiner_serve(int fd)
{
	struct wire_message request;
	int err;

	cache = py_image_cache_new();
	continue_at_parents_end();
	while (cache && wire_receive(fd, &request) > 0) {
		err = answer_request(fd, &request);
		wire_fini(&request);
		continue_at_parents_end();
		if (err)
			break;
	}
	py_image_cache_free(cache);
	cache = NULL;
}

/* --- the keeper --- */

#define CHILDREN_MAX (EXAMINER_STUCK_MAX + 2)
#define END_MS	     50

static pid_t children[CHILDREN_MAX];

static void reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (size_t i = 0; i < CHILDREN_MAX; i++) {
			if (children[i] == pid)
				children[i] = 0;
		}
	}
}

static _Noreturn void be_examiner(int control, int fd)
{
	struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};

	close(control);
	prctl(PR_SET_NAME, "pymem-examiner");
	setrlimit(RLIMIT_AS, &memory);
	examiner_serve(fd);
	_exit(0);
}

/* Starts an examiner. The answer gets its PID and descriptors of its socket and of it, or
 * -errno. */
static int start_one(int control, struct wire_message *answer)
{
	size_t slot = 0;
	int pair[2], pidfd, err;
	pid_t pid;

	reap();
	while (slot < CHILDREN_MAX && children[slot])
		slot++;
	if (slot == CHILDREN_MAX)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		be_examiner(control, pair[1]);
	}
	err = pid < 0 ? -errno : 0;
	close(pair[1]);
	pidfd = err ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (!err && pidfd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
	}
	if (!err || pid > 0)
		children[slot] = pid;
	if (err) {
		close(pair[0]);
		return err;
	}
	answer->head.a = (uint64_t)pid;
	answer->fds[0] = pair[0];
	answer->fds[1] = pidfd;
	answer->fd_count = 2;
	return 0;
}

static void leave_all_else(int control)
{
	struct rlimit none = {0, 0};
	struct confined confined;
	sigset_t all;
	int fd;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_DFL); /* if SIGCHLD were ignored, waitpid() would find nothing */
	setrlimit(RLIMIT_CORE, &none);
	/* A program that reads our output waits until all descriptors of it are closed. A helper
	 * that hangs must not keep one. */
	fd = open("/", O_PATH | O_CLOEXEC);
	for (int i = 0; i <= STDERR_FILENO && fd >= 0; i++)
		dup2(fd, i);
	syscall(SYS_close_range, 3, control - 1, 0);
	syscall(SYS_close_range, control + 1, ~0u, 0);
	if (confine(CONFINE_READ, &confined))
		_exit(1);
}

/* Kills the examiners. Waits a moment for those that can die, since the init process of some
 * containers waits for nobody. */
static void end_children(void)
{
	reap();
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		if (children[i] > 0)
			kill(children[i], SIGKILL);
	}
	for (int i = 0; i < END_MS && waitpid(-1, NULL, WNOHANG) >= 0; i++)
		usleep(1000);
}

void examiner_keep(int control)
{
	struct wire_message request;

	if (control <= STDERR_FILENO)
		_exit(1);
	prctl(PR_SET_NAME, "pymem-keeper");
	leave_all_else(control);
	continue_at_parents_end();
	while (wire_receive(control, &request) > 0) {
		struct wire_message answer = {.head.number = request.head.number};
		int err;

		wire_fini(&request);
		answer.head.result = start_one(control, &answer);
		err = wire_send(control, &answer);
		wire_fini(&answer);
		if (err)
			break;
	}
	end_children();
	_exit(0);
}
