/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Signals of the main job, and the terminal that its end must leave in order. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on SIGINT, SIGTERM and SIGHUP are noted, SIGHUP not if it is ignored now; with
 * `launched`, more are caught, to be passed on. 0 or -errno. */
int signals_catch(bool launched);

/* For a command that has nothing to report before its end: from now on SIGINT, SIGTERM and, unless
 * it is ignored now, SIGHUP end this process at once, with 128 plus their number. A report that is
 * being written is dropped. */
void signals_end_at_once(void);

/* Is SIGHUP ignored, as nohup(1) has it? Before anything here takes it. */
bool signals_hangup_ignored(void);

/* Was there one that ends the profile? */
bool signals_interrupted(void);
/* Ready to be read from then on: for a loop. */
int signals_fd(void);

/* Signals are for the command `pid` until they are taken back. 0 or -errno. */
int signals_give_to(pid_t pid);
void signals_take_back(void);

/* Enters or leaves the terminal's other screen, if need be. */
void signals_screen(bool enter);

#endif
