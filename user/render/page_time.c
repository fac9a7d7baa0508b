/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When the figures of a page came about: the member `time`.
 *
 * A recording may have thousands of processes in 300 slices, and a hundred thousand changes. So a
 * level is written only where it is another one, and numbers that go up as differences.
 *
 * Invariant: for each frame, the sum of its changes is what the figures of the page have of it
 * (timeline.h). Changes of stacks without frames are left out: their amounts are in no line. */
#include "render/page_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "model/cgroup_name.h"
#include "os/cgroup_memory.h"

static const char *const event_names[] = {
	[TIMELINE_BEGIN] = "begin",	[TIMELINE_END] = "end",
	[TIMELINE_OOM] = "oom",		[TIMELINE_GC] = "gc",
	[TIMELINE_RECLAIM] = "reclaim", [TIMELINE_HOST_RECLAIM] = "host-reclaim",
	[TIMELINE_UNSEEN] = "unseen",
};

json_t *page_time(double seconds)
{
	/* Up to the year 9999. */
	return json_integer(seconds > 0 && seconds < 253402300800.0 ? (json_int_t)(seconds * 1e6)
								    : 0);
}

/* Writes a number of an array. */
static void put(FILE *out, int64_t number, bool *more)
{
	if (*more)
		fputc(',', out);
	*more = true;
	json_put_number(out, number);
}

/* Writes an amount, of units of `unit` bytes; unknown ones (-1) are -1 whatever the unit. */
static int64_t in_units(int64_t bytes, int64_t unit)
{
	return bytes < 0 ? -1 : bytes / unit;
}

/* --- levels --- */

typedef int64_t level_fn(const void *levels, size_t slice);

static int64_t anon_of(const void *levels, size_t slice)
{
	return ((const struct timeline_level *)levels)[slice].anon;
}

static int64_t file_of(const void *levels, size_t slice)
{
	return ((const struct timeline_level *)levels)[slice].file;
}

static int64_t shmem_of(const void *levels, size_t slice)
{
	return ((const struct timeline_level *)levels)[slice].shmem;
}

static int64_t swap_of(const void *levels, size_t slice)
{
	return ((const struct timeline_level *)levels)[slice].swap;
}

static int64_t bytes_of(const void *levels, size_t slice)
{
	return ((const int64_t *)levels)[slice];
}

/* Writes where the level is another one than in the slice before: how many slices further on, and
 * by how much. It is -1 before the first slice. */
static void put_levels(struct page *page, const char *name, level_fn *level, const void *levels,
		       int64_t unit)
{
	size_t slice, last_slice = 0;
	int64_t last = -1, now;
	bool more = false;

	fprintf(page->out, ",\"%s\":[", name);
	for (slice = 0; slice < page->options->timeline->slices; slice++) {
		now = in_units(level(levels, slice), unit);
		if (now == last)
			continue;
		put(page->out, (int64_t)(slice - last_slice), &more);
		put(page->out, now - last, &more);
		last_slice = slice;
		last = now;
	}
	fputc(']', page->out);
}

/* --- changes --- */

struct changes { /* those of one process */
	struct page *page;
	const struct timeline_change *list;
	size_t count;
	int64_t *frames; /* of each; -1: it is left out */
};

typedef int64_t amount_fn(const struct timeline_change *change, int64_t page_size);

static int64_t grown_of(const struct timeline_change *change, int64_t page_size)
{
	return (int64_t)change->grown_bytes / page_size;
}

static int64_t freed_of(const struct timeline_change *change, int64_t page_size)
{
	return (int64_t)change->freed_bytes / page_size;
}

static int64_t copied_of(const struct timeline_change *change, int64_t page_size)
{
	(void)page_size;
	return (int64_t)change->cow_faults;
}

static int64_t faults_of(const struct timeline_change *change, int64_t page_size)
{
	(void)page_size;
	return (int64_t)change->faults;
}

static int64_t peak_of(const struct timeline_change *change, int64_t page_size)
{
	return (int64_t)change->peak_bytes / page_size;
}

static int64_t peak_before_of(const struct timeline_change *change, int64_t page_size)
{
	return (int64_t)change->peak_before_bytes / page_size;
}

