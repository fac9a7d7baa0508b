/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A report on a table of counts, which the test fills. */
#ifndef REPORT_FIXTURE_H
#define REPORT_FIXTURE_H

#include <unistd.h>

#include "counts_table.h"
#include "report/report.h"

#define ENDED_BYTES (64u << 20)

struct given {
	struct counts_table table;
	struct report *report;
	int64_t page;
};

/* `start`: when the report begins. */
static inline int given_setup(void **state, double start)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->page = sysconf(_SC_PAGESIZE);
	g->report = report_new(table_counts(&g->table), start, ENDED_BYTES, false);
	*state = g;
	return g->report ? 0 : -1;
}

static inline int given_teardown(void **state)
{
	struct given *g = *state;

	report_free(g->report);
	free(g);
	return 0;
}

#endif
