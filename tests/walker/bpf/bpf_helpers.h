/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In place of libbpf's header, for bpf/ compiled as a part of a program: helpers are plain
 * functions of walker_bpf.c. Reads must fit the object that they go into, as the verifier
 * would have it. */
#ifndef SHIM_BPF_HELPERS_H
#define SHIM_BPF_HELPERS_H

#include "vmlinux.h"

#define SEC(name)
#define __uint(name, val)  int(*name)[val]
#define __type(name, val)  typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __always_inline	   inline __attribute__((always_inline))
#define __noinline	   __attribute__((noinline))
#define __weak		   __attribute__((weak))
#define __ksym
#define NULL ((void *)0)

void *bpf_map_lookup_elem(void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags);
long bpf_map_delete_elem(void *map, const void *key);
long bpf_map_pop_elem(void *map, void *value);
long bpf_map_push_elem(void *map, const void *value, __u64 flags);
void *bpf_task_storage_get(void *map, struct task_struct *task, void *value, __u64 flags);
long bpf_task_storage_delete(void *map, struct task_struct *task);
long bpf_ringbuf_output(void *ring, void *data, __u64 size, __u64 flags);
__u64 bpf_ringbuf_query(void *ring, __u64 flags);
__u64 bpf_jiffies64(void);
__u64 bpf_ktime_get_ns(void);
__u32 bpf_get_smp_processor_id(void);
__u64 bpf_get_current_task(void);
__u64 bpf_get_current_uid_gid(void);
__u64 bpf_get_current_pid_tgid(void);
long bpf_get_current_comm(void *buffer, __u32 size);
struct task_struct *bpf_get_current_task_btf(void);
long bpf_task_pt_regs(struct task_struct *task);
long shim_loop(__u32 count, long (*body)(__u32 i, void *context), void *context);
long shim_read_user(void *to, __u32 size, const void *from, __u64 room);
long shim_read_kernel(void *to, __u32 size, const void *from, __u64 room);

#define bpf_loop(count, body, context, flags) \
	shim_loop(count, (long (*)(__u32, void *))(body), context)
#define bpf_probe_read_user(to, size, from) \
	shim_read_user(to, size, from, __builtin_object_size(to, 1))
long bpf_probe_read_kernel_str(void *to, __u32 size, const void *from);

#define bpf_probe_read_kernel(to, size, from) \
	shim_read_kernel(to, size, from, __builtin_object_size(to, 1))

#endif
