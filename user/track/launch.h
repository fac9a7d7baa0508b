/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts a command. It is held until it is tracked, and with ptrace(2) until its program is known.
 * Signals and its exit status are handled for it. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launch {
	pid_t pid;
	int go_fd;    /* close it to let the command start */
	int error_fd; /* errno of a failed exec; end of file after a good one */
	bool ended;
	int status; /* as of waitpid() */
	/* launch_trace.c */
	bool traced;
	bool (*known)(void *arg); /* NULL: do not hold it any more */
	void *known_arg;
	unsigned execs;
	uint64_t traced_until_ms; /* CLOCK_MONOTONIC; 0: it has not begun */
};

/* Forks the child, which waits. `command` must outlive the launch. 0 or -errno. */
int launch_prepare(struct launch *launch, char **command);

/* A process that starts a command as often as it is asked to, with the rights and the signal
 * handlers that exist when launcher_start() is called. What is dropped later does not matter. */
struct launcher {
	pid_t pid; /* -1 or 0: there is none */
	int fd;
};

/* Forks the launcher. The caller owns `command`. 0 or -errno. */
int launcher_start(struct launcher *launcher, char **command);
/* As launch_prepare(), with the launcher's command. -ECHILD: the launcher is gone. */
int launcher_prepare(struct launcher *launcher, struct launch *launch);
/* Ends the launcher; its commands go on. Does nothing if there is none. */
void launcher_end(struct launcher *launcher);

/* From now on the command is held with ptrace(2) where its program may become known: at each exec,
 * before its first instruction, and when its libraries are mapped. That ends when it is known, or
 * after ten seconds. If we die, it runs on. False: the system does not allow ptrace(2). */
bool launch_hold(struct launch *launch);
/* Lets the command exec. If it is held, `known` is called at each of these stops; else once. It
 * looks at what the command runs and returns true if nothing more can be learned. NULL: nothing is
 * called. 0, or -errno of execvp(). */
int launch_go(struct launch *launch, bool (*known)(void *arg), void *arg);
/* True if the command has ended. Does not wait, but handles the command's stops, and then calls
 * `known`. */
bool launch_ended(struct launch *launch);
/* From now on the command is not held any more, although nothing calls launch_ended(). It goes on
 * if it is stopped now, or as soon as it stops. Call it once; no loop may take SIGCHLD any more. 0
 * or -errno. */
int launch_let_go(struct launch *launch);
/* Waits for the command's end. Returns its exit status, or 128 plus its signal. */
int launch_exit_status(struct launch *launch);
/* Kills a child that has not been let go. */
void launch_abandon(struct launch *launch);

#endif
