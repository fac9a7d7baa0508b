/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the source of the counts once a second, or as often as its face wants, and writes an
 * interval.
 *
 * Figures are cumulative. What was recorded before is subtracted when an interval is written, so
 * the sum over all intervals is what was read last, whatever came in between. */
#include "record/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/confine.h"
#include "os/output.h"
#include "record/recorder_private.h"

#define GATHER_SECONDS 10
#define GATHER_MS      100 /* for which nothing else is done */
#define TURNS_MOST     60

/* --- readings of our own --- */

static int read_image(const struct counts_image *image, void *arg)
{
	recorder_note_image(arg, image);
	return 0;
}

static int read_stack(const struct counts_stack *stack, void *arg)
{
	return recorder_note_stack(arg, stack, false);
}

static int read_thread(const struct counts_stack *stack, void *arg)
{
	recorder_note_stack(arg, stack, true);
	return 0;
}

static int read_cached(const struct counts_cached *cached, void *arg)
{
	recorder_note_cached(arg, cached);
	return 0;
}

static int read_kernel(const struct counts_kernel *kernel, void *arg)
{
	recorder_note_kernel(arg, kernel);
	return 0;
}

static int read_line(const struct counts_line *line, void *arg)
{
	recorder_note_line(arg, line);
	return 0;
}

/* --- intervals --- */

static unsigned turns_until(const struct recorder *r, double until)
{
	double seconds = until - r->since + 0.5;

	return seconds < 1 ? 1 : seconds > TURNS_MOST ? TURNS_MOST : (unsigned)seconds;
}

/* Writes the interval that ends now. If nothing happened in it, nor in the last one, that one
 * becomes longer. */
static void write_interval(struct recorder *r, double now)
{
	struct record_db *db = &r->db;
	/* The clock may have been set back. */
	double until = now > r->since ? now : r->since;
	bool written;

	r->interval++;
	r->turns = turns_until(r, until);
	written = recorder_write_changes(r);
	recorder_write_facts(r, &written);
	written |= recorder_write_cgroups(r, until);
	recorder_write_host_reclaims(r, until);
	recorder_write_collections(r, until);
	written |= recorder_write_pss(r);
	if (!written && r->idle) {
		record_db_int(db, RECORD_LONGER, 1, --r->interval);
		record_db_real(db, RECORD_LONGER, 2, until);
		record_db_step(db, RECORD_LONGER);
	} else {
		record_db_int(db, RECORD_INTERVAL, 1, r->interval);
		record_db_real(db, RECORD_INTERVAL, 2, until);
		record_db_step(db, RECORD_INTERVAL);
		r->sizes.intervals++;
	}
	r->idle = !written;
	r->since = until;
}

/* Old intervals are put together from time to time, and whenever the file has become too large. */
static void limit_size(struct recorder *r, double now)
{
	uint64_t most = r->options.most_bytes;
	bool large = most && (uint64_t)record_db_size(&r->db) > most;

	r->ungathered += r->turns;
	if (r->ungathered < GATHER_SECONDS && !large)
		return;
	r->ungathered = 0;
	if (record_gather(&r->db, now, most, GATHER_MS) || r->db.error)
		return;
	snprintf(r->why, sizeof(r->why),
		 "--max-size is reached, although all that is older was gathered: give it more");
	r->db.error = -EFBIG;
}

int recorder_tick(struct recorder *r)
{
	static const struct counts_reader reader = {
		.image = read_image,
		.stack = read_stack,
		.thread = read_thread,
		.line = read_line,
		.wants = recorder_wants,
		.changes = recorder_wants_changes,
		.stalled = recorder_note_stalls,
		.cached = read_cached,
		.kernel = read_kernel,
	};
	struct counts_facts facts = {};
	int err;

	if (r->db.error && !r->paused)
		return r->db.error;
	recorder_begin_reading(r, NULL, NULL, false);
	err = r->inner.ops->read(r->inner.self, &reader, r);
	recorder_end_reading(r);
	r->begun = true;
	r->blind = err != 0;
	if (err) {
		snprintf(r->why, sizeof(r->why), "the figures can't be read: %s", strerror(-err));
		return err;
	}
	r->inner.ops->facts(r->inner.self, &facts);
	recorder_note_facts(r, &facts);
	/* While it pauses, this only notes what has passed: nothing is written after an error. */
	write_interval(r, facts.end);
	if (r->paused) {
		recorder_drop_unread(r);
		return 0;
	}
	recorder_read_sources(r);
	record_db_commit(&r->db);
	record_db_sync(&r->db);
	limit_size(r, facts.end);
	return r->db.error;
}

