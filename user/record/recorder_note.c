/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keeps what passes from the source of the counts. Nothing of it is written here but new names.
 *
 * What a thread has collected and not yet added to a stack is part of the stack's figures: the sum
 * of both is what has happened so far, and what is recorded is how that sum has changed. */
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/array.h"
#include "record/recorder_private.h"

#define ALL_EVERY 60 /* seconds, from one reading that brings all stacks to the next */

/* --- images --- */

struct rec_image *recorder_image(struct recorder *r, uint32_t id)
{
	struct rec_image *image;

	HASH_FIND(hh, r->images, &id, sizeof(id), image);
	return image;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	return (hash ^ 0xff) * 0x100000001b3ull;
}

/* A hash of what the image's row has, so that it is written again only if it has changed. */
static uint64_t description(const struct counts_image *image)
{
	const uint64_t numbers[] = {
		image->pid,	    image->ppid,      (uint64_t)image->ns_pid,
		image->ended,	    image->held,      image->lines,
		image->lines_late,  image->functions, (uint64_t)image->lines_error,
		image->record->user};
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		hash = (hash ^ numbers[i]) * 0x100000001b3ull;
	hash = mix_text(mix_text(hash, image->comm), image->cgroup);
	hash = mix_text(mix_text(hash, image->python), image->reason);
	for (char *const *argument = image->argv; argument && *argument; argument++)
		hash = mix_text(hash, *argument);
	return hash | 1;
}

static struct rec_image *new_image(struct recorder *r, const struct counts_image *from)
{
	struct rec_image *image = calloc(1, sizeof(*image));

	if (image) {
		image->id = from->id;
		if (HASH_INSERT(r->images, id, image)) {
			free(image);
			image = NULL;
		}
	}
	if (!image) {
		NO_MEMORY(r);
		return NULL;
	}
	image->pid = from->pid;
	image->start_boottime_ns = from->record->start_boottime_ns;
	image->began = r->since;
	image->pss = image->pss_recorded = (struct rec_pss){-1, -1};
	image->changed = true;
	image->cgroup = recorder_cgroup(r, from->pid, from->cgroup);
	r->sizes.images++;
	return image;
}

/* Files that are met from now on are read with the rights that the image has now: it may have given
 * some up, or they were not known at first. True: they are others than before. */
static bool follow_root(struct recorder *r, struct rec_image *image, const struct source_root *root)
{
	const struct source_root *seen = &image->seen;
	struct rec_view *view, *view_cwd;

	/* Equal rights are kept once, and folders are open once. */
	if (image->view && image->view_cwd && seen->rights == root->rights &&
	    seen->root_fd == root->root_fd && seen->cwd_fd == root->cwd_fd)
		return false;
	/* First the new ones: one of them may be the old one. */
	view = recorder_view(r, root, true);
	view_cwd = recorder_view(r, root, false);
	recorder_leave_view(r, image->view);
	recorder_leave_view(r, image->view_cwd);
	image->view = view;
	image->view_cwd = view_cwd;
	image->seen = *root;
	image->moved_reading = r->moved_reading = r->reading;
	return true;
}

void recorder_note_image(struct recorder *r, const struct counts_image *from)
{
	struct rec_image *image = recorder_image(r, from->id);
	const struct pymem_proc *record = from->record;
	int64_t late;
	uint64_t now;
	bool moved;

	if (!image)
		image = new_image(r, from);
	if (!image)
		return;
	moved = follow_root(r, image, from->root);
	image->seen_reading = r->reading;
	image->taken |= r->taking;
	image->python = from->python && *from->python;
	/* What is known of it may grow until then. */
	if (from->death && (r->taking || r->final) && !image->death_written) {
		recorder_mark_death(r, image->id, from->death);
		image->death_written = true;
	}
	if (r->taking)
		image->taken_reading = r->reading;
	if (memcmp(image->pages, record->now_pages, sizeof(image->pages)) ||
	    image->peak != (int64_t)record->peak_pages)
		image->changed = true;
	memcpy(image->pages, record->now_pages, sizeof(image->pages));
	image->peak = (int64_t)record->peak_pages;
	late = image->now.at[RECORD_LATE];
	amounts_of_record(&image->now, record);
	image->now.at[RECORD_LATE] = late;
	now = description(from);
	if (now != image->described || moved)
		recorder_write_image(r, image, from);
	image->described = now;
}

/* --- stacks --- */

