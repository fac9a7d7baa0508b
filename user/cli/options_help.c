/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The help of a command, printed from its rows. */
#include "cli/options.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/options_value.h"

#define SYNOPSIS_COLUMNS 26  /* for each use of a command, in the help of the main job */
#define BRIEF_COLUMNS	 17  /* the same, in the short help */
#define NAMES_COLUMNS	 22  /* for the name and argument of an option */
#define HELP_INDENT	 29  /* where the help of an option begins */
#define HELP_COLUMNS	 100 /* what is wider is wrapped */
#define LINE_COLUMNS	 81

static void print_padded(FILE *out, const char *text, unsigned columns)
{
	unsigned width = text_columns(text);

	fprintf(out, "%s%*s ", text, width < columns ? (int)(columns - width) : 0, "");
}

/* A line that begins with a space continues the use before it. */
static void print_usage(const struct command *command, FILE *out)
{
	const char *name = command->name ?: "", *line = command->usage, *end;
	const char *before = "Usage:";
	size_t i;

	do {
		end = strchrnul(line, '\n');
		if (*line != ' ')
			fprintf(out, "%-6s pymem-bpf%s%s%s", before, *name ? " " : "", name,
				line < end ? " " : "");
		fprintf(out, "%.*s\n", (int)(end - line), line);
		before = "";
		line = end + 1;
	} while (*end);
	for (i = 1; !command->name && commands[i]; i++) {
		fputs("       pymem-bpf ", out);
		print_padded(out, commands[i]->synopsis, SYNOPSIS_COLUMNS);
		fprintf(out, "%s\n", commands[i]->summary);
	}
}

/* Writes what "{}" in the help of a row stands for. */
static void expand(const struct option_row *row, char *text, size_t size)
{
	if (option_word(row, 0))
		option_words(row, text, size);
	else
		snprintf(text, size, "%s%s%s", row->preset ?: "", row->preset_all ? "; -a: " : "",
			 row->preset_all ?: "");
}

void option_help(const struct option_row *row, char *text, size_t size)
{
	const char *mark = strstr(row->help, "{}");
	char meaning[192];

	if (!mark) {
		snprintf(text, size, "%s", row->help);
		return;
	}
	expand(row, meaning, sizeof(meaning));
	snprintf(text, size, "%.*s%s%s", (int)(mark - row->help), row->help, meaning, mark + 2);
}

static void print_row(const struct option_row *row, FILE *out)
{
	char names[96], help[512], *line = help, *end;

	snprintf(names, sizeof(names), "--%s%s%s%s%s", row->name, row->argument ? " " : "",
		 row->alone ? "[" : "", row->argument ?: "", row->alone ? "]" : "");
	if (row->letter)
		fprintf(out, "  -%c, ", row->letter);
	else
		fputs("      ", out);
	print_padded(out, names, NAMES_COLUMNS);
	option_help(row, help, sizeof(help));
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		text_wrap(out, line, HELP_INDENT, HELP_COLUMNS, HELP_INDENT);
		fprintf(out, "\n%*s", HELP_INDENT, "");
	}
	text_wrap(out, line, HELP_INDENT, HELP_COLUMNS, HELP_INDENT);
	fputc('\n', out);
}

static void print_statuses(const struct command *command, FILE *out)
{
	static const struct {
		int number;
		const char *meaning;
	} statuses[] = {
#define EXIT_STATUS_ROW(name, number, meaning) {number, meaning},
		EXIT_STATUSES(EXIT_STATUS_ROW)
#undef EXIT_STATUS_ROW
	};
	char text[512] = "Exit status:";
	size_t i, used;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (!(command->exits & 1u << statuses[i].number))
			continue;
		used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s %d %s", i ? "," : "",
			 statuses[i].number, statuses[i].meaning);
	}
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, "%s.", command->exits_more ?: "");
	text_wrap(out, text, 0, LINE_COLUMNS, 0);
	fputc('\n', out);
}

int options_brief(const struct command *command, FILE *out)
{
	size_t i;

	if (!command->brief)
		return options_help(command, out);
	fputs(command->brief, out);
	for (i = 1; commands[i]; i++) {
		fputs("  pymem-bpf ", out);
		print_padded(out, commands[i]->synopsis, BRIEF_COLUMNS);
		fprintf(out, " %s\n", commands[i]->summary);
	}
	fputs(command->brief_end, out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

int options_help(const struct command *command, FILE *out)
{
	const struct option_row *row;

	print_usage(command, out);
	if (command->about)
		fprintf(out, "\n%s", command->about);
	fputc('\n', out);
	for (row = command->rows; row->type != OPTION_END; row++)
		if (row->name)
			print_row(row, out);
	fputc('\n', out);
	if (command->notes)
		fputs(command->notes, out);
	print_statuses(command, out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}
