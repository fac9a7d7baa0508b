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
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "session.h"

/* A thread of a process that has ended may have its last figures still to add. */
#define FOLD_AFTER_MS 200
/* Then no thread of it has anything to add any more. */
#define LATE_MS 60000
/* The lines that ran are looked through as a whole. */
#define FOLD_LINES_AFTER_MS 2000

struct tallies {
	uint64_t unwatched;
	unsigned probeless, unprobed; /* left to the walk engine */
	uint64_t unnamed_runs;	      /* of lines whose code object never arrived */
};

struct entry { /* an image in the report */
	uint32_t id;
	struct image *image;	       /* NULL: folded */
	struct model_process *process; /* NULL: in the model's rest */
	uint64_t gone_ms;	       /* since when */
	int64_t pages;		       /* charged */
	UT_hash_handle hh;
};

struct report {
	struct tracker *tracker;
	struct model *model;
	double start;
	struct tallies folded;
	struct entry *ended; /* those folded, by id: for what comes too late */
	size_t ended_bytes;  /* that their lines may take */
};

struct build {
	struct report *report;
	struct tracker *tracker;
	struct model *model;
	uint64_t page;
	struct entry *entries; /* one per image in the report */
	struct tallies tallies;
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
		b->tallies.probeless++;
	else if (image->lines_error)
		b->tallies.unprobed++;
	b->tallies.unwatched += record->unwatched_writes;
	p->truncated_stacks = record->truncated;
	p->lost_faults = record->lost_faults;
	if (*image->reason)
		p->note = strdup(image->reason);
	source_root_copy(&p->root, &image->root);
	p->id = entry->id = image->id;
	entry->image = image;
	entry->process = p;
	HASH_ADD(hh, b->entries, id, sizeof(entry->id), entry);
	return 0;
}

static int add_live(const struct pymem_proc *record, void *arg)
{
	struct build *b = arg;
	struct image *image = tracker_image(b->tracker, record->id);

	/* One not known is to be told of by the next message; none is missing at the end. */
	return image && !image->dead ? add_image(b, image, record) : 0;
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
	struct store_stack *stack = store_stack(&b->tracker->store, key);
	struct entry *entry = entry_of(b, key->proc);
	unsigned i, depth = 0;
	bool truncated;

	if (!entry)
		return 0;
	truncated = stack && stack->truncated;
	for (i = 0; stack && i < stack->depth; i++) {
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
	entry->pages += rss_pages((const int64_t *)counters->pages);
	return model_add_stack(b->model, entry->process, frames, depth, truncated, counters,
			       vmcalls);
}

/* What a thread added to the stack of an image that was folded before. */
static int add_late(struct build *b, const struct pymem_stack_key *key,
		    const struct pymem_stack *stack)
{
	struct entry *ended;
	int64_t *lost;

	HASH_FIND(hh, b->report->ended, &key->proc, sizeof(key->proc), ended);
	if (!ended)
		return 0;
	lost = ended->process ? ended->process->lost_bytes : b->model->rest.lost_bytes;
	lost[PYMEM_LOSS_UNDELIVERED] +=
		rss_pages((const int64_t *)stack->counters.pages) * (int64_t)b->page;
	return session_forget_stack(b->tracker->session, key);
}

static int add_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct build *b = arg;
	struct pymem_vmcalls vmcalls = {};
	bool any = session_vmcalls(b->tracker->session, key, &vmcalls);

	if (!entry_of(b, key->proc))
		return add_late(b, key, stack);
	return add_counters(b, key, &stack->counters, any ? &vmcalls : NULL);
}

