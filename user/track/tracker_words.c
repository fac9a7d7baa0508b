/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Last words: where the threads of a process were when a signal ended it. Each thread has sent a
 * message before the image's end was told, and its stack before that. Only the OOM killer may say a
 * moment later that it chose the process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "os/cgroup_last.h"
#include "os/cgroup_memory.h"
#include "track/tracker_private.h"

#define GROUP_MOST 4096
#define AWAIT_MS   200

struct image_words {
	struct pymem_msg_words first; /* what is of the signal */
	struct pymem_msg_words *threads;
	size_t count, room;
	double time;
	uint64_t came_ms;
	int64_t limit_bytes;
	struct cgroup_last group;
	bool victim;
};

void image_words_free(struct image_words *words)
{
	if (words)
		free(words->threads);
	free(words);
}

/* What limits its memory, and what that group has. Of version 1 the kernel says of a process that
 * has ended that it is in the topmost group, and of one for which its parent has waited nothing: so
 * that is believed only of one that was read while it ran. */
static void read_group(const struct image *image, struct image_words *words)
{
	struct cgroup_memory memory;
	char group[GROUP_MOST];

	cgroup_memory_name(image->pid, image->cgroup, group, sizeof(group));
	cgroup_memory_read(group, &memory);
	if (memory.limit_bytes < 0 && image->memory_cgroup) {
		snprintf(group, sizeof(group), "%s", image->memory_cgroup);
		cgroup_memory_read(group, &memory);
	} else if (!strcmp(group, CGROUP_MEMORY_V1 "/")) {
		*group = '\0';
	}
	words->limit_bytes = memory.limit_bytes;
	if (!memory.length && *group)
		cgroup_stat_owner_at("", group);
	cgroup_last_read_at("", group, memory.length ? memory.length : strlen(group),
			    &words->group);
	words->group.late_ns = (int64_t)(clock_ns(CLOCK_MONOTONIC) - words->first.time_ns);
}

static struct image_words *words_new(const struct image *image,
				     const struct pymem_msg_words *message)
{
	struct image_words *words = calloc(1, sizeof(*words));

	if (!words)
		return NULL;
	words->first = *message;
	words->came_ms = clock_ms(CLOCK_MONOTONIC);
	words->time = clock_seconds(CLOCK_REALTIME) -
		      ((double)clock_ns(CLOCK_MONOTONIC) - (double)message->time_ns) / 1e9;
	read_group(image, words);
	return words;
}

void tracker_take_words(struct tracker *tracker, const struct pymem_msg_words *message, size_t size)
{
	struct image_words *words;
	struct image *image;

	if (size < sizeof(*message)) {
		tracker->store.malformed++;
		return;
	}
	image = tracker_image(tracker, message->proc);
	if (!image)
		return;
	/* A signal that did not end it came before. */
	if (image->words && image->words->first.signal != message->signal) {
		image_words_free(image->words);
		image->words = NULL;
	}
	if (!image->words)
		image->words = words_new(image, message);
	words = image->words;
	if (!words) {
		tracker->store.no_memory++;
		return;
	}
	words->victim |= message->victim || message->type == PYMEM_MSG_VICTIM;
	if (message->type == PYMEM_MSG_VICTIM || words->count >= PYMEM_WORDS_THREADS)
		return;
	if (!ARRAY_HAS_ROOM(words->threads, words->count, words->room)) {
		tracker->store.no_memory++;
		return;
	}
	words->threads[words->count++] = *message;
}

bool tracker_awaits_victim(const struct tracker *tracker)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	const struct image *image;

	for (image = tracker->images; image; image = image->hh.next) {
		const struct image_words *words = image->words;

		if (words && image->asked && !words->victim && words->first.signal == SIGKILL &&
		    words->first.sent && words->first.code == DEATH_BY_KERNEL &&
		    now - words->came_ms < AWAIT_MS)
			return true;
	}
	return false;
}

