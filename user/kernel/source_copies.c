/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages allocated in a page fault. They tell a copy on write from a page that is kept
 * (bpf/source/source_fault.bpf.c). Watching them costs each process on the host a little, so they
 * are watched only after a traced process forked, or wrote to a page that it may share. */
#include "kernel/event_source.h"

const struct event_source source_copies = {
	.name = "copies",
	.programs = {"page_alloc"},
	.turn = SOURCE_ON_DEMAND,
	.part_of = &source_fault,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_page_alloc")},
				.what = "tracepoint kmem:mm_page_alloc",
				.remedy = "copies on write are not counted",
				.note = "this kernel has no mm_page_alloc tracepoint: copies on "
					"write are not counted",
			},
		},
	.shed = "copies on write",
};
