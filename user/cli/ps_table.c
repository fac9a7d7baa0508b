/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A host has few programs and many processes of each. So the table has one line, with the sum, for
 * the processes of one program that have the same parent. A master and its workers differ, so they
 * have two lines. */
#include "cli/ps_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/program.h"

/* The command keeps some columns even on a narrow terminal: without it a line says little. */
#define COMMAND_LEAST 12

/* Processes of one program with the same parent. */
struct gathered {
	const struct ps_row *first; /* the largest of them */
	struct program program;
	pid_t parent; /* a Python of the listing; 0: none */
	size_t count;
	int64_t rss_bytes;
	bool unknown; /* the RSS of some of them is unknown */
};

static const char *ps_engines(const struct ps_row *row)
{
	if (!row->supported)
		return "none";
	if (row->python.has_line_probe)
		return row->python.has_function_probe ? "walk,lines,functions" : "walk,lines";
	return row->python.has_function_probe ? "walk,functions" : "walk";
}

/* "9.4 MiB", "480 MiB", "1.2 GiB", "?". */
static void describe_rss(int64_t bytes, bool unknown, char *buf, size_t size)
{
	double mib = (double)bytes / (1024 * 1024);

	if (unknown && bytes <= 0)
		snprintf(buf, size, "?");
	else if (mib >= 1000)
		snprintf(buf, size, "%.1f GiB", mib / 1024);
	else
		snprintf(buf, size, mib < 9.95 ? "%.1f MiB" : "%.0f MiB", mib);
}

/* "  (7 inside)", of a process that has another PID in its container. */
static void describe_ns_pid(const struct proc_info *info, char *buf, size_t size)
{
	*buf = '\0';
	if (info->ns_pid)
		snprintf(buf, size, "  (%d inside)", (int)info->ns_pid);
}

static pid_t python_parent(const struct ps_listing *listing, const struct ps_row *row)
{
	for (size_t i = 0; i < listing->count; i++)
		if (listing->rows[i].info.pid == row->info.ppid)
			return row->info.ppid;
	return 0;
}

static bool belongs(const struct gathered *g, const struct ps_row *row,
		    const struct program *program, pid_t parent)
{
	return g->parent == parent && g->first->supported == row->supported &&
	       !strcmp(g->first->python.version, row->python.version) &&
	       program_same(&g->program, program);
}

static size_t gather(const struct ps_listing *listing, struct gathered *all)
{
	size_t count = 0, i, j;

	for (i = 0; i < listing->count; i++) {
		const struct ps_row *row = &listing->rows[i];
		pid_t parent = python_parent(listing, row);
		struct program program;

		program_parse(&program, row->info.argv, row->info.comm);
		for (j = 0; j < count && !belongs(&all[j], row, &program, parent); j++)
			;
		if (j == count)
			all[count++] = (struct gathered){row, program, parent, 0, 0, false};
		all[j].count++;
		all[j].rss_bytes += row->rss_bytes > 0 ? row->rss_bytes : 0;
		all[j].unknown |= row->rss_bytes < 0;
	}
	return count;
}

static int by_sum(const void *a, const void *b)
{
	const struct gathered *x = a, *y = b;

	if (x->rss_bytes != y->rss_bytes)
		return x->rss_bytes < y->rss_bytes ? 1 : -1;
	return (x->first->info.pid > y->first->info.pid) -
	       (x->first->info.pid < y->first->info.pid);
}

/* Prints `command` in what is left of `width` (0: no limit) after `used` columns, and then
 * `more`. */
static void print_command(const char *command, const char *more, unsigned used, unsigned width)
{
	unsigned room = 0;

	used += text_columns(more);
	if (width)
		room = width > used + COMMAND_LEAST ? width - used : COMMAND_LEAST;
	text_print(stdout, command, room, false);
	printf("%s\n", more);
}

