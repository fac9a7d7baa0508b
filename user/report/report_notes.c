/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a report can't say in figures: what was not seen, not kept, or could not be had. */
#include "report/report_parts.h"

#include <stdio.h>
#include <string.h>

#include "kernel/session.h"

static void add_note(const char *text, void *arg)
{
	model_add_note(arg, text);
}

/* Processes that the exact engine has seen in part, or not at all. */
static void add_probe_notes(struct build *b)
{
	const struct tallies *t = &b->tallies;
	char text[256];

	if (t->probeless) {
		snprintf(text, sizeof(text),
			 "%u process%s no line probe that can be used: profiled by the "
			 "walk engine",
			 t->probeless, t->probeless == 1 ? " has" : "es have");
		model_add_note(b->model, text);
	}
	if (t->unprobed) {
		snprintf(text, sizeof(text),
			 "the line probes of %u process%s could not be attached: profiled by the "
			 "walk engine",
			 t->unprobed, t->unprobed == 1 ? "" : "es");
		model_add_note(b->model, text);
	}
	if (t->short_lived) {
		snprintf(text, sizeof(text),
			 "%u process%s ended before the line probes could be attached: profiled "
			 "by the walk engine",
			 t->short_lived, t->short_lived == 1 ? "" : "es");
		model_add_note(b->model, text);
	}
	if (t->unready) {
		snprintf(text, sizeof(text),
			 "the profile ended before the line probes of %u process%s could be "
			 "attached: profiled by the walk engine",
			 t->unready, t->unready == 1 ? "" : "es");
		model_add_note(b->model, text);
	}
	if (t->late) {
		snprintf(text, sizeof(text),
			 "%u process%s for a moment before the line probes were attached: lines "
			 "that ran in it have no occurrences of then",
			 t->late, t->late == 1 ? " ran" : "es ran");
		model_add_note(b->model, text);
	}
	if (b->tracker->probes)
		probes_each_refusal(b->tracker->probes, add_note, b->model);
}

/* Events of the probes that are in no line's figures. */
static void add_line_notes(struct build *b)
{
	static const char *const causes[] = {
#define MISS_TEXT(id, text) text,
		PYMEM_LINE_MISSES(MISS_TEXT)
#undef MISS_TEXT
	};
	const struct tallies *t = &b->tallies;
	char text[256];
	uint64_t count;
	int i;

	for (i = 0; i < PYMEM_LINE_MISS_COUNT; i++) {
		count = session_line_misses(b->tracker->session, i);
		if (i == PYMEM_LINE_MISS_UNNAMED)
			count += t->unnamed_runs;
		if (!count)
			continue;
		snprintf(text, sizeof(text), "%llu line event%s not counted: %s",
			 (unsigned long long)count, count == 1 ? "" : "s", causes[i]);
		model_add_note(b->model, text);
	}
}

/* Whatever they were, they are in no row. Their names, as far as they are known, say whether one
 * may have been a Python. */
static void add_unexamined(struct build *b, unsigned count, const char *which,
			   const char (*comms)[16])
{
	char text[256];
	int length, i;

	if (!count)
		return;
	length = snprintf(text, sizeof(text), "%u program%s %s ended before %s could be examined",
			  count, count == 1 ? "" : "s", which, count == 1 ? "it" : "they");
	for (i = 0; comms && i < TRACKER_COMMS_MAX && *comms[i]; i++)
		length += snprintf(text + length, sizeof(text) - length, "%s %s", i ? "," : ":",
				   comms[i]);
	if (i == TRACKER_COMMS_MAX)
		snprintf(text + length, sizeof(text) - length, ", perhaps others");
	model_add_note(b->model, text);
}

static void add_copy_notes(struct build *b)
{
	unsigned long long unwatched = b->tallies.unwatched;
	char text[256];

	if (b->tracker->copies_error) {
		snprintf(text, sizeof(text),
			 "copies on write could not be watched (%s): they are not counted",
			 strerror(-b->tracker->copies_error));
		model_add_note(b->model, text);
	}
	if (unwatched) {
		snprintf(text, sizeof(text),
			 "%llu write fault%s on shared pages came before copies were watched: not "
			 "counted as copied",
			 unwatched, unwatched == 1 ? "" : "s");
		model_add_note(b->model, text);
	}
}

