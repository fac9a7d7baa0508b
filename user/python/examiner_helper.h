/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other side of examiner.h: the keeper, which starts examiners, and what an examiner does. */
#ifndef EXAMINER_HELPER_H
#define EXAMINER_HELPER_H

/* For a child of the program, just forked: answers each WIRE_NEW on `control` with a new examiner,
 * ends when that is closed, and then ends those it started. Keeps no other descriptor, and no
 * capability but those that reading takes. Does not return. */
_Noreturn void examiner_keep(int control);

/* Answers the requests of `fd` until that is closed. */
void examiner_serve(int fd);

#endif
