/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The registry of renderers of heap reports, and what they share. */
#include "render/heap_parts.h"

#include <inttypes.h>
#include <string.h>

const struct heap_renderer *const heap_renderers[] = {
	&heap_table,
	&heap_json,
	NULL,
};

const struct heap_renderer *heap_renderer_find(const char *name)
{
	for (size_t i = 0; heap_renderers[i]; i++) {
		if (!strcmp(heap_renderers[i]->name, name))
			return heap_renderers[i];
	}
	return NULL;
}

void heap_count(char *text, size_t size, int64_t count, bool sign)
{
	uint64_t magnitude = count < 0 ? -(uint64_t)count : (uint64_t)count;
	char digits[32];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, magnitude), used = 0;

	if (count < 0 || (sign && count))
		used += (size_t)snprintf(text, size, "%s", count < 0 ? "-" : "+");
	for (size_t i = 0; i < length && used + 2 < size; i++) {
		if (i && (length - i) % 3 == 0)
			text[used++] = ',';
		text[used++] = digits[i];
	}
	text[used < size ? used : size - 1] = '\0';
}

const struct heap_birth_row *heap_first_birth(const struct heap_look *look,
					      const struct heap_holder_row *holder)
{
	const struct heap_birth_row *first = NULL, *birth;

	for (size_t i = 0; i < look->birth_count; i++) {
		birth = &look->births[i];
		if (strcmp(birth->holder, holder->path))
			continue;
		if (!first || birth->entries > first->entries ||
		    (birth->entries == first->entries && birth->share > first->share))
			first = birth;
	}
	return first;
}
