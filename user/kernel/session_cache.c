/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads what the BPF side counted of the page cache, and gives back places and files that nobody
 * needs any more. The two arrays are mapped: a report reads all of them. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/map_read.h"
#include "kernel/session_private.h"

/* A file goes when two looks in a row find no place that names it: a program may be about to make
 * one. It goes in two steps, since a program may have found its number just before: first no
 * program finds it any more, and if the next look still finds no place, its number is free. */
#define LOOKS_UNUSED 2

/* Chunks are looked through for empty ones if so many of them as this part of the table may be:
 * 1/8.
 */
#define CHUNKS_EMPTY 8

struct session_cache {
	struct pymem_cached *places;
	struct pymem_cache_file *files;
	unsigned char unused[PYMEM_CACHE_FILES]; /* looks that found no place of the file */
	bool hidden[PYMEM_CACHE_FILES];		 /* programs don't find it any more */
	uint32_t swept; /* value of cache_emptied up to which empty chunks were deleted */
	uint32_t fresh; /* empty chunks that the current sweep left, since they were just used */
};

bool session_counts_cache(const struct session *session)
{
	return session->sources[EVENT_SOURCE_cache].loaded;
}

static void *map_array(const struct bpf_map *map, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return at == MAP_FAILED ? NULL : at;
}

int session_map_cache(struct session *session)
{
	struct session_cache *cache;

	if (!session_counts_cache(session))
		return 0;
	cache = session->cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	cache->places =
		map_array(session->bpf.map.cached, PYMEM_CACHED_PLACES * sizeof(*cache->places));
	if (!cache->places)
		return -errno;
	*session->bpf.variable.cache_look = 1;
	cache->files =
		map_array(session->bpf.map.cache_files, PYMEM_CACHE_FILES * sizeof(*cache->files));
	return cache->files ? 0 : -errno;
}

void session_unmap_cache(struct session *session)
{
	struct session_cache *cache = session->cache;

	if (!cache)
		return;
	if (cache->places)
		munmap(cache->places, PYMEM_CACHED_PLACES * sizeof(*cache->places));
	if (cache->files)
		munmap(cache->files, PYMEM_CACHE_FILES * sizeof(*cache->files));
	free(cache);
	session->cache = NULL;
}

static uint32_t given_out(const volatile uint32_t *next, uint32_t most)
{
	uint32_t count = *next;

	return count < most ? count : most;
}

/* A copy that no program changes any more. */
static struct pymem_cached copy_of(const volatile struct pymem_cached *place)
{
	/* What goes is counted after what comes: read it first. */
	uint64_t gone = place->gone, unknown = place->unknown;
	struct pymem_cached copy;

	memcpy(&copy, (const void *)place, sizeof(copy));
	copy.gone = gone;
	copy.unknown = unknown;
	return copy;
}

int session_each_cached(struct session *session,
			int (*fn)(const struct pymem_cached *, const struct pymem_cache_file *,
				  void *),
			void *arg)
{
	const struct session_cache *cache = session->cache;
	uint32_t count, i;
	int err = 0;

	if (!cache)
		return 0;
	count = given_out(session->bpf.variable.cached_next, PYMEM_CACHED_PLACES);
	for (i = 0; i < count && !err; i++) {
		const struct pymem_cached place = copy_of(&cache->places[i]);
		bool named = place.key.file && place.key.file <= PYMEM_CACHE_FILES;

		if (!place.key.stack.proc)
			continue;
		err = fn(&place, named ? &cache->files[place.key.file - 1] : NULL, arg);
	}
	return err;
}

static int forget_place(struct session *session, uint32_t number)
{
	struct pymem_cached *place = &session->cache->places[number];
	const struct bpf_handles *bpf = &session->bpf;
	uint32_t turn = place->turn + 1, account = place->account % PYMEM_ACCOUNTS;

	if (bpf_map_delete_elem(bpf_map__fd(bpf->map.cached_places), &place->key))
		return errno == ENOENT ? 0 : -errno;
	memset(place, 0, sizeof(*place));
	place->turn = turn & 0xffff ? turn : 1;
	/* The map has room for all numbers. */
	if (bpf_map_update_elem(bpf_map__fd(bpf->map.cached_free), NULL, &number, BPF_ANY))
		return -errno;
	__sync_fetch_and_sub(bpf->variable.cached_used, 1);
	__sync_fetch_and_sub(&bpf->variable.cache_held[account].places, 1);
	return 0;
}

/* Notes which of the first `files` files have places. */
static void note_unused(struct session *session, uint32_t files)
{
	struct session_cache *cache = session->cache;
	uint32_t i, places = given_out(session->bpf.variable.cached_next, PYMEM_CACHED_PLACES);

	for (i = 0; i < files; i++)
		if (cache->files[i].key.inode && cache->unused[i] < LOOKS_UNUSED)
			cache->unused[i]++;
	for (i = 0; i < places; i++) {
		const struct pymem_cached_key *key = &cache->places[i].key;

		if (key->stack.proc && key->file && key->file <= PYMEM_CACHE_FILES)
			cache->unused[key->file - 1] = 0;
	}
}

/* True if programs have not found the file since the last look, and no place names it. */
static bool is_free(const struct session_cache *cache, uint32_t number)
{
	return cache->hidden[number] && cache->unused[number] >= LOOKS_UNUSED;
}

