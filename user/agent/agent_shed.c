/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: whoever runs an agent on all hosts must know what it costs at most. So it looks at what
 * it uses itself, and records less if that is too much, for as long as it is.
 *
 * It counts its own CPU time, that of its BPF programs in the processes that run them, and its
 * own memory. CPU time is kept apart by what can reduce it: anybody can cause page faults, and may
 * be able to send requests, and neither is a reason to trace less. When what is decided in
 * model/shed.h; what is left out in track/tracker_shed.c. Here the two are brought together, and
 * said. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/clock.h"

#define NS	   1000000000ULL
#define FRAMES	   16 /* of a stack, at SHED_DEPTH */
#define MIB(bytes) ((double)(bytes) / (1 << 20))

static uint64_t ns_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * NS + (uint64_t)time.tv_usec * 1000;
}

struct agent_used agent_used_now(const struct agent *a)
{
	struct agent_used used = {.time = clock_seconds(CLOCK_MONOTONIC)};
	struct rusage usage = {};

	getrusage(RUSAGE_SELF, &usage);
	profiler_cpu_ns(a->profiler, &used.walks_ns, &used.faults_ns);
	used.serve_ns = agent_metrics_cpu_ns(a->metrics) + agent_push_cpu_ns(a->push) +
			(a->pprof ? pprof_source_cpu_ns(a->pprof) : 0);
	used.own_ns = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
	return used;
}

uint64_t agent_rss(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (file && fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t agent_memory(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char line[128];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "RssAnon: %llu kB", &kib) == 1;
	if (file)
		fclose(file);
	return found ? kib << 10 : 0;
}

/* What was freed goes back to the kernel first if it is too much: else it would count on. */
static uint64_t memory_left(uint64_t most)
{
	uint64_t memory = agent_memory();

	if (!most || memory <= most)
		return memory;
	malloc_trim(0);
	return agent_memory();
}

static bool keeps(uint32_t image, void *arg)
{
	const struct agent *a = arg;

	return alarms_are_met(a->alarms, image);
}

/* Also if nothing is shed: what could not be attached again is tried again. */
static void apply(struct agent *a)
{
	enum shed_level level = shed_level(&a->shed);
	const struct tracker_shedding shedding = {
		.events = level >= SHED_EVENTS,
		.frames = shed_cuts(&a->shed) ? FRAMES : 0,
		.watch = level >= SHED_EVENTS,
		.parts = shed_parts(&a->shed),
		.of = SHED_PARTS,
		.keeps = keeps,
		.arg = a,
	};
	int err = profiler_shed(a->profiler, &shedding);

	if (err && !a->unshed_failed)
		agent_complain(
			"the budget: not all that is to be recorded again, or not to be, could "
			"be changed, which is tried again every %.0f s: %s",
			shed_window(&a->options.budget, a->options.interval), strerror(-err));
	a->unshed_failed = err != 0;
}

/* "1.8 % of a CPU in 30 s, its budget is 1.0 %" */
static void put_cause(const struct agent *a, char *text, size_t size)
{
	const struct shed_cause *cause = &a->shed.cause;
	const struct shed_budget *budget = &a->options.budget;

	if (cause->by_memory)
		snprintf(text, size, "%.1f MiB of memory, its budget is %.1f MiB",
			 MIB(cause->memory), MIB(budget->memory));
	else if (budget->cpu > 0)
		snprintf(text, size, "%.2f %% of a CPU in %.0f s, its budget is %.2f %%",
			 100 * cause->cpu, cause->seconds, 100 * budget->cpu);
	else
		snprintf(text, size, "%.1f MiB of memory", MIB(cause->memory));
}

static void say(const struct agent *a, int change)
{
	const struct shed_cause *why = &a->shed.cause;
	char cause[128];

	put_cause(a, cause, sizeof(cause));
	if (why->useless)
		agent_complain("sheds %s no more, since that brought nothing: %s",
			       shed_name(why->level), cause);
	/* Of processes, some may be shed still. */
	else if (why->level == SHED_PROCESSES && shed_parts(&a->shed))
		agent_complain("sheds processes (%u are not traced): %s",
			       profiler_untraced(a->profiler), cause);
	else if (change > 0)
		agent_complain("sheds %s: %s", shed_name(why->level), cause);
	else
		agent_complain("sheds %s no more: %s", shed_name(why->level), cause);
}

static double seconds_of(uint64_t after_ns, uint64_t before_ns)
{
	return after_ns > before_ns ? (double)(after_ns - before_ns) / 1e9 : 0;
}

void agent_tick_budget(struct agent *a)
{
	const struct shed_budget *budget = &a->options.budget;
	double now = clock_seconds(CLOCK_MONOTONIC);
	const struct agent_used before = a->used;
	struct agent_used *used = &a->used;
	struct shed_use use;
	double own;
	int change;

	/* Ticks are never early, and may be late. */
	if (before.time > 0 && now - before.time < shed_window(budget, a->options.interval) - 0.5)
		return;
	*used = agent_used_now(a);
	own = seconds_of(used->own_ns, before.own_ns);
	use = (struct shed_use){
		.seconds = before.time > 0 ? used->time - before.time : 0,
		.faults = seconds_of(used->faults_ns, before.faults_ns),
		.serve = seconds_of(used->serve_ns, before.serve_ns),
		.memory = memory_left(budget->memory),
	};
	use.serve = use.serve < own ? use.serve : own;
	use.trace = own - use.serve + seconds_of(used->walks_ns, before.walks_ns);
	change = shed_step(&a->shed, budget, &use);
	apply(a);
	if (change)
		say(a, change);
}
