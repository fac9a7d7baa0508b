/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/death_group.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"

#define NAME_IDLE "inactive_file"
#define NS_MOST	  (1ll << 62)

static json_t *known(int64_t number)
{
	return number < 0 ? json_null() : json_integer(number);
}

static int put(json_t *object, const char *name, json_t *value)
{
	return value ? json_object_set_new(object, name, value) : -1;
}

/* "current" is no part of memory.stat. */
static int put_stat(json_t *stat, const struct cgroup_last *group)
{
	int err = stat ? 0 : -1;

	for (int i = 0; i < CGROUP_PART_COUNT && !err; i++)
		if (i != CGROUP_TOTAL)
			err = put(stat, cgroup_part_name(i), known(group->bytes[i]));
	return err ?: put(stat, NAME_IDLE, known(group->idle_bytes));
}

static int put_events(json_t *events, const struct cgroup_last *group)
{
	int err = events ? 0 : -1;

	for (int i = 0; i < CGROUP_EVENT_COUNT && !err; i++)
		err = put(events, cgroup_event_name(i), known(group->events[i]));
	return err;
}

json_t *death_group_value(const struct cgroup_last *group)
{
	json_t *stat, *events;

	if (group->state != CGROUP_LAST_READ)
		return json_null();
	stat = json_object();
	events = json_object();
	if (!put_stat(stat, group) && !put_events(events, group))
		return json_pack("{s:o, s:i, s:f, s:o, s:o, s:o}", "path", json_text(group->path),
				 "version", group->v1 ? 1 : 2, "late_ms",
				 (double)(group->late_ns / 1000) / 1000, "current_bytes",
				 known(group->bytes[CGROUP_TOTAL]), "stat_bytes", stat, "events",
				 events);
	json_decref(stat);
	json_decref(events);
	return NULL;
}

json_t *death_group_missing(const struct cgroup_last *group)
{
	if (group->state == CGROUP_LAST_READ || group->state == CGROUP_LAST_UNSEEN)
		return json_null();
	return json_string(cgroup_last_state_name(group->state));
}

/* A count, or null: -1. What is not there is not known, either. */
static bool take_known(const json_t *object, const char *name, int64_t *number)
{
	const json_t *value = json_object_get(object, name);

	*number = json_is_integer(value) ? json_integer_value(value) : -1;
	return !value || json_is_null(value) || (json_is_integer(value) && *number >= 0);
}

static bool take_numbers(const json_t *value, struct cgroup_last *group)
{
	const json_t *stat = json_object_get(value, "stat_bytes");
	const json_t *events = json_object_get(value, "events");
	bool good = json_is_object(stat) && json_is_object(events);

	for (int i = 0; i < CGROUP_PART_COUNT && good; i++)
		good = i == CGROUP_TOTAL ? take_known(value, "current_bytes", &group->bytes[i])
					 : take_known(stat, cgroup_part_name(i), &group->bytes[i]);
	for (int i = 0; i < CGROUP_EVENT_COUNT && good; i++)
		good = take_known(events, cgroup_event_name(i), &group->events[i]);
	return good && take_known(stat, NAME_IDLE, &group->idle_bytes);
}

static bool take_group(const json_t *value, struct cgroup_last *group)
{
	const char *path = json_string_value(json_object_get(value, "path"));
	const json_t *version = json_object_get(value, "version");
	double late = json_number_value(json_object_get(value, "late_ms")) * 1e6;

	if (!path || !json_is_integer(version) ||
	    !json_is_number(json_object_get(value, "late_ms")) ||
	    !(late > (double)-NS_MOST && late < (double)NS_MOST) || !take_numbers(value, group))
		return false;
	snprintf(group->path, sizeof(group->path), "%s", path);
	group->v1 = json_integer_value(version) == 1;
	group->late_ns = (int64_t)late;
	group->state = CGROUP_LAST_READ;
	return true;
}

bool death_group_take(const json_t *value, const json_t *missing, struct cgroup_last *group)
{
	const char *why = json_string_value(missing);

	memset(group, 0, sizeof(*group));
	if (missing && !json_is_null(missing) && !why)
		return false;
	if (value && !json_is_null(value))
		return json_is_object(value) && take_group(value, group);
	if (!missing || json_is_null(missing))
		return true;
	for (int i = 0; i < CGROUP_LAST_COUNT; i++) {
		if (i == CGROUP_LAST_READ || strcmp(why, cgroup_last_state_name(i)) != 0)
			continue;
		group->state = (enum cgroup_last_state)i;
		return true;
	}
	/* A reason that a later program knows. */
	group->state = CGROUP_LAST_GONE;
	return true;
}
