/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What screen_data.c and screen_lines.c share. */
#ifndef SCREEN_PRIVATE_H
#define SCREEN_PRIVATE_H

#include "screen/screen_data.h"

/* Makes `object` a new one, with a number of its own. */
void screen_object_init(struct screen_data *data, struct screen_object *object);

/* Takes over the lines of the open process from `from`; NULL: keeps those that are there. 0 or
 * -ENOMEM. */
int screen_lines_take(struct screen_data *data, const struct screen_process *process,
		      const struct model_process *from);

/* Updates the rates of the open process's lines: time has passed, and no line has changed. */
void screen_lines_pass(struct screen_data *data);

/* Remembers the figures of all lines of the model as those that growth counts from. 0 or -ENOMEM.
 */
int screen_base_lines_set(struct screen_data *data, const struct model *model);
void screen_base_lines_free(struct screen_data *data);

#endif
