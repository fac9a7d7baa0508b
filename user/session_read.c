/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads, and clears, what the kernel side has counted. Programs may be running meanwhile:
 * an entry may come or go between two calls.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "session_private.h"

/* Walks the keys of a hash map that changes meanwhile: an entry deleted under the
 * cursor would send it back to the start, so keys are collected first. */
static int collect_keys(int fd, size_t key_size, char **keys, size_t *count)
{
	size_t room = 0;
	void *previous = NULL;

	*keys = NULL;
	*count = 0;
	for (;;) {
		if (*count == room) {
			char *more = realloc(*keys, (room = room ? room * 2 : 64) * key_size);

			if (!more)
				return -ENOMEM;
			*keys = more;
			previous = *count ? more + (*count - 1) * key_size : NULL;
		}
		if (bpf_map_get_next_key(fd, previous, *keys + *count * key_size))
			return errno == ENOENT ? 0 : -errno;
		previous = *keys + *count * key_size;
		(*count)++;
	}
}

/* Calls fn(key, value) for each entry of `map`. */
static int each_entry(struct session *session, const char *name, bool take,
		      int (*fn)(const void *key, const void *value, void *arg), void *arg)
{
	struct bpf_map *map = session_map(session, name);
	size_t key_size = bpf_map__key_size(map), count, i;
	void *value = malloc(bpf_map__value_size(map));
	int fd = bpf_map__fd(map), err;
	char *keys = NULL;

	err = value ? collect_keys(fd, key_size, &keys, &count) : -ENOMEM;
	for (i = 0; !err && i < count; i++) {
		if (bpf_map_lookup_elem(fd, keys + i * key_size, value))
			continue; /* gone meanwhile */
		err = fn(keys + i * key_size, value, arg);
		if (take)
			bpf_map_delete_elem(fd, keys + i * key_size);
	}
	free(keys);
	free(value);
	return err;
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

/* A live record's peak is spread over CPUs. */
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

	return each_entry(session, "procs", false, call_live, &call);
}

int session_take_dead(struct session *session, int (*fn)(const struct pymem_proc *, void *),
		      void *arg)
{
	struct value_call call = {fn, arg};

	return each_entry(session, "dead", true, call_proc, &call);
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

	return each_entry(session, "stacks", false, call_stack, &call);
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

	return session->options.lines ? each_entry(session, "lines", false, call_line, &call) : 0;
}

uint64_t session_line_misses(const struct session *session, enum pymem_line_miss cause)
{
	uint64_t *misses = object_global(session->globals, "line_misses");

	return misses && session->options.lines ? ((volatile uint64_t *)misses)[cause] : 0;
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

	return session_run_iterator(session, "collect", sizeof(struct pymem_collected),
				    call_collected, &call);
}

bool session_vmcalls(struct session *session, const struct pymem_stack_key *key,
		     struct pymem_vmcalls *vmcalls)
{
	return !bpf_map_lookup_elem(session_map_fd(session, "vmcalls"), key, vmcalls);
}

bool session_stack(struct session *session, const struct pymem_stack_key *key,
		   struct pymem_stack *stack)
{
	return !bpf_map_lookup_elem(session_map_fd(session, "stacks"), key, stack);
}

/* Deletes what an image that has ended held in that table. */
static int forget(struct session *session, const char *map, enum pymem_table table, const void *key)
{
	uint32_t *used = object_global(session->globals, "places_used");

	if (bpf_map_delete_elem(session_map_fd(session, map), key))
		return errno == ENOENT ? 0 : -errno;
	if (used)
		__sync_fetch_and_sub(&used[table], 1);
	return 0;
}

int session_forget_stack(struct session *session, const struct pymem_stack_key *key)
{
	return forget(session, "vmcalls", PYMEM_TABLE_VMCALLS, key)
		       ?: forget(session, "stacks", PYMEM_TABLE_STACKS, key);
}

int session_forget_line(struct session *session, const struct pymem_line_key *key)
{
	return forget(session, "lines", PYMEM_TABLE_LINES, key);
}

int session_forget_code(struct session *session, uint32_t proc, uint64_t code, uint64_t fingerprint)
{
	const struct { /* the key of `codes` (bpf/maps.bpf.h) */
		uint64_t code, fingerprint;
		uint32_t proc, pad;
	} key = {code, fingerprint, proc, 0};

	return forget(session, "codes", PYMEM_TABLE_CODES, &key);
}