/* What was kept only in part, so that memory has bounds. */
static void add_limit_notes(struct build *b)
{
	uint64_t refused = b->tracker->store.refused, summed = b->model->rest.processes;
	uint64_t no_memory = b->tracker->store.no_memory;
	char text[256];

	if (summed) {
		snprintf(text, sizeof(text),
			 "%llu ended process%s of the smallest changes %s only in a sum: raise "
			 "--ended-memory",
			 (unsigned long long)summed, summed == 1 ? "" : "es",
			 summed == 1 ? "is" : "are");
		model_add_note(b->model, text);
	}
	if (refused) {
		snprintf(text, sizeof(text),
			 "%llu stacks or code objects were too many for one process (%u MiB) or "
			 "all (%u MiB): what they changed is lost as undelivered",
			 (unsigned long long)refused, STORE_IMAGE_BYTES >> 20,
			 STORE_ALL_BYTES >> 20);
		model_add_note(b->model, text);
	}
	if (no_memory) {
		snprintf(text, sizeof(text),
			 "memory ran out for %llu message%s about stacks and code objects: what "
			 "they changed is lost as undelivered, or has no line",
			 (unsigned long long)no_memory, no_memory == 1 ? "" : "s");
		model_add_note(b->model, text);
	}
}

/* Callers that are not here. */
static void add_cut_notes(struct build *b)
{
	static const char *const causes[] = {
#define LACK_TEXT(id, text) text,
		PYMEM_LACKS(LACK_TEXT)
#undef LACK_TEXT
	};
	char text[256];
	int i;

	for (i = 0; i < PYMEM_LACK_COUNT; i++) {
		if (!b->tallies.cut[i])
			continue;
		snprintf(text, sizeof(text),
			 "callers are missing from some stacks: their code objects %s", causes[i]);
		model_add_note(b->model, text);
	}
}

/* Amounts that are on the first line of their function for want of a better one. */
static void add_gap_notes(struct build *b)
{
	static const char *const causes[] = {
#define GAP_TEXT(id, text) text,
		STORE_GAPS(GAP_TEXT)
#undef GAP_TEXT
	};
	uint64_t count;
	char text[256];
	int i;

	for (i = 0; i < STORE_GAP_COUNT; i++) {
		count = b->tracker->store.gaps[i];
		if (!count)
			continue;
		snprintf(text, sizeof(text),
			 "some lines of %llu code object%s could not be told (%s): what they "
			 "changed is on the first line of the function",
			 (unsigned long long)count, count == 1 ? "" : "s", causes[i]);
		model_add_note(b->model, text);
	}
}

static const char *const table_texts[] = {
#define TABLE_TEXT(id, text) text,
	PYMEM_TABLES(TABLE_TEXT)
#undef TABLE_TEXT
};

static const char *table_remedy(int table)
{
	return table == PYMEM_TABLE_THREADS ? "--max-processes" : "--max-stacks";
}

/* An image was to have no more of a table that all share. */
static void add_quota_note(struct build *b, const struct quota_met *met)
{
	char text[256];

	snprintf(text, sizeof(text), "PID %d reached its quota of %s (it has %u): raise %s",
		 met->pid, table_texts[met->table], met->held, table_remedy(met->table));
	model_add_note(b->model, text);
}

/* The first ones are told by name. */
static void keep_user(struct report *report, const struct pymem_proc *record, int table)
{
	unsigned i;

	for (i = 0; i < report->user_count; i++)
		if (report->users[i].user == record->user && report->users[i].table == table)
			return;
	if (report->user_count < QUOTAS_TOLD)
		report->users[report->user_count++] = (struct user_met){record->user, table};
}

static void add_user_notes(struct build *b)
{
	const struct report *report = b->report;
	const struct user_met *met;
	char text[256];

	for (met = report->users; met < report->users + report->user_count; met++) {
		snprintf(text, sizeof(text),
			 "the processes of user %u together reached the quota of %s: raise %s",
			 met->user, table_texts[met->table], table_remedy(met->table));
		model_add_note(b->model, text);
	}
}

