/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts a command, held back until it is tracked, and again until its program is known; its
 * signals and status are ours. */
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

struct launch {
	pid_t pid;
	int go_fd;    /* closing it lets the command start */
	int error_fd; /* errno of a failed exec; closed by a good one */
	bool held;    /* before the first instruction of its program */
	bool ended;
	int status; /* as waitpid() gives it */
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

/* Lets it exec. 0, or the -errno of its execvp(). With `hold` it is stopped there, by ptrace(2),
 * until launch_release(); where the system does not allow that, it runs on. If we die, it runs on
 * too. */
int launch_go(struct launch *launch, bool hold);
/* Lets it run. */
void launch_release(struct launch *launch);
/* Has it ended? Does not wait. */
bool launch_ended(struct launch *launch);
/* Exit status to pass on: the command's own, or 128 + its signal. Waits for it. */
int launch_exit_status(struct launch *launch);
/* Ends a child that was never let go. */
void launch_abandon(struct launch *launch);

#endif
