/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* map_read.c with a hash table that changes while it is read. An entry that exists all the time
 * comes once; an entry that is taken is gone and comes with its last value; errors are returned. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/map_read.h"

#define FD	   77
#define BUCKETS	   64
#define DEPTH	   128	       /* of a bucket */
#define VALUE_SIZE (64 * 1024) /* so that a batch has room for about thirty entries */
#define KEYS	   (BUCKETS * DEPTH)

/* Key k lies in bucket k % BUCKETS. Its value begins with `values[k]`. */
static struct fake {
	bool there[KEYS];
	uint64_t values[KEYS];
	bool old;  /* a kernel that can't look up and delete at once */
	int error; /* of each batch but the first */
	unsigned batches;
	uint64_t grows; /* by so much each value grows between reading and deleting */
	unsigned visits[KEYS];
	uint64_t seen[KEYS];
	int stop; /* what the function returns at visit number `stop_at` */
	unsigned visited, stop_at;
	bool removes; /* the function removes what it gets */
	void (*meanwhile)(void);
} fake;

static uint32_t bucket_entries(uint32_t bucket)
{
	uint32_t n = 0, k;

	for (k = bucket; k < KEYS; k += BUCKETS)
		n += fake.there[k];
	return n;
}

/* Like the kernel: whole buckets, as many as fit. */
static int lookup_batch(int fd, void *from, void *to, void *keys, void *values, uint32_t *count,
			const struct bpf_map_batch_opts *opts)
{
	uint32_t bucket = from ? *(uint32_t *)from : 0, room = *count, n = 0, k;

	(void)opts;
	assert_int_equal(fd, FD);
	if (fake.error && fake.batches++)
		return fake.error;
	if (fake.meanwhile && from)
		fake.meanwhile();
	*count = 0;
	for (; bucket < BUCKETS; bucket++) {
		if (bucket_entries(bucket) > room - n) {
			*(uint32_t *)to = bucket;
			*count = n;
			return n ? 0 : -ENOSPC;
		}
		for (k = bucket; k < KEYS; k += BUCKETS) {
			if (!fake.there[k])
				continue;
			memcpy((char *)keys + n * sizeof(k), &k, sizeof(k));
			memcpy((char *)values + (size_t)n * VALUE_SIZE, &fake.values[k],
			       sizeof(fake.values[k]));
			fake.values[k] += fake.grows;
			n++;
		}
	}
	*count = n;
	return -ENOENT;
}

static int lookup(int fd, const void *key, void *value)
{
	uint32_t k;

	assert_int_equal(fd, FD);
	memcpy(&k, key, sizeof(k));
	if (!fake.there[k])
		return -ENOENT;
	memcpy(value, &fake.values[k], sizeof(fake.values[k]));
	return 0;
}

static int remove_entry(int fd, const void *key)
{
	uint32_t k;

	assert_int_equal(fd, FD);
	memcpy(&k, key, sizeof(k));
	if (!fake.there[k])
		return -ENOENT;
	fake.there[k] = false;
	return 0;
}

static int lookup_and_delete(int fd, const void *key, void *value)
{
	return fake.old ? -EINVAL : lookup(fd, key, value) ?: remove_entry(fd, key);
}

static int visit(const void *key, const void *value, void *arg)
{
	uint32_t k;

	assert_ptr_equal(arg, &fake);
	memcpy(&k, key, sizeof(k));
	assert_true(k < KEYS);
	fake.visits[k]++;
	memcpy(&fake.seen[k], value, sizeof(fake.seen[k]));
	if (fake.removes)
		remove_entry(FD, key);
	return ++fake.visited == fake.stop_at ? fake.stop : 0;
}

static const struct map_ops ops = {lookup_batch, lookup_and_delete, lookup, remove_entry};

static int read_all(enum map_reading reading)
{
	static const struct map_shape shape = {FD, sizeof(uint32_t), VALUE_SIZE};

	return map_each(&ops, &shape, reading, visit, &fake);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	return 0;
}

static void fill(uint32_t count)
{
	uint32_t k;

	for (k = 0; k < count; k++) {
		fake.there[k] = true;
		fake.values[k] = 1000 + k;
	}
}

