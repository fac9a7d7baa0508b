/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Joins processes, their counters and their stacks, as a source of counts delivers them.
 *
 * Invariant, for each process: charged + lost = change of RSS. Charged are amounts of stacks whose
 * frames are known. Amounts of a stack whose frames never arrived are lost as "undelivered". In a
 * live report the figures are read one after the other; the difference is lost as "unsettled". In a
 * final report that must be 0.
 *
 * A host that is watched for long has many processes that come and go. Soon after the end of a
 * process its stacks become lines, which are kept; all else of it is freed, here and by the source:
 * report_finish_ended(). */
#include "report/report_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct entry *report_entry(struct build *b, uint32_t id)
{
	struct entry *entry;

	HASH_FIND(hh, b->entries, &id, sizeof(id), entry);
	return entry;
}

/* Counts what the exact engine could not do for the image. */
static void tally(struct tallies *tallies, const struct counts_image *image)
{
	if (image->lines_error == -ENOTSUP)
		tallies->probeless++;
	/* It ended before its probes were attached, in some cases after an exec of another file. */
	else if (image->lines_error == -ESRCH || (image->lines_error == -ESTALE && image->ended))
		tallies->short_lived++;
	else if (image->lines_error == -ECANCELED)
		tallies->unready++;
	else if (image->lines_error && image->lines_error != -EINPROGRESS)
		tallies->unprobed++;
	else if (image->lines && image->lines_late)
		tallies->late++;
	tallies->unwatched += image->record->unwatched_writes;
	if (image->record->threads > PYMEM_THREADS_TOLD) {
		tallies->threads_untold += image->record->threads - PYMEM_THREADS_TOLD;
		tallies->crowds++;
	}
}

/* Copies the figures of the image's record to the process. */
static void take_record(struct build *b, struct model_process *p, const struct counts_image *image)
{
	const struct pymem_proc *record = image->record;
	int i;

	p->rss_start_bytes = counts_rss_pages(record->start_pages) * b->page;
	p->rss_end_bytes = counts_rss_pages(record->now_pages) * b->page;
	p->rss_peak_bytes = record->peak_pages * b->page;
	p->swap_end_bytes = record->now_pages[PYMEM_SWAP] * (int64_t)b->page;
	p->anon_start_bytes = record->start_pages[PYMEM_ANON] * (int64_t)b->page;
	p->anon_end_bytes = record->now_pages[PYMEM_ANON] * (int64_t)b->page;
	p->shmem_start_bytes = record->start_pages[PYMEM_SHMEM] * (int64_t)b->page;
	p->shmem_end_bytes = record->now_pages[PYMEM_SHMEM] * (int64_t)b->page;
	p->tables_start_bytes = record->tables_start;
	p->rss_peak_at_least = image->peak_at_least;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		p->lost_bytes[i] = record->lost_pages[i] * (int64_t)b->page;
	/* A held command could not run Python before it was identified. */
	if (image->held) {
		p->lost_bytes[PYMEM_LOSS_NO_FRAME] += p->lost_bytes[PYMEM_LOSS_UNIDENTIFIED];
		p->lost_bytes[PYMEM_LOSS_UNIDENTIFIED] = 0;
	}
	p->truncated_stacks = record->truncated;
	p->lost_faults = record->lost_faults;
	p->lost_stalls = record->lost_stalls;
	p->lost_stall_ns = record->lost_stall_ns;
	model_add_extras(b->model, p->lost_extras, record->lost_extras);
	for (i = 0; i < PYMEM_TAKERS; i++) {
		const struct pymem_taker *taker = &record->takers[i];
		char comm[sizeof(taker->comm) + 1] = "";

		memcpy(comm, taker->comm, sizeof(taker->comm));
		model_add_taker(p, (int)taker->pid, comm, taker->pages * b->page);
	}
	model_lose_cached(p, PYMEM_LOSS_MAP_FULL, record->cached_unkept * b->page);
}

