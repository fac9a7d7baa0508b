/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/agent_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/options_value.h"

#define SHOWN 48 /* characters of a name in an error */

/* All of a file. The caller frees it. 0 or -errno: -EFBIG, -EINVAL: it is no file. */
static int read_file(const char *path, char **bytes, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err = fd < 0 ? -errno : 0;
	struct stat st;
	ssize_t got = 1;

	*size = 0;
	*bytes = err ? NULL : malloc(AGENT_CONFIG_BYTES + 1);
	if (!err && !*bytes)
		err = -ENOMEM;
	if (!err && (fstat(fd, &st) || !S_ISREG(st.st_mode)))
		err = -EINVAL;
	while (!err && got && *size <= AGENT_CONFIG_BYTES) {
		got = read(fd, *bytes + *size, AGENT_CONFIG_BYTES + 1 - *size);
		if (got < 0)
			err = -errno;
		else
			*size += (size_t)got;
	}
	if (!err && *size > AGENT_CONFIG_BYTES)
		err = -EFBIG;
	if (fd >= 0)
		close(fd);
	return err;
}

/* --- options --- */

static const struct option_row *row_of(const struct command *command, const char *name)
{
	const struct option_row *row;

	for (row = command->rows; row->type != OPTION_END; row++)
		if (row->name && !strcmp(row->name, name))
			return row;
	return NULL;
}

/* What the option takes is a text, which has quotes. A mode is octal, and no number of TOML. */
static bool is_text(const struct option_row *row)
{
	return row->type == OPTION_TEXT || row->type == OPTION_FILE || row->type == OPTION_TEXTS ||
	       row->type == OPTION_NAME || row->type == OPTION_CHOICE || row->type == OPTION_SET ||
	       row->type == OPTION_MODE;
}

/* Each use of the option adds one. */
static bool adds(const struct option_row *row)
{
	return row->type == OPTION_TEXTS || row->type == OPTION_SET;
}

/* Says what is wrong with a value, for which the option has no use. -EINVAL */
static int refuse(const struct agent_config *config, const struct toml_value *value,
		  const char *name, const char *what)
{
	return options_complain(config->command, "--config %s: line %u, column %u: %.*s %s",
				config->path, value->line, value->column, SHOWN, name, what);
}

/* "in line 3, column 8". -EINVAL */
static int complain(const struct agent_config *config, const struct toml_value *value)
{
	return options_complain(config->command,
				"--config %s: that is wrong in it, in line %u, column %u",
				config->path, value->line, value->column);
}

static int store_value(const struct agent_config *config, const struct option_row *row,
		       const struct toml_value *value, void *options)
{
	const char *text = value->text;

	if (!option_takes_argument(row)) {
		if (value->type != TOML_BOOLEAN)
			return refuse(config, value, row->name, "is true or false, without quotes");
		if (*text == 'f')
			return 0;
		text = NULL;
	} else if (value->type == TOML_BOOLEAN && row->alone) {
		if (*text == 'f')
			return 0;
		text = row->alone;
	} else if (value->type == TOML_BOOLEAN) {
		return refuse(config, value, row->name,
			      "takes a number or a text, not true or false");
	} else if (is_text(row) && value->type != TOML_STRING) {
		return refuse(config, value, row->name, "is a text: write it in quotes");
	}
	return option_store(config->command, row, options, text) ? complain(config, value) : 0;
}

static int store_entry(const struct agent_config *config, const struct toml_entry *entry,
		       void *options)
{
	const struct option_row *row = row_of(config->command, entry->name);
	struct toml_value place = {.line = entry->line, .column = entry->column};
	int err = 0;

	if (!row)
		return refuse(config, &place, entry->name,
			      "is no option of the file; pymem-bpf agent --help lists them");
	if (entry->is_array && !adds(row))
		return refuse(config, &place, entry->name, "takes one value: write it without [ ]");
	for (size_t i = 0; i < entry->count && !err; i++)
		err = store_value(config, row, &config->toml.values[entry->first + i], options);
	return err;
}

/* --- the file --- */

/* Reads the document. 0, or -errno after saying what is wrong. */
static int parse(struct agent_config *config, const char *bytes, size_t size)
{
	struct toml_error why;
	int err = toml_parse(&config->toml, bytes, size, &why);

	if (err == -EINVAL)
		options_complain(config->command, "--config %s: line %u, column %u: %s",
				 config->path, why.line, why.column, why.what);
	else if (err)
		options_complain(config->command, "--config %s: %s", config->path, strerror(-err));
	return err;
}

int agent_config_read(struct agent_config *config, const char *path, bool optional,
		      const struct command *command, void *options)
{
	char *bytes;
	size_t size;
	int err;

	*config = (struct agent_config){.command = command, .path = path};
	memset(options, 0, command->options_size);
	err = read_file(path, &bytes, &size);
	if (!err)
		err = parse(config, bytes, size);
	else if (err != -ENOENT || !optional)
		options_complain(command, "--config %s: %s", path, strerror(-err));
	free(bytes);
	for (size_t i = 0; !err && i < config->toml.count; i++)
		err = store_entry(config, &config->toml.entries[i], options);
	return err;
}

int agent_config_complain(const struct agent_config *config, const char *text)
{
	for (size_t i = 0; i < config->toml.value_count; i++)
		if (config->toml.values[i].text == text)
			return complain(config, &config->toml.values[i]);
	return options_complain(config->command, "--config %s: that is wrong in it", config->path);
}

void agent_config_fini(struct agent_config *config)
{
	toml_fini(&config->toml);
}
