/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/metrics_page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/text.h"

#define VERSIONS   32 /* of interpreters; others are one */
#define NAME_BYTES 64

static void put_value(const struct metrics_form *form, enum metrics_kind kind, const char *name,
		      const char *unit, const char *help, double value)
{
	metrics_family(form, kind, name, unit, help);
	fprintf(form->out, "%s%s %.15g\n", name, kind == METRICS_COUNTER ? "_total" : "", value);
}

/* --- the host --- */

static void put_build(const struct metrics_form *form, const struct model *model)
{
	char version[NAME_BYTES];

	metrics_family(form, METRICS_GAUGE, "pymem_build_info", NULL,
		       "The program that measured this.");
	text_escape(version, sizeof(version), model->version ?: "");
	fputs("pymem_build_info{", form->out);
	metrics_label(form->out, "version", version);
	fputs("} 1\n", form->out);
}

/* Of /proc/vmstat; -1: it can't be read, or the kernel does not say. */
static int64_t host_oom_kills(void)
{
	FILE *file = fopen("/proc/vmstat", "re");
	char line[128];
	int64_t kills = -1;

	while (file && kills < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "oom_kill %" SCNd64, &kills) != 1)
			kills = -1;
	if (file)
		fclose(file);
	return kills;
}

struct interpreter {
	char version[NAME_BYTES], engine[16];
	unsigned count;
};

static void count_interpreter(struct interpreter *all, size_t *count,
			      const struct model_process *process)
{
	struct interpreter one = {.count = 0};
	size_t i;

	text_escape(one.version, sizeof(one.version), process->python);
	snprintf(one.engine, sizeof(one.engine), "%s", process->engine);
	for (i = 0; i < *count && i < VERSIONS; i++)
		if (!strcmp(all[i].version, one.version) && !strcmp(all[i].engine, one.engine))
			break;
	/* What has no place of its own is in the last one. */
	if (i == VERSIONS) {
		snprintf(one.version, sizeof(one.version), GROUP_SUMS_REST);
		snprintf(one.engine, sizeof(one.engine), GROUP_SUMS_REST);
	}
	if (i == *count) {
		all[i] = one;
		++*count;
	}
	all[i].count++;
}

static int put_interpreters(const struct metrics_form *form, const struct model *model)
{
	struct interpreter *all = calloc(VERSIONS + 1, sizeof(*all));
	size_t count = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < model->process_count; i++)
		if (!model->processes[i]->exited)
			count_interpreter(all, &count, model->processes[i]);
	metrics_family(form, METRICS_GAUGE, "pymem_interpreters", NULL,
		       "Processes that run, by version of Python; empty: not identified yet.");
	for (size_t i = 0; i < count; i++) {
		fputs("pymem_interpreters{", form->out);
		metrics_label(form->out, "version", all[i].version);
		fputc(',', form->out);
		metrics_label(form->out, "engine", all[i].engine);
		fprintf(form->out, "} %u\n", all[i].count);
	}
	free(all);
	return 0;
}

int metrics_put_host(const struct metrics_form *form, const struct model *model)
{
	int64_t kills = host_oom_kills();

	put_build(form, model);
	put_value(form, METRICS_GAUGE, "pymem_profile_seconds", "seconds",
		  "How long the processes were watched.", model->end - model->start);
	put_value(form, METRICS_GAUGE, "pymem_skipped_processes", NULL,
		  "Processes that could not be watched.", (double)model->skip_count);
	if (kills >= 0)
		put_value(form, METRICS_COUNTER, "pymem_host_oom_kills", NULL,
			  "Processes of the host that were killed for want of memory.",
			  (double)kills);
	return put_interpreters(form, model);
}

/* --- containers --- */

/* A figure of a container's group. -1: it is not known. */
typedef double container_fn(const struct model_cgroup *cgroup);

static double limit(const struct model_cgroup *cgroup)
{
	return (double)cgroup->limit_bytes;
}

static double used(const struct model_cgroup *cgroup)
{
	return (double)cgroup->current_bytes;
}

static double share(const struct model_cgroup *cgroup)
{
	if (cgroup->limit_bytes <= 0 || cgroup->limited_bytes < 0)
		return -1;
	return (double)cgroup->limited_bytes / (double)cgroup->limit_bytes;
}

static double kills(const struct model_cgroup *cgroup)
{
	return (double)cgroup->oom_kills;
}

static double pressure(const struct model_cgroup *cgroup)
{
	return cgroup->pressure < 0 ? -1 : cgroup->pressure / 100;
}

