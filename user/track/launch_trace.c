/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A command becomes Python in steps. A script (such as pyenv's shim) runs programs and execs
 * others, the last of which is the interpreter. That may be in a library, which the dynamic linker
 * maps after the exec. Memory that changes before the interpreter is known can't be charged to a
 * line.
 *
 * So the command stops at each exec, and its program is examined. If that is no interpreter yet, it
 * runs from system call to system call, and is examined again when the dynamic linker has mapped a
 * library. The linker has not relocated it yet then, which would change megabytes. The first system
 * call that does not come from the linker shows that all libraries are mapped. A program that is no
 * interpreter then runs freely until its next exec.
 *
 * Nothing in the program is changed: no breakpoint, no register, no signal from us. It gets the
 * signals meant for it, and stops when it is told to. PTRACE_INTERRUPT is not used, since some
 * system calls would fail with EINTR. So after the time is up, it is released at its next stop. If
 * we die, the kernel releases it. */
#include "track/launch_trace.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "python/examiner.h"
#include "os/proc.h"

#define EXECS_MAX     32
#define TRACED_MS     10000 /* since it was let go */
#define LINKING_MS    2000
#define LINKING_STEPS 20000
#define SYSCALL_STOP  (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

/* True if a signal has stopped the program, as it would without us. */
static bool is_group_stop(int status)
{
	int number = WSTOPSIG(status);

	return status >> 16 == PTRACE_EVENT_STOP &&
	       (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU);
}

/* The signal that it is about to receive; 0: it has stopped for another reason. */
static int signal_of(int status)
{
	return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status);
}

/* Continues it. `request` is PTRACE_CONT, PTRACE_SYSCALL or PTRACE_DETACH. */
static void go_on(struct launch *launch, int request, int status)
{
	if (request != PTRACE_DETACH && is_group_stop(status))
		request = PTRACE_LISTEN;
	ptrace(request, launch->pid, NULL, (void *)(long)signal_of(status));
	if (request == PTRACE_DETACH)
		launch->traced = false;
}

/* For the handler of SIGCHLD, which may run when the struct launch is gone. */
static volatile pid_t let_go;

/* Releases the command at its stop. It makes only system calls, since it is a signal handler. It
 * does not wait for the command's end: launch_exit_status() does. */
static void on_child(int number)
{
	siginfo_t info = {.si_pid = 0};
	int err = errno, status;

	(void)number;
	if (!waitid(P_PID, (id_t)let_go, &info, WSTOPPED | WNOHANG) && info.si_pid) {
		status = info.si_status << 8 | 0x7f; /* as of waitpid() */
		ptrace(PTRACE_DETACH, let_go, NULL, (void *)(long)signal_of(status));
	}
	errno = err;
}

int launch_trace_end(struct launch *launch)
{
	struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
	sigset_t child;

	let_go = launch->pid;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigaction(SIGCHLD, &action, NULL) || sigprocmask(SIG_UNBLOCK, &child, NULL))
		return -errno;
	return 0;
}

struct linker {
	uint64_t base; /* AT_BASE of the auxiliary vector */
	uint64_t inode, end;
};

static int take_linker(const struct proc_mapping *mapping, void *arg)
{
	struct linker *linker = arg;

	if (mapping->start == linker->base)
		linker->inode = mapping->inode;
	if (linker->inode && mapping->inode == linker->inode && mapping->start >= linker->base)
		linker->end = mapping->end;
	return 0;
}

/* Finds the program's dynamic linker. False: it has none. */
static bool find_linker(pid_t pid, struct linker *linker)
{
	Elf64_auxv_t auxv[64];
	/* The file belongs to the program's user, who may have changed. */
	ssize_t n = examiner_read_proc(pid, "auxv", auxv, sizeof(auxv));

	*linker = (struct linker){};
	for (size_t i = 0; n > 0 && i < n / sizeof(auxv[0]); i++)
		if (auxv[i].a_type == AT_BASE)
			linker->base = auxv[i].a_un.a_val;
	return linker->base && !proc_maps_each(pid, take_linker, linker) && linker->end;
}