bool recorder_has_much(const struct recorder *r)
{
	return r->taken_stacks >= RECORDER_WAIT_MOST;
}

static bool runs(const struct recorder *r, const struct rec_image *image)
{
	return !image->ended && !image->taken && image->seen_reading == r->read_reading;
}

static int64_t rss_pages(const struct rec_image *image)
{
	return image->pages[PYMEM_FILE] + image->pages[PYMEM_ANON] + image->pages[PYMEM_SHMEM];
}

void recorder_each_image(const struct recorder *r, recorder_image_fn *fn, void *arg)
{
	for (const struct rec_image *image = r->images; image; image = image->hh.next)
		if (runs(r, image))
			fn(arg, image->id, image->pid, image->start_boottime_ns, rss_pages(image));
}

int64_t recorder_image_pages(const struct recorder *r, uint32_t id)
{
	const struct rec_image *image;

	HASH_FIND(hh, r->images, &id, sizeof(id), image);
	return image ? rss_pages(image) : -1;
}

pid_t recorder_next_image(const struct recorder *r, uint32_t *image)
{
	const struct rec_image *next = NULL, *each;

	for (each = r->images; each; each = each->hh.next)
		if (runs(r, each) && each->id > *image && (!next || each->id < next->id))
			next = each;
	if (!next)
		return 0;
	*image = next->id;
	return next->pid;
}

void recorder_add_look(struct recorder *r, uint32_t image, double time, const void *packed,
		       size_t size, size_t whole)
{
	record_db_real(&r->db, RECORD_LOOK, 1, time > r->start ? time : r->start);
	record_db_int(&r->db, RECORD_LOOK, 2, image);
	record_db_int(&r->db, RECORD_LOOK, 3, (int64_t)whole);
	record_db_bytes(&r->db, RECORD_LOOK, 4, packed, size);
	record_db_step(&r->db, RECORD_LOOK);
}

void recorder_ends(struct recorder *r)
{
	r->final = true;
	r->end = 0;
}

void recorder_about(struct recorder *r, const char *name, double number, const char *text)
{
	record_db_text(&r->db, RECORD_ABOUT, 1, name);
	if (text)
		record_db_text(&r->db, RECORD_ABOUT, 2, text);
	else
		record_db_real(&r->db, RECORD_ABOUT, 2, number);
	record_db_step(&r->db, RECORD_ABOUT);
}

static void write_shares(struct recorder *r, const struct model *model)
{
	for (size_t i = 0; i < model->process_count; i++) {
		const struct model_process *process = model->processes[i];

		if (process->pss_bytes < 0)
			continue;
		record_db_int(&r->db, RECORD_PSS, 1, process->id);
		record_db_int(&r->db, RECORD_PSS, 2, process->pss_bytes);
		record_db_step(&r->db, RECORD_PSS);
	}
}

static void mark_gone(struct recorder *r)
{
	for (struct rec_image *image = r->images; image; image = image->hh.next) {
		/* One that was not in the last reading is in no report: it turned out to be no
		 * Python. */
		bool withdrawn = !image->taken && image->seen_reading != r->read_reading;

		if (!image->gone && !withdrawn)
			continue;
		recorder_mark(r, r->end, withdrawn ? "withdrawn" : "gone", image->id);
	}
}

void recorder_write_end(struct recorder *r, double end)
{
	recorder_about(r, "end", end, NULL);
	if (r->names.full)
		recorder_about(r, "names_full", 1, NULL);
	if (r->sources_refused)
		recorder_about(r, "sources_refused", r->sources_refused, NULL);
}