static const struct {
	enum metrics_kind kind;
	const char *name, *unit, *help;
	container_fn *fn;
} figures[] = {
	{METRICS_GAUGE, "memory_bytes", "bytes",
	 "What the container uses, with files' pages and the kernel's.", used},
	{METRICS_GAUGE, "limit_bytes", "bytes",
	 "The lowest limit of it and of the groups above it.", limit},
	{METRICS_GAUGE, "limit_used_ratio", "ratio",
	 "The part of that limit that is used, by the group that has the limit.", share},
	{METRICS_GAUGE, "pressure_ratio", "ratio",
	 "The part of the last 10 s in which some thread of it waited for memory.", pressure},
	{METRICS_COUNTER, "oom_kills", NULL,
	 "Processes in it that were killed for want of memory, since it was made.", kills},
};

static void put_figure(const struct metrics *m, size_t figure)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "%s%s", m->prefix, figures[figure].name);
	metrics_family(&m->form, figures[figure].kind, name, figures[figure].unit,
		       figures[figure].help);
	for (size_t i = 0; i < m->sums->count; i++) {
		const struct group_sum *sum = &m->sums->list[i];
		const struct model_cgroup *cgroup =
			sum->first && !sum->rest ? model_find_cgroup(m->model, sum->first->cgroup)
						 : NULL;
		double value = cgroup ? figures[figure].fn(cgroup) : -1;

		if (value < 0)
			continue;
		metrics_begin_sample(m, figures[figure].kind, figures[figure].name, sum);
		fprintf(m->form.out, "} %.15g\n", value);
	}
}

void metrics_put_containers(const struct metrics *m)
{
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		put_figure(m, i);
}

/* --- the agent --- */

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void put_resources(const struct metrics_form *form, uint64_t memory)
{
	struct rusage usage = {};

	getrusage(RUSAGE_SELF, &usage);
	put_value(form, METRICS_COUNTER, "pymem_agent_cpu_seconds", "seconds",
		  "Processor time of the agent, without its examiner.",
		  seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
	if (memory)
		put_value(form, METRICS_GAUGE, "pymem_agent_rss_bytes", "bytes",
			  "Resident memory of the agent, without its examiner.", (double)memory);
}

/* What it may use, and what counts for that. A limit that there is not has no sample. */
static void put_limits(const struct metrics_form *form, const struct metrics_agent *agent)
{
	static const char *const names[] = {
		[METRICS_SPENT_OWN] = "agent",
		[METRICS_SPENT_REQUESTS] = "requests",
		[METRICS_SPENT_WALKS] = "walks",
		[METRICS_SPENT_FAULTS] = "faults",
	};

	if (agent->budget.cpu > 0)
		put_value(form, METRICS_GAUGE, "pymem_agent_budget_cpu_ratio", "ratio",
			  "The part of one CPU that the agent may use, on average over a window.",
			  agent->budget.cpu);
	if (agent->budget.memory)
		put_value(form, METRICS_GAUGE, "pymem_agent_budget_memory_bytes", "bytes",
			  "The memory of its own that the agent may have.",
			  (double)agent->budget.memory);
	if (agent->own_memory)
		put_value(form, METRICS_GAUGE, "pymem_agent_memory_bytes", "bytes",
			  "The memory of its own that it has: what counts for the budget.",
			  (double)agent->own_memory);
	metrics_family(form, METRICS_COUNTER, "pymem_agent_budget_spent_seconds", "seconds",
		       "Processor time that counts for the budget, by what took it.");
	for (int i = 0; i < METRICS_SPENT_COUNT; i++)
		fprintf(form->out, "pymem_agent_budget_spent_seconds_total{what=\"%s\"} %.15g\n",
			names[i], agent->spent_seconds[i]);
}

static void put_budget(const struct metrics_form *form, const struct metrics_agent *agent)
{
	put_limits(form, agent);
	put_value(form, METRICS_COUNTER, "pymem_agent_bpf_cpu_seconds", "seconds",
		  "Processor time of the agent's BPF programs in the processes that they watch: an "
		  "estimate.",
		  agent->spent_seconds[METRICS_SPENT_WALKS] +
			  agent->spent_seconds[METRICS_SPENT_FAULTS]);
	put_value(
		form, METRICS_GAUGE, "pymem_agent_shed_level", NULL,
		"What is beyond the agent's budget: 0 nothing, 1 events, 2 also frames of stacks, "
		"3 also stacks of processes.",
		agent->shed_level);
	metrics_family(form, METRICS_COUNTER, "pymem_agent_shed_seconds", "seconds",
		       "For how long it was beyond the budget, by what it was.");
	for (int i = 0; i < METRICS_SHEDS; i++)
		fprintf(form->out, "pymem_agent_shed_seconds_total{what=\"%s\"} %.15g\n",
			shed_name((enum shed_level)(i + 1)), agent->shed_seconds[i]);
	put_value(form, METRICS_GAUGE, "pymem_agent_untraced_processes", NULL,
		  "Processes whose stacks are beyond the agent's budget just now.",
		  agent->untraced);
}

static void put_drops(const struct metrics_form *form, const struct counts_facts *facts)
{
	const struct {
		const char *what;
		uint64_t count;
	} drops[] = {
		{"images", facts->dropped_images},     /* no room for another process */
		{"messages", facts->dropped_messages}, /* the ring buffer was full */
		{"malformed", facts->malformed},
		{"refused", facts->refused}, /* no room for another stack, or code object */
		{"no_memory", facts->no_memory},
	};

	metrics_family(form, METRICS_COUNTER, "pymem_agent_dropped", NULL,
		       "What could not be kept or measured, by what it was.");
	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++)
		fprintf(form->out, "pymem_agent_dropped_total{what=\"%s\"} %" PRIu64 "\n",
			drops[i].what, drops[i].count);
}