static int print_gathered(const struct gathered *g, unsigned width)
{
	char rss[32], times[32] = "", child[48] = "", inside[32], more[128];
	char *command = program_command(&g->program);
	int used;

	if (!command)
		return -ENOMEM;
	describe_rss(g->rss_bytes, g->unknown, rss, sizeof(rss));
	if (g->count > 1)
		snprintf(times, sizeof(times), "  ×%zu", g->count);
	if (g->parent)
		snprintf(child, sizeof(child), "  (%s of %d)", g->count > 1 ? "children" : "child",
			 (int)g->parent);
	describe_ns_pid(&g->first->info, inside, sizeof(inside));
	snprintf(more, sizeof(more), "%s%s%s", inside, times, child);
	used = printf("%9s  %7d  %-7s  ", rss, (int)g->first->info.pid,
		      *g->first->python.version ? g->first->python.version : "?");
	print_command(command, more, (unsigned)used, width);
	free(command);
	return 0;
}

static void print_sums(const struct ps_listing *listing)
{
	int64_t sum = 0;
	char rss[32];

	for (size_t i = 0; i < listing->count; i++)
		sum += listing->rows[i].rss_bytes > 0 ? listing->rows[i].rss_bytes : 0;
	describe_rss(sum, false, rss, sizeof(rss));
	printf("%9s  %7zu  Python%s\n", rss, listing->count, listing->count == 1 ? "" : "s");
}

/* Prints the processes that can't be profiled, and why. */
static void print_reasons(const struct ps_listing *listing, unsigned width)
{
	char text[sizeof(listing->rows->reason) + sizeof(listing->rows->info.comm) + 32];

	for (size_t i = 0; i < listing->count; i++) {
		const struct ps_row *row = &listing->rows[i];

		if (row->supported)
			continue;
		snprintf(text, sizeof(text), "pid %d (%s): %s", (int)row->info.pid, row->info.comm,
			 row->reason);
		text_wrap(stdout, text, 0, width, 2);
		putchar('\n');
	}
}

int ps_print_programs(const struct ps_listing *listing, unsigned width)
{
	struct gathered *all = calloc(listing->count + 1, sizeof(*all));
	size_t count, i;
	int err = 0;

	if (!all)
		return -ENOMEM;
	count = gather(listing, all);
	qsort(all, count, sizeof(*all), by_sum);
	printf("%9s  %7s  %-7s  %s\n", "RSS", "PID", "PYTHON", "COMMAND");
	for (i = 0; i < count && !err; i++)
		err = print_gathered(&all[i], width);
	free(all);
	print_sums(listing);
	print_reasons(listing, width);
	return err;
}

static void describe_build(const struct py_process *python, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", python->kind == PY_BUILD_STATIC ? "static" : "shared",
		 python->debug_build ? ",debug" : "",
		 python->free_threaded ? ",free-threaded" : "");
}

/* The command line in one string, or [comm] if there is none. The caller frees it. NULL: out of
 * memory. */
static char *join_command(const struct proc_info *info)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (int i = 0; i < info->argc; i++)
		fprintf(out, "%s%s", i ? " " : "", info->argv[i]);
	if (info->argc == 0)
		fprintf(out, "[%s]", info->comm);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int print_process(const struct ps_row *row, unsigned width)
{
	char build[64], rss[32], inside[32], *command = join_command(&row->info);
	int used;

	if (!command)
		return -ENOMEM;
	describe_build(&row->python, build, sizeof(build));
	describe_rss(row->rss_bytes, row->rss_bytes < 0, rss, sizeof(rss));
	used = printf("%7d  %-9s  %-20s  %-10s  %9s  ", (int)row->info.pid,
		      *row->python.version ? row->python.version : "?", build, ps_engines(row),
		      rss);
	describe_ns_pid(&row->info, inside, sizeof(inside));
	print_command(command, inside, (unsigned)used, width);
	free(command);
	return 0;
}

int ps_print_each(const struct ps_listing *listing, unsigned width)
{
	int err = 0;

	printf("%7s  %-9s  %-20s  %-10s  %9s  %s\n", "PID", "VERSION", "BUILD", "ENGINE", "RSS",
	       "COMMAND");
	for (size_t i = 0; i < listing->count && !err; i++)
		err = print_process(&listing->rows[i], width);
	print_reasons(listing, width);
	return err;
}
