/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers of heap reports share. For heap_*.c of this folder only. */
#ifndef HEAP_PARTS_H
#define HEAP_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "model/heap_look.h"
#include "render/heap_render.h"
#include "render/render_parts.h"

/* "1,214,003"; `sign`: with a plus, too. */
void heap_count(char *text, size_t size, int64_t count, bool sign);

/* A number that the target may have made up, as a signed one. */
static inline int64_t heap_signed(uint64_t count)
{
	return count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

/* The line that puts most into that holder; NULL: not known. */
const struct heap_birth_row *heap_first_birth(const struct heap_look *look,
					      const struct heap_holder_row *holder);

/* Looks that are closer to one another than that have no rate: nobody repeats for a minute what
 * took less. */
#define HEAP_RATE_SECONDS 2

/* "12.3 MiB/min", or "12.3 MiB in 0.8 s": what `bytes` that came between the looks are. */
void heap_put_rate(FILE *out, const struct heap_look *look, int64_t bytes);
/* A name of the target's, raw, cut where it is long. */
void heap_put_name(FILE *out, const char *name);

extern const struct heap_renderer heap_table, heap_json;

#endif
