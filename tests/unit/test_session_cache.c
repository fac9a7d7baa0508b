/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernel/session_cache.c: when files that nobody needs any more go. The maps are arrays here, and
 * the test is the BPF side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/session_cache.c"

#define NUMBERS 4 /* files, places and chunks that the test uses */
#define NONE	UINT32_MAX

static struct pymem_cached places[PYMEM_CACHED_PLACES];
static struct pymem_cache_file files[PYMEM_CACHE_FILES];
static struct session_cache cache;
static __u32 cached_next, files_next, cached_used, filter[PYMEM_CACHE_FILTER_SLOTS];
static struct mapping {
	struct pymem_cache_file_key key;
	uint32_t number; /* NONE: there is no such entry */
} mappings[NUMBERS];
static struct {
	uint32_t file; /* plus 1; 0: there is no such chunk */
	struct pymem_cache_chunk value;
} chunks[NUMBERS];
static unsigned sweeps;
static __u32 cache_look, cache_emptied, files_used;
static struct pymem_cache_held held[PYMEM_ACCOUNTS];
static uint32_t freed[NUMBERS];
static unsigned freed_count;
static int error; /* of what is asked of the kernel */
static char file_numbers, free_files, chunk_map, place_map, free_places;

static struct session session = {
	.cache = &cache,
	.bpf = {.map = {.cache_file_numbers = (void *)&file_numbers,
			.cache_files_free = (void *)&free_files,
			.cache_chunks = (void *)&chunk_map,
			.cached_places = (void *)&place_map,
			.cached_free = (void *)&free_places},
		.variable = {.cached_next = &cached_next,
			     .cache_files_next = &files_next,
			     .cached_used = &cached_used,
			     .cache_files_used = &files_used,
			     .cache_held = held,
			     .cache_look = &cache_look,
			     .cache_emptied = &cache_emptied,
			     .cache_filter = filter}},
};

enum { FD_NUMBERS = 3, FD_FREE_FILES, FD_CHUNKS, FD_PLACES, FD_FREE_PLACES };

int bpf_map__fd(const struct bpf_map *m)
{
	const void *at = m;

	return at == &file_numbers  ? FD_NUMBERS
	       : at == &free_files  ? FD_FREE_FILES
	       : at == &chunk_map   ? FD_CHUNKS
	       : at == &place_map   ? FD_PLACES
	       : at == &free_places ? FD_FREE_PLACES
				    : -1;
}

__u32 bpf_map__key_size(const struct bpf_map *m)
{
	assert_ptr_equal(m, &chunk_map);
	return sizeof(struct pymem_cache_chunk_key);
}

__u32 bpf_map__value_size(const struct bpf_map *m)
{
	assert_ptr_equal(m, &chunk_map);
	return sizeof(struct pymem_cache_chunk);
}

__u32 bpf_map__max_entries(const struct bpf_map *m)
{
	assert_ptr_equal(m, &chunk_map);
	return 80;
}

static struct mapping *find(const void *key)
{
	for (unsigned i = 0; i < NUMBERS; i++)
		if (mappings[i].number != NONE &&
		    !memcmp(&mappings[i].key, key, sizeof(mappings[i].key)))
			return &mappings[i];
	errno = ENOENT;
	return NULL;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const struct mapping *mapping = find(key);

	assert_int_equal(fd, FD_NUMBERS);
	if (error)
		errno = error;
	if (error || !mapping)
		return -errno;
	memcpy(value, &mapping->number, sizeof(mapping->number));
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct mapping *mapping;

	if (fd == FD_CHUNKS) {
		chunks[((const struct pymem_cache_chunk_key *)key)->number].file = 0;
		return 0;
	}
	if (fd == FD_PLACES)
		return 0;
	assert_int_equal(fd, FD_NUMBERS);
	mapping = find(key);
	if (!mapping)
		return -errno;
	mapping->number = NONE;
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	assert_null(key);
	assert_int_equal(flags, BPF_ANY);
	if (fd == FD_FREE_PLACES)
		return 0;
	assert_int_equal(fd, FD_FREE_FILES);
	assert_in_range(freed_count, 0, NUMBERS - 1);
	memcpy(&freed[freed_count++], value, sizeof(freed[0]));
	return 0;
}

