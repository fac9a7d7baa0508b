/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lives in a page: each of its bytes has one tenant. Pure: it depends only on the blocks, and
 * on the tenant of each block in use. */
#ifndef HEAP_TENANTS_H
#define HEAP_TENANTS_H

#include <stdint.h>

#include "heap/blocks.h"

/* X(ID, name). A tenant that is a heading of the balance (HEAP_BALANCE) has the same name there. */
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
		TENANT_HOLDERS, /* TENANT_HOLDERS + N is holder number N */
};

/* Name of a tenant, such as "free in pools"; NULL: it is a holder. */
const char *heap_tenant_name(unsigned tenant);

/* The tenant of a block in use: an enum heap_tenant, or TENANT_HOLDERS plus a holder's number. */
typedef unsigned heap_tenant_fn(void *arg, uint32_t block);

/* Adds the bytes of [start, end) to `bytes`, which has an element for each tenant. The range is
 * resident memory of one page, of no file and no main stack. The sum that is added is end - start,
 * whatever the blocks say. */
void heap_tenants_add(const struct heap_blocks *blocks, heap_tenant_fn *of, void *arg,
		      uint64_t start, uint64_t end, uint64_t *bytes);

#endif
