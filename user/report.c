/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Joins counters (kernel side), stacks and code objects (store) and processes (tracker).
 *
 * Invariant, per process: charged + lost == change of RSS. Charged is what the stacks
 * got, whose frames are here; amounts of a stack whose frames never arrived are lost as
 * "undelivered". In a live report the three are read at slightly different times: the
 * difference is shown as "unsettled". In a final one it must be nought.
 */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "session.h"

struct build {
	struct tracker *tracker;
	struct model *model;
	uint64_t page;
	struct entry *entries; /* one per image in the report */
	uint64_t unwatched;
	unsigned probeless, unprobed; /* left to the walk engine */
	uint64_t unnamed_runs;	      /* of lines whose code object never arrived */
	int err;
};

struct entry {
	uint32_t id;
	struct image *image;
	struct model_process *process;
	UT_hash_handle hh;
};

static struct entry *entry_of(struct build *b, uint32_t id)
{
	struct entry *entry;

	HASH_FIND(hh, b->entries, &id, sizeof(id), entry);
	return entry;
}

static int64_t rss_pages(const int64_t *pages)
{
	return pages[PYMEM_FILE] + pages[PYMEM_ANON] + pages[PYMEM_SHMEM];
}

static int add_image(struct build *b, struct image *image, const struct pymem_proc *record)
{
	static char *const no_argv[] = {NULL};
	struct model_process *p;
	struct entry *entry;
	int i;

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
	p->rss_start_bytes = rss_pages((const int64_t *)record->start_pages) * b->page;
	p->rss_end_bytes = rss_pages((const int64_t *)record->now_pages) * b->page;
	p->rss_peak_bytes = record->peak_pages * b->page;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		p->lost_bytes[i] = record->lost_pages[i] * (int64_t)b->page;
	p->exited = image->dead;
	if (image->lines_error == -ENOTSUP)
		b->probeless++;
	else if (image->lines_error)
		b->unprobed++;
	b->unwatched += record->unwatched_writes;
	p->truncated_stacks = record->truncated;
	if (*image->reason)
		p->note = strdup(image->reason);
	source_root_copy(&p->root, &image->root);
	entry->id = image->id;
	entry->image = image;
	entry->process = p;
	HASH_ADD(hh, b->entries, id, sizeof(entry->id), entry);
	return 0;
}

static int add_live(const struct pymem_proc *record, void *arg)
{
	struct build *b = arg;
	struct image *image = tracker_image(b->tracker, record->id);

	return image && !image->dead ? add_image(b, image, record) : 0;
}

static int add_images(struct build *b)
{
	struct image *image, *next;
	int err = session_each_live(b->tracker->session, add_live, b);

	if (err)
		return err;
	HASH_ITER(hh, b->tracker->images, image, next)
	{
		if (image->dead && image->record.id)
			err = add_image(b, image, &image->record);
		if (err)
			return err;
	}
	return 0;
}

/* The frame's place in the source; NULL where its code object never arrived. */
static const struct model_location *locate(struct build *b, struct image *image,
					   const struct pymem_msg_frame *frame)
{
	struct store_code *code = store_code(&b->tracker->store, image->id, frame, &image->layout,
					     image->dead ? 0 : image->pid);
	int line;

	if (!code)
		return NULL;
	line = store_line(code, frame->lasti);
	return model_location(b->model, code->code.file, code->code.function, line > 0 ? line : 0,
			      code->code.first_line);
}

/* Charges `counters` to the lines of `key`'s stack, or loses them by name. */
static int add_counters(struct build *b, const struct pymem_stack_key *key,
			const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	struct store_stack *stack = store_stack(&b->tracker->store, key, false);
	struct entry *entry = entry_of(b, key->proc);
	unsigned i, depth = 0;
	bool truncated;

	if (!entry)
		return 0;
	truncated = stack && stack->truncated;
	for (i = 0; stack && stack->frames && i < stack->depth; i++) {
		frames[i] = locate(b, entry->image, &stack->frames[i]);
		if (!frames[i]) { /* a caller unknown: cut there; the leaf must be known */
			truncated = true;
			break;
		}
		depth++;
	}
	if (!depth) {
		entry->process->lost_bytes[PYMEM_LOSS_UNDELIVERED] +=
			rss_pages((const int64_t *)counters->pages) * (int64_t)b->page;
		return 0;
	}
	return model_add_stack(b->model, entry->process, frames, depth, truncated, counters,
			       vmcalls);
}

static int add_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct build *b = arg;
	struct pymem_vmcalls vmcalls = {};
	bool any = session_vmcalls(b->tracker->session, key, &vmcalls);

	return add_counters(b, key, &stack->counters, any ? &vmcalls : NULL);
}

