/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* OpenMetrics text, of a report (--format openmetrics) and of what the agent serves. Specification:
 * https://prometheus.io/docs/specs/om/open_metrics_spec/ */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H

#include <stdio.h>

#include "model/group_sums.h"

struct metrics_form {
	FILE *out;
	/* The older text format of Prometheus (0.0.4): families of counters have the names of their
	 * samples. */
	bool plain;
};

enum metrics_kind {
	METRICS_GAUGE,
	METRICS_COUNTER, /* samples have _total behind the family's name */
};

/* Writes NAME="value". `value` has no control characters (text_escape()). */
void metrics_label(FILE *out, const char *name, const char *value);
/* Writes the head of a family. `unit`: NULL: none; else `name` ends with it. */
void metrics_family(const struct metrics_form *form, enum metrics_kind kind, const char *name,
		    const char *unit, const char *help);

/* The groups of a report. */
struct metrics {
	struct metrics_form form;
	const char *prefix; /* of names of families: "pymem_" */
	enum model_by by;
	const struct model *model; /* what is not known of it has no samples */
	const struct group_sums *sums;
	bool counters; /* what only grows was added up since the beginning: metric_book_sums() */
	bool swap, pss, lines; /* has these families */
	bool shares;	       /* those of group_sum.pss, in place of `pss` */
};

/* Writes all families that have a sample of each group. */
void metrics_groups(const struct metrics *m);
/* Writes the beginning of a sample of one more such family, up to the last label of the group:
 * PREFIXname{program="…",where="…" */
void metrics_begin_sample(const struct metrics *m, enum metrics_kind kind, const char *name,
			  const struct group_sum *sum);

#endif