static int locate_thread(struct build *b, const struct counts_death_thread *thread,
			 const struct model_location **frames)
{
	for (unsigned i = 0; i < thread->facts.depth; i++) {
		frames[i] = report_locate(b, &thread->frames[i]);
		if (!frames[i])
			return -ENOMEM;
	}
	return 0;
}

/* Adds how a signal ended the process. 0 or -ENOMEM. */
static int take_death(struct build *b, struct model_process *p, const struct counts_death *death)
{
	const struct model_location *frames[DEATH_FRAMES];
	int err = model_set_death(p, &death->facts, death->count);

	for (size_t i = 0; i < death->count && !err; i++) {
		err = locate_thread(b, &death->threads[i], frames);
		err = err ?: model_add_last(p, &death->threads[i].facts, frames);
	}
	if (err || !death->sender)
		return err;
	err = locate_thread(b, death->sender, frames);
	return err ?: model_set_sender(p, &death->sender->facts, frames);
}

int report_add_image(const struct counts_image *image, void *arg)
{
	static char *const no_argv[] = {NULL};
	struct build *b = arg;
	struct model_process *p;
	struct entry *entry;

	if (report_entry(b, image->id))
		return 0;
	p = model_add_process(b->model, image->pid, image->ppid, image->comm,
			      image->argv ? image->argv : no_argv, image->cgroup, image->python,
			      image->functions ? "functions"
			      : image->lines   ? "lines"
					       : "walk");
	entry = calloc(1, sizeof(*entry));
	if (!p || !entry) {
		free(entry);
		return -ENOMEM;
	}
	p->ns_pid = image->ns_pid;
	p->functions_counted = image->functions;
	take_record(b, p, image);
	p->exited = image->ended;
	p->memory_group = image->memory_group;
	p->memory_moved = image->memory_moved;
	p->began = image->began;
	tally(&b->tallies, image);
	report_note_quotas(b, image);
	if (*image->reason) {
		p->note = strdup(image->reason);
		if (!p->note) {
			free(entry);
			return -ENOMEM;
		}
	}
	if (image->death && take_death(b, p, image->death)) {
		free(entry);
		return -ENOMEM;
	}
	source_root_copy(&p->root, image->root);
	p->id = entry->id = image->id;
	entry->pid = image->pid;
	entry->start_boottime_ns = image->record->start_boottime_ns;
	entry->ended = image->ended;
	entry->lines = image->lines;
	entry->functions = image->functions;
	entry->process = p;
	if (HASH_INSERT(b->entries, id, entry)) {
		free(entry);
		return -ENOMEM;
	}
	return 0;
}

static void balance_process(struct entry *entry)
{
	struct model_process *p = entry->process;

	entry->unsettled_bytes =
		p->rss_end_bytes - p->rss_start_bytes - p->charged_bytes - model_lost_bytes(p);
	p->lost_bytes[PYMEM_LOSS_UNSETTLED] += entry->unsettled_bytes;
}

/* Makes charged + lost equal to the change. A live snapshot does not read everything at the same
 * instant. And threads of a process that has ended may not have been scheduled yet to add what they
 * collected. */
static void balance(struct build *b)
{
	struct entry *entry, *next;

	HASH_ITER(hh, b->entries, entry, next)
	{
		balance_process(entry);
	}
	HASH_ITER(hh, b->report->ended, entry, next)
	{
		if (entry->process)
			balance_process(entry);
		b->report->balanced = true;
	}
}

/* After detaching, the end of a process is not seen. If it ends before its threads are read, what
 * they had collected is gone with them. */
static void balance_gone(struct build *b)
{
	const struct counts *counts = &b->report->counts;
	struct entry *entry, *next;

	HASH_ITER(hh, b->entries, entry, next)
	{
		if (!entry->ended &&
		    !counts->ops->is_running(counts->self, entry->pid, entry->start_boottime_ns))
			balance_process(entry);
	}
}

