/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The config file of the agent: a TOML document (base/toml.h) with options by their long names:
 *
 *     # no more than a gigabyte
 *     size = 1024
 *     rotate = "1h"
 *     no-sources = true
 *     alarm = ["growth>50MiB/h", "limit>90%"]
 *
 * So a file can say what a command line can, with the same bounds and the same complaints. Which
 * values an option takes follows from the type of its row:
 *
 * - one without an argument: true, or false, which is as if it was not there;
 * - one that is a text: a string; where several are added, also an array of strings;
 * - any other: a number, or a string. */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include "base/toml.h"
#include "cli/command.h"

#define AGENT_CONFIG_BYTES 65536 /* of a file at most */

struct agent_config { /* all zeros: nothing was read; owns what options point to; can be moved */
	struct toml toml;
	const struct command *command;
	const char *path;
};

/* Reads the file into `options`, the struct of `command`, which is cleared before; `config` is all
 * zeros. A field that the file says nothing of is zero: rows have no presets. 0, or -errno after
 * saying what is wrong; -ENOENT is not said if `optional`. What pointers in `options` lead to is
 * valid until agent_config_fini(), and `path` must be as long. options_fini() is the caller's, in
 * any case. */
int agent_config_read(struct agent_config *config, const char *path, bool optional,
		      const struct command *command, void *options);

/* Says that something is wrong with `text`, to which a field of `options` points, and where it is
 * in the file. -EINVAL. */
int agent_config_complain(const struct agent_config *config, const char *text);

void agent_config_fini(struct agent_config *config);

#endif
