/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: wait for a process that may never answer, and go on without it.
 *
 * There is one request at a time. During the wait, two things are looked at ten times a second:
 * whether a signal has arrived, and what the examiner does (it may sleep, be stopped, or get no
 * CPU). An examiner that hangs gets SIGKILL and is given up. Only its pidfd is kept, to count those
 * that can't die.
 *
 * Invariant: nothing here waits without a limit, not even examiner_stop(). Left out: several
 * requests at once. A target that hangs costs EXAMINER_ASLEEP_MS once. All targets of one owner
 * together get a few times that, and then a small share of our time, whether they hang or are only
 * slow. */
#include "base/clock.h"
#include "os/account.h"
#include "python/examiner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/budget.h"
#include "python/examiner_helper.h"
#include "python/examiner_private.h"

#define SLICE_MS      100
#define PROGRESS_MS   6000 /* for an examiner that sleeps now and then but goes on: a slow disk */
#define CPU_MS	      (3 * BUDGET_PROCESS_MS) /* its own budget ends it long before */
#define END_MS	      200
#define HELD_MAX      256
#define HOLD_MS	      30000 /* until a target is examined again; doubled each time */
#define HOLD_MAX_MS   (20 * HOLD_MS)
#define OWNER_UNKNOWN UINT32_MAX /* the process has ended: the ID of no user, so not root's */
#define SLOW_MAX      64
#define SLOW_MS	      (EXAMINER_ASLEEP_MS / 2) /* sleep in one request that counts as slow */
#define LOST_MAX_MS   ((EXAMINER_STUCK_MAX_OWNER - 1) * EXAMINER_ASLEEP_MS)
#define LOST_SHARE    15 /* one part in so many of the time that passes is given back */

#define KEPT_FOR_ROOT  8 /* of EXAMINER_STUCK_MAX */
#define KEPT_FOR_FIRST 16

struct held { /* a target that has held up an examiner */
	pid_t pid;
	uint64_t start_ticks, until_ms, hold_ms;
};

struct slow { /* an owner whose targets were slow */
	uint32_t owner;
	uint64_t lost_ms, at_ms; /* time lost, as of at_ms; it has become less since */
};

struct stuck {
	int pidfd;
	uint32_t owner;
};

static struct {
	bool (*interrupted)(void);
	int control; /* socket of the keeper; -1: none */
	pid_t keeper;
	int fd, pidfd; /* socket of the examiner, and its pidfd; -1: none */
	pid_t pid;
	uint32_t number;
	uint64_t cpu_ns;      /* of this examiner, as it said last */
	uint64_t past_cpu_ns; /* of earlier ones */
	struct stuck stuck[EXAMINER_STUCK_MAX];
	unsigned stuck_count;
	struct held held[HELD_MAX];
	unsigned held_count;
	struct slow slow[SLOW_MAX];
} ex = {.control = -1, .fd = -1, .pidfd = -1};

uint64_t examiner_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

/* --- helpers that hang --- */

static void forget_ended(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ex.stuck_count; i++) {
		struct pollfd p = {.fd = ex.stuck[i].pidfd, .events = POLLIN};

		if (poll(&p, 1, 0) > 0)
			close(ex.stuck[i].pidfd);
		else
			ex.stuck[kept++] = ex.stuck[i];
	}
	ex.stuck_count = kept;
}

static void drop_examiner(uint32_t owner)
{
	if (ex.fd < 0)
		return;
	syscall(SYS_pidfd_send_signal, ex.pidfd, SIGKILL, NULL, 0);
	close(ex.fd);
	forget_ended();
	if (ex.stuck_count < EXAMINER_STUCK_MAX)
		ex.stuck[ex.stuck_count++] = (struct stuck){ex.pidfd, owner};
	else
		close(ex.pidfd);
	ex.fd = ex.pidfd = -1;
	ex.past_cpu_ns += ex.cpu_ns;
	ex.cpu_ns = 0;
}

/* --- a new one --- */

/* Receives the keeper's answer `number`; earlier answers, which nobody waits for any more, are
 * dropped. 0, -EINTR, or -EMFILE. Any other error: the keeper does not answer. */
