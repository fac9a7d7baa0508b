/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A window of a recording as a source of counts: report/ makes of it what it makes of a live
 * session. Images that had ended are taken, the others are read, as it was when the recording was
 * made; so notes come in the same order, too. */
#include <errno.h>
#include <string.h>

#include "record/recording_private.h"

#define RESIDENT_MOST (1ull << 32) /* pages of an image */

struct playing {
	struct recording *recording;
	const struct counts_reader *reader;
	void *arg;
	bool ended; /* images that have ended; else the others */
};

static const struct played_image *image_of(const struct playing *p, uint32_t id)
{
	struct played_image *image;

	HASH_FIND(hh, p->recording->images, &id, sizeof(id), image);
	return image && image->wanted && image->image.ended == p->ended ? image : NULL;
}

static void play_frame(const struct recording *r, uint32_t number, struct counts_frame *frame)
{
	const struct played_frame *from = &r->frames[number - 1];

	*frame = (struct counts_frame){
		.lasti = PYMEM_LASTI_UNKNOWN,
		.line = from->line,
		.first_line = from->first_line,
		.prologue = from->prologue,
		.file = from->file,
		.function = from->function,
	};
}

/* A stack of the recording, while it is played. */
struct played_stack {
	struct counts_frame frames[PYMEM_MAX_FRAMES]; /* innermost first */
	unsigned depth;
	struct counts_thread thread;
	const struct counts_thread *told; /* `thread`; NULL: unknown */
};

/* The frames of a node, and the thread of the image that ran them. */
static void play_node(const struct recording *r, uint32_t image, uint32_t node,
		      struct played_stack *played)
{
	const struct played_frame *from;

	played->depth = 0;
	played->told = NULL;
	for (; node; node = r->nodes[node - 1].parent) {
		from = &r->frames[r->nodes[node - 1].frame - 1];
		if (from->thread) {
			recording_thread(r, image, from, &played->thread);
			played->told = &played->thread;
			return;
		}
		if (played->depth == PYMEM_MAX_FRAMES)
			return;
		play_frame(r, r->nodes[node - 1].frame, &played->frames[played->depth++]);
	}
}

unsigned recording_frames(const struct recording *r, uint32_t node, struct counts_frame *frames,
			  unsigned most)
{
	unsigned depth = 0;

	for (; node && depth < most; node = r->nodes[node - 1].parent) {
		if (r->frames[r->nodes[node - 1].frame - 1].thread)
			break;
		play_frame(r, r->nodes[node - 1].frame, &frames[depth++]);
	}
	return depth;
}

static bool has_calls(const struct pymem_vmcalls *calls)
{
	for (int i = 0; i < PYMEM_VMCALL_COUNT; i++)
		if (calls->calls[i] || calls->bytes[i])
			return true;
	for (int i = 0; i < PYMEM_STALL_COUNT; i++)
		if (calls->stalls[i] || calls->stall_ns[i])
			return true;
	for (int i = 0; i < PYMEM_EXTRA_COUNT; i++)
		if (calls->extras[i])
			return true;
	return calls->reclaimed_pages;
}

static int play_stack(const struct playing *p, const struct played_row *row)
{
	struct played_stack played;
	struct pymem_counters counters;
	struct pymem_vmcalls calls;
	uint32_t flags = row->key.flags;
	struct counts_stack stack = {
		.key = {.proc = row->key.image, .hash = row->key.id},
		.frames = played.frames,
		.truncated = flags & STACK_TRUNCATED,
		.cut = flags & STACK_CUT,
		.lack = (enum pymem_lack)((flags >> STACK_LACK_SHIFT & 31) % PYMEM_LACK_COUNT),
		.counters = &counters,
		.peak_before_pages = (uint64_t)row->peak_before,
	};
	int verdict;

	if (amounts_none(&row->amounts) && !(flags & STACK_EMPTY && p->recording->whole))
		return 0;
	play_node(p->recording, row->key.image, row->key.id, &played);
	stack.depth = played.depth;
	stack.thread = played.told;
	amounts_to_stack(&row->amounts, &counters, &calls);
	if (has_calls(&calls))
		stack.vmcalls = &calls;
	verdict = p->reader->stack(&stack, p->arg);
	return verdict < 0 ? verdict : 0;
}