/* What is known of an image that has ended is soon freed: that it met a quota is kept. */
static void keep_quota(struct report *report, struct image *image, const struct quota_met *met)
{
	unsigned i;

	for (i = 0; i < report->quota_count; i++)
		if (report->quotas[i].id == met->id && report->quotas[i].table == met->table)
			return;
	if (report->quota_count < QUOTAS_TOLD)
		report->quotas[report->quota_count++] = *met;
	else if (!image->quota_told)
		report->quota_more++;
	image->quota_told = true;
}

void report_note_quotas(struct build *b, struct image *image, const struct pymem_proc *record)
{
	int i;

	for (i = 0; i < PYMEM_TABLE_COUNT; i++) {
		struct quota_met met = {record->id, record->places[i].held, image->pid, i};

		if (record->places[i].denied)
			keep_user(b->report, record, i);
		if (!record->places[i].refused)
			continue;
		if (image->dead)
			keep_quota(b->report, image, &met);
		else
			add_quota_note(b, &met);
	}
}

static void add_quota_notes(struct build *b)
{
	const struct report *report = b->report;
	unsigned i, more;
	char text[256];

	for (i = 0; i < report->quota_count; i++)
		add_quota_note(b, &report->quotas[i]);
	more = report->quota_more;
	if (!more)
		return;
	snprintf(text, sizeof(text), "%u more process%s reached a quota: raise --max-stacks", more,
		 more == 1 ? "" : "es");
	model_add_note(b->model, text);
}

static void add_dropped(uint64_t count, const char *lost, void *model)
{
	char text[256];

	if (!count)
		return;
	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)count, lost);
	model_add_note(model, text);
}

/* What found a table of the kernel side full. */
static void add_dropped_notes(struct build *b)
{
	const struct session *session = b->tracker->session;

	add_dropped(session_dropped_images(session),
		    "process images were not tracked: table full; raise --max-processes", b->model);
	add_dropped(session_dropped_messages(session),
		    "messages about processes were lost: raise --ring-size", b->model);
	session_each_dropped(session, add_dropped, b->model);
}

static void add_kernel_notes(struct build *b)
{
	struct tracker *t = b->tracker;
	struct skip *skip;
	char text[256];

	session_each_note(t->session, add_note, b->model);
	add_dropped_notes(b);
	add_unexamined(b, t->unexamined, "that traced processes started", t->unexamined_comms);
	add_unexamined(b, t->unseen, "that others started", NULL);
	add_copy_notes(b);
	if (t->store.malformed) {
		snprintf(text, sizeof(text), "%llu malformed messages were dropped",
			 (unsigned long long)t->store.malformed);
		model_add_note(b->model, text);
	}
	if (t->more_skips) {
		snprintf(text, sizeof(text),
			 "and %llu more processes were skipped: only the first %u are named",
			 (unsigned long long)t->more_skips, TRACKER_SKIPS_MAX);
		model_add_note(b->model, text);
	}
	for (skip = t->skips; skip; skip = skip->next)
		model_add_skip(b->model, skip->pid, skip->comm, skip->reason);
}

void report_add_notes(struct build *b)
{
	add_kernel_notes(b);
	add_quota_notes(b);
	add_user_notes(b);
	add_limit_notes(b);
	add_probe_notes(b);
	add_gap_notes(b);
	add_cut_notes(b);
	add_line_notes(b);
}

/* Children that were there before their parent was attached are for the user to choose. */
void report_note_unwatched(struct report *report)
{
	const struct unwatched *u;
	char text[512];
	size_t i;
	int n;

	for (u = report->tracker->unwatched; u; u = u->next) {
		if (u->late) {
			snprintf(text, sizeof(text),
				 "not all children of process %d were looked at, which took too "
				 "long: whether Pythons among them are not watched is not known",
				 u->parent);
			model_add_note(report->model, text);
		}
		if (!u->count)
			continue;
		n = snprintf(text, sizeof(text),
			     "process %d has %s%zu Python child%s that %s not watched: -p ",
			     u->parent, u->more ? "at least " : "", u->count,
			     u->count == 1 ? "" : "ren", u->count == 1 ? "is" : "are");
		for (i = 0; i < u->named; i++)
			n += snprintf(text + n, sizeof(text) - n, "%s%d", i ? "," : "", u->pids[i]);
		if (u->count > u->named)
			snprintf(text + n, sizeof(text) - n, " and %zu more", u->count - u->named);
		model_add_note(report->model, text);
	}
}
