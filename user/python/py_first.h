/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether the first object of a pool is still the one that was there. That is judged from the
 * pool's first bytes at that time, and from the pool as it is now. */
#ifndef PY_FIRST_H
#define PY_FIRST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PY_FIRST_POOL_BYTES 16384 /* of the largest pool there is */

enum py_first {
	PY_FIRST_UNKNOWN, /* no pool, or no object that is recognised */
	PY_FIRST_THERE,	  /* nothing shows that it is another one */
	PY_FIRST_GONE,
};

/* Reads `size` bytes of the process's memory. True: all were read. */
typedef bool py_first_read_fn(void *arg, uint64_t addr, void *buf, size_t size);

/* `then`: `then_size` bytes of the pool at `addr`, its head and the beginning of its first block.
 * `now`: PY_FIRST_POOL_BYTES of it as they are now. `read(arg, …)` reads types. All of that is
 * hostile input. */
enum py_first py_first_judge(const unsigned char *then, size_t then_size, const unsigned char *now,
			     uint64_t addr, py_first_read_fn *read, void *arg);

#endif
