/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The texts of the files that were met. They are read while their process runs, with its own
 * rights: later, or on another machine, they may be others. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/clock.h"
#include "record/recorder_private.h"

#define FILES_A_TURN 16
#define READ_MS	     100	 /* for which nothing else is done */
#define BYTES_MOST   (64u << 20) /* of all texts, packed */
#define SHARE	     4		 /* ... and this part of --max-size */

static void release_view(struct recorder *r, struct rec_view *view)
{
	struct rec_source *source, *next;

	/* Its number is never given again, so neither are these asked for. */
	HASH_ITER(hh, r->sources, source, next)
	{
		if (source->key.view != view->id || source->name)
			continue;
		HASH_DEL(r->sources, source);
		free(source);
	}
	HASH_DEL(r->views, view);
	source_root_close(&view->root);
	free(view);
}

struct rec_view *recorder_view(struct recorder *r, const struct source_root *root, bool absolute)
{
	struct source_view_key key;
	struct rec_view *view;

	source_root_key(root, absolute, &key);
	HASH_FIND(hh, r->views, &key, sizeof(key), view);
	if (view) {
		view->users++;
		return view;
	}
	view = calloc(1, sizeof(*view));
	if (view)
		view->key = key;
	if (!view || HASH_INSERT(r->views, key, view)) {
		free(view);
		NO_MEMORY(r);
		return NULL;
	}
	/* The copy holds the rights, so their address, which is in the key, stays theirs. */
	source_root_copy(&view->root, root);
	view->id = ++r->view_count;
	view->users = 1;
	return view;
}

void recorder_leave_view(struct recorder *r, struct rec_view *view)
{
	if (view && !--view->users)
		release_view(r, view);
}

static bool is_no_file(const char *name)
{
	size_t length = strlen(name);

	return !length || (name[0] == '<' && name[length - 1] == '>');
}

void recorder_meet_file(struct recorder *r, struct rec_image *image, uint32_t file,
			const char *name)
{
	struct rec_view *view = name[0] == '/' ? image->view : image->view_cwd;
	struct source_key key;
	struct rec_source *source;

	if (!r->options.sources || !view || !file || is_no_file(name))
		return;
	key = (struct source_key){view->id, file};
	HASH_FIND(hh, r->sources, &key, sizeof(key), source);
	if (source)
		return;
	source = calloc(1, sizeof(*source));
	if (source) {
		source->key = key;
		source->name = strdup(name);
	}
	if (!source || !source->name || HASH_INSERT(r->sources, key, source)) {
		if (source)
			free(source->name);
		free(source);
		NO_MEMORY(r);
		return;
	}
	source->view = view;
	view->users++;
	source->next = r->unread;
	r->unread = source;
}

static uint64_t most_bytes(const struct recorder *r)
{
	uint64_t share = r->options.source_bytes ?: r->options.most_bytes / SHARE;

	return share && share < BYTES_MOST ? share : BYTES_MOST;
}

/* A small one might still have room, but not many. */
static bool is_nearly_full(const struct recorder *r)
{
	return r->source_bytes > most_bytes(r) - most_bytes(r) / 16;
}

static uint64_t hash_of(const void *bytes, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3ull;
	return hash;
}

/* True if the content of that number is these bytes: equal hashes are not enough, since a target
 * chooses its texts. */
static bool is_content(struct recorder *r, int64_t number, const void *bytes, size_t size)
{
	sqlite3_blob *blob;
	bool same = false;
	char *there;

	if (sqlite3_blob_open(r->db.sqlite, "main", "content", "data", number, 0, &blob) !=
	    SQLITE_OK)
		return false;
	there = (size_t)sqlite3_blob_bytes(blob) == size ? malloc(size + 1) : NULL;
	if (there && sqlite3_blob_read(blob, there, (int)size, 0) == SQLITE_OK)
		same = !memcmp(there, bytes, size);
	free(there);
	sqlite3_blob_close(blob);
	return same;
}

/* The number of a content that was written before; 0: it is new, and `*known` is where to note its
 * number (NULL: out of memory). Short-lived processes read the same files again and again. */
static int64_t same_content(struct recorder *r, const void *bytes, size_t size,
			    struct rec_content **known)
{
	uint64_t hash = hash_of(bytes, size);

	HASH_FIND(hh, r->contents, &hash, sizeof(hash), *known);
	if (*known)
		return is_content(r, (*known)->id, bytes, size) ? (*known)->id : 0;
	*known = calloc(1, sizeof(**known));
	if (*known)
		(*known)->hash = hash;
	if (!*known || HASH_INSERT(r->contents, hash, *known)) {
		free(*known);
		*known = NULL;
		NO_MEMORY(r);
	}
	return 0;
}

