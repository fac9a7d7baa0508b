/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "kernel/bpf_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/bpf_object.h"

const struct bpf_name bpf_names[] = {
	{BPF_NAME_MAP, "procs", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "blank", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "dead", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "tgids", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "wanted", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "threads", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "stacks", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "vmcalls", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "codes", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "layouts", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "pages", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "ring", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "cpu_offsets", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "lines", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "line_stacks", BPF_NAME_BOTH},
	{BPF_NAME_MAP, "line_blank", BPF_NAME_LEGACY},
	{BPF_NAME_MAP, "places", BPF_NAME_LEGACY},
	{BPF_NAME_MAP, "page_records", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "rss_stat", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "fault_user", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "fault_kernel", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "page_alloc", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "syscall_exit", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "process_fork", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "process_exec", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "process_exit", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "attach_wanted", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "settle", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "collect", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "page_command", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "find_cpu_offsets", BPF_NAME_MODERN},
	{BPF_NAME_PROGRAM, "line", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "function_entry", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "function_return", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "gc_start", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "gc_done", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "lines_exit", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "lines_exec", BPF_NAME_BOTH},
	{BPF_NAME_PROGRAM, "lines_settle", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "nr_cpus", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "counter_batch", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "follow_children", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "watch_host", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "probe_cookies", BPF_NAME_LEGACY},
	{BPF_NAME_KNOB, "payer_images", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "all_payers_images", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "quota_share", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "quota_user_share", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "room_stacks", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "room_vmcalls", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "room_codes", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "room_lines", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "room_threads", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "count_only", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "count_faults", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "own_tgid", BPF_NAME_BOTH},
	{BPF_NAME_KNOB, "ring_wakeup_bytes", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "cpu_offsets_found", BPF_NAME_MODERN},
	{BPF_NAME_VARIABLE, "copies_watched", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "lines_off", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "line_misses", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "payers", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "places_used", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "accounts", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "dropped_messages", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "dropped_images", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "dropped_calls", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "mm_filter", BPF_NAME_BOTH},
	{BPF_NAME_VARIABLE, "tgid_filter", BPF_NAME_BOTH},
};
const size_t bpf_name_count = sizeof(bpf_names) / sizeof(bpf_names[0]);

static const char *const kinds[] = {
	[BPF_NAME_MAP] = "map",
	[BPF_NAME_PROGRAM] = "program",
	[BPF_NAME_KNOB] = "constant",
	[BPF_NAME_VARIABLE] = "variable",
};

static bool is_there(const struct bpf_object *object, const struct bpf_name *name)
{
	switch (name->kind) {
	case BPF_NAME_MAP:
		return bpf_object__find_map_by_name(object, name->name);
	case BPF_NAME_PROGRAM:
		return bpf_object__find_program_by_name(object, name->name);
	case BPF_NAME_KNOB:
		return object_has_knob(object, name->name);
	case BPF_NAME_VARIABLE:
		return object_has_variable(object, name->name);
	}
	return false;
}

int bpf_names_check(const struct bpf_object *object, bool legacy, const struct bpf_name *names,
		    size_t count, char *why, size_t size)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (names[i].build == (legacy ? BPF_NAME_MODERN : BPF_NAME_LEGACY) ||
		    is_there(object, &names[i]))
			continue;
		snprintf(why, size, "the embedded BPF object has no %s '%s': build it anew",
			 kinds[names[i].kind], names[i].name);
		return -ENOENT;
	}
	return 0;
}

void bpf_names_missing(enum bpf_name_kind kind, const char *name)
{
	fprintf(stderr, "pymem-bpf: the embedded BPF object has no %s '%s': build it anew\n",
		kinds[kind], name);
	abort();
}

struct bpf_map *bpf_names_map(const struct bpf_object *object, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ?: (bpf_names_missing(BPF_NAME_MAP, name), NULL);
}

struct bpf_program *bpf_names_program(const struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	return program ?: (bpf_names_missing(BPF_NAME_PROGRAM, name), NULL);
}
