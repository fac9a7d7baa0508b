/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Notes: what a report can't say in figures, because it was not seen, not kept, or could not be
 * measured. */
#include "report/report_parts.h"

#include <stdio.h>
#include <string.h>

#include "os/cgroup_book.h"

static void add_note(const char *text, void *arg)
{
	model_add_note(arg, text);
}

/* Processes that the exact engine saw only in part, or not at all. */
static void add_probe_notes(struct build *b, bool functions)
{
	const struct counts *counts = &b->report->counts;
	const struct tallies *t = &b->tallies;
	const char *what = functions ? "function" : "line";
	char text[256];

	if (t->probeless) {
		snprintf(text, sizeof(text),
			 "%u process%s no %s that can be used: profiled by the walk engine",
			 t->probeless, t->probeless == 1 ? " has" : "es have",
			 functions ? "function probes" : "line probe");
		model_add_note(b->model, text);
	}
	if (t->unprobed) {
		snprintf(text, sizeof(text),
			 "the %s probes of %u process%s could not be attached: profiled by the "
			 "walk engine",
			 what, t->unprobed, t->unprobed == 1 ? "" : "es");
		model_add_note(b->model, text);
	}
	if (t->short_lived) {
		snprintf(text, sizeof(text),
			 "%u process%s ended before the %s probes could be attached: profiled "
			 "by the walk engine",
			 t->short_lived, t->short_lived == 1 ? "" : "es", what);
		model_add_note(b->model, text);
	}
	if (t->unready) {
		snprintf(text, sizeof(text),
			 "the profile ended before the %s probes of %u process%s could be "
			 "attached: profiled by the walk engine",
			 what, t->unready, t->unready == 1 ? "" : "es");
		model_add_note(b->model, text);
	}
	if (t->late) {
		snprintf(text, sizeof(text),
			 "%u process%s for a moment before the %s probes were attached: %ss "
			 "that ran in it have no %s of then",
			 t->late, t->late == 1 ? " ran" : "es ran", what, what,
			 functions ? "calls" : "occurrences");
		model_add_note(b->model, text);
	}
	counts->ops->each_note(counts->self, COUNTS_NOTE_PROBES, add_note, b->model);
}

/* Probe events that no line, or function, could be charged with. */
static void add_line_notes(struct build *b, const struct counts_facts *facts)
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
		count = facts->line_misses[i];
		if (i == PYMEM_LINE_MISS_UNNAMED)
			count += t->unnamed_runs;
		if (!count)
			continue;
		snprintf(text, sizeof(text), "%llu %s event%s not counted: %s",
			 (unsigned long long)count, facts->functions ? "function" : "line",
			 count == 1 ? "" : "s", causes[i]);
		model_add_note(b->model, text);
	}
}

/* Programs that are in no row, since nobody knows what they were. Their names, if known, tell a
 * reader if one may have been a Python. */
static void add_unexamined(struct build *b, unsigned count, const char *which,
			   const char (*comms)[16])
{
	char text[256];
	int length, i;

	if (!count)
		return;
	length = snprintf(text, sizeof(text), "%u program%s %s ended before %s could be examined",
			  count, count == 1 ? "" : "s", which, count == 1 ? "it" : "they");
	for (i = 0; comms && i < COUNTS_COMMS_MAX && *comms[i]; i++)
		length += snprintf(text + length, sizeof(text) - length, "%s %s", i ? "," : ":",
				   comms[i]);
	if (i == COUNTS_COMMS_MAX)
		snprintf(text + length, sizeof(text) - length, ", perhaps others");
	model_add_note(b->model, text);
}

