/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The helper reads PIDs from its socket, and answers each with what its examiner says. It ends with
 * the recorder. */
#include "cli/profile_pss.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/confine.h"
#include "os/proc.h"
#include "python/examiner.h"

#define ROUND_NS 1000000000ULL
#define END_MS	 300

struct answer {
	struct proc_rollup rollup;
	uint64_t took_ns;
	int32_t error; /* -errno of the reading */
};

/* --- the helper --- */

static void answer(struct answer *answer, int32_t pid)
{
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	*answer = (struct answer){};
	answer->error = examiner_read_rollup(pid, &answer->rollup);
	answer->took_ns = clock_ns(CLOCK_MONOTONIC) - begin;
}

static void serve(int socket, pid_t recorder)
{
	struct confined confined;
	struct answer now;
	int32_t pid;

	prctl(PR_SET_NAME, "pymem-pss");
	/* Ctrl-C is for the recorder, with which this helper ends. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (examiner_start(NULL) || confine(CONFINE_EXAMINE | CONFINE_RELAY, &confined))
		_exit(1);
	/* After confine(), which may undo it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == recorder && recv(socket, &pid, sizeof(pid), 0) == sizeof(pid)) {
		answer(&now, pid);
		if (send(socket, &now, sizeof(now), MSG_NOSIGNAL) != sizeof(now))
			break;
	}
	examiner_stop();
	_exit(0);
}

int profile_pss_fork(struct profile_pss *pss)
{
	pid_t recorder = getpid();
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pss->helper = fork();
	err = -errno;
	if (!pss->helper) {
		close(ends[0]);
		serve(ends[1], recorder);
	}
	close(ends[1]);
	/* The recorder gives up kill(2). */
	if (pss->helper > 0) {
		pss->pidfd = (int)syscall(SYS_pidfd_open, pss->helper, 0);
		err = -errno;
	}
	if (pss->helper < 0 || pss->pidfd < 0) {
		/* One that runs ends with its socket. */
		pss->helper = 0;
		close(ends[0]);
		return err;
	}
	pss->socket = ends[0];
	pss->wanted = true;
	return 0;
}

/* --- the recorder's side --- */

static void ask_next(void *arg)
{
	struct profile_pss *pss = arg;
	uint32_t image = pss->image;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	int32_t pid = recorder_next_image(pss->recorder, &image);

	if (!pss->image)
		pss->due_ns = now + ROUND_NS;
	pss->image = pid ? image : 0;
	if (!pid) {
		/* The next round begins when it is due, or at once if this one took longer. */
		loop_timer_start(pss->loop, &pss->next, pss->due_ns > now ? pss->due_ns - now : 0,
				 0, ask_next, pss);
		return;
	}
	/* The helper has answered everything: it is waiting for this. */
	if (send(pss->socket, &pid, sizeof(pid), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(pid)) {
		pss->gave_up = true;
		profile_pss_end(pss);
	}
}

static void take(struct profile_pss *pss, const struct answer *answer)
{
	if (!answer->error) {
		pss->made++;
		recorder_add_pss(pss->recorder, pss->image, answer->rollup.pss_bytes,
				 answer->rollup.swap_pss_bytes);
	} else if (answer->error != -ESRCH) {
		/* It goes on, but what it was is not what it is. */
		pss->failed++;
		recorder_add_pss(pss->recorder, pss->image, -1, -1);
	}
	/* One that is held up costs nothing: the others need not wait for long. */
	loop_timer_start(pss->loop, &pss->next,
			 answer->error ? ROUND_NS : answer->took_ns * PSS_REST, 0, ask_next, pss);
}

static void on_answer(void *arg, uint32_t events)
{
	struct profile_pss *pss = arg;
	struct answer answer;
	ssize_t got = recv(pss->socket, &answer, sizeof(answer), MSG_DONTWAIT);

	(void)events;
	if (got == sizeof(answer)) {
		take(pss, &answer);
	} else if (got >= 0 || (errno != EAGAIN && errno != EINTR)) {
		pss->gave_up = true;
		profile_pss_end(pss);
	}
}

int profile_pss_watch(struct profile_pss *pss, struct loop *loop, struct recorder *recorder)
{
	int err;

	if (!pss->helper)
		return 0;
	pss->loop = loop;
	pss->recorder = recorder;
	err = loop_add(loop, &pss->answers, pss->socket, EPOLLIN, on_answer, pss);
	/* What runs is known from the first interval on. */
	if (!err)
		loop_timer_start(loop, &pss->next, ROUND_NS, 0, ask_next, pss);
	return err;
}

void profile_pss_end(struct profile_pss *pss)
{
	unsigned ms = 0;
	pid_t ended;

	if (!pss->helper)
		return;
	loop_remove(&pss->answers);
	loop_timer_stop(&pss->next);
	/* It ends its examiner and itself, unless it waits for that one. */
	shutdown(pss->socket, SHUT_RDWR);
	close(pss->socket);
	while (!(ended = waitpid(pss->helper, NULL, WNOHANG)) && ms++ < END_MS)
		usleep(1000);
	if (!ended) {
		syscall(SYS_pidfd_send_signal, pss->pidfd, SIGKILL, NULL, 0);
		waitpid(pss->helper, NULL, 0);
	}
	close(pss->pidfd);
	pss->helper = 0;
}
