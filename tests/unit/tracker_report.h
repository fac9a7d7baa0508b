/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reports of a tracker with a BPF side in memory, and what is looked up in them. */
#ifndef TRACKER_REPORT_H
#define TRACKER_REPORT_H

#include "tracker_fixture.h"

static inline const struct model *built(struct given *g, bool final)
{
	const struct model *model;

	poll_all(g);
	if (final)
		assert_int_equal(tracker_end(&g->tracker), 0);
	model = report_build(g->report, final);
	assert_non_null(model);
	return model;
}

static inline const struct model_process *process(const struct model *model, uint32_t id)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i]->id == id)
			return model->processes[i];
	return NULL;
}

static inline void check_conserved(const struct model *model)
{
	const struct model_process *p;

	for (size_t i = 0; i < model->process_count; i++) {
		p = model->processes[i];
		assert_int_equal(p->charged_bytes + model_lost_bytes(p),
				 p->rss_end_bytes - p->rss_start_bytes);
	}
}

static inline const struct model_line *line(const struct model_process *p, int number)
{
	for (size_t i = 0; i < p->line_count; i++)
		if (p->lines[i].location->line == number)
			return &p->lines[i];
	fail_msg("no line %d", number);
	return NULL;
}

static inline int64_t lost(const struct given *g, const struct model_process *p,
			   enum pymem_loss loss)
{
	return p->lost_bytes[loss] / g->page;
}

#endif
