/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A live session as a source of counts. Joins what the BPF side counted (session), the stacks and
 * code objects it sent (store), and what /proc said (images). It is here, and in tracker_take.c,
 * because this is the lowest folder that knows all three. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/proc.h"
#include "track/tracker_private.h"

struct handing {
	struct tracker *tracker;
	const struct counts_reader *reader;
	void *arg;
};

bool tracker_is_reported(const struct image *image)
{
	return !image->hidden && !image->dropped &&
	       (image->identified || (image->asked && !image->examined));
}

int tracker_hand_image(struct tracker *tracker, const struct image *image,
		       const struct pymem_proc *record, const struct counts_reader *reader,
		       void *arg)
{
	struct counts_death *death;
	int err = tracker_find_death(tracker, image, &death);
	const struct counts_image handed = {
		.id = image->id,
		.pid = image->pid,
		.ppid = image->ppid,
		.ns_pid = image->ns_pid,
		.comm = image->comm,
		.argv = image->argv,
		.cgroup = image->cgroup,
		.memory_group = image->memory_group,
		.memory_moved = image->memory_moved,
		.began = image->started,
		.python = image->python,
		.reason = image->reason,
		.root = &image->root,
		.record = record,
		.ended = image->dead,
		.held = image->held,
		.lines = image->lines,
		.functions = image->lines && session_counts_functions(tracker->session),
		.lines_late = image->lines_late,
		.lines_error = image->lines_error,
		.death = err ? NULL : death,
	};

	err = err ?: reader->image(&handed, arg);
	counts_free_death(death);
	return err;
}

static struct store_code *code_of(struct tracker *tracker, const struct image *image,
				  const struct pymem_msg_frame *frame)
{
	return store_code(&tracker->store, image->id, frame, &image->layout,
			  image->dead ? 0 : image->pid);
}

/* Finds the frame's place in the source. False: its code object never arrived. */
static bool find_frame(struct tracker *tracker, const struct image *image,
		       const struct pymem_msg_frame *frame, struct counts_frame *found)
{
	struct store_code *code = code_of(tracker, image, frame);

	if (!code)
		return false;
	*found = (struct counts_frame){
		.code = frame->code,
		.fingerprint = frame->fingerprint,
		.lasti = frame->lasti,
		.first_line = code->code.first_line,
		.file = code->code.file,
		.function = code->code.function,
	};
	found->line = store_line(&tracker->store, code, frame->lasti, &found->prologue);
	return true;
}

/* Why code objects of the stack are missing. */
static enum pymem_lack lack_of(struct tracker *tracker, const struct pymem_stack_key *key)
{
	struct pymem_stack value;

	if (!session_stack(tracker->session, key, &value) || value.announced ||
	    value.lacks >= PYMEM_LACK_COUNT)
		return PYMEM_LACK_RING;
	return value.lacks;
}

unsigned tracker_find_frames(struct tracker *tracker, const struct image *image,
			     const struct pymem_stack_key *key, struct counts_frame *frames,
			     unsigned most, bool *truncated)
{
	const struct store_stack *kept = store_stack(&tracker->store, key);
	unsigned depth = 0;

	while (kept && depth < kept->depth && depth < most &&
	       find_frame(tracker, image, &kept->frames[depth], &frames[depth]))
		depth++;
	*truncated = kept && (kept->truncated || depth < kept->depth);
	return depth;
}

/* Finds the frames of a stack. The innermost one must be known; if a caller is unknown, the stack
 * is cut there. */
static void find_frames(struct tracker *tracker, const struct image *image,
			struct counts_frame *frames, struct counts_stack *stack)
{
	const struct store_stack *kept = store_stack(&tracker->store, &stack->key);
	unsigned i;

	stack->frames = frames;
	stack->truncated = kept && kept->truncated;
	stack->thread = kept && kept->thread ? &kept->thread->told : NULL;
	for (i = 0; kept && i < kept->depth; i++) {
		if (!find_frame(tracker, image, &kept->frames[i], &frames[i])) {
			stack->truncated = true;
			break;
		}
		stack->depth++;
	}
	stack->cut = !kept || stack->depth < kept->depth;
	if (stack->cut)
		stack->lack = lack_of(tracker, &stack->key);
}

