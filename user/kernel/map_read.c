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

/* Allocates memory for `entries`; frees what was there. 0 or -ENOMEM. */
static int batch_resize(struct batch *b, uint32_t entries)
{
	batch_free(b);
	b->room = entries;
	b->keys = calloc(entries, b->map->key_size);
	b->values = calloc(entries, b->map->value_size);
	return b->keys && b->values ? 0 : -ENOMEM;
}

/* Deletes the entry. `value` becomes what it had at that moment. That may be more than was read
 * before: a program that has a pointer to it may add to it until then. */
static void take_entry(const struct map_ops *ops, int fd, const void *key, void *value)
{
	if (!ops->lookup_and_delete(fd, key, value))
		return;
	/* Hash maps can do both at once since Linux 5.14. */
	ops->lookup(fd, key, value);
	ops->remove(fd, key);
}

int map_each(const struct map_ops *ops, const struct map_shape *map, bool take,
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

			if (take)
				take_entry(ops, map->fd, key, value);
			err = fn(key, value, arg);
		}
		if (read) /* -ENOENT: that was the last bucket */
			break;
	}
	batch_free(&b);
	return err;
}
