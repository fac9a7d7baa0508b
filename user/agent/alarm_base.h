/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The figures of all processes as they were at one time, so that a report can say what one of them
 * did since then. */
#ifndef ALARM_BASE_H
#define ALARM_BASE_H

#include "model/counts.h"
#include "model/model.h"

struct alarm_base;
struct report;

/* Reads them, of all images that run. NULL with errno set. alarm_base_free() frees it. It has 20 to
 * 40 bytes for each stack. */
struct alarm_base *alarm_base_take(struct counts counts);
void alarm_base_free(struct alarm_base *base);
/* When that was, in seconds since the epoch. */
double alarm_base_time(const struct alarm_base *base);
/* True if the image was running then. */
bool alarm_base_has(const struct alarm_base *base, uint32_t image);
/* Its RSS then, in pages; 0: it did not run. `base` may be NULL. */
int64_t alarm_base_rss(const struct alarm_base *base, uint32_t image);

/* A report on one image that runs, of what it did since `base`. NULL, or one that does not have the
 * image: of what it did since `start` (seconds since the epoch), when it was met first. Nothing is
 * taken from the source. NULL with errno set; report_free() of `*report` frees the model. */
struct model *alarm_base_report(struct counts counts, const struct alarm_base *base, uint32_t image,
				double start, struct report **report);

#endif
