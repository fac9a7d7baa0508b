/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Joins the pages that are resident now with the stacks that touched them first.
 *
 * A page's id is looked up in the image's directories, newest first: what it touched itself, then
 * what was touched before it was forked. A page without an id was there before it was watched
 * (resident then, and nobody has touched it since), or became resident in a way that nobody saw. */
#include <errno.h>
#include <stdlib.h>

#include "os/pagemap.h"
#include "python/examiner.h"
#include "track/tracker_private.h"

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
	/* NULL: only pages are counted. */
	tracker_touched_fn *fn;
	void *arg;
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
	if (examiner_read_pages(image->pid, &before->runs, &before->count)) {
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
	if (!id || id & PYMEM_TOUCHED_AROUND)
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

	j->sum.pages++;
	j->sum.before_pages += before;
	if (t) {
		t->pages++;
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
		if (!(address & ((1ull << PYMEM_TOUCHED_SHIFT) - 1)))
			find_leaves(j, address);
		err = join_page(j, address);
	}
	return err;
}

static int join_image(struct join *j)
{
	struct pagemap_run *runs;
	size_t count, i;
	int err = examiner_read_pages(j->image->pid, &runs, &count);

	j->page = 1ull << (PYMEM_TOUCHED_SHIFT - 9);
	for (i = 0; i < count && !err; i++)
		err = join_run(j, &runs[i]);
	free(runs);
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
	uint32_t image;
	uint64_t pages;
};

static int hand_toucher(const struct counts_stack *stack, void *arg)
{
	const struct handing_touched *h = arg;

	return h->reader->stack(h->image, stack, h->pages, h->arg);
}

static int hand_touchers(struct handing_touched *h)
{
	static const struct pymem_counters none;
	struct toucher *t, *next;
	int err = 0;

	HASH_ITER(hh, h->touchers, t, next)
	{
		h->pages = t->pages;
		t->pages = 0;
		if (h->pages && !err)
			err = tracker_hand_stack(h->tracker, &t->key, &none, hand_toucher,
						 HAND_NONE, h);
	}
	return err;
}

static int hand_joined(const struct pymem_proc *record, void *arg)
{
	struct handing_touched *h = arg;
	const struct image *image = tracker_image(h->tracker, record->id);
	struct join j = {
		.tracker = h->tracker, .image = image, .record = record, .touchers = h->touchers};
	int err;

	if (!image || image->dead || !tracker_is_reported(image))
		return 0;
	/* The process may have ended just now, or take too long: then nothing is known of it. */
	j.sum.error = join_image(&j);
	h->image = j.sum.image = image->id;
	err = h->reader->image(&j.sum, h->arg);
	return err ?: hand_touchers(h);
}

int tracker_each_touched(void *self, const struct counts_touched_reader *reader, void *arg)
{
	struct handing_touched h = {.tracker = self, .reader = reader, .arg = arg};
	struct session *session = h.tracker->session;
	int err;

	if (!session_sees_touches(session))
		return 0;
	err = tracker_find_touchers(h.tracker, &h.touchers);
	if (!err)
		err = session_each_live(session, hand_joined, &h);
	tracker_free_touchers(&h.touchers);
	return err;
}

/* --- the end of images --- */

struct directory {
	uint32_t dir;
	UT_hash_handle hh;
};

static int add_directories(struct directory **dirs, const struct pymem_proc *record)
{
	struct directory *d;
	unsigned i;

	for (i = 0; i < PYMEM_TOUCHED_CHAIN && record->touched_dirs[i]; i++) {
		HASH_FIND(hh, *dirs, &record->touched_dirs[i], sizeof(uint32_t), d);
		if (d)
			continue;
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->dir = record->touched_dirs[i];
		if (HASH_INSERT(*dirs, dir, d)) {
			free(d);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Takes the directories of a running image out of those to be forgotten. */
static int keep_directories(const struct pymem_proc *record, void *arg)
{
	struct directory **dirs = arg, *d;
	unsigned i;

	for (i = 0; i < PYMEM_TOUCHED_CHAIN && record->touched_dirs[i]; i++) {
		HASH_FIND(hh, *dirs, &record->touched_dirs[i], sizeof(uint32_t), d);
		if (d) {
			HASH_DEL(*dirs, d);
			free(d);
		}
	}
	return 0;
}

static bool is_gone(uint32_t dir, void *arg)
{
	struct directory *const *dirs = arg, *d;

	HASH_FIND(hh, *dirs, &dir, sizeof(dir), d);
	return d != NULL;
}

int tracker_remember_stack(struct tracker *tracker, const struct pymem_stack_key *key, uint32_t id)
{
	return session_sees_touches(tracker->session) ? add_id(&tracker->elders, key, id) : 0;
}

void tracker_free_elders(struct tracker *tracker)
{
	tracker_free_touchers(&tracker->elders);
}

/* True if one of the image's directories is still needed. */
static bool is_needed(const struct image *image, struct directory *gone)
{
	unsigned i;

	for (i = 0; i < PYMEM_TOUCHED_CHAIN && image->record.touched_dirs[i]; i++)
		if (!is_gone(image->record.touched_dirs[i], &gone))
			return true;
	return false;
}

/* Forgets stacks of images that are no ancestors. */
static void forget_elders(struct tracker *tracker)
{
	const struct image *image;
	struct toucher *t, *next;

	HASH_ITER(hh, tracker->elders, t, next)
	{
		image = tracker_image(tracker, t->key.proc);
		if (image && image->ancestor)
			continue;
		HASH_DEL(tracker->elders, t);
		free(t);
	}
}

/* Sets `ancestor` of each image that has ended. */
static void choose_ancestors(struct tracker *tracker, struct image *const *images, size_t count,
			     struct directory *gone)
{
	struct image *image, *next;
	size_t i;

	for (i = 0; i < count; i++)
		images[i]->ancestor = is_needed(images[i], gone);
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (!image->ancestor || is_needed(image, gone))
			continue;
		image->ancestor = false;
		tracker_finish_image(tracker, image);
	}
	forget_elders(tracker);
}

/* The directories of the images, and of all ancestors. */
static int find_directories(struct tracker *tracker, struct image *const *images, size_t count,
			    struct directory **dirs)
{
	struct image *image, *next;
	int err = 0;
	size_t i;

	for (i = 0; i < count && !err; i++)
		err = add_directories(dirs, &images[i]->record);
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->ancestor && !err)
			err = add_directories(dirs, &image->record);
	}
	return err;
}

int tracker_forget_touched(struct tracker *tracker, struct image *const *images, size_t count)
{
	struct session *session = tracker->session;
	struct directory *dirs = NULL, *d, *next;
	int err;

	if (!session_sees_touches(session))
		return 0;
	err = find_directories(tracker, images, count, &dirs);
	if (!err)
		err = session_each_live(session, keep_directories, &dirs);
	if (!err && dirs)
		err = session_forget_touched(session, is_gone, &dirs);
	if (!err)
		choose_ancestors(tracker, images, count, dirs);
	HASH_ITER(hh, dirs, d, next)
	{
		HASH_DEL(dirs, d);
		free(d);
	}
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