static void put_recordings(const struct metrics_form *form, const struct metrics_agent *agent)
{
	put_value(form, METRICS_GAUGE, "pymem_agent_recording", NULL,
		  "1: a recording is written; 0: it can't be written just now.", agent->recording);
	put_value(form, METRICS_GAUGE, "pymem_agent_recordings", NULL, "Recordings in the folder.",
		  agent->stored.files);
	put_value(form, METRICS_GAUGE, "pymem_agent_recordings_bytes", "bytes",
		  "What all recordings need on the disk.", (double)agent->stored.bytes);
	put_value(form, METRICS_GAUGE, "pymem_agent_recordings_limit_bytes", "bytes",
		  "What they may need; the oldest are removed.", (double)agent->store_bytes);
	put_value(form, METRICS_COUNTER, "pymem_agent_write_errors", NULL,
		  "How often a recording could not be begun or written.",
		  (double)agent->write_errors);
	put_value(form, METRICS_COUNTER, "pymem_agent_unrecorded_seconds", "seconds",
		  "How long nothing was recorded.", agent->unrecorded_seconds);
}

static void put_collectors(const struct metrics_form *form, const struct metrics_agent *agent)
{
	metrics_family(form, METRICS_GAUGE, "pymem_agent_gc_processes", NULL,
		       "Processes that run, by what is known of their garbage collections.");
	fprintf(form->out,
		"pymem_agent_gc_processes{state=\"read\"} %zu\n"
		"pymem_agent_gc_processes{state=\"waits\"} %zu\n"
		"pymem_agent_gc_processes{state=\"unseen\"} %zu\n",
		agent->collectors.read, agent->collectors.waits, agent->collectors.unseen);
	put_value(form, METRICS_COUNTER, "pymem_agent_gc_missed_readings", NULL,
		  "Readings of them that are in no counter, for want of memory.",
		  (double)agent->missed_collections);
}

static void put_pss(const struct metrics_form *form, const struct agent_pss_figures *pss)
{
	metrics_family(form, METRICS_GAUGE, "pymem_agent_pss_processes", NULL,
		       "Processes that run, by what is known of their PSS.");
	for (int i = 0; i < PSS_STATE_COUNT; i++)
		fprintf(form->out, "pymem_agent_pss_processes{state=\"%s\"} %zu\n",
			pss_state_name(i), pss->processes[i]);
	metrics_family(form, METRICS_COUNTER, "pymem_agent_pss_readings", NULL,
		       "Readings of the PSS of a process, by what became of them.");
	for (int i = 0; i < PSS_STATE_COUNT; i++)
		if (i != PSS_WAITS && i != PSS_NO_HELPER && i != PSS_TOO_LARGE)
			fprintf(form->out,
				"pymem_agent_pss_readings_total{result=\"%s\"} %" PRIu64 "\n",
				pss_state_name(i), pss->readings[i]);
	put_value(form, METRICS_COUNTER, "pymem_agent_pss_seconds", "seconds",
		  "How long these readings took.", pss->seconds);
}

