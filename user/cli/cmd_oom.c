/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf oom`: what processes did when a signal ended them, as the agent wrote it down. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/json_text.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/oom_extras.h"
#include "cli/oom_files.h"
#include "cli/shared_rows.h"
#include "os/confine.h"
#include "os/terminal.h"
#include "render/last_words.h"

struct oom_options {
	const char *path;
	pid_t pid;
	unsigned top;
	int json; /* else a table */
	unsigned width;
	int verbosity;
};

static int complain(const char *what, const char *why)
{
	fputs("pymem-bpf oom: ", stderr);
	text_print(stderr, what, 0, false);
	fprintf(stderr, ": %s\n", why);
	return EXIT_FAILED;
}

/* Says which files can't be read. */
static void say_unread(const struct oom_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		if (!files->at[i].process)
			complain(files->at[i].name, files->at[i].why);
}

/* The newest one of the process; NULL: there is none. */
static const struct oom_file *find_pid(const struct oom_files *files, pid_t pid)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->at[i].process && files->at[i].process->pid == pid)
			return &files->at[i];
	return NULL;
}

static void print_list(const struct oom_files *files, size_t top, unsigned width)
{
	size_t shown = 0, known = 0;

	last_words_titles(stdout);
	for (size_t i = 0; i < files->count; i++) {
		if (!files->at[i].process)
			continue;
		if (!top || known < top) {
			last_words_row(stdout, files->at[i].process, width);
			shown++;
		}
		known++;
	}
	known += files->more;
	if (known > shown)
		printf("and %zu older ones (-n 0 shows %s)\n", known - shown,
		       files->more ? "the newest 1000" : "all");
}

/* {"schema": …, "files": [{"file": …, "document": …}]}. 0 or -ENOMEM. */
static int print_json_list(const struct oom_files *files, size_t top)
{
	json_t *list = json_array(), *all;
	int err = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < files->count && !err; i++) {
		const struct oom_file *file = &files->at[i];

		if (!file->process || (top && json_array_size(list) == top))
			continue;
		if (json_array_append_new(list,
					  json_pack("{s:o, s:O}", "file", json_text(file->name),
						    "document", file->document)))
			err = -ENOMEM;
	}
	all = json_pack("{s:s, s:o}", "schema", "pymem-bpf-oom-list/1", "files", list);
	if (!err && (!all || (json_write(stdout, all, JSON_INDENT(1)) && !ferror(stdout))))
		err = -ENOMEM;
	json_decref(all);
	return err;
}

static int print_json_one(const struct oom_file *file)
{
	return json_write(stdout, file->document, JSON_INDENT(1)) && !ferror(stdout) ? -ENOMEM : 0;
}

/* The answer, what explains it, and where all threads were. 0 or -ENOMEM. */
static int show_one(const struct oom_file *file, unsigned width)
{
	int err = last_words_show_answer(stdout, file->process, width);

	if (err)
		return err;
	oom_extras_print(stdout, file->document, width);
	last_words_show_threads(stdout, file->process, width);
	return 0;
}

/* 0, -ENOMEM, or -ENOENT. */
static int print(const struct oom_options *o, const struct oom_files *files)
{
	unsigned width = terminal_report_width(o->width, isatty(STDOUT_FILENO));
	const struct oom_file *one = NULL;
	int err = 0;

	if (o->pid) {
		one = find_pid(files, o->pid);
		if (!one)
			return -ENOENT;
	} else if (files->single) {
		one = files->at;
	}
	if (one)
		err = o->json ? print_json_one(one) : show_one(one, width);
	else if (o->json)
		err = print_json_list(files, o->top);
	else
		print_list(files, o->top, width);
	if (o->json && !err)
		putchar('\n');
	return err;
}

static int finish(const struct oom_options *o, int err)
{
	char text[64];

	if (err == -ENOENT) {
		snprintf(text, sizeof(text), "PID %d", (int)o->pid);
		return complain(text, "nothing is known of its end; without -p all are listed");
	}
	if (err)
		return complain(o->path, strerror(-err));
	errno = 0;
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "pymem-bpf oom: cannot write to stdout: %s\n",
			errno ? strerror(errno) : "write error");
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int run(void *options)
{
	const struct oom_options *o = options;
	struct oom_files files;
	char why[256] = "";
	int err = oom_files_read(&files, o->path, why, sizeof(why)), status;

	if (err == -ENOENT && !strcmp(o->path, AGENT_STORE))
		snprintf(why, sizeof(why),
			 "there is no such folder: pymem-bpf agent makes it; for another one, "
			 "name it");
	status = err ? complain(o->path, why) : confine_or_say(CONFINE_PLAIN, "oom", o->verbosity);
	if (!status) {
		err = oom_files_parse(&files);
		if (!err)
			say_unread(&files);
		if (!err && files.single && !files.at->process)
			status = EXIT_FAILED; /* as was said */
		else
			status = finish(o, err ?: print(o, &files));
	}
	oom_files_free(&files);
	return status;
}

static int check(const struct command *command, void *options)
{
	struct oom_options *o = options;

	(void)command;
	if (!o->path)
		o->path = AGENT_STORE;
	return 0;
}

#define AT(field) OPTION_AT(struct oom_options, field)

static const struct option_choice formats[] = {{"table", false}, {"json", true}, {}};

static const struct option_row rows[] = {
	{.type = OPTION_OPERAND,
	 .argument = "[FILE|DIR]",
	 AT(path),
	 .noun = "a file or a folder",
	 .help = ""},
	{.name = "pid",
	 .letter = 'p',
	 .argument = "PID",
	 .type = OPTION_UNSIGNED,
	 AT(pid),
	 ROW_PID_BOUNDS,
	 .help = "all that is known of the end of this process"},
	ROW_TOP("20", "lines listed ({}); 0: all"),
	{.name = "format",
	 .argument = "NAME",
	 .type = OPTION_CHOICE,
	 AT(json),
	 .choices = formats,
	 .help = "{}"},
	ROW_WIDTH("the table"),
	ROW_VERBOSE("what is given up before files are looked at"),
	OPTION_HELP_ROW,
	{},
};

const struct command command_oom = {
	.name = "oom",
	.synopsis = "oom [FILE|DIR]",
	.summary = "what processes did when they were killed",
	.usage = "[FILE|DIR] [-p PID] [-n N] [--format table|json]",
	.about = "Lists the processes that the OOM killer, another signal or a crash ended while "
		 "the agent\nran, the newest first, each with the line that it was in. Of a file, "
		 "or "
		 "with -p, shows\nthe stacks of all threads. Needs no root for files that can be "
		 "read; by default of\n" AGENT_STORE ".\n",
	.rows = rows,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct oom_options),
	.check = check,
	.run = run,
};
