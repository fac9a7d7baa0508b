/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hands over the kernel's own memory, by stack. */
#include <string.h>

#include "track/tracker_private.h"

struct handing_kernel {
	struct tracker *tracker;
	const struct counts_reader *reader;
	void *arg;
	bool (*wants)(const struct image *image);
	struct counts_kernel kernel; /* that is handed over */
};

static int hand_lost(struct handing_kernel *h, uint32_t proc, enum pymem_loss loss)
{
	static const struct pymem_counters none;
	const struct counts_stack stack = {.key = {.proc = proc}, .counters = &none};

	h->kernel.stack = &stack;
	h->kernel.loss = loss;
	return h->reader->kernel(&h->kernel, h->arg);
}

static int hand_stack(const struct counts_stack *stack, void *arg)
{
	struct handing_kernel *h = arg;

	h->kernel.stack = stack;
	h->kernel.loss =
		stack->lack == PYMEM_LACK_QUOTA ? PYMEM_LOSS_CODE_QUOTA : PYMEM_LOSS_UNDELIVERED;
	return h->reader->kernel(&h->kernel, h->arg);
}

static bool is_wanted(const struct handing_kernel *h, const struct image *image)
{
	return image && tracker_is_reported(image) && h->wants(image);
}

static int hand_sums(const struct pymem_stack_key *key, const struct pymem_kernel *sums, void *arg)
{
	static const struct pymem_counters none;
	struct handing_kernel *h = arg;

	if (!is_wanted(h, tracker_image(h->tracker, key->proc)))
		return 0;
	h->kernel.sums = *sums;
	if (key->hash > PYMEM_LOSS_COUNT)
		return tracker_hand_stack(h->tracker, key, &none, hand_stack, HAND_NONE, h);
	return hand_lost(h, key->proc,
			 key->hash ? (enum pymem_loss)(key->hash - 1) : PYMEM_LOSS_NO_FRAME);
}

/* What found no room in the table of sums. */
static int hand_unkept(const struct pymem_proc *record, void *arg)
{
	struct handing_kernel *h = arg;
	bool any = false;

	if (!is_wanted(h, tracker_image(h->tracker, record->id)))
		return 0;
	h->kernel.sums = (struct pymem_kernel){};
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++) {
		h->kernel.sums.bytes[i] = record->kernel_unkept[i];
		/* Nothing tells of the end of these objects; tables are what is left. */
		if (i != PYMEM_KERNEL_TABLES)
			h->kernel.sums.unknown += record->kernel_unkept[i];
		any |= record->kernel_unkept[i] != 0;
	}
	return any ? hand_lost(h, record->id, PYMEM_LOSS_MAP_FULL) : 0;
}

static int hand(struct tracker *tracker, const struct counts_reader *reader, void *arg,
		bool (*wants)(const struct image *image))
{
	struct handing_kernel h = {
		.tracker = tracker, .reader = reader, .arg = arg, .wants = wants};
	struct image *image, *next;
	int err;

	if (!reader->kernel || !session_counts_kernel(tracker->session))
		return 0;
	err = session_each_kernel(tracker->session, hand_sums, &h)
		      ?: session_each_live(tracker->session, hand_unkept, &h);
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (!err && image->dead && image->record.id)
			err = hand_unkept(&image->record, &h);
	}
	return err;
}

static bool is_unfinished(const struct image *image)
{
	return !image->finished;
}

int tracker_read_kernel(struct tracker *tracker, const struct counts_reader *reader, void *arg)
{
	return hand(tracker, reader, arg, is_unfinished);
}

static bool is_taken(const struct image *image)
{
	return image->taking;
}

int tracker_take_kernel(struct tracker *tracker, const struct counts_reader *reader, void *arg)
{
	return hand(tracker, reader, arg, is_taken);
}