/* Fills in the system calls of a stack. False: there are none, or none are wanted. */
static bool find_calls(struct session *session, const struct pymem_stack_key *key,
		       enum hand_calls with, struct pymem_vmcalls *calls)
{
	if (with == HAND_TAKEN)
		return !session_take_vmcalls(session, key, calls);
	return with == HAND_READ && session_vmcalls(session, key, calls);
}

int tracker_hand_stack(struct tracker *tracker, const struct pymem_stack_key *key,
		       const struct pymem_counters *counters,
		       int (*fn)(const struct counts_stack *stack, void *arg), enum hand_calls with,
		       void *arg)
{
	const struct image *image = tracker_image(tracker, key->proc);
	struct counts_stack stack = {.key = *key, .counters = counters};
	struct counts_frame frames[PYMEM_MAX_FRAMES];
	struct pymem_vmcalls calls;

	/* For other images it is enough that the stack has arrived. */
	if (image && tracker_is_reported(image)) {
		find_frames(tracker, image, frames, &stack);
		if (find_calls(tracker->session, key, with, &calls))
			stack.vmcalls = &calls;
	}
	return fn(&stack, arg);
}

struct placing {
	int (*fn)(const struct counts_frame *innermost, void *arg);
	void *arg;
};

static int hand_place(const struct counts_stack *stack, void *arg)
{
	const struct placing *placing = arg;

	return placing->fn(stack->depth ? stack->frames : NULL, placing->arg);
}

int tracker_stack_place(struct tracker *tracker, const struct pymem_stack_key *key,
			int (*fn)(const struct counts_frame *innermost, void *arg), void *arg)
{
	static const struct pymem_counters none;
	struct placing placing = {fn, arg};

	return tracker_hand_stack(tracker, key, &none, hand_place, HAND_NONE, &placing);
}

int tracker_hand_line(struct tracker *tracker, const struct pymem_line_key *key,
		      const struct pymem_line *counted, const struct counts_reader *reader,
		      void *arg)
{
	const struct pymem_msg_frame frame = {.code = key->code, .fingerprint = key->fingerprint};
	const struct image *image = tracker_image(tracker, key->proc);
	struct counts_line line = {.image = key->proc, .counted = counted};
	struct counts_frame at;
	struct store_code *code;

	if (!image || !tracker_is_reported(image))
		return 0;
	code = code_of(tracker, image, &frame);
	if (code) {
		at = (struct counts_frame){.code = key->code,
					   .fingerprint = key->fingerprint,
					   .lasti = PYMEM_LASTI_UNKNOWN,
					   .line = key->line > 0 ? key->line
								 : store_first_line(code),
					   .first_line = code->code.first_line,
					   .file = code->code.file,
					   .function = code->code.function};
		line.at = &at;
	}
	return reader->line(&line, arg);
}

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *at = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash ^ hash >> 32;
}

static int add_to_digest(const struct pymem_proc *record, void *arg)
{
	uint64_t *digest = arg, hash = mix(0xcbf29ce484222325ull, &record->id, sizeof(record->id));

	hash = mix(hash, record->now_pages, sizeof(record->now_pages));
	hash = mix(hash, record->lost_pages, sizeof(record->lost_pages));
	hash = mix(hash, record->places, sizeof(record->places));
	hash = mix(hash, &record->truncated, sizeof(record->truncated));
	hash = mix(hash, &record->lost_stalls, sizeof(record->lost_stalls));
	hash = mix(hash, record->lost_extras, sizeof(record->lost_extras));
	hash = mix(hash, record->kernel_unkept, sizeof(record->kernel_unkept));
	/* A sum: the order of the records may change. */
	*digest += mix(hash, &record->lost_faults, sizeof(record->lost_faults));
	return 0;
}

/* True if stacks may have more than system calls that no other figure of theirs tells. */
static bool counts_more(const struct session *session)
{
	return session_counts_stalls(session) || session_extras(session);
}

static int add_stalls(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
		      void *arg)
{
	uint64_t *digest = arg, hash = mix(0xcbf29ce484222325ull, key, sizeof(*key));

	hash = mix(hash, vmcalls->extras, sizeof(vmcalls->extras));
	*digest += mix(hash, vmcalls->stalls, sizeof(vmcalls->stalls));
	return 0;
}

