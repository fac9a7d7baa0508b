/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a model has the processes of now, and some that have ended. What it has of a program
 * gets less when it forgets one. And which programs have rows of their own changes with their size.
 * Yet who collects figures takes each fall of a counter for a restart, and counts it twice.
 *
 * So counters are not read but added up: of each image it is known what it had at the last reading,
 * and the difference goes to the row that its program has now. Gauges are those of the model, plus
 * what is gone for good (`gone`). */
#include "model/metric_book.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define KEPT_READINGS 60 /* that have not had an image, until it is forgotten */

struct counters {
	uint64_t grown_bytes, freed_bytes;
	uint64_t minor_faults, major_faults, copied_pages, lost_faults;
	uint64_t killed[DEATH_CAUSES];
	uint64_t collections[GROUP_GENERATIONS];
};

struct slot { /* a group that has a row */
	struct group_place place;
	struct counters counters;
	struct group_sum gone; /* of processes that the model has no more: gauges only */
	uint64_t seen;	       /* the last reading in which it had a process */
	bool fell;	       /* it has processes, but no row any more */
	UT_hash_handle hh;
};

struct image { /* what a process had at the last reading */
	uint32_t id;
	uint64_t seen;
	struct counters had;
	uint64_t collections[GROUP_GENERATIONS]; /* that no slot has so far */
	UT_hash_handle hh;
};

struct metric_book {
	enum model_by by;
	size_t groups;
	uint64_t reading;
	struct slot *slots;
	struct slot rest;
	struct image *images;
};

struct metric_book *metric_book_new(enum model_by by, size_t groups)
{
	struct metric_book *book = calloc(1, sizeof(*book));

	if (book) {
		book->by = by;
		book->groups = groups;
	}
	return book;
}

static void drop_slot(struct metric_book *book, struct slot *slot)
{
	HASH_DEL(book->slots, slot);
	free(slot);
}

static void drop_image(struct metric_book *book, struct image *image)
{
	HASH_DEL(book->images, image);
	free(image);
}

void metric_book_free(struct metric_book *book)
{
	struct image *image, *next_image;
	struct slot *slot, *next;

	if (!book)
		return;
	HASH_ITER(hh, book->slots, slot, next)
	{
		drop_slot(book, slot);
	}
	HASH_ITER(hh, book->images, image, next_image)
	{
		drop_image(book, image);
	}
	free(book);
}

/* --- slots --- */

static struct slot *find_slot(struct metric_book *book, const struct group_place *place)
{
	struct slot *slot;

	HASH_FIND(hh, book->slots, place, sizeof(*place), slot);
	return slot;
}

static struct slot *slot_of(struct metric_book *book, const struct model_process *process)
{
	struct group_place place;

	group_place_of(&place, book->by, process);
	return find_slot(book, &place);
}

static struct slot *new_slot(struct metric_book *book, const struct group_place *place)
{
	struct slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->place = *place;
	slot->seen = book->reading;
	if (HASH_INSERT(book->slots, place, slot)) {
		free(slot);
		return NULL;
	}
	return slot;
}

static void add_counters(struct counters *to, const struct counters *from)
{
	to->grown_bytes += from->grown_bytes;
	to->freed_bytes += from->freed_bytes;
	to->minor_faults += from->minor_faults;
	to->major_faults += from->major_faults;
	to->copied_pages += from->copied_pages;
	to->lost_faults += from->lost_faults;
	for (int i = 0; i < DEATH_CAUSES; i++)
		to->killed[i] += from->killed[i];
	for (int i = 0; i < GROUP_GENERATIONS; i++)
		to->collections[i] += from->collections[i];
}

/* All that the slot has goes to the rest. */
static void evict(struct metric_book *book, struct slot *slot)
{
	add_counters(&book->rest.counters, &slot->counters);
	group_sum_add(&book->rest.gone, &slot->gone);
	book->rest.gone.other_lines_bytes += slot->gone.other_lines_bytes;
	drop_slot(book, slot);
}

/* --- counters --- */

static struct counters counters_of(const struct model_process *process)
{
	struct counters c = {.lost_faults = process->lost_faults};

	for (size_t i = 0; i < process->line_count; i++) {
		const struct model_line *line = &process->lines[i];

		c.grown_bytes += line->grown_bytes;
		c.freed_bytes += line->freed_bytes;
		c.minor_faults += line->minor_faults;
		c.major_faults += line->major_faults;
		c.copied_pages += line->cow_faults;
	}
	return c;
}

/* Makes `*had` what there is now, if that is more, and adds the difference to `*sum`. */
static void advance(uint64_t *sum, uint64_t *had, uint64_t now)
{
	if (now <= *had)
		return;
	*sum += now - *had;
	*had = now;
}

