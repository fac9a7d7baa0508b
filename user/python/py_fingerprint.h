/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether the code object at an address is still the one that was seen there. */
#ifndef PY_FINGERPRINT_H
#define PY_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "py_layout.h"

/* Reads all of `bytes` bytes at `address` into `to`, or returns false. */
typedef bool (*py_memory_fn)(void *arg, uint64_t address, void *to, size_t bytes);

/* The fingerprint of the code object at address `code`, as the BPF side computes it
 * (pymem_msg_code.fingerprint). 0: it can't be read. */
uint64_t py_fingerprint(const struct py_layout *py, uint64_t code, py_memory_fn read, void *arg);

#endif