static void expect_once(uint32_t from, uint32_t to)
{
	uint32_t k;

	for (k = from; k < to; k++) {
		assert_int_equal(fake.visits[k], 1);
		assert_int_equal(fake.seen[k], 1000 + k);
	}
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(read_all(MAP_KEEPS), 0);
	assert_int_equal(fake.visited, 0);
}

/* More entries than fit into a batch. */
static void test_batches(void **state)
{
	(void)state;
	fill(6 * BUCKETS);
	assert_int_equal(read_all(MAP_KEEPS), 0);
	expect_once(0, 6 * BUCKETS);
	assert_true(fake.there[0]);
}

/* A bucket with more entries than fit into a batch. */
static void test_deep_bucket(void **state)
{
	uint32_t k;

	(void)state;
	fill(2 * BUCKETS);
	for (k = 5; k < KEYS; k += BUCKETS) {
		fake.there[k] = true;
		fake.values[k] = 1000 + k;
	}
	assert_int_equal(read_all(MAP_KEEPS), 0);
	expect_once(0, 2 * BUCKETS);
	for (k = 5; k < KEYS; k += BUCKETS)
		assert_int_equal(fake.visits[k], 1);
	assert_int_equal(fake.visited, 2 * BUCKETS + DEPTH - 2);
}

/* If the function removes an entry, no other comes twice or not at all. */
static void test_removed_by_function(void **state)
{
	(void)state;
	fill(6 * BUCKETS);
	fake.removes = true;
	assert_int_equal(read_all(MAP_KEEPS), 0);
	expect_once(0, 6 * BUCKETS);
	assert_int_equal(bucket_entries(3), 0);
}

/* Entries come and go between two batches. Those that stay still come once. */
static void come_and_go(void)
{
	static uint32_t step;
	uint32_t bucket;

	step++;
	for (bucket = 0; bucket < BUCKETS; bucket++) {
		fake.there[4 * BUCKETS + bucket] = (bucket + step) % 2;
		fake.there[5 * BUCKETS + bucket] = (bucket + step) % 3;
	}
}

static void test_changes_meanwhile(void **state)
{
	uint32_t k;

	(void)state;
	fill(6 * BUCKETS);
	fake.meanwhile = come_and_go;
	assert_int_equal(read_all(MAP_KEEPS), 0);
	expect_once(0, 4 * BUCKETS);
	for (k = 4 * BUCKETS; k < KEYS; k++)
		assert_true(fake.visits[k] <= 1);
}

/* An entry that is taken is gone and comes with its last value, on old kernels too. */
static void take(bool old)
{
	const uint32_t none = KEYS - 1;
	static char value[VALUE_SIZE];
	uint32_t k;

	setup(NULL);
	fill(3 * BUCKETS);
	fake.old = old;
	fake.grows = 7;
	assert_int_equal(map_takes_at_once(&ops, FD, &none, value), !old);
	assert_int_equal(read_all(old ? MAP_TAKES_IN_STEPS : MAP_TAKES_AT_ONCE), 0);
	for (k = 0; k < 3 * BUCKETS; k++) {
		assert_int_equal(fake.visits[k], 1);
		assert_int_equal(fake.seen[k], 1000 + k + 7);
		assert_false(fake.there[k]);
	}
}

static void test_take(void **state)
{
	(void)state;
	take(false);
	take(true);
}

static void test_errors(void **state)
{
	(void)state;
	fill(6 * BUCKETS);
	fake.stop = -ENOMEM;
	fake.stop_at = 3;
	assert_int_equal(read_all(MAP_KEEPS), -ENOMEM);
	assert_int_equal(fake.visited, 3);
	setup(NULL);
	fill(6 * BUCKETS);
	fake.error = -EPERM;
	assert_int_equal(read_all(MAP_KEEPS), -EPERM);
	assert_true(fake.visited > 0 && fake.visited < 6 * BUCKETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, setup),
		cmocka_unit_test_setup(test_batches, setup),
		cmocka_unit_test_setup(test_deep_bucket, setup),
		cmocka_unit_test_setup(test_removed_by_function, setup),
		cmocka_unit_test_setup(test_changes_meanwhile, setup),
		cmocka_unit_test_setup(test_take, setup),
		cmocka_unit_test_setup(test_errors, setup),
	};

	return cmocka_run_group_tests_name("map_read", tests, NULL, NULL);
}