static int await_keeper(uint32_t number, struct wire_message *m, bool was_interrupted)
{
	struct pollfd p = {.fd = ex.control, .events = POLLIN};
	uint64_t begin = examiner_now_ms();
	int n;

	for (;;) {
		if (poll(&p, 1, SLICE_MS) > 0) {
			n = wire_receive(ex.control, m);
			if (n <= 0)
				return n == -EMFILE ? n : -ECONNRESET;
			if (m->head.number == number)
				return 0;
			wire_fini(m);
		}
		if (ex.interrupted && !was_interrupted && ex.interrupted())
			return -EINTR;
		/* The keeper reads nothing of a target: if it does not answer, it gets no CPU or is
		 * stopped. */
		if (examiner_now_ms() - begin > EXAMINER_STARVED_MS)
			return -ETIMEDOUT;
	}
}

static int new_examiner(bool was_interrupted)
{
	struct wire_message m = {.head = {.op = WIRE_NEW, .number = ++ex.number}};
	int err;

	if (ex.control < 0)
		return -ENOTCONN;
	err = wire_send(ex.control, &m);
	if (!err)
		err = await_keeper(ex.number, &m, was_interrupted);
	if (err == -EINTR || err == -EMFILE)
		return err;
	if (err) {
		close(ex.control);
		ex.control = -1;
		return -ENOTCONN;
	}
	if (!m.head.result && m.fd_count == 2) {
		ex.pid = (pid_t)m.head.a;
		ex.fd = wire_take_fd(&m, 0);
		ex.pidfd = wire_take_fd(&m, 1);
	}
	err = m.head.result;
	wire_fini(&m);
	return err ? err : ex.fd < 0 ? -ENOTCONN : 0;
}

int examiner_start(bool (*interrupted)(void))
{
	int pair[2], err = examiner_share_reading();

	if (err)
		return err;
	ex.interrupted = interrupted;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	ex.keeper = fork();
	if (ex.keeper == 0)
		examiner_keep(pair[1]);
	err = ex.keeper < 0 ? -errno : 0;
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	ex.control = pair[0];
	err = new_examiner(true);
	if (err)
		examiner_stop();
	else
		proc_set_memory_reader(examiner_read_memory);
	return err;
}

void examiner_stop(void)
{
	proc_set_memory_reader(NULL);
	drop_examiner(0);
	for (unsigned i = 0; i < ex.stuck_count; i++)
		close(ex.stuck[i].pidfd);
	if (ex.control >= 0)
		close(ex.control);
	ex.control = -1;
	/* It ends at once unless it gets no CPU. Then init waits for it. */
	for (int i = 0; ex.keeper > 0 && i < END_MS && !waitpid(ex.keeper, NULL, WNOHANG); i++)
		usleep(1000);
	ex.keeper = 0;
	ex.stuck_count = ex.held_count = 0;
	memset(ex.slow, 0, sizeof(ex.slow));
}

/* --- targets that have held one up --- */

static struct held *held_find(pid_t pid)
{
	for (unsigned i = 0; i < ex.held_count; i++) {
		if (ex.held[i].pid == pid)
			return &ex.held[i];
	}
	return NULL;
}

static bool is_held(pid_t pid)
{
	struct held *held = held_find(pid);

	return held && examiner_now_ms() < held->until_ms &&
	       proc_start_ticks(pid) == held->start_ticks;
}

/* The entry of `pid`, or one to use for it. If all are in use: the one that ends first. */
static struct held *held_entry(pid_t pid)
{
	struct held *held = held_find(pid);

	if (held)
		return held;
	if (ex.held_count < HELD_MAX) {
		held = &ex.held[ex.held_count++];
	} else {
		held = &ex.held[0];
		for (unsigned i = 1; i < HELD_MAX; i++) {
			if (ex.held[i].until_ms < held->until_ms)
				held = &ex.held[i];
		}
	}
	*held = (struct held){.pid = pid};
	return held;
}

static void hold(pid_t pid)
{
	struct held *held = held_entry(pid);
	uint64_t start = proc_start_ticks(pid);

	if (held->start_ticks != start)
		*held = (struct held){.pid = pid, .start_ticks = start};
	held->hold_ms = held->hold_ms ? 2 * held->hold_ms : HOLD_MS;
	if (held->hold_ms > HOLD_MAX_MS)
		held->hold_ms = HOLD_MAX_MS;
	held->until_ms = examiner_now_ms() + held->hold_ms;
}

