/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rights that commands with BPF programs need. */
#ifndef PRIVILEGE_H
#define PRIVILEGE_H

/* 0 if this process may do what `command` needs ("serve"; NULL: the main job): load and attach BPF
 * programs in the host's PID namespace. Otherwise prints what is missing and what helps, and
 * returns EXIT_ENVIRONMENT. */
int privilege_check(const char *command);

/* The same for --lines, which needs more. */
int privilege_check_lines(void);

#endif
