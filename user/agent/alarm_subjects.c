/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is watched: processes, and the programs and control groups that they are in. A process is
 * described once, when its image is met first; after that only its RSS is noted, each second, or
 * as often as figures are read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/alarm_private.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/group_place.h"
#include "os/cgroup_memory.h"
#include "os/cgroup_parse.h"

#define NAME_MOST 101 /* bytes, with the NUL, of a program: code behind -c is long */

static void say_no_memory(struct alarms *a)
{
	if (!a->no_memory)
		agent_complain("alarms: there is no memory to watch all: %s", strerror(ENOMEM));
	a->no_memory = true;
}

static void say_crowded(struct alarms *a)
{
	if (!a->crowded)
		agent_complain("alarms: more than %d processes: no alarm watches the others",
			       ALARM_SUBJECTS_MOST);
	a->crowded = true;
}

static struct alarm_subject *new_subject(struct alarms *a, enum alarm_scope scope)
{
	struct alarm_subject *s = calloc(1, sizeof(*s));

	if (!s) {
		say_no_memory(a);
		return NULL;
	}
	s->scope = scope;
	s->used = s->limit = -1;
	return s;
}

static void free_subject(struct alarm_subject *s)
{
	for (size_t i = 0; i < ALARM_TRACKS_MOST; i++)
		free(s->series[i]);
	free(s->key);
	free(s->memory);
	free(s->name);
	free(s->place);
	free(s);
}

/* --- programs and control groups --- */

/* The one with that key, which is made if there is none. NULL: it can't be watched. */
static struct alarm_subject *other(struct alarms *a, const char *key, enum alarm_scope scope)
{
	struct alarm_subject *s;

	HASH_FIND_STR(a->others, key, s);
	if (s) {
		s->users++;
		return s;
	}
	if (HASH_COUNT(a->others) >= ALARM_SUBJECTS_MOST) {
		say_crowded(a);
		return NULL;
	}
	s = new_subject(a, scope);
	if (s)
		s->key = strdup(key);
	if (s && s->key)
		HASH_ADD_KEYPTR(hh, a->others, s->key, strlen(s->key), s);
	if (s && !s->hh.tbl) {
		free_subject(s);
		s = NULL;
		say_no_memory(a);
	}
	if (s)
		s->users = 1;
	return s;
}

static void leave(struct alarms *a, struct alarm_subject *s)
{
	if (!s || --s->users)
		return;
	HASH_DEL(a->others, s);
	free_subject(s);
}

/* The program as --by program has it (group_place.h). */
static struct alarm_subject *program_of(struct alarms *a, const struct counts_image *image)
{
	struct group_place place;
	char key[sizeof(place.name) + sizeof(place.where) + 16], name[NAME_MOST];
	struct alarm_subject *s;

	group_place_of_program(&place, (char *const *)image->argv, image->comm,
			       image->cgroup ?: "");
	/* Neither has a line end: they are escaped. No path of a control group begins so. */
	snprintf(key, sizeof(key), "program\n%s\n%s", place.name, place.where);
	s = other(a, key, ALARM_PROGRAM);
	/* Cut between two characters: the journal does not show a line that is not UTF-8. */
	text_escape(name, sizeof(name), place.name);
	if (s && !s->name)
		s->name = strdup(name);
	if (s && !s->place)
		s->place = strdup(place.where);
	return s;
}

/* Cuts the path behind its container. True: it has one. */
static bool cut_to_container(char *path)
{
	struct cgroup_parsed parsed;

	cgroup_parse(path, &parsed);
	if (parsed.container)
		path[parsed.length] = '\0';
	return parsed.container;
}

/* The control group: the container, or the one that limits the process's memory. NULL: it is the
 * root's, which has no limit, or it is not known. */
static struct alarm_subject *group_of(struct alarms *a, const struct counts_image *image)
{
	char memory[ALARM_KEY_MOST], path[ALARM_KEY_MOST];
	struct alarm_subject *s;
	const char *at;
	bool container;

	cgroup_memory_name(image->pid, image->cgroup, memory, sizeof(memory));
	snprintf(path, sizeof(path), "%s", image->cgroup ?: "");
	container = cut_to_container(memory);
	/* With v1, another hierarchy than that of the memory may name it. */
	if (container || !cut_to_container(path))
		snprintf(path, sizeof(path), "%s", memory);
	else
		container = true;
	at = strchr(path, '/');
	if (!at || !at[1])
		return NULL;
	s = other(a, path, container ? ALARM_CONTAINER : ALARM_GROUP);
	/* It is not known of a process that is gone. */
	if (s && !s->memory && *memory)
		s->memory = strdup(memory);
	return s;
}

void alarms_read_group(struct alarm_subject *s, double now)
{
	struct cgroup_memory memory;
	int64_t cache;

	if (!s->memory || s->read >= now)
		return;
	s->read = now;
	s->used = s->limit = -1;
	cgroup_memory_read(s->memory, &memory);
	if (memory.limit_bytes <= 0 || memory.current_bytes < 0)
		return;
	cache = cgroup_idle_cache(s->memory, memory.length);
	s->limit = memory.limit_bytes;
	s->limit_length = memory.length;
	s->used = memory.current_bytes - (cache > 0 ? cache : 0);
	if (s->used < 0)
		s->used = 0;
}

