/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: PSS is dear, so it is read seldom, and of one process after the other. A sum over a
 * program then is of readings of different times, and some processes have none. Who looks at it
 * must see both.
 *
 * So a row has what is known, how many processes that is of, and how old the oldest of it is. */
#include "model/pss_book.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define NS	      1000000000ULL
#define REST	      499	/* a 500th of the time is spent on reading */
#define REST_LEAST    (NS / 20) /* however fast a reading is: waking up has its price, too */
#define REST_FAILED   NS	/* one that is held up costs nothing, and is not tried at once */
#define ROUND_SECONDS 10.0 /* from the beginning of a round to that of the next one, at least */

struct entry {
	struct pss_process process;
	uint64_t noted;	       /* the noting that had it last */
	uint64_t round, tried; /* the last round that it belongs to, and in which it had its turn */
	enum pss_state state;
	int64_t bytes, swap_bytes;
	double time; /* of the reading */
	UT_hash_handle hh;
};

struct pss_book {
	struct entry *entries; /* by image */
	uint64_t noting, round;
	double due; /* when the next round may begin */
	bool newcomer_is_next;
	bool gave_up;
};

const char *pss_state_name(enum pss_state state)
{
	static const char *const names[] = {
#define PSS_STATE(id, name) [id] = name,
		PSS_STATES(PSS_STATE)
#undef PSS_STATE
	};

	return names[state];
}

enum pss_state pss_state_of(int err)
{
	switch (err) {
	case 0:
		return PSS_READ;
	case -ESRCH:
		return PSS_ENDED;
	case -EPERM:
	case -EACCES:
		return PSS_REFUSED;
	case -ETIME:
	case -EDQUOT:
	case -EBUSY:
		return PSS_HELD_UP;
	case -ENOTSUP:
		return PSS_NO_FILE;
	default:
		return PSS_FAILED;
	}
}

uint64_t pss_rest_ns(int err, uint64_t took_ns)
{
	if (err && err != -ESRCH)
		return REST_FAILED;
	return took_ns > REST_LEAST / REST ? took_ns * REST : REST_LEAST;
}

struct pss_book *pss_book_new(void)
{
	return calloc(1, sizeof(struct pss_book));
}

void pss_book_free(struct pss_book *book)
{
	struct entry *entry, *next;

	if (!book)
		return;
	HASH_ITER(hh, book->entries, entry, next)
	{
		HASH_DEL(book->entries, entry);
		free(entry);
	}
	free(book);
}

static struct entry *find(const struct pss_book *book, uint32_t image)
{
	struct entry *entry;

	HASH_FIND(hh, book->entries, &image, sizeof(image), entry);
	return entry;
}

/* --- what runs --- */

void pss_book_begin(struct pss_book *book)
{
	book->noting++;
}

static struct entry *new_entry(struct pss_book *book, uint32_t image)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->process.image = image;
	entry->state = book->gave_up ? PSS_NO_HELPER : PSS_WAITS;
	if (HASH_INSERT(book->entries, process.image, entry)) {
		free(entry);
		return NULL;
	}
	return entry;
}

int pss_book_note(struct pss_book *book, const struct pss_process *process)
{
	struct entry *entry = find(book, process->image) ?: new_entry(book, process->image);

	if (!entry)
		return -ENOMEM;
	entry->process = *process;
	entry->noted = book->noting;
	if (book->gave_up)
		return 0;
	if (process->rss_bytes > PSS_RSS_MOST)
		entry->state = PSS_TOO_LARGE;
	else if (entry->state == PSS_TOO_LARGE)
		entry->state = PSS_WAITS;
	return 0;
}

void pss_book_settle(struct pss_book *book)
{
	struct entry *entry, *next;

	HASH_ITER(hh, book->entries, entry, next)
	{
		if (entry->noted == book->noting)
			continue;
		HASH_DEL(book->entries, entry);
		free(entry);
	}
}

/* --- turns --- */

/* The one to be read before the other. In the first round, and before it, the smaller one. */
static struct entry *before(const struct pss_book *book, struct entry *one, struct entry *other)
{
	if (!one)
		return other;
	if (book->round <= 1)
		return other->process.rss_bytes < one->process.rss_bytes ? other : one;
	return other->process.rss_bytes > one->process.rss_bytes ? other : one;
}