static int64_t stalled_of(const struct timeline_change *change, int64_t page_size)
{
	(void)page_size;
	return (int64_t)change->stalled_ns;
}

static void put_amounts(const struct changes *c, const char *name, amount_fn *amount)
{
	bool more = false;
	size_t i;

	fprintf(c->page->out, ",\"%s\":[", name);
	for (i = 0; i < c->count; i++)
		if (c->frames[i] >= 0)
			put(c->page->out, amount(&c->list[i], (int64_t)c->page->model->page_size),
			    &more);
	fputc(']', c->page->out);
}

/* Slices and frames are differences to the change before. */
static void put_differences(const struct changes *c, const char *name, bool frames)
{
	int64_t last = 0, now;
	bool more = false;
	size_t i;

	fprintf(c->page->out, "%s\"%s\":[", frames ? "," : "", name);
	for (i = 0; i < c->count; i++) {
		if (c->frames[i] < 0)
			continue;
		now = frames ? c->frames[i] : (int64_t)c->list[i].slice;
		put(c->page->out, now - last, &more);
		last = now;
	}
	fputc(']', c->page->out);
}

static int put_changes(struct changes *c)
{
	bool before = false;
	size_t i;

	c->frames = calloc(c->count + 1, sizeof(*c->frames));
	if (!c->frames)
		return -ENOMEM;
	for (i = 0; i < c->count; i++)
		c->frames[i] = page_frame(c->page, c->list[i].process, c->list[i].node);
	/* Only a part of a recording has any. */
	for (i = 0; i < c->count && c->page->options->timeline->peaks_known; i++)
		before |= c->list[i].peak_before_bytes > 0;
	fputs(",\"changes\":{", c->page->out);
	put_differences(c, "slice", false);
	put_differences(c, "frame", true);
	put_amounts(c, "grown", grown_of);
	put_amounts(c, "freed", freed_of);
	put_amounts(c, "copied", copied_of);
	put_amounts(c, "faults", faults_of);
	if (c->page->options->timeline->peaks_known)
		put_amounts(c, "peak", peak_of);
	if (before)
		put_amounts(c, "peak_before", peak_before_of);
	put_amounts(c, "stalled", stalled_of);
	fputc('}', c->page->out);
	free(c->frames);
	return 0;
}

/* The changes of a process: neighbours in the list. */
static struct changes changes_of(struct page *page, const struct model_process *process,
				 size_t *from)
{
	const struct timeline *timeline = page->options->timeline;
	struct changes found = {.page = page};
	size_t i = *from, end;

	/* Both lists have the same order, as a rule. */
	if (i >= timeline->change_count || timeline->changes[i].process != process)
		for (i = 0; i < timeline->change_count && timeline->changes[i].process != process;)
			i++;
	for (end = i; end < timeline->change_count && timeline->changes[end].process == process;)
		end++;
	found.list = timeline->changes + i;
	found.count = end - i;
	*from = end;
	return found;
}

/* --- all of it --- */

static int put_process(struct page *page, const struct timeline_process *process, size_t *from)
{
	struct changes changes = changes_of(page, process->process, from);
	int64_t unit = (int64_t)page->model->page_size;
	FILE *out = page->out;

	fprintf(out, "{\"process\":%lld,\"cgroup\":%lld",
		(long long)page_process(page, process->process),
		process->cgroup == SIZE_MAX ? -1LL : (long long)process->cgroup);
	put_levels(page, "anon", anon_of, process->levels, unit);
	put_levels(page, "file", file_of, process->levels, unit);
	put_levels(page, "shmem", shmem_of, process->levels, unit);
	put_levels(page, "swap", swap_of, process->levels, unit);
	put_levels(page, "peak", bytes_of, process->peak_bytes, unit);
	put_levels(page, "most", bytes_of, process->most_bytes, unit);
	if (process->peak_before_bytes >= 0)
		fprintf(out, ",\"peak_before\":%lld",
			(long long)in_units(process->peak_before_bytes, unit));
	if (process->pss_bytes)
		put_levels(page, "pss", bytes_of, process->pss_bytes, 1);
	return put_changes(&changes) ?: (fputc('}', out), ferror(out) ? -EIO : 0);
}

