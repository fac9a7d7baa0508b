/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tracker_touched.c: from leaves, resident pages and stacks to who touched first what is resident.
 */
#include "tracker_fixture.h"

#define AT    0x7f0000000000ull /* begins a leaf */
#define PAGES 4096ull

struct heard {
	struct counts_resident of[4]; /* by order */
	size_t count;
	struct heard_stack {
		uint32_t image;
		int line;
		struct counts_touched touched;
	} stacks[16];
	size_t stack_count;
};

static int hear_image(const struct counts_resident *resident, void *arg)
{
	struct heard *h = arg;

	h->of[h->count++] = *resident;
	return 0;
}

static int hear_stack(uint32_t image, const struct counts_stack *stack,
		      const struct counts_touched *touched, void *arg)
{
	struct heard *h = arg;

	h->stacks[h->stack_count++] =
		(struct heard_stack){image, stack->depth ? stack->frames[0].line : 0, *touched};
	return 0;
}

static struct heard hear_of(struct given *g, bool away)
{
	const struct counts_touched_reader reader = {
		.image = hear_image,
		.stack = hear_stack,
		.away = away,
	};
	struct heard h = {};

	poll_all(g);
	assert_int_equal(tracker_each_touched(&g->tracker, &reader, &h), 0);
	return h;
}

static struct heard hear(struct given *g)
{
	return hear_of(g, false);
}

static struct counts_touched heard_of(const struct heard *h, uint32_t image, int line)
{
	for (size_t i = 0; i < h->stack_count; i++)
		if (h->stacks[i].image == image && h->stacks[i].line == line)
			return h->stacks[i].touched;
	return (struct counts_touched){};
}

static uint64_t heard_pages(const struct heard *h, uint32_t image, int line)
{
	return heard_of(h, image, line).resident_pages;
}

/* The image's only directory is `dir`; its stack on `line` has the id `line`. */
static void give(struct given *g, uint32_t image, uint32_t dir, unsigned line)
{
	g->session->touches = true;
	fake_proc(g->session, image)->touched_dirs[0] = dir;
	fake_stack(g->session, image, line, true)->value.id = line;
}

static void test_lines(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	give(g, g->self, 1, 6);
	fake_touch(g->session, 1, AT, 10, 5);
	fake_touch(g->session, 1, AT + 10 * PAGES, 4, 6);
	fake_touch(g->session, 1, AT + 14 * PAGES, 1, 99); /* a stack that is no more */
	fake_touch(g->session, 1, AT + 15 * PAGES, 1, PYMEM_TOUCHED_LOST);
	/* Of the first, three have been given back; the last two nobody touched. */
	fake_reside(g->session, AT + 3 * PAGES, 15);
	h = hear(g);
	assert_int_equal(h.count, 1);
	assert_int_equal(h.of[0].image, g->self);
	assert_int_equal(h.of[0].pages, 15);
	assert_int_equal(h.of[0].line_pages, 11);
	assert_int_equal(h.of[0].before_pages, 0);
	assert_int_equal(heard_pages(&h, g->self, 5), 7);
	assert_int_equal(heard_pages(&h, g->self, 6), 4);
	/* Each asking counts anew. */
	h = hear(g);
	assert_int_equal(heard_pages(&h, g->self, 5), 7);
}

/* A run of pages goes on in the next leaf. */
static void test_leaves(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	fake_touch(g->session, 1, AT + 510 * PAGES, 2, 5);
	fake_touch(g->session, 1, AT + 512 * PAGES, 2, 5);
	fake_reside(g->session, AT + 509 * PAGES, 6);
	h = hear(g);
	assert_int_equal(h.of[0].pages, 6);
	assert_int_equal(heard_pages(&h, g->self, 5), 4);
}

/* What was there is "before", until somebody touches it. What a fault mapped beside its page may
 * have been there: then it is, too. */
