/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/hash.h"

#include <stdlib.h>

/* Weak: a test replaces it by one that fails. */
__attribute__((weak)) void *hash_alloc(size_t bytes)
{
	return malloc(bytes);
}