/* Looks at the stack when the interval is written. */
static void activate(struct recorder *r, struct rec_seen *seen)
{
	if (seen->active)
		return;
	if (!ARRAY_HAS_ROOM(r->active, r->active_count, r->active_room)) {
		NO_MEMORY(r);
		return;
	}
	r->active[r->active_count++] = seen->stack->place;
	seen->active = true;
}

static void add_counters(struct pymem_counters *sum, const struct pymem_counters *more)
{
	for (int i = 0; i < PYMEM_MEMBERS; i++)
		sum->pages[i] += more->pages[i];
	sum->grown_pages += more->grown_pages;
	sum->freed_pages += more->freed_pages;
	if (more->peak_pages > sum->peak_pages)
		sum->peak_pages = more->peak_pages;
	sum->minor_faults += more->minor_faults;
	sum->major_faults += more->major_faults;
	sum->cow_faults += more->cow_faults;
}

static void add_pending(struct recorder *r, struct rec_seen *seen,
			const struct pymem_counters *counters)
{
	/* Most threads have what they had a second ago. */
	if (seen->active && seen->pending_reading == r->before_reading &&
	    !memcmp(&seen->pending, counters, sizeof(*counters))) {
		seen->pending_reading = r->reading;
		return;
	}
	if (seen->pending_reading != r->reading)
		seen->pending = (struct pymem_counters){};
	seen->pending_reading = r->reading;
	seen->changed = true;
	add_counters(&seen->pending, counters);
	activate(r, seen);
}

/* Files of the image's stacks are met again, since they are seen with other rights now. */
static bool has_moved(const struct recorder *r, const struct rec_image *image)
{
	return r->moved_reading == r->reading && image->moved_reading == r->reading;
}

/* True if a stack of another file has changed since: else nothing of it is in this one. */
static bool is_news(const struct rec_seen *seen, const struct pymem_counters *counters, bool thread)
{
	return memcmp(thread ? &seen->pending : &seen->counters, counters, sizeof(*counters)) != 0;
}

enum counts_want recorder_wants(const struct pymem_stack_key *key,
				const struct pymem_counters *counters, bool thread, void *arg)
{
	struct recorder *r = arg;
	struct rec_seen *seen = recorder_next_seen(r, thread ? REC_THREADS : REC_STACKS, key);

	if (!seen || !seen->resolved || has_moved(r, seen->image))
		return COUNTS_ALL;
	if (!thread && !memcmp(&seen->counters, counters, sizeof(*counters)))
		return COUNTS_NOTHING;
	/* Its source files are to be met in this file, too. */
	if (seen->carried && is_news(seen, counters, thread))
		return COUNTS_ALL;
	if (!thread)
		return COUNTS_FIGURES;
	if (seen->image->taken)
		return COUNTS_FIGURES; /* recorder_note_stack() knows what becomes of it */
	add_pending(r, seen, counters);
	return COUNTS_NOTHING;
}

bool recorder_wants_changes(void *arg)
{
	struct recorder *r = arg;
	bool all;

	/* As many have gone by since the reading before as it was apart from the one before it. */
	r->until_all -= MIN(r->until_all, MAX(r->turns, 1));
	all = r->moved_reading == r->reading || r->look_again || !r->until_all;
	r->look_again = false;
	if (all)
		r->until_all = ALL_EVERY;
	return !all;
}

/* Amounts of an image that was taken: the report gets them when it reads the next time, and loses
 * them by cause. */
static void note_late(struct recorder *r, struct rec_image *image, const struct counts_stack *from)
{
	struct rec_late *late;

	image->now.at[RECORD_LATE] += counts_rss_pages(from->counters->pages);
	image->changed = true;
	if (r->reader)
		return; /* it passes on to the report just now */
	late = calloc(1, sizeof(*late));
	if (!late) {
		NO_MEMORY(r);
		return;
	}
	*late = (struct rec_late){from->key, *from->counters, r->lates};
	r->lates = late;
}

static void meet_files(struct recorder *r, struct rec_image *image, const struct counts_stack *from)
{
	for (unsigned i = 0; i < from->depth; i++) {
		uint32_t file = names_text(&r->names, &r->db, from->frames[i].file);

		recorder_meet_file(r, image, file, from->frames[i].file);
	}
}