static int play_run(const struct playing *p, const struct played_row *row)
{
	struct counts_line line = {.image = row->key.image,
				   .peak_before_pages = (uint64_t)row->peak_before,
				   .usage_before_pages = (uint64_t)row->usage_before};
	struct counts_frame frame;
	struct pymem_line counted;

	if (amounts_none(&row->amounts))
		return 0;
	amounts_to_run(&row->amounts, &counted);
	line.counted = &counted;
	if (row->key.id) {
		play_frame(p->recording, row->key.id, &frame);
		line.at = &frame;
	}
	return p->reader->line(&line, p->arg);
}

/* In a part, what moved to frames that became known later began before it. */
static uint64_t not_less(int64_t pages)
{
	return pages > 0 ? (uint64_t)pages : 0;
}

static int play_cached(const struct playing *p, const struct played_row *row)
{
	static const struct pymem_counters none;
	struct played_stack played;
	struct counts_stack stack = {.key = {.proc = row->key.image, .hash = row->key.id},
				     .frames = played.frames,
				     .counters = &none};
	uint32_t text = row->key.flags >> CACHED_TEXT_SHIFT, loss = row->key.flags & CACHED_LOSS;
	const int64_t *at = row->amounts.at;
	const struct counts_cached cached = {
		.stack = &stack,
		.loss = loss ? (enum pymem_loss)(loss - 1) : PYMEM_LOSS_UNDELIVERED,
		.path = text ? p->recording->texts[text - 1] : NULL,
		.deleted = row->key.flags & CACHED_DELETED,
		.added_pages = not_less(at[CACHED_ADDED]),
		.gone_pages = not_less(at[CACHED_GONE]),
		.unknown_pages = not_less(at[CACHED_UNKNOWN]),
		.own_pages = not_less(at[CACHED_OWN]),
		.other_pages = not_less(at[CACHED_OTHER]),
	};

	if (amounts_none(&row->amounts) || !p->reader->cached)
		return 0;
	play_node(p->recording, row->key.image, row->key.id, &played);
	stack.depth = played.depth;
	return p->reader->cached(&cached, p->arg);
}

static int play_kernel(const struct playing *p, const struct played_row *row)
{
	static const struct pymem_counters none;
	struct played_stack played;
	struct counts_stack stack = {.key = {.proc = row->key.image, .hash = row->key.id},
				     .frames = played.frames,
				     .counters = &none};
	uint32_t loss = row->key.flags & KERNEL_LOSS;
	struct counts_kernel kernel = {
		.stack = &stack,
		.loss = loss ? (enum pymem_loss)(loss - 1) : PYMEM_LOSS_UNDELIVERED,
	};

	if (amounts_none(&row->amounts) || !p->reader->kernel)
		return 0;
	amounts_to_kernel(&row->amounts, &kernel.sums);
	play_node(p->recording, row->key.image, row->key.id, &played);
	stack.depth = played.depth;
	return p->reader->kernel(&kernel, p->arg);
}

static int play(const struct playing *p)
{
	const struct played_image *image;
	const struct played_row *row;
	int err = 0;

	for (image = p->recording->images; image && !err; image = image->hh.next)
		if (image->wanted && image->image.ended == p->ended)
			err = p->reader->image(&image->image, p->arg);
	for (row = p->recording->rows; row && !err; row = row->hh.next)
		if (row->key.kind == AMOUNTS_STACKS && image_of(p, row->key.image))
			err = play_stack(p, row);
	for (row = p->recording->rows; row && !err; row = row->hh.next)
		if (row->key.kind == AMOUNTS_CACHED && image_of(p, row->key.image))
			err = play_cached(p, row);
	for (row = p->recording->rows; row && !err; row = row->hh.next)
		if (row->key.kind == AMOUNTS_KERNEL && image_of(p, row->key.image))
			err = play_kernel(p, row);
	for (row = p->recording->rows; row && !err; row = row->hh.next)
		if (row->key.kind == AMOUNTS_RUNS && image_of(p, row->key.image))
			err = play_run(p, row);
	return err;
}

