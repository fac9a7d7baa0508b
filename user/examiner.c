/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: wait for a process that may never answer, and go on without it.
 *
 * One request is under way at a time. While its answer is waited for, the signals' flag is looked
 * at ten times a second, and the helper: does it sleep, is it stopped, is it only not given a CPU?
 * A helper that hangs is sent SIGKILL and forgotten but for its pidfd, by which those that can't
 * die are counted.
 *
 * Invariant: nothing here waits without a limit, not even examiner_stop(). Left out: several
 * requests at once. A target that hangs costs EXAMINER_ASLEEP_MS once, then its owner is known.
 */
#include "examiner.h"

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

#include "budget.h"
#include "examiner_helper.h"
#include "examiner_wire.h"

#define SLICE_MS    100
#define PROGRESS_MS 6000		    /* asleep now and then, but it goes on: a slow disk */
#define CPU_MS	    (3 * BUDGET_PROCESS_MS) /* the helper's own budget must have ended it before */
#define MEMORY_STEP (16 * 1024)		    /* of one request: fits a message */
#define END_MS	    200
#define HELD_MAX    256
#define HOLD_MS	    30000 /* not to be examined again; twice as long each time */
#define HOLD_MAX_MS (20 * HOLD_MS)

struct held { /* a target that has held a helper up */
	pid_t pid;
	uint64_t start_ticks, until_ms, hold_ms;
};

struct stuck {
	int pidfd;
	uint32_t owner;
};

static struct {
	bool (*interrupted)(void);
	int control; /* the keeper's socket; -1: none */
	pid_t keeper;
	int fd, pidfd; /* the examiner's; -1: none */
	pid_t pid;
	uint32_t number;
	uint64_t cpu_ns;      /* of this one, as last told */
	uint64_t past_cpu_ns; /* of those before */
	struct stuck stuck[EXAMINER_STUCK_MAX];
	unsigned stuck_count;
	struct held held[HELD_MAX];
	unsigned held_count;
} ex = {.control = -1, .fd = -1, .pidfd = -1};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
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

static int new_examiner(void)
{
	struct wire_message m = {.head.op = WIRE_NEW};
	struct pollfd p = {.fd = ex.control, .events = POLLIN};
	uint64_t begin = now_ms();
	int n, err;

	if (ex.control < 0)
		return -ENOTCONN;
	err = wire_send(ex.control, &m);
	while (!err && (n = poll(&p, 1, SLICE_MS)) <= 0) {
		/* The keeper reads nothing of a target: it is starved, or stopped. */
		if (now_ms() - begin > EXAMINER_STARVED_MS)
			err = -ETIMEDOUT;
	}
	if (!err && wire_receive(ex.control, &m) <= 0)
		err = -ECONNRESET;
	if (err) {
		/* Its late answer must not be taken for another's. */
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
	int pair[2], err;

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
	err = new_examiner();
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
	/* It ends at once, or is starved of CPU; then init has to see to it. */
	for (int i = 0; ex.keeper > 0 && i < END_MS && !waitpid(ex.keeper, NULL, WNOHANG); i++)
		usleep(1000);
	ex.keeper = 0;
	ex.stuck_count = ex.held_count = 0;
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

	return held && now_ms() < held->until_ms && proc_start_ticks(pid) == held->start_ticks;
}

/* The entry of `pid`, or one to be used for it: when all are in use, the one that ends first. */
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
	held->until_ms = now_ms() + held->hold_ms;
}

/* Whom a request is about. */
struct subject {
	pid_t pid; /* 0: a source */
	uint32_t owner;
	bool known; /* the owner, that is */
};

/* A file is read for it, so only when it matters. */
static uint32_t owner_of(struct subject *subject)
{
	struct rights rights;

	if (!subject->known)
		subject->owner = rights_of(subject->pid, &rights) ? 0 : rights.uid;
	subject->known = true;
	return subject->owner;
}

/* --- requests --- */

