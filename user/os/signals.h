/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Signals of the profile command, and the terminal that must be in order at its end. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* From now on SIGINT, SIGTERM and SIGHUP are noted, but not a SIGHUP that is ignored now. With
 * `launched`, more signals are caught to be passed on. 0 or -errno. */
int signals_catch(bool launched);

/* For a command that has nothing to report before its end: from now on SIGINT, SIGTERM and, unless
 * it is ignored now, SIGHUP end this process at once, with 128 plus their number. A report that is
 * being written is dropped. */
void signals_end_at_once(void);

/* After signals_end_at_once(), around a wait that the user may cut short: the first SIGINT ends the
 * wait, and a second one this process. SIGINT is blocked until signals_end_wait(). Only a
 * ppoll() with the mask `unblocked`, which this fills in, sees it; so none is missed between the
 * question signals_wait_ended() and the sleep. */
void signals_begin_wait(sigset_t *unblocked);
/* True once SIGINT has come in such a wait. */
bool signals_wait_ended(void);
/* The wait is over: SIGINT ends this process at once again, but for one that comes within 100 ms
 * after the one that ended the wait. */
void signals_end_wait(const sigset_t *unblocked);

/* True if SIGHUP is ignored, as nohup(1) does. Call it before signals_catch(). */
bool signals_hangup_ignored(void);

/* True after a signal that ends the profile. */
bool signals_interrupted(void);
/* A descriptor for a loop; it becomes readable when signals_interrupted() becomes true. */
int signals_fd(void);

/* Signals are for the command `pid` until signals_take_back(). 0 or -errno. */
int signals_give_to(pid_t pid);
void signals_take_back(void);

/* Switches to the terminal's alternate screen, or back. Does nothing if that is done already. */
void signals_screen(bool enter);

#endif
