/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other side of examiner.h: the keeper, which starts examiners, and what an examiner does. */
#ifndef EXAMINER_HELPER_H
#define EXAMINER_HELPER_H

#include <stddef.h>

#include "python/py_process.h"

/* The keeper, in a child that was just forked. Answers each WIRE_NEW on `control` with a new
 * examiner. Ends when `control` is closed, and then ends the examiners. Closes all other
 * descriptors and drops all capabilities but those that reading takes. */
_Noreturn void examiner_keep(int control);

/* Answers the requests on `fd` until it is closed. */
void examiner_serve(int fd);

/* examiner_counting.c: what an examiner does for WIRE_COLLECTOR and WIRE_COLLECTIONS. The body
 * of the answer is valid until the next call. */
int examiner_do_find_collector(struct py_image_cache *cache, pid_t pid, void **body, size_t *size);
void examiner_do_count(const void *items, size_t bytes, void **body, size_t *size);

#endif