int recorder_finish(struct recorder *r, const struct model *model)
{
	int err;

	if (r->finished)
		return r->db.error;
	r->finished = true;
	if (model && !r->db.error) {
		write_interval(r, model->end);
		recorder_read_all_sources(r, RECORDER_ALL_MS);
		write_shares(r, model);
		mark_gone(r);
		recorder_about(r, "complete", 1, NULL);
		recorder_write_end(r, model->end);
	}
	record_db_commit(&r->db);
	r->sizes.bytes = (uint64_t)record_db_size(&r->db);
	err = record_db_close(&r->db);
	return err;
}

const char *recorder_why(const struct recorder *r)
{
	return *r->why ? r->why : *r->db.why ? r->db.why : strerror(-r->db.error);
}

struct recorder_sizes recorder_sizes(const struct recorder *r)
{
	return r->sizes;
}

/* --- begin and end --- */

unsigned recorder_needs(void)
{
	/* SQLite removes its log at the end, in a folder of any user. */
	return CONFINE_REPORT;
}

struct recorder *recorder_new(const struct recorder_options *options, char *why, size_t size)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int err = r ? 0 : -ENOMEM;

	if (r) {
		r->options = *options;
		r->paused = !options->path;
		record_db_none(&r->db);
	}
	if (r && !r->paused)
		err = record_db_create(&r->db, options->path, options->mode);
	if (!err)
		return r;
	if (err == -EEXIST && !(r && *r->db.why))
		snprintf(why, size,
			 "it exists, and a recording replaces nothing: remove it, or "
			 "choose another name");
	else
		snprintf(why, size, "%s", r && *r->db.why ? r->db.why : output_explain(err));
	recorder_free(r);
	errno = -err;
	return NULL;
}

void recorder_write_about(struct recorder *r)
{
	struct utsname name;

	uname(&name);
	r->start = r->since;
	recorder_about(r, "host", 0, name.nodename);
	recorder_about(r, "kernel", 0, name.release);
	recorder_about(r, "version", 0, PYMEM_VERSION);
	recorder_about(r, "start", r->start, NULL);
	recorder_about(r, "page_size", (double)sysconf(_SC_PAGESIZE), NULL);
	recorder_about(r, "ended_bytes", (double)r->options.ended_bytes, NULL);
	if (r->options.ended_processes)
		recorder_about(r, "ended_processes", (double)r->options.ended_processes, NULL);
	recorder_about(r, "lines", r->options.lines, NULL);
	recorder_about(r, "touched", r->options.touched, NULL);
	recorder_about(r, "threads", r->options.threads, NULL);
	recorder_about(r, "of_host", r->options.host, NULL);
}

void recorder_begin(struct recorder *r, double start)
{
	r->since = start;
	recorder_write_about(r);
	recorder_begin_reclaims(r);
	record_db_commit(&r->db);
}

int recorder_discard(struct recorder *r)
{
	int err = record_db_discard(&r->db);

	recorder_free(r);
	return err;
}

void recorder_free(struct recorder *r)
{
	struct rec_stack *stack, *next_stack;
	struct rec_image *image, *next_image;
	struct rec_run *run, *next_run;

	if (!r)
		return;
	record_db_close(&r->db);
	HASH_ITER(hh, r->stacks, stack, next_stack)
	{
		recorder_free_stack(r, stack);
	}
	HASH_ITER(hh, r->images, image, next_image)
	{
		HASH_DEL(r->images, image);
		recorder_free_image(image);
	}
	HASH_ITER(hh, r->runs, run, next_run)
	{
		HASH_DEL(r->runs, run);
		free(run);
	}
	while (r->lates) {
		struct rec_late *next = r->lates->next;

		free(r->lates);
		r->lates = next;
	}
	recorder_free_carried(r);
	recorder_free_sources(r);
	recorder_free_cgroups(r);
	recorder_forget_cached(r, true);
	recorder_free_reclaims(r);
	recorder_free_collections(r);
	names_free(&r->names);
	free(r->seen);
	recorder_free_orders(r);
	free(r->active);
	free(r->todo);
	free(r->parts.bytes);
	free(r->facts.bytes);
	free(r->last_facts.bytes);
	free(r->touched.bytes);
	free(r->away.bytes);
	free(r->firsts.bytes);
	free(r);
}
