// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Does nothing, where the profiler's programs do something: what is not theirs of the cost. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("usdt")
int empty(void *ctx __attribute__((unused)))
{
	return 0;
}

#define EMPTY_AT(tracepoint)                                   \
	SEC("raw_tp/" #tracepoint)                             \
	int at_##tracepoint(void *ctx __attribute__((unused))) \
	{                                                      \
		return 0;                                      \
	}

EMPTY_AT(rss_stat)
EMPTY_AT(page_fault_user)
EMPTY_AT(page_fault_kernel)
EMPTY_AT(sys_exit)
EMPTY_AT(sched_process_fork)
EMPTY_AT(sched_process_exec)
EMPTY_AT(sched_process_exit)
