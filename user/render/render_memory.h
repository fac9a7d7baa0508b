/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What control groups use, as the kernel has it, beside what was counted by line. */
#ifndef RENDER_MEMORY_H
#define RENDER_MEMORY_H

#include "render/render_parts.h"

/* Prints a paragraph for each control group: of what was asked for (the kernel's own memory,
 * files), what the kernel says, what lines and no line have of it, and what is left over, with
 * reasons. With options->cgroup it is a table of all kinds. Nothing if nobody asked. 0 or -ENOMEM.
 */
int render_memory(FILE *out, const struct model *model, const struct render_options *options);

/* Writes the member "control_groups", with a comma before it; nothing if nobody asked. 0 or
 * -ENOMEM. */
int render_memory_json(FILE *out, const struct model *model);

#endif