/* The first one of the round that has not had its turn, and the first one that never had. */
static void find_first(const struct pss_book *book, struct entry **of_round,
		       struct entry **newcomer)
{
	*of_round = *newcomer = NULL;
	for (struct entry *entry = book->entries; entry; entry = entry->hh.next) {
		if (entry->state == PSS_TOO_LARGE)
			continue;
		if (entry->round == book->round && entry->tried < book->round)
			*of_round = before(book, *of_round, entry);
		else if (!entry->tried)
			*newcomer = before(book, *newcomer, entry);
	}
}

static void begin_round(struct pss_book *book, double now)
{
	book->round++;
	book->due = now + ROUND_SECONDS;
	for (struct entry *entry = book->entries; entry; entry = entry->hh.next)
		entry->round = book->round;
}

struct pss_process pss_book_next(struct pss_book *book, double now)
{
	struct entry *of_round, *newcomer, *next;

	find_first(book, &of_round, &newcomer);
	if (!of_round && now >= book->due && book->entries) {
		begin_round(book, now);
		find_first(book, &of_round, &newcomer);
	}
	next = newcomer && (book->newcomer_is_next || !of_round) ? newcomer : of_round;
	if (!next || book->gave_up)
		return (struct pss_process){};
	book->newcomer_is_next = next != newcomer;
	next->tried = book->round;
	return next->process;
}

void pss_book_add(struct pss_book *book, uint32_t image, enum pss_state state, int64_t bytes,
		  int64_t swap_bytes, double now)
{
	struct entry *entry = find(book, image);

	if (!entry)
		return;
	entry->state = state;
	entry->bytes = bytes;
	entry->swap_bytes = swap_bytes;
	entry->time = now;
}

void pss_book_give_up(struct pss_book *book)
{
	book->gave_up = true;
	for (struct entry *entry = book->entries; entry; entry = entry->hh.next)
		entry->state = PSS_NO_HELPER;
}

/* --- sums --- */

struct row {
	struct group_place place;
	struct group_pss *pss;
};

static int by_place(const void *a, const void *b)
{
	const struct row *one = a, *other = b;

	return memcmp(&one->place, &other->place, sizeof(one->place));
}

/* The rows that have a place, sorted by it. The caller frees them. NULL: out of memory. */
static struct row *rows_of(struct group_sums *sums, size_t *count, struct group_pss **rest)
{
	struct row *rows = calloc(sums->count + 1, sizeof(*rows));

	*count = 0;
	*rest = NULL;
	for (size_t i = 0; rows && i < sums->count; i++) {
		struct group_sum *sum = &sums->list[i];

		sum->pss = (struct group_pss){.age = -1};
		if (sum->rest) {
			*rest = &sum->pss;
			continue;
		}
		group_sum_place(sum, &rows[*count].place);
		rows[(*count)++].pss = &sum->pss;
	}
	if (rows)
		qsort(rows, *count, sizeof(*rows), by_place);
	return rows;
}

static void add(struct group_pss *to, const struct entry *entry, double now)
{
	double age = now > entry->time ? now - entry->time : 0;

	to->processes++;
	to->bytes += entry->bytes;
	to->swap_bytes += entry->swap_bytes;
	if (age > to->age)
		to->age = age;
}

int pss_book_put(const struct pss_book *book, const struct model *model, enum model_by by,
		 double now, struct group_sums *sums, size_t *states)
{
	size_t count, unused[PSS_STATE_COUNT];
	struct group_pss *rest;
	struct row *rows = rows_of(sums, &count, &rest);

	if (!rows)
		return -ENOMEM;
	states = states ?: unused;
	memset(states, 0, sizeof(unused));
	for (size_t i = 0; i < model->process_count; i++) {
		const struct model_process *process = model->processes[i];
		const struct entry *entry = process->exited ? NULL : find(book, process->id);
		struct row key = {}, *row;

		if (process->exited)
			continue;
		states[entry ? entry->state : book->gave_up ? PSS_NO_HELPER : PSS_WAITS]++;
		if (!entry || entry->state != PSS_READ)
			continue;
		group_place_of(&key.place, by, process);
		row = bsearch(&key, rows, count, sizeof(key), by_place);
		if (row || rest)
			add(row ? row->pss : rest, entry, now);
	}
	free(rows);
	return 0;
}