int64_t alarms_part_of_limit(const struct alarm_subject *s, const struct alarm_subject **group)
{
	bool is_group = s->scope == ALARM_CONTAINER || s->scope == ALARM_GROUP;

	*group = is_group ? s : s->of_group;
	if (*group && (*group)->limit <= 0)
		*group = NULL;
	return is_group ? s->used : s->rss;
}

/* True if it is the same group that limits both. */
static bool same_limit(const struct alarm_subject *a, const struct alarm_subject *b)
{
	if (a == b)
		return true;
	return a && b && a->limit > 0 && b->limit > 0 && a->limit_length == b->limit_length &&
	       !strncmp(a->memory, b->memory, a->limit_length);
}

/* --- processes --- */

/* Since when the figures are known: since the process or the profile began. */
static double start_of(const struct alarms *a, const struct pymem_proc *record)
{
	double began = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME) +
		       (double)record->start_boottime_ns / 1e9;

	return began > a->start ? began : a->start;
}

static struct alarm_subject *add_process(struct alarms *a, const struct counts_image *image)
{
	struct alarm_subject *s;

	if (HASH_COUNT(a->processes) >= ALARM_SUBJECTS_MOST) {
		say_crowded(a);
		return NULL;
	}
	s = new_subject(a, ALARM_PROCESS);
	if (!s)
		return NULL;
	s->image = image->id;
	s->pid = image->pid;
	s->ns_pid = image->ns_pid;
	s->start_boottime_ns = image->record->start_boottime_ns;
	s->start = start_of(a, image->record);
	if (HASH_INSERT(a->processes, image, s)) {
		free_subject(s);
		say_no_memory(a);
		return NULL;
	}
	s->of_program = program_of(a, image);
	s->of_group = group_of(a, image);
	return s;
}

void alarms_note_image(struct alarms *a, const struct counts_image *image)
{
	struct alarm_subject *s;

	if (!a->rules.count || image->ended)
		return;
	HASH_FIND(hh, a->processes, &image->id, sizeof(image->id), s);
	if (!s)
		s = add_process(a, image);
	if (!s)
		return;
	s->seen = a->reading;
	s->rss = counts_rss_pages(image->record->now_pages) * sysconf(_SC_PAGESIZE);
}

static void drop_process(struct alarms *a, struct alarm_subject *s)
{
	leave(a, s->of_program);
	leave(a, s->of_group);
	HASH_DEL(a->processes, s);
	free_subject(s);
}

static void add_rss(struct alarm_subject *to, const struct alarm_subject *process)
{
	if (to)
		to->rss += process->rss;
}

/* The group of a program is that of its processes. What is below several limits has none: it would
 * be compared with one of them as a whole. */
static void add_group(struct alarm_subject *program, const struct alarm_subject *process)
{
	if (!program || program->split)
		return;
	if (!program->joined)
		program->of_group = process->of_group;
	program->joined = true;
	program->split = !same_limit(program->of_group, process->of_group);
	if (program->split)
		program->of_group = NULL;
}

void alarms_settle(struct alarms *a)
{
	struct alarm_subject *s, *next;

	for (s = a->others; s; s = s->hh.next) {
		s->rss = 0;
		s->of_group = NULL;
		s->joined = s->split = false;
	}
	HASH_ITER(hh, a->processes, s, next)
	{
		if (s->seen != a->reading) {
			drop_process(a, s);
			continue;
		}
		add_rss(s->of_program, s);
		add_group(s->of_program, s);
		add_rss(s->of_group, s);
	}
}

void alarms_free_subjects(struct alarms *a)
{
	struct alarm_subject *s, *next;

	HASH_ITER(hh, a->processes, s, next)
	{
		drop_process(a, s);
	}
}

/* --- other rules --- */

static void change_subject(const struct alarms *a, const struct alarms *before,
			   struct alarm_subject *s)
{
	struct alarm_series *series[ALARM_TRACKS_MOST] = {};
	struct alarm_state states[ALARM_RULES_MOST] = {};

	for (size_t i = 0; i < a->track_count; i++)
		for (size_t j = 0; j < before->track_count; j++) {
			const struct alarm_track *one = &a->tracks[i], *was = &before->tracks[j];
			double apart = one->window - was->window;

			if (one->used_bytes != was->used_bytes || apart > 1e-9 || apart < -1e-9)
				continue;
			series[i] = s->series[j];
			s->series[j] = NULL;
		}
	for (size_t j = 0; j < ALARM_TRACKS_MOST; j++)
		free(s->series[j]);
	for (size_t i = 0; i < a->rules.count; i++)
		for (size_t j = 0; j < before->rules.count; j++)
			if (alarm_rule_same(&a->rules.list[i], &before->rules.list[j]))
				states[i] = s->states[j];
	memcpy(s->series, series, sizeof(series));
	memcpy(s->states, states, sizeof(states));
	s->fresh = 0;
}

void alarms_change_subjects(struct alarms *a, const struct alarms *before)
{
	struct alarm_subject *s;

	for (s = a->processes; s; s = s->hh.next)
		change_subject(a, before, s);
	for (s = a->others; s; s = s->hh.next)
		change_subject(a, before, s);
}
