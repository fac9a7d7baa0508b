/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/hash.h"

#include <stdlib.h>

/* Weak, so that a test can put one in its place that fails. */
__attribute__((weak)) void *hash_alloc(size_t bytes)
{
	return malloc(bytes);
}
