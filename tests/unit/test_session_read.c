/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* session_read.c, and session_kernel.c, with maps that change while they are read. The maps are
 * arrays here. A program that looked up an entry while its image was alive adds to it between two
 * calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/session_read.c"
#include "pymem_objects.h"

#define DEAD	     3
#define ENTRIES_MOST 8

struct bpf_map {
	int fd;
	unsigned key_size, value_size, count;
	char keys[ENTRIES_MOST][64], values[ENTRIES_MOST][sizeof(struct pymem_proc)];
};

static struct bpf_map map;
static bool old_kernel; /* before 5.14: hash maps can't look up and delete at once */
static uint32_t places_used[PYMEM_TABLE_COUNT];
static struct pymem_account accounts[PYMEM_ACCOUNTS];

int session_run_iterator(struct bpf_program *program, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg)
{
	(void)program;
	(void)size;
	return fn(NULL, arg);
}

bool session_counts_kernel(const struct session *session)
{
	(void)session;
	return true;
}

__u32 bpf_map__key_size(const struct bpf_map *m)
{
	return m->key_size;
}

__u32 bpf_map__value_size(const struct bpf_map *m)
{
	return m->value_size;
}

int bpf_map__fd(const struct bpf_map *m)
{
	return m->fd;
}

int libbpf_num_possible_cpus(void)
{
	return 1;
}

static int find(const void *key)
{
	for (unsigned i = 0; i < map.count; i++)
		if (!memcmp(map.keys[i], key, map.key_size))
			return (int)i;
	return -1;
}

/* A thread with a pointer to the record adds to it, whatever happens to the record. */
static void add_late(void)
{
	for (unsigned i = 0; i < map.count && map.fd == DEAD; i++)
		((struct pymem_proc *)map.values[i])->lost_pages[PYMEM_LOSS_MAP_FULL]++;
}

int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	assert_int_equal(fd, map.fd);
	assert_null(in);
	(void)out;
	(void)opts;
	*count = map.count;
	for (unsigned i = 0; i < map.count; i++) {
		memcpy((char *)keys + i * map.key_size, map.keys[i], map.key_size);
		memcpy((char *)values + i * map.value_size, map.values[i], map.value_size);
	}
	add_late();
	return -ENOENT;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	int at = find(key);

	assert_int_equal(fd, map.fd);
	if (at < 0)
		return -ENOENT;
	memcpy(value, map.values[at], map.value_size);
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	int at = find(key);

	assert_int_equal(fd, map.fd);
	if (at < 0) {
		errno = ENOENT;
		return -ENOENT;
	}
	map.count--;
	memcpy(map.keys[at], map.keys[map.count], sizeof(map.keys[at]));
	memcpy(map.values[at], map.values[map.count], sizeof(map.values[at]));
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	assert_int_equal(fd, map.fd);
	assert_int_equal(flags, BPF_NOEXIST);
	assert_true(map.count < ENTRIES_MOST && find(key) < 0);
	memcpy(map.keys[map.count], key, map.key_size);
	memcpy(map.values[map.count++], value, map.value_size);
	return 0;
}

int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)
{
	if (old_kernel) {
		errno = EOPNOTSUPP;
		return -EOPNOTSUPP;
	}
	return bpf_map_lookup_elem(fd, key, value) ?: bpf_map_delete_elem(fd, key);
}

static int sum(const struct pymem_proc *proc, void *arg)
{
	*(int64_t *)arg += proc->lost_pages[PYMEM_LOSS_MAP_FULL];
	return 0;
}

/* What is added between reading and deleting a record is in the sum. */
static void take(bool old)
{
	struct session session = {.bpf.map.dead = &map, .takes_at_once = !old};
	int64_t lost = 0;

	old_kernel = old;
	map = (struct bpf_map){.fd = DEAD,
			       .key_size = 4,
			       .value_size = sizeof(struct pymem_proc),
			       .count = ENTRIES_MOST};
	for (unsigned i = 0; i < map.count; i++) {
		memcpy(map.keys[i], &i, sizeof(i));
		((struct pymem_proc *)map.values[i])->lost_pages[PYMEM_LOSS_MAP_FULL] = 100;
	}
	assert_int_equal(session_take_dead(&session, sum, &lost), 0);
	assert_int_equal(lost, ENTRIES_MOST * 101);
	assert_int_equal(map.count, 0);
}

