/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parses the command line of any command by the command's rows.
 *
 * getopt_long() splits the line into options and arguments. It prints nothing: each of our errors
 * names the command, the option, and what to do. Defaults are filled in last. Until then a field
 * that is zero was not given, and check() relies on that. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options_value.h"

#define MOST_ROWS 64
/* getopt_long() returns this plus the index of the row for a long option; letters are below. */
#define FIRST_KEY 256

/* A command line being parsed. */
struct parse {
	const struct command *command;
	const struct option_row *rows;
	size_t count;
	void *options;
	int argc;
	char **argv;
	bool given[MOST_ROWS];
	const char *argument; /* of the last option */
};

int options_complain(const struct command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "pymem-bpf%s%s: ", command->name ? " " : "", command->name ?: "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

/* Prints `option` and `what`, and where all options are listed. -EINVAL. */
static int complain_of_option(const struct parse *p, const char *option, const char *what)
{
	const char *name = p->command->name;

	return options_complain(p->command, "%s%s; pymem-bpf%s%s --help tells more", option, what,
				name ? " " : "", name ?: "");
}

/* True if options may follow operands. */
static bool has_loose_operands(const struct parse *p)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		if (p->rows[i].type == OPTION_OPERAND)
			return true;
	return false;
}

/* As getopt_long() has it. */
static int argument_of(const struct option_row *row)
{
	if (!option_takes_argument(row))
		return no_argument;
	return row->alone ? optional_argument : required_argument;
}

static void build_getopt(const struct parse *p, char *letters, struct option *longs)
{
	const struct option_row *row;
	size_t i;

	if (!has_loose_operands(p))
		*letters++ = '+'; /* stop at the first operand */
	*letters++ = ':';	  /* report a missing argument as such */
	for (i = 0; i < p->count; i++) {
		row = &p->rows[i];
		if (!row->name)
			continue;
		*longs++ = (struct option){
			.name = row->name,
			.has_arg = argument_of(row),
			.val = FIRST_KEY + (int)i,
		};
		if (!row->letter)
			continue;
		*letters++ = row->letter;
		if (option_takes_argument(row))
			*letters++ = ':';
	}
	*letters = '\0';
	*longs = (struct option){};
}

static const struct option_row *row_of(const struct parse *p, int key)
{
	size_t i;

	if (key >= FIRST_KEY)
		return &p->rows[key - FIRST_KEY];
	for (i = 0; key && i < p->count; i++)
		if (p->rows[i].letter == key)
			return &p->rows[i];
	return NULL;
}

/* The number of options that begin with `name`, which ends at a '='. Their names go to `names`. */
static size_t beginning_with(const struct parse *p, const char *name, char *names, size_t size)
{
	size_t length = strcspn(name, "="), found = 0, used, i;

	*names = '\0';
	for (i = 0; i < p->count; i++) {
		if (!p->rows[i].name || strncmp(p->rows[i].name, name, length))
			continue;
		used = strlen(names);
		snprintf(names + used, size - used, "%s--%s", found++ ? ", " : "", p->rows[i].name);
	}
	return found;
}

/* Why the command has no option of that name, which ends at a '='; NULL: there is nothing to say.
 */
static const char *lacks(const struct command *command, const char *name)
{
	const struct option_lacking *each = command->lacking;
	size_t length = strcspn(name, "=");

	for (; each && each->name; each++)
		if (strlen(each->name) == length && !strncmp(each->name, name, length))
			return each->why;
	return NULL;
}

/* Says what getopt_long() did not accept. `key` is ':' or '?'. */
static int complain_of_getopt(const struct parse *p, int key)
{
	const struct option_row *row = row_of(p, optopt);
	const char *word = p->argv[optind - 1];
	char option[64], what[256], names[160];

	if (row && (optopt >= FIRST_KEY || !row->letter))
		snprintf(option, sizeof(option), "--%s", row->name);
	else if (optopt)
		snprintf(option, sizeof(option), "-%c", optopt);
	if (key == ':') {
		snprintf(what, sizeof(what), " needs its argument, %s", row ? row->argument : "");
		return complain_of_option(p, option, what);
	}
	if (row)
		return complain_of_option(p, option, " takes no argument");
	if (optopt)
		return complain_of_option(p, option, ": no such option");
	if (beginning_with(p, word + 2, names, sizeof(names)) > 1) {
		snprintf(what, sizeof(what), ": more than one option begins so: %s", names);
		return complain_of_option(p, word, what);
	}
	if (lacks(p->command, word + 2))
		return options_complain(p->command, "%s", lacks(p->command, word + 2));
	return complain_of_option(p, word, ": no such option");
}

static enum options_outcome print_help(const struct command *command)
{
	return options_brief(command, stdout) ? OPTIONS_FAILED : OPTIONS_DONE;
}

