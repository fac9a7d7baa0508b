/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a look at a heap back from the JSON of `pymem-bpf heap`. */
#ifndef LOOK_READ_H
#define LOOK_READ_H

#include <stddef.h>

#include "model/heap_look.h"

#define LOOK_READ_NAME	   16384 /* bytes of a path or a type at most */
#define LOOK_READ_SENTENCE 4096	 /* bytes of the verdict and of a note at most */

/* The look at the first process in `json`, `size` bytes, which may be anything: what a machine can
 * not have is 0, long texts are cut. Of two censuses only the second is read; births and lines that
 * touched pages are not. `*verdict` is the sentences about it. The caller frees both, with
 * heap_look_free() and free(). NULL with errno set: EINVAL, it is no such thing; ENOMEM. */
struct heap_look *look_read(const char *json, size_t size, char **verdict);

#endif