static void test_late_amounts(void **state)
{
	(void)state;
	take(false);
	take(true);
}

static bool is_odd(uint32_t proc, void *arg)
{
	(void)arg;
	return proc % 2;
}

#define ACCOUNT 4095

static void put_on_account(void *value, enum pymem_table table)
{
	union table_value *v = value;

	if (table == PYMEM_TABLE_STACKS)
		v->stack.account = ACCOUNT;
	else if (table == PYMEM_TABLE_VMCALLS)
		v->vmcalls.account = ACCOUNT;
	else if (table == PYMEM_TABLE_CODES)
		v->code.account = ACCOUNT;
	else
		v->line.account = ACCOUNT;
}

/* A stack comes with what it had at last, once; its place and its user's are given back. */
static void test_take_stack(void **state)
{
	const struct pymem_stack_key key = {.proc = 1, .hash = 2}, other = {.proc = 1, .hash = 3};
	struct session session = {
		.bpf.map.stacks = &map,
		.bpf.variable = {.places_used = places_used, .accounts = accounts},
		.takes_at_once = true,
	};
	struct pymem_stack stack = {.counters.minor_faults = 5, .account = ACCOUNT}, taken;

	(void)state;
	old_kernel = false;
	memset(accounts, 0, sizeof(accounts));
	map = (struct bpf_map){
		.fd = 7, .key_size = sizeof(key), .value_size = sizeof(stack), .count = 2};
	memcpy(map.keys[0], &key, sizeof(key));
	memcpy(map.values[0], &stack, sizeof(stack));
	memcpy(map.keys[1], &other, sizeof(other));
	places_used[PYMEM_TABLE_STACKS] = 2;
	accounts[ACCOUNT].held[PYMEM_TABLE_STACKS] = 1;
	accounts[0].held[PYMEM_TABLE_STACKS] = 1;
	assert_int_equal(session_take_stack(&session, &key, &taken), 0);
	assert_int_equal(taken.counters.minor_faults, 5);
	assert_int_equal(session_take_stack(&session, &key, &taken), -ENOENT);
	assert_int_equal(session_take_stack(&session, &other, &taken), 0);
	assert_int_equal(places_used[PYMEM_TABLE_STACKS], 0);
	assert_int_equal(accounts[ACCOUNT].held[PYMEM_TABLE_STACKS], 0);
	assert_int_equal(accounts[0].held[PYMEM_TABLE_STACKS], 0);
}

/* All places of images that are gone are given back; those of other images are not. */
static void test_sweep(void **state)
{
	static const struct {
		enum pymem_table table;
		unsigned key_size, proc_at, value_size;
	} tables[] = {
		{PYMEM_TABLE_STACKS, sizeof(struct pymem_stack_key), 0, sizeof(struct pymem_stack)},
		{PYMEM_TABLE_VMCALLS, sizeof(struct pymem_stack_key), 0,
		 sizeof(struct pymem_vmcalls)},
		{PYMEM_TABLE_CODES, 24, 16, sizeof(struct pymem_code)},
		{PYMEM_TABLE_LINES, sizeof(struct pymem_line_key), 0, sizeof(struct pymem_line)},
	};
	struct session session = {
		.options.lines = true,
		.bpf.map = {.stacks = &map, .vmcalls = &map, .codes = &map, .lines = &map},
		.bpf.variable = {.places_used = places_used, .accounts = accounts},
	};

	(void)state;
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		map = (struct bpf_map){.fd = 7,
				       .key_size = tables[t].key_size,
				       .value_size = tables[t].value_size,
				       .count = 7};
		session.takes_at_once = !(old_kernel = t % 2);
		places_used[tables[t].table] = 7;
		accounts[ACCOUNT].held[tables[t].table] = 7;
		for (unsigned i = 0; i < map.count; i++) {
			memset(map.keys[i], 0xa1, map.key_size);
			memcpy(map.keys[i] + tables[t].proc_at, &i, sizeof(i));
			put_on_account(map.values[i], tables[t].table);
		}
		assert_int_equal(session_sweep(&session, tables[t].table, is_odd, NULL), 0);
		assert_int_equal(map.count, 4);
		assert_int_equal(places_used[tables[t].table], 4);
		assert_int_equal(accounts[ACCOUNT].held[tables[t].table], 4);
		assert_int_equal(accounts[0].held[tables[t].table], 0);
		assert_int_equal(session_forgotten(&session, tables[t].table), 3);
	}
}