/* What a stop tells about the dynamic linker. */
enum linking {
	LINKING, /* it goes on as before */
	MAPS,	 /* it is about to map an executable file */
	MAPPED,	 /* it has mapped all parts of the file, and does something else */
	LINKED,	 /* the program itself runs */
};

static enum linking how_far(pid_t pid, int status, const struct linker *linker)
{
	struct __ptrace_syscall_info info;
	uint64_t call;

	if (WSTOPSIG(status) != SYSCALL_STOP ||
	    ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return LINKING;
	if (info.instruction_pointer < linker->base || info.instruction_pointer >= linker->end)
		return LINKED;
	call = info.entry.nr;
	if (call == SYS_mmap)
		return info.entry.args[2] & PROT_EXEC ? MAPS : LINKING;
	return call == SYS_mprotect || call == SYS_munmap ? LINKING : MAPPED;
}

/* Waits for the next stop or the end, until `until_ms` at most. False: neither came. SIGCHLD must
 * be blocked. */
static bool wait_for_stop(struct launch *launch, uint64_t until_ms, int *status)
{
	struct timespec pause = {.tv_nsec = 50 * 1000000};
	sigset_t child;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while ((pid = waitpid(launch->pid, status, WNOHANG)) == 0) {
		if (clock_ms(CLOCK_MONOTONIC) >= until_ms)
			return false;
		/* Other signals may end the wait; that is no reason to give up. */
		sigtimedwait(&child, NULL, &pause);
	}
	if (pid == launch->pid && !WIFSTOPPED(*status)) {
		launch->ended = true;
		launch->status = *status;
	}
	return pid == launch->pid;
}

static bool is_known(struct launch *launch)
{
	return launch->known(launch->known_arg);
}

/* Lets the program run, from the stop at its exec, until its interpreter is mapped and known: true.
 * False: it is linked and has no interpreter, or runs, has ended, or has stopped elsewhere.
 * `*status` tells where it stopped; 0: it runs. */
static bool step_until_known(struct launch *launch, int *status)
{
	uint64_t until_ms = clock_ms(CLOCK_MONOTONIC) + LINKING_MS;
	enum linking far = MAPS;
	struct linker linker;
	bool mapped = false;

	if (!find_linker(launch->pid, &linker))
		return false;
	for (int i = 0; far != LINKED && i < LINKING_STEPS; i++) {
		go_on(launch, PTRACE_SYSCALL, *status);
		*status = 0;
		if (!wait_for_stop(launch, until_ms, status) || launch->ended ||
		    *status >> 16 == PTRACE_EVENT_EXEC)
			return false;
		far = how_far(launch->pid, *status, &linker);
		mapped |= far == MAPS;
		if (!mapped || far < MAPPED)
			continue;
		if (is_known(launch))
			return true;
		mapped = false;
	}
	return false;
}

static bool has_to_go(const struct launch *launch)
{
	return !launch->known || launch->execs >= EXECS_MAX ||
	       clock_ms(CLOCK_MONOTONIC) >= launch->traced_until_ms;
}

static void stopped_at_exec(struct launch *launch, int status)
{
	bool known;

	launch->execs++;
	known = is_known(launch) || step_until_known(launch, &status);
	if (!launch->ended && status)
		go_on(launch, known || has_to_go(launch) ? PTRACE_DETACH : PTRACE_CONT, status);
}

void launch_trace_stopped(struct launch *launch, int status)
{
	sigset_t child, before;

	if (!launch->traced_until_ms)
		launch->traced_until_ms = clock_ms(CLOCK_MONOTONIC) + TRACED_MS;
	if (status >> 16 != PTRACE_EVENT_EXEC || has_to_go(launch)) {
		go_on(launch, has_to_go(launch) ? PTRACE_DETACH : PTRACE_CONT, status);
		return;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	stopped_at_exec(launch, status);
	sigprocmask(SIG_SETMASK, &before, NULL);
}
