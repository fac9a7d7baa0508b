/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a user knows the name of a service, not its PIDs, and a service has many processes.
 *
 * A name is that of a program (program_is_called()), never an argument's: "-p x" must not find what
 * happens to have an x in its command line. All processes found must be one program: they run the
 * same script, or one is the other's child, even if the child has changed its name. Two scripts of
 * one name in different folders are two programs.
 *
 * Nobody should profile the wrong program, so nothing is guessed. If several programs have the
 * name, the user is told which. If none has it, he is told which command lines contain the name; if
 * none does, which contain it without its ending, since gunicorn runs app.py as app:app; if none
 * does, which Pythons run. */
#include "cli/find_program.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/text.h"
#include "model/program.h"
#include "os/proc.h"
#include "python/examiner.h"

#define LISTED_MOST 10 /* programs listed if a name means several, or none */
#define PIDS_MOST   8  /* processes listed of each, if all Pythons are listed */
#define STEM_MOST   256

struct candidate {
	struct proc_info stat; /* without its arguments */
	char *words;	       /* the command line as /proc has it */
	char **argv;	       /* into `words`; ends with NULL */
	struct program program;
	char folder[PATH_MAX]; /* its working directory; "": unknown */
	int64_t rss_bytes;     /* only if all Pythons are listed; -1: unknown */
	size_t group;	       /* index of the first candidate of the same program */
};

struct finding {
	const char *name;
	/* NULL: looks for programs of that name. Else looks for command lines with this text in one
	 * of their words, only to list them; "": for all. */
	const char *part;
	bool whole; /* `part` must be a word of its own: "app" of "app:create", not of "apply" */
	struct candidate *found;
	size_t count, room;
	size_t forbidden; /* processes of that name that may not be examined */
	size_t hidden; /* processes with `part` in their command lines that may not be examined */
};

/* Splits a command line of `size` bytes, which has a NUL after it, into words. The caller frees the
 * array; the words stay in `words`. NULL: out of memory. */
static char **split(char *words, size_t size)
{
	size_t count = 0, at;
	char **argv;

	for (at = 0; at < size; at += strlen(words + at) + 1)
		count++;
	argv = calloc(count + 1, sizeof(*argv));
	for (at = count = 0; argv && at < size; at += strlen(words + at) + 1)
		argv[count++] = words + at;
	return argv;
}

static void candidate_fini(struct candidate *c)
{
	free(c->argv);
	free(c->words);
	*c = (struct candidate){};
}

/* Fills `c`, also in part: candidate_fini() frees it in any case. 0, or -errno: the process has
 * ended, or its command line can't be read. */
static int read_candidate(pid_t pid, struct candidate *c)
{
	char path[32];
	ssize_t size;
	int err = proc_stat_read(pid, &c->stat);

	if (err || c->stat.kernel_thread || c->stat.state == 'Z')
		return err ? err : -ENOENT;
	c->words = malloc(PROC_CMDLINE_MAX + 1);
	if (!c->words)
		return -ENOMEM;
	size = examiner_read_proc(pid, "cmdline", c->words, PROC_CMDLINE_MAX);
	if (size < 0)
		return (int)size;
	c->words[size] = '\0';
	c->argv = split(c->words, (size_t)size);
	if (!c->argv)
		return -ENOMEM;
	program_parse(&c->program, c->argv, c->stat.comm);
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	size = readlink(path, c->folder, sizeof(c->folder) - 1);
	c->folder[size > 0 ? size : 0] = '\0';
	return 0;
}

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool has_part(const struct finding *f, const char *word)
{
	size_t length = strlen(f->part);

	for (const char *at = word; (at = strstr(at, f->part)); at++)
		if (!f->whole || ((at == word || !is_letter(at[-1])) && !is_letter(at[length])))
			return true;
	return false;
}

static bool is_meant(const struct finding *f, const struct candidate *c)
{
	if (!f->part)
		return program_is_called(&c->program, c->stat.comm, f->name);
	for (char *const *word = c->argv; *word; word++)
		if (has_part(f, *word))
			return true;
	return false;
}

