/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The completion of fish: one `complete` for each row, with a condition that names the command. */
#include "cli/completion.h"

#define QUOTED "'\\"

static const char functions[] =
	"# Of which command the words are: its name, or main; fails behind --.\n"
	"function __pymem_bpf_command\n"
	"\tset -l words (commandline -opc)\n"
	"\tcontains -- -- $words; and return 1\n"
	"\tif set -q words[2]; and contains -- $words[2] $__pymem_bpf_commands\n"
	"\t\techo $words[2]\n"
	"\telse\n"
	"\t\techo main\n"
	"\tend\n"
	"end\n"
	"function __pymem_bpf_in\n"
	"\tset -l command (__pymem_bpf_command); and test $command = $argv[1]\n"
	"end\n"
	"function __pymem_bpf_first\n"
	"\ttest (count (commandline -opc)) = 1\n"
	"end\n"
	"function __pymem_bpf_behind_dashes\n"
	"\tnot __pymem_bpf_command >/dev/null\n"
	"end\n"
	"# The command line of another program.\n"
	"function __pymem_bpf_command_line\n"
	"\tset -l words (commandline -opc)\n"
	"\tset -l dashes (contains -i -- -- $words)\n"
	"\tset -e words[1..$dashes]\n"
	"\tcomplete -C (string join ' ' -- (string escape -- $words) (commandline -ct))\n"
	"end\n"
	"# Ends of a list of PIDs: those of Pythons, as `pymem-bpf ps -v` lists them.\n"
	"function __pymem_bpf_pythons\n"
	"\tset -l PATH $PATH /usr/local/sbin /usr/sbin\n"
	"\tset -l before (commandline -ct | string replace -r '^(--pid=|-p)' '' | "
	"string replace -r '[^,]*$' '')\n"
	"\tpymem-bpf ps -v 2>/dev/null | "
	"string replace -rf '^ *([0-9]+) +(.*)$' $before'$1'\\t'$2'\n"
	"end\n";

static void print_action(FILE *out, const struct option_row *row)
{
	switch (row->type) {
	case OPTION_FILE:
		fputs(" -r -F", out);
		return;
	case OPTION_OPERAND:
		fputs(" -F", out);
		return;
	case OPTION_PID:
		fputs(" -x -a '(__fish_complete_pids)'", out);
		return;
	case OPTION_PIDS:
		fputs(" -x -a '(__pymem_bpf_pythons)'", out);
		return;
	default:
		break;
	}
	fputs(" -x", out);
	if (!option_word(row, 0))
		return;
	fputs(" -a '", out);
	completion_words(out, row);
	fputc('\'', out);
}

/* True for operands with a completion of their own. */
static bool is_completed(const struct option_row *row)
{
	return row->type == OPTION_WORD || row->type == OPTION_OPERAND;
}

static void print_row(FILE *out, const struct command *command, const struct option_row *row)
{
	char help[512];

	fprintf(out, "complete -c pymem-bpf -n '__pymem_bpf_in %s'", completion_name(command));
	if (row->name)
		fprintf(out, " -l %s", row->name);
	if (row->letter)
		fprintf(out, " -s %c", row->letter);
	if ((option_takes_argument(row) && !row->alone) || is_completed(row))
		print_action(out, row);
	option_help(row, help, sizeof(help));
	fputs(" -d '", out);
	completion_quote(out, help, QUOTED);
	fputs("'\n", out);
}

void completion_fish(FILE *out)
{
	const struct option_row *row;
	size_t i;

	fputs("# fish completion of pymem-bpf, from `pymem-bpf completion fish`\n"
	      "set -g __pymem_bpf_commands",
	      out);
	for (i = 1; commands[i]; i++)
		fprintf(out, " %s", commands[i]->name);
	fprintf(out, "\n%scomplete -c pymem-bpf -f\n", functions);
	for (i = 1; commands[i]; i++) {
		fprintf(out, "complete -c pymem-bpf -n __pymem_bpf_first -a %s -d '",
			commands[i]->name);
		completion_quote(out, commands[i]->summary, QUOTED);
		fputs("'\n", out);
	}
	fputs("complete -c pymem-bpf -n __pymem_bpf_behind_dashes -a "
	      "'(__pymem_bpf_command_line)'\n",
	      out);
	for (i = 0; commands[i]; i++)
		for (row = commands[i]->rows; row->type != OPTION_END; row++)
			if (row->name || is_completed(row))
				print_row(out, commands[i], row);
}
