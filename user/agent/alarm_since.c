/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a report is made of a source of counts, which has sums since each process was met. Here
 * that is the live one, less what a base has.
 *
 * A thread adds what it has collected to its stack at any time. So only the sums of both can be
 * compared, and the source is read twice: frames are valid during a call only, and sums are known
 * at the end. Of tens of thousands of stacks few change in some seconds: only these have their
 * figures unpacked, and only their frames are found. */
#include "agent/alarm_since.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

struct since_key {
	uint64_t hash, image; /* no bytes in between */
};

struct since_stack {
	struct since_key key;
	size_t at;	      /* 1 + where its first row in the base is; 0: it has none */
	struct amounts *more; /* of its other rows, added up; NULL: none */
	struct amounts *now;  /* as it was read; NULL: not yet, or as before */
	bool same;	      /* it was read, and was as before */
	bool passed;	      /* what was before has been taken off */
	UT_hash_handle hh;
};

struct since_image {
	uint32_t id;
	UT_hash_handle hh;
};

static struct since_stack *find(const struct since *s, const struct pymem_stack_key *key)
{
	const struct since_key ours = {key->hash, key->proc};
	struct since_stack *stack;

	HASH_FIND(hh, s->stacks, &ours, sizeof(ours), stack);
	return stack;
}

/* NULL: out of memory. */
static struct since_stack *add(struct since *s, const struct since_key *key)
{
	struct since_stack *stack;

	HASH_FIND(hh, s->stacks, key, sizeof(*key), stack);
	if (stack)
		return stack;
	stack = calloc(1, sizeof(*stack));
	if (!stack)
		return NULL;
	stack->key = *key;
	if (!HASH_INSERT(s->stacks, key, stack))
		return stack;
	free(stack);
	return NULL;
}

/* Makes `*to` a copy if there is none, and adds to it otherwise. 0 or -ENOMEM. */
static int add_up(struct amounts **to, const struct amounts *amounts)
{
	if (*to) {
		amounts_add(AMOUNTS_STACKS, *to, amounts);
		return 0;
	}
	*to = malloc(sizeof(**to));
	if (!*to)
		return -ENOMEM;
	**to = *amounts;
	return 0;
}

static void get_before(const struct since *s, const struct since_stack *stack,
		       struct amounts *before)
{
	struct amounts_reader reader = {};
	uint64_t hash, image;

	*before = (struct amounts){};
	if (stack && stack->at) {
		reader.at = s->base->rows.bytes + stack->at - 1;
		reader.end = s->base->rows.bytes + s->base->rows.size;
		/* It is what was written there. */
		amounts_next(&reader, &hash, &image, before);
	}
	if (stack && stack->more)
		amounts_add(AMOUNTS_STACKS, before, stack->more);
}

/* --- begin and end --- */

static int add_row(struct since *s, const struct since_key *key, size_t at,
		   const struct amounts *amounts)
{
	struct since_stack *stack;

	if (s->only && key->image != s->only)
		return 0;
	stack = add(s, key);
	if (!stack)
		return -ENOMEM;
	if (stack->at)
		return add_up(&stack->more, amounts);
	stack->at = at + 1;
	return 0;
}

int since_begin(struct since *s, struct counts counts, const struct alarm_base *base, uint32_t only)
{
	struct amounts_reader reader = {};
	struct amounts amounts;
	struct since_key key;
	size_t at = 0;
	int err = 0;

	*s = (struct since){.counts = counts, .base = base, .only = only};
	if (!base || !base->rows.size)
		return 0;
	reader.at = base->rows.bytes;
	reader.end = reader.at + base->rows.size;
	while (!err && amounts_next(&reader, &key.hash, &key.image, &amounts)) {
		err = add_row(s, &key, at, &amounts);
		at = (size_t)(reader.at - base->rows.bytes);
	}
	return err;
}

static void forget_reading(struct since *s)
{
	struct since_image *image, *next_image;
	struct since_stack *stack;

	HASH_ITER(hh, s->read, image, next_image)
	{
		HASH_DEL(s->read, image);
		free(image);
	}
	for (stack = s->stacks; stack; stack = stack->hh.next) {
		free(stack->now);
		stack->now = NULL;
		stack->same = false;
	}
}

void since_fini(struct since *s)
{
	struct since_stack *stack, *next;

	forget_reading(s);
	HASH_ITER(hh, s->stacks, stack, next)
	{
		HASH_DEL(s->stacks, stack);
		free(stack->more);
		free(stack);
	}
	*s = (struct since){};
}

