/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Joins the pages that are resident now with the stacks that touched them first; and those that are
 * in swap, or that others have taken.
 *
 * A page's id is looked up in the image's directories, newest first: what it touched itself, then
 * what was touched before it was forked. A page without an id was there before it was watched
 * (resident then, and nobody has touched it since), or became resident in a way that nobody saw.
 *
 * A page keeps its id when it goes. In swap it has an entry, so whose it is is as certain as of a
 * resident one. Where a file or shared memory is mapped and there is neither page nor entry, others
 * may have taken it: its mapping is still the one in which it was touched, since a new one, and
 * MADV_DONTNEED, make all ids there new. But it may have gone in another way (the file became
 * shorter, the process itself reclaimed it), or have been mapped never, if a fault nearby had it
 * noted. So this is what others have taken of the stack at most. Of anonymous memory without page
 * and entry nothing is known: where a heap shrinks and grows again, ids stay.
 *
 * What others took and what then came back is the stack's as before, and no more away. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/pagemap.h"
#include "python/examiner.h"
#include "track/tracker_private.h"

#define LATE_PAGES (1 << 16) /* between two looks at the clock */
#define REGION	   (1ull << PYMEM_TOUCHED_SHIFT)

/* Regions of absent pages that are looked up in one image: 512 GiB. Each takes a microsecond for
 * each directory of its chain. */
#define ABSENT_REGIONS_MOST (1u << 18)
#define LATE_REGIONS	    256 /* as LATE_PAGES */

struct resident { /* what was resident when an image was attached; shared with its children */
	unsigned users;
	struct pagemap_run *runs;
	size_t count;
};

struct join { /* one image */
	struct tracker *tracker;
	const struct image *image;
	const struct pymem_proc *record;
	struct toucher *touchers, *last;
	const volatile struct pymem_touched_leaf *leaves[PYMEM_TOUCHED_CHAIN];
	unsigned leaf_count;
	size_t before; /* index of the first run that may contain the next page */
	uint64_t page;
	enum pagemap_kind kind; /* of the pages that are joined */
	uint64_t joined;	/* pages */
	unsigned regions;	/* of absent pages */
	/* NULL: only pages are counted. */
	tracker_touched_fn *fn;
	/* NULL: it may take any time. */
	bool (*late)(void *arg);
	void *arg; /* of both */
	struct counts_resident sum;
};

/* --- what was there before --- */

void tracker_note_resident(struct tracker *tracker, struct image *image)
{
	struct resident *before;

	if (!session_sees_touches(tracker->session) || image->before)
		return;
	before = calloc(1, sizeof(*before));
	if (!before)
		return;
	before->users = 1;
	/* If it can't be read, all that nobody has touched is unknown. */
	if (examiner_read_pages(image->pid, PAGEMAP_RESIDENT, &before->runs, &before->count)) {
		free(before);
		return;
	}
	image->before = before;
}

struct resident *resident_share(struct resident *before)
{
	if (before)
		before->users++;
	return before;
}

void resident_release(struct resident *before)
{
	if (!before || --before->users)
		return;
	free(before->runs);
	free(before);
}

/* True if the page was resident when the image was attached. Callers ask in order of address. */
static bool was_there(struct join *j, uint64_t address)
{
	const struct resident *before = j->image->before;
	const struct pagemap_run *run;

	if (!before)
		return false;
	for (; j->before < before->count; j->before++) {
		run = &before->runs[j->before];
		if (address < run->start + run->pages * j->page)
			return address >= run->start;
	}
	return false;
}

/* --- stacks by id --- */

static int add_id(struct toucher **touchers, const struct pymem_stack_key *key, uint32_t id)
{
	struct toucher *t;

	if (!id)
		return 0;
	HASH_FIND(hh, *touchers, &id, sizeof(id), t);
	if (t)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->id = id;
	t->key = *key;
	if (HASH_INSERT(*touchers, id, t)) {
		free(t);
		return -ENOMEM;
	}
	return 0;
}

static int add_toucher(const struct pymem_stack_key *key, const struct pymem_stack *stack,
		       void *arg)
{
	return add_id(arg, key, stack->id);
}

int tracker_find_touchers(struct tracker *tracker, struct toucher **touchers)
{
	int err = session_each_stack(tracker->session, add_toucher, touchers);
	struct toucher *t, *next;

	HASH_ITER(hh, tracker->elders, t, next)
	{
		if (!err)
			err = add_id(touchers, &t->key, t->id);
	}
	return err;
}

void tracker_free_touchers(struct toucher **touchers)
{
	struct toucher *t, *next;

	HASH_ITER(hh, *touchers, t, next)
	{
		HASH_DEL(*touchers, t);
		free(t);
	}
}

int tracker_remember_stack(struct tracker *tracker, const struct pymem_stack_key *key, uint32_t id)
{
	return session_sees_touches(tracker->session) ? add_id(&tracker->elders, key, id) : 0;
}

void tracker_free_elders(struct tracker *tracker)
{
	tracker_free_touchers(&tracker->elders);
}