/* What a thread has collected since its stack last changed. */
static int add_thread(const struct pymem_collected *thread, void *arg)
{
	struct build *b = arg;

	return add_counters(b, &thread->key, &thread->counters, NULL);
}

static int add_harvested(struct build *b)
{
	struct store_stack *stack, *next;
	int err = 0;

	HASH_ITER(hh, b->tracker->store.stacks, stack, next)
	{
		if (stack->harvested && !err)
			err = add_counters(b, &stack->key, &stack->counters, &stack->vmcalls);
	}
	return err;
}

/* Lines that the exact engine saw run. */
static int add_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg)
{
	struct pymem_msg_frame frame = {.code = key->code, .fingerprint = key->fingerprint};
	const struct model_location *location;
	struct build *b = arg;
	struct entry *entry = entry_of(b, key->proc);
	struct store_code *code;

	if (!entry)
		return 0;
	code = store_code(&b->tracker->store, key->proc, &frame, &entry->image->layout,
			  entry->image->dead ? 0 : entry->image->pid);
	if (!code) {
		b->unnamed_runs += counted->runs;
		return 0;
	}
	location = model_location(b->model, code->code.file, code->code.function, key->line,
				  code->code.first_line);
	if (!location)
		return -ENOMEM;
	return model_add_runs(b->model, entry->process, location, counted);
}

/* Events of the probes that are in no line's figures. */
static void add_line_notes(struct build *b)
{
	static const char *const causes[] = {
#define MISS_TEXT(id, text) text,
		PYMEM_LINE_MISSES(MISS_TEXT)
#undef MISS_TEXT
	};
	char text[256];
	uint64_t count;
	int i;

	if (b->probeless) {
		snprintf(text, sizeof(text),
			 "%u process%s no line probe in this build of Python: profiled by the "
			 "walk engine",
			 b->probeless, b->probeless == 1 ? " has" : "es have");
		model_add_note(b->model, text);
	}
	if (b->unprobed) {
		snprintf(text, sizeof(text),
			 "the line probes of %u process%s could not be attached: profiled by the "
			 "walk engine",
			 b->unprobed, b->unprobed == 1 ? "" : "es");
		model_add_note(b->model, text);
	}
	for (i = 0; i < PYMEM_LINE_MISS_COUNT; i++) {
		count = session_line_misses(b->tracker->session, i);
		if (i == PYMEM_LINE_MISS_UNNAMED)
			count += b->unnamed_runs;
		if (!count)
			continue;
		snprintf(text, sizeof(text), "%llu line event%s not counted: %s",
			 (unsigned long long)count, count == 1 ? "" : "s", causes[i]);
		model_add_note(b->model, text);
	}
}

/* What a live snapshot could not read at one instant. */
static void balance(struct build *b, bool final)
{
	struct model_process *p;
	int64_t rest;
	size_t i;

	for (i = 0; i < b->model->process_count; i++) {
		p = b->model->processes[i];
		rest = p->rss_end_bytes - p->rss_start_bytes - p->charged_bytes -
		       model_lost_bytes(p);
		if (!final)
			p->lost_bytes[PYMEM_LOSS_UNSETTLED] += rest;
	}
}

static void add_notes(struct build *b)
{
	static const struct {
		unsigned lack;
		const char *text;
	} lacks[] = {
		{SESSION_LACK_FAULTS,
		 "this kernel has no page fault tracepoints: faults and copies "
		 "on write are not counted"},
		{SESSION_LACK_SYSCALLS, "this kernel has no sys_exit tracepoint: memory system "
					"calls are not counted"},
		{SESSION_LACK_COPIES, "this kernel has no mm_page_alloc tracepoint: copies on "
				      "write are not counted"},
		{SESSION_BATCHED, "this kernel (6.1 or older) batches its counters per task: "
				  "amounts are exact, attributed fault by fault, one fault late"},
	};
	struct tracker *t = b->tracker;
	unsigned have = session_lacks(t->session);
	uint64_t dropped = session_dropped_images(t->session);
	struct skip *skip;
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++)
		if (have & lacks[i].lack)
			model_add_note(b->model, lacks[i].text);
	if (dropped) {
		snprintf(text, sizeof(text),
			 "%llu process images were not tracked: table full; raise --max-processes",
			 (unsigned long long)dropped);
		model_add_note(b->model, text);
	}
	dropped = session_dropped_messages(t->session);
	if (dropped) {
		snprintf(text, sizeof(text),
			 "%llu messages about processes were lost: raise --ring-size",
			 (unsigned long long)dropped);
		model_add_note(b->model, text);
	}
	if (t->unexamined) {
		snprintf(text, sizeof(text),
			 "%u program%s that traced processes started ended before %s could be "
			 "examined",
			 t->unexamined, t->unexamined == 1 ? "" : "s",
			 t->unexamined == 1 ? "it" : "they");
		model_add_note(b->model, text);
	}
	if (b->unwatched) {
		snprintf(text, sizeof(text),
			 "%llu write fault%s on shared pages came before copies were watched: not "
			 "counted as copied",
			 (unsigned long long)b->unwatched, b->unwatched == 1 ? "" : "s");
		model_add_note(b->model, text);
	}
	if (t->store.malformed) {
		snprintf(text, sizeof(text), "%llu malformed messages were dropped",
			 (unsigned long long)t->store.malformed);
		model_add_note(b->model, text);
	}
	for (skip = t->skips; skip; skip = skip->next)
		model_add_skip(b->model, skip->pid, skip->comm, skip->reason);
}

