/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chooses the command; the main job has no name. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cmd_profile.h"
#include "cmd_memit.h"
#include "cmd_ps.h"
#include "cmd_serve.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"ps", cmd_ps},
	{"check", cmd_check},
	{"serve", cmd_serve},
	{"memit", cmd_memit},
};

int main(int argc, char **argv)
{
	size_t i;

	setlocale(LC_CTYPE, "");
	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return cmd_profile(argc, argv);
}