static void fill_facts(const struct image_words *words, struct death *facts)
{
	const struct pymem_msg_words *first = &words->first;
	int64_t page = sysconf(_SC_PAGESIZE);

	*facts = (struct death){
		.time = words->time,
		.signal = (int)first->signal,
		.code = first->code,
		.victim = words->victim,
		.sent = first->sent,
		.sender = (int)first->sender,
		.sender_thread = (int)first->sender_thread,
		.sender_uid = first->sender_uid,
		.anon_bytes = first->pages[PYMEM_ANON] * page,
		.file_bytes = first->pages[PYMEM_FILE] * page,
		.shmem_bytes = first->pages[PYMEM_SHMEM] * page,
		.swap_bytes = first->pages[PYMEM_SWAP] * page,
		.limit_bytes = words->limit_bytes,
		.group = words->group,
		.threads = (unsigned)words->count,
	};
	memcpy(facts->sender_comm, first->sender_comm, sizeof(facts->sender_comm));
	facts->sender_comm[sizeof(facts->sender_comm) - 1] = '\0';
	for (size_t i = 0; i < words->count; i++)
		if (words->threads[i].threads > facts->threads)
			facts->threads = words->threads[i].threads;
}

/* Where a thread was, `hash` 0: not known, for the cause `loss`. 0 or -ENOMEM. */
static int find_stack(struct tracker *tracker, const struct image *image, uint64_t hash,
		      uint32_t loss, struct counts_death_thread *thread)
{
	const struct pymem_stack_key key = {.proc = image->id, .hash = hash};
	struct death_thread *facts = &thread->facts;
	struct counts_frame *frames;

	facts->loss = loss < PYMEM_LOSS_COUNT ? loss : PYMEM_LOSS_UNREADABLE;
	if (!hash)
		return 0;
	facts->loss = PYMEM_LOSS_UNDELIVERED;
	frames = calloc(DEATH_FRAMES, sizeof(*frames));
	if (!frames)
		return -ENOMEM;
	facts->depth =
		tracker_find_frames(tracker, image, &key, frames, DEATH_FRAMES, &facts->truncated);
	thread->frames = frames;
	return 0;
}

static int find_thread(struct tracker *tracker, const struct image *image,
		       const struct pymem_msg_words *message, struct counts_death_thread *thread)
{
	struct death_thread *facts = &thread->facts;

	facts->tid = (int)message->tid;
	facts->raised = message->raised;
	memcpy(facts->name, message->comm, sizeof(facts->name));
	facts->name[sizeof(facts->name) - 1] = '\0';
	return find_stack(tracker, image, message->hash, message->loss, thread);
}

/* Where the sender was, if that is known. */
static int find_sender(struct tracker *tracker, const struct pymem_msg_words *first,
		       struct counts_death *death)
{
	struct image *sender =
		first->sender_proc ? tracker_image(tracker, first->sender_proc) : NULL;
	struct death_thread *facts;

	if (!sender)
		return 0;
	death->sender = calloc(1, sizeof(*death->sender));
	if (!death->sender)
		return -ENOMEM;
	facts = &death->sender->facts;
	facts->tid = (int)first->sender_thread;
	memcpy(facts->name, first->sender_comm, sizeof(facts->name));
	facts->name[sizeof(facts->name) - 1] = '\0';
	return find_stack(tracker, sender, first->sender_hash, first->sender_loss, death->sender);
}

int tracker_find_death(struct tracker *tracker, const struct image *image,
		       struct counts_death **found)
{
	const struct image_words *words = image->words;
	struct counts_death *death;
	int err = 0;

	*found = NULL;
	if (!words || !image->dead)
		return 0;
	death = calloc(1, sizeof(*death));
	if (death)
		death->threads = calloc(words->count + 1, sizeof(*death->threads));
	if (!death || !death->threads) {
		free(death);
		return -ENOMEM;
	}
	fill_facts(words, &death->facts);
	for (size_t i = 0; i < words->count && !err; i++)
		err = find_thread(tracker, image, &words->threads[i],
				  &death->threads[death->count++]);
	err = err ?: find_sender(tracker, &words->first, death);
	if (err) {
		counts_free_death(death);
		return err;
	}
	*found = death;
	return 0;
}
