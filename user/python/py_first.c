/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: decide whether an object is still there, or another one has taken its place. Neither of
 * the two was watched.
 *
 * In doubt the object counts as still there, so that "gone" is certain. It is gone if the pool has
 * no block in use, or has blocks of another size (to get these, it had to be empty); if the block
 * is free; if an object of another type is in the block; or if another text or number is, since
 * these never change. A list or a dict may change, so it can't be told from another one of its
 * type.
 *
 * Heads of pools and of types are the same in 3.6 to 3.15 (Objects/obmalloc.c, struct pool_header;
 * Include/cpython/object.h, PyTypeObject); in debug builds and free-threaded ones nothing is
 * recognised. */
#include "python/py_first.h"

#include <string.h>

#define POOL_SMALL 4096 /* up to 3.9 */
#define POOL_HEAD  48
#define BLOCK_MAX  512

#define OBJECT_TYPE 8
#define OBJECT_BODY 16
#define TYPE_FLAGS  168
#define FLAG_GC	    (1u << 14)
#define FLAG_LONG   (1u << 24)
#define FLAG_BYTES  (1u << 27)
#define FLAG_TEXT   (1u << 28)
#define METAS	    3 /* a type's type, its type, …: the last is its own */

struct pool {
	uint32_t used, size;
	uint64_t free_block; /* address; 0: none */
};

static uint64_t word_at(const unsigned char *bytes, size_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static uint32_t half_at(const unsigned char *bytes, size_t offset)
{
	uint32_t half;

	memcpy(&half, bytes + offset, sizeof(half));
	return half;
}

/* Reads the head of a pool. False: it is none. */
static bool read_head(const unsigned char *head, struct pool *pool)
{
	uint32_t index = half_at(head, 36), next = half_at(head, 40), last = half_at(head, 44);
	uint32_t pool_size = last < POOL_SMALL ? POOL_SMALL : PY_FIRST_POOL_BYTES;

	pool->used = half_at(head, 0);
	pool->size = pool_size - last;
	pool->free_block = word_at(head, 8);
	if (last > pool_size || !pool->size || pool->size > BLOCK_MAX)
		return false;
	/* Blocks differ by 16 bytes, before 3.7.4 by 8. */
	if (pool->size != (index + 1) * 16 && pool->size != (index + 1) * 8)
		return false;
	return next >= POOL_HEAD && next <= last + pool->size &&
	       (next - POOL_HEAD) % pool->size == 0 &&
	       pool->used <= (next - POOL_HEAD) / pool->size;
}

/* True if the first block of the pool at `addr` is in its list of free blocks. */
static bool is_free(const unsigned char *now, uint64_t addr, const struct pool *pool)
{
	uint64_t next = pool->free_block;

	for (unsigned i = 0; next && i < PY_FIRST_POOL_BYTES / 8; i++) {
		uint64_t offset = next - addr;

		if (offset == POOL_HEAD)
			return true;
		if (offset < POOL_HEAD || offset > PY_FIRST_POOL_BYTES - sizeof(next))
			return false;
		next = word_at(now, offset);
	}
	return false;
}

static bool is_type(uint64_t addr, uint32_t *flags, py_first_read_fn *read, void *arg)
{
	uint64_t meta, of;

	if (!addr || addr % sizeof(addr) || !read(arg, addr + TYPE_FLAGS, flags, sizeof(*flags)) ||
	    !read(arg, addr + OBJECT_TYPE, &meta, sizeof(meta)))
		return false;
	for (int i = 0; i < METAS; i++) {
		if (!read(arg, meta + OBJECT_TYPE, &of, sizeof(of)))
			return false;
		if (of == meta)
			return true;
		meta = of;
	}
	return false;
}

/* Finds how far into the block its object begins (`*before`): 0, or behind a GC head, or behind
 * that and what 3.11 and later put before it. `*flags`: of its type. False: no object is
 * recognised. */
static bool find_object(const unsigned char *block, size_t size, uint32_t *before, uint32_t *flags,
			py_first_read_fn *read, void *arg)
{
	for (*before = 0; *before <= 32; *before += 16) {
		if (*before + OBJECT_BODY > size)
			return false;
		if (is_type(word_at(block, *before + OBJECT_TYPE), flags, read, arg) &&
		    !(*flags & FLAG_GC) == !*before)
			return true;
	}
	return false;
}

/* True if two blocks differ in the bytes from `from` to below `to`, as far as both have `size`
 * bytes. */
static bool differ(const unsigned char *a, const unsigned char *b, size_t from, size_t to,
		   size_t size)
{
	to = to < size ? to : size;
	return from < to && memcmp(a + from, b + from, to - from) != 0;
}

/* True if the two are different texts or numbers. The length is behind the object's head. The hash
 * is not compared, since it may be computed later. */
static bool is_another(const unsigned char *then, const unsigned char *now, size_t size,
		       uint32_t flags)
{
	if (flags & FLAG_LONG)
		return differ(then, now, 16, 28, size);
	if (flags & FLAG_BYTES)
		return differ(then, now, 16, 24, size) || differ(then, now, 32, 33, size);
	/* Texts of ASCII begin at 40 or 48. */
	return flags & FLAG_TEXT &&
	       (differ(then, now, 16, 24, size) || differ(then, now, 48, 49, size));
}

enum py_first py_first_judge(const unsigned char *then, size_t then_size, const unsigned char *now,
			     uint64_t addr, py_first_read_fn *read, void *arg)
{
	struct pool first, last;
	uint32_t before, flags;
	size_t size = then_size - POOL_HEAD;

	if (!read_head(then, &first) || !first.used || !read_head(now, &last))
		return PY_FIRST_UNKNOWN;
	if (first.size < size)
		size = first.size;
	then += POOL_HEAD;
	if (!find_object(then, size, &before, &flags, read, arg))
		return PY_FIRST_UNKNOWN;
	if (!last.used || last.size != first.size || is_free(now, addr, &last))
		return PY_FIRST_GONE;
	now += POOL_HEAD;
	if (word_at(then, before + OBJECT_TYPE) != word_at(now, before + OBJECT_TYPE))
		return PY_FIRST_GONE;
	return !before && is_another(then, now, size, flags) ? PY_FIRST_GONE : PY_FIRST_THERE;
}