static int describe(struct model *model, double start)
{
	struct utsname name;

	uname(&name);
	model->host = strdup(name.nodename);
	model->kernel = strdup(name.release);
	model->version = strdup(PYMEM_VERSION);
	model->start = start;
	return model->host && model->kernel && model->version ? 0 : -ENOMEM;
}

int report_set_origin(struct report *report, const struct report_origin *origin)
{
	struct model *model = report->model;

	free(model->host);
	free(model->kernel);
	free(model->version);
	model->host = strdup(origin->host);
	model->kernel = strdup(origin->kernel);
	model->version = strdup(origin->version);
	model->page_size = origin->page_size;
	return model->host && model->kernel && model->version ? 0 : -ENOMEM;
}

void report_entries_free(struct entry **entries)
{
	struct entry *entry, *next;

	HASH_ITER(hh, *entries, entry, next)
	{
		HASH_DEL(*entries, entry);
		free(entry);
	}
}

struct report *report_new(struct counts counts, double start, size_t ended_bytes,
			  bool gather_imports)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return NULL;
	report->counts = counts;
	report->limits.bytes = ended_bytes;
	report_keep_ended(report, REPORT_ENDED_PROCESSES);
	report->model = model_new(sysconf(_SC_PAGESIZE));
	if (report->model && !describe(report->model, start)) {
		report->model->imports_gathered = gather_imports;
		return report;
	}
	report_free(report);
	return NULL;
}

void report_keep_ended(struct report *report, size_t processes)
{
	report->limits.processes = processes;
	report->limits.all = REPORT_ENDED_ALL * processes;
}

void report_keep_trees(struct report *report)
{
	report->model->trees_kept = true;
}

void report_tell_threads(struct report *report)
{
	report->model->threads_told = true;
}

void report_on_gone(struct report *report, report_gone_fn *gone, void *arg)
{
	report->gone = gone;
	report->gone_arg = arg;
}

void report_facts(struct report *report, struct counts_facts *facts)
{
	*facts = (struct counts_facts){};
	report->counts.ops->facts(report->counts.self, facts);
}

void report_tell_killed(struct report *report, report_killed_fn *fn, void *arg)
{
	report->killed = fn;
	report->killed_arg = arg;
}

void report_free(struct report *report)
{
	if (!report)
		return;
	report_entries_free(&report->ended);
	model_free(report->model);
	free(report);
}

struct build report_build_of(struct report *report)
{
	return (struct build){
		.report = report,
		.model = report->model,
		.page = report->model->page_size,
	};
}

static int build(struct build *b)
{
	static const struct counts_reader reader = {
		.image = report_add_image,
		.stack = report_add_stack,
		.thread = report_add_thread,
		.line = report_add_line,
		.cached = report_add_cached,
		.kernel = report_add_kernel,
	};
	const struct counts *counts = &b->report->counts;
	struct counts_facts facts = {};
	int err = report_finish_ended(b->report, b->final);

	b->tallies = b->report->finished;
	if (!err)
		err = b->brief.ops ? report_read_brief(b)
				   : counts->ops->read(counts->self, &reader, b);
	if (!err && !b->brief.ops)
		err = report_add_resident(b);
	if (!err)
		err = model_compute(b->model);
	if (err)
		return err;
	if (b->final)
		balance_gone(b);
	else
		balance(b);
	counts->ops->facts(counts->self, &facts);
	b->model->end = facts.end;
	err = report_add_memory_groups(b->model, facts.groups);
	return err ?: report_add_notes(b, &facts);
}

static struct model *build_anew(struct build *b)
{
	int err;

	model_clear(b->model);
	err = build(b);
	report_entries_free(&b->entries);
	errno = -err;
	return err ? NULL : b->model;
}

struct model *report_build(struct report *report, bool final)
{
	struct build b = report_build_of(report);

	b.final = final;
	return build_anew(&b);
}

struct model *report_build_brief(struct report *report, struct counts source)
{
	struct build b = report_build_of(report);

	b.brief = source;
	return build_anew(&b);
}