/* Writes the text, packed. Returns its number; 0: there is no room for it, or memory ran out. */
static int64_t write_content(struct recorder *r, const struct rec_source *source)
{
	struct record_db *db = &r->db;
	uLongf packed_size;
	unsigned char *packed;
	struct rec_content *known;
	int64_t number = 0;
	size_t size;
	char *text = source_text_of(r->options.sources, &source->view->root, source->name, &size);

	packed_size = compressBound(size);
	packed = text ? malloc(packed_size) : NULL;
	if (!packed || compress2(packed, &packed_size, (Bytef *)text, size, 6) != Z_OK) {
		NO_MEMORY(r);
	} else if ((number = same_content(r, packed, packed_size, &known)) || !known) {
		/* it is there, or memory ran out */
	} else if (r->source_bytes + packed_size > most_bytes(r)) {
		r->sources_refused++;
		r->sources_full = is_nearly_full(r);
	} else {
		r->source_bytes += packed_size;
		known->id = number = ++r->content_count;
		record_db_int(db, RECORD_CONTENT, 1, number);
		record_db_int(db, RECORD_CONTENT, 2, (int64_t)size);
		record_db_bytes(db, RECORD_CONTENT, 3, packed, packed_size);
		record_db_step(db, RECORD_CONTENT);
	}
	free(packed);
	free(text);
	return number;
}

/* It is written, or is not going to be. */
static void settle_source(struct recorder *r, struct rec_source *source)
{
	struct rec_view *view = source->view;

	free(source->name);
	source->name = NULL;
	source->view = NULL;
	/* This may free the source, with all others of its view that are written. */
	recorder_leave_view(r, view);
}

static void read_source(struct recorder *r, struct rec_source *source)
{
	struct source_cache *cache = r->options.sources;
	const struct source_root *root = &source->view->root;
	enum source_state state;
	struct record_db *db = &r->db;
	int64_t content = 0;

	if (r->sources_full) {
		r->sources_refused++;
		settle_source(r, source);
		return;
	}
	source_line(cache, root, source->name, 1, &state);
	if (state == SOURCE_OK || state == SOURCE_CHANGED) {
		state = SOURCE_OK;
		content = write_content(r, source);
	} else if (source_was_refused(cache, root, source->name)) {
		/* The cache is that of a live report, too, and never gives room back. */
		r->sources_refused++;
	}
	record_db_int(db, RECORD_SOURCE, 1, source->key.view);
	record_db_int(db, RECORD_SOURCE, 2, source->key.file);
	record_db_int(db, RECORD_SOURCE, 3,
		      state == SOURCE_OK && !content ? SOURCE_UNREADABLE : state);
	record_db_real(db, RECORD_SOURCE, 4, source_changed(cache, root, source->name));
	if (content)
		record_db_int(db, RECORD_SOURCE, 5, content);
	record_db_step(db, RECORD_SOURCE);
	settle_source(r, source);
}

static void read_sources(struct recorder *r, unsigned most, uint64_t most_ms)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + most_ms;

	/* One is read in any case. */
	for (unsigned i = 0; r->unread && i < most; i++) {
		struct rec_source *source = r->unread;

		r->unread = source->next;
		read_source(r, source);
		if (clock_ms(CLOCK_MONOTONIC) >= end)
			return;
	}
}

void recorder_read_sources(struct recorder *r)
{
	read_sources(r, r->turns * FILES_A_TURN, READ_MS);
}

void recorder_read_all_sources(struct recorder *r, uint64_t most_ms)
{
	read_sources(r, UINT_MAX, most_ms);
}

void recorder_drop_unread(struct recorder *r)
{
	while (r->unread) {
		struct rec_source *source = r->unread;

		r->unread = source->next;
		settle_source(r, source);
	}
}

static void free_contents(struct recorder *r)
{
	struct rec_content *content, *next;

	HASH_ITER(hh, r->contents, content, next)
	{
		HASH_DEL(r->contents, content);
		free(content);
	}
}

void recorder_forget_sources(struct recorder *r)
{
	struct rec_source *source, *next;

	free_contents(r);
	r->content_count = 0;
	r->source_bytes = r->sources_refused = 0;
	r->sources_full = false;
	recorder_drop_unread(r);
	HASH_ITER(hh, r->sources, source, next)
	{
		HASH_DEL(r->sources, source);
		free(source);
	}
}

void recorder_free_sources(struct recorder *r)
{
	struct rec_source *source, *next;
	struct rec_view *view, *next_view;

	free_contents(r);
	HASH_ITER(hh, r->sources, source, next)
	{
		HASH_DEL(r->sources, source);
		free(source->name);
		free(source);
	}
	HASH_ITER(hh, r->views, view, next_view)
	{
		release_view(r, view);
	}
}
