/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One row per option: its names, its argument, its help, and the function that takes the
 * argument. The help is printed from the same table.
 */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "os/output.h"
#include "render/render.h"

struct option_row {
	int key; /* letter, or a number past 255 where there is none */
	const char *name;
	const char *argument; /* as the help shows it; NULL: none */
	const char *help;
	int (*take)(struct options *options, const char *value);
};

static int complain(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "pymem-bpf: %s %s: %s\n", option, value, wanted);
	return -EINVAL;
}

/* A whole number from `min` to `max`. */
static int take_number(const char *option, const char *value, unsigned long min, unsigned long max,
		       unsigned long *number)
{
	char *end, wanted[96];

	errno = 0;
	*number = strtoul(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || *number < min || *number > max) {
		snprintf(wanted, sizeof(wanted), "expected a whole number from %lu to %lu", min,
			 max);
		return complain(option, value, wanted);
	}
	return 0;
}

static int take_pids(struct options *o, const char *value)
{
	char *copy = strdup(value), *rest = copy, *word;
	unsigned long pid;
	int err = 0;

	if (!copy)
		return -ENOMEM;
	while (!err && (word = strsep(&rest, ","))) {
		pid_t *more = reallocarray(o->pids, o->pid_count + 1, sizeof(*more));

		if (!more) {
			err = -ENOMEM;
			break;
		}
		o->pids = more;
		err = take_number("-p", word, 1, 1 << 22, &pid);
		if (!err)
			o->pids[o->pid_count++] = pid;
	}
	free(copy);
	return err;
}

static int take_all(struct options *o, const char *value)
{
	(void)value;
	o->all = true;
	return 0;
}

static int take_duration(struct options *o, const char *value)
{
	char *end;

	errno = 0;
	o->duration = strtod(value, &end);
	if (errno || end == value || *end || !(o->duration > 0) || o->duration > 1e9)
		return complain("-d", value, "expected seconds, more than 0");
	return 0;
}

static int take_output(struct options *o, const char *value)
{
	o->output = value;
	return *value ? 0 : complain("-o", "''", "expected a file name");
}

/* As chmod takes it. The owner may write it, as we do. */
static int take_mode(struct options *o, const char *value)
{
	char *end;
	unsigned long mode;

	errno = 0;
	mode = strtoul(value, &end, 8);
	if (errno || end == value || *end || *value < '0' || *value > '7' || mode > 0777 ||
	    (mode & 0600) != 0600)
		return complain("--mode", value,
				"expected an octal number from 600 to 777 that lets the owner read "
				"and write, such as 640");
	o->mode = (mode_t)mode;
	return 0;
}

static int take_top(struct options *o, const char *value)
{
	unsigned long n = 0;
	int err = take_number("-n", value, 0, 1000000, &n);

	o->top = n;
	return err;
}

static int take_function(struct options *o, const char *value)
{
	o->function = value;
	return *value ? 0 : complain("-f", "''", "expected a function's name");
}

/* The last of -l and --engine counts, but for `auto`: to choose for itself is no wish for less. */
static int take_lines(struct options *o, const char *value)
{
	(void)value;
	o->lines = true;
	return 0;
}

static int take_format(struct options *o, const char *value)
{
	char wanted[256] = "no such format; there are:";
	size_t i;

	o->format = value;
	if (renderer_find(value))
		return 0;
	for (i = 0; renderers[i]; i++) {
		strncat(wanted, " ", sizeof(wanted) - strlen(wanted) - 1);
		strncat(wanted, renderers[i]->name, sizeof(wanted) - strlen(wanted) - 1);
	}
	return complain("--format", value, wanted);
}

static int take_sort(struct options *o, const char *value)
{
	static const struct {
		const char *name;
		enum model_sort sort;
	} sorts[] = {
		{"increment", MODEL_SORT_INCREMENT}, {"total", MODEL_SORT_TOTAL},
		{"peak", MODEL_SORT_PEAK},	     {"grown", MODEL_SORT_GROWN},
		{"freed", MODEL_SORT_FREED},	     {"cow", MODEL_SORT_COW},
	};
	size_t i;

	for (i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
		if (strcmp(value, sorts[i].name))
			continue;
		o->sort = sorts[i].sort;
		return 0;
	}
	return complain("-s", value, "expected increment, total, peak, grown, freed or cow");
}

