/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent does from time to time. A pass, each --interval, reads all figures and records
 * what has changed. What must be soon does not wait for it: alarms, where a pass comes less often
 * than alarm_look_ns(), look at sizes alone in between. */
#include <math.h>
#include <string.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "model/alarm_slope.h"

#define NS	   1000000000ULL
#define FIRST_NS   NS /* until the first pass, whatever the interval is */
#define STATUS_NS  (10 * NS)
#define MIB(bytes) ((double)(bytes) / (1 << 20))

static void on_pass(void *arg);

static uint64_t ns_of(double seconds)
{
	return (uint64_t)(seconds * (double)NS);
}

static void start_passes(struct agent *a, uint64_t after_ns)
{
	loop_timer_start(a->loop, &a->pass, after_ns, ns_of(a->options.interval), on_pass, a);
}

/* It is said how often another recording is tried: no interval makes that less. */
static void come_to_retry(struct agent *a)
{
	uint64_t after_ns = agent_retry_after(a);

	if (after_ns < ns_of(a->options.interval))
		start_passes(a, after_ns);
}

static void on_pass(void *arg)
{
	struct agent *a = arg;
	/* Messages come before figures. */
	int err = profiler_poll(a->profiler);

	err = err ?: agent_tick_files(a);
	a->passed_ns = clock_ns(CLOCK_MONOTONIC);
	agent_pss_tick(a);
	agent_tell_more_deaths(a, false);
	if (err)
		agent_end(a, err);
	else if (!loop_timer_runs(&a->alarm))
		alarms_tick(a->alarms, a->options.store_bytes / ALARM_PART);
	if (!err)
		come_to_retry(a);
}

/* From one look of alarms to the next. */
static uint64_t alarm_look_ns(const struct alarm_rules *rules)
{
	double seconds = ALARM_LOOK_MOST;

	for (size_t i = 0; i < rules->count; i++)
		if (rules->list[i].what == ALARM_GROWTH)
			seconds = fmin(seconds, alarm_look_seconds(rules->list[i].window));
	return ns_of(seconds);
}

/* A pass has just brought the sizes of all processes. */
static bool has_passed(const struct agent *a)
{
	return a->passed_ns &&
	       clock_ns(CLOCK_MONOTONIC) - a->passed_ns < alarm_look_ns(&a->options.alarms) / 2;
}

static void on_alarm(void *arg)
{
	struct agent *a = arg;
	int err = profiler_poll(a->profiler);

	if (!err && !has_passed(a))
		err = alarms_read(a->alarms);
	if (err) {
		agent_complain("alarms: the figures can't be read: %s", strerror(-err));
		agent_end(a, err);
		return;
	}
	alarms_tick(a->alarms, a->options.store_bytes / ALARM_PART);
}

static void on_budget(void *arg)
{
	agent_tick_budget(arg);
}

static void count_one(void *arg, uint32_t image, pid_t pid, uint64_t start_boottime_ns,
		      int64_t rss_pages)
{
	unsigned *count = arg;

	(void)image, (void)pid, (void)start_boottime_ns, (void)rss_pages;
	++*count;
}

static unsigned count_processes(const struct agent *a)
{
	unsigned count = 0;

	recorder_each_image(a->recorder, count_one, &count);
	return count;
}

static void on_status(void *arg)
{
	struct agent *a = arg;

	if (*a->trouble || *a->trim_trouble)
		notify_send(&a->notify, "STATUS=%s", *a->trouble ? a->trouble : a->trim_trouble);
	else
		notify_send(&a->notify,
			    "STATUS=%u Python processes; %u recordings have %.1f of %.0f MiB",
			    count_processes(a), a->sizes.files, MIB(a->sizes.bytes),
			    MIB(a->options.store_bytes));
}

static void on_watchdog(void *arg)
{
	const struct agent *a = arg;

	notify_send(&a->notify, "WATCHDOG=1");
}

static uint64_t window_ns(const struct agent_options *o)
{
	return ns_of(shed_window(&o->budget, o->interval));
}

void agent_start_timers(struct agent *a, const struct agent_options *before)
{
	const struct agent_options *o = &a->options;
	uint64_t look_ns = alarm_look_ns(&o->alarms);

	if (!before || ns_of(before->interval) != ns_of(o->interval))
		start_passes(a, FIRST_NS);
	if (!before || window_ns(before) != window_ns(o))
		loop_timer_start(a->loop, &a->budget, FIRST_NS, window_ns(o), on_budget, a);
	/* A pass that comes as often looks for them, too. */
	if (!o->alarms.count || ns_of(o->interval) <= look_ns)
		loop_timer_stop(&a->alarm);
	else if (!loop_timer_runs(&a->alarm) || look_ns != alarm_look_ns(&before->alarms))
		loop_timer_start(a->loop, &a->alarm, FIRST_NS, look_ns, on_alarm, a);
}

void agent_pass_early(struct agent *a)
{
	if (recorder_has_much(a->recorder))
		start_passes(a, 0);
}

void agent_start_telling(struct agent *a)
{
	if (a->notify.fd >= 0)
		loop_timer_start(a->loop, &a->status, FIRST_NS + NS / 2, STATUS_NS, on_status, a);
	if (a->notify.watchdog_ns)
		loop_timer_start(a->loop, &a->watchdog, 0, a->notify.watchdog_ns / 2, on_watchdog,
				 a);
}

void agent_stop_timers(struct agent *a)
{
	loop_timer_stop(&a->pass);
	loop_timer_stop(&a->alarm);
	loop_timer_stop(&a->budget);
	loop_timer_stop(&a->status);
}