/* Is there room for one more that hangs because of its owner? */
static bool may_hang(struct subject *subject)
{
	unsigned of_owner = 0;

	if (!ex.stuck_count)
		return true;
	forget_ended();
	for (unsigned i = 0; i < ex.stuck_count; i++)
		of_owner += ex.stuck[i].owner == owner_of(subject);
	return ex.stuck_count < EXAMINER_STUCK_MAX && of_owner < EXAMINER_STUCK_MAX_OWNER;
}

/* What the helper does meanwhile. */
struct wait {
	uint64_t begin_ms, seen_ms, moved_ms;
	uint64_t cpu_begin_ns, cpu_ns;
	unsigned long long switches;
	bool interrupted; /* before it began */
	bool stopped;
};

static uint64_t helper_cpu_ns(void)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(ex.pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* How often it has gone to sleep, and come back: on a disk that is slow, not on one that hangs. */
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

/* Has it had its time? */
static bool is_over(struct wait *w)
{
	struct proc_info info;
	uint64_t now = now_ms(), taken = now - w->begin_ms, limit;
	unsigned long long switches;

	if ((helper_cpu_ns() - w->cpu_begin_ns) / 1000000 > CPU_MS)
		return true;
	switches = helper_switches();
	if (switches != w->switches)
		w->moved_ms = now;
	w->switches = switches;
	if (taken < EXAMINER_ASLEEP_MS || proc_stat_read(ex.pid, &info))
		return false;
	w->stopped = info.state == 'T' || info.state == 't';
	limit = info.state == 'R'			     ? EXAMINER_STARVED_MS
		: now - w->moved_ms < EXAMINER_ASLEEP_MS / 2 ? PROGRESS_MS
							     : EXAMINER_ASLEEP_MS;
	return taken >= limit;
}

/* Waits for the answer to the last request. 0, -ETIME, -EINTR, -ECONNRESET: it has died. */
static int await(struct wire_message *answer, struct wait *w)
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
		if (ex.interrupted && !w->interrupted && ex.interrupted())
			return -EINTR;
		if (n <= 0 && is_over(w))
			return -ETIME;
	}
}

static int try_request(struct wire_message *request, struct wire_message *answer,
		       struct subject *subject, bool *again)
{
	struct wait w = {.interrupted = ex.interrupted && ex.interrupted()};
	int err = ex.fd < 0 ? new_examiner() : 0;

	*again = false;
	if (err)
		return -ENOTCONN;
	w.begin_ms = w.moved_ms = now_ms();
	w.cpu_begin_ns = helper_cpu_ns();
	request->head.number = ++ex.number;
	err = wire_send(ex.fd, request);
	err = err == -EPIPE || err == -ECONNRESET ? -ECONNRESET : err ? err : await(answer, &w);
	/* With -EINTR too: what it is stuck in must not be taken for the next target's doing. */
	if (err == -ECONNRESET || err == -ETIME || err == -EINTR)
		drop_examiner(owner_of(subject));
	/* Somebody else has killed it, or stopped it: none of the target's doing. */
	*again = err == -ECONNRESET || (err == -ETIME && w.stopped);
	return err;
}

/* Sends a request and waits for its answer, which the caller frees. 0 or one of the errors of
 * examiner.h; the answer's own result is in its head. */
static int ask(struct wire_message *request, struct wire_message *answer, struct subject *subject)
{
	bool again = true;
	int err = 0;

	for (int tries = 0; tries < 2 && again; tries++)
		err = try_request(request, answer, subject, &again);
	return err == -ECONNRESET ? -ENOTCONN : err;
}

/* The same for a request about process `pid`. */
static int ask_about(pid_t pid, struct wire_message *request, struct wire_message *answer)
{
	struct subject subject = {.pid = pid};
	int err;

	if (pid <= 0)
		return -ESRCH;
	if (is_held(pid))
		return -ETIME;
	if (!may_hang(&subject))
		return -EBUSY;
	request->head.pid = pid;
	err = ask(request, answer, &subject);
	if (err == -ETIME)
		hold(pid);
	return err;
}

