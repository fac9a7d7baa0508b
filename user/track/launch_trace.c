/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A command becomes Python in steps: a script (pyenv's shim) runs programs and execs others, the
 * last of them the interpreter; and that may be in a library, which the dynamic linker maps after
 * the exec. Whatever changes memory before we know the interpreter is nobody's line.
 *
 * So it stops at each exec, and is asked about. If it is no interpreter yet, it goes from system
 * call to system call, and is asked about again when the dynamic linker has mapped a library:
 * before it relocates that, which changes megabytes. The first system call that is not the linker's
 * own says that all are mapped. A program that still is no interpreter goes on freely to its next
 * exec.
 *
 * Nothing in the program is changed: no breakpoint, no register, no signal of ours. It gets the
 * signals that are meant for it and stops where it is to stop. PTRACE_INTERRUPT is not used either:
 * some system calls would fail with EINTR. So when time is up it is let go at its next stop. If we
 * die, the kernel lets it go.
 */
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
#define TRACED_MS     10000 /* from the start on */
#define LINKING_MS    2000
#define LINKING_STEPS 20000
#define SYSCALL_STOP  (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

/* A stop that is the program's own: where a signal has stopped it for all to see. */
static bool is_group_stop(int status)
{
	int number = WSTOPSIG(status);

	return status >> 16 == PTRACE_EVENT_STOP &&
	       (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU);
}

/* The signal that it has stopped to be given; 0: it has stopped for another reason. */
static int signal_of(int status)
{
	return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status);
}

/* With PTRACE_CONT, PTRACE_SYSCALL or PTRACE_DETACH. */
static void go_on(struct launch *launch, int request, int status)
{
	if (request != PTRACE_DETACH && is_group_stop(status))
		request = PTRACE_LISTEN;
	ptrace(request, launch->pid, NULL, (void *)(long)signal_of(status));
	if (request == PTRACE_DETACH)
		launch->traced = false;
}

/* For the handler, which may run after the struct launch is gone. */
static volatile pid_t let_go;

/* Does nothing but what a handler may do. Its end is not taken here: launch_exit_status() waits for
 * that. */
static void on_child(int number)
{
	siginfo_t info = {.si_pid = 0};
	int err = errno, status;

	(void)number;
	if (!waitid(P_PID, (id_t)let_go, &info, WSTOPPED | WNOHANG) && info.si_pid) {
		status = info.si_status << 8 | 0x7f; /* as waitpid() has it */
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
	uint64_t base; /* AT_BASE */
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

/* Where the program has its dynamic linker. False: it has none. */
static bool find_linker(pid_t pid, struct linker *linker)
{
	Elf64_auxv_t auxv[64];
	/* A file of the program's user, who may be another by now. */
	ssize_t n = examiner_read_proc(pid, "auxv", auxv, sizeof(auxv));

	*linker = (struct linker){};
	for (size_t i = 0; n > 0 && i < n / sizeof(auxv[0]); i++)
		if (auxv[i].a_type == AT_BASE)
			linker->base = auxv[i].a_un.a_val;
	return linker->base && !proc_maps_each(pid, take_linker, linker) && linker->end;
}

/* What a stop of the program says of how far the dynamic linker is. */
enum linking {
	LINKING, /* nothing new */
	MAPS,	 /* it maps a file that can be executed */
	MAPPED,	 /* it has, all parts of it: it goes on to something else */
	LINKED,	 /* the program runs */
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

/* Waits for its next stop or its end, no longer than until `until_ms`. False: neither came. SIGCHLD
 * is blocked. */
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
		/* It may end by a signal of ours, which is no reason to give up. */
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

/* From the stop at its exec to where its interpreter is mapped, and known: true. False: it has none
 * when it is linked, or runs, has ended or has stopped elsewhere, which `*status` says (0: it
 * runs). */
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
