/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: Pyroscope shows services, and makes a series of each value that a label has. So there is
 * one profile for each program at one place, known by the labels `service_name` and `container` or
 * `where`, and nothing in it tells processes apart: else each new process would be a new series.
 *
 * Invariant: all profiles of a request together have what the model has. Who is none of the
 * PUSH_PROGRAMS that changed most (or have most) is in "(other)", and so are processes that have
 * ended and are known as a sum only.
 *
 * Programs come by size, smallest first, and each may need the bytes that are left, divided by
 * those that are still to come. So what a small one does not need is there for a large one. */
#include "agent/push_profiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_pprof.h"
#include "agent/push.pb-c.h"
#include "base/hash.h"
#include "model/cgroup_name.h"
#include "model/group_place.h"
#include "os/cgroup_parse.h"

#define STACKS_MOST 4096 /* of a program */
#define STACK_BYTES 64	 /* that a stack has at least */
#define FEWER	    2
#define LABELS	    5

struct group {
	struct group_place place;
	uint64_t weight;
	const struct model_process *first;
	size_t number; /* of its processes, when they are sorted */
	UT_hash_handle hh;
};

struct groups {
	struct group *known; /* by place */
	struct group **list; /* those with a series, smallest first */
	size_t count;
	bool resident;
};

struct series {
	Push__Series message;
	Push__Sample sample, *one_sample;
	Push__Label labels[LABELS], *all[LABELS];
	char *profile;
};

/* --- groups --- */

static uint64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
}

/* Bytes that changed, up or down, or that are resident. */
static uint64_t weight_of(const struct model_process *process, bool resident)
{
	uint64_t weight = 0;

	if (resident)
		return process->exited ? 0 : size_of(process->rss_end_bytes);
	for (size_t i = 0; i < process->node_count; i++)
		weight += process->nodes[i].grown_bytes + process->nodes[i].freed_bytes;
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		weight += size_of(process->lost_bytes[i]);
	return weight;
}

/* Whether a profile of it has anything. */
static bool has_changed(const struct model_process *process, bool resident)
{
	bool changed = weight_of(process, resident) || (!resident && process->lost_faults);

	for (size_t i = 0; !resident && !changed && i < process->node_count; i++)
		changed = process->nodes[i].faults || process->nodes[i].cow_faults;
	return changed;
}

/* 0 or -ENOMEM. */
static int add_process(struct groups *g, const struct model_process *process)
{
	struct group_place place;
	struct group *group;

	group_place_of(&place, MODEL_BY_PROGRAM, process);
	HASH_FIND(hh, g->known, &place, sizeof(place), group);
	if (!group) {
		group = calloc(1, sizeof(*group));
		if (!group)
			return -ENOMEM;
		group->place = place;
		group->first = process;
		if (HASH_INSERT(g->known, place, group)) {
			free(group);
			return -ENOMEM;
		}
	}
	group->weight += weight_of(process, g->resident);
	return 0;
}

static int by_weight(const void *one, const void *other)
{
	const struct group *a = *(struct group *const *)one, *b = *(struct group *const *)other;

	if (a->weight != b->weight)
		return a->weight > b->weight ? 1 : -1;
	return memcmp(&a->place, &b->place, sizeof(a->place));
}

/* 0 or -ENOMEM. */
static int choose(struct groups *g, const struct model *model)
{
	size_t all, next = 0;
	struct group *group, *following;
	int err = 0;

	for (size_t i = 0; i < model_row_count(model) && !err; i++)
		err = add_process(g, model_row(model, i));
	all = HASH_COUNT(g->known);
	g->list = err ? NULL : calloc(all ?: 1, sizeof(*g->list));
	if (!g->list)
		return -ENOMEM;
	HASH_ITER(hh, g->known, group, following)
	{
		g->list[next++] = group;
	}
	qsort(g->list, all, sizeof(*g->list), by_weight);
	g->count = all < PUSH_PROGRAMS ? all : PUSH_PROGRAMS;
	memmove(g->list, g->list + all - g->count, g->count * sizeof(*g->list));
	for (size_t i = 0; i < g->count; i++)
		g->list[i]->number = i + 1;
	return 0;
}

static void free_groups(struct groups *g)
{
	struct group *group, *following;

	HASH_ITER(hh, g->known, group, following)
	{
		HASH_DEL(g->known, group);
		free(group);
	}
	free(g->list);
}

/* --- a series --- */

static void add_label(struct series *s, const char *name, const char *value)
{
	Push__Label *label = &s->labels[s->message.n_labels];

	if (!*value)
		return;
	push__label__init(label);
	/* It is only read. */
	label->name = (char *)name;
	label->value = (char *)value;
	s->all[s->message.n_labels++] = label;
}

/* NULL: of all others. Texts stay as long as the group and the model do. */
static void add_labels(struct series *s, const struct model *model, const struct group *group,
		       bool resident)
{
	char name[CGROUP_PLACE_MAX];
	struct cgroup_parsed parsed;
	bool container = false;

	if (group) {
		cgroup_parse(group->first->cgroup, &parsed);
		container =
			cgroup_container_name(group->first->cgroup, &parsed, name, sizeof(name));
	}
	add_label(s, "__name__", resident ? "kept" : "rss");
	add_label(s, "service_name",
		  !group	       ? GROUP_PLACE_REST
		  : *group->place.name ? group->place.name
				       : "?");
	add_label(s, "hostname", model->host ?: "");
	if (group)
		add_label(s, container ? "container" : "where", group->place.where);
}