int examiner_identify(pid_t pid, struct py_process *process)
{
	struct wire_message request = {.head.op = WIRE_IDENTIFY}, answer;
	int err = ask_about(pid, &request, &answer);

	memset(process, 0, sizeof(*process));
	if (err)
		return err;
	err = answer.head.body_bytes == sizeof(*process) ? answer.head.result : -ENOTCONN;
	if (answer.head.body_bytes == sizeof(*process))
		memcpy(process, answer.body, sizeof(*process));
	wire_fini(&answer);
	return err;
}

int64_t examiner_rss_bytes(pid_t pid)
{
	struct wire_message request = {.head.op = WIRE_RSS}, answer;
	int err = ask_about(pid, &request, &answer);

	if (err)
		return err;
	wire_fini(&answer);
	return (int64_t)answer.head.a;
}

ssize_t examiner_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	struct wire_message request = {.head.op = WIRE_MEMORY}, answer;
	size_t done = 0, part;
	int err = 0;

	while (done < len && !err) {
		request.head.a = addr + done;
		request.head.b = len - done < MEMORY_STEP ? len - done : MEMORY_STEP;
		err = ask_about(pid, &request, &answer);
		if (err)
			break;
		part = answer.head.body_bytes <= request.head.b ? answer.head.body_bytes : 0;
		memcpy((char *)buf + done, answer.body, part);
		err = answer.head.result;
		wire_fini(&answer);
		done += part;
		if (part < request.head.b)
			break;
	}
	return done ? (ssize_t)done : err;
}

static int unpack_strings(const char *text, size_t size, unsigned count, struct proc_info *info)
{
	info->argv = calloc(count + 1, sizeof(char *));
	if (!info->argv)
		return -ENOMEM;
	for (; size && (unsigned)info->argc < count; info->argc++) {
		size_t length = strnlen(text, size);

		info->argv[info->argc] = strndup(text, length);
		if (!info->argv[info->argc])
			return -ENOMEM;
		length += length < size;
		text += length;
		size -= length;
	}
	return 0;
}

static int unpack(const struct wire_message *m, struct proc_info *info, struct wire_description *d,
		  struct rights *rights)
{
	const char *at = m->body;
	size_t left = m->head.body_bytes;

	if (left < sizeof(*d))
		return -ENOTCONN;
	memcpy(d, at, sizeof(*d));
	at += sizeof(*d);
	left -= sizeof(*d);
	if (d->rights_bytes > sizeof(*rights) || d->argv_bytes > left || d->cgroup_bytes > left ||
	    d->rights_bytes + d->argv_bytes + d->cgroup_bytes != left || d->argc > PROC_ARGS_MAX)
		return -ENOTCONN;
	memcpy(rights, at, d->rights_bytes);
	at += d->rights_bytes;
	info->pid = d->pid;
	info->ppid = d->ppid;
	info->state = d->state;
	info->start_ticks = d->start_ticks;
	info->kernel_thread = d->kernel_thread;
	memcpy(info->comm, d->comm, sizeof(info->comm));
	info->cgroup = strndup(at + d->argv_bytes, d->cgroup_bytes);
	return unpack_strings(at, d->argv_bytes, d->argc, info) ?: info->cgroup ? 0 : -ENOMEM;
}

int examiner_describe(pid_t pid, struct proc_info *info, struct source_root *root)
{
	struct wire_message request = {.head.op = WIRE_DESCRIBE}, answer;
	struct wire_description d;
	unsigned next = 0;
	struct rights rights;
	int err, root_fd = -1;

	memset(info, 0, sizeof(*info));
	*root = (struct source_root){.root_fd = -1, .cwd_fd = -1};
	err = ask_about(pid, &request, &answer);
	if (err)
		return err;
	err = answer.head.result;
	if (!err)
		err = unpack(&answer, info, &d, &rights);
	if (!err && answer.head.has & WIRE_HAS_ROOT)
		root_fd = wire_take_fd(&answer, next++);
	if (!err)
		source_root_adopt(root, root_fd,
				  answer.head.has & WIRE_HAS_CWD ? wire_take_fd(&answer, next) : -1,
				  d.rights_bytes ? &rights : NULL, d.start_wall);
	wire_fini(&answer);
	if (err)
		proc_info_fini(info);
	return err;
}