const struct map_ops map_ops_kernel;

int map_each(const struct map_ops *ops, const struct map_shape *map, enum map_reading reading,
	     int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	int err = 0;

	(void)ops;
	sweeps++;
	assert_int_equal(map->fd, FD_CHUNKS);
	assert_int_equal(reading, MAP_KEEPS);
	for (unsigned i = 0; i < NUMBERS && !err; i++) {
		const struct pymem_cache_chunk_key key = {.number = i, .file = chunks[i].file};

		if (chunks[i].file)
			err = fn(&key, &chunks[i].value, arg);
	}
	return err;
}

/* Two files, each with a chunk and with a place of its own image. */
static int set_up(void **state)
{
	(void)state;
	memset(&cache, 0, sizeof(cache));
	memset(places, 0, sizeof(places));
	memset(files, 0, sizeof(files));
	memset(filter, 0, sizeof(filter));
	memset(chunks, 0, sizeof(chunks));
	cache.places = places;
	cache.files = files;
	memset(held, 0, sizeof(held));
	held[5] = (struct pymem_cache_held){1, 1};
	held[6] = (struct pymem_cache_held){1, 1};
	cached_next = cached_used = files_next = files_used = 2;
	freed_count = sweeps = cache_emptied = 0;
	cache_look = 1;
	error = 0;
	for (unsigned i = 0; i < NUMBERS; i++)
		mappings[i].number = NONE;
	for (unsigned i = 0; i < 2; i++) {
		files[i].key = (struct pymem_cache_file_key){.inode = 0x1000 * (i + 1)};
		mappings[i] = (struct mapping){files[i].key, i};
		filter[pymem_cache_slot(files[i].key.inode)]++;
		places[i].key = (struct pymem_cached_key){.stack.proc = i + 1, .file = i + 1};
		files[i].account = places[i].account = 5 + i;
		chunks[i].file = i + 1;
		chunks[i].value = (struct pymem_cache_chunk){.used = 1, .look = 1};
	}
	return 0;
}

static bool is_first(uint32_t proc, void *arg)
{
	(void)arg;
	return proc == 1;
}

static int look(void)
{
	return session_forget_cached(&session, true, is_first, NULL);
}

static unsigned in_filter(unsigned number)
{
	return filter[pymem_cache_slot(0x1000 * (number + 1))];
}

/* After its last place, a file is there for one look, hidden by the second, and gone by the third;
 * the other one stays. */
