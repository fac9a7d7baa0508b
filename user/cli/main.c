/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chooses the command; the main job has no name. */
#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

/* If one of the descriptors 0 to 2 is closed, the next open() gets its number, and our messages are
 * written to that file. So a descriptor that can be neither read nor written takes the number. A
 * command that is started does not inherit it. False: that failed. */
static bool occupy_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/", O_PATH | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	return fd >= 0 && close(fd) == 0;
}

int main(int argc, char **argv)
{
	size_t i;

	if (!occupy_standard_descriptors()) {
		perror("pymem-bpf: /");
		return EXIT_FAILED;
	}
	setlocale(LC_CTYPE, "");
	for (i = 0; argc > 1 && commands[i]; i++)
		if (commands[i]->name && !strcmp(argv[1], commands[i]->name))
			return command_run(commands[i], argc - 1, argv + 1);
	return command_run(&command_profile, argc, argv);
}
