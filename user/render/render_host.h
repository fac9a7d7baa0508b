/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The beginning of a report on a whole host: which programs grew, where, and by which line. */
#ifndef RENDER_HOST_H
#define RENDER_HOST_H

#include "render/render.h"

/* Prints that beginning if options->host, and nothing otherwise. 0 or -ENOMEM. */
int render_host(FILE *out, const struct model *model, const struct render_options *options);

/* Prints only its first line: how many Pythons there are, their RSS, and what they grew by. 0 or
 * -ENOMEM. */
int render_host_line(FILE *out, const struct model *model, const struct render_options *options);

/* True if the process has a section of its own in the report: always, unless options->host and not
 * options->every, and it changed too little. */
bool render_host_shows(const struct model_process *process, const struct render_options *options);

/* Says how many processes have no section; nothing if all have one. */
void render_host_rest(FILE *out, const struct model *model, const struct render_options *options);

#endif
