/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lives in a page: each of its bytes is one tenant's. Pure: it asks the blocks, and whose a
 * block in use is, and nothing else. */
#ifndef HEAP_TENANTS_H
#define HEAP_TENANTS_H

#include <stdint.h>

#include "heap/blocks.h"

/* X(ID, what it is called): a heading of the balance (HEAP_BALANCE) is called as there. */
#define HEAP_TENANTS(X)                 \
	X(OBJECTS, "other objects")     \
	X(C, "used by C code")          \
	X(POOL, "free in pools")        \
	X(ARENA, "free in arenas")      \
	X(MALLOC, "free in malloc")     \
	X(ANONYMOUS, "other anonymous") \
	X(STACK, "stacks")              \
	X(FILE, "files")                \
	X(SHARED, "shared")             \
	X(UNEXPLAINED, "unexplained")

enum heap_tenant {
#define TENANT_ENUM(id, text) TENANT_##id,
	HEAP_TENANTS(TENANT_ENUM)
#undef TENANT_ENUM
		TENANT_HOLDERS, /* from here on: a holder's number added */
};

/* "free in pools"; NULL: it is a holder. */
const char *heap_tenant_name(unsigned tenant);

/* Whose a block in use is: an enum heap_tenant. */
typedef unsigned heap_tenant_fn(void *arg, uint32_t block);

/* Adds to `bytes`, which has an element for each tenant, what is in [start, end): resident memory
 * of no file and no stack, of one page. What is added is end - start, whatever the blocks say. */
void heap_tenants_add(const struct heap_blocks *blocks, heap_tenant_fn *of, void *arg,
		      uint64_t start, uint64_t end, uint64_t *bytes);

#endif
