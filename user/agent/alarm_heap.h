/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks at heaps of processes that alarms are about: agent --alarm-heap. What a look finds is kept
 * beside the alarm's report, and told. One look at a time; some may wait. */
#ifndef ALARM_HEAP_H
#define ALARM_HEAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/looker.h"
#include "agent/store.h"
#include "os/loop.h"

#define ALARM_HEAP_RSS	 (1024u << 20) /* bytes: larger processes are not looked at, by default */
#define ALARM_HEAP_MS	 60000	       /* that a look may take */
#define ALARM_HEAP_WAITS 8	       /* looks that may wait */
#define ALARM_HEAP_AGAIN 3600.0	       /* seconds until a process is looked at again */

struct alarm_heap;

struct alarm_heap_subject { /* a process */
	pid_t pid;
	uint64_t start_boottime_ns;
	int64_t rss_bytes;
	double looked; /* when it was asked for last, CLOCK_MONOTONIC in seconds; 0: never */
};

/* Forks the helper (looker_fork()). `store` must outlive it. alarm_heap_free() frees it and ends
 * the helper; NULL is allowed. NULL with errno set. */
struct alarm_heap *alarm_heap_new(struct store *store, looker_heap_fn *heap, unsigned most_ms);
void alarm_heap_free(struct alarm_heap *heap);
/* Looks are made in that loop from now on. 0 or -errno. */
int alarm_heap_watch(struct alarm_heap *heap, struct loop *loop);
/* From now on processes may have so much RSS, and each file so many bytes. */
void alarm_heap_limit(struct alarm_heap *heap, uint64_t rss_bytes, uint64_t file_bytes);

/* Whether the process may be looked at, at `now` (CLOCK_MONOTONIC, seconds). Writes a clause into
 * `words`: that its heap is looked at, or why it is not. */
bool alarm_heap_may(const struct alarm_heap *heap, const struct alarm_heap_subject *subject,
		    double now, char *words, size_t size);
/* Asks for a look whose files have the name of the report at `path`, but for their ends. `name` is
 * what the process is called, escaped. Only after alarm_heap_may(), in the same turn of the loop.
 */
void alarm_heap_ask(struct alarm_heap *heap, const struct alarm_heap_subject *subject,
		    const char *path, const char *name);

/* The last look at that process in brief, as kept_looks_find() gives it. The caller owns it. NULL:
 * out of memory. */
json_t *alarm_heap_last(const struct alarm_heap *heap, pid_t pid, uint64_t start_boottime_ns,
			double at);

#endif
