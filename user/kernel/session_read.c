/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads and clears what the BPF side has counted. Programs may run meanwhile: an entry may come or
 * go between two calls. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "kernel/map_read.h"
#include "kernel/session_private.h"

/* map_each() for a map of libbpf's. */
static int each_entry(const struct bpf_map *map, enum map_reading reading,
		      int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	const struct map_shape shape = {bpf_map__fd(map), bpf_map__key_size(map),
					bpf_map__value_size(map)};

	return map_each(&map_ops_kernel, &shape, reading, fn, arg);
}

struct value_call {
	void *fn, *arg;
};

static int call_proc(const void *key, const void *value, void *arg)
{
	struct value_call *call = arg;
	int (*fn)(const struct pymem_proc *, void *) = call->fn;

	(void)key;
	return fn(value, call->arg);
}

/* The peak of a live record is spread over CPUs: take the highest. */
static int call_live(const void *key, const void *value, void *arg)
{
	const struct pymem_cpu *cpu = (const void *)((const struct pymem_proc *)value + 1);
	struct pymem_proc proc = *(const struct pymem_proc *)value;
	int i, cpus = libbpf_num_possible_cpus();

	for (i = 0; i < cpus; i++)
		if (cpu[i].peak_pages > proc.peak_pages)
			proc.peak_pages = cpu[i].peak_pages;
	return call_proc(key, &proc, arg);
}

int session_each_live(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg)
{
	struct value_call call = {fn, arg};

	return each_entry(session->bpf.map.procs, MAP_KEEPS, call_live, &call);
}

int session_take_dead(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg)
{
	struct value_call call = {fn, arg};

	return each_entry(session->bpf.map.dead,
			  session->takes_at_once ? MAP_TAKES_AT_ONCE : MAP_TAKES_IN_STEPS,
			  call_proc, &call);
}

static int call_stack(const void *key, const void *value, void *arg)
{
	struct value_call *call = arg;
	int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *, void *) = call->fn;

	return fn(key, value, call->arg);
}

int session_each_stack(struct session *session,
		       int (*fn)(const struct pymem_stack_key *, const struct pymem_stack *,
				 void *),
		       void *arg)
{
	struct value_call call = {fn, arg};

	return each_entry(session->bpf.map.stacks, MAP_KEEPS, call_stack, &call);
}

static int call_vmcalls(const void *key, const void *value, void *arg)
{
	struct value_call *call = arg;
	int (*fn)(const struct pymem_stack_key *, const struct pymem_vmcalls *, void *) = call->fn;

	return fn(key, value, call->arg);
}

int session_each_vmcalls(struct session *session,
			 int (*fn)(const struct pymem_stack_key *, const struct pymem_vmcalls *,
				   void *),
			 void *arg)
{
	struct value_call call = {fn, arg};

	return each_entry(session->bpf.map.vmcalls, MAP_KEEPS, call_vmcalls, &call);
}

static int call_kernel(const void *key, const void *value, void *arg)
{
	struct value_call *call = arg;
	int (*fn)(const struct pymem_stack_key *, const struct pymem_kernel *, void *) = call->fn;

	return fn(key, value, call->arg);
}

int session_each_kernel(struct session *session,
			int (*fn)(const struct pymem_stack_key *, const struct pymem_kernel *,
				  void *),
			void *arg)
{
	struct value_call call = {fn, arg};

	return session_counts_kernel(session)
		       ? each_entry(session->bpf.map.kernel_sums, MAP_KEEPS, call_kernel, &call)
		       : 0;
}

static int call_line(const void *key, const void *value, void *arg)
{
	struct value_call *call = arg;
	int (*fn)(const struct pymem_line_key *, const struct pymem_line *, void *) = call->fn;

	return fn(key, value, call->arg);
}

int session_each_line(struct session *session,
		      int (*fn)(const struct pymem_line_key *, const struct pymem_line *, void *),
		      void *arg)
{
	struct value_call call = {fn, arg};

	return session->options.lines
		       ? each_entry(session->bpf.map.lines, MAP_KEEPS, call_line, &call)
		       : 0;
}

uint64_t session_line_misses(const struct session *session, enum pymem_line_miss cause)
{
	return session->options.lines ? session->bpf.variable.line_misses[cause] : 0;
}

static int call_collected(const void *record, void *arg)
{
	struct value_call *call = arg;
	int (*fn)(const struct pymem_collected *, void *) = call->fn;

	return fn(record, call->arg);
}

int session_each_thread(struct session *session, int (*fn)(const struct pymem_collected *, void *),
			void *arg)
{
	struct value_call call = {fn, arg};

	return session_run_iterator(session->bpf.program.collect, sizeof(struct pymem_collected),
				    call_collected, &call);
}

bool session_vmcalls(struct session *session, const struct pymem_stack_key *key,
		     struct pymem_vmcalls *vmcalls)
{
	return !bpf_map_lookup_elem(bpf_map__fd(session->bpf.map.vmcalls), key, vmcalls);
}

bool session_stack(struct session *session, const struct pymem_stack_key *key,
		   struct pymem_stack *stack)
{
	return !bpf_map_lookup_elem(bpf_map__fd(session->bpf.map.stacks), key, stack);
}