/* What a thread has collected since its stack last changed. */
static int add_thread(const struct pymem_collected *thread, void *arg)
{
	struct build *b = arg;

	return add_counters(b, &thread->key, &thread->counters, NULL);
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
		b->tallies.unnamed_runs += counted->runs;
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
	const struct tallies *t = &b->tallies;
	char text[256];
	uint64_t count;
	int i;

	if (t->probeless) {
		snprintf(text, sizeof(text),
			 "%u process%s no line probe in this build of Python: profiled by the "
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

/* What a live snapshot could not read at one instant. */
static void balance(struct build *b)
{
	struct entry *entry, *next;
	struct model_process *p;

	HASH_ITER(hh, b->entries, entry, next)
	{
		p = entry->process;
		p->lost_bytes[PYMEM_LOSS_UNSETTLED] += p->rss_end_bytes - p->rss_start_bytes -
						       p->charged_bytes - model_lost_bytes(p);
	}
}

/* Whatever they were, they are in no row. */
static void add_unexamined(struct build *b, unsigned count, const char *which)
{
	char text[256];

	if (!count)
		return;
	snprintf(text, sizeof(text), "%u program%s %s ended before %s could be examined", count,
		 count == 1 ? "" : "s", which, count == 1 ? "it" : "they");
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
			 "%llu stacks or code objects were too many for one process (%u MiB): "
			 "what they changed is lost as undelivered",
			 (unsigned long long)refused, STORE_IMAGE_BYTES >> 20);
		model_add_note(b->model, text);
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
				  "amounts are exact, attributed fault by fault, one fault late; "
				  "two threads that hand over what they counted in the same "
				  "instant may swap it, 64 faults each at most"},
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
	dropped = session_dropped_calls(t->session);
	if (dropped) {
		snprintf(text, sizeof(text),
			 "%llu memory system calls were not counted: table full; raise "
			 "--max-stacks",
			 (unsigned long long)dropped);
		model_add_note(b->model, text);
	}
	add_unexamined(b, t->unexamined, "that traced processes started");
	add_unexamined(b, t->unseen, "that others started");
	add_copy_notes(b);
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
	struct utsname name;

	uname(&name);
	model->host = strdup(name.nodename);
	model->kernel = strdup(name.release);
	model->version = strdup(PYMEM_VERSION);
	model->start = start;
	return model->host && model->kernel && model->version ? 0 : -ENOMEM;
}

static void entries_free(struct entry **entries)
{
	struct entry *entry, *next;

	HASH_ITER(hh, *entries, entry, next)
	{
		HASH_DEL(*entries, entry);
		free(entry);
	}
}

struct report *report_new(struct tracker *tracker, double start, size_t ended_bytes)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return NULL;
	report->tracker = tracker;
	report->ended_bytes = ended_bytes;
	report->model = model_new(sysconf(_SC_PAGESIZE));
	if (report->model && !describe(report->model, start))
		return report;
	report_free(report);
	return NULL;
}

void report_free(struct report *report)
{
	if (!report)
		return;
	entries_free(&report->ended);
	model_free(report->model);
	free(report);
}

static struct build build_of(struct report *report)
{
	return (struct build){
		.report = report,
		.tracker = report->tracker,
		.model = report->model,
		.page = report->model->page_size,
	};
}

struct folding { /* images that ended long enough ago */
	struct image **images;
	size_t count;
};

static int choose(struct report *report, struct folding *f, bool all)
{
	uint64_t wait = report->tracker->probes ? FOLD_LINES_AFTER_MS : FOLD_AFTER_MS;
	uint64_t now = tracker_now_ms();
	struct image *image, *next;

	f->count = 0;
	f->images = calloc(report->tracker->unfolded, sizeof(struct image *));
	if (!f->images)
		return -ENOMEM;
	HASH_ITER(hh, report->tracker->images, image, next)
	{
		if (!image->dead || !image->ended_ms || image->folded ||
		    (!all && now - image->ended_ms < wait))
			continue;
		if (f->count == report->tracker->unfolded)
			break;
		f->images[f->count++] = image;
	}
	return 0;
}

/* Takes the stacks of an image that were delivered, and frees the kernel's record of them. */
static int fold_stacks(struct build *b, struct store_image *kept)
{
	struct session *session = b->tracker->session;
	struct store_stack *stack;
	struct store_code *code;
	int err = 0;

	for (stack = kept->stacks; stack && !err; stack = stack->next) {
		struct pymem_vmcalls vmcalls = {};
		struct pymem_stack value;
		bool any;

		if (!session_stack(session, &stack->key, &value))
			continue;
		any = session_vmcalls(session, &stack->key, &vmcalls);
		err = add_counters(b, &stack->key, &value.counters, any ? &vmcalls : NULL)
			      ?: session_forget_stack(session, &stack->key);
	}
	for (code = kept->codes; code && !err; code = code->next)
		err = session_forget_code(session, code->key.proc, code->key.code,
					  code->key.fingerprint);
	return err;
}

/* A stack of an image to be folded that was never delivered, or came in late. */
static int fold_rest(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct build *b = arg;

	if (!entry_of(b, key->proc))
		return 0;
	return add_stack(key, stack, arg) ?: session_forget_stack(b->tracker->session, key);
}

