/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A look at a heap in brief: its largest holders and types as JSON. An agent keeps it, to tell it
 * if the process is killed later. */
#ifndef HEAP_BRIEF_H
#define HEAP_BRIEF_H

#include <jansson.h>
#include <stdbool.h>

#include "model/heap_look.h"

#define HEAP_BRIEF_ROWS	 10    /* of each kind */
#define HEAP_BRIEF_TEXT	 200   /* bytes of a text; longer ones are cut */
#define HEAP_BRIEF_BYTES 65536 /* of all, at most, as compact JSON in ASCII */

/* An object. The caller owns it. NULL: out of memory. */
json_t *heap_brief_value(const struct heap_look *look);

/* True if the value is as heap_brief_value() makes it; it may have more members. */
bool heap_brief_is_one(const json_t *value);

#endif
