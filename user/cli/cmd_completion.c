/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf completion SHELL`: prints a script that completes command lines in that shell. The
 * script is static, so completing an option starts no program. Only PIDs are looked up when they
 * are completed. `make install` puts the scripts where shells look for them. */
#include <string.h>

#include "cli/completion.h"
#include "cli/options_value.h"

struct completion_options {
	const char *shell;
};

static const struct {
	const char *name;
	void (*print)(FILE *out);
} shells[] = {
	{"bash", completion_bash},
	{"zsh", completion_zsh},
	{"fish", completion_fish},
};

#define SHELLS (sizeof(shells) / sizeof(shells[0]))

static const char *shell_name(size_t i)
{
	return i < SHELLS ? shells[i].name : NULL;
}

static const struct option_row rows[] = {
	OPTION_HELP_ROW,
	{.argument = "SHELL",
	 .type = OPTION_WORD,
	 OPTION_AT(struct completion_options, shell),
	 .names = shell_name,
	 .help = "{}"},
	{},
};

const struct option_row *completion_operand(const struct command *command)
{
	const struct option_row *row;

	for (row = command->rows; row->type != OPTION_END; row++)
		if (!row->name)
			return row;
	return NULL;
}

void completion_quote(FILE *out, const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputc(' ', out);
			continue;
		}
		if (strchr(special, *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

void completion_words(FILE *out, const struct option_row *row)
{
	const char *word;
	size_t i;

	for (i = 0; (word = option_word(row, i)); i++)
		fprintf(out, "%s%s", i ? " " : "", word);
}

static int check(const struct command *command, void *options)
{
	const struct completion_options *o = options;
	char words[64];

	if (o->shell)
		return 0;
	option_words(completion_operand(command), words, sizeof(words));
	return options_complain(command, "say for which shell: %s", words);
}

static int run(void *options)
{
	const struct completion_options *o = options;
	size_t i;

	for (i = 0; i < SHELLS; i++)
		if (!strcmp(o->shell, shells[i].name))
			shells[i].print(stdout);
	return fflush(stdout) || ferror(stdout) ? EXIT_FAILED : EXIT_DONE;
}

const struct command command_completion = {
	.name = "completion",
	.synopsis = "completion SHELL",
	.summary = "completions for bash, zsh or fish",
	.usage = "bash|zsh|fish",
	.about =
		"Prints a script that completes command lines of pymem-bpf in that shell. What was "
		"installed\nhas it already. Otherwise: eval \"$(pymem-bpf completion bash)\", the "
		"same "
		"in zsh after\ncompinit, or in fish: pymem-bpf completion fish | source\n",
	.rows = rows,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct completion_options),
	.check = check,
	.run = run,
};