static struct image *image_of(struct metric_book *book, uint32_t id)
{
	struct image *image;

	HASH_FIND(hh, book->images, &id, sizeof(id), image);
	if (image)
		return image;
	image = calloc(1, sizeof(*image));
	if (!image)
		return NULL;
	image->id = id;
	image->seen = book->reading;
	if (HASH_INSERT(book->images, id, image)) {
		free(image);
		return NULL;
	}
	return image;
}

static int count(struct metric_book *book, struct counters *sum,
		 const struct model_process *process)
{
	const struct counters now = counters_of(process);
	struct image *image = image_of(book, process->id);
	struct counters *had = image ? &image->had : NULL;

	if (!image)
		return -ENOMEM;
	image->seen = book->reading;
	advance(&sum->grown_bytes, &had->grown_bytes, now.grown_bytes);
	advance(&sum->freed_bytes, &had->freed_bytes, now.freed_bytes);
	advance(&sum->minor_faults, &had->minor_faults, now.minor_faults);
	advance(&sum->major_faults, &had->major_faults, now.major_faults);
	advance(&sum->copied_pages, &had->copied_pages, now.copied_pages);
	advance(&sum->lost_faults, &had->lost_faults, now.lost_faults);
	for (int i = 0; i < GROUP_GENERATIONS; i++) {
		sum->collections[i] += image->collections[i];
		image->collections[i] = 0;
	}
	return 0;
}

/* Images that the last readings did not have. One that is just ending is in no reading, and comes
 * once more when its lines are known. */
static void forget_images(struct metric_book *book)
{
	struct image *image, *next;

	HASH_ITER(hh, book->images, image, next)
	{
		if (image->seen + KEPT_READINGS < book->reading)
			drop_image(book, image);
	}
}

/* --- what is gone --- */

/* What comes late of it is in no figure: so what does not add up now is unsettled for good. */
static void add_gone(struct group_sum *gone, const struct model_process *process)
{
	int64_t change = process->rss_end_bytes - process->rss_start_bytes;
	int64_t rest = change - process->charged_bytes;

	gone->change_bytes += change;
	gone->other_lines_bytes += process->charged_bytes;
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++) {
		gone->lost_bytes[i] += process->lost_bytes[i];
		rest -= process->lost_bytes[i];
	}
	gone->lost_bytes[PYMEM_LOSS_UNSETTLED] += rest;
	if (process->rss_peak_bytes > gone->peak_bytes)
		gone->peak_bytes = process->rss_peak_bytes;
}

/* The slot of a process that has ended, which may be the first one of its group; or the rest. */
static struct slot *slot_of_ended(struct metric_book *book, const struct model_process *process)
{
	struct group_place place;
	struct slot *slot;

	group_place_of(&place, book->by, process);
	slot = find_slot(book, &place);
	if (!slot && HASH_COUNT(book->slots) < book->groups)
		slot = new_slot(book, &place);
	if (slot)
		slot->seen = book->reading;
	return slot ?: &book->rest;
}

void metric_book_killed(struct metric_book *book, const struct model_process *process,
			enum death_cause cause)
{
	slot_of_ended(book, process)->counters.killed[cause]++;
}

int metric_book_collected(struct metric_book *book, uint32_t id,
			  const uint64_t collections[GROUP_GENERATIONS])
{
	struct image *image = image_of(book, id);

	if (!image)
		return -ENOMEM;
	for (int i = 0; i < GROUP_GENERATIONS; i++)
		image->collections[i] += collections[i];
	return 0;
}

int metric_book_gone(struct metric_book *book, const struct model_process *process)
{
	struct slot *slot = slot_of_ended(book, process);
	struct image *image;
	int err;

	add_gone(&slot->gone, process);
	err = count(book, &slot->counters, process);
	HASH_FIND(hh, book->images, &process->id, sizeof(process->id), image);
	if (image)
		drop_image(book, image);
	return err;
}

/* --- a reading --- */

static bool had_row(void *arg, const struct group_place *place)
{
	return find_slot(arg, place) != NULL;
}

/* Notes which slots have a row, and evicts those that have none any more. Returns how many rows
 * need a slot. */
