/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A recorder between a table of counts and its report, in a folder of its own. To be included after
 * cmocka.h. */
#ifndef RECORD_FIXTURE_H
#define RECORD_FIXTURE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "counts_table.h"
#include "record/recorder.h"
#include "record/recording.h"
#include "render/render.h"
#include "report/report.h"

#define RUN_START 1700000000.25

struct run {
	struct counts_table table;
	struct recorder *recorder;
	struct report *live;
	struct model *model; /* the last report of the live side */
	struct recording *recording;
	char folder[64], path[96], why[512];
};

static inline void run_begin(struct run *run, const struct recorder_options *asked)
{
	struct recorder_options options = asked ? *asked : (struct recorder_options){};

	options.path = run->path;
	options.mode = options.mode ?: 0600;
	run->recorder = recorder_new(&options, run->why, sizeof(run->why));
	if (!run->recorder)
		fail_msg("%s", run->why);
	run->live = report_new(recorder_counts(run->recorder, table_counts(&run->table)), RUN_START,
			       64u << 20, false);
	assert_non_null(run->live);
	recorder_begin(run->recorder, RUN_START);
	run->table.facts.end = RUN_START;
}

static inline int run_setup(void **state)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return -1;
	strcpy(run->folder, "/tmp/pymem-record.XXXXXX");
	if (!mkdtemp(run->folder))
		return -1;
	snprintf(run->path, sizeof(run->path), "%s/run.pymem", run->folder);
	*state = run;
	return 0;
}

static inline int run_teardown(void **state)
{
	struct run *run = *state;
	char command[128];

	recording_close(run->recording);
	report_free(run->live);
	recorder_free(run->recorder);
	snprintf(command, sizeof(command), "rm -rf %s", run->folder);
	free(run);
	return system(command);
}

/* The recorder reads, `seconds` after the last time. */
static inline void run_tick(struct run *run, double seconds)
{
	run->table.facts.end += seconds;
	if (recorder_tick(run->recorder))
		fail_msg("%s", recorder_why(run->recorder));
}

/* The report finishes what has ended, as it does at some time between two ticks. */
static inline void run_take(struct run *run)
{
	assert_int_equal(report_finish_ended(run->live, false), 0);
}

/* The last report, and the end of the recording. */
static inline void run_end(struct run *run, double seconds)
{
	run->table.facts.end += seconds;
	recorder_ends(run->recorder);
	run->model = report_build(run->live, true);
	assert_non_null(run->model);
	if (recorder_finish(run->recorder, run->model))
		fail_msg("%s", recorder_why(run->recorder));
}

static inline struct recording *run_open(struct run *run)
{
	recording_close(run->recording);
	run->recording = recording_open(run->path, run->why, sizeof(run->why));
	if (!run->recording)
		fail_msg("%s", run->why);
	return run->recording;
}

/* The report of seconds `since` to `until` of the recording; 0: not limited. */
static inline struct model *run_window(struct run *run, double since, double until)
{
	const struct recording_view view = {.since = since ? RUN_START + since : 0,
					    .until = until ? RUN_START + until : 0};
	struct model *model = recording_model(run->recording, &view, run->why, sizeof(run->why));

	if (!model)
		fail_msg("%s", run->why);
	return model;
}

/* The model as JSON, and as a table with all there is. The caller frees it. */
static inline char *run_text(struct model *model)
{
	const struct render_options options = {.verbose = true};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(renderer_find("json")->emit(out, model, &options), 0);
	assert_int_equal(renderer_find("table")->emit(out, model, &options), 0);
	fclose(out);
	return text;
}

/* Fails with the first line in which they differ. */
static inline void run_compare(const char *live, const char *played)
{
	size_t at = 0, begin = 0;

	while (live[at] && live[at] == played[at])
		if (live[at++] == '\n')
			begin = at;
	if (live[at] != played[at])
		fail_msg("the live report has:\n%.700s\nthat of the recording:\n%.700s",
			 live + begin, played + begin);
}

/* The recording is reported as the run was. */
static inline void run_same(struct run *run)
{
	char *live = run_text(run->model), *played;

	run_open(run);
	played = run_text(run_window(run, 0, 0));
	run_compare(live, played);
	free(live);
	free(played);
}

static inline const struct model_process *run_process(const struct model *model, uint32_t id)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i]->id == id)
			return model->processes[i];
	return NULL;
}

/* Bytes that are too many on lines and losses together; 0: they are the change of RSS. */
static inline int64_t run_excess(const struct model_process *p)
{
	return p->charged_bytes + model_lost_bytes(p) - (p->rss_end_bytes - p->rss_start_bytes);
}

/* Number of files in the folder. */
static inline int run_files(const struct run *run)
{
	struct dirent **names;
	int count = scandir(run->folder, &names, NULL, NULL), i;

	for (i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return count - 2;
}

#endif
