/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages allocated in a fault, which tell a copy on write from a page kept
 * (bpf/source/source_fault.bpf.c). They cost every process on the host a little, and so are watched
 * only once a traced process forks or writes to a page that it may share. */
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
};