static int add_cached(const struct pymem_cached *place, const struct pymem_cache_file *file,
		      void *arg)
{
	uint64_t *digest = arg, hash = mix(0xcbf29ce484222325ull, &place->key, sizeof(place->key));

	(void)file;
	hash = mix(hash, &place->added, sizeof(place->added));
	*digest += mix(hash, &place->gone, sizeof(place->gone));
	return 0;
}

static int add_kernel(const struct pymem_stack_key *key, const struct pymem_kernel *sums, void *arg)
{
	uint64_t *digest = arg, hash = mix(0xcbf29ce484222325ull, key, sizeof(*key));

	*digest += mix(hash, sums, sizeof(*sums));
	return 0;
}

int tracker_digest(struct tracker *tracker, uint64_t *digest)
{
	const uint64_t own[] = {
		HASH_COUNT(tracker->images), tracker->unfinished, tracker->skip_count,
		tracker->more_skips,	     tracker->dropped,	  tracker->store.refused};

	*digest = mix(0xcbf29ce484222325ull, own, sizeof(own));
	int err = session_each_live(tracker->session, add_to_digest, digest);
	if (!err && counts_more(tracker->session))
		err = session_each_vmcalls(tracker->session, add_stalls, digest);
	return err
	       ?: session_each_cached(tracker->session, add_cached, digest)
	       ?: session_each_kernel(tracker->session, add_kernel, digest);
}

static int read_live(const struct pymem_proc *record, void *arg)
{
	struct handing *h = arg;
	const struct image *image = tracker_image(h->tracker, record->id);

	/* An image that is not known yet will be announced by a message. At the end none is
	 * missing. */
	return image && !image->dead && tracker_is_reported(image)
		       ? tracker_hand_image(h->tracker, image, record, h->reader, h->arg)
		       : 0;
}

/* Hands over images that are alive or have just ended. */
static int read_images(struct handing *h)
{
	struct image *image, *next;
	int err = session_each_live(h->tracker->session, read_live, h);

	if (err || !h->tracker->unfinished)
		return err;
	HASH_ITER(hh, h->tracker->images, image, next)
	{
		if (!err && image->dead && image->record.id && !image->finished &&
		    tracker_is_reported(image))
			err = tracker_hand_image(h->tracker, image, &image->record, h->reader,
						 h->arg);
	}
	return err;
}

static enum counts_want wanted(const struct handing *h, const struct pymem_stack_key *key,
			       const struct pymem_counters *counters, bool thread)
{
	return h->reader->wants ? h->reader->wants(key, counters, thread, h->arg) : COUNTS_ALL;
}

/* Hands over a stack whose frames the reader knows. */
static int hand_figures(const struct handing *h, const struct pymem_stack_key *key,
			const struct pymem_counters *counters)
{
	struct counts_stack stack = {.key = *key, .counters = counters};
	struct pymem_vmcalls calls;

	if (find_calls(h->tracker->session, key, HAND_READ, &calls))
		stack.vmcalls = &calls;
	return h->reader->stack(&stack, h->arg);
}

static int read_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct handing *h = arg;
	enum counts_want want = wanted(h, key, &stack->counters, false);
	const struct image *image;
	struct pymem_stack taken;
	int verdict;

	/* Most of thousands are as they were: no image is looked up for these. */
	if (want == COUNTS_NOTHING)
		return 0;
	image = tracker_image(h->tracker, key->proc);
	/* A late stack of an image that is finished: handed over once, with its last value. */
	if (image && image->finished) {
		verdict = session_take_stack(h->tracker->session, key, &taken);
		if (verdict)
			return verdict == -ENOENT ? 0 : verdict;
		stack = &taken;
	} else if (want == COUNTS_FIGURES) {
		return hand_figures(h, key, &stack->counters);
	}
	verdict = tracker_hand_stack(h->tracker, key, &stack->counters, h->reader->stack, HAND_READ,
				     h->arg);
	return verdict == COUNTS_TAKEN ? session_forget_stack(h->tracker->session, key) : verdict;
}

static int read_stalls(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
		       void *arg)
{
	const struct handing *h = arg;

	h->reader->stalled(key, vmcalls, h->arg);
	return 0;
}