/* Makes the profile of the part, within `most` bytes before it is compressed. 0 or -errno. */
static int make_profile(struct series *s, struct model *part, bool resident, size_t most)
{
	const struct pprof_bounds bounds = {
		.stacks = most / STACK_BYTES < STACKS_MOST ? most / STACK_BYTES : STACKS_MOST,
		.resident = resident,
		.plain = true,
		.bytes = most,
	};
	size_t size = 0;
	int err = pprof_bytes_within(part, &bounds, FEWER, most, &s->profile, &size);

	if (err)
		return err;
	push__series__init(&s->message);
	push__sample__init(&s->sample);
	s->sample.raw_profile.data = (uint8_t *)s->profile;
	s->sample.raw_profile.len = size;
	s->one_sample = &s->sample;
	s->message.n_samples = 1;
	s->message.samples = &s->one_sample;
	s->message.labels = s->all;
	return 0;
}

/* --- the request --- */

struct parts { /* a model's processes and sums by group: the first is of all others */
	struct model_process **processes;
	size_t begin[PUSH_PROGRAMS + 2];
	bool changed[PUSH_PROGRAMS + 1];
};

static size_t number_of(const struct groups *g, const struct model_process *process)
{
	struct group_place place;
	struct group *group;

	group_place_of(&place, MODEL_BY_PROGRAM, process);
	HASH_FIND(hh, g->known, &place, sizeof(place), group);
	return group ? group->number : 0;
}

/* 0 or -ENOMEM. */
static int divide(struct parts *parts, const struct groups *g, const struct model *model)
{
	size_t count = model_row_count(model), *numbers = calloc(count ?: 1, sizeof(*numbers));
	size_t next[PUSH_PROGRAMS + 1];

	parts->processes = calloc(count ?: 1, sizeof(struct model_process *));
	if (!numbers || !parts->processes) {
		free(numbers);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		numbers[i] = number_of(g, model_row(model, i));
		parts->begin[numbers[i] + 1]++;
		parts->changed[numbers[i]] |= has_changed(model_row(model, i), g->resident);
	}
	for (size_t i = 0; i <= PUSH_PROGRAMS; i++) {
		parts->begin[i + 1] += parts->begin[i];
		next[i] = parts->begin[i];
	}
	for (size_t i = 0; i < count; i++)
		parts->processes[next[numbers[i]]++] = model_row(model, i);
	parts->changed[0] |= !g->resident && model->unfolded.processes;
	free(numbers);
	return 0;
}

/* The processes of a group as a model, which owns nothing. What a report says beside its figures
 * may be of other programs. */
static struct model part_of(const struct model *model, const struct parts *parts, size_t number)
{
	struct model part = *model;

	part.processes = parts->processes + parts->begin[number];
	part.process_count = parts->begin[number + 1] - parts->begin[number];
	part.skip_count = part.note_count = part.folded_count = 0;
	if (number)
		part.gathered = part.unfolded = (struct model_gathered){};
	return part;
}

/* What the profile had before it was compressed: the last word of gzip (RFC 1952). */
static size_t size_before(const ProtobufCBinaryData *profile)
{
	const uint8_t *end = profile->data + profile->len;

	return end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
}

/* Makes up to PUSH_PROGRAMS + 1 series. 0 or -errno. */
static int make_series(struct series *series, size_t *count, const struct groups *g,
		       const struct parts *parts, const struct model *model)
{
	size_t left = PUSH_PROFILE_BYTES, coming = 0;

	for (size_t i = 0; i <= g->count; i++)
		coming += parts->changed[i];
	for (size_t i = 0; i <= g->count; i++) {
		struct series *s = &series[*count];
		struct model part = part_of(model, parts, i);
		int err;

		if (!parts->changed[i])
			continue;
		err = make_profile(s, &part, g->resident, left / coming--);
		if (err)
			return err;
		add_labels(s, model, i ? g->list[i - 1] : NULL, g->resident);
		left -= size_before(&s->sample.raw_profile);
		++*count;
	}
	return 0;
}

static int pack(struct series *series, size_t count, uint8_t **body, size_t *size)
{
	Push__PushRequest request = PUSH__PUSH_REQUEST__INIT;
	Push__Series *all[PUSH_PROGRAMS + 1];

	for (size_t i = 0; i < count; i++)
		all[i] = &series[i].message;
	request.n_series = count;
	request.series = all;
	*size = push__push_request__get_packed_size(&request);
	*body = malloc(*size);
	if (!*body)
		return -ENOMEM;
	push__push_request__pack(&request, *body);
	return 0;
}

int push_profiles(struct model *model, bool resident, uint8_t **body, size_t *size)
{
	struct series *series = calloc(PUSH_PROGRAMS + 1, sizeof(*series));
	struct groups groups = {.resident = resident};
	struct parts parts = {};
	size_t count = 0;
	int err = series ? choose(&groups, model) : -ENOMEM;

	*body = NULL;
	*size = 0;
	err = err ?: divide(&parts, &groups, model)
		  ?: make_series(series, &count, &groups, &parts, model);
	if (!err && count)
		err = pack(series, count, body, size);
	for (size_t i = 0; series && i <= PUSH_PROGRAMS; i++)
		free(series[i].profile);
	free(series);
	free(parts.processes);
	free_groups(&groups);
	return err;
}
