/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers of heap reports share. Only heap_*.c, diff_heap.c and page_heap.c of this
 * folder include this. */
#ifndef HEAP_PARTS_H
#define HEAP_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "model/heap_look.h"
#include "render/heap_render.h"
#include "render/render_parts.h"

/* Writes "1,214,003" into `text`, cut at `size`. `sign`: with "+" if positive. */
void heap_count(char *text, size_t size, int64_t count, bool sign);

/* The number as a signed one. The target may have made it up: INT64_MAX at most. */
static inline int64_t heap_signed(uint64_t count)
{
	return count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

/* The line that puts most into that holder; it belongs to the look. NULL: not known. */
const struct heap_birth_row *heap_first_birth(const struct heap_look *look,
					      const struct heap_holder_row *holder);

/* Seconds between two looks. If they are closer together, no rate is shown: what happened in less
 * time says nothing of a minute. */
#define HEAP_RATE_SECONDS 2

/* Writes how fast `bytes` came between the looks: "12.3 MiB/min", or if they are close together
 * "12.3 MiB in 0.8 s". */
void heap_put_rate(FILE *out, const struct heap_look *look, int64_t bytes);
/* Writes a name that the target chose, unescaped, and cut if it is long. */
void heap_put_name(FILE *out, const char *name);

/* Writes into `text`, cut at `size`, what others may see of a holder's path or a type: it ends
 * before the first key of a dict, which may be anything; so before an index of a list, which looks
 * like one. Returns `text`. */
const char *heap_name_without_keys(char *text, size_t size, const char *name);

extern const struct heap_renderer heap_table, heap_json;

#endif