/* The user who made a user namespace owns all users in it. That takes reading files, so it is found
 * out only if it matters. */
static uint32_t owner_of(struct examiner_subject *subject)
{
	struct rights rights;

	if (subject->one_of_many && !subject->known)
		subject->pid = examiner_reading();
	if (!subject->known)
		subject->owner = rights_of(subject->pid, &rights)
					 ? OWNER_UNKNOWN
					 : account_of(subject->pid, rights.uid);
	subject->known = true;
	return subject->owner;
}

/* --- owners --- */

static uint64_t lost_ms(const struct slow *slow, uint64_t now)
{
	uint64_t back = (now - slow->at_ms) / LOST_SHARE;

	return slow->lost_ms > back ? slow->lost_ms - back : 0;
}

static bool is_slow(struct examiner_subject *subject)
{
	uint64_t now = examiner_now_ms();

	for (unsigned i = 0; i < SLOW_MAX; i++) {
		if (lost_ms(&ex.slow[i], now) >= LOST_MAX_MS &&
		    ex.slow[i].owner == owner_of(subject))
			return true;
	}
	return false;
}

/* If all entries are in use, the owner who cost the least time is dropped. */
static void note_slow(uint32_t owner, uint64_t more_ms)
{
	uint64_t now = examiner_now_ms();
	struct slow *slow = &ex.slow[0];

	for (unsigned i = 0; i < SLOW_MAX; i++) {
		if (ex.slow[i].owner == owner && ex.slow[i].at_ms) {
			slow = &ex.slow[i];
			break;
		}
		if (lost_ms(&ex.slow[i], now) < lost_ms(slow, now))
			slow = &ex.slow[i];
	}
	if (slow->owner != owner)
		*slow = (struct slow){.owner = owner};
	slow->lost_ms = lost_ms(slow, now) + more_ms;
	slow->at_ms = now;
}

/* --- requests --- */

bool examiner_may_hang(struct examiner_subject *subject)
{
	unsigned of_owner = 0, most = EXAMINER_STUCK_MAX;

	if (is_slow(subject))
		return false;
	if (!ex.stuck_count)
		return true;
	forget_ended();
	for (unsigned i = 0; i < ex.stuck_count; i++)
		of_owner += ex.stuck[i].owner == owner_of(subject);
	/* The last places are root's. Those before are for owners who have none yet. */
	if (owner_of(subject) != 0)
		most -= of_owner ? KEPT_FOR_ROOT + KEPT_FOR_FIRST : KEPT_FOR_ROOT;
	return ex.stuck_count < most && of_owner < EXAMINER_STUCK_MAX_OWNER;
}

/* What the examiner does during a request. */
struct wait {
	uint64_t begin_ms, seen_ms, moved_ms;
	uint64_t cpu_begin_ns, cpu_ns;
	unsigned long long switches;
	bool interrupted; /* set before it began */
	bool stopped;
	uint64_t asleep_ms; /* estimated from its state at each look */
};

static uint64_t helper_cpu_ns(void)
{
	clockid_t clock;

	/* 0 also if it ends meanwhile. */
	return clock_getcpuclockid(ex.pid, &clock) ? 0 : clock_ns(clock);
}

/* How often it has gone to sleep and come back. The number grows on a slow disk, not on one that
 * hangs. */
static unsigned long long helper_switches(void)
{
	char text[4096], *field;
	ssize_t n = proc_file_read(ex.pid, "status", text, sizeof(text) - 1);

	if (n < 0)
		return 0;
	text[n] = '\0';
	field = strstr(text, "\nvoluntary_ctxt_switches:");
	return field ? strtoull(field + sizeof("\nvoluntary_ctxt_switches:") - 1, NULL, 10) : 0;
}

/* True if the request has used up its time. */
static bool is_over(struct wait *w)
{
	struct proc_info info;
	uint64_t now = examiner_now_ms(), taken = now - w->begin_ms, limit;
	unsigned long long switches;

	if ((helper_cpu_ns() - w->cpu_begin_ns) / 1000000 > CPU_MS)
		return true;
	switches = helper_switches();
	if (switches != w->switches)
		w->moved_ms = now;
	w->switches = switches;
	if (proc_stat_read(ex.pid, &info))
		return false;
	if (info.state == 'S' || info.state == 'D')
		w->asleep_ms += now - w->seen_ms;
	w->seen_ms = now;
	if (taken < EXAMINER_ASLEEP_MS)
		return false;
	w->stopped = info.state == 'T' || info.state == 't';
	limit = info.state == 'R'			     ? EXAMINER_STARVED_MS
		: now - w->moved_ms < EXAMINER_ASLEEP_MS / 2 ? PROGRESS_MS
							     : EXAMINER_ASLEEP_MS;
	return taken >= limit;
}

