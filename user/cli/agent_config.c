/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/agent_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS " \t\r"

static int complain(const struct command *command, const char *path, int err)
{
	options_complain(command, "--config %s: %s", path, strerror(-err));
	return err;
}

/* All of a file, with a NUL behind it. The caller frees it. 0 or -errno: -EFBIG, -EINVAL: it is no
 * file, or it has a NUL. */
static int read_file(const char *path, char **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *bytes = fd < 0 ? NULL : malloc(AGENT_CONFIG_BYTES + 1);
	int err = fd < 0 ? -errno : bytes ? 0 : -ENOMEM;
	size_t size = 0;
	struct stat st;
	ssize_t got = 1;

	if (!err && (fstat(fd, &st) || !S_ISREG(st.st_mode)))
		err = -EINVAL;
	while (!err && got && size <= AGENT_CONFIG_BYTES) {
		got = read(fd, bytes + size, AGENT_CONFIG_BYTES + 1 - size);
		if (got < 0)
			err = -errno;
		else
			size += (size_t)got;
	}
	if (!err && size > AGENT_CONFIG_BYTES)
		err = -EFBIG;
	if (!err && memchr(bytes, '\0', size))
		err = -EINVAL;
	if (fd >= 0)
		close(fd);
	if (err) {
		free(bytes);
		return err;
	}
	bytes[size] = '\0';
	*text = bytes;
	return 0;
}

/* Cuts blanks off both ends. */
static char *trimmed(char *text)
{
	char *end;

	text += strspn(text, BLANKS);
	end = text + strlen(text);
	while (end > text && strchr(BLANKS, end[-1]))
		*--end = '\0';
	return text;
}

/* Appends the line as an argument: --NAME or --NAME=VALUE. 0 or -errno. */
static int add_line(struct agent_config *config, char *line)
{
	char *value, *word;
	int length;

	line = trimmed(line);
	if (!*line || *line == '#')
		return 0;
	if (config->count == AGENT_CONFIG_LINES)
		return -E2BIG;
	value = strchr(line, '=');
	if (value)
		*value++ = '\0';
	length = value ? asprintf(&word, "--%s=%s", trimmed(line), trimmed(value))
		       : asprintf(&word, "--%s", line);
	if (length < 0)
		return -ENOMEM;
	config->words[config->count++] = word;
	return 0;
}

void agent_config_fini(struct agent_config *config)
{
	for (size_t i = 0; i < config->count; i++)
		free(config->words[i]);
	free(config->text);
	*config = (struct agent_config){};
}

int agent_config_read(struct agent_config *config, const char *path, bool optional,
		      const struct command *command, void *options)
{
	char *argv[AGENT_CONFIG_LINES + 2] = {"agent"}, *line, *rest;
	int err;

	agent_config_fini(config);
	memset(options, 0, command->options_size);
	err = read_file(path, &config->text);
	if (err)
		return err == -ENOENT && optional ? err : complain(command, path, err);
	rest = config->text;
	while (!err && (line = strsep(&rest, "\n")))
		err = add_line(config, line);
	if (err)
		return complain(command, path, err);
	memcpy(argv + 1, config->words, config->count * sizeof(*argv));
	if (options_parse(command, options, (int)config->count + 1, argv) == OPTIONS_RUN)
		return 0;
	return options_complain(command, "--config %s: that is wrong in it", path);
}
