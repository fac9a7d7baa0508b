/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A line of the profile as JSON, and figures that processes have, too. The caller owns a value that
 * is returned; NULL: out of memory. */
#ifndef JSON_LINE_H
#define JSON_LINE_H

#include <jansson.h>
#include <stdio.h>

#include "model/model.h"

/* Bytes brought into the page cache; bytes by cause of loss; kinds of the kernel's own memory that
 * are not 0. */
json_t *json_cached(const struct model_cache_amounts *amounts);
json_t *json_losses(const int64_t *lost_bytes);
json_t *json_kernel(const struct pymem_kernel *sums);
/* The number; null unless it is known. */
json_t *json_counted_if(bool known, uint64_t count);
json_t *json_huge(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT]);
json_t *json_swap(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT]);

/* Writes the line as an object. 0 or -ENOMEM. */
int json_put_line(FILE *out, const struct model *model, const struct model_line *line);

#endif
