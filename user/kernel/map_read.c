/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel hands over whole buckets of a hash map, and an entry never moves to another bucket. So
 * an entry that exists all the time comes exactly once. Reading key by key would not work: the key
 * after a deleted one is the first key of the map. */
#include "kernel/map_read.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define BATCH_BYTES (1 << 20) /* of values, read at a time */
#define ENTRIES_MIN 16

const struct map_ops map_ops_kernel = {
	.lookup_batch = bpf_map_lookup_batch,
	.lookup_and_delete = bpf_map_lookup_and_delete_elem,
	.lookup = bpf_map_lookup_elem,
	.remove = bpf_map_delete_elem,
};

struct batch {
	const struct map_shape *map;
	char *keys, *values;
	uint32_t room; /* in entries */
};

static void batch_free(struct batch *b)
{
	free(b->keys);
	free(b->values);
}

/* Allocates memory for `entries`; frees what was there. It is not cleared: most readings fill a
 * little of it, ten times a second. 0 or -ENOMEM. */
static int batch_resize(struct batch *b, uint32_t entries)
{
	batch_free(b);
	b->room = entries;
	b->keys = malloc((size_t)entries * b->map->key_size);
	b->values = malloc((size_t)entries * b->map->value_size);
	return b->keys && b->values ? 0 : -ENOMEM;
}

int map_take(const struct map_ops *ops, bool at_once, int fd, const void *key, void *value)
{
	int err;

	if (at_once)
		return ops->lookup_and_delete(fd, key, value);
	err = ops->lookup(fd, key, value);
	return err ?: ops->remove(fd, key);
}

bool map_takes_at_once(const struct map_ops *ops, int fd, const void *no_key, void *value)
{
	return ops->lookup_and_delete(fd, no_key, value) == -ENOENT;
}

int map_each(const struct map_ops *ops, const struct map_shape *map, enum map_reading reading,
	     int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct batch b = {.map = map};
	int err, read;
	uint32_t cursor = 0, count, i;
	void *from = NULL;

	err = batch_resize(&b, BATCH_BYTES / map->value_size + ENTRIES_MIN);
	while (!err) {
		count = b.room;
		read = ops->lookup_batch(map->fd, from, &cursor, b.keys, b.values, &count, NULL);
		/* A bucket has more entries than fit. */
		if (read == -ENOSPC) {
			err = batch_resize(&b, 2 * b.room);
			continue;
		}
		if (read && read != -ENOENT) {
			err = read;
			break;
		}
		from = &cursor;
		for (i = 0; !err && i < count; i++) {
			char *key = b.keys + i * map->key_size;
			char *value = b.values + i * map->value_size;

			/* If somebody else has taken the entry first, `fn` gets the value that was
			 * read. */
			if (reading != MAP_KEEPS)
				err = map_take(ops, reading == MAP_TAKES_AT_ONCE, map->fd, key,
					       value);
			if (!err || err == -ENOENT)
				err = fn(key, value, arg);
		}
		if (read) /* -ENOENT: that was the last bucket */
			break;
	}
	batch_free(&b);
	return err;
}
