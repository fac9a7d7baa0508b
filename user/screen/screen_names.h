/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of processes on the screen. Pure. All names come from targets and are raw bytes: they are
 * escaped when they are drawn. The caller frees names that functions return. */
#ifndef SCREEN_NAMES_H
#define SCREEN_NAMES_H

#include <stdbool.h>

/* The name of the program that a command line (ended by NULL) runs: the script's, without its
 * folder; the module's after -m; "python -c". A process that has set its title is called by its
 * first word. Without a command line it is `comm`. A new string, or NULL: out of memory. */
char *screen_program(char *const *cmdline, const char *comm);

/* What a process runs: its program, and the words after it. The interpreter and its options, which
 * are alike in all rows, are left out, and so are folders. A new string, or NULL: out of memory. */
char *screen_command(char *const *cmdline, const char *comm);

/* The container that a cgroup path belongs to, such as "docker:0123456789ab"; "": none. A new
 * string, or NULL: out of memory. */
char *screen_container(const char *cgroup);

/* True for files of Python's standard library. */
bool screen_is_library(const char *file);

#endif
