/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a model is made anew once a second, and remembers nothing. For rates, trends, a baseline
 * and the order of its rows, the screen must find the same process and the same line again.
 *
 * A process is found by the model's id and its PID. A line is found by the addresses of its names,
 * which the model keeps once and as long as they are used (model_book.c). The copies that are kept
 * here tell if another name is at an address by now. So a target that chooses its names can't make
 * two lines one, nor slow the table down.
 *
 * Rates of a group are the sums of its processes' rates. A process that comes or goes changes the
 * group's RSS at once, and that is no growth. */
#include "screen/screen_data.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen/screen_names.h"
#include "screen/screen_private.h"

/* --- the beginning and the end --- */

void screen_data_init(struct screen_data *data, double now)
{
	*data = (struct screen_data){.begun = now, .reset = now, .now = now, .next_number = 1};
	screen_object_init(data, &data->host);
}

void screen_object_init(struct screen_data *data, struct screen_object *object)
{
	*object = (struct screen_object){
		.number = data->next_number++, .place = SCREEN_NO_PLACE, .seen = data->sample};
	object->now.limit_share = object->now.per_minute = object->now.total_per_minute = NAN;
}

static void free_process(struct screen_data *data, struct screen_process *process)
{
	HASH_DEL(data->processes, process);
	free(process->program);
	free(process->container);
	free(process->command);
	free(process->cgroup);
	free(process->note);
	free(process);
}

static void free_group(struct screen_data *data, struct screen_group *group)
{
	HASH_DEL(data->groups, group);
	free(group->container);
	free(group->program);
	free(group->key);
	free(group);
}

static void sweep(struct screen_data *data)
{
	struct screen_process *process, *next_process;

	HASH_ITER(hh, data->processes, process, next_process)
	{
		if (process->object.seen != data->sample)
			free_process(data, process);
	}
}

static void sweep_groups(struct screen_data *data)
{
	struct screen_group *group, *next_group;

	HASH_ITER(hh, data->groups, group, next_group)
	{
		if (group->object.seen != data->sample)
			free_group(data, group);
	}
}

void screen_data_fini(struct screen_data *data)
{
	data->sample++;
	sweep(data);
	sweep_groups(data);
	screen_data_open(data, 0);
	screen_base_lines_free(data);
}

/* --- processes --- */

/* Replaces a name, which may change while the process runs (exec, setproctitle). 0; -ENOMEM: `made`
 * is NULL. */
static int renew(char **name, char *made)
{
	if (!made)
		return -ENOMEM;
	free(*name);
	*name = made;
	return 0;
}

/* Called once a second for each process. Without a change it allocates one string only. */
static int name_process(struct screen_process *process, const struct model_process *from)
{
	char *command = screen_command(from->cmdline, from->comm);
	int err;

	if (!command)
		return -ENOMEM;
	if (process->command && !strcmp(process->command, command) &&
	    !strcmp(process->cgroup, from->cgroup)) {
		free(command);
		return 0;
	}
	err = renew(&process->command, command);
	if (!err)
		err = renew(&process->program, screen_program(from->cmdline, from->comm));
	if (!err)
		err = renew(&process->container, screen_container(from->cgroup));
	if (!err)
		err = renew(&process->cgroup, strdup(from->cgroup));
	return err;
}

/* Takes over why the process has no lines, which may change, too. 0 or -ENOMEM. */
static int note_process(struct screen_process *process, const struct model_process *from)
{
	if (!from->note) {
		free(process->note);
		process->note = NULL;
		return 0;
	}
	if (process->note && !strcmp(process->note, from->note))
		return 0;
	return renew(&process->note, strdup(from->note));
}

static struct screen_process *new_process(struct screen_data *data,
					  const struct model_process *from)
{
	struct screen_process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	screen_object_init(data, &process->object);
	process->key.id = from->id;
	process->key.pid = from->pid;
	process->base.rss_bytes = from->rss_start_bytes;
	process->pss_bytes = process->pss_rss_bytes = process->pss_known_bytes = -1;
	if (HASH_INSERT(data->processes, key, process)) {
		free(process);
		return NULL;
	}
	return process;
}

static struct screen_process *find_process(const struct screen_data *data,
					   const struct model_process *from)
{
	struct screen_process *found, wanted = {.key = {.id = from->id, .pid = from->pid}};

	HASH_FIND(hh, data->processes, &wanted.key, sizeof(wanted.key), found);
	return found;
}

/* The figures of a process, counted from its beginning. */
static struct screen_figures figures_of(const struct model_process *from)
{
	struct screen_figures figures = {
		.rss_bytes = from->rss_end_bytes,
		.lost_bytes = model_lost_bytes(from),
		.faults = from->lost_faults,
	};

