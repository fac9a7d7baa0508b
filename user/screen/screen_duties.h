/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stewards' side of the socket: what each of them does. Only screen_steward.c calls these, in a
 * process of their own that has just been forked. */
#ifndef SCREEN_DUTIES_H
#define SCREEN_DUTIES_H

#include <sys/types.h>

#include "screen/screen_steward.h"

/* A request to the looker. The text goes to the descriptor that is sent with it. Without a
 * descriptor it gives up the look that runs. */
struct duty_look {
	pid_t pid;
	unsigned columns;
};

/* A request to the scribe. The descriptor that is sent with it contains the report. The scribe
 * answers with an int, 0 or -errno. */
struct duty_write {
	char name[STEWARD_NAME_MAX]; /* "": the file of -o */
};

/* Each confines the process and sends an int (0, or -errno: the process has ended). It serves until
 * the socket `fd` has ended, and does not return. `report`: the file of -o; NULL: none. */
_Noreturn void duty_look_serve(int fd, steward_heap_fn *heap);
_Noreturn void duty_write_serve(int fd, const char *report, mode_t mode);

#endif
