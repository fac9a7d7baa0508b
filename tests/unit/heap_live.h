/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs of tests/unit/data that run on the interpreters that tests know (tests/pythons.sh), to
 * be read from outside: they say one line, then wait or go on. */
#ifndef HEAP_LIVE_H
#define HEAP_LIVE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIVE_PYTHONS_MAX 64

struct live {
	pid_t pid;
	int in; /* its standard input */
};

/* Runs `program` with `command`, an interpreter as tests/pythons.sh names it; `line` gets what it
 * says first. */
static inline void live_start(const char *command, const char *program, const char *argument,
			      struct live *live, char *line, int size)
{
	char shell[4096];
	int in[2], out[2];
	FILE *said;

	snprintf(shell, sizeof(shell), "exec %s \"$PWD\"/tests/unit/data/%s %s", command, program,
		 argument);
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	live->pid = fork();
	if (live->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execl("/bin/bash", "bash", "-c", shell, NULL);
		_exit(127);
	}
	assert_true(live->pid > 0);
	close(in[0]);
	close(out[1]);
	live->in = in[1];
	said = fdopen(out[0], "r");
	assert_non_null(said);
	if (!fgets(line, size, said))
		*line = '\0';
	fclose(said);
}

static inline void live_stop(const struct live *live)
{
	kill(live->pid, SIGKILL);
	assert_int_equal(waitpid(live->pid, NULL, 0), live->pid);
	close(live->in);
}

/* Calls `fn` with the command of each interpreter and its number, of those whose command has
 * $PYMEM_UNIT_PYTHON in it, if that is set. How many said true. */
static inline unsigned live_each_python(bool (*fn)(const char *command, unsigned number))
{
	static char commands[LIVE_PYTHONS_MAX][2048];
	const char *only = getenv("PYMEM_UNIT_PYTHON");
	FILE *list = popen("tests/pythons.sh list", "r");
	unsigned count = 0, done = 0;
	char line[4096];

	assert_non_null(list);
	while (count < LIVE_PYTHONS_MAX && fgets(line, sizeof(line), list)) {
		char *command = strchr(line, '\t');

		assert_non_null(command);
		command[strcspn(command, "\n")] = '\0';
		if (!only || strstr(command, only))
			snprintf(commands[count++], sizeof(commands[0]), "%s", command + 1);
	}
	pclose(list);
	for (unsigned i = 0; i < count; i++)
		done += fn(commands[i], i);
	return done;
}

#endif
