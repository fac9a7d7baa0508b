/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: stop a process for some milliseconds so that nobody notices, and so that it goes on
 * whatever happens to us.
 *
 * PTRACE_SEIZE and PTRACE_INTERRUPT send no signal that the process or its parent could see. The
 * kernel lets tracees go on when their tracer ends. System calls are restarted if they can be;
 * epoll_wait() and a few others end with EINTR, as after any stop.
 *
 * A thread may report a signal in place of the stop that was asked for. It is stopped then, too,
 * and gets its signal when it goes on.
 */
#include "heap/snapshot_child.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "os/proc.h"

#define STOP_MS	       500 /* for a thread that is in a fork, or reads from a bad disk */
#define STARVED_FACTOR 10  /* so many times that for one that would stop, and gets no CPU */
#define ROUNDS_MAX     100 /* rounds of looking for threads that were started meanwhile */

/* --- the list of threads --- */

#define TIDS_MAX (1u << 22) /* PID_MAX_LIMIT, include/linux/threads.h */

/* Was the thread seen before? Marks it as seen. */
static bool was_seen(struct capture *c, pid_t tid)
{
	unsigned char bit = (unsigned char)(1 << (tid & 7));
	bool seen = c->seen_threads[tid / 8] & bit;

	c->seen_threads[tid / 8] |= bit;
	return seen;
}

static int add_thread(struct capture *c, pid_t tid)
{
	capture_progress(c);
	if (!ARRAY_HAS_ROOM(c->threads, c->thread_count, c->thread_room))
		return -ENOMEM;
	c->threads[c->thread_count++] = (struct capture_thread){.tid = tid};
	return 0;
}

/* Calls `fn` for each thread. 0, -errno, or what `fn` returned other than 0. */
static int each_thread(struct capture *c, int (*fn)(struct capture *c, pid_t tid))
{
	int fd = openat(c->task, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			err = fn(c, atoi(entry->d_name));
	}
	closedir(dir);
	return err;
}

/* --- stopping --- */

/* Why a thread could not be seized. 0: it has ended or is about to; a leader may be a zombie while
 * other threads run. -EBUSY: another process traces it (ptrace() says EPERM for that, too). Else
 * -err. */
static int why_not_seized(struct capture *c, pid_t tid, int err)
{
	char name[64], text[2048];
	const char *tracer;
	ssize_t n;

	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	n = proc_file_read(c->pid, name, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (strstr(text, "\nState:\tZ") || strstr(text, "\nState:\tX"))
		return 0;
	tracer = strstr(text, "\nTracerPid:\t");
	if (tracer && atoi(tracer + strlen("\nTracerPid:\t")))
		return -EBUSY;
	return -err;
}

static int seize_new(struct capture *c, pid_t tid)
{
	int err;

	if (tid < 0 || (unsigned)tid >= TIDS_MAX || was_seen(c, tid))
		return 0;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
		err = errno == ESRCH ? 0 : why_not_seized(c, tid, errno);
		return err;
	}
	err = add_thread(c, tid);
	if (!err && ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && errno != ESRCH)
		err = -errno;
	return err;
}

/* Notes the status that waitpid() gave. */
static void note_stop(struct capture_thread *thread, int status)
{
	thread->stopped = true;
	thread->signal = 0;
	if (WIFSTOPPED(status) && status >> 16 == 0)
		thread->signal = WSTOPSIG(status);
	if (!WIFSTOPPED(status)) /* it has ended */
		thread->tid = 0;
}