static size_t match_rows(struct metric_book *book, const struct model *model,
			 const struct group_sums *sums)
{
	struct slot *slot, *next;
	size_t missing = 0;

	for (size_t i = 0; i < sums->count; i++) {
		struct group_place place;

		if (sums->list[i].rest)
			continue;
		group_sum_place(&sums->list[i], &place);
		slot = find_slot(book, &place);
		if (slot)
			slot->seen = book->reading;
		else
			missing++;
	}
	for (size_t i = 0; i < model->process_count; i++) {
		slot = slot_of(book, model->processes[i]);
		if (slot && slot->seen != book->reading)
			slot->fell = true;
	}
	HASH_ITER(hh, book->slots, slot, next)
	{
		if (slot->fell)
			evict(book, slot);
	}
	return missing;
}

static int by_seen(struct slot *one, struct slot *other)
{
	if (one->seen != other->seen)
		return one->seen < other->seen ? -1 : 1;
	return memcmp(&one->place, &other->place, sizeof(one->place));
}

/* Gives each row a slot. 0 or -ENOMEM. */
static int fit_slots(struct metric_book *book, const struct model *model,
		     const struct group_sums *sums)
{
	size_t missing = match_rows(book, model, sums);

	/* Those without processes go first: they were seen before this reading. */
	HASH_SRT(hh, book->slots, by_seen);
	while (book->slots && HASH_COUNT(book->slots) + missing > book->groups)
		evict(book, book->slots);
	for (size_t i = 0; i < sums->count; i++) {
		struct group_place place;

		if (sums->list[i].rest)
			continue;
		group_sum_place(&sums->list[i], &place);
		if (!find_slot(book, &place) && !new_slot(book, &place))
			return -ENOMEM;
	}
	return 0;
}

static int count_all(struct metric_book *book, const struct model *model)
{
	int err = 0;

	for (size_t i = 0; i < model->process_count && !err; i++) {
		struct slot *slot = slot_of(book, model->processes[i]) ?: &book->rest;

		err = count(book, &slot->counters, model->processes[i]);
	}
	if (!err)
		forget_images(book);
	return err;
}

static void put_counters(struct group_sum *sum, const struct counters *counters)
{
	sum->grown_bytes = counters->grown_bytes;
	sum->freed_bytes = counters->freed_bytes;
	sum->minor_faults = counters->minor_faults;
	sum->major_faults = counters->major_faults;
	sum->copied_pages = counters->copied_pages;
	sum->lost_faults = counters->lost_faults;
	memcpy(sum->killed, counters->killed, sizeof(sum->killed));
	memcpy(sum->collections, counters->collections, sizeof(sum->collections));
}

static void complete(struct group_sum *sum, const struct slot *slot)
{
	group_sum_add(sum, &slot->gone);
	sum->other_lines_bytes += slot->gone.other_lines_bytes;
	put_counters(sum, &slot->counters);
}

/* Writes the row of a group that has no process in the model. */
static void put_idle(struct group_sum *sum, const struct slot *slot)
{
	*sum = (struct group_sum){};
	memcpy(sum->name, slot->place.name, sizeof(sum->name));
	memcpy(sum->where, slot->place.where, sizeof(sum->where));
	memcpy(sum->id, slot->place.id, sizeof(sum->id));
	complete(sum, slot);
}

/* Adds to the rows what the book has, and the rows that the model has not. 0 or -ENOMEM. */
static int complete_rows(struct metric_book *book, struct group_sums *sums)
{
	size_t count = sums->count, most = count + HASH_COUNT(book->slots) + 1;
	bool has_rest = count && sums->list[count - 1].rest;
	struct group_sum *list = reallocarray(sums->list, most, sizeof(*list));
	struct group_sum rest = {.rest = true, .name = GROUP_SUMS_REST};
	struct group_place place;
	struct slot *slot;

	if (!list)
		return -ENOMEM;
	sums->list = list;
	if (has_rest)
		rest = list[--count];
	for (size_t i = 0; i < count; i++) {
		group_sum_place(&list[i], &place);
		slot = find_slot(book, &place);
		if (slot) /* fit_slots() made one for each */
			complete(&list[i], slot);
	}
	for (slot = book->slots; slot; slot = slot->hh.next)
		if (slot->seen != book->reading)
			put_idle(&list[count++], slot);
	complete(&rest, &book->rest);
	list[count++] = rest;
	sums->count = count;
	return 0;
}

int metric_book_sums(struct metric_book *book, const struct model *model, size_t lines,
		     struct group_sums *sums)
{
	const struct group_choice choice = {
		.by = book->by,
		.groups = book->groups,
		.lines = lines,
		.had = had_row,
		.arg = book,
		.without_gathered = true,
	};
	int err;

	book->reading++;
	err = group_sums_choose(model, &choice, sums);
	if (err)
		return err;
	err = fit_slots(book, model, sums) ?: count_all(book, model) ?: complete_rows(book, sums);
	if (err)
		group_sums_free(sums);
	return err;
}