static struct toucher *toucher_of(struct join *j, uint32_t id)
{
	if (!j->last || j->last->id != id)
		HASH_FIND(hh, j->touchers, &id, sizeof(id), j->last);
	return j->last;
}

/* --- pages --- */

static void find_leaves(struct join *j, uint64_t address)
{
	const volatile struct pymem_touched_leaf *leaf;
	unsigned i;

	j->leaf_count = 0;
	for (i = 0; i < PYMEM_TOUCHED_CHAIN && j->record->touched_dirs[i]; i++) {
		leaf = session_touched_leaf(j->tracker->session, j->record->touched_dirs[i],
					    address);
		if (leaf)
			j->leaves[j->leaf_count++] = leaf;
	}
}

static uint32_t id_of(const struct join *j, uint64_t address)
{
	unsigned i, at = address / j->page % PYMEM_TOUCHED_PAGES;
	uint32_t id = PYMEM_TOUCHED_NOBODY;

	for (i = 0; i < j->leaf_count && !id; i++)
		id = j->leaves[i]->ids[at];
	return id;
}

/* Who touched the page first. NULL: nobody that is known; `before` says whether it was there. */
static struct toucher *find_toucher(struct join *j, uint64_t address, bool *before)
{
	uint32_t id = id_of(j, address);

	*before = false;
	/* A page that a fault mapped beside its own may have been there before: the kernel does not
	 * say. */
	if ((!id || id & PYMEM_TOUCHED_AROUND) && j->kind != PAGEMAP_ABSENT)
		*before = was_there(j, address);
	id &= ~PYMEM_TOUCHED_AROUND;
	if (*before || !id || id == PYMEM_TOUCHED_LOST || id == PYMEM_TOUCHED_NEW)
		return NULL;
	return toucher_of(j, id);
}

static int join_page(struct join *j, uint64_t address)
{
	bool before;
	struct toucher *t = find_toucher(j, address, &before);

	j->joined++;
	if (j->kind != PAGEMAP_RESIDENT) {
		if (t && j->kind == PAGEMAP_SWAPPED)
			t->touched.swapped_pages++;
		else if (t)
			t->touched.absent_pages++;
		return 0;
	}
	j->sum.pages++;
	j->sum.before_pages += before;
	if (t) {
		t->touched.resident_pages++;
		j->sum.line_pages++;
	}
	return j->fn ? j->fn(address, t ? &t->key : NULL, before, j->arg) : 0;
}

static int join_run(struct join *j, const struct pagemap_run *run)
{
	uint64_t address = run->start, end = run->start + run->pages * j->page;
	int err = 0;

	find_leaves(j, address);
	for (; address < end && !err; address += j->page) {
		if (!(address & (REGION - 1)))
			find_leaves(j, address);
		err = join_page(j, address);
		if (!err && j->late && !(j->joined % LATE_PAGES) && j->late(j->arg))
			err = -ETIME;
	}
	return err;
}

/* Most of what is absent nobody has ever touched: it has no leaves. */
static int join_absent(struct join *j, const struct pagemap_run *run)
{
	uint64_t address = run->start, end = run->start + run->pages * j->page, next;
	struct pagemap_run part;
	int err = 0;

	for (; address < end && !err; address = next) {
		next = (address | (REGION - 1)) + 1;
		next = next < end ? next : end;
		if (++j->regions > ABSENT_REGIONS_MOST)
			return -EFBIG;
		if (j->late && !(j->regions % LATE_REGIONS) && j->late(j->arg))
			return -ETIME;
		part = (struct pagemap_run){address, (next - address) / j->page};
		find_leaves(j, address);
		if (j->leaf_count)
			err = join_run(j, &part);
	}
	return err;
}

static int join_kind(struct join *j, enum pagemap_kind kind)
{
	struct pagemap_run *runs;
	size_t count, i;
	int err = examiner_read_pages(j->image->pid, kind, &runs, &count);

	j->page = 1ull << (PYMEM_TOUCHED_SHIFT - 9);
	j->kind = kind;
	j->before = 0;
	for (i = 0; i < count && !err; i++)
		err = kind == PAGEMAP_ABSENT ? join_absent(j, &runs[i]) : join_run(j, &runs[i]);
	free(runs);
	return err;
}

static int join_image(struct join *j)
{
	int err = join_kind(j, PAGEMAP_RESIDENT);

	j->sum.unplaced_pages = j->record->touched_unplaced;
	j->sum.refused_pages = j->record->touched_refused;
	j->sum.cut = j->record->touched_cut;
	return err;
}

/* --- what a report asks for --- */

struct handing_touched {
	struct tracker *tracker;
	const struct counts_touched_reader *reader;
	void *arg;
	struct toucher *touchers;
	unsigned images; /* that were joined */
	bool again;	 /* those that were reached in this turn, too */
	uint32_t image;
	struct counts_touched touched;
};

static int hand_toucher(const struct counts_stack *stack, void *arg)
{
	const struct handing_touched *h = arg;

	return h->reader->stack(h->image, stack, &h->touched, h->arg);
}