static void test_in_steps(void **state)
{
	(void)state;
	assert_int_equal(look(), 0);
	assert_int_equal(cached_used, 1);
	/* The place is no longer on its user's account, the file still is. */
	assert_int_equal(held[5].places, 0);
	assert_int_equal(held[5].files, 1);
	assert_int_equal(mappings[0].number, 0);
	assert_int_equal(in_filter(0), 1);
	assert_int_equal(look(), 0);
	assert_int_equal(mappings[0].number, NONE);
	assert_int_equal(in_filter(0), 0);
	assert_int_equal(chunks[0].file, 1);
	assert_int_equal(files[0].key.inode, 0x1000);
	assert_int_equal(freed_count, 0);
	assert_int_equal(look(), 0);
	assert_int_equal(chunks[0].file, 0);
	assert_int_equal(files[0].key.inode, 0);
	assert_int_equal(freed_count, 1);
	assert_int_equal(freed[0], 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(freed_count, 1);
	assert_int_equal(held[5].files, 0);
	assert_int_equal(files_used, 1);
	assert_int_equal(held[6].places, 1);
	assert_int_equal(held[6].files, 1);
	assert_int_equal(mappings[1].number, 1);
	assert_int_equal(in_filter(1), 1);
	assert_int_equal(chunks[1].file, 2);
}

/* Without `files` nothing is looked for. */
static void test_places_only(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(session_forget_cached(&session, false, is_first, NULL), 0);
	assert_int_equal(places[0].key.stack.proc, 0);
	assert_int_equal(places[0].turn, 1);
	assert_int_equal(mappings[0].number, 0);
}

/* A program had found the number just before it was hidden, and makes a place: the file stays until
 * that has gone. */
static void test_late_place(void **state)
{
	(void)state;
	assert_int_equal(look(), 0);
	assert_int_equal(look(), 0);
	assert_int_equal(mappings[0].number, NONE);
	places[0].key = (struct pymem_cached_key){.stack.proc = 9, .file = 1};
	for (int i = 0; i < 4; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(freed_count, 0);
	assert_int_equal(chunks[0].file, 1);
	assert_int_equal(files[0].key.inode, 0x1000);
	places[0].key.stack.proc = 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(freed_count, 1);
	assert_int_equal(chunks[0].file, 0);
	assert_int_equal(in_filter(0), 0);
}

/* Two CPUs saw a new file at once: the record of the one that came second has no key, and its
 * number is free already. */
static void test_without_key(void **state)
{
	(void)state;
	memset(&files[0], 0, sizeof(files[0]));
	mappings[0].number = NONE;
	for (int i = 0; i < 5; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(freed_count, 0);
}

/* A record never takes away the entry, or the share of the filter, of another one of the same file.
 */
static void test_of_another(void **state)
{
	(void)state;
	files[1].key = files[0].key;
	mappings[0].number = 1;
	filter[pymem_cache_slot(0x1000)] = 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(mappings[0].number, 1);
	assert_int_equal(in_filter(0), 1);
	assert_int_equal(freed_count, 1);
	assert_int_equal(freed[0], 0);
}

/* Empty chunks go if they may be many, and only those that no program has used for two looks. */
static void test_empty_chunks(void **state)
{
	(void)state;
	cached_next = 2;
	places[0].key.stack.proc = places[1].key.stack.proc = 2;
	chunks[2].file = 2;
	chunks[2].value = (struct pymem_cache_chunk){.used = 0, .look = 1};
	cache_emptied = 9;
	for (int i = 0; i < 4; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(sweeps, 0);
	/* Chunk 0 has become empty just now, chunk 3 is new. */
	cache_emptied = 10;
	chunks[0].value = (struct pymem_cache_chunk){.used = 0, .look = cache_look};
	chunks[3].file = 2;
	chunks[3].value = (struct pymem_cache_chunk){.used = 0, .look = 0};
	assert_int_equal(look(), 0);
	assert_int_equal(sweeps, 1);
	assert_int_equal(chunks[0].file, 1);
	assert_int_equal(chunks[1].file, 2);
	assert_int_equal(chunks[2].file, 0);
	assert_int_equal(chunks[3].file, 2);
	/* What was left counts for the next time: the two, and eight more. */
	cache_emptied = 17;
	assert_int_equal(look(), 0);
	assert_int_equal(sweeps, 1);
	cache_emptied = 18;
	assert_int_equal(look(), 0);
	assert_int_equal(sweeps, 2);
	assert_int_equal(chunks[0].file, 0);
	assert_int_equal(chunks[1].file, 2);
	assert_int_equal(chunks[3].file, 2);
	assert_int_equal(cache.fresh, 1);
	/* The number of a look is never 0. */
	cache_look = UINT32_MAX;
	assert_int_equal(look(), 0);
	assert_int_equal(cache_look, 1);
}

/* What has gone already is done; another error is one. */
static void test_errors(void **state)
{
	(void)state;
	mappings[0].number = NONE;
	for (int i = 0; i < 3; i++)
		assert_int_equal(look(), 0);
	assert_int_equal(freed_count, 1);
	set_up(NULL);
	assert_int_equal(look(), 0);
	error = EIO;
	assert_int_equal(look(), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_steps, set_up),
		cmocka_unit_test_setup(test_places_only, set_up),
		cmocka_unit_test_setup(test_late_place, set_up),
		cmocka_unit_test_setup(test_without_key, set_up),
		cmocka_unit_test_setup(test_of_another, set_up),
		cmocka_unit_test_setup(test_empty_chunks, set_up),
		cmocka_unit_test_setup(test_errors, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
