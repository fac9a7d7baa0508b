/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: each reading brings all stacks, and what each thread has collected for some of them:
 * tens of thousands of 200 processes, of which a few hundred have changed. To look each one up in a
 * hash table is a random access to memory that other programs have pushed out of the cache since.
 *
 * The kernel reads maps bucket by bucket and threads by their numbers. So those that stay come in
 * the same order each time, and it is enough to compare with the one whose turn it is. If that is
 * another one, the hash table finds it, and the order goes on from there. So the order is only a
 * guess that makes it fast: keys are always compared. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "record/recorder_private.h"

static bool has_key(const struct rec_seen *seen, const struct pymem_stack_key *key)
{
	return seen->stack && seen->key.hash == key->hash && seen->key.proc == key->proc &&
	       seen->key.pad == key->pad;
}

void recorder_begin_order(struct recorder *r)
{
	for (int i = 0; i < REC_ORDERS; i++) {
		struct rec_order *order = &r->orders[i];
		struct rec_turns last = order->last;

		order->last = order->now;
		order->now = last;
		order->now.count = order->turn = 0;
	}
}

void recorder_free_orders(struct recorder *r)
{
	for (int i = 0; i < REC_ORDERS; i++) {
		free(r->orders[i].last.places);
		free(r->orders[i].now.places);
	}
}

/* The stack at `place` has come. */
static void note_turn(struct recorder *r, enum rec_orders which, uint32_t place)
{
	struct rec_turns *now = &r->orders[which].now;
	uint32_t *turn = &r->seen[place].turns[which];

	if (!ARRAY_HAS_ROOM(now->places, now->count, now->room))
		return; /* it is looked up next time */
	/* Mostly it is the same: then the memory is not written to. */
	if (*turn != now->count)
		*turn = (uint32_t)now->count;
	now->places[now->count++] = place;
}

/* Goes on behind the turn that the stack had last time. If it had none, it has come between two
 * others, but in a thread, which keeps a number of stacks, in place of one. */
static void find_turn(struct recorder *r, enum rec_orders which, uint32_t place)
{
	struct rec_order *order = &r->orders[which];
	uint32_t turn = r->seen[place].turns[which];

	if (turn < order->last.count && order->last.places[turn] == place)
		order->turn = turn + 1;
	else if (which == REC_THREADS)
		order->turn++;
}

static struct rec_stack *find_stack(struct recorder *r, const struct pymem_stack_key *key)
{
	struct rec_stack *stack;

	HASH_FIND(hh, r->stacks, key, sizeof(*key), stack);
	return stack;
}

struct rec_seen *recorder_next_seen(struct recorder *r, enum rec_orders which,
				    const struct pymem_stack_key *key)
{
	struct rec_order *order = &r->orders[which];
	struct rec_stack *stack;
	uint32_t place = 0;

	if (order->turn < order->last.count)
		place = order->last.places[order->turn];
	if (place && has_key(&r->seen[place], key)) {
		order->turn++;
	} else {
		stack = find_stack(r, key);
		if (!stack)
			return NULL;
		place = stack->place;
		find_turn(r, which, place);
	}
	note_turn(r, which, place);
	r->found = place;
	return &r->seen[place];
}

struct rec_seen *recorder_find_seen(struct recorder *r, const struct pymem_stack_key *key)
{
	struct rec_stack *stack = find_stack(r, key);

	return stack ? &r->seen[stack->place] : NULL;
}

/* A free place, from 1 on; 0: out of memory. */
static uint32_t take_place(struct recorder *r)
{
	uint32_t place = r->seen_free;

	if (place) {
		r->seen_free = r->seen[place].next_free;
		return place;
	}
	/* Nothing is at place 0. */
	for (place = 0; !place; r->seen_count++) {
		if (!ARRAY_HAS_ROOM(r->seen, r->seen_count, r->seen_room))
			return 0;
		place = (uint32_t)r->seen_count;
		r->seen[place] = (struct rec_seen){};
	}
	return place;
}

static void leave_place(struct recorder *r, uint32_t place)
{
	r->seen[place] = (struct rec_seen){.next_free = r->seen_free};
	r->seen_free = place;
}

struct rec_seen *recorder_get_seen(struct recorder *r, struct rec_image *image,
				   const struct pymem_stack_key *key)
{
	struct rec_stack *stack;
	uint32_t place;

	if (r->found && has_key(&r->seen[r->found], key))
		return &r->seen[r->found];
	stack = find_stack(r, key);
	if (stack)
		return &r->seen[stack->place];
	place = take_place(r);
	stack = place ? calloc(1, sizeof(*stack)) : NULL;
	if (stack) {
		stack->key = *key;
		stack->place = place;
	}
	if (!stack || HASH_INSERT(r->stacks, key, stack)) {
		free(stack);
		if (place)
			leave_place(r, place);
		NO_MEMORY(r);
		return NULL;
	}
	r->seen[place] = (struct rec_seen){.key = *key, .stack = stack, .image = image};
	return &r->seen[place];
}

void recorder_free_stack(struct recorder *r, struct rec_stack *stack)
{
	HASH_DEL(r->stacks, stack);
	leave_place(r, stack->place);
	free(stack);
}