/* A value of any of the tables. Each names the account that its entry is on. */
union table_value {
	struct pymem_stack stack;
	struct pymem_vmcalls vmcalls;
	struct pymem_code code;
	struct pymem_line line;
	struct pymem_kernel kernel; /* in the table of vmcalls, but another map */
};

static uint32_t value_account(const struct session *session, const struct bpf_map *map,
			      enum pymem_table table, const union table_value *value)
{
	if (map == session->bpf.map.kernel_sums)
		return value->kernel.account;
	switch (table) {
	case PYMEM_TABLE_STACKS:
		return value->stack.account;
	case PYMEM_TABLE_VMCALLS:
		return value->vmcalls.account;
	case PYMEM_TABLE_CODES:
		return value->code.account;
	default:
		return value->line.account;
	}
}

/* Takes an entry out of the table and off its account. 0; -ENOENT: there is none; -errno. */
static int take_entry(struct session *session, const struct bpf_map *map, enum pymem_table table,
		      const void *key, union table_value *value)
{
	int err = map_take(&map_ops_kernel, session->takes_at_once, bpf_map__fd(map), key, value);
	uint32_t account;

	if (err)
		return err;
	account = value_account(session, map, table, value) % PYMEM_ACCOUNTS;
	__sync_fetch_and_sub(&session->bpf.variable.places_used[table], 1);
	__sync_fetch_and_sub(&session->bpf.variable.accounts[account].held[table], 1);
	session->forgotten[table]++;
	return 0;
}

/* The same for an entry that may be gone already, and whose value is of no use any more. */
static int forget(struct session *session, const struct bpf_map *map, enum pymem_table table,
		  const void *key)
{
	union table_value value;
	int err = take_entry(session, map, table, key, &value);

	return err == -ENOENT ? 0 : err;
}

int session_take_stack(struct session *session, const struct pymem_stack_key *key,
		       struct pymem_stack *stack)
{
	union table_value value;
	int err = take_entry(session, session->bpf.map.stacks, PYMEM_TABLE_STACKS, key, &value);

	if (!err)
		*stack = value.stack;
	return err;
}

int session_take_vmcalls(struct session *session, const struct pymem_stack_key *key,
			 struct pymem_vmcalls *vmcalls)
{
	union table_value value;
	int err = take_entry(session, session->bpf.map.vmcalls, PYMEM_TABLE_VMCALLS, key, &value);

	if (!err)
		*vmcalls = value.vmcalls;
	return err;
}

int session_forget_stack(struct session *session, const struct pymem_stack_key *key)
{
	return forget(session, session->bpf.map.vmcalls, PYMEM_TABLE_VMCALLS, key)
		       ?: forget(session, session->bpf.map.stacks, PYMEM_TABLE_STACKS, key);
}

int session_forget_line(struct session *session, const struct pymem_line_key *key)
{
	return forget(session, session->bpf.map.lines, PYMEM_TABLE_LINES, key);
}

int session_forget_code(struct session *session, uint32_t proc, uint64_t code, uint64_t fingerprint)
{
	const struct { /* the key of map `codes`: struct code_key in bpf/base/maps.bpf.h */
		uint64_t code, fingerprint;
		uint32_t proc, pad;
	} key = {code, fingerprint, proc, 0};

	return forget(session, session->bpf.map.codes, PYMEM_TABLE_CODES, &key);
}

uint64_t session_forgotten(const struct session *session, enum pymem_table table)
{
	return session->forgotten[table];
}

struct sweep {
	struct session *session;
	const struct bpf_map *map;
	enum pymem_table table;
	size_t proc_at; /* offset of the image's id in the key */
	bool (*is_gone)(uint32_t proc, void *arg);
	void *arg;
};

static int sweep_entry(const void *key, const void *value __attribute__((unused)), void *arg)
{
	struct sweep *c = arg;
	uint32_t proc;

	memcpy(&proc, (const char *)key + c->proc_at, sizeof(proc));
	return c->is_gone(proc, c->arg) ? forget(c->session, c->map, c->table, key) : 0;
}

int session_sweep(struct session *session, enum pymem_table table,
		  bool (*is_gone)(uint32_t proc, void *arg), void *arg)
{
	const struct bpf_map *const maps[] = {session->bpf.map.stacks, session->bpf.map.vmcalls,
					      session->bpf.map.codes, session->bpf.map.lines};
	struct sweep c = {session, maps[table], table, 0, is_gone, arg};

	if (table == PYMEM_TABLE_LINES && !session->options.lines)
		return 0;
	/* struct pymem_stack_key and struct pymem_line_key begin with the id. */
	if (table == PYMEM_TABLE_CODES)
		c.proc_at = 2 * sizeof(uint64_t);
	return each_entry(c.map, MAP_KEEPS, sweep_entry, &c);
}

int session_forget_kernel(struct session *session, bool (*is_gone)(uint32_t proc, void *arg),
			  void *arg)
{
	const struct bpf_map *sums = session->bpf.map.kernel_sums;
	struct sweep c = {session, sums, PYMEM_TABLE_VMCALLS, 0, is_gone, arg};

	if (!session_counts_kernel(session))
		return 0;
	return each_entry(sums, MAP_KEEPS, sweep_entry, &c)
		       ?: session_forget_owners(session, is_gone, arg);
}