/* Adds the process if it is a Python that is meant. Only -ENOMEM and -EINTR end the search. */
static int consider(pid_t pid, void *arg)
{
	struct finding *f = arg;
	struct candidate *c;
	struct py_process python = {};
	int err;

	if (pid == getpid())
		return 0;
	if (!ARRAY_HAS_ROOM(f->found, f->count, f->room))
		return -ENOMEM;
	c = &f->found[f->count];
	*c = (struct candidate){};
	err = read_candidate(pid, c);
	if (!err && !is_meant(f, c))
		err = -ENOENT;
	/* A Python that is not supported is added, too: the attach says why it can't be
	 * profiled. */
	if (!err)
		err = examiner_identify(pid, &python);
	if (!err || err == -ENOTSUP) {
		c->rss_bytes = f->part && !*f->part ? examiner_rss_bytes(pid) : -1;
		f->count++;
		return 0;
	}
	f->forbidden += c->argv && (err == -EPERM || err == -EACCES);
	candidate_fini(c);
	return err == -ENOMEM || err == -EINTR ? err : 0;
}

static bool is_child(const struct candidate *c, const struct candidate *of)
{
	return c->stat.ppid == of->stat.pid && c->stat.start_ticks >= of->stat.start_ticks;
}

static bool is_relative(const struct candidate *c)
{
	return c->program.kind != PROGRAM_OTHER && *c->program.what != '/';
}

static bool same_program(const struct candidate *a, const struct candidate *b)
{
	if (is_child(a, b) || is_child(b, a))
		return true;
	if (!program_same(&a->program, &b->program))
		return false;
	return !is_relative(a) || !strcmp(a->folder, b->folder);
}

/* Largest RSS first. All are unknown (-1) unless all Pythons are listed: then the PID decides. */
static int by_size(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->rss_bytes != b->rss_bytes)
		return a->rss_bytes < b->rss_bytes ? 1 : -1;
	return (a->stat.pid > b->stat.pid) - (a->stat.pid < b->stat.pid);
}

/* Puts the processes of one program into one group. Returns the number of groups. */
static size_t group(struct finding *f)
{
	size_t groups = 0, i, j, k, from, to;

	if (f->count)
		qsort(f->found, f->count, sizeof(*f->found), by_size);
	for (i = 0; i < f->count; i++) {
		f->found[i].group = i;
		/* Without arguments, a program is named by `comm`, which qsort() has moved. */
		program_parse(&f->found[i].program, f->found[i].argv, f->found[i].stat.comm);
	}
	for (i = 0; i < f->count; i++) {
		for (j = 0; j < i; j++) {
			from = f->found[i].group;
			to = f->found[j].group;
			if (from == to || !same_program(&f->found[i], &f->found[j]))
				continue;
			for (k = 0; k < f->count; k++)
				if (f->found[k].group == from)
					f->found[k].group = to;
		}
	}
	for (i = 0; i < f->count; i++) {
		for (j = 0; j < i && f->found[j].group != f->found[i].group; j++)
			;
		groups += j == i;
	}
	return groups;
}

static bool is_first(const struct finding *f, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (f->found[j].group == f->found[i].group)
			return false;
	return true;
}

/* Prints the program of candidate `i`: what to type for its processes, and its command. */
static void list_program(const struct finding *f, size_t i)
{
	const struct candidate *c = &f->found[i];
	size_t most = f->part && !*f->part ? PIDS_MOST : f->count, listed = 1;
	char *command = program_command(&c->program);

	fprintf(stderr, "  -p %d", (int)c->stat.pid);
	for (size_t j = i + 1; j < f->count; j++) {
		if (f->found[j].group != c->group)
			continue;
		if (listed++ == most) {
			fputs(",…", stderr);
			break;
		}
		fprintf(stderr, ",%d", (int)f->found[j].stat.pid);
	}
	fputs("  ", stderr);
	text_print(stderr, command ? command : c->stat.comm, 100, false);
	if (is_relative(c) && *c->folder) {
		fputs("  in ", stderr);
		text_print(stderr, c->folder, 60, true);
	}
	fputc('\n', stderr);
	free(command);
}

/* Prints a line for each of the `groups` programs, at most LISTED_MOST. */
static void list_programs(const struct finding *f, size_t groups)
{
	size_t lines = 0;

	for (size_t i = 0; i < f->count && lines < LISTED_MOST; i++) {
		if (!is_first(f, i))
			continue;
		list_program(f, i);
		lines++;
	}
	if (lines < groups)
		fputs("  pymem-bpf ps -v lists all\n", stderr);
}

