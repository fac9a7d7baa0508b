/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The completion of bash. It needs bash 4 and nothing else. For the command line after "--" it uses
 * the package bash-completion if that is loaded.
 *
 * bash splits a word at '=' and passes the pieces: "--format=js" is three words. */
#include "cli/completion.h"

static void print_action(FILE *out, const struct option_row *row)
{
	switch (row->type) {
	case OPTION_FILE:
	case OPTION_OPERAND:
		fputs("\t\t_pymem_bpf_files \"$cur\"\n", out);
		return;
	case OPTION_PID:
		fputs("\t\t_pymem_bpf_pids \"$cur\"\n", out);
		return;
	case OPTION_PIDS:
		fputs("\t\t_pymem_bpf_pythons \"$cur\"\n", out);
		return;
	default:
		break;
	}
	if (!option_word(row, 0))
		return;
	fputs("\t\tCOMPREPLY=($(compgen -W '", out);
	completion_words(out, row);
	fputs("' -- \"$cur\"))\n", out);
}

/* Prints the case that completes arguments of options. */
static void print_arguments(FILE *out, const struct command *command)
{
	const struct option_row *row;

	for (row = command->rows; row->type != OPTION_END; row++) {
		/* After one that may be without its argument comes another option as well. */
		if (!row->name || !option_takes_argument(row) || row->alone)
			continue;
		fprintf(out, "\t%s:--%s", completion_name(command), row->name);
		if (row->letter)
			fprintf(out, "|%s:-%c", completion_name(command), row->letter);
		fputs(")\n", out);
		print_action(out, row);
		fputs("\t\treturn ;;\n", out);
	}
}

/* Prints the case that completes options and operands. */
static void print_options(FILE *out, const struct command *command)
{
	const struct option_row *row, *operand = completion_operand(command);
	const char *space = "";
	size_t i;

	fprintf(out, "\t%s) words='", completion_name(command));
	for (row = command->rows; row->type != OPTION_END; row++) {
		if (!row->name)
			continue;
		fprintf(out, "%s--%s", space, row->name);
		space = " ";
		if (row->letter)
			fprintf(out, " -%c", row->letter);
	}
	fputs("' operands='", out);
	if (operand && operand->type == OPTION_WORD)
		completion_words(out, operand);
	for (i = 1; !command->name && commands[i]; i++)
		fprintf(out, "%s%s", i > 1 ? " " : "", commands[i]->name);
	fputs("'", out);
	if (operand && operand->type == OPTION_OPERAND)
		fputs(" files=yes", out);
	fputs(" ;;\n", out);
}

static const char functions[] =
	"# Ends of a list of PIDs: those of Pythons, as `pymem-bpf ps -v` lists them.\n"
	"_pymem_bpf_pythons()\n"
	"{\n"
	"\tlocal before= pid rest\n"
	"\t[[ $1 == *,* ]] && before=${1%,*},\n"
	"\twhile read -r pid rest; do\n"
	"\t\t[[ $pid == +([0-9]) && $before$pid == \"$1\"* ]] && COMPREPLY+=(\"$before$pid\")\n"
	"\tdone < <(PATH=$PATH:/usr/local/sbin:/usr/sbin pymem-bpf ps -v 2>/dev/null)\n"
	"}\n"
	"_pymem_bpf_pids()\n"
	"{\n"
	"\tlocal folder\n"
	"\tfor folder in /proc/[0-9]*; do\n"
	"\t\t[[ $folder == /proc/\"$1\"* ]] && COMPREPLY+=(\"${folder#/proc/}\")\n"
	"\tdone\n"
	"}\n"
	"_pymem_bpf_files()\n"
	"{\n"
	"\tcompopt -o filenames 2>/dev/null\n"
	"\tmapfile -t COMPREPLY < <(compgen -f -- \"$1\")\n"
	"}\n"
	"# The command line of another program, which begins at that word.\n"
	"_pymem_bpf_command()\n"
	"{\n"
	"\tif declare -F _comp_command_offset >/dev/null; then\n"
	"\t\t_comp_command_offset \"$1\"\n"
	"\telif declare -F _command_offset >/dev/null; then\n"
	"\t\t_command_offset \"$1\"\n"
	"\telif ((COMP_CWORD == $1)); then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -c -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
	"\telse\n"
	"\t\t_pymem_bpf_files \"${COMP_WORDS[COMP_CWORD]}\"\n"
	"\tfi\n"
	"}\n";

static const char begin[] =
	"_pymem_bpf()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal command=main words= operands= files= i\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	"\t\t\t_pymem_bpf_command $((i + 1))\n"
	"\t\t\treturn\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ $cur == = ]]; then\n"
	"\t\tcur=\n"
	"\telif [[ $prev == = ]]; then\n"
	"\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\tfi\n";

static const char end[] = "\tesac\n"
			  "\tif [[ $cur == -* ]]; then\n"
			  "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
			  "\telif [[ $files ]]; then\n"
			  "\t\t_pymem_bpf_files \"$cur\"\n"
			  "\telif [[ $command != main ]] || ((COMP_CWORD == 1)); then\n"
			  "\t\tCOMPREPLY=($(compgen -W \"$operands\" -- \"$cur\"))\n"
			  "\tfi\n"
			  "}\n"
			  "complete -F _pymem_bpf pymem-bpf\n";

void completion_bash(FILE *out)
{
	size_t i;

	fputs("# bash completion of pymem-bpf, from `pymem-bpf completion bash`\n", out);
	fputs(functions, out);
	fputs(begin, out);
	fputs("\tcase ${COMP_WORDS[1]} in\n\t", out);
	for (i = 1; commands[i]; i++)
		fprintf(out, "%s%s", i > 1 ? "|" : "", commands[i]->name);
	fputs(") ((COMP_CWORD > 1)) && command=${COMP_WORDS[1]} ;;\n\tesac\n", out);
	fputs("\tcase $command:$prev in\n", out);
	for (i = 0; commands[i]; i++)
		print_arguments(out, commands[i]);
	fputs("\tesac\n\tcase $command in\n", out);
	for (i = 0; commands[i]; i++)
		print_options(out, commands[i]);
	fputs(end, out);
}
