/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads all entries of a BPF hash map while programs change it. */
#ifndef MAP_READ_H
#define MAP_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_map_batch_opts;

/* The system calls that this needs, as libbpf has them: each returns 0 or -errno. Unit tests
 * replace them. */
struct map_ops {
	int (*lookup_batch)(int fd, void *from, void *to, void *keys, void *values, uint32_t *count,
			    const struct bpf_map_batch_opts *opts);
	int (*lookup_and_delete)(int fd, const void *key, void *value);
	int (*lookup)(int fd, const void *key, void *value);
	int (*remove)(int fd, const void *key);
};

extern const struct map_ops map_ops_kernel;

/* Deletes an entry, and copies the value that it has at that time to `value`. That may be more than
 * was read before, since a program that found the entry earlier may still add to it. With `at_once`
 * one call does both, which hashes can since Linux 5.14 (3e87f192b405). Without, what a program
 * adds between the two calls is lost. 0; -ENOENT: there is no such entry; -errno. */
int map_take(const struct map_ops *ops, bool at_once, int fd, const void *key, void *value);

/* True if this kernel can do both at once. That is tried on the map with `no_key`, which no entry
 * has; `value` is scratch space of one value's size. */
bool map_takes_at_once(const struct map_ops *ops, int fd, const void *no_key, void *value);

enum map_reading { MAP_KEEPS, MAP_TAKES_AT_ONCE, MAP_TAKES_IN_STEPS };

struct map_shape {
	int fd;
	size_t key_size, value_size;
};

/* Calls fn(key, value) for each entry, until it returns something other than 0, which is then
 * returned. An entry that exists all the time comes once. One that is added or deleted meanwhile
 * may come or not. MAP_TAKES_*: each entry is deleted and comes with the value that it had then
 * (map_take()). Else `fn` may delete the entry. -errno: reading failed. */
int map_each(const struct map_ops *ops, const struct map_shape *map, enum map_reading reading,
	     int (*fn)(const void *key, const void *value, void *arg), void *arg);

#endif
