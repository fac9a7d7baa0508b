/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf ps`: which Pythons run here, and which of them can be profiled in which way. Pythons
 * that are not supported are listed too, with the reason.
 *
 * It needs no BPF. Processes that may not be examined are counted and never left out silently. Data
 * go to stdout, messages to stderr. Command lines come from the processes, so they are escaped. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "base/array.h"
#include "base/text.h"
#include "os/terminal.h"
#include "python/examiner.h"
#include "base/json_text.h"
#include "os/proc.h"
#include "python/py_process.h"
#include "render/render.h"

struct row {
	struct py_process python;
	struct proc_info info;
	int64_t rss_bytes; /* or -errno */
	bool supported;
	char reason[192]; /* why it can't be profiled */
};

struct listing {
	struct row *rows;
	size_t count, capacity;
	size_t forbidden; /* number of processes that we may not examine */
	size_t failed;	  /* number of those that could not be examined for another reason */
	pid_t failed_pid; /* the first of these */
	int failed_err;
};

struct ps_options {
	int json; /* else a table */
};

static struct row *new_row(struct listing *listing)
{
	if (!ARRAY_HAS_ROOM(listing->rows, listing->count, listing->capacity))
		return NULL;
	return &listing->rows[listing->count];
}

/* Adds a row for `pid` if it is a Python. Only -ENOMEM ends the listing. */
static int list_process(pid_t pid, void *arg)
{
	struct listing *listing = arg;
	struct row *row = new_row(listing);
	struct source_root root;
	int err;

	if (!row)
		return -ENOMEM;
	memset(row, 0, sizeof(*row));
	err = examiner_identify(pid, &row->python);
	if (err == -ENOENT || err == -ESRCH || err == -ENOMEM)
		return err == -ENOMEM ? err : 0;
	if (err == -EACCES || err == -EPERM) {
		listing->forbidden++;
		return 0;
	}
	if (err && err != -ENOTSUP && !row->python.implausible) {
		if (listing->failed++ == 0) {
			listing->failed_pid = pid;
			listing->failed_err = err;
		}
		return 0;
	}
	row->supported = err == 0;
	if (!row->supported)
		py_process_explain(&row->python, row->reason, sizeof(row->reason));
	err = examiner_describe(pid, &row->info, &root);
	source_root_close(&root);
	if (err && proc_stat_read(pid, &row->info))
		return err == -ENOMEM ? err : 0; /* the process has ended meanwhile */
	row->rss_bytes = examiner_rss_bytes(pid);
	listing->count++;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return (x->info.pid > y->info.pid) - (x->info.pid < y->info.pid);
}

static void listing_fini(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		proc_info_fini(&listing->rows[i].info);
	free(listing->rows);
	examiner_stop();
}

static unsigned terminal_width(void)
{
	return isatty(STDOUT_FILENO) ? terminal_columns() : 0;
}

static void describe_build(const struct py_process *python, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", python->kind == PY_BUILD_STATIC ? "static" : "shared",
		 python->debug_build ? ",debug" : "",
		 python->free_threaded ? ",free-threaded" : "");
}

static const char *describe_engines(const struct row *row)
{
	if (!row->supported)
		return "none";
	return row->python.has_line_probe ? "walk,lines" : "walk";
}

static void describe_rss(int64_t bytes, char *buf, size_t size)
{
	if (bytes < 0)
		snprintf(buf, size, "?");
	else
		snprintf(buf, size, "%.1f MiB", (double)bytes / (1024 * 1024));
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

static int print_row(const struct row *row, unsigned width)
{
	char build[64], rss[32], *command = join_command(&row->info);
	int used;

	if (!command)
		return -ENOMEM;
	describe_build(&row->python, build, sizeof(build));
	describe_rss(row->rss_bytes, rss, sizeof(rss));
	used = printf("%7d  %-9s  %-20s  %-10s  %11s  ", (int)row->info.pid,
		      row->python.version[0] ? row->python.version : "?", build,
		      describe_engines(row), rss);
	/* Some columns of the command stay even on a narrow terminal: without them a line says
	 * little. */
	if (width > 0)
		text_print(stdout, command,
			   width > (unsigned)used + 12 ? width - (unsigned)used : 12, false);
	else
		text_print(stdout, command, 0, false);
	putchar('\n');
	free(command);
	return 0;
}

static int print_table(const struct listing *listing)
{
	unsigned width = terminal_width();
	int err = 0;

	printf("%7s  %-9s  %-20s  %-10s  %11s  %s\n", "PID", "VERSION", "BUILD", "ENGINE", "RSS",
	       "COMMAND");
	for (size_t i = 0; i < listing->count && !err; i++)
		err = print_row(&listing->rows[i], width);
	for (size_t i = 0; i < listing->count && !err; i++) {
		const struct row *row = &listing->rows[i];

		if (row->supported)
			continue;
		printf("pid %d (", (int)row->info.pid);
		text_print(stdout, row->info.comm, 0, false);
		printf("): %s\n", row->reason);
	}
	return err;
}

static json_t *json_of_row(const struct row *row)
{
	const struct py_process *python = &row->python;
	json_t *engines = json_array(), *cmdline = json_array();

	if (row->supported)
		json_array_append_new(engines, json_string("walk"));
	if (row->supported && row->python.has_line_probe)
		json_array_append_new(engines, json_string("lines"));
	for (int i = 0; i < row->info.argc; i++) {
		if (json_array_append_new(cmdline, json_text(row->info.argv[i])) != 0) {
			json_decref(engines);
			json_decref(cmdline);
			return NULL;
		}
	}
	/* s? and o? write null for NULL. */
	return json_pack("{s:i, s:i, s:s, s:s, s:b, s:b, s:b, s:b, s:s?, s:o, s:o?, s:o, s:o}",
			 "pid", (int)row->info.pid, "ppid", (int)row->info.ppid, "python",
			 python->version, "build",
			 python->kind == PY_BUILD_STATIC ? "static" : "shared", "debug",
			 python->debug_build, "free_threaded", python->free_threaded, "line_probe",
			 python->has_line_probe, "supported", row->supported, "reason",
			 row->supported ? NULL : row->reason, "engines", engines, "rss_bytes",
			 row->rss_bytes < 0 ? NULL : json_integer(row->rss_bytes), "comm",
			 json_text(row->info.comm), "cmdline", cmdline);
}

static int print_json(const struct listing *listing)
{
	json_t *processes = json_array(), *top;
	int err = 0;

	for (size_t i = 0; i < listing->count && !err; i++) {
		if (json_array_append_new(processes, json_of_row(&listing->rows[i])) != 0)
			err = -ENOMEM;
	}
	top = json_pack("{s:s, s:o, s:I, s:I}", "schema", "pymem-bpf-ps/1", "processes", processes,
			"forbidden", (json_int_t)listing->forbidden, "failed",
			(json_int_t)listing->failed);
	if (!top)
		err = -ENOMEM;
	if (!err && json_write(stdout, top, JSON_INDENT(2)) != 0 && !ferror(stdout))
		err = -ENOMEM;
	if (!err)
		putchar('\n');
	json_decref(top);
	return err;
}

static void print_omissions(const struct listing *listing)
{
	char why[128];

	if (listing->forbidden > 0 && geteuid() != 0)
		fprintf(stderr,
			"pymem-bpf ps: not root, so only own processes can be examined; "
			"not examined: %zu\n",
			listing->forbidden);
	else if (listing->forbidden > 0)
		fprintf(stderr,
			"pymem-bpf ps: not examined: %zu: permission denied "
			"(CAP_SYS_PTRACE, and CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, are "
			"needed)\n",
			listing->forbidden);
	if (listing->failed > 0) {
		if (!examiner_explain(listing->failed_err, why, sizeof(why)))
			snprintf(why, sizeof(why), "%s", strerror(-listing->failed_err));
		fprintf(stderr, "pymem-bpf ps: not examined: %zu; first of them pid %d: %s\n",
			listing->failed, (int)listing->failed_pid, why);
	}
}

static int list(bool json)
{
	struct listing listing = {};
	int err = examiner_start(NULL);

	if (err) {
		fprintf(stderr,
			"pymem-bpf ps: the examiner, a helper process that reads what targets can "
			"hold up, can't be started: %s\n",
			strerror(-err));
		return EXIT_FAILED;
	}
	err = proc_each(list_process, &listing);
	if (!err) {
		if (listing.count > 0)
			qsort(listing.rows, listing.count, sizeof(*listing.rows), by_pid);
		err = json ? print_json(&listing) : print_table(&listing);
	}
	print_omissions(&listing);
	listing_fini(&listing);
	if (err) {
		fprintf(stderr, "pymem-bpf ps: cannot list processes: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "pymem-bpf ps: cannot write to stdout: %s\n",
			errno ? strerror(errno) : "write error");
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int run(void *options)
{
	const struct ps_options *o = options;

	return list(o->json);
}

#define AT(field) OPTION_AT(struct ps_options, field)

static const struct option_choice formats[] = {{"table", false}, {"json", true}, {}};

static const struct option_row rows[] = {
	{.name = "format",
	 .argument = "NAME",
	 .type = OPTION_CHOICE,
	 AT(json),
	 .choices = formats,
	 .help = "{}, of schema pymem-bpf-ps/1"},
	OPTION_HELP_ROW,
	{},
};

const struct command command_ps = {
	.name = "ps",
	.synopsis = "ps",
	.summary = "Python processes, and what can be done",
	.usage = "[--format table|json]",
	.about = "Lists the Python processes of this host: PID, version, build, engine available, "
		 "RSS,\ncommand.\n",
	.rows = rows,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct ps_options),
	.run = run,
};
