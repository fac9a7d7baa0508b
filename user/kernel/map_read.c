/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel hands over whole buckets of a hash, and entries stay in theirs: each that is there all
 * the time comes once. Going from key to key would not do: the key after one that has been deleted
 * meanwhile is the first one of all.
 */
#include "kernel/map_read.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define BATCH_BYTES (1 << 20) /* of values read at a time */
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
	uint32_t room; /* entries */
};

static void batch_free(struct batch *b)
{
	free(b->keys);
	free(b->values);
}

/* Room for `entries`; what was read is lost. */
static int batch_resize(struct batch *b, uint32_t entries)
{
	batch_free(b);
	b->room = entries;
	b->keys = calloc(entries, b->map->key_size);
	b->values = calloc(entries, b->map->value_size);
	return b->keys && b->values ? 0 : -ENOMEM;
}

/* Deletes the entry; `value` gets what it has at that time, which may be more than was read before:
 * who began with it when it was alive may add to it still. */
static void take_entry(const struct map_ops *ops, int fd, const void *key, void *value)
{
	if (!ops->lookup_and_delete(fd, key, value))
		return;
	/* Hashes have that since Linux 5.14. */
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
		/* A bucket has more entries than there is room for. */
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
		if (read) /* that was the last bucket */
			break;
	}
	batch_free(&b);
	return err;
}