/* Does it wait for a CPU, as threads do on a busy machine? */
static bool is_runnable(struct capture *c, pid_t tid)
{
	char name[64], text[512];
	const char *end;
	ssize_t n;

	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	n = proc_file_read(c->pid, name, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && !strncmp(end, ") R", 3);
}

static bool is_late(struct capture *c, pid_t tid, uint64_t since_ns)
{
	uint64_t ms = (clock_ns(CLOCK_MONOTONIC) - since_ns) / 1000000;
	unsigned stop_ms = c->stop_ms ? c->stop_ms : STOP_MS;

	return ms > STARVED_FACTOR * stop_ms || (ms > stop_ms && !is_runnable(c, tid));
}

static int await_stop(struct capture *c, struct capture_thread *thread, uint64_t since_ns)
{
	struct timespec nap = {.tv_nsec = 20000};
	int status;
	pid_t got;

	while (!thread->stopped && thread->tid) {
		got = waitpid(thread->tid, &status, __WALL | WNOHANG);
		if (got == thread->tid) {
			note_stop(thread, status);
		} else if (got < 0) {
			thread->tid = 0;
		} else if (is_late(c, thread->tid, since_ns)) {
			return -ETIME;
		} else {
			nanosleep(&nap, NULL);
			capture_progress(c);
		}
	}
	return 0;
}

int capture_pause(struct capture *c)
{
	uint64_t since_ns = clock_ns(CLOCK_MONOTONIC);
	size_t before = 0;
	int err = 0;

	c->thread_count = 0;
	c->seen_threads = calloc(1, TIDS_MAX / 8);
	if (!c->seen_threads)
		return -ENOMEM;
	/* Ends when a look at the list finds no new thread. New ones come from threads that still
	 * ran. */
	for (int round = 0; round < ROUNDS_MAX && !err; round++) {
		err = each_thread(c, seize_new);
		if (!err && c->thread_count == before)
			break;
		for (size_t i = before; i < c->thread_count && !err; i++)
			err = await_stop(c, &c->threads[i], since_ns);
		before = c->thread_count;
	}
	free(c->seen_threads);
	if (!err && !c->thread_count)
		err = -ESRCH;
	if (err)
		capture_resume(c);
	return err;
}

/* Has the thread stopped, or ended, by now? */
static bool has_stopped(struct capture_thread *thread)
{
	int status;
	pid_t got;

	if (thread->stopped || !thread->tid)
		return true;
	got = waitpid(thread->tid, &status, __WALL | WNOHANG);
	if (got == thread->tid)
		note_stop(thread, status);
	else if (got < 0)
		thread->tid = 0;
	return got != 0;
}

static void detach(struct capture_thread *thread)
{
	if (thread->tid)
		ptrace(PTRACE_DETACH, thread->tid, NULL, (long)thread->signal);
	thread->stopped = false;
}

/* Only a thread that has stopped can be detached. Where no memory is left to remember one that has
 * not, this waits for it. */
void capture_resume(struct capture *c)
{
	for (size_t i = 0; i < c->thread_count; i++) {
		struct capture_thread *thread = &c->threads[i];
		struct timespec nap = {.tv_nsec = 1000000};

		while (!has_stopped(thread)) {
			if (ARRAY_HAS_ROOM(c->late, c->late_count, c->late_room)) {
				c->late[c->late_count++] = thread->tid;
				thread->tid = 0;
				break;
			}
			nanosleep(&nap, NULL);
			capture_progress(c);
		}
		detach(thread);
	}
}

size_t capture_let_go(struct capture *c)
{
	size_t left = 0;

	for (size_t i = 0; i < c->late_count; i++) {
		struct capture_thread thread = {.tid = c->late[i]};

		if (has_stopped(&thread))
			detach(&thread);
		else
			c->late[left++] = c->late[i];
	}
	c->late_count = left;
	return left;
}

/* --- stack pointers --- */

static uint64_t stack_pointer_of_stopped(pid_t tid)
{
	struct user_regs_struct regs;
	struct iovec io = {&regs, sizeof(regs)};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io))
		return 0;
#if defined(__x86_64__)
	return regs.rsp;
#elif defined(__aarch64__)
	return regs.sp;
#else
#error "where is the stack pointer?"
#endif
}

/* The stack pointer of a thread that waits in the kernel; 0: it runs. The file says "number args…
 * sp pc", "-1 sp pc", or "running". */
static uint64_t stack_pointer_in_kernel(struct capture *c, pid_t tid)
{
	char name[64], text[512], *last, *before;
	ssize_t n;

	snprintf(name, sizeof(name), "task/%d/syscall", (int)tid);
	n = proc_file_read(c->pid, name, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	last = strrchr(text, ' ');
	if (!last)
		return 0;
	*last = '\0';
	before = strrchr(text, ' ');
	return before ? strtoull(before + 1, NULL, 16) : 0;
}

int capture_threads(struct capture *c)
{
	int err = 0;

	if (!c->thread_count)
		err = each_thread(c, add_thread);
	for (size_t i = 0; i < c->thread_count && !err; i++) {
		struct capture_thread *thread = &c->threads[i];

		capture_progress(c);
		if (!thread->tid)
			continue;
		thread->stack_pointer = thread->stopped ? stack_pointer_of_stopped(thread->tid)
							: stack_pointer_in_kernel(c, thread->tid);
	}
	return err;
}
