/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/profile_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"

#define INTERVAL_NS 1000000000ULL

int profile_record_fork(struct profile_record *record, const struct profile_options *o)
{
	const char *does = "looks at heaps";
	int err = o->heap_every ? profile_looks_fork(&record->looks, o->heap_every) : 0;

	if (!err && o->pss) {
		does = "reads PSS";
		err = profile_pss_fork(&record->pss);
	}
	if (!err)
		return 0;
	fprintf(stderr, "pymem-bpf record: the helper process that %s can't be started: %s\n", does,
		strerror(-err));
	return EXIT_FAILED;
}

struct counts profile_record_between(void *arg, struct counts counts)
{
	struct profile_record *record = arg;

	return recorder_counts(record->recorder, counts);
}

static void complain(const struct profile_record *record, const char *why)
{
	fprintf(stderr, "pymem-bpf%s%s: ", record->command->name ? " " : "",
		record->command->name ?: "");
	text_print(stderr, record->path, 0, false);
	fprintf(stderr, ": %s\n", why);
}

int profile_record_open(struct profile_record *record, const struct command *command,
			const struct profile_options *o, struct profiler *profiler)
{
	const struct recorder_options options = {
		.path = o->record,
		.mode = o->mode,
		.most_bytes = o->record_bytes,
		.ended_bytes = o->ended_bytes,
		.ended_processes = o->ended_processes,
		.lines = o->lines,
		.touched = o->touched,
		.threads = o->threads,
		.host = o->all,
		.sources = o->no_sources ? NULL : profiler_sources(profiler),
	};
	char why[320];

	record->command = command;
	record->path = o->record;
	record->recorder = recorder_new(&options, why, sizeof(why));
	if (record->recorder)
		return 0;
	complain(record, why);
	return EXIT_FAILED;
}

unsigned profile_record_needs(const struct profile_record *record)
{
	return record->recorder ? recorder_needs() : 0;
}

void profile_record_begin(struct profile_record *record, struct profiler *profiler)
{
	if (!record->recorder)
		return;
	record->profiler = profiler;
	record->start = profiler_start(profiler);
	recorder_begin(record->recorder, record->start);
}

static void on_tick(void *arg)
{
	struct profile_record *record = arg;
	int err;

	/* Messages come before figures. An error is the profile's, which meets it, too. */
	if (profiler_poll(record->profiler))
		return;
	err = recorder_tick(record->recorder);
	if (!err)
		return;
	record->error = err;
	loop_timer_stop(&record->tick);
	record->failed(record->arg, err);
}

int profile_record_watch(struct profile_record *record, struct loop *loop,
			 profile_record_fn *failed, void *arg)
{
	if (!record->recorder)
		return 0;
	record->watched = true;
	record->loop = loop;
	record->failed = failed;
	record->arg = arg;
	loop_timer_start(loop, &record->tick, INTERVAL_NS, INTERVAL_NS, on_tick, record);
	return profile_looks_watch(&record->looks, loop, record->recorder)
		       ?: profile_pss_watch(&record->pss, loop, record->recorder);
}

void profile_record_ends(struct profile_record *record)
{
	if (!record->recorder)
		return;
	loop_timer_stop(&record->tick);
	profile_looks_end(&record->looks);
	profile_pss_end(&record->pss);
	recorder_ends(record->recorder);
}

void profile_record_finish(struct profile_record *record, const struct model *model)
{
	int err;

	if (!record->recorder)
		return;
	err = recorder_finish(record->recorder, model);
	record->finished = model != NULL;
	record->error = record->error ?: err;
}

int profile_record_say(struct profile_record *record, bool quiet)
{
	struct recorder_sizes sizes;

	if (!record->recorder)
		return 0;
	if (record->error) {
		complain(record, recorder_why(record->recorder));
		fputs("What was recorded until then can be read.\n", stderr);
		return EXIT_FAILED;
	}
	if (record->looks.gave_up)
		complain(record,
			 "the helper that looks at heaps is gone: there are no later looks");
	if (record->pss.gave_up)
		complain(record, "the helper that reads PSS is gone: it was not read from then on");
	if (quiet)
		return 0;
	sizes = recorder_sizes(record->recorder);
	fprintf(stderr, "recorded: %llu process%s", (unsigned long long)sizes.images,
		sizes.images == 1 ? "" : "es");
	if (record->looks.every)
		fprintf(stderr, ", %u look%s at heaps (%u more failed)", record->looks.made,
			record->looks.made == 1 ? "" : "s", record->looks.failed);
	if (record->pss.wanted)
		fprintf(stderr, ", PSS read %u time%s (%u more failed)", record->pss.made,
			record->pss.made == 1 ? "" : "s", record->pss.failed);
	if (record->pss.too_large)
		fprintf(stderr, ", not of %u process%s with an RSS of more than 16 GiB",
			record->pss.too_large, record->pss.too_large == 1 ? "" : "es");
	fprintf(stderr, " in %.1f MiB; pymem-bpf report ", (double)sizes.bytes / (1 << 20));
	text_print(stderr, record->path, 0, false);
	fputs(record->looks.made ? " [--heap]\n" : "\n", stderr);
	return 0;
}

void profile_record_close(struct profile_record *record)
{
	int err = 0;

	profile_looks_end(&record->looks);
	profile_pss_end(&record->pss);
	if (!record->recorder)
		return;
	if (record->watched)
		recorder_free(record->recorder);
	else
		err = recorder_discard(record->recorder);
	record->recorder = NULL;
	if (err)
		complain(record, "it has nothing in it, and can't be removed");
}