static void put_http(const struct metrics_form *form, const struct metrics_http_counts *http)
{
	metrics_family(form, METRICS_COUNTER, "pymem_agent_requests", NULL,
		       "Requests to this page, and connections, by what became of them.");
	fprintf(form->out,
		"pymem_agent_requests_total{result=\"answered\"} %" PRIu64 "\n"
		"pymem_agent_requests_total{result=\"refused\"} %" PRIu64 "\n"
		"pymem_agent_requests_total{result=\"dropped\"} %" PRIu64 "\n",
		http->answered, http->refused, http->dropped);
	put_value(form, METRICS_COUNTER, "pymem_agent_renderings", NULL,
		  "How often this text was made before.", (double)http->renderings);
	put_value(form, METRICS_COUNTER, "pymem_agent_rendering_seconds", "seconds",
		  "How long that took.", http->rendering_seconds);
	put_value(form, METRICS_COUNTER, "pymem_agent_profiles", NULL,
		  "How often a profile was made.", (double)http->profiles);
	put_value(form, METRICS_COUNTER, "pymem_agent_profile_seconds", "seconds",
		  "How long the agent worked for that.", http->profile_seconds);
}

static void put_push(const struct metrics_form *form, const struct push_counts *pushed)
{
	put_value(form, METRICS_COUNTER, "pymem_push_sent", NULL,
		  "Requests with profiles that the server took.", (double)pushed->sent);
	put_value(form, METRICS_COUNTER, "pymem_push_bytes", "bytes", "What these had.",
		  (double)pushed->bytes);
	put_value(form, METRICS_COUNTER, "pymem_push_failed", NULL,
		  "Tries to send one that failed and are repeated.", (double)pushed->failed);
	metrics_family(form, METRICS_COUNTER, "pymem_push_dropped", NULL,
		       "Requests that were dropped, by why.");
	for (int i = 0; i < PUSH_DROPS; i++)
		fprintf(form->out, "pymem_push_dropped_total{why=\"%s\"} %" PRIu64 "\n",
			push_drop_name((enum push_drop)i), pushed->dropped[i]);
	put_value(form, METRICS_GAUGE, "pymem_push_waiting", NULL, "Requests that wait to be sent.",
		  (double)pushed->waiting);
	put_value(form, METRICS_GAUGE, "pymem_push_names", NULL,
		  "Whether names of servers can be looked up (the helper that does has not ended).",
		  pushed->names);
}

void metrics_put_agent(const struct metrics_form *form, const struct metrics_agent *agent)
{
	put_resources(form, agent->memory);
	put_budget(form, agent);
	put_recordings(form, agent);
	put_drops(form, agent->facts);
	put_value(form, METRICS_COUNTER, "pymem_agent_missed_processes", NULL,
		  "Ended processes that are in no counter, for want of memory.",
		  (double)agent->missed);
	put_collectors(form, agent);
	if (agent->lines_age >= 0)
		put_value(form, METRICS_GAUGE, "pymem_agent_lines_age_seconds", "seconds",
			  "How long ago lines were computed; what came since is in (other).",
			  agent->lines_age);
	if (agent->pss)
		put_pss(form, agent->pss);
	put_http(form, &agent->http);
	if (agent->pushes)
		put_push(form, &agent->pushed);
}

/* --- alarms --- */

struct alarm_form {
	const struct metrics_form *form;
	bool told;
};

static void put_alarm(const char *text, const struct alarm_figures *figures, void *arg)
{
	const struct alarm_form *alarms = arg;
	char escaped[2 * ALARM_TEXT];

	text_escape(escaped, sizeof(escaped), text);
	fprintf(alarms->form->out, "pymem_alarm%s{", alarms->told ? "s_told_total" : "_raised");
	metrics_label(alarms->form->out, "alarm", escaped);
	fprintf(alarms->form->out, "} %" PRIu64 "\n",
		alarms->told ? figures->told : (uint64_t)figures->raised);
}

void metrics_put_alarms(const struct metrics_form *form, const struct metrics_agent *agent)
{
	struct alarm_form alarms = {.form = form};

	metrics_family(form, METRICS_GAUGE, "pymem_alarm_raised", NULL,
		       "Processes, programs, containers for which it is raised now.");
	alarms_each(agent->alarms, put_alarm, &alarms);
	alarms.told = true;
	metrics_family(form, METRICS_COUNTER, "pymem_alarms_told", NULL,
		       "How often it was told since the agent began to watch for it.");
	alarms_each(agent->alarms, put_alarm, &alarms);
}