/* Waits for the answer to the last request. 0, -ETIME, -EINTR, or -ECONNRESET: the examiner has
 * died. */
static int await(struct wire_message *answer, struct wait *w, struct examiner_subject *subject)
{
	struct pollfd p = {.fd = ex.fd, .events = POLLIN};
	int n;

	for (;;) {
		n = poll(&p, 1, SLICE_MS);
		if (n > 0) {
			n = wire_receive(ex.fd, answer);
			if (n <= 0)
				return n < 0 && n != -EBADMSG ? n : -ECONNRESET;
			if (answer->head.number == ex.number) {
				ex.cpu_ns = answer->head.cpu_ns;
				return 0;
			}
			wire_fini(answer);
		}
		owner_of(subject); /* found out now, while the process exists */
		if (ex.interrupted && !w->interrupted && ex.interrupted())
			return -EINTR;
		if (n <= 0 && is_over(w))
			return -ETIME;
	}
}

static int try_request(struct wire_message *request, struct wire_message *answer,
		       struct examiner_subject *subject, bool *again)
{
	struct wait w = {.interrupted = ex.interrupted && ex.interrupted()};
	int err = ex.fd < 0 ? new_examiner(w.interrupted) : 0;

	*again = false;
	if (err)
		return err == -EINTR || err == -EMFILE ? err : -ENOTCONN;
	w.begin_ms = w.seen_ms = w.moved_ms = examiner_now_ms();
	w.cpu_begin_ns = helper_cpu_ns();
	request->head.number = ++ex.number;
	err = wire_send(ex.fd, request);
	err = err == -EPIPE || err == -ECONNRESET ? -ECONNRESET
	      : err				  ? err
						  : await(answer, &w, subject);
	if (w.asleep_ms >= SLOW_MS)
		note_slow(owner_of(subject), w.asleep_ms);
	/* Also after -EINTR: what it still hangs on must not be blamed on the next target. */
	if (err == -ECONNRESET || err == -ETIME || err == -EINTR)
		drop_examiner(owner_of(subject));
	/* It was killed or stopped by somebody else, so the target is not to blame. */
	*again = err == -ECONNRESET || (err == -ETIME && w.stopped);
	return err;
}

int examiner_ask(struct wire_message *request, struct wire_message *answer,
		 struct examiner_subject *subject)
{
	bool again = true;
	int err = 0;

	for (int tries = 0; tries < 2 && again; tries++)
		err = try_request(request, answer, subject, &again);
	return err == -ECONNRESET ? -ENOTCONN : err;
}

int examiner_may_ask(pid_t pid)
{
	struct examiner_subject subject = {.pid = pid};

	if (pid <= 0)
		return -ESRCH;
	if (is_held(pid))
		return -ETIME;
	return examiner_may_hang(&subject) ? 0 : -EBUSY;
}

int examiner_ask_about_many(struct wire_message *request, struct wire_message *answer,
			    pid_t *to_blame)
{
	struct examiner_subject subject = {.one_of_many = true};
	int err;

	if (ex.control >= 0)
		examiner_read_none();
	err = examiner_ask(request, answer, &subject);
	*to_blame = err == -ETIME ? examiner_reading() : 0;
	if (*to_blame)
		hold(*to_blame);
	return err;
}

int examiner_ask_about(pid_t pid, struct wire_message *request, struct wire_message *answer)
{
	struct examiner_subject subject = {.pid = pid};
	int err = examiner_may_ask(pid);

	if (err)
		return err;
	request->head.pid = pid;
	err = examiner_ask(request, answer, &subject);
	if (err == -ETIME)
		hold(pid);
	return err;
}

uint64_t examiner_cpu_ms(void)
{
	return (ex.past_cpu_ns + ex.cpu_ns) / 1000000;
}
