/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines of groups, kept from one reading to later ones that have none: to compute lines of all
 * stacks of a host takes many times as long as all other figures. */
#ifndef METRIC_LINES_H
#define METRIC_LINES_H

#include "model/group_sums.h"

struct metric_lines;

/* The caller frees it with metric_lines_free(); NULL is allowed there. NULL: out of memory. */
struct metric_lines *metric_lines_new(void);
void metric_lines_free(struct metric_lines *lines);

/* Keeps the lines of all groups of `sums`, of CLOCK_MONOTONIC `now` in seconds, which took `cost`
 * seconds of CPU time. 0 or -ENOMEM: then there are none, and the next reading should have some. */
int metric_lines_keep(struct metric_lines *lines, const struct group_sums *sums, double now,
		      double cost);
/* True if new ones may be computed: so seldom that it takes a `part` of the time, or there are
 * none. */
bool metric_lines_are_due(const struct metric_lines *lines, double now, double part);
/* Gives the groups of `sums`, which have no lines, those that are kept. Sums hold: what has come
 * since is in other_lines_bytes. `sums` is valid until the next metric_lines_keep(). 0 or -ENOMEM.
 */
int metric_lines_put(const struct metric_lines *lines, struct group_sums *sums);
/* Seconds since they were computed. */
double metric_lines_age(const struct metric_lines *lines, double now);

#endif