static void test_before(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	fake_reside(g->session, AT, 8);
	tracker_note_resident(&g->tracker, image(g, g->self));
	fake_reside(g->session, AT + 20 * PAGES, 4);
	fake_touch(g->session, 1, AT + 7 * PAGES, 1, PYMEM_TOUCHED_NEW); /* unmapped, and mapped */
	fake_touch(g->session, 1, AT, 2, 5);
	fake_touch(g->session, 1, AT + 2 * PAGES, 3, 5 | PYMEM_TOUCHED_AROUND);
	fake_touch(g->session, 1, AT + 20 * PAGES, 3, 5 | PYMEM_TOUCHED_AROUND);
	h = hear(g);
	assert_int_equal(h.of[0].pages, 12);
	assert_int_equal(h.of[0].before_pages, 5);
	assert_int_equal(heard_pages(&h, g->self, 5), 5);
}

/* A child has what its parent touched before the fork, not what that touches later. */
static void test_forked(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	give(g, g->self, 1, 6);
	fake_proc(g->session, g->self)->identified = true;
	fake_touch(g->session, 1, AT, 10, 5);
	fake_reside(g->session, AT, 10);
	tracker_note_resident(&g->tracker, image(g, g->self));
	g->session->resident_count = 0;
	fake_reside(g->session, AT, 12);
	fake_fork(g->session, g->self, 77, PID(1));
	/* As bpf/account/touched.bpf.h does it. */
	memcpy(fake_proc(g->session, 77)->touched_dirs, ((uint32_t[]){3, 1}), 8);
	memcpy(fake_proc(g->session, g->self)->touched_dirs, ((uint32_t[]){2, 1}), 8);
	fake_touch(g->session, 2, AT, 4, 6);
	fake_stack(g->session, 77, 7, true)->value.id = 7;
	fake_touch(g->session, 3, AT + 9 * PAGES, 1, 7);
	h = hear(g);
	assert_int_equal(h.count, 2);
	assert_int_equal(heard_pages(&h, g->self, 5), 6);
	assert_int_equal(heard_pages(&h, g->self, 6), 4);
	assert_int_equal(heard_pages(&h, 77, 5), 9);
	assert_int_equal(heard_pages(&h, 77, 6), 0);
	assert_int_equal(heard_pages(&h, 77, 7), 1);
}

static unsigned leaves(const struct given *g)
{
	unsigned count = 0;

	for (size_t i = 0; i < 16; i++)
		count += g->session->leaves[i].key && g->session->leaves[i].key != UINT64_MAX;
	return count;
}

static int ignore_image(const struct counts_image *image, void *arg)
{
	(void)image, (void)arg;
	return 0;
}

static int ignore_stack(const struct counts_stack *stack, void *arg)
{
	(void)stack, (void)arg;
	return COUNTS_TAKEN;
}

/* The leaves of an image that has ended are given back, but not those that its child needs. */
static void test_ended(void **state)
{
	static const struct counts_reader reader = {.image = ignore_image, .stack = ignore_stack};
	struct given *g = *state;
	uint32_t self = g->self;
	struct heard h;

	give(g, g->self, 1, 5);
	fake_proc(g->session, g->self)->identified = true;
	fake_touch(g->session, 1, AT, 10, 5);
	fake_touch(g->session, 2, AT, 10, 5);
	fake_touch(g->session, 3, AT, 10, 5);
	fake_fork(g->session, g->self, 77, PID(1));
	memcpy(fake_proc(g->session, 77)->touched_dirs, ((uint32_t[]){3, 1}), 8);
	memcpy(fake_proc(g->session, g->self)->touched_dirs, ((uint32_t[]){2, 1}), 8);
	poll_all(g);
	fake_end(g->session, g->self, true);
	poll_all(g);
	assert_int_equal(tracker_take_counts(&g->tracker, true, &reader, NULL), 0);
	assert_int_equal(leaves(g), 2);
	/* The stack is no more in the table of the BPF side; the child's pages are its all the
	 * same. */
	assert_int_equal(fake_entries(g->session), 0);
	fake_reside(g->session, AT, 10);
	h = hear(g);
	assert_int_equal(h.count, 1);
	assert_int_equal(heard_pages(&h, 77, 5), 10);
	fake_end(g->session, 77, true);
	poll_all(g);
	assert_int_equal(tracker_take_counts(&g->tracker, true, &reader, NULL), 0);
	assert_int_equal(leaves(g), 0);
	assert_null(g->tracker.elders);
	assert_null(store_image(&g->tracker.store, self));
}

