/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a process that took 500 MiB when it started and has leaked 20 since is to be reported by
 * the line that leaks. Figures are sums since the process was met. So they are noted from time to
 * time, packed as in a recording, and what was noted is taken off.
 *
 * A report is made of a source of counts. Here that is the live one, of which nothing passes but
 * one image and its stacks. */
#include "agent/alarm_base.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "record/amounts.h"
#include "report/report.h"

struct base_image {
	uint32_t id;
	__s64 pages[PYMEM_MEMBERS], lost_pages[PYMEM_LOSS_COUNT];
	uint64_t peak_pages, truncated, lost_faults;
	UT_hash_handle hh;
};

struct alarm_base {
	double time;
	struct base_image *images;
	struct amounts_buffer rows; /* of stacks: hash, image, figures */
};

/* --- taking --- */

static int take_image(const struct counts_image *image, void *arg)
{
	const struct pymem_proc *record = image->record;
	struct alarm_base *base = arg;
	struct base_image *added;

	if (image->ended || alarm_base_has(base, image->id))
		return 0;
	added = calloc(1, sizeof(*added));
	if (!added)
		return -ENOMEM;
	added->id = image->id;
	for (int i = 0; i < PYMEM_MEMBERS; i++)
		added->pages[i] = record->now_pages[i];
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		added->lost_pages[i] = record->lost_pages[i];
	added->peak_pages = record->peak_pages;
	added->truncated = record->truncated;
	added->lost_faults = record->lost_faults;
	if (!HASH_INSERT(base->images, id, added))
		return 0;
	free(added);
	return -ENOMEM;
}

/* Stacks of images that have ended belong to the recorder: it must be the one to take them. */
static enum counts_want wants_running(const struct pymem_stack_key *key,
				      const struct pymem_counters *counters, bool thread, void *arg)
{
	(void)counters;
	(void)thread;
	return alarm_base_has(arg, key->proc) ? COUNTS_FIGURES : COUNTS_NOTHING;
}

static int take_stack(const struct counts_stack *stack, void *arg)
{
	struct alarm_base *base = arg;
	struct amounts amounts;

	amounts_of_stack(&amounts, stack->counters, stack->vmcalls);
	if (!amounts_none(&amounts))
		amounts_put(&base->rows, stack->key.hash, stack->key.proc, &amounts);
	return base->rows.failed ? -ENOMEM : COUNTS_LEFT;
}

static int no_line(const struct counts_line *line, void *arg)
{
	(void)line;
	(void)arg;
	return 0;
}

struct alarm_base *alarm_base_take(struct counts counts)
{
	static const struct counts_reader reader = {
		.image = take_image,
		.stack = take_stack,
		.thread = take_stack,
		.line = no_line,
		.wants = wants_running,
	};
	struct alarm_base *base = calloc(1, sizeof(*base));
	int err;

	if (!base)
		return NULL;
	base->time = clock_seconds(CLOCK_REALTIME);
	err = counts.ops->read(counts.self, &reader, base);
	if (!err)
		return base;
	alarm_base_free(base);
	errno = -err;
	return NULL;
}

void alarm_base_free(struct alarm_base *base)
{
	struct base_image *image, *next;

	if (!base)
		return;
	HASH_ITER(hh, base->images, image, next)
	{
		HASH_DEL(base->images, image);
		free(image);
	}
	free(base->rows.bytes);
	free(base);
}

double alarm_base_time(const struct alarm_base *base)
{
	return base->time;
}

static const struct base_image *find_image(const struct alarm_base *base, uint32_t id)
{
	struct base_image *image = NULL;

	if (base)
		HASH_FIND(hh, base->images, &id, sizeof(id), image);
	return image;
}

bool alarm_base_has(const struct alarm_base *base, uint32_t image)
{
	return find_image(base, image);
}

int64_t alarm_base_rss(const struct alarm_base *base, uint32_t image)
{
	const struct base_image *found = find_image(base, image);

	return found ? counts_rss_pages(found->pages) : 0;
}

/* --- what came since --- */

/* Of a stack of the image: with what threads have collected for it. A thread may add that to the
 * stack at any time, so only sums can be compared. */
struct noted {
	uint64_t hash;
	struct amounts before, now;
	bool passed;
	UT_hash_handle hh;
};

struct since { /* a source of counts */
	struct counts counts;
	const struct base_image *image; /* NULL: of all its time */
	uint32_t id;
	struct noted *noted;
	const struct counts_reader *reader; /* of the reading that goes on */
	void *reader_arg;
};

static void free_noted(struct since *s)
{
	struct noted *noted, *next;

	HASH_ITER(hh, s->noted, noted, next)
	{
		HASH_DEL(s->noted, noted);
		free(noted);
	}
}

/* The sums of a stack. NULL: out of memory. */
static struct noted *noted_of(struct since *s, uint64_t hash)
{
	struct noted *noted;

	HASH_FIND(hh, s->noted, &hash, sizeof(hash), noted);
	if (noted)
		return noted;
	noted = calloc(1, sizeof(*noted));
	if (!noted)
		return NULL;
	noted->hash = hash;
	if (!HASH_INSERT(s->noted, hash, noted))
		return noted;
	free(noted);
	return NULL;
}

