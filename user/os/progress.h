/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shows on a terminal what goes on while a user waits: one line on stderr, rewritten each second,
 * and cleared at the end. Nothing is shown of what takes less than 2 s. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>

/* Forks a helper process that writes the line, also while this process is busy. Call it before
 * rights are given up and before there is much in memory. Does nothing, and so do the functions
 * below, unless `wanted` and stderr is a terminal. If it can't be started, nothing is shown. */
void progress_start(bool wanted);

/* Something begins that may take long. The line shows this text, cut at 120 bytes, and the seconds
 * since. The text must be fit for a terminal. A further call replaces the text; the seconds go
 * on. */
void progress_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What progress_say() announced has ended. When this returns, the line is cleared and the caller
 * may write to the terminal. Waits for the helper at most 1 s. */
void progress_done(void);

/* Ends the helper. */
void progress_stop(void);

#endif