/* What came after the end of an image. */
static int play_lates(const struct playing *p)
{
	const struct played_image *image;
	int verdict = 0;

	for (image = p->recording->images; image && verdict >= 0; image = image->hh.next) {
		const struct pymem_counters counters = {.pages = {[PYMEM_ANON] = image->late}};
		const struct counts_stack stack = {.key = {.proc = image->image.id},
						   .counters = &counters};

		if (image->late && image->wanted && image->image.ended)
			verdict = p->reader->stack(&stack, p->arg);
	}
	return verdict < 0 ? verdict : 0;
}

static int read_counts(void *self, const struct counts_reader *reader, void *arg)
{
	struct playing p = {.recording = self, .reader = reader, .arg = arg};

	return play(&p) ?: play_lates(&p);
}

static int take_ended(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	struct recording *r = self;
	struct playing p = {.recording = self, .reader = reader, .arg = arg, .ended = true};

	(void)all;
	if (r->taken)
		return 0;
	r->taken = true;
	return play(&p);
}

static bool is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	const struct recording *r = self;
	const struct gone_key key = {(uint64_t)pid, start_boottime_ns};
	struct played_image *image;

	HASH_FIND(hh_gone, r->gone, &key, sizeof(key), image);
	return !image;
}

static void get_facts(void *self, struct counts_facts *facts)
{
	const struct recording *r = self;

	*facts = r->facts.facts;
	facts->gaps = r->facts.gaps;
	facts->end = r->ended ? r->about.end : r->until;
}

static void each_note(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		      void *arg)
{
	const struct recording *r = self;

	for (const struct fact_note *note = r->facts.notes[which]; note; note = note->next)
		fn(note->text, arg);
}

/* --- who touched pages first --- */

struct touching {
	struct recording *recording;
	const struct counts_touched_reader *reader;
	void *arg;
};

struct playing_away {
	const struct touching *touching;
	uint32_t image;
};

static int note_away(sqlite3_stmt *row, void *arg)
{
	(void)row;
	*(bool *)arg = true;
	return 0;
}

/* Adds pages of a stack to those of the image. False: it can't have so many. */
static bool adds_up(uint64_t *sum, uint64_t pages)
{
	if (pages > RESIDENT_MOST - *sum)
		return false;
	*sum += pages;
	return true;
}

static int play_away(sqlite3_stmt *row, void *arg)
{
	const struct playing_away *away = arg;
	const struct touching *t = away->touching;
	struct recording *r = t->recording;
	struct amounts_reader from = recording_packed(row, 0);
	struct played_stack played;
	struct counts_stack stack = {.key = {.proc = away->image}, .frames = played.frames};
	struct counts_touched touched = {};
	uint64_t swapped = 0, absent = 0;
	int err = 0;

	while (!err && from.at < from.end) {
		uint64_t node = amounts_next_number(&from);

		touched.swapped_pages = amounts_next_number(&from);
		touched.absent_pages = amounts_next_number(&from);
		if (from.failed || !recording_is_stack(r, node) ||
		    !adds_up(&swapped, touched.swapped_pages) ||
		    !adds_up(&absent, touched.absent_pages))
			return recording_refuse(r, "what is not resident any more can't be read");
		play_node(r, away->image, (uint32_t)node, &played);
		stack.depth = played.depth;
		stack.thread = played.told;
		err = t->reader->stack(away->image, &stack, &touched, t->arg);
	}
	return err;
}

#define AWAY_SQL "SELECT data FROM firsts WHERE image = ?"