static void add_copy_notes(struct build *b, const struct counts_facts *facts)
{
	unsigned long long unwatched = b->tallies.unwatched;
	char text[256];

	if (facts->copies_error) {
		snprintf(text, sizeof(text),
			 "copies on write could not be watched (%s): they are not counted",
			 strerror(-facts->copies_error));
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

/* Who has ended and is in a sum. */
static void add_gathered_notes(struct model *model)
{
	uint64_t beyond = model->unfolded.processes, folded = model->gathered.processes - beyond;
	char text[256];

	if (folded) {
		snprintf(text, sizeof(text),
			 "%llu ended process%s of the smallest changes %s only in the sum of %s "
			 "program: raise --ended-processes or --ended-memory",
			 (unsigned long long)folded, folded == 1 ? "" : "es",
			 folded == 1 ? "is" : "are", folded == 1 ? "its" : "their");
		model_add_note(model, text);
	}
	if (beyond) {
		snprintf(text, sizeof(text),
			 "%llu ended process%s of the smallest changes %s only in a sum: raise "
			 "--ended-memory",
			 (unsigned long long)beyond, beyond == 1 ? "" : "es",
			 beyond == 1 ? "is" : "are");
		model_add_note(model, text);
	}
}

/* What was dropped to limit memory. */
static void add_limit_notes(struct build *b, const struct counts_facts *facts)
{
	uint64_t refused = facts->refused;
	uint64_t no_memory = facts->no_memory;
	char text[256];

	add_gathered_notes(b->model);
	if (refused) {
		snprintf(text, sizeof(text),
			 "%llu stacks or code objects were too many for one process (%zu MiB) or "
			 "all (%zu MiB): what they changed is unattributed (undelivered)",
			 (unsigned long long)refused, facts->image_bytes >> 20,
			 facts->all_bytes >> 20);
		model_add_note(b->model, text);
	}
	if (no_memory) {
		snprintf(text, sizeof(text),
			 "memory ran out for %llu message%s about stacks and code objects: what "
			 "they changed is unattributed (undelivered), or has no line",
			 (unsigned long long)no_memory, no_memory == 1 ? "" : "s");
		model_add_note(b->model, text);
	}
}

/* Stacks without their callers. */
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

/* Amounts charged to the first line of a function because the right one is unknown. */
static void add_gap_notes(struct build *b, const struct counts_facts *facts)
{
	static const char *const causes[] = {
#define GAP_TEXT(id, text) text,
		COUNTS_GAPS(GAP_TEXT)
#undef GAP_TEXT
	};
	uint64_t count;
	char text[256];
	int i;

	for (i = 0; i < COUNTS_GAP_COUNT; i++) {
		count = facts->gaps[i];
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

/* A process that reached its quota of a table that all processes share. */
static void add_quota_note(struct build *b, const struct quota_met *met)
{
	char text[256];

	snprintf(text, sizeof(text), "PID %d reached its quota of %s (it has %u): raise %s",
		 met->pid, table_texts[met->table], met->held, table_remedy(met->table));
	model_add_note(b->model, text);
}

/* Remembers users whose processes reached a quota together; the first ones are named. */
static void keep_user(struct report *report, const struct pymem_proc *record, int table)
{
	unsigned i;

	for (i = 0; i < report->user_count; i++)
		if (report->users[i].user == record->user && report->users[i].table == table)
			return;
	if (report->user_count < QUOTAS_TOLD)
		report->users[report->user_count++] = (struct user_met){record->user, table};
	else
		report->user_more = true;
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
	if (report->user_more)
		model_add_note(b->model, "further users reached a quota: only the first ones are "
					 "named");
}

/* Remembers that an image reached a quota, since its record is freed soon after its end. False:
 * there is no more room. */
static bool keep_quota(struct report *report, const struct quota_met *met)
{
	if (report->quota_count == QUOTAS_TOLD)
		return false;
	report->quotas[report->quota_count++] = *met;
	return true;
}

void report_note_quotas(struct build *b, const struct counts_image *image)
{
	const struct pymem_proc *record = image->record;
	bool kept = false, more = false;
	int i;

	for (i = 0; i < PYMEM_TABLE_COUNT; i++) {
		struct quota_met met = {image->id, record->places[i].held, image->pid, i};

		if (record->places[i].denied)
			keep_user(b->report, record, i);
		if (!record->places[i].refused)
			continue;
		if (!b->finishing)
			add_quota_note(b, &met);
		else if (keep_quota(b->report, &met))
			kept = true;
		else
			more = true;
	}
	if (more && !kept)
		b->report->quota_more++;
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

/* Events for which a table of the BPF side, or the ring buffer, had no room. */
static void add_dropped_notes(struct build *b, const struct counts_facts *facts)
{
	const struct counts *counts = &b->report->counts;
	const struct {
		uint64_t count;
		const char *text;
	} dropped[] = {
		{facts->dropped_images,
		 "process images were not tracked: table full; raise --max-processes"},
		{facts->dropped_messages,
		 "messages about processes did not arrive: raise --ring-size"},
	};
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
		if (!dropped[i].count)
			continue;
		snprintf(text, sizeof(text), "%llu %s", (unsigned long long)dropped[i].count,
			 dropped[i].text);
		model_add_note(b->model, text);
	}
	counts->ops->each_note(counts->self, COUNTS_NOTE_EVENTS, add_note, b->model);
}

/* What could not be seen of processes, and what was dropped of their messages. */
static void add_kernel_notes(struct build *b, const struct counts_facts *facts)
{
	const struct counts *counts = &b->report->counts;
	const struct counts_skip *skip;
	char text[256];

	b->model->faults_unknown = facts->no_faults;
	b->model->copies_unknown = facts->no_copies;
	b->model->stalls_known = facts->stalls;
	b->model->cache_known = facts->cache;
	b->model->extras = facts->extras;
	b->model->huge_page_bytes = facts->huge_page_bytes;
	b->model->kernel_known = facts->kernel;
	counts->ops->each_note(counts->self, COUNTS_NOTE_KERNEL, add_note, b->model);
	add_dropped_notes(b, facts);
	add_unexamined(b, facts->unexamined, "that traced processes started",
		       facts->unexamined_comms);
	add_unexamined(b, facts->unseen, "that others started", NULL);
	add_copy_notes(b, facts);
	if (facts->malformed) {
		snprintf(text, sizeof(text), "%llu malformed messages were dropped",
			 (unsigned long long)facts->malformed);
		model_add_note(b->model, text);
	}
	if (facts->more_skips) {
		snprintf(text, sizeof(text),
			 "and %llu more processes were skipped: only the first %u are named",
			 (unsigned long long)facts->more_skips, facts->skips_most);
		model_add_note(b->model, text);
	}
	for (skip = facts->skips; skip; skip = skip->next)
		model_add_skip(b->model, skip->pid, skip->comm, skip->reason);
}

static void add_thread_note(struct build *b)
{
	unsigned long long untold = b->tallies.threads_untold;
	unsigned crowds = b->tallies.crowds;
	char text[256];

	if (!crowds)
		return;
	snprintf(text, sizeof(text),
		 "%llu thread%s of %u process%s %s shown as \"other threads\": the first %d of a "
		 "process "
		 "are told apart",
		 untold, untold == 1 ? "" : "s", crowds, crowds == 1 ? "" : "es",
		 untold == 1 ? "is" : "are", PYMEM_THREADS_TOLD);
	model_add_note(b->model, text);
}

/* Groups for whose processes there is no balance. */
static void add_group_note(struct build *b)
{
	size_t beyond = 0;
	char text[256];

	for (size_t i = 0; i < b->model->process_count; i++)
		beyond += b->model->processes[i]->memory_group == CGROUP_BOOK_BEYOND;
	if (!beyond)
		return;
	if (beyond == 1)
		snprintf(text, sizeof(text),
			 "1 process is in a control group of which nothing was read: there was no "
			 "room for more");
	else
		snprintf(text, sizeof(text),
			 "%zu processes are in control groups of which nothing was read: there was "
			 "no room for more",
			 beyond);
	model_add_note(b->model, text);
}

int report_add_notes(struct build *b, const struct counts_facts *facts)
{
	add_kernel_notes(b, facts);
	add_quota_notes(b);
	add_user_notes(b);
	add_limit_notes(b, facts);
	add_probe_notes(b, facts->functions);
	add_gap_notes(b, facts);
	add_cut_notes(b);
	add_line_notes(b, facts);
	add_thread_note(b);
	add_group_note(b);
	return report_add_resident_notes(b);
}

/* These children were there before their parent was attached; the user decides about them. */
void report_note_unwatched(struct report *report)
{
	const struct counts *counts = &report->counts;
	const struct counts_unwatched *u;
	struct counts_facts facts = {};
	char text[512];
	size_t i;
	int n;

	counts->ops->facts(counts->self, &facts);
	for (u = facts.unwatched; u; u = u->next) {
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