/* `met`: its files are met in any case. */
static void resolve(struct recorder *r, struct rec_seen *seen, const struct counts_stack *from,
		    bool met)
{
	uint32_t node = names_stack(&r->names, &r->db, from);
	struct rec_stack *stack = seen->stack;

	if (from->thread)
		recorder_note_thread(r, seen->image, from->thread);
	if (node != stack->node_now || has_moved(r, seen->image) || met)
		meet_files(r, seen->image, from);
	stack->node_now = node;
	stack->flags_now = (from->truncated ? STACK_TRUNCATED : 0) | (from->cut ? STACK_CUT : 0) |
			   (from->cut ? (uint32_t)from->lack << STACK_LACK_SHIFT : 0);
	seen->resolved = from->depth && !from->cut;
}

enum counts_verdict recorder_note_stack(struct recorder *r, const struct counts_stack *from,
					bool thread)
{
	struct rec_image *image = recorder_image(r, from->key.proc);
	struct rec_seen *seen;
	bool news;

	if (!image) {
		/* Not for the report, or so new that its message has not come: then the next
		 * reading has it. Numbers of images rise. */
		r->look_again |= !r->reader && from->key.proc > r->last_stranger;
		if (from->key.proc > r->last_stranger)
			r->last_stranger = from->key.proc;
		return COUNTS_LEFT;
	}
	if (image->taken && !r->taking) {
		/* What a thread has not added yet counts only if nothing can add it any more. */
		if (thread && !r->final)
			return COUNTS_LEFT;
		note_late(r, image, from);
		return thread ? COUNTS_LEFT : COUNTS_TAKEN;
	}
	seen = recorder_get_seen(r, image, &from->key);
	if (!seen)
		return COUNTS_LEFT;
	/* Lines may have become known since, or become uncertain: what a report gets counts. */
	news = seen->carried && is_news(seen, from->counters, thread);
	if (!seen->resolved || r->reader || has_moved(r, image) || news)
		resolve(r, seen, from, news);
	seen->carried &= !news;
	/* Code objects of a new stack may still be on their way: the next reading looks again. */
	r->look_again |= !seen->resolved && !seen->looked && !r->reader;
	seen->looked = true;
	if (thread) {
		add_pending(r, seen, from->counters);
		return COUNTS_LEFT;
	}
	r->taken_stacks += r->taking;
	seen->counters = *from->counters;
	if (from->vmcalls)
		seen->stack->calls = *from->vmcalls;
	seen->changed = true;
	activate(r, seen);
	return COUNTS_LEFT;
}

void recorder_note_stalls(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
			  void *arg)
{
	struct recorder *r = arg;
	struct rec_seen *seen = recorder_find_seen(r, key);

	if (!seen || seen->image->taken ||
	    (!memcmp(seen->stack->calls.stall_ns, vmcalls->stall_ns, sizeof(vmcalls->stall_ns)) &&
	     !memcmp(seen->stack->calls.extras, vmcalls->extras, sizeof(vmcalls->extras))))
		return;
	seen->stack->calls = *vmcalls;
	seen->changed = true;
	activate(r, seen);
}

/* --- lines of the exact engine --- */

static void add_run(struct pymem_line *sum, const struct pymem_line *more)
{
	sum->runs += more->runs;
	sum->pages += more->pages;
	sum->once_pages += more->once_pages;
	sum->row_pages += more->row_pages;
	sum->gc_pages += more->gc_pages;
	sum->collections += more->collections;
	if (more->usage_pages > sum->usage_pages)
		sum->usage_pages = more->usage_pages;
	if (more->peak_pages > sum->peak_pages)
		sum->peak_pages = more->peak_pages;
}

static struct rec_run *get_run(struct recorder *r, const struct run_key *key)
{
	struct rec_run *run;

	HASH_FIND(hh, r->runs, key, sizeof(*key), run);
	if (run)
		return run;
	run = calloc(1, sizeof(*run));
	if (run)
		run->key = *key;
	if (!run || HASH_INSERT(r->runs, key, run)) {
		free(run);
		NO_MEMORY(r);
		return NULL;
	}
	return run;
}

/* Several code objects may have the same line: their figures come one after the other, and are
 * added up. */
void recorder_note_line(struct recorder *r, const struct counts_line *line)
{
	struct rec_image *image = recorder_image(r, line->image);
	struct run_key key = {.image = line->image};
	struct rec_run *run;

	if (!image || (image->taken && !r->taking))
		return;
	if (line->at) {
		key.frame = names_frame(&r->names, &r->db, line->at);
		recorder_meet_file(r, image, names_text(&r->names, &r->db, line->at->file),
				   line->at->file);
	}
	run = get_run(r, &key);
	if (!run)
		return;
	if (run->reading != r->reading)
		run->counted = (struct pymem_line){};
	run->reading = r->reading;
	add_run(&run->counted, line->counted);
}