	for (size_t i = 0; i < from->line_count; i++) {
		const struct model_line *line = &from->lines[i];

		figures.grown_bytes += line->grown_bytes;
		figures.freed_bytes += line->freed_bytes;
		figures.faults += line->minor_faults + line->major_faults;
	}
	return figures;
}

static uint64_t since(uint64_t now, uint64_t base)
{
	return now > base ? now - base : 0;
}

static int take_process(struct screen_data *data, const struct model_process *from)
{
	struct screen_process *process = find_process(data, from);
	struct screen_figures figures = figures_of(from), *now;
	int err;

	if (!process)
		process = new_process(data, from);
	if (!process)
		return -ENOMEM;
	err = name_process(process, from);
	if (!err)
		err = note_process(process, from);
	if (err)
		return err;
	process->object.seen = data->sample;
	process->ppid = from->ppid;
	process->ns_pid = from->ns_pid;
	process->ended = from->exited;
	now = &process->object.now;
	now->rss_bytes = process->ended ? 0 : figures.rss_bytes;
	now->growth_bytes = now->total_bytes = figures.rss_bytes - process->base.rss_bytes;
	now->grown_bytes = since(figures.grown_bytes, process->base.grown_bytes);
	now->freed_bytes = since(figures.freed_bytes, process->base.freed_bytes);
	now->faults = since(figures.faults, process->base.faults);
	now->lost_bytes = figures.lost_bytes - process->base.lost_bytes;
	now->count = !process->ended;
	if (!process->ended)
		history_add(&process->object.history, data->now, figures.rss_bytes);
	now->per_minute = process->ended ? NAN : history_per_minute(&process->object.history);
	now->total_per_minute = now->per_minute;
	return 0;
}

const struct model_process *screen_data_find(const struct model *model,
					     const struct screen_process *process)
{
	for (size_t i = 0; i < model->process_count; i++) {
		if (model->processes[i]->id == process->key.id &&
		    model->processes[i]->pid == process->key.pid)
			return model->processes[i];
	}
	return NULL;
}

struct screen_process *screen_data_process(const struct screen_data *data, uint64_t number)
{
	struct screen_process *process, *next;

	HASH_ITER(hh, data->processes, process, next)
	{
		if (process->object.number == number)
			return process;
	}
	return NULL;
}

int screen_data_take(struct screen_data *data, const struct model *model, double now)
{
	struct screen_process *open;
	int err = 0;

	data->now = now;
	data->sample++;
	data->notes = model->note_count + model->skip_count;
	for (size_t i = 0; i < model->process_count && !err; i++)
		err = take_process(data, model->processes[i]);
	if (err)
		return err;
	sweep(data);
	open = data->open_process ? screen_data_process(data, data->open_process) : NULL;
	if (open)
		err = screen_lines_take(data, open, screen_data_find(model, open));
	return err ? err : screen_data_group(data);
}

int screen_data_pass(struct screen_data *data, double now)
{
	struct screen_process *process, *next;

	data->now = now;
	HASH_ITER(hh, data->processes, process, next)
	{
		struct screen_figures *figures = &process->object.now;

		if (process->ended)
			continue;
		history_add(&process->object.history, now, figures->rss_bytes);
		figures->per_minute = history_per_minute(&process->object.history);
		figures->total_per_minute = figures->per_minute;
	}
	screen_lines_pass(data);
	return screen_data_group(data);
}

int screen_data_reset(struct screen_data *data, const struct model *model, double now)
{
	int err = screen_base_lines_set(data, model);

	for (size_t i = 0; i < model->process_count && !err; i++) {
		struct screen_process *process = find_process(data, model->processes[i]);

		if (process)
			process->base = figures_of(model->processes[i]);
	}
	if (err)
		return err;
	data->reset = now;
	return screen_data_take(data, model, now);
}

/* --- containers and programs --- */

static struct screen_group *new_group(struct screen_data *data, enum screen_level level,
				      const char *container, const char *program, char *key)
{
	struct screen_group *group = calloc(1, sizeof(*group));

	if (!group) {
		free(key);
		return NULL;
	}
	screen_object_init(data, &group->object);
	group->object.seen = data->sample - 1;
	group->level = level;
	group->container = strdup(container);
	group->program = strdup(program);
	group->key = key;
	if (group->container && group->program) {
		HASH_ADD_KEYPTR(hh, data->groups, key, strlen(key), group);
		if (group->hh.tbl)
			return group;
	}
	free(group->container);
	free(group->program);
	free(key);
	free(group);
	return NULL;
}

