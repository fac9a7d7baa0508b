/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the births' child share. */
#ifndef BIRTHS_COLLECT_H
#define BIRTHS_COLLECT_H

#include "heap/births_child.h"
#include "heap/snapshot_child.h"

#define BIRTHS_MAKERS	   10
#define BIRTHS_RECYCLED	   3
#define BIRTHS_SAMPLES_MAX 200000

struct made { /* an object */
	struct birth_sample sample;
	uint64_t print;
	uint64_t made;			 /* number of its event: the latest at an address counts */
	uint64_t head[BIRTH_HEAD_WORDS]; /* when it was made */
	size_t watch;			 /* of a write: number of its watch */
};

struct stack_key {
	uint32_t depth, pad;
	struct birth_frame frames[BIRTH_FRAMES];
};

struct known_stack {
	struct stack_key key;
	uint32_t index;		      /* UINT32_MAX: it has no name */
	struct birth_stack stack;     /* texts are the code names' */
	size_t writes[BIRTH_WATCHES]; /* of each container: number of their sample, plus 1 */
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
	unsigned moves, futile_moves[BIRTH_WATCHES]; /* to where another container was */
	uint64_t make_at[BIRTHS_MAKERS],
		free_at[BIRTHS_RECYCLED]; /* offsets in the interpreter's file */
	size_t makers, freers;
};

/* Loads the programs for that many containers, or (0) for bursts. */
int births_open(struct collecting *c, size_t watches);

/* Waits for so many milliseconds. True: it is over. */
bool births_ended(const struct collecting *c, unsigned ms);

/* Index of the event's stack, named at its first time; UINT32_MAX: it has no name. */
uint32_t births_stack(struct collecting *c, const struct birth_event *event);

/* Another time it may be there: stacks without a name are forgotten. */
void births_forget_unnamed(struct collecting *c);

/* Adds a sample of the event. 0, -ENOMEM, -E2BIG. */
int births_take(struct collecting *c, const struct birth_event *event);

/* Collect until it is over. 0 or -errno. */
int births_bursts(struct collecting *c);
int births_writes(struct collecting *c);

#endif