/* Those of an image that was given up are forgotten. */
static int hand_touchers(struct handing_touched *h, bool forget)
{
	static const struct pymem_counters none;
	static const struct counts_touched nothing;
	struct toucher *t, *next;
	int err = 0;

	HASH_ITER(hh, h->touchers, t, next)
	{
		h->touched = forget ? nothing : t->touched;
		t->touched = nothing;
		if (memcmp(&h->touched, &nothing, sizeof(nothing)) != 0 && !err)
			err = tracker_hand_stack(h->tracker, &t->key, &none, hand_toucher,
						 HAND_NONE, h);
	}
	return err;
}

static void forget_away(struct toucher *touchers)
{
	struct toucher *t, *next;

	HASH_ITER(hh, touchers, t, next)
	t->touched.swapped_pages = t->touched.absent_pages = 0;
}

/* What is not resident any more. If it can't be read, it is not known; what is resident is. */
static int join_away(struct join *j)
{
	int err = join_kind(j, PAGEMAP_SWAPPED) ?: join_kind(j, PAGEMAP_ABSENT);

	j->sum.away = !err;
	if (err)
		forget_away(j->touchers);
	return err == -ETIME ? err : 0;
}

static bool wants_away(const struct handing_touched *h)
{
	return h->reader->away &&
	       session_extras(h->tracker->session) & (PYMEM_EXTRA_SWAP | PYMEM_EXTRA_EXTERNAL);
}

static int join_handed(struct handing_touched *h, struct image *image,
		       const struct pymem_proc *record)
{
	const struct tracker_turns *turns = &h->tracker->touched_turns;
	struct join j = {.tracker = h->tracker,
			 .image = image,
			 .record = record,
			 .touchers = h->touchers,
			 .late = h->reader->late,
			 .arg = h->arg};
	bool late;
	int err;

	/* The process may have ended just now, or take too long: then nothing is known of it. */
	j.sum.error = join_image(&j);
	if (!j.sum.error && wants_away(h))
		j.sum.error = join_away(&j);
	late = h->reader->late && j.sum.error == -ETIME;
	/* One that takes longer than all the time there is must not keep the others from theirs. */
	if (!late || !h->images) {
		image->touched_turn = turns->turn;
		image->touched_call = turns->call;
	}
	h->images++;
	h->image = j.sum.image = image->id;
	err = h->reader->image(&j.sum, h->arg);
	err = hand_touchers(h, late || err) ?: err;
	return err ?: late ? -ETIME : 0;
}

static int hand_joined(const struct pymem_proc *record, void *arg)
{
	struct handing_touched *h = arg;
	const struct tracker_turns *turns = &h->tracker->touched_turns;
	struct image *image = tracker_image(h->tracker, record->id);

	if (!image || image->dead || !tracker_is_reported(image))
		return 0;
	if (h->again ? image->touched_call == turns->call : image->touched_turn == turns->turn)
		return 0;
	/* The first one has its time in any case. */
	if (h->images && h->reader->late && h->reader->late(h->arg))
		return -ETIME;
	return join_handed(h, image, record);
}

/* Those that were not reached in this turn; then, in a new turn, those that were not reached just
 * now. */
static int hand_all_joined(struct handing_touched *h)
{
	struct tracker_turns *turns = &h->tracker->touched_turns;
	int err;

	turns->call++;
	err = session_each_live(h->tracker->session, hand_joined, h);
	if (err)
		return err;
	turns->turn++;
	h->again = true;
	return session_each_live(h->tracker->session, hand_joined, h);
}

int tracker_each_touched(void *self, const struct counts_touched_reader *reader, void *arg)
{
	struct handing_touched h = {.tracker = self, .reader = reader, .arg = arg};
	int err;

	if (!session_sees_touches(h.tracker->session))
		return 0;
	err = tracker_find_touchers(h.tracker, &h.touchers);
	if (!err)
		err = hand_all_joined(&h);
	tracker_free_touchers(&h.touchers);
	return err;
}

/* --- what a census asks for --- */

struct joining {
	struct join join;
	uint32_t id;
	bool found;
	int err;
};

static int join_record(const struct pymem_proc *record, void *arg)
{
	struct joining *joining = arg;

	if (record->id != joining->id)
		return 0;
	joining->found = true;
	joining->join.record = record;
	joining->err = join_image(&joining->join);
	return 1;
}

int tracker_touched_pages(struct tracker *tracker, pid_t pid, tracker_touched_fn *fn, void *arg)
{
	struct joining joining = {.join = {.tracker = tracker,
					   .image = tracker_live_image(tracker, pid),
					   .fn = fn,
					   .arg = arg}};
	int err;

	if (!joining.join.image || !session_sees_touches(tracker->session))
		return -ESRCH;
	joining.id = joining.join.image->id;
	err = tracker_find_touchers(tracker, &joining.join.touchers);
	if (!err)
		err = session_each_live(tracker->session, join_record, &joining);
	tracker_free_touchers(&joining.join.touchers);
	return err < 0 ? err : joining.found ? joining.err : -ESRCH;
}
