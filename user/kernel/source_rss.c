/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes of the kernel's resident counters: what everything else is about
 * (bpf/source/source_rss.bpf.c). */
#include "kernel/event_source.h"

const struct event_source source_rss = {
	.name = "rss",
	.programs = {"rss_stat"},
	/* The other sources must already be able to say where a change comes from. */
	.turn = SOURCE_LAST,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("rss_stat")},
				.what = "tracepoint kmem:rss_stat",
				.remedy = "use kernel 5.10 or newer, with CONFIG_TRACEPOINTS",
				.refusal = "the kernel has no kmem:rss_stat tracepoint: 5.10 or "
					   "newer is needed",
			},
		},
	.differs = kernel_is_batched,
	.difference =
		"this kernel (6.1 or older) batches its counters per task: amounts are exact, "
		"attributed fault by fault, one fault late; two threads that hand over what they "
		"counted in the same instant may swap it, 64 faults each at most",
};
