/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rights that commands with BPF programs need. */
#ifndef PRIVILEGE_H
#define PRIVILEGE_H

#include <stdbool.h>

/* What helps who is in a namespace of its own, as the end of a sentence. */
#define PRIVILEGE_HOST_PIDS                                                            \
	"run it on the host, or start the container with hostPID: true (Kubernetes), " \
	"--pid=host (Docker, Podman) or pid: host (Compose)"
#define PRIVILEGE_HOST_USERS                                                            \
	"run it as the host's root, or in a container that root starts without a user " \
	"namespace: hostUsers: true (Kubernetes), --userns=host (Docker, Podman)"

/* 0 if this process may do what `command` needs ("serve"; NULL: the main job): load and attach BPF
 * programs, in the host's PID and user namespaces. Otherwise prints what is missing and what helps,
 * and returns EXIT_ENVIRONMENT. */
int privilege_check(const char *command);

/* The same for --lines or, with `functions`, --functions, which need more. */
int privilege_check_lines(bool functions);

#endif
