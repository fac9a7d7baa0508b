/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's figures as metrics, for Prometheus and what reads the same. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stdio.h>

#include "agent/agent.h"
#include "model/model.h"

struct agent;
struct agent_metrics;

/* Opens the socket and all else that is needed, if the options say so; `*metrics` becomes NULL if
 * they don't. To be called before confine(). Failures are explained. 0, or an exit status. */
int agent_metrics_open(struct agent *agent, struct agent_metrics **metrics);
/* Serves from now on, in the agent's loop. 0, or an exit status after it was explained. */
int agent_metrics_watch(struct agent_metrics *metrics);
/* The process has ended, and the model has it no longer: a report_gone_fn, but for the type. */
void agent_metrics_gone(struct agent_metrics *metrics, const struct model_process *process);
/* A signal has ended the process. `metrics` may be NULL. */
void agent_metrics_killed(struct agent_metrics *metrics, const struct model_process *process,
			  enum death_cause cause);
/* The collectors of an image have run so often, by generation (recorder_collected_fn). `metrics`
 * may be NULL. */
void agent_metrics_collected(struct agent_metrics *metrics, uint32_t image,
			     const uint64_t *collections);
/* CPU time in nanoseconds that requests have taken so far. `metrics` may be NULL. */
uint64_t agent_metrics_cpu_ns(const struct agent_metrics *metrics);
/* Calls fn for each option of it that `asked` has otherwise. `metrics` may be NULL. */
void agent_metrics_compare(const struct agent_metrics *metrics, const struct agent_options *asked,
			   void (*fn)(bool differs, const char *option));
/* To be called before the profiler and the loop are freed. NULL is allowed. */
void agent_metrics_close(struct agent_metrics *metrics);

#endif
