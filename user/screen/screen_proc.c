/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: for Pss, the RSS in which shared pages count once in all, the kernel walks through a
 * process's page tables. For hundreds of processes that is too much once a second. So processes
 * take turns: as many as fit into a budget of time. Between two readings Pss follows RSS
 * (screen_data.c).
 *
 * A target can hold up a read of its smaps_rollup, so the examiner reads it. The files of cgroups
 * belong to the kernel alone.
 *
 * cgroup v1, whose limits are elsewhere, is left out. The column of limits is not there then. */
#include "screen/screen_proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "os/cgroup_memory.h"
#include "python/examiner.h"

#define LIMIT_SECONDS 5.0  /* how old a limit may be */
#define PSS_SECONDS   60.0 /* how old the Pss of a process may be whose RSS does not change */

struct limit {
	struct screen_limit limit; /* limit_bytes -1: this cgroup and those above have none */
	char *path;
	double read; /* when */
	UT_hash_handle hh;
};

struct screen_proc {
	struct limit *limits;
	uint64_t turn;	 /* number of the process that was read last */
	uint64_t living; /* a sum that tells if other processes live than before */
};

struct screen_proc *screen_proc_new(void)
{
	return calloc(1, sizeof(struct screen_proc));
}

void screen_proc_free(struct screen_proc *proc)
{
	struct limit *limit, *next;

	if (!proc)
		return;
	HASH_ITER(hh, proc->limits, limit, next)
	{
		HASH_DEL(proc->limits, limit);
		free(limit->path);
		free(limit);
	}
	free(proc);
}

/* --- Pss --- */

static void read_pss(struct screen_process *process, double now)
{
	struct proc_rollup rollup;

	if (examiner_read_rollup(process->key.pid, &rollup))
		return;
	process->pss_bytes = rollup.pss_bytes;
	process->pss_rss_bytes = rollup.rss_bytes;
	process->pss_known_bytes = process->object.now.rss_bytes;
	process->pss_read = now;
}

/* True if Pss need not be read again. It ages even if RSS stays: other processes may stop sharing
 * pages. */
static bool is_known(const struct screen_process *process, double now)
{
	return process->pss_bytes >= 0 &&
	       process->pss_known_bytes == process->object.now.rss_bytes &&
	       now - process->pss_read < PSS_SECONDS;
}

/* If a process has come or ended, as after a fork, the others share other pages than before: all
 * are read anew. A process that is alone shares with none that is counted. */
static void forget_where_they_changed(struct screen_proc *proc, struct screen_data *data)
{
	struct screen_process *process, *next;
	uint64_t living = 0;

	HASH_ITER(hh, data->processes, process, next)
	if (!process->ended)
		living += process->object.number * process->object.number + 1;
	if (living == proc->living)
		return;
	proc->living = living;
	HASH_ITER(hh, data->processes, process, next)
	{
		process->pss_known_bytes = -1;
		if (data->host.now.count <= 1 && !process->ended)
			process->pss_bytes = -1;
	}
}

/* Reads Pss of one process after the other, from the one after the last on. Processes are in the
 * table in the order in which they came, and their numbers rise. */
static void read_turns(struct screen_proc *proc, struct screen_data *data, uint64_t budget_ns)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + budget_ns, began = proc->turn;
	struct screen_process *process, *next;

	for (int round = 0; round < 2; round++) {
		HASH_ITER(hh, data->processes, process, next)
		{
			uint64_t number = process->object.number;

			if (process->ended || (round ? number > began : number <= began) ||
			    is_known(process, data->now))
				continue;
			if (clock_ns(CLOCK_MONOTONIC) >= end)
				return;
			read_pss(process, data->now);
			proc->turn = number;
		}
	}
}

/* --- limits --- */

static void read_limit(struct limit *limit)
{
	struct cgroup_memory memory;

	cgroup_memory_read(limit->path, &memory);
	limit->limit = (struct screen_limit){memory.limit_bytes, memory.current_bytes};
}

static struct limit *limit_of(struct screen_proc *proc, const char *path)
{
	struct limit *limit;

	HASH_FIND_STR(proc->limits, path, limit);
	if (limit)
		return limit;
	limit = calloc(1, sizeof(*limit));
	if (!limit)
		return NULL;
	limit->path = strdup(path);
	limit->read = -LIMIT_SECONDS;
	if (limit->path) {
		HASH_ADD_KEYPTR(hh, proc->limits, limit->path, strlen(limit->path), limit);
		if (limit->hh.tbl)
			return limit;
	}
	free(limit->path);
	free(limit);
	return NULL;
}

static int read_limits(struct screen_proc *proc, struct screen_data *data)
{
	struct screen_process *process, *next;
	struct limit *limit;

	HASH_ITER(hh, data->processes, process, next)
	{
		if (process->ended || !*process->cgroup)
			continue;
		limit = limit_of(proc, process->cgroup);
		if (!limit)
			return -ENOMEM;
		if (data->now - limit->read >= LIMIT_SECONDS) {
			read_limit(limit);
			limit->read = data->now;
		}
		process->limit = limit->limit.limit_bytes > 0 ? &limit->limit : NULL;
	}
	return 0;
}

int screen_proc_read(struct screen_proc *proc, struct screen_data *data, uint64_t budget_ns)
{
	int err = read_limits(proc, data);

	if (err)
		return err;
	forget_where_they_changed(proc, data);
	/* One process alone counts nothing twice. */
	if (data->host.now.count > 1)
		read_turns(proc, data, budget_ns);
	return screen_data_group(data);
}