static int read_thread(const struct pymem_collected *thread, void *arg)
{
	struct handing *h = arg;
	const struct counts_stack figures = {.key = thread->key, .counters = &thread->counters};
	enum counts_want want = wanted(h, &thread->key, &thread->counters, true);

	if (want == COUNTS_NOTHING)
		return 0;
	if (want == COUNTS_FIGURES)
		return h->reader->thread(&figures, h->arg);
	return tracker_hand_stack(h->tracker, &thread->key, &thread->counters, h->reader->thread,
				  HAND_NONE, h->arg);
}

static int read_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg)
{
	struct handing *h = arg;

	return tracker_hand_line(h->tracker, key, counted, h->reader, h->arg);
}

static int read_counts(void *self, const struct counts_reader *reader, void *arg)
{
	struct handing h = {self, reader, arg};
	struct session *session = h.tracker->session;
	int err = read_images(&h);

	if (err || !reader->stack)
		return err;
	err = reader->changes
		      ? session_each_changed_stack(session, !reader->changes(arg), read_stack, &h)
		      : session_each_stack(session, read_stack, &h);
	if (!err && reader->stalled && counts_more(session))
		err = session_each_vmcalls(session, read_stalls, &h);
	if (!err)
		err = tracker_read_cached(h.tracker, reader, arg)
			      ?: tracker_read_kernel(h.tracker, reader, arg);
	if (!err)
		err = session_each_thread(session, read_thread, &h);
	if (!err)
		err = session_each_line(session, read_line, &h);
	return err;
}

static bool is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);

	(void)self;
	return proc_start_ticks(pid) == start_boottime_ns / tick_ns;
}

static void get_facts(void *self, struct counts_facts *facts)
{
	const struct tracker *t = self;

	*facts = (struct counts_facts){
		.end = clock_seconds(CLOCK_REALTIME),
		.dropped_images = session_dropped_images(t->session),
		.dropped_messages = session_dropped_messages(t->session),
		.unexamined = t->unexamined,
		.unexamined_comms = t->unexamined_comms,
		.unseen = t->unseen,
		.copies_error = t->copies_error,
		.no_faults = !session_counts_faults(t->session),
		.no_copies = t->copies_error || !session_counts_copies(t->session),
		.stalls = session_counts_stalls(t->session),
		.cache = session_counts_cache(t->session),
		.extras = session_extras(t->session),
		.huge_page_bytes = session_huge_page_bytes(t->session),
		.kernel = session_counts_kernel(t->session),
		.malformed = t->store.malformed,
		.refused = t->store.refused,
		.image_bytes = t->store.image_bytes,
		.all_bytes = t->store.all_bytes,
		.no_memory = t->store.no_memory,
		.gaps = t->store.gaps,
		.more_skips = t->more_skips,
		.skips_most = TRACKER_SKIPS_MAX,
		.skips = t->skips,
		.unwatched = t->unwatched,
		.groups = t->groups,
	};
	facts->functions = session_counts_functions(t->session);
	for (int i = 0; i < PYMEM_LINE_MISS_COUNT; i++)
		facts->line_misses[i] = session_line_misses(t->session, i);
}

struct told { /* passes the texts of session_each_dropped() on as notes */
	void (*fn)(const char *text, void *arg);
	void *arg;
};

static void tell_dropped(uint64_t events, const char *dropped, void *arg)
{
	const struct told *told = arg;
	char text[256];

	if (!events)
		return;
	snprintf(text, sizeof(text), "%llu %s", (unsigned long long)events, dropped);
	told->fn(text, told->arg);
}

static void each_note(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		      void *arg)
{
	const struct tracker *tracker = self;
	struct told told = {fn, arg};

	switch (which) {
	case COUNTS_NOTE_KERNEL:
		session_each_note(tracker->session, fn, arg);
		break;
	case COUNTS_NOTE_EVENTS:
		session_each_dropped(tracker->session, tell_dropped, &told);
		tracker_each_shed(tracker, fn, arg);
		break;
	case COUNTS_NOTE_PROBES:
		if (tracker->probes)
			probes_each_refusal(tracker->probes, fn, arg);
		break;
	}
}

struct counts tracker_counts(struct tracker *tracker)
{
	static const struct counts_ops ops = {
		.read = read_counts,
		.take_ended = tracker_take_counts,
		.is_running = is_running,
		.facts = get_facts,
		.each_note = each_note,
		.each_touched = tracker_each_touched,
		.each_first = tracker_each_first,
	};

	return (struct counts){&ops, tracker};
}
