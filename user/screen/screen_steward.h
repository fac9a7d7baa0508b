/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stewards: two helper processes that do for the live screen what the screen has given up the
 * right to do. One looks at a heap, the other writes a report to a file. */
#ifndef SCREEN_STEWARD_H
#define SCREEN_STEWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STEWARD_NAME_MAX 128

/* Prints on stdout what process `pid` keeps, for a width of `columns`. Runs in a process of its
 * own. Returns its exit status. */
typedef int steward_heap_fn(pid_t pid, unsigned columns);

/* Forks the stewards, and waits until they have given up the rights that they don't need. Call it
 * before this process has anything that they must not inherit, and before it gives up rights.
 * `report`: the file that -o named, which gets the permissions `mode`; NULL: none. 0 or -errno. */
int steward_start(steward_heap_fn *heap, const char *report, mode_t mode);
/* Ends the stewards, and a heap look that runs. Does nothing if there are none. */
void steward_stop(void);

/* Begins to look at the heap of `pid`, and gives up a look that runs. Returns a descriptor from
 * which its text can be read until its end, without blocking; the caller closes it. Or -errno. */
int steward_look(pid_t pid, unsigned columns);
/* Gives up the look that runs. */
void steward_give_up(void);

/* Begins to write what `text` (a descriptor, at its beginning) contains to the file `name` in the
 * folder where the program was started; "": to the file that steward_start() was given. 0 or
 * -errno. The result comes through steward_fd(). */
int steward_write(int text, const char *name);
/* steward_fd() becomes readable when there is a result; it is not the caller's to close.
 * steward_written() takes the result: 0, or -errno of the writing; -EAGAIN: there is none yet;
 * -EPIPE: the steward has ended. */
int steward_fd(void);
int steward_written(void);

/* True if a report may have that name: letters, digits, '.', '_' and '-', no dot or dash first,
 * .txt or .json at its end, and not longer than STEWARD_NAME_MAX - 1. */
bool steward_may_write(const char *name);

#endif
