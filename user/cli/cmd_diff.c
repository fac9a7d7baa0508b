/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf diff A B`: what B does with memory that A does not. A and B are recordings, or parts
 * of one.
 *
 * It needs no BPF and no rights but to read the files. A recording may come from anybody, so rights
 * are given up before its contents are added up. The report is written whatever --fail-above finds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/profile_rows.h"
#include "cli/record_window.h"
#include "cli/report_output.h"
#include "model/model_diff_heap.h"
#include "os/confine.h"
#include "record/recording.h"
#include "record/recording_heap.h"
#include "render/diff_render.h"

enum compare { COMPARE_AUTO, COMPARE_AMOUNTS, COMPARE_RATES };

struct diff_options {
	const char *a, *b, *program;
	int compare;
	size_t limit_bytes;
	unsigned top;
	const char *format, *output;
	mode_t mode;
	unsigned width;
	bool pager, quiet, redact;
	int verbosity;
};

/* One of the two. A recording has one model at a time: of parts of one file, each has its own. */
struct diff_input {
	const char *operand;
	struct record_window window;
	const char *shown; /* the operand; redacted, without folders */
	struct recording *recording;
	struct model *model;
	struct heap_times heap; /* the last look at each process */
};

struct diff_run {
	const struct diff_options *options;
	struct diff_input input[MODEL_DIFF_SIDES];
	struct model_diff *diff;
	struct report_output output;
};

/* Says what is wrong with an input; `why` may contain what the file does. Returns EXIT_FAILED. */
static int complain(const struct diff_input *input, const char *why)
{
	fputs("pymem-bpf diff: ", stderr);
	text_print(stderr, input->operand, 0, false);
	fputs(": ", stderr);
	text_print(stderr, why, 0, false);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

/* 0 or an exit status. */
static int open_input(struct diff_input *input)
{
	char why[512] = "";
	int err = record_window_read(&input->window, input->operand, why, sizeof(why));

	if (err) {
		complain(input, *why ? why : strerror(-err));
		return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	input->recording = recording_open(input->window.file, why, sizeof(why));
	if (!input->recording)
		return complain(input, *why ? why : strerror(errno));
	return 0;
}

/* 0 or an exit status. */
static int read_input(struct diff_input *input, const struct diff_options *o)
{
	const struct diff_renderer *renderer = diff_renderer_find(o->format);
	struct recording_view view = {
		.program = o->program,
		.gather_imports = renderer->for_people,
		.keep_trees = renderer->page != NULL,
	};
	char why[512] = "";

	if (record_window_set(&view, recording_about(input->recording), input->window.since,
			      input->window.until, why, sizeof(why))) {
		complain(input, why);
		return EXIT_USAGE;
	}
	input->model = recording_model(input->recording, &view, why, sizeof(why));
	if (!input->model)
		return complain(input, *why ? why : strerror(errno));
	if (recording_heap_last(input->recording, &input->heap, why, sizeof(why)))
		return complain(input, *why ? why : strerror(ENOMEM));
	recording_release(input->recording);
	return 0;
}

static const char *text_of(void *arg, const struct model_process *process, const char *file,
			   int line)
{
	return source_line(arg, &process->root, file, line, NULL);
}

/* 0 or an exit status. */
static int compare(struct diff_run *run)
{
	struct model_diff_texts texts = {.text = text_of};
	int side;

	for (side = 0; side < MODEL_DIFF_SIDES; side++)
		texts.arg[side] = recording_sources(run->input[side].recording);
	run->diff = model_diff_new(run->input[MODEL_DIFF_A].model, run->input[MODEL_DIFF_B].model,
				   &texts);
	if (!run->diff || model_diff_take_heaps(run->diff, &run->input[MODEL_DIFF_A].heap,
						&run->input[MODEL_DIFF_B].heap)) {
		options_complain(&command_diff, "%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	model_diff_sort(run->diff, run->options->compare == COMPARE_RATES ||
					   (run->options->compare == COMPARE_AUTO &&
					    model_diff_prefers_rates(run->diff)));
	return 0;
}

/* Takes out what is not for others, if that was asked for. 0 or an exit status. */
static int redact(struct diff_run *run)
{
	struct diff_input *a = &run->input[MODEL_DIFF_A], *b = &run->input[MODEL_DIFF_B];
	struct source_cache *const sources[] = {recording_sources(a->recording),
						recording_sources(b->recording)};

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		struct diff_input *input = &run->input[side];
		const char *slash = strrchr(input->operand, '/');

		input->shown = slash && run->options->redact ? slash + 1 : input->operand;
	}
	if (!run->options->redact || !model_diff_redact(run->diff, a->model, b->model, sources))
		return 0;
	options_complain(&command_diff, "%s", strerror(ENOMEM));
	return EXIT_FAILED;
}

/* Writes the report. Returns the exit status of the command. */
static int finish(struct diff_run *run)
{
	const struct diff_options *o = run->options;
	struct render_options options = {.top = o->top, .verbose = o->verbosity > 0};
	struct diff_report report = {
		.diff = run->diff,
		.version = PYMEM_VERSION,
		.limit_bytes = o->limit_bytes,
		.limit_by_rates = o->compare == COMPARE_RATES,
	};
	FILE *out = report_output_begin(&run->output, &options.width, &options.color);
	int side, status;

	for (side = 0; side < MODEL_DIFF_SIDES; side++)
		report.side[side] = (struct diff_report_side){
			.name = run->input[side].shown,
			.incomplete = !recording_about(run->input[side].recording)->complete,
			.sources = o->redact ? NULL : recording_sources(run->input[side].recording),
			.looks = run->input[side].heap.look_count,
			.unreadable_looks = run->input[side].heap.unreadable,
		};
	status = report_output_end(&run->output,
				   diff_renderer_find(o->format)->emit(out, &report, &options));
	return !status && diff_is_exceeded(&report) ? EXIT_EXCEEDED : status;
}

static int begin(struct diff_run *run)
{
	const struct diff_options *o = run->options;
	int status, side;

	run->output.width = o->width;
	run->output.quiet = o->quiet;
	status = report_output_open(&run->output, &command_diff, o->output, o->mode);
	if (!status && diff_renderer_find(o->format)->page &&
	    isatty(fileno(run->output.output.file))) {
		profile_refuse_terminal(&command_diff, diff_renderer_find(o->format)->page);
		return EXIT_USAGE;
	}
	for (side = 0; side < MODEL_DIFF_SIDES && !status; side++)
		status = open_input(&run->input[side]);
	if (!status && o->pager)
		status = report_output_page(&run->output);
	return status
		       ?: confine_or_say(CONFINE_PLAIN | report_output_needs(&run->output), "diff",
					 o->verbosity);
}

static int run(void *options)
{
	const struct diff_options *o = options;
	struct diff_run run = {.options = o, .input = {{.operand = o->a}, {.operand = o->b}}};
	int status = begin(&run), side;

	for (side = 0; side < MODEL_DIFF_SIDES && !status; side++)
		status = read_input(&run.input[side], o);
	if (!status)
		status = compare(&run);
	if (!status)
		status = redact(&run);
	if (!status)
		status = finish(&run);
	model_diff_free(run.diff);
	for (side = 0; side < MODEL_DIFF_SIDES; side++) {
		heap_times_fini(&run.input[side].heap);
		recording_close(run.input[side].recording);
		record_window_fini(&run.input[side].window);
	}
	report_output_fini(&run.output);
	return status;
}

static int check(const struct command *command, void *options)
{
	const struct diff_options *o = options;
	const struct renderer *page = diff_renderer_find(o->format ?: "table")->page;

	if (!o->a || !o->b)
		return options_complain(command,
					"name two recordings, or two parts of one (run.pymem@,5m "
					"run.pymem@5m,); pymem-bpf record makes them");
	if (o->pager && o->output)
		return options_complain(command, "--pager and -o exclude one another");
	return page ? profile_check_page(command, page, o->output, o->pager) : 0;
}

static const char *format_name(size_t i)
{
	return diff_renderers[i] ? diff_renderers[i]->name : NULL;
}

static const struct option_choice compares[] = {
	{"auto", COMPARE_AUTO},
	{"amounts", COMPARE_AMOUNTS},
	{"rates", COMPARE_RATES},
	{},
};

#define AT(field) OPTION_AT(struct diff_options, field)

static const struct option_row rows[] = {
	{.name = "compare",
	 .argument = "HOW",
	 .type = OPTION_CHOICE,
	 AT(compare),
	 .choices = compares,
	 .help = "{}: bytes, or bytes per second;\n"
		 "auto: rates if the two are not equally long"},
	{.name = "fail-above",
	 .argument = "MIB",
	 .type = OPTION_MIB,
	 AT(limit_bytes),
	 .least = 1,
	 .most = 1 << 20,
	 .help = "end with status 4 if RSS grew by more than MIB more in B than in A"},
	{.name = "program",
	 .argument = "NAME",
	 .type = OPTION_TEXT,
	 AT(program),
	 .noun = "a program's name",
	 .help = "only processes with NAME in their command line"},
	ROW_TOP("10", "show the first N rows of each program ({}); 0: all"),
	ROW_FORMAT(format_name),
	ROW_OUTPUT(ROW_OUTPUT_HELP),
	ROW_MODE("FILE"),
	ROW_WIDTH("the report"),
	ROW_PAGER,
	PROFILE_ROW_REDACT,
	ROW_QUIET("the report"),
	ROW_VERBOSE("all figures of each line; say which rights are given up"),
	OPTION_HELP_ROW,
	{.argument = "A", .type = OPTION_OPERAND, AT(a), .noun = "a recording", .help = "before"},
	{.argument = "B", .type = OPTION_OPERAND, AT(b), .noun = "a recording", .help = "after"},
	{},
};

static const struct option_lacking lacking[] = {LACKS_MEMORY, {}};

const struct command command_diff = {
	.name = "diff",
	.synopsis = "diff A B",
	.summary = "what grew more in one recording than in another",
	.usage = "A B [--compare HOW] [--fail-above MIB] [-n N] [--format NAME] [-o FILE]",
	.about = "Compares two recordings, or two parts of one. A and B are FILE, or\n"
		 "FILE@SINCE,UNTIL, where SINCE or UNTIL may be left out. A time is 90, 90s, 5m or "
		 "2h\nfrom the start of the recording, -5m from its end, 14:30[:05], or\n"
		 "2026-02-28[T14:30[:05]].\n",
	.rows = rows,
	.lacking = lacking,
	.exits = EXITS_PLAIN | 1u << EXIT_EXCEEDED,
	.options_size = sizeof(struct diff_options),
	.check = check,
	.run = run,
};
