/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The completion of zsh: one function for each command, with the specifications that _arguments
 * takes. The same text can be loaded from a file named _pymem-bpf, and evaluated in a running
 * shell. */
#include "cli/completion.h"

/* Specifications are in single quotes, where a single quote can't be escaped: a typographic one
 * replaces it. A colon ends a part of the specification, and a bracket the description, so both are
 * escaped. */
static void print_part(FILE *out, const char *text, const char *special)
{
	for (; *text; text++) {
		char one[2] = {*text};

		if (*text == '\'')
			fputs("’", out);
		else
			completion_quote(out, one, special);
	}
}

static void print_action(FILE *out, const struct option_row *row)
{
	fputs(row->alone ? "::" : ":", out); /* two: it may be left out */
	print_part(out, row->argument, ":");
	fputc(':', out);
	switch (row->type) {
	case OPTION_FILE:
	case OPTION_OPERAND:
		fputs("_files", out);
		return;
	case OPTION_PID:
		fputs("_pymem-bpf_pids", out);
		return;
	case OPTION_PIDS:
		fputs("_pymem-bpf_pythons", out);
		return;
	default:
		break;
	}
	if (!option_word(row, 0)) {
		fputc(' ', out);
		return;
	}
	fputc('(', out);
	completion_words(out, row);
	fputc(')', out);
}

/* Prints one form of an option: '--name=[help]:argument:action'. */
static void print_form(FILE *out, const struct option_row *row, const char *name, const char *joint)
{
	char help[512];

	option_help(row, help, sizeof(help));
	fprintf(out, " \\\n\t\t'*%s%s[", name, option_takes_argument(row) ? joint : "");
	print_part(out, help, "[]:\\");
	fputc(']', out);
	if (option_takes_argument(row))
		print_action(out, row);
	fputc('\'', out);
}

static void print_command(FILE *out, const struct command *command)
{
	const struct option_row *row, *operand = completion_operand(command);
	char name[64];

	fprintf(out, "_pymem-bpf_%s() {\n", completion_name(command));
	/* The name of a command is completed only as the first word. */
	if (!command->name)
		fputs("\tlocal -a first\n"
		      "\t(( CURRENT == 2 )) && first=('1:command:_pymem-bpf_commands')\n",
		      out);
	fputs("\t_arguments -s -S", out);
	for (row = command->rows; row->type != OPTION_END; row++) {
		if (!row->name)
			continue;
		if (row->letter) {
			snprintf(name, sizeof(name), "-%c", row->letter);
			print_form(out, row, name, "+");
		}
		snprintf(name, sizeof(name), "--%s", row->name);
		print_form(out, row, name, "=");
	}
	if (!command->name)
		fputs(" \\\n\t\t$first", out);
	else if (operand && operand->type == OPTION_WORD) {
		fputs(" \\\n\t\t'1", out);
		print_action(out, operand);
		fputc('\'', out);
	} else if (operand && operand->type == OPTION_OPERAND) {
		fputs(" \\\n\t\t'*", out);
		print_action(out, operand);
		fputc('\'', out);
	}
	fputs("\n}\n", out);
}

static void print_commands(FILE *out)
{
	size_t i;

	fputs("_pymem-bpf_commands() {\n\tlocal -a commands=(", out);
	for (i = 1; commands[i]; i++) {
		fprintf(out, "\n\t\t'%s:", commands[i]->name);
		print_part(out, commands[i]->summary, ":\\");
		fputc('\'', out);
	}
	fputs(")\n\t_describe -t commands command commands\n}\n", out);
}

/* Each PID is shown with its line of `pymem-bpf ps -v`. */
static const char pids[] = "_pymem-bpf_pythons() {\n"
			   "\tlocal -a expl lines=(${(f)\"$(PATH=$PATH:/usr/local/sbin:/usr/sbin "
			   "pymem-bpf ps -v 2>/dev/null)\"})\n"
			   "\tlines=(${(M)lines:# #<-> *})\n"
			   "\tlocal -a pids=(${${lines## #}%% *})\n"
			   "\tcompset -P '*,'\n"
			   "\t_wanted pids expl 'PID of a Python' compadd -l -d lines -a pids\n"
			   "}\n"
			   "_pymem-bpf_pids() {\n"
			   "\tlocal -a expl pids=(/proc/<->(N:t))\n"
			   "\t_wanted pids expl PID compadd -a pids\n"
			   "}\n";

/* After "--" comes the command line of another program. */
static const char begin[] = "_pymem-bpf() {\n"
			    "\tlocal dashes=${words[(i)--]} command=main curcontext=$curcontext\n"
			    "\tif (( dashes < CURRENT )); then\n"
			    "\t\tshift $dashes words\n"
			    "\t\t(( CURRENT -= dashes ))\n"
			    "\t\t_normal\n"
			    "\t\treturn\n"
			    "\tfi\n"
			    "\tif (( CURRENT > 2 )); then\n"
			    "\t\tcase $words[2] in\n"
			    "\t\t";

static const char end[] = ")\n"
			  "\t\t\tcommand=$words[2]\n"
			  "\t\t\tshift words\n"
			  "\t\t\t(( CURRENT-- ))\n"
			  "\t\t\t;;\n"
			  "\t\tesac\n"
			  "\tfi\n"
			  "\t_pymem-bpf_$command\n"
			  "}\n"
			  "if [[ $funcstack[1] == _pymem-bpf ]]; then\n"
			  "\t_pymem-bpf \"$@\"\n"
			  "else\n"
			  "\tcompdef _pymem-bpf pymem-bpf\n"
			  "fi\n";

void completion_zsh(FILE *out)
{
	size_t i;

	fputs("#compdef pymem-bpf\n# zsh completion, from `pymem-bpf completion zsh`\n", out);
	for (i = 0; commands[i]; i++)
		print_command(out, commands[i]);
	print_commands(out);
	fputs(pids, out);
	fputs(begin, out);
	for (i = 1; commands[i]; i++)
		fprintf(out, "%s%s", i > 1 ? "|" : "", commands[i]->name);
	fputs(end, out);
}