/* The group, which is made if it is not there. NULL: out of memory. */
static struct screen_group *group_of(struct screen_data *data, enum screen_level level,
				     const char *container, const char *program)
{
	struct screen_group *group;
	char *key;

	/* A container's name has no slash, so no two groups have the same key. */
	if (asprintf(&key, "%d/%s/%s", (int)level, container, program) < 0)
		return NULL;
	HASH_FIND(hh, data->groups, key, strlen(key), group);
	if (!group)
		return new_group(data, level, container, program, key);
	free(key);
	return group;
}

static void begin_sum(struct screen_figures *sum)
{
	*sum = (struct screen_figures){
		.per_minute = NAN, .total_per_minute = NAN, .limit_share = NAN};
}

/* RSS in which a page that several processes share counts in part for each (Pss). Pss is read only
 * now and then: what RSS has changed since counts as the process's own. Unknown Pss: RSS. */
static int64_t own_rss(const struct screen_process *process)
{
	int64_t rss = process->object.now.rss_bytes, own;

	if (process->pss_bytes < 0)
		return rss;
	own = process->pss_bytes + rss - process->pss_rss_bytes;
	return own < 0 ? 0 : own;
}

static void add(struct screen_figures *sum, const struct screen_process *process)
{
	const struct screen_figures *one = &process->object.now;

	if (process->ended)
		return;
	sum->rss_bytes += own_rss(process);
	sum->growth_bytes += one->growth_bytes;
	sum->total_bytes += one->growth_bytes;
	sum->grown_bytes += one->grown_bytes;
	sum->freed_bytes += one->freed_bytes;
	sum->faults += one->faults;
	sum->lost_bytes += one->lost_bytes;
	sum->count++;
	if (!isnan(one->per_minute))
		sum->per_minute = (isnan(sum->per_minute) ? 0 : sum->per_minute) + one->per_minute;
	sum->total_per_minute = sum->per_minute;
}

static int add_to_group(struct screen_data *data, enum screen_level level, const char *program,
			const struct screen_process *process)
{
	struct screen_group *group = group_of(data, level, process->container, program);

	if (!group)
		return -ENOMEM;
	if (group->object.seen != data->sample) {
		group->object.seen = data->sample;
		begin_sum(&group->object.now);
		group->mixed_limits = false;
		group->limit = process->limit;
	}
	group->mixed_limits |= !process->ended && group->limit != process->limit;
	if (!process->ended)
		group->alive = data->now;
	add(&group->object.now, process);
	return 0;
}

static double share_of(const struct screen_limit *limit, int64_t used_bytes)
{
	if (!limit || limit->limit_bytes <= 0 || used_bytes < 0)
		return NAN;
	return (double)used_bytes / (double)limit->limit_bytes;
}

static void finish_groups(struct screen_data *data)
{
	struct screen_group *group, *next;

	HASH_ITER(hh, data->groups, group, next)
	{
		if (!group->mixed_limits && group->limit)
			group->object.now.limit_share =
				share_of(group->limit, group->limit->current_bytes);
		history_add(&group->object.history, data->now, group->object.now.rss_bytes);
	}
}

int screen_data_group(struct screen_data *data)
{
	struct screen_process *process, *next;
	struct screen_group *group, *next_group;
	int64_t alone_bytes = 0;
	int err = 0;

	HASH_ITER(hh, data->groups, group, next_group)
	group->object.seen = data->sample - 1;
	begin_sum(&data->host.now);
	data->has_containers = data->has_limits = false;
	data->all_shared = data->processes != NULL;
	HASH_ITER(hh, data->processes, process, next)
	{
		if (err)
			break;
		process->object.now.limit_share =
			process->ended ? NAN
				       : share_of(process->limit, process->object.now.rss_bytes);
		data->has_containers |= *process->container != '\0';
		data->has_limits |= process->limit != NULL;
		data->all_shared &= process->ended || process->pss_bytes >= 0;
		alone_bytes += process->ended ? 0 : process->object.now.rss_bytes;
		add(&data->host.now, process);
		err = add_to_group(data, LEVEL_CONTAINERS, "", process);
		if (!err)
			err = add_to_group(data, LEVEL_PROGRAMS, process->program, process);
	}
	if (err)
		return err;
	sweep_groups(data);
	finish_groups(data);
	/* With one process nothing is counted twice. The sum must be the same as in its row. */
	if (data->host.now.count == 1)
		data->host.now.rss_bytes = alone_bytes;
	history_add(&data->host.history, data->now, data->host.now.rss_bytes);
	return 0;
}
