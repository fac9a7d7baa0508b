/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/group_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct group {
	struct group_place place;
	struct group_sum sum;
	uint64_t weight; /* RSS, by which it is ranked */
	size_t row;	 /* of sums->list */
	UT_hash_handle hh;
};

struct sorted_line {
	size_t row;
	const struct model_location *location;
	int64_t change_bytes;
};

struct making {
	const struct model *model;
	const struct group_choice *choice;
	struct group_sums *sums;
	struct group *groups;
	struct group **group_of; /* by row of the model; NULL: it has no row but the rest */
	size_t rows;		 /* of the model: processes, and sums of ended ones */
	size_t rest;		 /* the row of all others */
	struct sorted_line *lines;
	size_t line_count;
};

/* --- groups --- */

static struct group *group_for(struct making *m, const struct model_process *process)
{
	struct group_place place;
	struct group *group;

	group_place_of(&place, m->choice->by, process);
	HASH_FIND(hh, m->groups, &place, sizeof(place), group);
	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->place = place;
	group->sum.first = process;
	memcpy(group->sum.name, place.name, sizeof(place.name));
	memcpy(group->sum.where, place.where, sizeof(place.where));
	memcpy(group->sum.id, place.id, sizeof(place.id));
	if (HASH_INSERT(m->groups, place, group)) {
		free(group);
		return NULL;
	}
	return group;
}

/* Sums of ended processes are no process. */
static bool has_group(const struct making *m, size_t i)
{
	return !model_row(m->model, i)->folded || m->choice->by != MODEL_BY_PROCESS;
}

static void add_losses(struct group_sum *sum, const int64_t *lost_bytes)
{
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		sum->lost_bytes[i] += lost_bytes[i];
}

static void add_process(struct group_sum *sum, const struct model_process *process)
{
	for (size_t i = 0; i < process->line_count; i++) {
		const struct model_line *line = &process->lines[i];

		sum->grown_bytes += line->grown_bytes;
		sum->freed_bytes += line->freed_bytes;
		sum->minor_faults += line->minor_faults;
		sum->major_faults += line->major_faults;
		sum->copied_pages += line->cow_faults;
	}
	sum->lost_faults += process->lost_faults;
	sum->change_bytes += process->rss_end_bytes - process->rss_start_bytes;
	add_losses(sum, process->lost_bytes);
	if (process->rss_peak_bytes > sum->peak_bytes)
		sum->peak_bytes = process->rss_peak_bytes;
	if (process->exited)
		return;
	sum->processes++;
	sum->rss_bytes += process->rss_end_bytes;
	sum->swap_bytes += process->swap_end_bytes;
	sum->pss_bytes = sum->pss_bytes < 0 || process->pss_bytes < 0
				 ? -1
				 : sum->pss_bytes + process->pss_bytes;
}

void group_sum_add(struct group_sum *to, const struct group_sum *from)
{
	to->processes += from->processes;
	to->rss_bytes += from->rss_bytes;
	to->swap_bytes += from->swap_bytes;
	to->pss_bytes =
		to->pss_bytes < 0 || from->pss_bytes < 0 ? -1 : to->pss_bytes + from->pss_bytes;
	if (from->peak_bytes > to->peak_bytes)
		to->peak_bytes = from->peak_bytes;
	to->change_bytes += from->change_bytes;
	to->grown_bytes += from->grown_bytes;
	to->freed_bytes += from->freed_bytes;
	add_losses(to, from->lost_bytes);
	to->minor_faults += from->minor_faults;
	to->major_faults += from->major_faults;
	to->copied_pages += from->copied_pages;
	to->lost_faults += from->lost_faults;
}

static uint64_t magnitude(int64_t bytes)
{
	return bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
}

static int by_size(struct group *one, struct group *other)
{
	const struct group_sum *x = &one->sum, *y = &other->sum;
	uint64_t a = magnitude(x->change_bytes), b = magnitude(y->change_bytes);

	if (one->weight != other->weight)
		return one->weight < other->weight ? 1 : -1;
	if (a != b)
		return a < b ? 1 : -1;
	return memcmp(&one->place, &other->place, sizeof(one->place));
}

static void weigh(const struct making *m)
{
	const struct group_choice *choice = m->choice;

	for (struct group *group = m->groups; group; group = group->hh.next) {
		uint64_t rss = group->sum.rss_bytes > 0 ? (uint64_t)group->sum.rss_bytes : 0;

		group->weight = rss;
		if (choice->had && choice->had(choice->arg, &group->place))
			group->weight += rss / 4;
	}
}

/* Gives the largest groups rows, and all others the last one. */
static int make_rows(struct making *m)
{
	size_t count = HASH_COUNT(m->groups), used = 0, most = m->choice->groups;
	static const struct model_gathered none;
	const struct model_gathered *gathered =
		m->choice->without_gathered ? &none : &m->model->unfolded;
	bool has_rest = count > most || gathered->processes;
	struct group_sum *rest;
	struct group *group;

	count = count < most ? count : most;
	m->sums->list = calloc(count + 1, sizeof(*m->sums->list));
	if (!m->sums->list)
		return -ENOMEM;
	m->rest = count;
	rest = &m->sums->list[count];
	rest->rest = true;
	strcpy(rest->name, GROUP_SUMS_REST);
	weigh(m);
	HASH_SRT(hh, m->groups, by_size);
	for (group = m->groups; group; group = group->hh.next) {
		group->row = used < count ? used : count;
		if (used < count)
			m->sums->list[used++] = group->sum;
		else
			group_sum_add(rest, &group->sum);
	}
	for (size_t i = 0; i < m->rows; i++) {
		if (m->group_of[i])
			continue;
		add_process(rest, model_row(m->model, i));
		has_rest = true;
	}
	rest->change_bytes += gathered->change_bytes;
	rest->other_lines_bytes += gathered->charged_bytes;
	add_losses(rest, gathered->lost_bytes);
	m->sums->count = count + has_rest;
	return 0;
}

