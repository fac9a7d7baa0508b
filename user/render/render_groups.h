/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reports whose rows are programs, containers, units, users or processes (--by). */
#ifndef RENDER_GROUPS_H
#define RENDER_GROUPS_H

#include <jansson.h>

#include "model/group_sums.h"
#include "render/render.h"

/* The words of --by, by enum model_by: "container"; "" for MODEL_BY_LINE. */
extern const char *const render_by_names[];

/* Writes what people call the group: "docker:0123456789ab", "PID 7 api.py", "what runs in no
 * container". It is escaped. */
void groups_name(char *text, size_t size, enum model_by by, const struct group_sum *sum);

/* The whole report as a table, which begins with a sentence: which group grew most. What
 * renderer.emit() returns. */
int render_groups(FILE *out, struct model *model, const struct render_options *options);

/* render_groups_json.c: the container of a process in that control group, null if it is in none;
 * the caller owns it; NULL: out of memory. render_groups_json(): writes the member "groups", with a
 * comma before it. 0 or -ENOMEM. */
json_t *json_container(const struct model *model, const char *path);
int render_groups_json(FILE *out, const struct model *model, const struct render_options *options);

#endif
