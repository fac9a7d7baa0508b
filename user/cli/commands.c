/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The list of all commands, in the order of the help. */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>

const struct command *const commands[] = {
	&command_profile, &command_record, &command_report, &command_diff,	 &command_top,
	&command_heap,	  &command_memit,  &command_agent,  &command_oom,	 &command_serve,
	&command_ps,	  &command_check,  &command_help,   &command_completion, NULL,
};

static int status_of(enum options_outcome outcome)
{
	switch (outcome) {
	case OPTIONS_DONE:
		return EXIT_DONE;
	case OPTIONS_FAILED:
		return EXIT_FAILED;
	default:
		return EXIT_USAGE;
	}
}

int command_run(const struct command *command, int argc, char **argv)
{
	void *options = calloc(1, command->options_size ?: 1);
	enum options_outcome outcome;
	int status;

	if (!options) {
		perror("pymem-bpf");
		return EXIT_FAILED;
	}
	outcome = options_parse(command, options, argc, argv);
	status = outcome == OPTIONS_RUN ? command->run(options) : status_of(outcome);
	options_fini(command, options);
	free(options);
	return status;
}