static int take_engine(struct options *o, const char *value)
{
	if (!strcmp(value, "auto"))
		return 0;
	o->lines = !strcmp(value, "lines");
	if (o->lines || !strcmp(value, "walk"))
		return 0;
	return complain("--engine", value, "expected auto, walk or lines");
}

static int take_peak(struct options *o, const char *value)
{
	(void)value;
	o->peak = true;
	return 0;
}

static int take_no_faults(struct options *o, const char *value)
{
	(void)value;
	o->no_faults = true;
	return 0;
}

static int take_no_syscalls(struct options *o, const char *value)
{
	(void)value;
	o->no_syscalls = true;
	return 0;
}

static int take_no_children(struct options *o, const char *value)
{
	(void)value;
	o->no_children = true;
	return 0;
}

static int take_max_stacks(struct options *o, const char *value)
{
	unsigned long n = 0;
	int err = take_number("--max-stacks", value, 16, 1 << 24, &n);

	o->max_stacks = n;
	return err;
}

static int take_max_processes(struct options *o, const char *value)
{
	unsigned long n = 0;
	int err = take_number("--max-processes", value, 1, 1 << 20, &n);

	o->max_processes = n;
	return err;
}

static int take_ring_size(struct options *o, const char *value)
{
	unsigned long n = 0;
	int err = take_number("--ring-size", value, 64, 1 << 20, &n);

	if (!err && n & (n - 1))
		return complain("--ring-size", value, "expected a power of two (KiB)");
	o->ring_bytes = n * 1024;
	return err;
}

static int take_ended_memory(struct options *o, const char *value)
{
	unsigned long n = 0;
	int err = take_number("--ended-memory", value, 1, 1 << 20, &n);

	o->ended_bytes = n << 20;
	return err;
}

static int take_quiet(struct options *o, const char *value)
{
	(void)value;
	o->quiet = true;
	return 0;
}

static int take_verbose(struct options *o, const char *value)
{
	(void)value;
	o->verbosity++;
	return 0;
}

static int take_help(struct options *o, const char *value)
{
	(void)value;
	o->help = true;
	return 0;
}

static int take_version(struct options *o, const char *value)
{
	(void)value;
	o->version = true;
	return 0;
}

static const struct option_row rows[] = {
	{'p', "pid", "PID[,PID…]", "profile these running processes", take_pids},
	{'a', "all", NULL, "profile every Python process of the host, present and future",
	 take_all},
	{'d', "duration", "SEC", "stop after SEC seconds", take_duration},
	{'o', "output", "FILE", "write the report to FILE", take_output},
	{271, "mode", "MODE", "permissions of FILE, octal (600: for its owner alone)", take_mode},
	{'n', "top", "N", "show the first N lines of each process (20); 0: all", take_top},
	{'f', "function", "NAME", "annotated source of that function", take_function},
	{'l', "lines", NULL, "the exact engine, on CPython's line probes", take_lines},
	{'s', "sort", "KEY", "increment, total, peak, grown, freed or cow", take_sort},
	{256, "format", "NAME", "table or json", take_format},
	{270, "peak", NULL, "with --lines -f: a column of peaks", take_peak},
	{257, "engine", "NAME", "auto, walk or lines", take_engine},
	{258, "no-children", NULL, "do not follow children", take_no_children},
	{259, "no-faults", NULL, "do not count page faults", take_no_faults},
	{260, "no-syscalls", NULL, "do not count brk, mmap, munmap, mremap, madvise",
	 take_no_syscalls},
	{261, "max-stacks", "N", "distinct stacks kept (65536)", take_max_stacks},
	{262, "max-processes", "N", "process images at one time (256; -a: 4096)",
	 take_max_processes},
	{263, "ring-size", "KIB", "buffer to user space (1024; -a: 8192)", take_ring_size},
	{265, "ended-memory", "MIB", "for lines of processes that have ended (256)",
	 take_ended_memory},
	{'q', "quiet", NULL, "say nothing but the report and errors", take_quiet},
	{'v', "verbose", NULL, "lines of the import system apart; libbpf's warnings (-vv: all)",
	 take_verbose},
	{264, "version", NULL, "print the version", take_version},
	{'h', "help", NULL, "print this", take_help},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

void options_help(FILE *out)
{
	size_t i;

	fputs("Usage: pymem-bpf -p PID[,PID…] [options]    attach to running processes\n"
	      "       pymem-bpf -a [options]               every Python process of the host\n"
	      "       pymem-bpf [options] -- CMD …         start CMD and profile it\n"
	      "       pymem-bpf memit -- CMD …             peak RSS of any program; -p PID: a "
	      "running one\n"
	      "       pymem-bpf serve                      figures for users' own processes, over "
	      "a socket\n"
	      "       pymem-bpf ps                         Python processes, and what can be done\n"
	      "       pymem-bpf check                      what this kernel can do\n"
	      "\nLine-level resident-memory profiler for CPython, from outside the process.\n\n",
	      out);
	for (i = 0; i < ROWS; i++) {
		char names[64];

		snprintf(names, sizeof(names), "%s--%s%s%s", "", rows[i].name,
			 rows[i].argument ? " " : "", rows[i].argument ? rows[i].argument : "");
		if (rows[i].key < 256)
			fprintf(out, "  -%c, ", rows[i].key);
		else
			fputs("      ", out);
		/* The ellipsis is one column, three bytes. */
		fprintf(out, "%-*s %s\n", strstr(names, "…") ? 24 : 22, names, rows[i].help);
	}
	fputs("\nExit status: 0 done, 1 failed while running, 2 usage, 3 environment (not root, "
	      "no\n"
	      "BTF, kernel too old); with -- CMD, the command's own.\n",
	      out);
}

static const struct option_row *row_of(int key)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (rows[i].key == key)
			return &rows[i];
	return NULL;
}

