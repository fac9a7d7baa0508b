/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The service behind `pymem-bpf agent`. */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/looker.h"
#include "model/alarm_rule.h"
#include "model/shed.h"

struct agent_options {
	const char *store;	  /* the folder of its recordings */
	size_t store_bytes;	  /* of all recordings together */
	double rotate;		  /* seconds of a recording; then another one begins */
	double interval;	  /* seconds from one reading of all figures to the next */
	const char *config;	  /* the file that was read; NULL: none */
	const char **alarm_texts; /* as they were given; agent_run() does not look at them */
	size_t alarm_count;
	struct alarm_rules alarms;
	bool alarm_heap;	 /* alarm_heap.h */
	size_t alarm_heap_bytes; /* RSS of a process that is looked at, at most */
	const char *budget_text; /* likewise */
	struct shed_budget budget;
	bool no_sources;
	unsigned max_stacks, max_processes;
	size_t ring_bytes;
	/* Metrics: agent_metrics.h. NULL, 0: not given. */
	const char *listen, *tls_cert, *tls_key, *token_file;
	unsigned metrics_lines;	  /* of each program */
	bool metrics_lines_given; /* 0 may be what was asked for */
	bool pprof, pprof_kept;	  /* profiles, and those of what is resident: agent_pprof.h */
	bool pss;		  /* agent_pss.h */
	const char *textfile;	  /* for node_exporter: agent_textfile.h; NULL: none */
	/* To where profiles are pushed: agent_push.h. NULL, 0: not given. */
	const char *push, *push_token_file, *push_password_file, *push_tenant, *push_ca;
	double push_every; /* seconds */
	bool quiet;
	int verbosity;
};

#define AGENT_STORE	  "/var/lib/pymem-bpf"
#define AGENT_STORE_LEAST 8 /* MiB */

/* Reads the options again, as they are in the config file now, for SIGHUP. 0, or -EINVAL after
 * saying what is wrong. What strings point to must stay until the next call. */
typedef int agent_reload_fn(void *arg, struct agent_options *options);

/* Records until SIGTERM or SIGINT. Failures are explained on stderr. Returns an exit status
 * (exit_status.h). `reload` may be NULL. `heap` looks at heaps, for --alarm-heap. */
int agent_run(const struct agent_options *options, agent_reload_fn *reload, void *arg,
	      looker_heap_fn *heap);

#endif
