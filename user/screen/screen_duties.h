/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stewards' side of the socket: what each of them does. Only screen_steward.c calls these, in a
 * process of their own that has just been forked. */
#ifndef SCREEN_DUTIES_H
#define SCREEN_DUTIES_H

#include <sys/types.h>

#include "screen/screen_steward.h"

/* To the looker: with a descriptor beside it, that the text goes to, or without one: gives up the
 * look that runs. */
struct duty_look {
	pid_t pid;
	unsigned columns;
};

/* To the scribe: with a descriptor beside it, whose content is the report. It answers with an int,
 * 0 or -errno. */
struct duty_write {
	char name[STEWARD_NAME_MAX]; /* "": the file of -o */
};

/* Each confines the process, sends an int (0, or -errno: it has ended), serves until the socket has
 * ended, and does not return. `fd`: the socket. */
_Noreturn void duty_look_serve(int fd, steward_heap_fn *heap);
_Noreturn void duty_write_serve(int fd, const char *report, mode_t mode);

#endif