static const struct {
	uint32_t used;	      /* entries that there are, as the BPF side says */
	uint32_t left, freed; /* afterwards: entries; those that were taken off */
	bool reused, old;     /* another image's object gets an address meanwhile; old kernel */
} sweeps[] = {
	{PYMEM_KERNEL_OWNERS / 2 - 1, 7, 0, false, false},
	{PYMEM_KERNEL_OWNERS / 2, 4, 3, false, false},
	{PYMEM_KERNEL_OWNERS / 2, 4, 3, false, true},
	{PYMEM_KERNEL_OWNERS / 2, 5, 2, true, false},
};

/* Is the image odd? Image 3 is asked for twice if its object is reused: it is another one then. */
static bool is_odd_and_reused(uint32_t proc, void *arg)
{
	const bool *reused = arg;
	const uint64_t address = 3 << 4;
	int at = find(&address);

	if (proc != 3 || !*reused || at < 0)
		return proc % 2;
	((struct pymem_kernel_owner *)map.values[at])->proc = 8;
	return true;
}

/* Objects that images left behind are taken out once there are many, and off their accounts. */
static void test_owners(void **state)
{
	static uint32_t filter[PYMEM_KERNEL_FILTER], held[PYMEM_ACCOUNTS], used;
	struct session session = {
		.bpf.map.kernel_owners = &map,
		.bpf.variable = {.kernel_held = held, .kernel_owners_used = &used},
	};

	(void)state;
	assert_int_equal(session_forget_owners(&session, is_odd, NULL), 0); /* not loaded */
	session.kernel_filter = filter;
	for (size_t s = 0; s < sizeof(sweeps) / sizeof(sweeps[0]); s++) {
		bool reused = sweeps[s].reused;

		map = (struct bpf_map){.fd = 7,
				       .key_size = sizeof(uint64_t),
				       .value_size = sizeof(struct pymem_kernel_owner),
				       .count = 7};
		session.takes_at_once = !(old_kernel = sweeps[s].old);
		used = sweeps[s].used;
		held[ACCOUNT] = 7;
		for (uint32_t i = 0; i < map.count; i++) {
			const uint64_t address = i << 4;

			memcpy(map.keys[i], &address, sizeof(address));
			((struct pymem_kernel_owner *)map.values[i])->proc = i;
			((struct pymem_kernel_owner *)map.values[i])->account = ACCOUNT;
			filter[i] = 1;
		}
		assert_int_equal(session_forget_owners(&session, is_odd_and_reused, &reused), 0);
		assert_int_equal(map.count, sweeps[s].left);
		assert_int_equal(used, sweeps[s].used - sweeps[s].freed);
		assert_int_equal(held[ACCOUNT], 7 - sweeps[s].freed);
		assert_int_equal(filter[1], sweeps[s].freed ? 0 : 1);
		assert_int_equal(filter[3], sweeps[s].freed == 3 ? 0 : 1);
		assert_int_equal(filter[2], 1);
	}
}

/* Sums by stack take places of the table of system calls, and give them back. */
static void test_kernel_sums(void **state)
{
	struct session session = {
		.bpf.map.kernel_sums = &map,
		.bpf.variable = {.places_used = places_used, .accounts = accounts},
		.takes_at_once = true,
	};

	(void)state;
	old_kernel = false;
	memset(accounts, 0, sizeof(accounts));
	map = (struct bpf_map){.fd = 7,
			       .key_size = sizeof(struct pymem_stack_key),
			       .value_size = sizeof(struct pymem_kernel),
			       .count = 3};
	places_used[PYMEM_TABLE_VMCALLS] = accounts[ACCOUNT].held[PYMEM_TABLE_VMCALLS] = 3;
	for (unsigned i = 0; i < map.count; i++) {
		memcpy(map.keys[i], &i, sizeof(i));
		((struct pymem_kernel *)map.values[i])->account = ACCOUNT;
	}
	assert_int_equal(session_forget_kernel(&session, is_odd, NULL), 0);
	assert_int_equal(map.count, 2);
	assert_int_equal(places_used[PYMEM_TABLE_VMCALLS], 2);
	assert_int_equal(accounts[ACCOUNT].held[PYMEM_TABLE_VMCALLS], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_sums),  cmocka_unit_test(test_owners),
		cmocka_unit_test(test_late_amounts), cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_take_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