/* Says that no program is called that, and lists those that may have been meant. */
static void complain_of_none(const struct command *command, const struct finding *f,
			     const char *name, size_t groups)
{
	char part[STEM_MOST];

	text_escape(part, sizeof(part), f->part);
	if (!*f->part && f->hidden)
		options_complain(command,
				 "-p %s: no Python program is called that; %zu process%s that have "
				 "it in their command lines may not be examined (run it as root); "
				 "Pythons that run:",
				 name, f->hidden, f->hidden == 1 ? "" : "es");
	else if (!*f->part)
		options_complain(command,
				 "-p %s: no Python program is called that, and no command line has "
				 "it; Pythons that run:",
				 name);
	else if (f->whole)
		options_complain(command,
				 "-p %s: no Python program is called that; command lines that have "
				 "\"%s\":",
				 name, part);
	else
		options_complain(command,
				 "-p %s: no Python program is called that; command lines that have "
				 "it:",
				 name);
	list_programs(f, groups);
}

/* Says that the name means no program, or more than one. Returns an exit status. */
static int complain(const struct command *command, const struct finding *f, size_t groups)
{
	char name[256];

	text_escape(name, sizeof(name), f->name);
	if (f->part && f->count) {
		complain_of_none(command, f, name, groups);
	} else if (groups) {
		options_complain(command, "-p %s: %zu different programs are called that:", name,
				 groups);
		list_programs(f, groups);
	} else if (f->forbidden) {
		options_complain(command,
				 "-p %s: %zu processes are called that, but may not be examined: "
				 "run it as root",
				 name, f->forbidden);
	} else {
		options_complain(command,
				 "-p %s: no Python process is called that; pymem-bpf ps lists them",
				 name);
	}
	return EXIT_FAILED;
}

static int look_for(struct finding *f, const char *part, bool whole)
{
	int err;

	f->part = part;
	f->whole = whole;
	err = proc_each(consider, f);
	f->hidden = *part ? f->forbidden : f->hidden;
	f->forbidden = 0;
	return err;
}

/* If no program is called that, fills `f` with what may have been meant. `stem` is a buffer of
 * STEM_MOST bytes for the name without its ending; it must outlive `f`. 0 or -errno. */
static int look_for_others(struct finding *f, char *stem)
{
	size_t length = strlen(f->name);
	int err;

	if (f->count || f->forbidden)
		return 0;
	err = look_for(f, f->name, false);
	if (!err && !f->count && length > 3 && length < STEM_MOST &&
	    !strcmp(f->name + length - 3, ".py")) {
		snprintf(stem, STEM_MOST, "%.*s", (int)length - 3, f->name);
		err = look_for(f, stem, true);
	}
	if (!err && !f->count)
		err = look_for(f, "", false);
	return err;
}

static void forget(struct finding *f)
{
	for (size_t i = 0; i < f->count; i++)
		candidate_fini(&f->found[i]);
	f->count = 0;
}

/* Adds a PID unless it is there. 0 or -ENOMEM. */
static int add(pid_t **pids, size_t *count, pid_t pid)
{
	pid_t *more;

	for (size_t i = 0; i < *count; i++)
		if ((*pids)[i] == pid)
			return 0;
	more = reallocarray(*pids, *count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*pids = more;
	more[(*count)++] = pid;
	return 0;
}

static int find_one(const struct command *command, const char *name, pid_t **pids, size_t *count)
{
	struct finding f = {.name = name};
	char stem[STEM_MOST];
	size_t groups = 0;
	int err, status = 0;

	err = proc_each(consider, &f);
	if (!err)
		err = look_for_others(&f, stem);
	if (!err) {
		groups = group(&f);
		if (groups != 1 || f.part)
			status = complain(command, &f, groups);
	}
	for (size_t i = 0; !err && !status && i < f.count; i++)
		err = add(pids, count, f.found[i].stat.pid);
	if (err) {
		options_complain(command, "-p: processes can't be looked through: %s",
				 strerror(-err));
		status = EXIT_FAILED;
	}
	forget(&f);
	free(f.found);
	return status;
}

int find_programs(const struct command *command, char *const *names, pid_t **pids, size_t *count)
{
	int status = 0;

	for (; names && *names && !status; names++)
		status = find_one(command, *names, pids, count);
	return status;
}
