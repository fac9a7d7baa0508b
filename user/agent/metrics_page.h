/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent's metrics have of the host and of the agent itself. Each function writes families
 * into `form`. */
#ifndef METRICS_PAGE_H
#define METRICS_PAGE_H

#include <stdint.h>

#include "agent/agent_pss.h"
#include "agent/alarms.h"
#include "agent/metrics_http.h"
#include "agent/push.h"
#include "agent/store.h"
#include "model/counts.h"
#include "model/shed.h"
#include "record/recorder.h"
#include "render/metrics_text.h"

/* CPU time that counts for the agent's budget, by what took it. */
enum metrics_spent {
	METRICS_SPENT_OWN, /* of the agent, without requests */
	METRICS_SPENT_REQUESTS,
	METRICS_SPENT_WALKS, /* in the processes that it watches: an estimate; */
	METRICS_SPENT_FAULTS,
	METRICS_SPENT_COUNT
};

#define METRICS_SHEDS 3 /* levels of enum shed_level but SHED_NOTHING */

/* Of the agent, since it began. */
struct metrics_agent {
	const struct counts_facts *facts;
	struct metrics_http_counts http;
	struct store_sizes stored;
	uint64_t store_bytes; /* what all recordings may have */
	bool recording;	      /* one is written just now */
	uint64_t write_errors;
	double unrecorded_seconds;
	const struct alarms *alarms;
	double lines_age;    /* seconds; -1: there are no lines */
	uint64_t memory;     /* resident; 0: not known */
	uint64_t own_memory; /* of it what counts for the budget; 0: not known */
	struct shed_budget budget;
	double spent_seconds[METRICS_SPENT_COUNT];
	enum shed_level shed_level;
	double shed_seconds[METRICS_SHEDS];
	unsigned untraced;		     /* processes */
	const struct agent_pss_figures *pss; /* NULL: it is not read */
	uint64_t missed; /* ended processes that are in no counter, for want of memory */
	struct recorder_collectors collectors;
	uint64_t missed_collections; /* readings of them that are in no counter, likewise */
	bool pushes;		     /* profiles, to a server */
	struct push_counts pushed;
};

/* Version, time, processes that can't be watched, by interpreter, OOM kills of the host. 0 or
 * -ENOMEM. */
int metrics_put_host(const struct metrics_form *form, const struct model *model);
/* What the kernel says of the memory of containers: limits, kills, pressure. `m` is by container.
 */
void metrics_put_containers(const struct metrics *m);
void metrics_put_agent(const struct metrics_form *form, const struct metrics_agent *agent);
/* How many are in each alarm now, and how often it was told. */
void metrics_put_alarms(const struct metrics_form *form, const struct metrics_agent *agent);

#endif
