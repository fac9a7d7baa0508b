/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's alarms: what of the host's processes, programs and control groups grows, or is large.
 *
 * Order of the calls: alarms_new(), alarms_set(), alarms_counts() before the first reading of
 * figures, or alarms_read() reads sizes; then comes alarms_tick(), once a second. */
#ifndef ALARMS_H
#define ALARMS_H

#include "agent/store.h"
#include "model/alarm_rule.h"
#include "model/counts.h"

struct alarms;
struct alarm_heap;

/* `store` is where reports of alarms go, `heap` looks at heaps (NULL: nobody does): both must
 * outlive the alarms. alarms_free() frees them; NULL
 * is allowed. NULL: out of memory. */
struct alarms *alarms_new(struct store *store, struct alarm_heap *heap);
void alarms_free(struct alarms *alarms);

/* From now on these are watched. What is watched as before goes on: an alarm that was told is not
 * told again. */
void alarms_set(struct alarms *alarms, const struct alarm_rules *rules);

/* The counts to read in place of `counts`: the alarms see which images there are, and their RSS.
 * Both must outlive the alarms' use. */
struct counts alarms_counts(struct alarms *alarms, struct counts counts);

struct alarm_figures {
	unsigned raised; /* processes, programs, control groups that are in it */
	uint64_t told;	 /* lines, since it is watched for */
};
/* Calls fn for each rule, as it was written. */
void alarms_each(const struct alarms *alarms,
		 void (*fn)(const char *text, const struct alarm_figures *figures, void *arg),
		 void *arg);

/* True if an alarm of the process that runs `image` is met, or one of its program or of its control
 * group. */
bool alarms_are_met(const struct alarms *alarms, uint32_t image);

/* Reads the sizes of all processes: for who calls alarms_tick() more often than figures are read. 0
 * or -errno. */
int alarms_read(struct alarms *alarms);
/* Looks whether alarms are met, and tells those: a line on stderr, a file in the store. Each report
 * of a process may have `most` bytes. Failures are told, too. Once a second, or as often as figures
 * are read, after that. */
void alarms_tick(struct alarms *alarms, size_t most);

#endif
