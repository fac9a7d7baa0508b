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

extern const struct heap_renderer heap_table, heap_json;

#endif