/* --- the first reading: sums --- */

/* What had ended was there before, as a whole. */
static bool is_ours(const struct since *s, uint32_t id)
{
	const struct base_image *before = alarm_base_image(s->base, id);

	return (!s->only || id == s->only) && !(before && before->ended);
}

static int sum_image(const struct counts_image *image, void *arg)
{
	struct since *s = arg;
	struct since_image *added;

	HASH_FIND(hh, s->read, &image->id, sizeof(image->id), added);
	if (added || !is_ours(s, image->id))
		return 0;
	added = calloc(1, sizeof(*added));
	if (!added)
		return -ENOMEM;
	added->id = image->id;
	if (!HASH_INSERT(s->read, id, added))
		return 0;
	free(added);
	return -ENOMEM;
}

/* Others' stacks are left alone: late ones of images that were taken would be taken by asking. */
static enum counts_want wants_figures(const struct pymem_stack_key *key,
				      const struct pymem_counters *counters, bool thread, void *arg)
{
	const struct since *s = arg;
	const struct since_image *image;
	const uint32_t id = key->proc;

	(void)counters;
	(void)thread;
	HASH_FIND(hh, s->read, &id, sizeof(id), image);
	return image ? COUNTS_FIGURES : COUNTS_NOTHING;
}

static int sum_stack(const struct counts_stack *given, void *arg)
{
	struct since *s = arg;
	const struct since_key key = {given->key.hash, given->key.proc};
	struct since_stack *stack = add(s, &key);
	struct amounts amounts, before;
	int err = stack ? 0 : -ENOMEM;

	if (err)
		return err;
	amounts_of_stack(&amounts, given->counters, given->vmcalls);
	if (!stack->now) {
		get_before(s, stack, &before);
		if (!stack->same && !memcmp(&amounts, &before, sizeof(before))) {
			stack->same = true;
			return COUNTS_LEFT;
		}
		if (stack->same)
			err = add_up(&stack->now, &before);
	}
	return err ?: add_up(&stack->now, &amounts) ?: COUNTS_LEFT;
}

static int no_line(const struct counts_line *line, void *arg)
{
	(void)line;
	(void)arg;
	return 0;
}

/* --- the second reading --- */

/* Passes on an image as one that began at the base's time. */
static int change_image(struct since *s, const struct counts_image *image)
{
	const struct base_image *before = alarm_base_image(s->base, image->id);
	struct counts_image changed = *image;
	struct pymem_proc record = *image->record;
	int64_t now, then;

	if (!is_ours(s, image->id))
		return 0;
	if (!before)
		return s->reader->image(image, s->reader_arg);
	changed.record = &record;
	now = counts_rss_pages(record.now_pages);
	then = counts_rss_pages(before->pages);
	for (int i = 0; i < PYMEM_MEMBERS; i++)
		record.start_pages[i] = before->pages[i];
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		record.lost_pages[i] -= before->lost_pages[i];
	record.truncated -= before->truncated;
	record.lost_faults -= before->lost_faults;
	/* It was as high before: how high it was since then is not known. */
	if (record.peak_pages <= before->peak_pages) {
		record.peak_pages = (uint64_t)(now > then ? now : then);
		changed.peak_at_least = true;
	}
	return s->reader->image(&changed, s->reader_arg);
}

static int pass_image(const struct counts_image *image, void *arg)
{
	return change_image(arg, image);
}

static enum counts_want wants_changed(const struct pymem_stack_key *key,
				      const struct pymem_counters *counters, bool thread, void *arg)
{
	const struct since_stack *stack = find(arg, key);

	(void)counters;
	(void)thread;
	/* Or it is new since the sums were made. */
	return stack && stack->now && !stack->passed ? COUNTS_ALL : COUNTS_NOTHING;
}

/* Passes on the difference, if there is one. 0 or -errno. */
static int pass_change(struct since *s, const struct counts_stack *stack,
		       const struct amounts *before, const struct amounts *now,
		       int (*fn)(const struct counts_stack *stack, void *arg))
{
	struct counts_stack changed = *stack;
	struct pymem_counters counters;
	struct pymem_vmcalls vmcalls;
	struct amounts change;
	int verdict;

	amounts_change(AMOUNTS_STACKS, &change, before, now);
	/* What was not read in one moment may be less than before. */
	amounts_raise(&change);
	if (amounts_none(&change))
		return 0;
	amounts_to_stack(&change, &counters, &vmcalls);
	changed.counters = &counters;
	changed.vmcalls = &vmcalls;
	changed.peak_before_pages = (uint64_t)before->at[STACK_PEAK];
	verdict = fn(&changed, s->reader_arg);
	return verdict < 0 ? verdict : COUNTS_LEFT;
}

