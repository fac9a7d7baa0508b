/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The helper reads PIDs from its socket. For each it runs the heap command in a child, and answers
 * with a header and what the child has printed. It ends with the recorder. */
#include "cli/profile_looks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "cli/command.h"

#define ANSWER_MOST (32u << 20)
#define LOOK_MS	    300000 /* the longest that one may take */
#define NS	    1e9

struct header {
	int32_t error;	/* -errno; 0: the look follows, in JSON, packed by zlib */
	uint32_t size;	/* of what follows */
	uint32_t whole; /* unpacked */
};

/* --- the helper --- */

static void run_command(int32_t pid, int out)
{
	char number[16];
	char *argv[] = {"heap", "-p", number, "--format", "json", "-q", NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(number, sizeof(number), "%d", (int)pid);
	/* What it complains of goes nowhere: processes end, and others can't be looked at. */
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
		_exit(EXIT_FAILED);
	exit(command_run(&command_heap, 6, argv));
}

/* Reads what the child prints, up to its end. 0 or -errno. */
static int collect(int from, char **text, size_t *size)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + LOOK_MS, now;
	struct pollfd polled = {.fd = from, .events = POLLIN};
	size_t room = 0;
	ssize_t got;

	*text = NULL;
	*size = 0;
	while ((now = clock_ms(CLOCK_MONOTONIC)) < end) {
		if (poll(&polled, 1, (int)(end - now)) <= 0)
			continue;
		if (room - *size < 65536) {
			char *larger = room < ANSWER_MOST ? realloc(*text, room + (1 << 20)) : NULL;

			if (!larger)
				return room < ANSWER_MOST ? -ENOMEM : -EFBIG;
			*text = larger;
			room += 1 << 20;
		}
		got = read(from, *text + *size, room - *size);
		if (got <= 0)
			return got ? -errno : 0;
		*size += (size_t)got;
	}
	return -ETIME;
}

static int look(int32_t pid, char **text, size_t *size)
{
	int ends[2], status = 0, err;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	child = fork();
	if (!child)
		run_command(pid, ends[1]);
	close(ends[1]);
	err = child < 0 ? -errno : collect(ends[0], text, size);
	close(ends[0]);
	if (child < 0)
		return err;
	if (err)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return err ?: status ? -EIO : 0;
}

/* Packs the text, and sets `whole` to its size before. 0 or -errno. */
static int pack(char **text, size_t *size, uint32_t *whole)
{
	uLongf packed_size = compressBound(*size);
	char *packed = malloc(packed_size);

	if (!packed || compress2((Bytef *)packed, &packed_size, (Bytef *)*text, *size, 6) != Z_OK) {
		free(packed);
		return -ENOMEM;
	}
	*whole = (uint32_t)*size;
	free(*text);
	*text = packed;
	*size = packed_size;
	return 0;
}

static bool send_all(int socket, const void *bytes, size_t size)
{
	const char *at = bytes;
	ssize_t sent;

	for (; size; at += sent, size -= (size_t)sent) {
		sent = send(socket, at, size, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			sent = 0;
		else if (sent <= 0)
			return false;
	}
	return true;
}

static void serve(int socket)
{
	struct header header;
	int32_t pid;
	bool goes_on = true;

	/* Ctrl-C is for the recorder, with which this helper ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (goes_on && recv(socket, &pid, sizeof(pid), MSG_WAITALL) == sizeof(pid)) {
		char *text = NULL;
		size_t size = 0;

		header.error = look(pid, &text, &size) ?: pack(&text, &size, &header.whole);
		header.size = header.error ? 0 : (uint32_t)size;
		goes_on = send_all(socket, &header, sizeof(header)) &&
			  send_all(socket, text, header.size);
		free(text);
	}
	_exit(0);
}

int profile_looks_fork(struct profile_looks *looks, double every)
{
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	looks->helper = fork();
	if (!looks->helper) {
		close(ends[0]);
		serve(ends[1]);
	}
	err = -errno;
	close(ends[1]);
	/* The recorder gives up kill(2). */
	if (looks->helper > 0) {
		looks->pidfd = (int)syscall(SYS_pidfd_open, looks->helper, 0);
		err = -errno;
	}
	if (looks->helper < 0 || looks->pidfd < 0) {
		/* One that runs ends with its socket. */
		looks->helper = 0;
		close(ends[0]);
		return err;
	}
	looks->socket = ends[0];
	looks->every = every;
	return 0;
}

/* --- the recorder's side --- */

static void ask_next(void *arg);

/* The helper is gone, or answers what it never would. */
static void give_up(struct profile_looks *looks)
{
	looks->gave_up = true;
	profile_looks_end(looks);
}

/* The next round begins when it is due, or at once if this one took longer. */
static void wait_for_round(struct profile_looks *looks)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	looks->image = 0;
	loop_timer_start(looks->loop, &looks->next, looks->due_ns > now ? looks->due_ns - now : 0,
			 0, ask_next, looks);
}