/* --- lines --- */

static int by_place(const void *a, const void *b)
{
	const struct sorted_line *x = a, *y = b;
	int order;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	order = strcmp(x->location->file, y->location->file);
	if (!order)
		order = (x->location->line > y->location->line) -
			(x->location->line < y->location->line);
	return order ?: strcmp(x->location->function, y->location->function);
}

static int by_change(const void *a, const void *b)
{
	const struct sorted_line *x = a, *y = b;
	uint64_t p = magnitude(x->change_bytes), q = magnitude(y->change_bytes);

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	return p != q ? (p < q ? 1 : -1) : by_place(a, b);
}

static int list_lines(struct making *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->rows; i++)
		count += model_row(m->model, i)->line_count;
	m->lines = calloc(count + 1, sizeof(*m->lines));
	if (!m->lines)
		return -ENOMEM;
	for (size_t i = 0; i < m->rows; i++) {
		const struct model_process *process = model_row(m->model, i);
		size_t row = m->group_of[i] ? m->group_of[i]->row : m->rest;

		for (size_t j = 0; j < process->line_count; j++) {
			const struct model_line *line = &process->lines[j];

			if (line->increment_bytes)
				m->lines[m->line_count++] = (struct sorted_line){
					row, line->location, line->increment_bytes};
		}
	}
	return 0;
}

/* Makes one of all that are the same line of a row. */
static void merge_lines(struct making *m)
{
	size_t used = 0;

	if (m->line_count)
		qsort(m->lines, m->line_count, sizeof(*m->lines), by_place);
	for (size_t i = 0; i < m->line_count; i++) {
		if (used && !by_place(&m->lines[used - 1], &m->lines[i]))
			m->lines[used - 1].change_bytes += m->lines[i].change_bytes;
		else
			m->lines[used++] = m->lines[i];
	}
	m->line_count = used;
	if (used)
		qsort(m->lines, used, sizeof(*m->lines), by_change);
}

/* Hands the lines to their rows, `most` to each but the rest. */
static int hand_lines(struct making *m, size_t most)
{
	size_t used = 0;

	m->sums->lines = calloc(m->line_count + 1, sizeof(*m->sums->lines));
	if (!m->sums->lines)
		return -ENOMEM;
	for (size_t i = 0; i < m->line_count; i++) {
		struct group_sum *sum = &m->sums->list[m->lines[i].row];

		if (sum->rest || sum->line_count == most) {
			sum->other_lines_bytes += m->lines[i].change_bytes;
			continue;
		}
		m->sums->lines[used] =
			(struct group_line_sum){m->lines[i].location, m->lines[i].change_bytes};
		if (!sum->line_count++)
			sum->lines = &m->sums->lines[used];
		used++;
	}
	return 0;
}

int group_sums_make(const struct model *model, enum model_by by, size_t groups, size_t lines,
		    struct group_sums *sums)
{
	const struct group_choice choice = {.by = by, .groups = groups, .lines = lines};

	return group_sums_choose(model, &choice, sums);
}

void group_sum_place(const struct group_sum *sum, struct group_place *place)
{
	memset(place, 0, sizeof(*place));
	memcpy(place->name, sum->name, sizeof(place->name));
	memcpy(place->where, sum->where, sizeof(place->where));
	memcpy(place->id, sum->id, sizeof(place->id));
}

int group_sums_choose(const struct model *model, const struct group_choice *choice,
		      struct group_sums *sums)
{
	struct making m = {.model = model, .choice = choice, .sums = sums};
	struct group *group, *next;
	int err = 0;

	*sums = (struct group_sums){0};
	m.rows = choice->without_gathered ? model->process_count : model_row_count(model);
	m.group_of = calloc(m.rows + 1, sizeof(*m.group_of));
	if (!m.group_of)
		return -ENOMEM;
	for (size_t i = 0; i < m.rows && !err; i++) {
		if (!has_group(&m, i))
			continue;
		m.group_of[i] = group_for(&m, model_row(model, i));
		if (m.group_of[i])
			add_process(&m.group_of[i]->sum, model_row(model, i));
		else
			err = -ENOMEM;
	}
	err = err ?: make_rows(&m) ?: list_lines(&m);
	if (!err) {
		merge_lines(&m);
		err = hand_lines(&m, choice->lines);
	}
	HASH_ITER(hh, m.groups, group, next)
	{
		HASH_DEL(m.groups, group);
		free(group);
	}
	free(m.group_of);
	free(m.lines);
	if (err)
		group_sums_free(sums);
	return err;
}

void group_sums_free(struct group_sums *sums)
{
	free(sums->list);
	free(sums->lines);
	*sums = (struct group_sums){0};
}