/* Passes on what came since, once. 0 or -errno. */
static int pass_once(struct since *s, const struct counts_stack *given,
		     int (*fn)(const struct counts_stack *stack, void *arg))
{
	struct since_stack *stack = find(s, &given->key);
	struct amounts before;

	if (!stack || !stack->now || stack->passed)
		return 0;
	get_before(s, stack, &before);
	stack->passed = true;
	return pass_change(s, given, &before, stack->now, fn);
}

static int pass_stack(const struct counts_stack *stack, void *arg)
{
	struct since *s = arg;

	return pass_once(s, stack, s->reader->stack);
}

static int pass_thread(const struct counts_stack *stack, void *arg)
{
	struct since *s = arg;

	return pass_once(s, stack, s->reader->thread);
}

static int read_since(void *self, const struct counts_reader *reader, void *arg)
{
	static const struct counts_reader summing = {
		.image = sum_image,
		.stack = sum_stack,
		.thread = sum_stack,
		.line = no_line,
		.wants = wants_figures,
	};
	static const struct counts_reader passing = {
		.image = pass_image,
		.stack = pass_stack,
		.thread = pass_thread,
		.line = no_line,
		.wants = wants_changed,
	};
	struct since *s = self;
	int err;

	forget_reading(s);
	err = s->counts.ops->read(s->counts.self, &summing, s);
	s->reader = reader;
	s->reader_arg = arg;
	err = err ?: s->counts.ops->read(s->counts.self, &passing, s);
	forget_reading(s);
	return err;
}

/* --- what has ended --- */

static int take_ended(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	struct since *s = self;

	(void)all;
	s->reader = reader;
	s->reader_arg = arg;
	return s->take ? s->take(s->take_arg) : 0;
}

int since_take_image(struct since *s, const struct counts_image *image)
{
	return change_image(s, image);
}

int since_take_stack(struct since *s, const struct counts_stack *given)
{
	struct since_stack *stack = find(s, &given->key);
	struct amounts before = {}, now;
	int err;

	if (!is_ours(s, given->key.proc))
		return 0;
	/* A stack that comes once more has only what was added after it was taken. */
	if (stack && !stack->passed) {
		get_before(s, stack, &before);
		stack->passed = true;
	}
	amounts_of_stack(&now, given->counters, given->vmcalls);
	err = pass_change(s, given, &before, &now, s->reader->stack);
	return err < 0 ? err : 0;
}

/* --- the rest of a source --- */

static bool is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	const struct since *s = self;

	return s->counts.ops->is_running(s->counts.self, pid, start_boottime_ns);
}

/* Without what is of the whole host: other processes. */
static void get_facts(void *self, struct counts_facts *facts)
{
	const struct since *s = self;

	s->counts.ops->facts(s->counts.self, facts);
	facts->dropped_images = 0;
	facts->unexamined = facts->unseen = 0;
	facts->more_skips = 0;
	facts->skips = NULL;
	facts->unwatched = NULL;
}

static void each_note(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		      void *arg)
{
	const struct since *s = self;

	s->counts.ops->each_note(s->counts.self, which, fn, arg);
}

struct counts since_counts(struct since *s)
{
	static const struct counts_ops ops = {
		.read = read_since,
		.take_ended = take_ended,
		.is_running = is_running,
		.facts = get_facts,
		.each_note = each_note,
	};

	return (struct counts){&ops, s};
}

struct model *alarm_base_report(struct counts counts, const struct alarm_base *base, uint32_t image,
				double start, struct report **report)
{
	/* What began after that time did all of it since. */
	const struct alarm_base *of = alarm_base_has(base, image) ? base : NULL;
	struct since since;
	struct model *model = NULL;
	int err = since_begin(&since, counts, of, image);

	*report = err ? NULL : report_new(since_counts(&since), of ? of->time : start, 0, false);
	err = err ?: *report ? 0 : -ENOMEM;
	if (!err) {
		model = report_build(*report, false);
		err = model ? 0 : -errno;
	}
	/* From now on the report is only read and freed: it does not ask `since` again. */
	since_fini(&since);
	errno = -err;
	return model;
}