static void build_getopt(char *letters, struct option *longs)
{
	size_t i;

	*letters++ = '+';
	for (i = 0; i < ROWS; i++) {
		longs[i].name = rows[i].name;
		longs[i].has_arg = rows[i].argument ? required_argument : no_argument;
		longs[i].flag = NULL;
		longs[i].val = rows[i].key;
		if (rows[i].key > 255)
			continue;
		*letters++ = rows[i].key;
		if (rows[i].argument)
			*letters++ = ':';
	}
	*letters = '\0';
	memset(&longs[ROWS], 0, sizeof(longs[ROWS]));
}

static int check_job(const struct options *o)
{
	int jobs = (o->pid_count > 0) + o->all + (o->command != NULL);

	if (o->help || o->version || jobs == 1)
		return 0;
	if (jobs)
		fputs("pymem-bpf: -p, -a and -- CMD exclude one another\n", stderr);
	else
		fputs("pymem-bpf: say what to profile: -p PID, -a, or -- CMD …; --help tells "
		      "more\n",
		      stderr);
	return -EINVAL;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct option longs[ROWS + 1];
	char letters[2 * ROWS + 2];
	const char *argument = NULL;
	int key, err;

	memset(o, 0, sizeof(*o));
	o->top = 20;
	o->mode = OUTPUT_MODE;
	o->format = "table";
	build_getopt(letters, longs);
	while ((key = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = row_of(key);

		if (!row) {
			fputs("Try pymem-bpf --help.\n", stderr);
			return -EINVAL;
		}
		argument = optarg;
		err = row->take(o, optarg);
		if (err)
			return err;
	}
	if (optind < argc) {
		/* The -- before it must be no option's argument. */
		if (strcmp(argv[optind - 1], "--") || argv[optind - 1] == argument) {
			fprintf(stderr,
				"pymem-bpf: %s: no such command; to start a program, put "
				"-- before it\n",
				argv[optind]);
			return -EINVAL;
		}
		o->command = argv + optind;
	}
	if (!o->max_stacks)
		o->max_stacks = 65536;
	if (!o->max_processes)
		o->max_processes = o->all ? 4096 : 256;
	if (!o->ended_bytes)
		o->ended_bytes = 256 << 20;
	if (!o->ring_bytes)
		o->ring_bytes = o->all ? 8 << 20 : 1 << 20;
	return check_job(o);
}

void options_fini(struct options *o)
{
	free(o->pids);
	o->pids = NULL;
	o->pid_count = 0;
}
