/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernel/session_changes.c: which stacks a reading brings. The BPF side is made up here: it tells
 * of a stack when it changes for the first time since the last reading, also at any moment of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/session_changes.c"

#define STACKS 40

static struct pymem_stack stacks[STACKS]; /* by key.hash */
static bool gone[STACKS];
static struct pymem_stack_key ring[2 * STACKS];
static unsigned ring_count, ring_room, whole; /* whole: readings of all */
static ring_buffer_sample_fn callback;
static void *callback_arg;
static int consume_error, lookup_error;
static uint32_t reading, places_used[PYMEM_TABLE_COUNT];
static __u64 dropped;
static int changing = -1; /* changes while all are read, behind the reader's back */

static void change(unsigned number)
{
	stacks[number].counters.grown_pages++;
	if (stacks[number].told == reading)
		return;
	stacks[number].told = reading;
	if (ring_count == ring_room)
		dropped++;
	else
		ring[ring_count++] = (struct pymem_stack_key){.hash = number};
}

struct ring_buffer *ring_buffer__new(int fd, ring_buffer_sample_fn fn, void *arg,
				     const struct ring_buffer_opts *opts)
{
	(void)fd;
	(void)opts;
	callback = fn;
	callback_arg = arg;
	return (void *)&callback;
}

void ring_buffer__free(struct ring_buffer *r)
{
	(void)r;
}

int ring_buffer__consume(struct ring_buffer *r)
{
	int count = (int)ring_count;

	(void)r;
	if (consume_error)
		return consume_error;
	for (unsigned i = 0; i < ring_count; i++)
		assert_int_equal(callback(callback_arg, &ring[i], sizeof(ring[i])), 0);
	ring_count = 0;
	return count;
}

int bpf_map__fd(const struct bpf_map *m)
{
	(void)m;
	return 7;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	uint64_t number = ((const struct pymem_stack_key *)key)->hash;

	assert_int_equal(fd, 7);
	errno = lookup_error ?: ENOENT;
	if (lookup_error || gone[number])
		return -errno;
	*(struct pymem_stack *)value = stacks[number];
	return 0;
}

int session_each_stack(struct session *session,
		       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
				 void *),
		       void *arg)
{
	int err = 0;

	(void)session;
	whole++;
	for (unsigned i = 0; !err && i < STACKS; i++) {
		const struct pymem_stack_key key = {.hash = i};

		if (!gone[i])
			err = fn(&key, &stacks[i], arg);
		if (changing >= 0 && (unsigned)changing == i)
			change(i);
	}
	return err;
}

struct reader {
	struct session session;
	uint64_t seen[STACKS]; /* grown_pages */
	unsigned calls;
	int error; /* what the next call returns */
};

static int see(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg)
{
	struct reader *r = arg;

	r->calls++;
	r->seen[key->hash] = stack->counters.grown_pages;
	return r->error;
}

static int read_changes(struct reader *r, bool all)
{
	r->calls = whole = 0;
	return session_each_changed_stack(&r->session, all, see, r);
}

static void check_seen(const struct reader *r)
{
	for (unsigned i = 0; i < STACKS; i++)
		assert_true(gone[i] || r->seen[i] == stacks[i].counters.grown_pages);
}

static int setup(void **state)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -1;
	memset(stacks, 0, sizeof(stacks));
	memset(gone, 0, sizeof(gone));
	ring_count = reading = 0;
	ring_room = 2 * STACKS;
	dropped = 0;
	changing = -1;
	consume_error = lookup_error = 0;
	places_used[PYMEM_TABLE_STACKS] = STACKS;
	r->session.options.changes = true;
	r->session.bpf.variable.reading = &reading;
	r->session.bpf.variable.dropped_changes = &dropped;
	r->session.bpf.variable.places_used = places_used;
	*state = r;
	return session_open_changes(&r->session);
}

static int teardown(void **state)
{
	struct reader *r = *state;

	session_close_changes(&r->session);
	free(r);
	return 0;
}

/* The first reading brings all, the others what has changed since, once. */
static void test_only_changes(void **state)
{
	struct reader *r = *state;

	change(3);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(r->calls, STACKS);
	change(3);
	change(3);
	change(5);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 0);
	assert_int_equal(r->calls, 2);
	check_seen(r);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(r->calls, 0);
	change(4);
	gone[4] = true;
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(r->calls, 0);
	assert_int_equal(read_changes(r, true), 0);
	assert_int_equal(r->calls, STACKS - 1);
}

/* What changes while all are read is brought by the next reading. */
static void test_meanwhile(void **state)
{
	struct reader *r = *state;

	changing = 9;
	assert_int_equal(read_changes(r, false), 0);
	changing = -1;
	assert_int_equal(r->seen[9] + 1, stacks[9].counters.grown_pages);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(r->calls, 1);
	check_seen(r);
}

/* Where keys may be missing, all come; once. */
static void test_all_where_keys_are_missing(void **state)
{
	struct reader *r = *state;

	assert_int_equal(read_changes(r, false), 0);
	ring_room = 1;
	change(1);
	change(2);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 1);
	check_seen(r);
	change(2);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 0);
	check_seen(r);
	ring_room = STACKS;
	for (unsigned i = 0; i < STACKS / MANY + 1; i++)
		change(i);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 1);
	check_seen(r);
	change(6);
	consume_error = -EIO;
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 1);
	check_seen(r);
}

/* A reading that failed has taken the keys: the next one brings all. */
static void test_failed(void **state)
{
	struct reader *r = *state;

	assert_int_equal(read_changes(r, false), 0);
	change(1);
	change(2);
	r->error = -ENOMEM;
	assert_int_equal(read_changes(r, false), -ENOMEM);
	r->error = 0;
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 1);
	check_seen(r);
	change(1);
	lookup_error = EPERM;
	assert_int_equal(read_changes(r, false), -EPERM);
	lookup_error = 0;
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(whole, 1);
	check_seen(r);
}

static void test_without(void **state)
{
	struct reader *r = *state;

	session_close_changes(&r->session);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(r->calls, STACKS);
	assert_int_equal(read_changes(r, false), 0);
	assert_int_equal(r->calls, STACKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_where_keys_are_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without, setup, teardown),
	};

	return cmocka_run_group_tests_name("session_changes", tests, NULL, NULL);
}
