/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks for the tests of heap reports: made by hand, one for each shape that a heap can have. Each
 * one's balance adds up to its RSS. */
#ifndef HEAP_LOOKS_H
#define HEAP_LOOKS_H

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "model/heap_look.h"

#define KIB 1024ll
#define MIB (1024 * KIB)

static inline char *looks_copy(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* A zeroed element more. */
#define LOOKS_MORE(rows, count)                                            \
	({                                                                 \
		(rows) = reallocarray(rows, (count) + 1, sizeof(*(rows))); \
		if (!(rows))                                               \
			abort();                                           \
		memset(&(rows)[count], 0, sizeof(*(rows)));                \
		&(rows)[(count)++];                                        \
	})

static inline struct heap_holder_row *look_holder(struct heap_look *look, const char *path,
						  const char *type, int64_t entries,
						  int64_t entries_grown, int64_t retained,
						  int64_t grown)
{
	struct heap_holder_row *row = LOOKS_MORE(look->holders, look->holder_count);

	row->path = looks_copy(path);
	row->type = looks_copy(type);
	row->has_entries = entries >= 0;
	row->entries = entries >= 0 ? (uint64_t)entries : 0;
	row->entries_grown = entries_grown;
	row->retained_bytes = (uint64_t)retained;
	row->grown_bytes = grown;
	look->has_holders = true;
	return row;
}

static inline void look_type(struct heap_look *look, const char *type, uint64_t objects,
			     int64_t objects_grown, int64_t bytes, int64_t grown)
{
	struct heap_type_row *row = LOOKS_MORE(look->types, look->type_count);

	row->type = looks_copy(type);
	row->objects = objects;
	row->objects_grown = objects_grown;
	row->bytes = (uint64_t)bytes;
	row->bytes_grown = grown;
}

static inline void look_pin(struct heap_look *look, const char *type, int64_t bytes, uint64_t pools)
{
	struct heap_pin_row *row = LOOKS_MORE(look->pins, look->pin_count);

	row->type = looks_copy(type);
	row->bytes = (uint64_t)bytes;
	row->pools = pools;
}

static inline struct heap_birth_row *look_birth(struct heap_look *look, const char *holder,
						const char *file, int line, const char *function,
						uint64_t insertions, double share)
{
	struct heap_birth_row *row = LOOKS_MORE(look->births, look->birth_count);

	row->holder = looks_copy(holder);
	row->file = looks_copy(file);
	row->function = looks_copy(function);
	row->type = looks_copy("dict");
	row->line = line;
	row->method = "watch";
	row->insertions = insertions;
	row->share = share;
	return row;
}

static inline void look_caller(struct heap_birth_row *birth, const char *text)
{
	if (heap_look_say(&birth->stack, "%s", text))
		abort();
}

static inline struct heap_touched_row *look_touched(struct heap_look *look, const char *file,
						    int line, const char *function, int64_t bytes)
{
	struct heap_touched_row *row = LOOKS_MORE(look->touched, look->touched_count);

	row->file = looks_copy(file);
	row->function = looks_copy(function);
	row->line = line;
	row->resident_bytes = (uint64_t)bytes;
	return row;
}

static inline void look_now(struct heap_touched_row *row, const char *what, int64_t bytes)
{
	struct heap_now *now = LOOKS_MORE(row->now, row->now_count);

	now->what = looks_copy(what);
	now->bytes = (uint64_t)bytes;
}

static inline void look_argument(struct heap_look *look, const char *text)
{
	if (heap_look_say(&look->cmdline, "%s", text))
		abort();
}

/* RSS is what the parts add up to. */
static inline void look_sum(struct heap_look *look)
{
	look->rss_bytes = heap_balance_sum(&look->balance);
	look->rss_first_bytes = heap_balance_sum(&look->balance_first);
}

static inline struct heap_look *look_new(double seconds)
{
	struct heap_look *look = heap_look_new();

	if (!look)
		abort();
	look->pid = 25402;
	look->comm = looks_copy("gunicorn");
	look_argument(look, "gunicorn");
	look_argument(look, "shop:application");
	strcpy(look->python, "3.11.2");
	strcpy(look->allocator, "pymalloc+glibc");
	look->seconds = seconds;
	return look;
}

/* A web worker that keeps its requests, and a cache that does not grow. */
static inline struct heap_look *look_growing(void)
{
	struct heap_look *look = look_new(30);
	struct heap_birth_row *birth;
	struct heap_touched_row *touched;

	look->paused_ms[0] = 12.25;
	look->paused_ms[1] = 13;
	look->balance = (struct heap_balance){402 * MIB, 51 * MIB, 9 * MIB,  1 * MIB,
					      6 * MIB,	 2 * MIB,  3 * MIB,  1 * MIB,
					      200 * KIB, 19 * MIB, 60 * KIB, 500 * KIB};
	look->balance_first = look->balance;
	look->balance_first.objects -= 4 * MIB;
	look->balance_first.buffers -= 512 * KIB;
	look->balance_first.pool_free += 36 * KIB;
	look_sum(look);
	look->swapped_bytes = 3 * MIB;
	look_holder(look, "shop.AUDIT", "list", 1200000, 21400, 431 * MIB, 4587520);
	look_holder(look, "shop.CACHE", "collections.OrderedDict", 50, 0, 6 * MIB, 0);
	look_holder(look, "thread 3 worker():rows", "list", 3000, 3000, 300 * KIB, 300 * KIB);
	look->holders[2].is_new = look->holders[2].is_local = true;
	look_holder(look, "shop.POOL.connections[0]._parsed['a key']", "app.db.Result", -1, 0,
		    100 * KIB, -20 * KIB)
		->shared_by = looks_copy("shop.CACHE and shop.POOL");
	look_type(look, "dict", 1210000, 21400, 210 * MIB, 2 * MIB);
	look_type(look, "str", 900000, 12000, 118 * MIB, 1 * MIB);
	look_type(look, "tuple", 400000, -20, 40 * MIB, -4 * KIB);
	birth = look_birth(look, "shop.AUDIT", "/srv/app/shop.py", 19, "audit", 21300, 0.995);
	look_caller(birth, "/srv/app/shop.py:19 audit");
	look_caller(birth, "/srv/app/shop.py:33 report");
	look_caller(birth, "/opt/venv/lib/python3.11/site-packages/gunicorn/workers/sync.py:135 "
			   "handle");
	look_birth(look, "shop.AUDIT", "/srv/app/shop.py", 41, "replay", 100, 0.005);
	touched = look_touched(look, "/srv/app/shop.py", 33, "report", 26 * MIB);
	look_now(touched, "shop.AUDIT", 25 * MIB);
	look_now(touched, "free in pools", 1 * MIB);
	look_now(look_touched(look, "/srv/app/shop.py", 18, "__call__", 40 * KIB), "free in malloc",
		 40 * KIB);
	look->touched_known = true;
	look->touched_unknown_bytes = 12 * KIB;
	look->touched_before_bytes = look->rss_bytes - 26 * MIB - 52 * KIB;
	look->gc_known = look->gc_enabled = true;
	look->generation_count = 3;
	look->generations[0] = (struct heap_generation){12, 700, 310, 2000, 0};
	look->generations[1] = (struct heap_generation){3, 10, 28, 310, 0};
	look->generations[2] = (struct heap_generation){1, 10, 2, 55, 0};
	if (heap_look_say(&look->notes, "the lines that insert were sampled"))
		abort();
	return look;
}

/* The same where debug registers do nothing: most entries are made by a library. */
static inline struct heap_look *look_sampled(void)
{
	struct heap_look *look = look_growing();

	for (size_t i = 0; i < look->birth_count; i++)
		look->births[i].method = "burst";
	look->births[0].insertions = 1;
	look->births[0].entries = 1;
	look->births[0].share = 0.1;
	look->births[0].made = looks_copy("/usr/lib/python3.11/json/decoder.py:353 "
					  "JSONDecoder.raw_decode");
	look->births[1].insertions = 9;
	look->births[1].share = 0.9;
	return look;
}

/* One census: a cache that is what the program is for. */
static inline struct heap_look *look_live(void)
{
	struct heap_look *look = look_new(0);

	look->balance = (struct heap_balance){
		.objects = 580 * MIB, .buffers = 32 * MIB, .pool_free = 4 * MIB, .files = 9 * MIB};
	look_sum(look);
	look_holder(look, "app.cache.SESSIONS", "dict", 1214003, 0, 540 * MIB, 0);
	look_type(look, "str", 2000000, 0, 300 * MIB, 0);
	return look;
}

/* Two censuses: the cache is full. */
static inline struct heap_look *look_bounded(void)
{
	struct heap_look *look = look_new(20);

	look->balance = (struct heap_balance){.objects = 40 * MIB, .files = 9 * MIB};
	look->balance_first = look->balance;
	look->balance.objects += 20 * KIB;
	look_sum(look);
	look_holder(look, "app.load.cache", "functools._lru_cache_wrapper", 512, 0, 33 * MIB,
		    20 * KIB);
	return look;
}

/* A survivor in each pool. */
static inline struct heap_look *look_fragmented(void)
{
	struct heap_look *look = look_new(0);
	static const uint64_t fullness[10] = {9000, 300, 100, 10, 5, 5, 5, 20, 55, 500};

	look->balance = (struct heap_balance){.objects = 30 * MIB,
					      .buffers = 1 * MIB,
					      .pool_free = 130 * MIB,
					      .arena_free = 12 * MIB,
					      .files = 9 * MIB};
	look_sum(look);
	look->pools = 10000;
	memcpy(look->pools_by_fullness, fullness, sizeof(fullness));
	look_pin(look, "app.Node", 3 * MIB, 8000);
	look_pin(look, "str", 1 * MIB, 1200);
	look_pin(look, "buffers", 10 * KIB, 30);
	look_holder(look, "app.SURVIVORS", "list", 9000, 0, 4 * MIB, 0);
	return look;
}

/* free() was called, and the memory did not go. */
static inline struct heap_look *look_untrimmed(void)
{
	struct heap_look *look = look_new(0);

	look->balance = (struct heap_balance){.objects = 10 * MIB,
					      .malloc_used = 2 * MIB,
					      .malloc_free = 80 * MIB,
					      .files = 9 * MIB};
	look_sum(look);
	look->trimmable_bytes = 78 * MIB;
	return look;
}

/* An extension that forgets free(). */
static inline struct heap_look *look_c_leak(void)
{
	struct heap_look *look = look_new(10);

	look->balance = (struct heap_balance){
		.objects = 9 * MIB, .malloc_used = 60 * MIB, .files = 9 * MIB};
	look->balance_first = look->balance;
	look->balance_first.malloc_used -= 5 * MIB;
	look_sum(look);
	look_holder(look, "__main__.names", "list", 10, 10, 1 * MIB, 70 * KIB);
	return look;
}

/* gc.disable(), and cycles. */
static inline struct heap_look *look_garbage(double seconds)
{
	struct heap_look *look = look_new(seconds);

	look->balance = (struct heap_balance){.objects = 50 * MIB, .files = 9 * MIB};
	if (seconds > 0) {
		look->balance_first = look->balance;
		look->balance_first.objects -= 6 * MIB;
		look->garbage_grown = 6 * MIB;
	}
	look_sum(look);
	look->garbage_bytes = 40 * MIB;
	look->garbage_objects = 400000;
	look->gc_known = true;
	return look;
}

/* An allocator that can't be read. */
static inline struct heap_look *look_opaque(void)
{
	struct heap_look *look = look_new(0);

	strcpy(look->allocator, "pymalloc+jemalloc");
	look->opaque = looks_copy("jemalloc");
	look->balance = (struct heap_balance){
		.objects = 10 * MIB, .anonymous_other = 30 * MIB, .files = 9 * MIB};
	look_sum(look);
	return look;
}

/* Several holders grow, none of them by half. */
static inline struct heap_look *look_spread(void)
{
	struct heap_look *look = look_new(60);

	look->balance = (struct heap_balance){.objects = 90 * MIB, .files = 9 * MIB};
	look->balance_first = look->balance;
	look->balance_first.objects -= 9 * MIB;
	look_sum(look);
	look_holder(look, "a.A", "list", 10, 1, 20 * MIB, 3 * MIB);
	look_holder(look, "b.B", "dict", 10, 1, 19 * MIB, 2 * MIB);
	look_holder(look, "c.C", "set", 10, 1, 18 * MIB, 10);
	return look;
}

/* Live objects take the place of temporary ones: RSS does not move. */
static inline struct heap_look *look_replacing(void)
{
	struct heap_look *look = look_new(60);

	look->balance = (struct heap_balance){.objects = 90 * MIB, .files = 9 * MIB};
	look->balance_first = look->balance;
	look->balance.objects -= 4 * MIB;
	look->balance.pool_free += 4 * MIB;
	look_sum(look);
	look_holder(look, "thread 1 work():t", "list", 120000, 120000, 9 * MIB, 9 * MIB);
	look->holders[0].is_new = look->holders[0].is_local = true;
	look_holder(look, "__main__.kept", "list", 600000, 20000, 60 * MIB, 3 * MIB);
	return look;
}

/* What grew is no object. */
static inline struct heap_look *look_files(void)
{
	struct heap_look *look = look_new(60);

	look->balance = (struct heap_balance){.objects = 20 * MIB, .files = 9 * MIB};
	look->balance_first = look->balance;
	look->balance.files += 5 * MIB;
	look_sum(look);
	return look;
}

#define HOSTILE                               \
	"\033]0;owned\007\033[2J\xe2\x80\xae" \
	"evil\n\xff\xc3(\xc2\x9b"             \
	"1m\xed\xa0\x80\x7f</script>"

/* Every text and number that a target controls is an attack, or long. */
static inline struct heap_look *look_hostile(void)
{
	static char long_name[10241];
	struct heap_look *look = look_new(1);

	memset(long_name, 'A', sizeof(long_name) - 1);
	free(look->comm);
	look->comm = looks_copy(HOSTILE);
	look_argument(look, HOSTILE);
	look_argument(look, long_name);
	look->balance = (struct heap_balance){.objects = 1ull << 50, .unexplained = 9 * MIB};
	look_sum(look);
	look_holder(look, HOSTILE, HOSTILE, INT64_MAX, INT64_MIN, 1ll << 60, 1ll << 60)->shared_by =
		looks_copy(HOSTILE);
	look_holder(look, long_name, long_name, 0, 0, 1, -(1ll << 60))->shared_by =
		looks_copy(long_name);
	look_holder(look, "", "", 0, 0, 0, 0);
	look_type(look, HOSTILE, UINT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN);
	look_type(look, long_name, 0, 0, 0, 0);
	look_pin(look, HOSTILE, 1, 1);
	look_pin(look, long_name, 1, 1);
	look->pools = look->pools_by_fullness[0] = 1;
	look_caller(look_birth(look, HOSTILE, HOSTILE, 2147483647, HOSTILE, UINT64_MAX, 1),
		    HOSTILE);
	look_caller(look_birth(look, long_name, long_name, -1, long_name, 1, 0.5), long_name);
	look_caller(&look->births[1], long_name);
	look->births[1].method = "burst";
	look->births[0].made = looks_copy(HOSTILE);
	look->births[1].made = looks_copy(long_name);
	look_now(look_touched(look, HOSTILE, 1, HOSTILE, 1), HOSTILE, 1);
	look_now(look_touched(look, long_name, 1, long_name, 1), long_name, 1);
	if (heap_look_say(&look->notes, "%s", HOSTILE) ||
	    heap_look_say(&look->skipped, "%s", HOSTILE))
		abort();
	return look;
}

#endif