static int describe(struct model *model, double start)
{
	struct timespec now;
	struct utsname name;

	uname(&name);
	clock_gettime(CLOCK_REALTIME, &now);
	model->host = strdup(name.nodename);
	model->kernel = strdup(name.release);
	model->version = strdup(PYMEM_VERSION);
	model->start = start;
	model->end = now.tv_sec + now.tv_nsec / 1e9;
	return model->host && model->kernel && model->version ? 0 : -ENOMEM;
}

static void entries_free(struct build *b)
{
	struct entry *entry, *next;

	HASH_ITER(hh, b->entries, entry, next)
	{
		HASH_DEL(b->entries, entry);
		free(entry);
	}
}

struct model *report_build(struct tracker *tracker, double start, bool final)
{
	struct build b = {.tracker = tracker, .page = sysconf(_SC_PAGESIZE)};

	b.model = model_new(b.page);
	if (!b.model) {
		errno = ENOMEM;
		return NULL;
	}
	b.err = describe(b.model, start);
	if (!b.err)
		b.err = report_harvest(tracker);
	if (!b.err)
		b.err = add_images(&b);
	if (!b.err)
		b.err = session_each_stack(tracker->session, add_stack, &b);
	if (!b.err)
		b.err = session_each_thread(tracker->session, add_thread, &b);
	if (!b.err)
		b.err = add_harvested(&b);
	if (!b.err)
		b.err = session_each_line(tracker->session, add_line, &b);
	if (!b.err)
		b.err = model_finish(b.model);
	entries_free(&b);
	if (b.err) {
		model_free(b.model);
		errno = -b.err;
		return NULL;
	}
	balance(&b, final);
	add_notes(&b);
	add_line_notes(&b);
	return b.model;
}

/* A thread that ended after its image was harvested has added to the stack once more. */
static void counters_add(struct pymem_counters *to, const struct pymem_counters *from)
{
	int i;

	for (i = 0; i < PYMEM_MEMBERS; i++)
		to->pages[i] += from->pages[i];
	to->grown_pages += from->grown_pages;
	to->freed_pages += from->freed_pages;
	if (from->peak_pages > to->peak_pages)
		to->peak_pages = from->peak_pages;
	to->minor_faults += from->minor_faults;
	to->major_faults += from->major_faults;
	to->cow_faults += from->cow_faults;
}

static int harvest_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack,
			 void *arg)
{
	struct tracker *tracker = arg;
	struct image *image = tracker_image(tracker, key->proc);
	struct store_stack *kept;

	if (!tracker_image_dead(tracker, key->proc))
		return 0;
	if (image->dropped)
		return session_forget_stack(tracker->session, key);
	kept = store_stack(&tracker->store, key, true);
	if (!kept)
		return -ENOMEM;
	if (!kept->harvested && !session_vmcalls(tracker->session, key, &kept->vmcalls))
		memset(&kept->vmcalls, 0, sizeof(kept->vmcalls));
	kept->harvested = true;
	counters_add(&kept->counters, &stack->counters);
	return session_forget_stack(tracker->session, key);
}

int report_harvest(struct tracker *tracker)
{
	struct image *image, *next;
	bool any = false;
	int err;

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (!image->harvested && tracker_image_dead(tracker, image->id))
			any = true;
	}
	if (!any)
		return 0;
	err = session_each_stack(tracker->session, harvest_stack, tracker);
	if (err)
		return err;
	err = session_forget_codes(tracker->session, tracker_image_dead, tracker);
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (tracker_image_dead(tracker, image->id))
			image->harvested = true;
	}
	return err;
}