/* --- sources --- */

/* Whose files hold helpers up is not asked for more of them. */
static struct {
	uint32_t owner;
	uint64_t until_ms;
} slow_owners[EXAMINER_STUCK_MAX];

static bool is_slow(uint32_t owner)
{
	uint64_t now = now_ms();

	for (size_t i = 0; i < EXAMINER_STUCK_MAX; i++) {
		if (slow_owners[i].owner == owner && now < slow_owners[i].until_ms)
			return true;
	}
	return false;
}

static void note_slow(uint32_t owner)
{
	size_t oldest = 0;

	for (size_t i = 0; i < EXAMINER_STUCK_MAX; i++) {
		if (slow_owners[i].until_ms < slow_owners[oldest].until_ms)
			oldest = i;
	}
	slow_owners[oldest].owner = owner;
	slow_owners[oldest].until_ms = now_ms() + HOLD_MS;
}

static void *source_body(const struct rights *rights, const char *name, size_t *size)
{
	size_t rights_bytes = rights_size(rights), name_bytes = strlen(name) + 1;
	char *body = malloc(rights_bytes + name_bytes);

	if (!body)
		return NULL;
	memcpy(body, rights, rights_bytes);
	memcpy(body + rights_bytes, name, name_bytes);
	*size = rights_bytes + name_bytes;
	return body;
}

int examiner_read_source(const struct source_root *root, const char *name, struct source_text *text)
{
	const struct rights *rights = source_root_rights(root);
	struct wire_message request = {.head.op = WIRE_SOURCE}, answer;
	struct subject subject = {.known = true};
	size_t size;
	int err;

	*text = (struct source_text){.state = SOURCE_UNREADABLE};
	if (!rights)
		return 0;
	subject.owner = rights->uid;
	if (is_slow(rights->uid) || !may_hang(&subject))
		return -EBUSY;
	request.body = source_body(rights, name, &size);
	if (!request.body)
		return -ENOMEM;
	request.head.a = rights_size(rights);
	request.head.body_bytes = size;
	if (root->root_fd >= 0) {
		request.fds[request.fd_count++] = root->root_fd;
		request.head.has |= WIRE_HAS_ROOT;
	}
	if (root->cwd_fd >= 0) {
		request.fds[request.fd_count++] = root->cwd_fd;
		request.head.has |= WIRE_HAS_CWD;
	}
	err = ask(&request, &answer, &subject);
	free(request.body);
	if (err == -ETIME)
		note_slow(rights->uid);
	if (err)
		return err;
	text->state = (enum source_state)answer.head.result;
	memcpy(&text->changed, &answer.head.a, sizeof(text->changed));
	text->size = answer.head.body_bytes;
	text->data = answer.body; /* with room for a NUL */
	answer.body = NULL;
	wire_fini(&answer);
	return 0;
}

/* --- and beside them --- */

uint64_t examiner_cpu_ms(void)
{
	return (ex.past_cpu_ns + ex.cpu_ns) / 1000000;
}

bool examiner_explain(int err, char *text, size_t size)
{
	switch (err) {
	case -ETIME:
		snprintf(text, size, "its examination took over %d ms: it is skipped",
			 EXAMINER_ASLEEP_MS);
		return true;
	case -EDQUOT:
	case -EFBIG:
		snprintf(text, size,
			 "its examination would take over %d ms of CPU time or %llu MiB of reading",
			 err == -EFBIG ? BUDGET_FILE_MS : BUDGET_PROCESS_MS,
			 (err == -EFBIG ? BUDGET_FILE_BYTES : BUDGET_PROCESS_BYTES) >> 20);
		return true;
	case -EBUSY:
		snprintf(text, size,
			 "not examined: other processes of its owner hold examinations up");
		return true;
	case -ENOTCONN:
		snprintf(text, size, "the examiner has ended and can't be started again");
		return true;
	default:
		return false;
	}
}
