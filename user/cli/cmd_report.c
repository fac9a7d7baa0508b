/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf report FILE`: what the main job would have printed, of a recording or a part of it.
 *
 * It needs no BPF and no rights but to read the file, which may come from anybody. So rights are
 * given up before its contents are added up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/profile_rows.h"
#include "cli/record_window.h"
#include "cli/report_output.h"
#include "os/confine.h"
#include "record/recording.h"
#include "record/recording_heap.h"
#include "render/heap_render.h"

struct report_options {
	struct profile_options profile; /* those of the main job that a report has */
	const char *file, *since, *until, *program;
	bool heap;
};

#define AT(field)  OPTION_AT(struct report_options, profile.field)
#define OWN(field) OPTION_AT(struct report_options, field)

static const struct option_row rows[] = {
	{.argument = "FILE",
	 .type = OPTION_OPERAND,
	 OWN(file),
	 .noun = "a file name",
	 .help = "the recording"},
	{.name = "since",
	 .argument = "TIME",
	 .type = OPTION_TEXT,
	 OWN(since),
	 .help = "from then on: 90, 5m (from its start), -5m (before its end),\n"
		 "14:30, 2026-02-28T14:30:05"},
	{.name = "until",
	 .argument = "TIME",
	 .type = OPTION_TEXT,
	 OWN(until),
	 .help = "up to then"},
	/* `profile` is the first member. */
	ROW_PIDS(struct profile_options, "only these processes"),
	{.name = "program",
	 .argument = "NAME",
	 .type = OPTION_TEXT,
	 OWN(program),
	 .noun = "a program's name",
	 .help = "only processes with NAME in their command line"},
	{.name = "heap",
	 .type = OPTION_FLAG,
	 OWN(heap),
	 .help = "who held the memory: the last look at each heap (record --heap-every), and\n"
		 "what had grown since the first one"},
	ROW_OUTPUT(ROW_OUTPUT_HELP),
	ROW_MODE("the report"),
	ROW_WIDTH("the report"),
	ROW_PAGER,
	ROW_TOP("20", "show the first N lines of each process ({}); 0: all"),
	PROFILE_ROW_FUNCTION,
	PROFILE_ROW_SORT,
	PROFILE_ROW_BY,
	PROFILE_ROW_TREE,
	ROW_FORMAT(profile_format_name),
	PROFILE_ROW_METRIC,
	PROFILE_ROW_REDACT,
	PROFILE_ROW_PEAK("of a recording with --lines, with -f: a column of peaks"),
	ROW_QUIET("the report"),
	ROW_VERBOSE("each process, all lines and figures"),
	OPTION_HELP_ROW,
	{},
};

#define SLICES	300    /* of the time of a page: a plot is not much wider in pixels */
#define CHANGES 100000 /* in these; about 2 MB of a page */

struct reporting {
	struct report_options *options;
	struct recording *recording;
	const struct renderer *renderer;
	struct report_output output;
	struct timeline *timeline; /* with renderer->times */
	struct heap_times heap;
};

/* `why` may contain what the file does. */
static int complain(const struct reporting *r, const char *why, int status)
{
	fputs("pymem-bpf report: ", stderr);
	text_print(stderr, r->options->file, 0, false);
	fputs(": ", stderr);
	text_print(stderr, why, 0, false);
	fputc('\n', stderr);
	return status;
}

/* Opens all that will be used, and gives up the rest. 0 or an exit status. */
static int begin(struct reporting *r)
{
	const struct profile_options *o = &r->options->profile;
	char why[512] = "";
	int status;

	r->renderer = renderer_find(o->format);
	r->output.width = o->width;
	r->output.quiet = o->quiet;
	r->recording = recording_open(r->options->file, why, sizeof(why));
	if (!r->recording)
		return complain(r, why, EXIT_FAILED);
	status = report_output_open(&r->output, &command_report, o->output, o->mode);
	if (!status && r->renderer->binary && isatty(fileno(r->output.output.file))) {
		profile_refuse_terminal(&command_report, r->renderer);
		return EXIT_USAGE;
	}
	if (!status && o->pager)
		status = report_output_page(&r->output);
	return status
		       ?: confine_or_say(CONFINE_PLAIN | report_output_needs(&r->output), "report",
					 o->verbosity);
}

/* Says that the recording has no figures of --metric. What was resident of processes that have
 * ended is none, and no error. */
static bool lacks_metric(const struct reporting *r, const struct model *model, int *status)
{
	enum render_metric metric = r->options->profile.metric;
	char why[256];

	if (!render_metric_missing(model, metric, true, why, sizeof(why)))
		return false;
	complain(r, why, 0);
	if (metric == RENDER_RESIDENT)
		return false;
	*status = EXIT_USAGE;
	return true;
}

/* The report of what was asked for. NULL after saying what is wrong: `*status` is to be returned.
 */
static struct model *read_window(struct reporting *r, int *status)
{
	const struct profile_options *o = &r->options->profile;
	const struct recording_about *about = recording_about(r->recording);
	struct recording_view view = {
		.pids = o->pid_count ? o->pids : NULL,
		.pid_count = o->pid_count,
		.program = r->options->program,
		.gather_imports = r->renderer->for_people && !o->verbosity,
		.keep_trees = o->tree || r->renderer->stacks,
		.tell_threads = true,
	};
	char why[512] = "";
	struct model *model;

	if (record_window_set(&view, about, r->options->since, r->options->until, why,
			      sizeof(why))) {
		*status = complain(r, why, EXIT_USAGE);
		return NULL;
	}
	if (o->touched && !about->touched) {
		*status = complain(r,
				   "who touched first what is resident was not recorded: record "
				   "with --touched",
				   EXIT_USAGE);
		return NULL;
	}
	model = recording_model(r->recording, &view, why, sizeof(why));
	if (!model)
		*status = complain(r, why, EXIT_FAILED);
	return model && lacks_metric(r, model, status) ? NULL : model;
}

/* Reads when the figures came about. 0 or an exit status. */
static int read_times(struct reporting *r)
{
	char why[512] = "";

	if (!r->renderer->times)
		return 0;
	r->timeline = recording_timeline(r->recording, SLICES, CHANGES, why, sizeof(why));
	if (!r->timeline || recording_heap_times(r->recording, &r->heap, why, sizeof(why)))
		return complain(r, why, EXIT_FAILED);
	return 0;
}

static void say_no_function(const struct reporting *r)
{
	fputs("pymem-bpf report: -f ", stderr);
	text_print(stderr, r->options->profile.function, 0, false);
	fputs(": no such function in it; without -f the report lists those that are\n", stderr);
}

/* What was counted and is not in what is written. */
static void say_functions_left_out(const struct reporting *r, const struct model *model)
{
	const struct profile_options *o = &r->options->profile;
	bool counted = false;

	for (size_t i = 0; i < model->process_count; i++)
		counted |= model->processes[i]->functions_counted;
	if (!counted || (r->renderer->functions && !o->by))
		return;
	fprintf(stderr,
		"pymem-bpf report: functions were counted, and --%s %s does not show them: "
		"--format table, json and csv do\n",
		o->by ? "by" : "format", o->by ? "…" : r->renderer->name);
}

static int write_report(struct reporting *r, struct model *model)
{
	const struct profile_options *o = &r->options->profile;
	struct render_options ro = profile_render_options(o, recording_sources(r->recording));
	FILE *out;
	int err = profile_redact(o, model, &ro);

	ro.timeline = r->timeline;
	ro.heap_times = &r->heap;
	out = report_output_begin(&r->output, &ro.width, &ro.color);
	ro.host = recording_about(r->recording)->of_host && !o->pid_count && !r->options->program;
	if (!err)
		err = r->renderer->emit(out, model, &ro);
	if (err == -ENOENT && o->function)
		say_no_function(r);
	if (!err && !o->quiet)
		say_functions_left_out(r, model);
	if (!err && r->renderer->only_rows && !o->quiet)
		render_asides(stderr, model);
	return report_output_end(&r->output, err);
}

/* Why there is nothing to show of heaps. An exit status. */
static int complain_no_looks(const struct reporting *r, const struct model *model,
			     const struct heap_report *report)
{
	if (!model->process_count)
		return complain(r, "there is no such process in what was asked for", EXIT_FAILED);
	if (report->skip_count)
		return complain(r, "none of its looks at heaps can be read", EXIT_FAILED);
	return complain(r,
			"it has no looks at heaps in what was asked for: record with "
			"--heap-every",
			EXIT_USAGE);
}

/* Writes what the looks at heaps found. An exit status. */
static int write_looks(struct reporting *r, const struct model *model)
{
	const struct profile_options *o = &r->options->profile;
	struct render_options ro = profile_render_options(o, NULL);
	struct heap_report report = {0};
	char why[512] = "";
	int err = recording_heap_report(r->recording, model, &report, why, sizeof(why)), status;
	FILE *out;

	if (err) {
		status = complain(r, why, EXIT_FAILED);
	} else if (!report.look_count) {
		status = complain_no_looks(r, model, &report);
	} else {
		out = report_output_begin(&r->output, &ro.width, &ro.color);
		err = heap_renderer_find(o->format ?: "table")->emit(out, &report, &ro);
		if (!err && !o->quiet)
			render_asides(stderr, model);
		status = report_output_end(&r->output, err);
	}
	heap_report_fini(&report);
	return status;
}

static int run(void *options)
{
	struct reporting r = {.options = options};
	int status = begin(&r);
	struct model *model = status ? NULL : read_window(&r, &status);

	if (model && r.options->heap) {
		status = write_looks(&r, model);
		model = NULL;
	}
	if (model)
		status = read_times(&r);
	if (model && !status) {
		recording_release(r.recording);
		status = write_report(&r, model);
	}
	timeline_free(r.timeline);
	heap_times_fini(&r.heap);
	recording_close(r.recording);
	report_output_fini(&r.output);
	return status;
}

/* What is of lines has no meaning for heaps. */
static int check_heap(const struct command *command, const struct profile_options *o)
{
	const struct {
		bool given;
		const char *name;
	} options[] = {{o->redact, "--redact"}, {o->function, "-f"}, {o->tree, "--tree"},
		       {o->by, "--by"},		{o->peak, "--peak"}, {o->metric, "--metric"},
		       {o->sort, "--sort"}};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].given)
			return options_complain(command, "--heap and %s exclude each other",
						options[i].name);
	if (o->format && !heap_renderer_find(o->format))
		return options_complain(command, "--heap prints a table or json, not %s",
					o->format);
	return 0;
}

static int check(const struct command *command, void *options)
{
	struct report_options *o = options;

	if (!o->file)
		return options_complain(command, "name a recording; pymem-bpf record -o FILE makes "
						 "one");
	if (o->heap && check_heap(command, &o->profile))
		return -EINVAL;
	if (o->profile.by == MODEL_BY_USER)
		return options_complain(command, "--by user: a recording does not say of whom a "
						 "process was; --by unit has users' sessions");
	o->profile.touched =
		o->profile.sort == MODEL_SORT_RESIDENT || o->profile.metric == RENDER_RESIDENT;
	return profile_options_check_format(command, &o->profile);
}

static const struct option_lacking lacking[] = {LACKS_MEMORY, {}};

const struct command command_report = {
	.name = "report",
	.synopsis = "report FILE",
	.summary = "what was recorded, or a part of it",
	.usage = "FILE [options]",
	.about = "Prints of a recording what the main job would have printed. Needs no root, and\n"
		 "neither this machine nor its architecture need be those of the recording.\n",
	.rows = rows,
	.lacking = lacking,
	.exits = EXITS_PLAIN,
	.options_size = sizeof(struct report_options),
	.check = check,
	.run = run,
};
