/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf help`: prints what people do most, or what the manual page says of one topic, since
 * that page may not be installed. The texts are made from the manual page at build time
 * (tools/gen-help). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"
#include "os/terminal.h"

#define COLUMNS_MOST 100 /* longer lines are hard to read */

struct help_line {
	int indent; /* -1: the end */
	const char *text;
};

struct help_topic {
	const char *name;
	const struct help_line *lines;
};

#include "cli/help_topics.h"

static const char options_topic[] = "options";

static const struct help_topic topics[] = {HELP_TOPICS};

struct help_options {
	const char *topic;
};

/* The first topic, "options", is not from the manual page. */
static const char *topic_name(size_t i)
{
	return i ? topics[i - 1].name : options_topic;
}

static int print_topic(const struct help_topic *topic, FILE *out)
{
	unsigned width = terminal_report_width(0, isatty(STDOUT_FILENO));
	const struct help_line *line;

	if (!width || width > COLUMNS_MOST)
		width = COLUMNS_MOST;
	for (line = topic->lines; line->indent >= 0; line++) {
		/* An empty line comes before each paragraph, but not before an explanation or an
		 * example, which are indented. */
		if (line > topic->lines && line->indent < 4)
			fputc('\n', out);
		fprintf(out, "%*s", line->indent, "");
		text_wrap(out, line->text, (unsigned)line->indent, width, (unsigned)line->indent);
		fputc('\n', out);
	}
	return fflush(out) || ferror(out) ? -EIO : 0;
}

/* Prints what people do most, and the names of the topics. */
static int print_topics(FILE *out)
{
	char text[256] = "Topics: ";
	size_t i, used;

	if (options_brief(&command_profile, out))
		return -EIO;
	for (i = 0; topic_name(i); i++) {
		used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "", topic_name(i));
	}
	fprintf(out, "%s.\n", text);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

static int help(void *options)
{
	const struct help_options *o = options;
	size_t i;
	int err = -ENOENT;

	if (!o->topic)
		err = print_topics(stdout);
	else if (!strcmp(o->topic, options_topic))
		err = options_help(&command_profile, stdout);
	for (i = 0; o->topic && topics[i].name; i++)
		if (!strcmp(topics[i].name, o->topic))
			err = print_topic(&topics[i], stdout);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static const struct option_row rows[] = {
	OPTION_HELP_ROW,
	{.argument = "TOPIC",
	 .type = OPTION_WORD,
	 OPTION_AT(struct help_options, topic),
	 .names = topic_name,
	 .help = "{}"},
	{},
};

const struct command command_help = {
	.name = "help",
	.synopsis = "help TOPIC",
	.summary = "first-touch, losses, notebooks, containers",
	.usage = "[TOPIC]",
	.about = "Prints what the manual page says of a topic: options, first-touch, losses, "
		 "notebooks,\ncontainers. Without one, what people do most.\n",
	.rows = rows,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct help_options),
	.run = help,
};
