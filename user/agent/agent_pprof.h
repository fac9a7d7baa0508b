/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's profiles, for what collects those that pprof reads. */
#ifndef AGENT_PPROF_H
#define AGENT_PPROF_H

#include "agent/metrics_http.h"
#include "agent/pprof_source.h"
#include "render/render_pprof.h"

struct agent;

/* Makes agent->pprof if the options want profiles. To be called before the profiler is opened. 0,
 * or an exit status after it was explained. */
int agent_pprof_open(struct agent *agent);
/* How they are made, with the agent as `arg`. */
struct pprof_ops agent_pprof_ops(struct agent *agent);

/* Writes the model to `*bytes`, which the caller frees, within `most` bytes: if it has more, with
 * fewer stacks. `resident`: as in pprof_bounds. 0; -EFBIG: it has more without any; -ENOMEM. */
int pprof_bytes(struct model *model, bool resident, size_t most, char **bytes, size_t *size);
/* The same within bounds, and so many times `fewer` stacks (2 or more) each time. */
int pprof_bytes_within(struct model *model, const struct pprof_bounds *bounds, unsigned fewer,
		       size_t most, char **bytes, size_t *size);

#endif
