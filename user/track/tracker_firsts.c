/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a line that touched pages is shown with them for as long as they are resident, also when
 * all that it made is gone and others' objects live there.
 *
 * For some places the BPF side has noted what the line put there first (bpf/account/touched.bpf.h).
 * At the end, this file looks whether that is still there. It costs some hundred reads, and no look
 * at the heap. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "os/pagemap.h"
#include "os/proc.h"
#include "python/examiner.h"
#include "python/py_first.h"
#include "track/tracker_private.h"

#define TYPES 64 /* words of types that are remembered */

struct read_word { /* a word of a type; the same few are read again and again */
	uint64_t addr, value;
	size_t size;
};

struct looking {
	struct tracker *tracker;
	const struct image *image;
	struct pymem_proc record;
	bool found;
	struct toucher *touchers;
	struct pagemap_run *runs;
	size_t run_count;
	struct pymem_first *firsts;
	size_t first_count, first_room;
	struct read_word words[TYPES];
	size_t word_count;
	counts_first_fn *fn;
	void *arg;
	bool gone; /* of the place that is handed over */
};

/* --- which places --- */

static int find_record(const struct pymem_proc *record, void *arg)
{
	struct looking *l = arg;

	if (record->id != l->image->id)
		return 0;
	l->record = *record;
	l->found = true;
	return 1;
}

static bool is_its(const struct looking *l, uint32_t dir)
{
	for (unsigned i = 0; i < PYMEM_TOUCHED_CHAIN; i++)
		if (l->record.touched_dirs[i] == dir)
			return dir != 0;
	return false;
}

static int keep_first(const struct pymem_first *first, void *arg)
{
	struct looking *l = arg;

	if (!is_its(l, first->dir))
		return 0;
	if (!ARRAY_HAS_ROOM(l->firsts, l->first_count, l->first_room))
		return -ENOMEM;
	l->firsts[l->first_count++] = *first;
	return 0;
}

/* True if all these bytes are resident. Reading a page that is not would make it resident. */
static bool is_resident(const struct looking *l, uint64_t addr, uint64_t size)
{
	size_t low = 0, high = l->run_count;
	uint64_t page = 1ull << (PYMEM_TOUCHED_SHIFT - 9);

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (l->runs[middle].start <= addr)
			low = middle;
		else
			high = middle;
	}
	return l->run_count && l->runs[low].start <= addr &&
	       addr + size <= l->runs[low].start + l->runs[low].pages * page;
}

/* True if the page is still first touched by that stack. */
static bool is_touched_by(const struct looking *l, const struct pymem_first *first)
{
	unsigned at = first->address >> (PYMEM_TOUCHED_SHIFT - 9) & (PYMEM_TOUCHED_PAGES - 1);
	const volatile struct pymem_touched_leaf *leaf;
	uint32_t id = PYMEM_TOUCHED_NOBODY;

	for (unsigned i = 0; i < PYMEM_TOUCHED_CHAIN && l->record.touched_dirs[i] && !id; i++) {
		leaf = session_touched_leaf(l->tracker->session, l->record.touched_dirs[i],
					    first->address);
		if (leaf)
			id = leaf->ids[at];
	}
	return id == first->id;
}

/* --- what is there now --- */

static bool read_cached(void *arg, uint64_t addr, void *buf, size_t size)
{
	struct looking *l = arg;
	struct read_word word = {.addr = addr, .size = size};

	for (size_t i = 0; i < l->word_count; i++) {
		if (l->words[i].addr == addr && l->words[i].size == size) {
			memcpy(buf, &l->words[i].value, size);
			return true;
		}
	}
	if (size > sizeof(word.value) ||
	    proc_read_memory(l->image->pid, addr, &word.value, size) != (ssize_t)size)
		return false;
	memcpy(buf, &word.value, size);
	l->words[l->word_count < TYPES ? l->word_count++ : addr / 16 % TYPES] = word;
	return true;
}

static int hand_first(const struct counts_stack *stack, void *arg)
{
	const struct looking *l = arg;

	return l->fn(stack, l->gone, l->arg);
}

static int look_at(struct looking *l, const struct pymem_first *first)
{
	static const struct pymem_counters none;
	unsigned char now[PY_FIRST_POOL_BYTES] = {};
	struct toucher *toucher;
	enum py_first answer;

	HASH_FIND(hh, l->touchers, &first->id, sizeof(first->id), toucher);
	if (!toucher || !is_touched_by(l, first) ||
	    !is_resident(l, first->address, 1ull << (PYMEM_TOUCHED_SHIFT - 9)))
		return 0;
	/* Pages of the pool that were never touched read as zeros. */
	if (proc_read_memory(l->image->pid, first->address, now, sizeof(now)) <= 0)
		return 0;
	answer = py_first_judge(first->bytes, sizeof(first->bytes), now, first->address,
				read_cached, l);
	if (answer == PY_FIRST_UNKNOWN)
		return 0;
	l->gone = answer == PY_FIRST_GONE;
	return tracker_hand_stack(l->tracker, &toucher->key, &none, hand_first, HAND_NONE, l);
}

int tracker_each_first(void *self, uint32_t image, counts_first_fn *fn, void *arg)
{
	struct looking l = {.tracker = self, .fn = fn, .arg = arg};
	struct session *session = l.tracker->session;
	int err;

	l.image = tracker_image(l.tracker, image);
	if (!l.image || l.image->dead || !session_sees_touches(session))
		return 0;
	err = session_each_live(session, find_record, &l);
	if (err < 0 || !l.found)
		return err < 0 ? err : 0;
	err = session_each_first(session, keep_first, &l);
	if (!err && l.first_count)
		err = tracker_find_touchers(l.tracker, &l.touchers);
	/* The process may have ended just now: then nothing is known of it. */
	if (!err && l.first_count &&
	    examiner_read_pages(l.image->pid, PAGEMAP_RESIDENT, &l.runs, &l.run_count))
		l.first_count = 0;
	for (size_t i = 0; i < l.first_count && !err; i++)
		err = look_at(&l, &l.firsts[i]);
	tracker_free_touchers(&l.touchers);
	free(l.firsts);
	free(l.runs);
	return err;
}
