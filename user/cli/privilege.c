/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Refuses at once, before anything is done, what this process has no rights for, and says what to
 * type instead. */
#include "cli/privilege.h"

#include <stdio.h>

#include "base/exit_status.h"
#include "kernel/kernel.h"
#include "os/sudo.h"

int privilege_check(const char *command)
{
	const char *space = command ? " " : "", *name = command ?: "";
	char missing[128], sudo[512];

	kernel_missing_capabilities(missing, sizeof(missing));
	if (*missing) {
		sudo_command(sudo, sizeof(sudo));
		fprintf(stderr,
			"pymem-bpf%s%s: missing privileges: %s\n"
			"Run it as root: %s%s%s …  (in a container: --privileged "
			"--pid=host, or add these capabilities; in Kubernetes: privileged: true "
			"and hostPID: true)\n",
			space, name, missing, sudo, space, name);
		return EXIT_ENVIRONMENT;
	}
	if (!kernel_host_users()) {
		fprintf(stderr,
			"pymem-bpf%s%s: this is a container's user namespace, in which "
			"capabilities do not count for the kernel: " PRIVILEGE_HOST_USERS "\n",
			space, name);
		return EXIT_ENVIRONMENT;
	}
	if (!kernel_host_pids()) {
		fprintf(stderr,
			"pymem-bpf%s%s: this is a container's PID namespace, in which process "
			"numbers are not the kernel's: " PRIVILEGE_HOST_PIDS "\n",
			space, name);
		return EXIT_ENVIRONMENT;
	}
	return 0;
}

int privilege_check_lines(bool functions)
{
	const char *option = functions ? "--functions" : "--lines";
	char sudo[512];

	if (kernel_allows_uprobes())
		return 0;
	sudo_command(sudo, sizeof(sudo));
	fprintf(stderr,
		"pymem-bpf: missing privileges for %s: CAP_SYS_ADMIN, which this kernel asks "
		"for where a uprobe is opened\n"
		"Run it as root: %s %s …  (or leave %s out)\n",
		option, sudo, functions ? option : "-l", option);
	return EXIT_ENVIRONMENT;
}