static void ask_next(void *arg)
{
	struct profile_looks *looks = arg;
	uint32_t image = looks->image;
	int32_t pid = recorder_next_image(looks->recorder, &image);

	if (!looks->image)
		looks->due_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(looks->every * NS);
	looks->image = image;
	if (!pid) {
		wait_for_round(looks);
		return;
	}
	looks->asked = clock_seconds(CLOCK_REALTIME);
	looks->size = 0;
	/* The helper has answered everything: it is waiting for this. */
	if (!send_all(looks->socket, &pid, sizeof(pid)))
		give_up(looks);
}

/* What has come is whole: keeps it. */
static void take_answer(struct profile_looks *looks)
{
	struct header header;

	memcpy(&header, looks->answer, sizeof(header));
	if (!header.error && header.size) {
		looks->made++;
		recorder_add_look(looks->recorder, looks->image, looks->asked,
				  looks->answer + sizeof(header), header.size, header.whole);
	} else {
		looks->failed++;
	}
	ask_next(looks);
}

/* Bytes of the answer that are still to come. */
static size_t missing(const struct profile_looks *looks)
{
	struct header header;

	if (looks->size < sizeof(header))
		return sizeof(header) - looks->size;
	memcpy(&header, looks->answer, sizeof(header));
	return sizeof(header) + header.size - looks->size;
}

static void on_answer(void *arg, uint32_t events)
{
	struct profile_looks *looks = arg;
	size_t more = missing(looks);
	ssize_t got;

	(void)events;
	if (looks->size + more > looks->room) {
		char *larger = looks->size + more <= sizeof(struct header) + ANSWER_MOST
				       ? realloc(looks->answer, looks->size + more)
				       : NULL;

		if (!larger) {
			give_up(looks);
			return;
		}
		looks->answer = larger;
		looks->room = looks->size + more;
	}
	got = recv(looks->socket, looks->answer + looks->size, more, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		give_up(looks);
		return;
	}
	looks->size += (size_t)got;
	if (!missing(looks))
		take_answer(looks);
}

int profile_looks_watch(struct profile_looks *looks, struct loop *loop, struct recorder *recorder)
{
	int err;

	if (!looks->helper)
		return 0;
	looks->answer = malloc(sizeof(struct header));
	if (!looks->answer)
		return -ENOMEM;
	looks->room = sizeof(struct header);
	looks->loop = loop;
	looks->recorder = recorder;
	err = loop_add(loop, &looks->answers, looks->socket, EPOLLIN, on_answer, looks);
	/* The first look comes when there is something to compare later ones with. */
	if (!err)
		loop_timer_start(loop, &looks->next, (uint64_t)NS, 0, ask_next, looks);
	return err;
}

void profile_looks_end(struct profile_looks *looks)
{
	if (!looks->helper)
		return;
	loop_remove(&looks->answers);
	loop_timer_stop(&looks->next);
	/* A look that goes on is killed with it. */
	close(looks->socket);
	syscall(SYS_pidfd_send_signal, looks->pidfd, SIGKILL, NULL, 0);
	waitpid(looks->helper, NULL, 0);
	close(looks->pidfd);
	free(looks->answer);
	looks->answer = NULL;
	looks->helper = 0;
}