static enum options_outcome print_version(void)
{
	puts("pymem-bpf " PYMEM_VERSION);
	return fflush(stdout) ? OPTIONS_FAILED : OPTIONS_DONE;
}

/* The argument of the option that getopt_long() has just returned. It takes none from the next word
 * for an option that may be without: that is done here, where the word can be a number only. */
static const char *take_argument(const struct parse *p, const struct option_row *row)
{
	if (optarg || !row->alone)
		return optarg;
	if (optind < p->argc && p->argv[optind][0] >= '0' && p->argv[optind][0] <= '9')
		return p->argv[optind++];
	return row->alone;
}

static enum options_outcome parse_options(struct parse *p)
{
	struct option longs[MOST_ROWS + 1];
	char letters[2 * MOST_ROWS + 3];
	const struct option_row *row;
	int key;

	build_getopt(p, letters, longs);
	optind = 0; /* glibc: forget the line that was parsed before */
	opterr = 0;
	while ((key = getopt_long(p->argc, p->argv, letters, longs, NULL)) != -1) {
		if (key == ':' || key == '?') {
			complain_of_getopt(p, key);
			return OPTIONS_WRONG;
		}
		row = row_of(p, key);
		if (row->type == OPTION_HELP)
			return print_help(p->command);
		if (row->type == OPTION_VERSION)
			return print_version();
		p->argument = take_argument(p, row);
		if (option_store(p->command, row, p->options, p->argument))
			return OPTIONS_WRONG;
		p->given[row - p->rows] = true;
	}
	return OPTIONS_RUN;
}

/* The letter of the command's option for processes; '\0': it has none. */
static char pid_letter(const struct parse *p)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		if (p->rows[i].type == OPTION_PID || p->rows[i].type == OPTION_PIDS)
			return p->rows[i].letter;
	return '\0';
}

/* Says that there is no row for a word, or that a command lacks its "--". -EINVAL. */
static int complain_of_operand(const struct parse *p, const struct option_row *row)
{
	const char *word = p->argv[optind], *name = p->command->name;

	if (*word && !word[strspn(word, "0123456789")] && pid_letter(p))
		return options_complain(p->command, "%s is a PID: pymem-bpf%s%s -%c %s", word,
					name ? " " : "", name ?: "", pid_letter(p), word);
	if (row && row->type == OPTION_COMMAND)
		return options_complain(p->command,
					"%s: no such command; to start a program, put -- before it",
					word);
	return options_complain(p->command, "unexpected argument: %s; see --help", word);
}

/* True if the operand follows "--", and that is not the argument of an option. */
static bool after_dashes(const struct parse *p)
{
	const char *before = p->argv[optind - 1];

	return !strcmp(before, "--") && before != p->argument;
}

static int parse_operands(struct parse *p)
{
	const struct option_row *row = NULL;
	int err = 0;
	size_t i;

	for (i = 0; i < p->count && optind < p->argc && !err; i++) {
		if (p->rows[i].name)
			continue;
		row = &p->rows[i];
		if (row->type == OPTION_WORD || row->type == OPTION_OPERAND) {
			err = option_store(p->command, row, p->options, p->argv[optind++]);
			continue;
		}
		if (row->type == OPTION_COMMAND && !after_dashes(p))
			break;
		*(char ***)((char *)p->options + row->offset) = p->argv + optind;
		optind = p->argc;
	}
	if (!err && optind < p->argc)
		return complain_of_operand(p, row);
	return err;
}

static int fill_in_defaults(struct parse *p)
{
	const struct option_row *all = row_of(p, 'a'), *row;
	bool is_all = all && p->given[all - p->rows];
	const char *preset;
	size_t i;
	int err = 0;

	for (i = 0; i < p->count && !err; i++) {
		row = &p->rows[i];
		preset = is_all && row->preset_all ? row->preset_all : row->preset;
		if (preset && !p->given[i])
			err = option_store(p->command, row, p->options, preset);
	}
	return err;
}

enum options_outcome options_parse(const struct command *command, void *options, int argc,
				   char **argv)
{
	struct parse p = {
		.command = command,
		.rows = command->rows,
		.options = options,
		.argc = argc,
		.argv = argv,
	};
	enum options_outcome outcome;

	for (; p.rows[p.count].type != OPTION_END; p.count++)
		option_clear(&p.rows[p.count], options);
	if (p.count > MOST_ROWS) {
		options_complain(command, "more than %d options: raise MOST_ROWS", MOST_ROWS);
		return OPTIONS_WRONG;
	}
	outcome = parse_options(&p);
	if (outcome != OPTIONS_RUN)
		return outcome;
	if (parse_operands(&p) || (command->check && command->check(command, options)) ||
	    fill_in_defaults(&p))
		return OPTIONS_WRONG;
	return OPTIONS_RUN;
}

void options_fini(const struct command *command, void *options)
{
	const struct option_row *row;

	for (row = command->rows; row->type != OPTION_END; row++)
		option_free(row, options);
}
