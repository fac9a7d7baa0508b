// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Does nothing, at CPython's line probe: what the trap itself costs. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("usdt")
int empty(void *ctx __attribute__((unused)))
{
	return 0;
}
