/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The profile of profiles.h, of whose first process functions were counted. */
#ifndef PROFILE_FUNCTIONS_H
#define PROFILE_FUNCTIONS_H

#include "profiles.h"

static inline void profile_fill_functions(struct profile *profile)
{
	static const struct {
		const char *name;
		int line;
		struct pymem_line counted;
	} functions[] = {
		{"sum_of_lists", 1, {4, 0, 9000, 8100, -300, 2, 17000, 19250, 0, 0}},
		{"Store.load", 40, {1, 0, 700, 700, 0, 0, 12000, 12000, 0, 0}},
		{"main", 60, {1, 0, 9100, -600, 0, 0, 10990, 19250, 0, 0}},
		{"helper", 80, {1234567, 0, 0, 0, 0, 0, 10000, 10100, 0, 0}},
		{"serve_forever", 90, {0, 0, 0, 2, 0, 0, 0, 0, 0, 0}},
	};
	struct model_process *p;

	profile_fill(profile);
	p = profile->model->processes[0];
	p->functions_counted = true;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (model_add_calls(profile->model, p,
				    model_location(profile->model, DEMO_FILE, functions[i].name,
						   functions[i].line, functions[i].line),
				    &functions[i].counted) != 0)
			abort();
	if (model_compute(profile->model) != 0)
		abort();
}

#endif
