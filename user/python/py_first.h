/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is the first object of a pool still the one that was there? From what the pool began with then,
 * and the pool as it is now. */
#ifndef PY_FIRST_H
#define PY_FIRST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PY_FIRST_POOL_BYTES 16384 /* of the largest pool there is */

enum py_first {
	PY_FIRST_UNKNOWN, /* no pool, or no object that is recognised */
	PY_FIRST_THERE,	  /* nothing tells that it is another */
	PY_FIRST_GONE,
};

/* Reads the process's memory. True: all of it was read. */
typedef bool py_first_read_fn(void *arg, uint64_t addr, void *buf, size_t size);

/* `then`: `then_size` bytes of the pool at `addr`, its head and the beginning of its first block.
 * `now`: PY_FIRST_POOL_BYTES of it. All of that is hostile. */
enum py_first py_first_judge(const unsigned char *then, size_t then_size, const unsigned char *now,
			     uint64_t addr, py_first_read_fn *read, void *arg);

#endif
