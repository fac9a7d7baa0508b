/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts a command, held back until it is tracked, and again until its program is known; its
 * signals and status are ours. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launch {
	pid_t pid;
	int go_fd;    /* closing it lets the command start */
	int error_fd; /* errno of a failed exec; closed by a good one */
	bool ended;
	int status; /* as waitpid() gives it */
	/* launch_trace.c */
	bool traced;
	bool (*known)(void *arg); /* NULL: it is to be let go */
	void *known_arg;
	unsigned execs;
	uint64_t traced_until_ms; /* CLOCK_MONOTONIC; 0: has not begun */
};

/* Forks; the child waits. 0 or -errno. */
int launch_prepare(struct launch *launch, char **command);

/* A process that starts one command as often as it is asked to, with the rights and the signal
 * handlers that there are when the launcher starts, whatever is dropped later. */
struct launcher {
	pid_t pid; /* -1, or 0 before launcher_start(): none */
	int fd;
};

/* Forks it. `command` stays the caller's. 0 or -errno. */
int launcher_start(struct launcher *launcher, char **command);
/* As launch_prepare(), of its command. -ECHILD: the launcher is gone. */
int launcher_prepare(struct launcher *launcher, struct launch *launch);
/* Harmless if there is none. Commands go on. */
void launcher_end(struct launcher *launcher);

/* From now on it is held, by ptrace(2), where it may be known what it runs: at each exec, before
 * the first instruction of the program, and where its libraries are mapped; until that is known,
 * for ten seconds at most. False: the system does not allow that. If we die, it runs on. */
bool launch_hold(struct launch *launch);
/* Lets it exec. 0, or the -errno of its execvp(). Where it is held, and once where it is not,
 * `known` is called (NULL: nothing), which looks at what it is: true if nothing more can be
 * learned. */
int launch_go(struct launch *launch, bool (*known)(void *arg), void *arg);
/* Has it ended? Does not wait; but deals with its stops, and so calls `known`. */
bool launch_ended(struct launch *launch);
/* It is held no more, though nobody calls launch_ended(): it runs on from where it has stopped, or
 * as soon as it stops. Once; SIGCHLD must not be a loop's any more. 0 or -errno. */
int launch_let_go(struct launch *launch);
/* Exit status to pass on: the command's own, or 128 + its signal. Waits for it. */
int launch_exit_status(struct launch *launch);
/* Ends a child that was never let go. */
void launch_abandon(struct launch *launch);

#endif
