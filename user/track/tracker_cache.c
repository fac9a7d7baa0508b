/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hands over what stacks brought into the page cache, with the names of the files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "os/mounts.h"
#include "track/tracker_private.h"

#define MINOR_BITS 20 /* of the kernel's own device numbers */

struct handing_cached {
	struct tracker *tracker;
	const struct counts_reader *reader;
	void *arg;
	bool (*wants)(const struct image *image);
	struct mounts *mounts;
	struct counts_cached cached; /* that is handed over */
	/* Of each file that was met: many places may name it. */
	struct known_file {
		char *path; /* NULL: not met yet */
		bool deleted;
	} * files;
	char path[PYMEM_CACHE_NAME_BYTES + 4096];
};

/* Writes the parts of the name, which begin with the file's own, outermost first. */
static void join(char *to, size_t size, const struct pymem_cache_file *file)
{
	size_t end = MIN(file->bytes, sizeof(file->name)), at = 0, used = 0;
	size_t starts[PYMEM_CACHE_NAME_PARTS + 1], count = 0;

	*to = '\0';
	for (size_t i = 0; i < end && count < PYMEM_CACHE_NAME_PARTS; i++) {
		if (file->name[i])
			continue;
		starts[count++] = at;
		at = i + 1;
	}
	while (count-- && used < size)
		used += (size_t)snprintf(to + used, size - used, "/%s", file->name + starts[count]);
}

/* Writes h->path. */
static void write_path(struct handing_cached *h, const struct pymem_cache_file *file)
{
	char joined[2 * PYMEM_CACHE_NAME_BYTES];

	join(joined, sizeof(joined), file);
	if (file->state & PYMEM_CACHE_BLOCKS)
		snprintf(h->path, sizeof(h->path), "blocks of device %u:%u",
			 file->key.device >> MINOR_BITS,
			 file->key.device & ((1u << MINOR_BITS) - 1));
	else if (!(file->state & PYMEM_CACHE_NAMED) || !*joined)
		snprintf(h->path, sizeof(h->path), "inode %llu of device %u:%u",
			 (unsigned long long)file->key.number, file->key.device >> MINOR_BITS,
			 file->key.device & ((1u << MINOR_BITS) - 1));
	else if (file->state & PYMEM_CACHE_CUT)
		snprintf(h->path, sizeof(h->path), "…%s", joined);
	else
		mounts_path(h->mounts, file->key.device >> MINOR_BITS,
			    file->key.device & ((1u << MINOR_BITS) - 1), joined, h->path,
			    sizeof(h->path));
}

/* Fills in what is handed over of the file with that number, plus 1; 0: it has none. 0 or -ENOMEM.
 */
static int find_file(struct handing_cached *h, uint32_t number, const struct pymem_cache_file *file)
{
	struct known_file *known;
	struct pymem_cache_file copy;

	if (!file || !number || number > PYMEM_CACHE_FILES)
		return 0;
	known = &h->files[number - 1];
	if (!known->path) {
		/* Programs may be writing it. */
		copy = *file;
		write_path(h, &copy);
		known->deleted = copy.state & PYMEM_CACHE_DELETED;
		known->path = strdup(h->path);
		if (!known->path)
			return -ENOMEM;
	}
	h->cached.path = known->path;
	h->cached.deleted = known->deleted;
	return 0;
}

static void free_files(struct known_file *files)
{
	for (size_t i = 0; files && i < PYMEM_CACHE_FILES; i++)
		free(files[i].path);
	free(files);
}

static int hand_stack(const struct counts_stack *stack, void *arg)
{
	struct handing_cached *h = arg;

	h->cached.stack = stack;
	h->cached.loss =
		stack->lack == PYMEM_LACK_QUOTA ? PYMEM_LOSS_CODE_QUOTA : PYMEM_LOSS_UNDELIVERED;
	return h->reader->cached(&h->cached, h->arg);
}

static int hand_place(const struct pymem_cached *place, const struct pymem_cache_file *file,
		      void *arg)
{
	static const struct pymem_counters none;
	struct handing_cached *h = arg;
	const struct pymem_stack_key *key = &place->key.stack;
	const struct image *image = tracker_image(h->tracker, key->proc);
	struct counts_stack stack = {.key = *key, .counters = &none};

	if (!image || !tracker_is_reported(image) || !h->wants(image))
		return 0;
	h->cached = (struct counts_cached){
		.added_pages = place->added,
		.gone_pages = place->gone,
		.unknown_pages = place->unknown,
		.own_pages = place->own,
		.other_pages = place->other,
	};
	if (find_file(h, place->key.file, file))
		return -ENOMEM;
	if (key->hash > PYMEM_LOSS_COUNT)
		return tracker_hand_stack(h->tracker, key, &none, hand_stack, HAND_NONE, h);
	h->cached.stack = &stack;
	h->cached.loss = key->hash ? (enum pymem_loss)(key->hash - 1) : PYMEM_LOSS_NO_FRAME;
	return h->reader->cached(&h->cached, h->arg);
}

static int hand(struct tracker *tracker, const struct counts_reader *reader, void *arg,
		bool (*wants)(const struct image *image))
{
	struct handing_cached h = {
		.tracker = tracker, .reader = reader, .arg = arg, .wants = wants};
	int err;

	if (!reader->cached || !session_counts_cache(tracker->session))
		return 0;
	h.files = calloc(PYMEM_CACHE_FILES, sizeof(*h.files));
	if (!h.files)
		return -ENOMEM;
	/* Without, paths begin at the root of their filesystem. */
	h.mounts = mounts_read(NULL);
	err = session_each_cached(tracker->session, hand_place, &h);
	mounts_free(h.mounts);
	free_files(h.files);
	return err;
}

static bool is_unfinished(const struct image *image)
{
	return !image->finished;
}

int tracker_read_cached(struct tracker *tracker, const struct counts_reader *reader, void *arg)
{
	return hand(tracker, reader, arg, is_unfinished);
}

static bool is_taken(const struct image *image)
{
	return image->taking;
}

int tracker_take_cached(struct tracker *tracker, const struct counts_reader *reader, void *arg)
{
	return hand(tracker, reader, arg, is_taken);
}
