/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds where each CPU's copy of a per-CPU variable lies, without a kernel symbol
 * (__per_cpu_offset is data: many kernels list no data symbols).
 *
 * A per-CPU array of our own has a per-CPU pointer in its pptrs[0], and
 * bpf_map_lookup_percpu_elem() (5.19) gives the address of each CPU's copy: the
 * difference is that CPU's offset, for any per-CPU pointer. Run once, at start.
 */
#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

#ifndef PYMEM_LEGACY
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} percpu_probe SEC(".maps");

__u32 cpu_offsets_found;

LOOP_BODY offset_step(__u32 cpu, const __u64 *base)
{
	__u64 *offset = bpf_map_lookup_elem(&cpu_offsets, &cpu);
	__u32 zero = 0;
	void *element = bpf_map_lookup_percpu_elem(&percpu_probe, &zero, cpu);

	if (!offset || !element)
		return 0; /* not possible after all: the loader compares the count */
	*offset = as_number(element) - *base;
	cpu_offsets_found++;
	return 0;
}

SEC("syscall")
int find_cpu_offsets(void *ctx __attribute__((unused)))
{
	struct bpf_array *array = (struct bpf_array *)as_number(&percpu_probe);
	__u64 base = 0;

	bpf_probe_read_kernel(&base, sizeof(base), __builtin_preserve_access_index(&array->pptrs));
	LOOP(nr_cpus, offset_step, &base);
	return 0;
}
#endif