static void test_unread(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	g->session->resident_error = -EBUSY;
	h = hear(g);
	assert_int_equal(h.count, 1);
	assert_int_equal(h.of[0].error, -EBUSY);
	assert_int_equal(h.stack_count, 0);
	g->session->touches = false;
	assert_int_equal(hear(g).count, 0);
}

static unsigned looks_left; /* at the clock, before it is late */

static bool is_late(void *arg)
{
	(void)arg;
	return !looks_left || !--looks_left;
}

static struct heard hear_in_time(struct given *g, unsigned looks)
{
	static const struct counts_touched_reader reader = {hear_image, hear_stack, is_late, true};
	struct heard h = {};

	poll_all(g);
	looks_left = looks;
	assert_int_equal(tracker_each_touched(&g->tracker, &reader, &h), looks ? 0 : -ETIME);
	return h;
}

/* What was not reached comes first the next time; what takes too long does not keep others from
 * their turn. */
static void test_late(void **state)
{
	struct given *g = *state;
	uint32_t first[3];
	struct heard h;

	give(g, g->self, 1, 5);
	for (uint32_t child = 20; child <= 21; child++)
		fake_fork(g->session, g->self, child, PID(child));
	fake_touch(g->session, 1, AT, 2, 5);
	fake_reside(g->session, AT, 2);
	for (unsigned i = 0; i < 3; i++) {
		h = hear_in_time(g, 0);
		assert_int_equal(h.count, 1);
		assert_int_equal(h.of[0].error, 0);
		first[i] = h.of[0].image;
	}
	assert_true(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
	h = hear_in_time(g, 100);
	assert_int_equal(h.count, 3);
	/* As many pages as are read between two looks: each one is given up. */
	g->session->resident_count = 0;
	fake_reside(g->session, AT, 1 << 16);
	for (unsigned i = 0; i < 3; i++) {
		h = hear_in_time(g, 0);
		assert_int_equal(h.count, 1);
		assert_int_equal(h.of[0].error, -ETIME);
		assert_int_equal(h.stack_count, 0);
		first[i] = h.of[0].image;
	}
	assert_true(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
	/* And nothing of them is left. */
	g->session->resident_count = 0;
	fake_reside(g->session, AT, 2);
	h = hear(g);
	assert_int_equal(h.count, 3);
	assert_int_equal(heard_pages(&h, g->self, 5), 2);
}

/* What is in swap, and what is gone: of the line that touched it first. */
static void test_away(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	give(g, g->self, 1, 6);
	g->session->extras = PYMEM_EXTRA_SWAP;
	fake_reside(g->session, AT, 2);
	tracker_note_resident(&g->tracker, image(g, g->self));
	fake_touch(g->session, 1, AT, 1, 5);
	fake_touch(g->session, 1, AT + 10 * PAGES, 6, 5);
	fake_touch(g->session, 1, AT + 16 * PAGES, 1, PYMEM_TOUCHED_LOST);
	fake_touch(g->session, 1, AT + 509 * PAGES, 3, PYMEM_TOUCHED_NEW);
	fake_touch(g->session, 1, AT + 511 * PAGES, 1, 5);
	fake_touch(g->session, 1, AT + 512 * PAGES, 3, 6 | PYMEM_TOUCHED_AROUND);
	fake_away(g->session, PAGEMAP_SWAPPED, AT + 8 * PAGES, 10);
	/* It begins in a region without a leaf, and ends in another one. */
	fake_away(g->session, PAGEMAP_ABSENT, AT - 600 * PAGES, 600 + 512 + 2 + 600);
	h = hear_of(g, true);
	assert_true(h.of[0].away);
	assert_int_equal(h.of[0].pages, 2);
	assert_int_equal(heard_of(&h, g->self, 5).resident_pages, 1);
	assert_int_equal(heard_of(&h, g->self, 5).swapped_pages, 6);
	assert_int_equal(heard_of(&h, g->self, 5).absent_pages, 8);
	assert_int_equal(heard_of(&h, g->self, 6).swapped_pages, 0);
	assert_int_equal(heard_of(&h, g->self, 6).absent_pages, 3);
	/* Each asking counts anew; and not unless it is wanted. */
	h = hear_of(g, true);
	assert_int_equal(heard_of(&h, g->self, 5).swapped_pages, 6);
	h = hear(g);
	assert_false(h.of[0].away);
	assert_int_equal(heard_of(&h, g->self, 5).swapped_pages, 0);
	assert_int_equal(h.stack_count, 1);
}

/* What was there before and what a fault may have mapped beside its page: in swap it was there
 * before, and gone it is the line's at most. */
static void test_away_before(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	g->session->extras = PYMEM_EXTRA_EXTERNAL;
	fake_reside(g->session, AT, 8);
	tracker_note_resident(&g->tracker, image(g, g->self));
	fake_touch(g->session, 1, AT, 4, 5 | PYMEM_TOUCHED_AROUND);
	fake_away(g->session, PAGEMAP_SWAPPED, AT, 3);
	fake_away(g->session, PAGEMAP_ABSENT, AT, 3);
	h = hear_of(g, true);
	assert_int_equal(heard_of(&h, g->self, 5).swapped_pages, 0);
	assert_int_equal(heard_of(&h, g->self, 5).absent_pages, 3);
}

/* If one of the two can't be read, or neither is counted, nothing is known of either; of what is
 * resident it is. */
static void test_away_unread(void **state)
{
	struct given *g = *state;
	struct heard h;

	give(g, g->self, 1, 5);
	fake_touch(g->session, 1, AT, 4, 5);
	fake_reside(g->session, AT, 1);
	fake_away(g->session, PAGEMAP_SWAPPED, AT + PAGES, 1);
	assert_false(hear_of(g, true).of[0].away);
	g->session->extras = PYMEM_EXTRA_SWAP;
	assert_true(hear_of(g, true).of[0].away);
	g->session->away[1].error = -EFBIG;
	h = hear_of(g, true);
	assert_int_equal(h.of[0].error, 0);
	assert_false(h.of[0].away);
	assert_int_equal(heard_pages(&h, g->self, 5), 1);
	assert_int_equal(heard_of(&h, g->self, 5).swapped_pages, 0);
	/* More of a file is mapped than can be looked through. */
	g->session->away[1].error = 0;
	fake_away(g->session, PAGEMAP_ABSENT, 1ull << 44, 3ull << 30);
	assert_false(hear_of(g, true).of[0].away);
}

struct pages {
	uint64_t sum, known, before;
	uint64_t last;
};

static int see_page(uint64_t address, const struct pymem_stack_key *key, bool before, void *arg)
{
	struct pages *p = arg;

	assert_true(address > p->last);
	p->last = address;
	p->sum++;
	p->known += key && key->hash == 5;
	p->before += before;
	return 0;
}

static int stop_at_once(uint64_t address, const struct pymem_stack_key *key, bool before, void *arg)
{
	(void)address, (void)key, (void)before, (void)arg;
	return 42;
}

/* What a census asks for: each page. */
static void test_pages(void **state)
{
	struct given *g = *state;
	struct pages pages = {};

	give(g, g->self, 1, 5);
	fake_reside(g->session, AT, 6);
	tracker_note_resident(&g->tracker, image(g, g->self));
	fake_reside(g->session, AT + 8 * PAGES, 2);
	fake_touch(g->session, 1, AT + 4 * PAGES, 5, 5);
	poll_all(g);
	assert_int_equal(tracker_touched_pages(&g->tracker, getpid(), see_page, &pages), 0);
	assert_int_equal(pages.sum, 8);
	assert_int_equal(pages.known, 3);
	assert_int_equal(pages.before, 4);
	assert_int_equal(tracker_touched_pages(&g->tracker, getpid(), stop_at_once, NULL), 42);
	assert_int_equal(tracker_touched_pages(&g->tracker, PID(9), see_page, &pages), -ESRCH);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_lines), TEST(test_leaves),	  TEST(test_before),	  TEST(test_forked),
		TEST(test_ended), TEST(test_unread),	  TEST(test_pages),	  TEST(test_late),
		TEST(test_away),  TEST(test_away_before), TEST(test_away_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
