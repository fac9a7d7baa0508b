/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf ps`: lists which Pythons run here, and with which engines each can be profiled. It
 * lists Pythons that are not supported, too, with the reason.
 *
 * It needs no BPF. It counts the processes that may not be examined, and never leaves them out
 * silently. Data go to stdout, messages to stderr. Command lines come from the processes, so they
 * are escaped. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "cli/command.h"
#include "cli/privilege.h"
#include "cli/ps_table.h"
#include "cli/shared_rows.h"
#include "kernel/kernel.h"
#include "os/confine.h"
#include "os/terminal.h"
#include "python/examiner.h"
#include "base/json_text.h"
#include "os/proc.h"
#include "render/render.h"

struct ps_options {
	int json; /* else a table */
	unsigned width;
	int verbosity;
};

static struct ps_row *new_row(struct ps_listing *listing)
{
	if (!ARRAY_HAS_ROOM(listing->rows, listing->count, listing->capacity))
		return NULL;
	return &listing->rows[listing->count];
}

/* Adds a row for `pid` if it is a Python. Only -ENOMEM ends the listing. */
static int list_process(pid_t pid, void *arg)
{
	struct ps_listing *listing = arg;
	struct ps_row *row = new_row(listing);
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

/* Largest first; those whose RSS is unknown come last. */
static int by_rss(const void *a, const void *b)
{
	const struct ps_row *x = a, *y = b;

	if (x->rss_bytes != y->rss_bytes)
		return x->rss_bytes < y->rss_bytes ? 1 : -1;
	return (x->info.pid > y->info.pid) - (x->info.pid < y->info.pid);
}

static void listing_fini(struct ps_listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		proc_info_fini(&listing->rows[i].info);
	free(listing->rows);
	examiner_stop();
}

static json_t *json_of_row(const struct ps_row *row)
{
	const struct py_process *python = &row->python;
	json_t *engines = json_array(), *cmdline = json_array();

	if (row->supported)
		json_array_append_new(engines, json_string("walk"));
	if (row->supported && row->python.has_line_probe)
		json_array_append_new(engines, json_string("lines"));
	if (row->supported && row->python.has_function_probe)
		json_array_append_new(engines, json_string("functions"));
	for (int i = 0; i < row->info.argc; i++) {
		if (json_array_append_new(cmdline, json_text(row->info.argv[i])) != 0) {
			json_decref(engines);
			json_decref(cmdline);
			return NULL;
		}
	}
	/* s? and o? write null for NULL. */
	return json_pack("{s:i, s:o, s:i, s:s, s:s, s:b, s:b, s:b, s:b, s:s?, s:o, s:o?, s:o, s:o}",
			 "pid", (int)row->info.pid, "ns_pid", json_unless_zero(row->info.ns_pid),
			 "ppid", (int)row->info.ppid, "python", python->version, "build",
			 python->kind == PY_BUILD_STATIC ? "static" : "shared", "debug",
			 python->debug_build, "free_threaded", python->free_threaded, "line_probe",
			 python->has_line_probe, "supported", row->supported, "reason",
			 row->supported ? NULL : row->reason, "engines", engines, "rss_bytes",
			 row->rss_bytes < 0 ? NULL : json_integer(row->rss_bytes), "comm",
			 json_text(row->info.comm), "cmdline", cmdline);
}

static int print_json(const struct ps_listing *listing)
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

/* Says why the kernel does not let root examine `forbidden` processes. `missing`: capabilities that
 * this program was started without. */
static void explain_refusal(size_t forbidden, const char *missing)
{
	if (strstr(missing, "CAP_SYS_PTRACE") || strstr(missing, "CAP_CHECKPOINT_RESTORE"))
		fprintf(stderr, "pymem-bpf ps: not examined: %zu: permission denied (needed: %s)\n",
			forbidden, missing);
	else
		fprintf(stderr,
			"pymem-bpf ps: not examined: %zu: refused by the kernel (sandbox?)\n",
			forbidden);
}

static void print_omissions(const struct ps_listing *listing, const char *missing)
{
	char why[128];

	if (!kernel_host_pids())
		fputs("pymem-bpf ps: only this container's processes are seen: " PRIVILEGE_HOST_PIDS
		      "\n",
		      stderr);
	if (listing->forbidden > 0 && geteuid() != 0)
		fprintf(stderr,
			"pymem-bpf ps: not root, so only own processes can be examined; "
			"not examined: %zu\n",
			listing->forbidden);
	else if (listing->forbidden > 0)
		explain_refusal(listing->forbidden, missing);
	if (listing->failed > 0) {
		if (!examiner_explain(listing->failed_err, why, sizeof(why)))
			snprintf(why, sizeof(why), "%s", strerror(-listing->failed_err));
		fprintf(stderr, "pymem-bpf ps: not examined: %zu; first of them pid %d: %s\n",
			listing->failed, (int)listing->failed_pid, why);
	}
}

static int print_table(const struct ps_options *o, const struct ps_listing *listing)
{
	unsigned width = terminal_report_width(o->width, isatty(STDOUT_FILENO));

	return o->verbosity ? ps_print_each(listing, width) : ps_print_programs(listing, width);
}

static int list(const struct ps_options *o)
{
	struct ps_listing listing = {};
	char missing[128];
	int err = examiner_start(NULL);

	if (err) {
		fprintf(stderr,
			"pymem-bpf ps: the examiner, a helper process that reads what targets can "
			"hold up, can't be started: %s\n",
			strerror(-err));
		return EXIT_FAILED;
	}
	/* Before they are dropped. */
	kernel_missing_capabilities(missing, sizeof(missing));
	err = confine_or_say(CONFINE_LOOK | CONFINE_EXAMINE | CONFINE_RELAY, "ps", 0);
	if (err) {
		examiner_stop();
		return err;
	}
	err = proc_each(list_process, &listing);
	if (!err) {
		if (listing.count > 0)
			qsort(listing.rows, listing.count, sizeof(*listing.rows), by_rss);
		err = o->json ? print_json(&listing) : print_table(o, &listing);
	}
	print_omissions(&listing, missing);
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

	return list(o);
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
	ROW_WIDTH("the table"),
	ROW_VERBOSE("each process, with its build, the engines for it, and its whole command"),
	OPTION_HELP_ROW,
	{},
};

const struct command command_ps = {
	.name = "ps",
	.synopsis = "ps",
	.summary = "Python processes, and what can be done",
	.usage = "[-v] [--format table|json] [--width N]",
	.about = "Lists the Python processes of this host, largest first. Processes of one program "
		 "with the\nsame parent share a line, with their sum.\n",
	.rows = rows,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct ps_options),
	.run = run,
};
