/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: whoever runs an agent on all hosts must know what it costs at most. So it looks at what
 * it uses itself, and records less if that is too much, for as long as it is.
 *
 * It counts its own CPU time, that of its BPF programs in the processes that run them, and its
 * resident memory. When what is decided in model/shed.h; what is left out in track/tracker_shed.c.
 * Here the two are brought together, and said. */
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

uint64_t agent_cpu_ns(const struct agent *a)
{
	struct rusage usage = {};

	getrusage(RUSAGE_SELF, &usage);
	return ns_of(usage.ru_utime) + ns_of(usage.ru_stime) + profiler_cpu_ns(a->profiler);
}

uint64_t agent_memory(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (file && fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
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
		.frames = level >= SHED_DEPTH ? FRAMES : 0,
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
			a->options.budget.window, strerror(-err));
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
	/* What is shed now, or is not any more. */
	enum shed_level level = shed_level(&a->shed);
	unsigned parts = shed_parts(&a->shed);
	char cause[128];

	put_cause(a, cause, sizeof(cause));
	if (parts)
		agent_complain("sheds processes (%u are not traced): %s",
			       profiler_untraced(a->profiler), cause);
	else if (change > 0)
		agent_complain("sheds %s: %s", shed_name(level), cause);
	else
		agent_complain("sheds %s no more: %s", shed_name(level + 1), cause);
}

void agent_tick_budget(struct agent *a)
{
	const struct shed_budget *budget = &a->options.budget;
	double now = clock_seconds(CLOCK_MONOTONIC);
	uint64_t cpu_ns;
	struct shed_use use;
	int change;

	/* Ticks are never early, and may be late. */
	if (a->used.time > 0 && now - a->used.time < budget->window - 0.5)
		return;
	cpu_ns = agent_cpu_ns(a);
	use = (struct shed_use){
		.seconds = a->used.time > 0 ? now - a->used.time : 0,
		.cpu_seconds = (double)(cpu_ns - a->used.cpu_ns) / 1e9,
		.memory = agent_memory(),
	};
	a->used = (struct agent_used){now, cpu_ns};
	change = shed_step(&a->shed, budget, &use);
	/* What was freed goes back to the kernel, or it would count on. */
	if (change > 0 && a->shed.cause.by_memory)
		malloc_trim(0);
	apply(a);
	if (change)
		say(a, change);
}
