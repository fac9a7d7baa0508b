/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parent's side: it starts the child that collects, ends it, and reads the results that the
 * child wrote. The results come from the target's memory, so they are checked and bounded. */
#include "heap/births.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "heap/births_child.h"
#include "heap/births_results.h"

#define FINISH_MS 20000 /* a burst, a detach and the last look, on a busy machine */
#define END_MS	  200
#define KEPT_FROM 100 /* the child moves the descriptors that it keeps to this number and above */

struct births {
	pid_t child;
	int socket, results_fd;
	int error; /* -errno: why the child was not told to collect; 0 */
	struct births_request request;
	struct births_results results;
};

/* --- the child --- */

static void leave_terminal(void)
{
	struct rlimit none = {0, 0}, unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_CORE, &none);
	/* Before 5.11 maps and programs count against this limit. The right to raise it is given up
	 * soon. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	prctl(PR_SET_NAME, "pymem-births");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

/* Reads the request, which may come in pieces. NULL: the parent has closed the socket, or there is
 * no memory. The caller frees it. */
static struct births_request *await_request(int socket)
{
	struct births_request *request = malloc(sizeof(*request));
	size_t have = 0;

	while (request && have < sizeof(*request)) {
		ssize_t n = read(socket, (char *)request + have, sizeof(*request) - have);

		if (n > 0) {
			have += (size_t)n;
			continue;
		}
		free(request);
		request = NULL;
	}
	return request;
}

static void be_child(int results_fd, int socket)
{
	struct births_request *request;
	FILE *results;
	int fd;

	leave_terminal();
	results_fd = fcntl(results_fd, F_DUPFD_CLOEXEC, KEPT_FROM);
	socket = fcntl(socket, F_DUPFD_CLOEXEC, KEPT_FROM);
	/* A reader of our output waits until its last descriptor is closed: the child must not keep
	 * 0 to 2. */
	fd = open("/", O_PATH | O_CLOEXEC);
	for (int i = 0; i <= STDERR_FILENO && fd >= 0; i++)
		dup2(fd, i);
	syscall(SYS_close_range, STDERR_FILENO + 1, KEPT_FROM - 1, 0);
	results = fdopen(results_fd, "w");
	request = results && socket >= 0 ? await_request(socket) : NULL;
	if (request)
		births_child_serve(request, results, socket);
	_exit(0);
}

int heap_births_prepare(struct births **result)
{
	struct births *births = calloc(1, sizeof(*births));
	int pair[2] = {-1, -1}, err = 0;

	*result = NULL;
	if (!births)
		return -ENOMEM;
	births->socket = -1;
	births->results_fd = memfd_create("births", MFD_CLOEXEC);
	if (births->results_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		err = -errno;
	births->child = err ? -1 : fork();
	if (births->child == 0) {
		close(pair[0]);
		be_child(births->results_fd, pair[1]);
	}
	if (!err && births->child < 0)
		err = -errno;
	if (pair[1] >= 0)
		close(pair[1]);
	births->socket = pair[0];
	if (err) {
		heap_births_free(births);
		return err;
	}
	*result = births;
	return 0;
}

struct births_request *heap_births_request(struct births *births)
{
	return &births->request;
}

void heap_births_give_up(struct births *births, int err)
{
	births->error = err;
}

void heap_births_begin(struct births *births)
{
	size_t sent = 0;

	while (sent < sizeof(births->request)) {
		ssize_t n = send(births->socket, (const char *)&births->request + sent,
				 sizeof(births->request) - sent, MSG_NOSIGNAL);

		if (n < 0) {
			heap_births_give_up(births, -errno);
			return;
		}
		sent += (size_t)n;
	}
}

static void end_child(struct births *births)
{
	if (births->socket >= 0)
		close(births->socket);
	births->socket = -1;
	if (births->child <= 0)
		return;
	kill(births->child, SIGKILL);
	/* A child that hangs in the kernel can't die yet: it is waited for no longer than that. */
	for (int i = 0; i < END_MS && waitpid(births->child, NULL, WNOHANG) == 0; i++)
		usleep(1000);
	births->child = 0;
}

/* --- results --- */

static int read_results(struct births *births)
{
	struct stat st;
	void *map;
	int err;

	if (fstat(births->results_fd, &st))
		return -errno;
	if (!st.st_size || st.st_size > BIRTHS_RESULTS_MAX)
		return -EINVAL;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, births->results_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	err = births_results_read(&births->results, map, (size_t)st.st_size);
	munmap(map, (size_t)st.st_size);
	return err;
}

int heap_births_finish(struct births *births)
{
	struct pollfd p = {.fd = births->socket, .events = POLLIN};
	char none;

	if (births->error) {
		end_child(births);
		return births->error;
	}
	/* The child ends when it reads the end of the stream. That closes its socket, so we read
	 * the end in turn. */
	shutdown(births->socket, SHUT_WR);
	if (poll(&p, 1, FINISH_MS) <= 0 || read(births->socket, &none, 1) != 0) {
		end_child(births);
		return -ETIME;
	}
	end_child(births);
	return read_results(births);
}

void heap_births_free(struct births *births)
{
	if (!births)
		return;
	end_child(births);
	if (births->results_fd >= 0)
		close(births->results_fd);
	births_results_fini(&births->results);
	free(births);
}

const struct births_figures *heap_births_figures(const struct births *births)
{
	return &births->results.figures;
}

int heap_births_rows(const struct births *births, const struct heap_graph *graph,
		     const struct heap_blocks *blocks, const struct heap_types *types,
		     const struct holder *holders, size_t holder_count,
		     struct heap_birth_row **rows, size_t *count)
{
	return births_results_rows(&births->results, graph, blocks, types, holders, holder_count,
				   rows, count);
}