/* True if it was empty, and no program used it, for LOOKS_UNUSED looks. */
static bool is_idle(struct session *session, const struct pymem_cache_chunk *chunk)
{
	if (chunk->used)
		return false;
	if (chunk->look && *session->bpf.variable.cache_look - chunk->look >= LOOKS_UNUSED)
		return true;
	session->cache->fresh++;
	return false;
}

static int forget_chunk(const void *key, const void *value, void *arg)
{
	struct session *session = arg;
	struct pymem_cache_chunk_key place;
	struct pymem_cache_chunk chunk;

	memcpy(&place, key, sizeof(place));
	memcpy(&chunk, value, sizeof(chunk));
	if (!place.file || place.file > PYMEM_CACHE_FILES ||
	    (!is_free(session->cache, place.file - 1) && !is_idle(session, &chunk)))
		return 0;
	if (bpf_map_delete_elem(bpf_map__fd(session->bpf.map.cache_chunks), key) && errno != ENOENT)
		return -errno;
	return 0;
}

/* Deletes chunks of files that are free, and those that are idle. */
static int sweep_chunks(struct session *session)
{
	const struct bpf_map *chunks = session->bpf.map.cache_chunks;
	struct session_cache *cache = session->cache;
	uint32_t emptied = *session->bpf.variable.cache_emptied;
	int err;

	cache->fresh = 0;
	err = map_each(&map_ops_kernel,
		       &(struct map_shape){bpf_map__fd(chunks), bpf_map__key_size(chunks),
					   bpf_map__value_size(chunks)},
		       MAP_KEEPS, forget_chunk, session);
	cache->swept = emptied - cache->fresh;
	return err;
}

/* True if so many chunks became empty since the last sweep that it is worth one. */
static bool are_many_empty(const struct session *session)
{
	uint32_t emptied = *session->bpf.variable.cache_emptied - session->cache->swept;

	return emptied >= bpf_map__max_entries(session->bpf.map.cache_chunks) / CHUNKS_EMPTY;
}

/* Nobody finds the file any more, and its chunks are gone: its number is free. */
static int free_number(struct session *session, uint32_t number)
{
	struct session_cache *cache = session->cache;
	uint32_t account = cache->files[number].account % PYMEM_ACCOUNTS;

	memset(&cache->files[number], 0, sizeof(cache->files[number]));
	cache->unused[number] = 0;
	cache->hidden[number] = false;
	if (bpf_map_update_elem(bpf_map__fd(session->bpf.map.cache_files_free), NULL, &number,
				BPF_ANY))
		return -errno;
	__sync_fetch_and_sub(session->bpf.variable.cache_files_used, 1);
	__sync_fetch_and_sub(&session->bpf.variable.cache_held[account].files, 1);
	return 0;
}

/* From now on no program finds the file. */
static int hide_file(struct session *session, uint32_t number)
{
	const struct pymem_cache_file_key key = session->cache->files[number].key;
	int fd = bpf_map__fd(session->bpf.map.cache_file_numbers);
	uint32_t named;

	session->cache->hidden[number] = true;
	session->cache->unused[number] = LOOKS_UNUSED - 1;
	if (bpf_map_lookup_elem(fd, &key, &named))
		return errno == ENOENT ? 0 : -errno;
	/* Another record of the same file stays as it is. */
	if (named != number)
		return 0;
	if (bpf_map_delete_elem(fd, &key))
		return errno == ENOENT ? 0 : -errno;
	__sync_fetch_and_sub(&session->bpf.variable.cache_filter[pymem_cache_slot(key.inode)], 1);
	return 0;
}

/* Frees the numbers of the files that were hidden at an earlier look. */
static int free_hidden(struct session *session, uint32_t files)
{
	bool any = false;
	int err = 0;

	for (uint32_t i = 0; i < files && !any; i++)
		any = is_free(session->cache, i);
	if (any || are_many_empty(session))
		err = sweep_chunks(session);
	for (uint32_t i = 0; i < files && any && !err; i++)
		if (is_free(session->cache, i))
			err = free_number(session, i);
	return err;
}

static int forget_files(struct session *session)
{
	const struct session_cache *cache = session->cache;
	uint32_t files = given_out(session->bpf.variable.cache_files_next, PYMEM_CACHE_FILES);
	uint32_t look = *session->bpf.variable.cache_look + 1;
	int err;

	*session->bpf.variable.cache_look = look ?: 1;
	note_unused(session, files);
	err = free_hidden(session, files);
	for (uint32_t i = 0; i < files && !err; i++)
		if (!cache->hidden[i] && cache->unused[i] >= LOOKS_UNUSED)
			err = hide_file(session, i);
	return err;
}

int session_forget_cached(struct session *session, bool files,
			  bool (*is_gone)(uint32_t proc, void *arg), void *arg)
{
	uint32_t count, i, proc;
	int err = 0;

	if (!session->cache)
		return 0;
	count = given_out(session->bpf.variable.cached_next, PYMEM_CACHED_PLACES);
	for (i = 0; i < count && !err; i++) {
		proc = session->cache->places[i].key.stack.proc;
		if (proc && is_gone(proc, arg))
			err = forget_place(session, i);
	}
	if (err || !files)
		return err;
	return forget_files(session);
}
