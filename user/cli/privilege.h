/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What commands need that attach BPF programs. */
#ifndef PRIVILEGE_H
#define PRIVILEGE_H

/* 0 if this process may do what `command` ("serve"; NULL: the main job) needs: load and attach BPF
 * programs in the host's PID namespace. Otherwise EXIT_ENVIRONMENT, after saying what is missing
 * and the remedy. */
int privilege_check(const char *command);

/* The same for --lines, which takes more. */
int privilege_check_lines(void);

#endif
