/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Joins counters (kernel side), stacks and code objects (store) and processes (tracker).
 *
 * Invariant, per process: charged + lost == change of RSS. Charged is what the stacks
 * got, whose frames are here; amounts of a stack whose frames never arrived are lost as
 * "undelivered". In a live report the three are read at slightly different times: the
 * difference is shown as "unsettled". In a final one it must be nought.
 *
 * On a host that is watched for long, processes come and go. Soon after the end of one its
 * stacks become lines, which stay, and all else of it is freed, here and in the kernel:
 * report_fold().
 */
#include "report/report_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/proc.h"
#include "kernel/session.h"

struct entry *report_entry(struct build *b, uint32_t id)
{
	struct entry *entry;

	HASH_FIND(hh, b->entries, &id, sizeof(id), entry);
	return entry;
}

int64_t report_rss_pages(const int64_t *pages)
{
	return pages[PYMEM_FILE] + pages[PYMEM_ANON] + pages[PYMEM_SHMEM];
}

int report_add_image(struct build *b, struct image *image, const struct pymem_proc *record)
{
	static char *const no_argv[] = {NULL};
	struct model_process *p;
	struct entry *entry;
	int i;

	/* It may have ended while those alive were read. */
	if (report_entry(b, image->id))
		return 0;
	/* Another program that a tracked process ran. */
	if (image->hidden || (!image->identified && (!image->asked || image->examined)))
		return 0;
	p = model_add_process(b->model, image->pid, image->ppid, image->comm,
			      image->argv ? image->argv : no_argv, image->cgroup, image->python,
			      image->lines ? "lines" : "walk");
	entry = calloc(1, sizeof(*entry));
	if (!p || !entry) {
		free(entry);
		return -ENOMEM;
	}
	p->rss_start_bytes = report_rss_pages((const int64_t *)record->start_pages) * b->page;
	p->rss_end_bytes = report_rss_pages((const int64_t *)record->now_pages) * b->page;
	p->rss_peak_bytes = record->peak_pages * b->page;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		p->lost_bytes[i] = record->lost_pages[i] * (int64_t)b->page;
	/* It was not allowed to run Python before it was identified. */
	if (image->held) {
		p->lost_bytes[PYMEM_LOSS_NO_FRAME] += p->lost_bytes[PYMEM_LOSS_UNIDENTIFIED];
		p->lost_bytes[PYMEM_LOSS_UNIDENTIFIED] = 0;
	}
	p->exited = image->dead;
	if (image->lines_error == -ENOTSUP)
		b->tallies.probeless++;
	/* What it ran had the file, and that ended: an exec. */
	else if (image->lines_error == -ESRCH || (image->lines_error == -ESTALE && image->dead))
		b->tallies.short_lived++;
	else if (image->lines_error == -ECANCELED)
		b->tallies.unready++;
	else if (image->lines_error && image->lines_error != -EINPROGRESS)
		b->tallies.unprobed++;
	else if (image->lines && image->lines_late)
		b->tallies.late++;
	b->tallies.unwatched += record->unwatched_writes;
	report_note_quotas(b, image, record);
	p->truncated_stacks = record->truncated;
	p->lost_faults = record->lost_faults;
	if (*image->reason)
		p->note = strdup(image->reason);
	source_root_copy(&p->root, &image->root);
	p->id = entry->id = image->id;
	entry->start_ticks =
		record->start_boottime_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
	entry->image = image;
	entry->process = p;
	if (HASH_INSERT(b->entries, id, entry)) {
		free(entry);
		return -ENOMEM;
	}
	return 0;
}

static int add_live(const struct pymem_proc *record, void *arg)
{
	struct build *b = arg;
	struct image *image = tracker_image(b->tracker, record->id);

	/* One not known is to be told of by the next message; none is missing at the end. */
	return image && !image->dead ? report_add_image(b, image, record) : 0;
}

/* Images that are alive, or ended just now. */
static int add_images(struct build *b)
{
	struct image *image, *next;
	int err = session_each_live(b->tracker->session, add_live, b);

	if (err || !b->tracker->unfolded)
		return err;
	HASH_ITER(hh, b->tracker->images, image, next)
	{
		if (image->dead && image->record.id && !image->folded)
			err = report_add_image(b, image, &image->record);
		if (err)
			return err;
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

/* What a live snapshot could not read at one instant; and what threads of a process that has ended
 * have still to add, since they have not been given a CPU. */
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
	}
}

/* A process may end once its end is not seen any more, and before its threads are read: what they
 * had collected is gone with them. */
static void balance_gone(struct build *b)
{
	struct entry *entry, *next;

	HASH_ITER(hh, b->entries, entry, next)
	{
		if (!entry->image->dead &&
		    proc_start_ticks(entry->image->pid) != entry->start_ticks)
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

void report_entries_free(struct entry **entries)
{
	struct entry *entry, *next;

	HASH_ITER(hh, *entries, entry, next)
	{
		HASH_DEL(*entries, entry);
		free(entry);
	}
}

struct report *report_new(struct tracker *tracker, double start, size_t ended_bytes,
			  bool fold_imports)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return NULL;
	report->tracker = tracker;
	report->ended_bytes = ended_bytes;
	report->model = model_new(sysconf(_SC_PAGESIZE));
	if (report->model && !describe(report->model, start)) {
		report->model->imports_folded = fold_imports;
		return report;
	}
	report_free(report);
	return NULL;
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
		.tracker = report->tracker,
		.model = report->model,
		.page = report->model->page_size,
	};
}

static int build(struct build *b, bool final)
{
	struct session *session = b->tracker->session;
	int err = report_fold(b->report, final);

	b->tallies = b->report->folded;
	if (!err)
		err = add_images(b);
	if (!err)
		err = session_each_stack(session, report_add_stack, b);
	if (!err)
		err = session_each_thread(session, report_add_thread, b);
	if (!err)
		err = session_each_line(session, report_add_line, b);
	if (!err)
		err = model_finish(b->model);
	b->model->end = clock_seconds(CLOCK_REALTIME);
	return err;
}

struct model *report_build(struct report *report, bool final)
{
	struct build b = report_build_of(report);
	int err;

	b.final = final;
	model_clear(report->model);
	err = build(&b, final);
	if (!err) {
		if (final)
			balance_gone(&b);
		else
			balance(&b);
		report_add_notes(&b);
	}
	report_entries_free(&b.entries);
	errno = -err;
	return err ? NULL : report->model;
}
