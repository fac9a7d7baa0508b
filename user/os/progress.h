/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What goes on, on a terminal, while a user waits: one line on stderr, rewritten each second, and
 * cleared at the end. What takes less than 2 s says nothing. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>

/* Forks a helper process that writes the line, also while this process is busy. Call it before
 * rights are given up and before there is much in memory. Does nothing, and so do the functions
 * below, unless `wanted` and stderr is a terminal. If it can't be started, nothing is shown. */
void progress_start(bool wanted);

/* Something begins that may take long. The line has this text, cut at 120 bytes, which must be
 * fit for a terminal, and the seconds since. It goes on with another text if it was called before.
 */
void progress_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* It has ended: when this returns the line is cleared, and the caller may write to the terminal. */
void progress_done(void);

/* Ends the helper. */
void progress_stop(void);

#endif