static int play_touched(sqlite3_stmt *row, void *arg)
{
	const struct touching *t = arg;
	struct recording *r = t->recording;
	struct amounts_reader from = recording_packed(row, 1);
	struct counts_resident resident = {.image = (uint32_t)sqlite3_column_int64(row, 0)};
	struct played_stack played;
	struct counts_stack stack = {.key = {.proc = resident.image}, .frames = played.frames};
	struct playing_away away = {t, resident.image};
	int64_t key = -(int64_t)resident.image;
	uint64_t pages = 0;
	int err = 0;

	if (from.at == from.end)
		return 0;
	resident.error = -(int)(amounts_next_number(&from) & 0xfff);
	resident.pages = amounts_next_number(&from);
	resident.line_pages = amounts_next_number(&from);
	resident.before_pages = amounts_next_number(&from);
	resident.unplaced_pages = (int64_t)amounts_next_number(&from);
	resident.refused_pages = amounts_next_number(&from);
	resident.cut = amounts_next_number(&from);
	if (from.failed || resident.before_pages > RESIDENT_MOST)
		return recording_refuse(r, "what is resident can't be read");
	/* It has a row if it is known. */
	if (t->reader->away)
		err = recording_query(r, AWAY_SQL, &key, 1, note_away, &resident.away);
	err = err ?: t->reader->image(&resident, t->arg);
	while (!err && from.at < from.end) {
		uint64_t node = amounts_next_number(&from);
		struct counts_touched touched = {.resident_pages = amounts_next_number(&from)};

		if (from.failed || !recording_is_stack(r, node) ||
		    !adds_up(&pages, touched.resident_pages))
			return recording_refuse(r, "what is resident can't be read");
		play_node(r, resident.image, (uint32_t)node, &played);
		stack.depth = played.depth;
		stack.thread = played.told;
		err = t->reader->stack(resident.image, &stack, &touched, t->arg);
	}
	if (!err && resident.away)
		err = recording_query(r, AWAY_SQL, &key, 1, play_away, &away);
	return err;
}

/* It is known only of the end. */
static int each_touched(void *self, const struct counts_touched_reader *reader, void *arg)
{
	struct recording *r = self;
	struct touching t = {r, reader, arg};

	if (!r->ended)
		return 0;
	return recording_query(r, "SELECT image, data FROM touched ORDER BY rowid", NULL, 0,
			       play_touched, &t);
}

struct firsts {
	struct recording *recording;
	counts_first_fn *fn;
	void *arg;
};

static int play_firsts(sqlite3_stmt *row, void *arg)
{
	const struct firsts *f = arg;
	struct recording *r = f->recording;
	struct amounts_reader from = recording_packed(row, 0);
	struct played_stack played;
	struct counts_stack stack = {.frames = played.frames};
	int err = 0;

	while (!err && from.at < from.end) {
		uint64_t node = amounts_next_number(&from), gone = amounts_next_number(&from);

		if (from.failed || !recording_is_stack(r, node))
			return recording_refuse(r, "what was first in pages can't be read");
		play_node(r, 0, (uint32_t)node, &played);
		stack.depth = played.depth;
		err = f->fn(&stack, gone, f->arg);
	}
	return err;
}

static int each_first(void *self, uint32_t image, counts_first_fn *fn, void *arg)
{
	struct recording *r = self;
	struct firsts f = {r, fn, arg};
	int64_t id = image;

	return r->ended ? recording_query(r, "SELECT data FROM firsts WHERE image = ?", &id, 1,
					  play_firsts, &f)
			: 0;
}

struct counts recording_counts(struct recording *recording)
{
	static const struct counts_ops ops = {
		.read = read_counts,
		.take_ended = take_ended,
		.is_running = is_running,
		.facts = get_facts,
		.each_note = each_note,
		.each_touched = each_touched,
		.each_first = each_first,
	};

	return (struct counts){&ops, recording};
}
