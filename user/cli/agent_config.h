/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The config file of the agent: one option a line, by its long name, with = before its value:
 *
 *     # no more than a gigabyte
 *     size = 1024
 *     no-sources
 *
 * So a file can say what a command line can, with the same bounds and the same complaints. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "cli/command.h"

#define AGENT_CONFIG_BYTES 65536 /* of a file at most */
#define AGENT_CONFIG_LINES 64

struct agent_config { /* all zeros: nothing was read; owns what options point to */
	char *text;
	char *words[AGENT_CONFIG_LINES + 1];
	size_t count;
};

/* Reads the file into `options`, the struct of `command`, which is cleared before. 0, or -errno
 * after saying what is wrong; -ENOENT is not said if `optional`. What pointers in `options` lead to
 * is valid until agent_config_fini(). */
int agent_config_read(struct agent_config *config, const char *path, bool optional,
		      const struct command *command, void *options);
void agent_config_fini(struct agent_config *config);

#endif
