/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Features are read from the kernel's own type information: a tracepoint that has a
 * btf_trace_… type exists, a structure is laid out as it says. Versions lie on
 * distribution kernels.
 */
#include "kernel.h"

#include <bpf/btf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_type(const struct btf *btf, const char *name, int kind)
{
	return btf__find_by_name_kind(btf, name, kind) > 0;
}

static bool has_enumerator(const struct btf *btf, const char *type, const char *name)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_ENUM), i;
	const struct btf_type *t;

	if (id <= 0)
		return false;
	t = btf__type_by_id(btf, id);
	for (i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_enum(t)[i].name_off), name))
			return true;
	return false;
}

/* Is mm_struct.rss_stat an array (of percpu_counter, 6.2) or a struct of atomics? The
 * member may lie in an anonymous struct. */
static int rss_stat_kind(const struct btf *btf, int struct_id)
{
	const struct btf_type *t = btf__type_by_id(btf, struct_id), *m;
	const struct btf_member *member = btf_members(t);
	int i, id, kind;

	for (i = 0; i < btf_vlen(t); i++, member++) {
		const char *name = btf__name_by_offset(btf, member->name_off);

		id = btf__resolve_type(btf, member->type);
		if (id < 0)
			continue;
		m = btf__type_by_id(btf, id);
		if (!strcmp(name, "rss_stat"))
			return btf_kind(m);
		if (!*name && btf_is_composite(m)) {
			kind = rss_stat_kind(btf, id);
			if (kind >= 0)
				return kind;
		}
	}
	return -1;
}

void kernel_probe(struct kernel_features *f)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int mm;

	memset(f, 0, sizeof(*f));
	if (!btf)
		return;
	f->btf = true;
	f->rss_stat = has_type(btf, "btf_trace_rss_stat", BTF_KIND_TYPEDEF);
	mm = btf__find_by_name_kind(btf, "mm_struct", BTF_KIND_STRUCT);
	f->batched_counters = mm > 0 && rss_stat_kind(btf, mm) == BTF_KIND_STRUCT;
	f->run_time_alloc = has_type(btf, "bpf_mem_alloc", BTF_KIND_STRUCT);
	f->faults = has_type(btf, "btf_trace_page_fault_user", BTF_KIND_TYPEDEF);
	f->page_alloc = has_type(btf, "btf_trace_mm_page_alloc", BTF_KIND_TYPEDEF);
	f->uprobes = !access("/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset", F_OK);
	f->sys_exit = has_type(btf, "btf_trace_sys_exit", BTF_KIND_TYPEDEF);
	f->ring_buffer = has_enumerator(btf, "bpf_map_type", "BPF_MAP_TYPE_RINGBUF");
	f->task_iterator = has_type(btf, "bpf_iter__task", BTF_KIND_STRUCT);
	f->percpu_lookup = has_enumerator(btf, "bpf_func_id", "BPF_FUNC_map_lookup_percpu_elem");
	btf__free(btf);
}

#define INITIAL_PID_NAMESPACE 0xeffffffcU /* PROC_PID_INIT_INO (include/linux/proc_ns.h) */

bool kernel_host_pids(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) || st.st_ino == INITIAL_PID_NAMESPACE;
}

static uint64_t effective_capabilities(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(file);
	return caps;
}

void kernel_missing_capabilities(char *names, size_t size)
{
	uint64_t caps = effective_capabilities();
	bool admin = caps >> CAP_SYS_ADMIN & 1;

	names[0] = '\0';
	if (!admin && !(caps >> 39 & 1))
		strncat(names, "CAP_BPF, ", size - strlen(names) - 1);
	if (!admin && !(caps >> 38 & 1))
		strncat(names, "CAP_PERFMON, ", size - strlen(names) - 1);
	if (!(caps >> CAP_SYS_PTRACE & 1))
		strncat(names, "CAP_SYS_PTRACE, ", size - strlen(names) - 1);
	/* For /proc/PID/map_files. */
	if (!admin && !(caps >> 40 & 1))
		strncat(names, "CAP_CHECKPOINT_RESTORE, ", size - strlen(names) - 1);
	if (*names)
		names[strlen(names) - 2] = '\0';
}
