/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/metric_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kept_line {
	struct model_location location; /* its texts are ours */
	int64_t change_bytes;
};

struct kept_group {
	struct group_place place;
	size_t first, count; /* of lines */
};

struct metric_lines {
	struct kept_group *groups; /* by place */
	size_t group_count;
	struct kept_line *lines;
	size_t line_count;
	bool known;
	double time, cost;
};

struct metric_lines *metric_lines_new(void)
{
	return calloc(1, sizeof(struct metric_lines));
}

static void clear(struct metric_lines *kept)
{
	for (size_t i = 0; i < kept->line_count; i++) {
		free((char *)kept->lines[i].location.file);
		free((char *)kept->lines[i].location.function);
	}
	free(kept->lines);
	free(kept->groups);
	*kept = (struct metric_lines){};
}

void metric_lines_free(struct metric_lines *kept)
{
	if (kept)
		clear(kept);
	free(kept);
}

static int by_place(const void *a, const void *b)
{
	const struct kept_group *one = a, *other = b;

	return memcmp(&one->place, &other->place, sizeof(one->place));
}

static int keep_line(struct metric_lines *kept, const struct group_line_sum *line)
{
	const struct model_location *from = line->location;
	struct kept_line *to = &kept->lines[kept->line_count++];

	to->change_bytes = line->change_bytes;
	to->location = *from;
	to->location.file = strdup(from->file ?: "");
	to->location.function = strdup(from->function ?: "");
	return to->location.file && to->location.function ? 0 : -ENOMEM;
}

static int keep_group(struct metric_lines *kept, const struct group_sum *sum)
{
	struct kept_group *group = &kept->groups[kept->group_count++];
	int err = 0;

	if (sum->rest)
		memset(&group->place, 0, sizeof(group->place)); /* no group has this name */
	else
		group_sum_place(sum, &group->place);
	group->first = kept->line_count;
	group->count = sum->line_count;
	for (size_t i = 0; i < sum->line_count && !err; i++)
		err = keep_line(kept, &sum->lines[i]);
	return err;
}

int metric_lines_keep(struct metric_lines *kept, const struct group_sums *sums, double now,
		      double cost)
{
	size_t lines = 0;
	int err = 0;

	clear(kept);
	for (size_t i = 0; i < sums->count; i++)
		lines += sums->list[i].line_count;
	kept->groups = calloc(sums->count + 1, sizeof(*kept->groups));
	kept->lines = calloc(lines + 1, sizeof(*kept->lines));
	if (!kept->groups || !kept->lines)
		err = -ENOMEM;
	for (size_t i = 0; i < sums->count && !err; i++)
		err = keep_group(kept, &sums->list[i]);
	if (err) {
		clear(kept);
		return err;
	}
	qsort(kept->groups, kept->group_count, sizeof(*kept->groups), by_place);
	kept->known = true;
	kept->time = now;
	kept->cost = cost;
	return 0;
}

bool metric_lines_are_due(const struct metric_lines *kept, double now, double part)
{
	return !kept->known || kept->cost <= part * (now - kept->time);
}

double metric_lines_age(const struct metric_lines *kept, double now)
{
	return kept->known ? now - kept->time : 0;
}

static const struct kept_group *find(const struct metric_lines *kept, const struct group_sum *sum)
{
	struct kept_group key = {};

	if (!sum->rest)
		group_sum_place(sum, &key.place);
	return bsearch(&key, kept->groups, kept->group_count, sizeof(key), by_place);
}

int metric_lines_put(const struct metric_lines *kept, struct group_sums *sums)
{
	struct group_line_sum *next = calloc(kept->line_count + 1, sizeof(*next));

	if (!next)
		return -ENOMEM;
	free(sums->lines);
	sums->lines = next;
	for (size_t i = 0; i < sums->count; i++) {
		struct group_sum *sum = &sums->list[i];
		const struct kept_group *group = find(kept, sum);

		sum->lines = next;
		sum->line_count = group ? group->count : 0;
		for (size_t j = 0; j < sum->line_count; j++) {
			const struct kept_line *line = &kept->lines[group->first + j];

			*next++ = (struct group_line_sum){
				.location = &line->location,
				.change_bytes = line->change_bytes,
			};
			sum->other_lines_bytes -= line->change_bytes;
		}
	}
	return 0;
}