/* What was before. 0 or -ENOMEM. */
static int find_noted(struct since *s, const struct alarm_base *base)
{
	struct amounts_reader reader = {};
	struct amounts amounts;
	struct noted *noted;
	uint64_t hash, id;

	if (!base || !s->image || !base->rows.size)
		return 0;
	reader.at = base->rows.bytes;
	reader.end = reader.at + base->rows.size;
	while (amounts_next(&reader, &hash, &id, &amounts)) {
		if (id != s->id)
			continue;
		noted = noted_of(s, hash);
		if (!noted)
			return -ENOMEM;
		amounts_add(AMOUNTS_STACKS, &noted->before, &amounts);
	}
	return 0;
}

static int sum_image(const struct counts_image *image, void *arg)
{
	(void)image;
	(void)arg;
	return 0;
}

static int sum_stack(const struct counts_stack *stack, void *arg)
{
	struct noted *noted = noted_of(arg, stack->key.hash);
	struct amounts amounts;

	if (!noted)
		return -ENOMEM;
	amounts_of_stack(&amounts, stack->counters, stack->vmcalls);
	amounts_add(AMOUNTS_STACKS, &noted->now, &amounts);
	return COUNTS_LEFT;
}

static enum counts_want wants_figures(const struct pymem_stack_key *key,
				      const struct pymem_counters *counters, bool thread, void *arg)
{
	const struct since *s = arg;

	(void)counters;
	(void)thread;
	return key->proc == s->id ? COUNTS_FIGURES : COUNTS_NOTHING;
}

static int pass_image(const struct counts_image *image, void *arg)
{
	struct since *s = arg;
	struct counts_image changed = *image;
	struct pymem_proc record = *image->record;

	if (image->id != s->id)
		return 0;
	changed.record = &record;
	if (s->image) {
		const struct base_image *before = s->image;
		int64_t now = counts_rss_pages(record.now_pages);
		int64_t then = counts_rss_pages(before->pages);

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
	}
	return s->reader->image(&changed, s->reader_arg);
}

static enum counts_want wants_image(const struct pymem_stack_key *key,
				    const struct pymem_counters *counters, bool thread, void *arg)
{
	const struct since *s = arg;

	(void)counters;
	(void)thread;
	return key->proc == s->id ? COUNTS_ALL : COUNTS_NOTHING;
}

/* Passes on what came since, if that is anything, once. 0 or -errno. */
static int pass_change(struct since *s, const struct counts_stack *stack,
		       int (*fn)(const struct counts_stack *stack, void *arg))
{
	struct counts_stack changed = *stack;
	struct pymem_counters counters;
	struct pymem_vmcalls vmcalls;
	struct amounts change;
	struct noted *noted;
	int verdict;

	HASH_FIND(hh, s->noted, &stack->key.hash, sizeof(noted->hash), noted);
	if (!noted || noted->passed) /* or it is new since the sums were made */
		return 0;
	noted->passed = true;
	amounts_change(AMOUNTS_STACKS, &change, &noted->before, &noted->now);
	/* What was not read in one moment may be less than before. */
	amounts_raise(&change);
	if (amounts_none(&change))
		return 0;
	amounts_to_stack(&change, &counters, &vmcalls);
	changed.counters = &counters;
	changed.vmcalls = &vmcalls;
	changed.peak_before_pages = (uint64_t)noted->before.at[STACK_PEAK];
	verdict = fn(&changed, s->reader_arg);
	return verdict < 0 ? verdict : COUNTS_LEFT;
}

static int pass_stack(const struct counts_stack *stack, void *arg)
{
	struct since *s = arg;

	return pass_change(s, stack, s->reader->stack);
}

static int pass_thread(const struct counts_stack *stack, void *arg)
{
	struct since *s = arg;

	return pass_change(s, stack, s->reader->thread);
}

/* Twice: frames are valid during a call only, and sums are known at the end. */
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
		.wants = wants_image,
	};
	struct since *s = self;
	int err = s->counts.ops->read(s->counts.self, &summing, s);

	s->reader = reader;
	s->reader_arg = arg;
	return err ?: s->counts.ops->read(s->counts.self, &passing, s);
}

static int take_nothing(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	(void)self;
	(void)all;
	(void)reader;
	(void)arg;
	return 0;
}

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

struct model *alarm_base_report(struct counts counts, const struct alarm_base *base, uint32_t image,
				double start, struct report **report)
{
	static const struct counts_ops ops = {
		.read = read_since,
		.take_ended = take_nothing,
		.is_running = is_running,
		.facts = get_facts,
		.each_note = each_note,
	};
	struct since since = {.counts = counts, .image = find_image(base, image), .id = image};
	struct model *model = NULL;
	int err;

	/* It began after that time: all that it did came since. */
	*report = report_new((struct counts){&ops, &since}, since.image ? base->time : start, 0,
			     false);
	err = *report ? find_noted(&since, base) : -ENOMEM;
	if (!err) {
		model = report_build(*report, false);
		err = model ? 0 : -errno;
	}
	/* From now on the report is only read and freed: it does not ask `since` again. */
	free_noted(&since);
	errno = -err;
	return model;
}
