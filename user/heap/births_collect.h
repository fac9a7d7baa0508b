/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the births' child share. */
#ifndef BIRTHS_COLLECT_H
#define BIRTHS_COLLECT_H

#include "heap/births_child.h"
#include "heap/snapshot_child.h"

#define BIRTHS_MAKERS	   10
#define BIRTHS_RECYCLED	   3
#define BIRTHS_KINDS	   3 /* of bursts */
#define BIRTHS_SAMPLES_MAX 200000
#define BIRTHS_BURST_MAX   (1u << 17) /* events of one burst; most are dropped at its end */
#define BIRTHS_STOP_MS	   100	      /* for a thread to stop; else there is no burst */

struct made { /* an object, or the insertions of one stack into one container */
	struct birth_sample sample;
	uint64_t print;
	uint64_t made;			 /* number of its event: the latest at an address counts */
	uint64_t head[BIRTH_HEAD_WORDS]; /* when it was made */
	size_t watch;			 /* of an insertion: index of its watch */
};

struct stack_key {
	uint32_t depth, pad;
	struct birth_frame frames[BIRTH_FRAMES];
};

struct known_stack {
	struct stack_key key;
	uint32_t index;		      /* UINT32_MAX: its innermost line was not found */
	struct birth_stack stack;     /* its texts belong to collecting.names */
	size_t writes[BIRTH_WATCHES]; /* by watch: index of the sample of this stack, plus 1; 0:
					 none */
	UT_hash_handle hh;
};

struct collecting {
	const struct births_request *request;
	struct birth_probes *probes;
	struct code_names names;
	struct fingerprints prints;
	struct known_stack *stacks;
	struct known_stack **by_index;
	size_t stack_count, stack_room;
	struct made *made;
	size_t made_count, made_room;
	uint64_t next_made;
	struct births_figures figures;
	struct capture pause;
	uint64_t progress;
	int image_fd, socket;
	struct birth_watch watches[BIRTH_WATCHES];
	size_t watch_count;
	unsigned moves, futile_moves[BIRTH_WATCHES]; /* of watches to other containers: all; since
							the last insertion */
	uint64_t make_at[BIRTHS_MAKERS],
		free_at[BIRTHS_RECYCLED];   /* offsets in the interpreter's file */
	uint64_t recycled[BIRTHS_RECYCLED]; /* addresses of the types of free_at */
	size_t makers, freers;		    /* freers: of free_at, in this burst */
	size_t makers_of[BIRTHS_KINDS];	    /* make_at of bursts of each kind: the first so many */
};

/* Loads the programs: for `watches` containers, or for bursts if that is 0. 0 or -errno. */
int births_open(struct collecting *c, size_t watches);

/* Waits for up to `ms` milliseconds. True: the parent has ended the collecting. */
bool births_ended(struct collecting *c, unsigned ms);

/* Index of the event's stack, whose lines are found when it is first met. UINT32_MAX: its innermost
 * line can't be found. */
uint32_t births_stack(struct collecting *c, const struct birth_event *event);

/* Forgets stacks whose lines were not found: at their next event they may be. */
void births_forget_unnamed(struct collecting *c);

/* Adds a sample of the event. 0, -ENOMEM, -E2BIG: there are BIRTHS_SAMPLES_MAX and
 * BIRTHS_BURST_MAX more. */
int births_take(struct collecting *c, const struct birth_event *event);

/* Collect until births_ended(). 0 or -errno. */
int births_bursts(struct collecting *c);
int births_writes(struct collecting *c);

#endif
