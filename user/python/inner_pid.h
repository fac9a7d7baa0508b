/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who looks into a container sees other PIDs than the host has: 7 there may be 2946 here. */
#ifndef INNER_PID_H
#define INNER_PID_H

#include <stddef.h>
#include <sys/types.h>

/* Writes which Pythons have the PID `pid` in PID namespaces of their own, as the end of a sentence
 * about that PID: "; 7 is the PID in a container of what is 2946 here". "" if there is none, or if
 * that can't be found out. All processes are looked at, once. Of those that have the PID, 8 are
 * examined at most, and none after 1 s; then it ends with "and perhaps more here". */
void inner_pid_explain(pid_t pid, char *text, size_t size);

#endif
