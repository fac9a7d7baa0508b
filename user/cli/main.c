/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chooses the command; the main job has no name. */
#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_status.h"
#include "cli/cmd_profile.h"
#include "cli/cmd_memit.h"
#include "cli/cmd_ps.h"
#include "cli/cmd_serve.h"
#include "cli/options.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"ps", cmd_ps},
	{"check", cmd_check},
	{"serve", cmd_serve},
	{"memit", cmd_memit},
};

/* Whoever closed one of the standard descriptors must not get the next file that is opened
 * written into by what is said to it. What takes their places can't be written to nor read, as
 * if they were closed still, and is closed for a command that is started. */
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
	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return cmd_profile(argc, argv);
}