/* Not the path: a redacted report has no folders of its host. */
static json_t *group_name(const char *path)
{
	char name[STACK_ROW_NAME];

	if (!strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1)))
		path += strlen(CGROUP_MEMORY_V1);
	cgroup_name(path, name, sizeof(name));
	return page_harmless(*name ? name : "the host");
}

static int put_cgroup(struct page *page, const struct timeline_cgroup *cgroup)
{
	struct json_member member = {"name", group_name(cgroup->path ?: "")};
	int err;

	fputc('{', page->out);
	err = json_put_members(page->out, "", &member, 1, false);
	put_levels(page, "current", bytes_of, cgroup->current_bytes, 1);
	put_levels(page, "limit", bytes_of, cgroup->limit_bytes, 1);
	fputc('}', page->out);
	return err;
}

static int put_reason(struct page *page, const struct timeline_mark *mark)
{
	struct json_member text = {"text", page_harmless(mark->text ?: "")};

	return json_put_members(page->out, "", &text, 1, true);
}

static int put_counts(struct page *page, const struct timeline_mark *mark)
{
	struct json_member members[] = {
		{"count", json_count(mark->count)},
		{"more", json_count(mark->more)},
	};

	return JSON_PUT_MEMBERS(page->out, "", members, true);
}

/* The group at its limit, which is none of the page's if it lies above them, and all that are below
 * it. */
static int put_group(struct page *page, const struct timeline_mark *mark)
{
	const struct timeline *timeline = page->options->timeline;
	const char *path = timeline->cgroups[mark->cgroup].path;
	json_t *below = json_array();
	char *group = strndup(path, mark->group_length);
	struct json_member members[] = {
		{"group", group ? group_name(group) : NULL},
		{"groups", below},
	};
	int err = 0;

	free(group);
	for (size_t i = 0; i < timeline->cgroup_count && below; i++)
		if (timeline_is_below(&timeline->cgroups[i], path, mark->group_length) &&
		    json_array_append_new(below, json_integer((json_int_t)i)))
			err = -ENOMEM;
	return JSON_PUT_MEMBERS(page->out, "", members, true) ?: err;
}

static int put_mark(struct page *page, const struct timeline_mark *mark)
{
	struct json_member members[] = {
		{"time", page_time(mark->time)},
		{"event", json_string(event_names[mark->event])},
		{"process",
		 mark->process ? json_integer(page_process(page, mark->process)) : json_null()},
		{"cgroup",
		 mark->cgroup != SIZE_MAX ? json_integer((json_int_t)mark->cgroup) : json_null()},
	};
	int err;

	fputc('{', page->out);
	err = JSON_PUT_MEMBERS(page->out, "", members, false);
	if (!err && mark->event == TIMELINE_UNSEEN)
		err = put_reason(page, mark);
	else if (!err && mark->event >= TIMELINE_GC)
		err = put_counts(page, mark);
	if (!err && mark->event == TIMELINE_RECLAIM)
		err = put_group(page, mark);
	fputc('}', page->out);
	return err;
}

static void separate(struct page *page, size_t i)
{
	fputs(i ? ",\n" : "\n", page->out);
}

int page_put_time(struct page *page)
{
	const struct timeline *timeline = page->options->timeline;
	size_t i, from = 0;
	int err;

	if (!timeline)
		return 0;
	struct json_member members[] = {
		{"start", page_time(timeline->start)},
		{"end", page_time(timeline->end)},
		{"slices", json_count(timeline->slices)},
	};

	fputs(",\n\"time\":{", page->out);
	err = JSON_PUT_MEMBERS(page->out, "", members, false);
	fputs(",\"processes\":[", page->out);
	for (i = 0; i < timeline->process_count && !err; i++) {
		separate(page, i);
		err = put_process(page, &timeline->processes[i], &from);
	}
	fputs("],\"cgroups\":[", page->out);
	for (i = 0; i < timeline->cgroup_count && !err; i++) {
		separate(page, i);
		err = put_cgroup(page, &timeline->cgroups[i]);
	}
	fputs("],\"marks\":[", page->out);
	for (i = 0; i < timeline->mark_count && !err; i++) {
		separate(page, i);
		err = put_mark(page, &timeline->marks[i]);
	}
	fputs("]}", page->out);
	return err;
}