static int fold_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg)
{
	struct build *b = arg;

	if (!entry_of(b, key->proc))
		return 0;
	return add_line(key, counted, arg) ?: session_forget_line(b->tracker->session, key);
}

/* Is all that changed accounted for? */
static bool complete(struct build *b)
{
	struct entry *entry, *next;
	const struct model_process *p;

	HASH_ITER(hh, b->entries, entry, next)
	{
		p = entry->process;
		if (entry->pages * (int64_t)b->page + model_lost_bytes(p) !=
		    p->rss_end_bytes - p->rss_start_bytes)
			return false;
	}
	return true;
}

static int fold_images(struct build *b, const struct folding *f)
{
	struct store_image *kept;
	size_t i;
	int err = 0;

	for (i = 0; i < f->count && !err; i++) {
		if (!f->images[i]->dropped)
			err = add_image(b, f->images[i], &f->images[i]->record);
		kept = store_image(&b->tracker->store, f->images[i]->id);
		if (!err && kept)
			err = fold_stacks(b, kept);
	}
	if (!err && b->entries && !complete(b))
		err = session_each_stack(b->tracker->session, fold_rest, b);
	if (!err && b->entries)
		err = session_each_line(b->tracker->session, fold_line, b);
	return err ?: model_seal(b->model);
}

/* The images' lines are in the model for good: nothing else is needed of them. */
static void fold_done(struct build *b, const struct folding *f)
{
	struct tallies *sum = &b->report->folded;
	struct entry *entry;
	size_t i;

	for (i = 0; i < f->count; i++) {
		entry = entry_of(b, f->images[i]->id);
		if (entry) {
			HASH_DEL(b->entries, entry);
			entry->image = NULL;
			HASH_ADD(hh, b->report->ended, id, sizeof(entry->id), entry);
		}
		tracker_folded(b->tracker, f->images[i]);
	}
	sum->unwatched += b->tallies.unwatched;
	sum->probeless += b->tallies.probeless;
	sum->unprobed += b->tallies.unprobed;
	sum->unnamed_runs += b->tallies.unnamed_runs;
}

static void forget_process(const struct model_process *process, void *arg)
{
	struct report *report = arg;
	struct entry *entry;

	HASH_FIND(hh, report->ended, &process->id, sizeof(process->id), entry);
	if (!entry)
		return;
	entry->process = NULL;
	entry->gone_ms = tracker_now_ms();
}

/* Keeps what has ended within its bounds. */
static int limit_ended(struct report *report)
{
	struct entry *entry, *next;
	uint64_t now = tracker_now_ms(), before = report->model->rest.processes;
	int err;

	err = model_fold_ended(report->model, report->ended_bytes, forget_process, report);
	if (report->model->rest.processes == before)
		return err;
	HASH_ITER(hh, report->ended, entry, next)
	{
		if (entry->process || now - entry->gone_ms < LATE_MS)
			continue;
		HASH_DEL(report->ended, entry);
		free(entry);
	}
	return err;
}

int report_fold(struct report *report, bool all)
{
	struct build b = build_of(report);
	struct folding f;
	int err;

	if (!report->tracker->unfolded)
		return 0;
	err = choose(report, &f, all);
	if (!err && f.count) {
		model_clear(report->model);
		err = fold_images(&b, &f);
		if (!err)
			fold_done(&b, &f);
		entries_free(&b.entries);
		if (!err)
			err = limit_ended(report);
	}
	free(f.images);
	return err;
}

static int build(struct build *b, bool final)
{
	struct session *session = b->tracker->session;
	struct timespec now;
	int err = report_fold(b->report, final);

	b->tallies = b->report->folded;
	if (!err)
		err = add_images(b);
	if (!err)
		err = session_each_stack(session, add_stack, b);
	if (!err)
		err = session_each_thread(session, add_thread, b);
	if (!err)
		err = session_each_line(session, add_line, b);
	if (!err)
		err = model_finish(b->model);
	clock_gettime(CLOCK_REALTIME, &now);
	b->model->end = now.tv_sec + now.tv_nsec / 1e9;
	return err;
}

struct model *report_build(struct report *report, bool final)
{
	struct build b = build_of(report);
	int err;

	model_clear(report->model);
	err = build(&b, final);
	if (!err) {
		if (!final)
			balance(&b);
		add_notes(&b);
		add_limit_notes(&b);
		add_line_notes(&b);
	}
	entries_free(&b.entries);
	errno = -err;
	return err ? NULL : report->model;
}
