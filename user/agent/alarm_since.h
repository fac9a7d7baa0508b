/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A source of counts that has what came since a time: what a base noted is taken off. */
#ifndef ALARM_SINCE_H
#define ALARM_SINCE_H

#include "agent/alarm_base.h"
#include "base/hash.h"
#include "record/amounts.h"

struct base_image { /* as it was then */
	uint32_t id;
	bool ended; /* it had ended, and was not taken yet */
	__s64 pages[PYMEM_MEMBERS], lost_pages[PYMEM_LOSS_COUNT];
	uint64_t peak_pages, truncated, lost_faults;
	UT_hash_handle hh;
};

struct alarm_base {
	double time;
	struct base_image *images;
	struct amounts_buffer rows; /* of stacks: hash, image, figures */
};

/* NULL: it is not in it. `base` may be NULL. */
const struct base_image *alarm_base_image(const struct alarm_base *base, uint32_t id);

struct since { /* private, but for `take` and `take_arg`; {} is one that was not begun */
	struct counts counts;
	const struct alarm_base *base; /* NULL: all came since */
	uint32_t only;		       /* an image; 0: all that had not ended then */
	struct since_stack *stacks;    /* by image and hash */
	struct since_image *read;      /* images of the reading that goes on */
	const struct counts_reader *reader;
	void *reader_arg;
	/* Called when what has ended is asked for: since_take_image() and since_take_stack() are to
	 * be called meanwhile. NULL: nothing is taken. 0 or -errno, which the asker gets. */
	int (*take)(void *arg);
	void *take_arg;
};

/* Begins. `base` must outlive it, and stay as it is; NULL: of all their time. It has 100 bytes for
 * each stack of the base. 0 or -ENOMEM; since_fini() is to be called either way. */
int since_begin(struct since *since, struct counts counts, const struct alarm_base *base,
		uint32_t only);
void since_fini(struct since *since);
/* The source. Its readings take nothing from what is behind it. */
struct counts since_counts(struct since *since);

/* Hands what is taken elsewhere to the reader of take_ended(), without what was before. 0 or
 * -errno of the reader. */
int since_take_image(struct since *since, const struct counts_image *image);
int since_take_stack(struct since *since, const struct counts_stack *stack);

#endif
