/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space has done to a page (include/pymem_page.h).
 *
 * Whoever gets a page must not be able to write to it. BPF maps can't be mapped through a
 * read-only descriptor (bpf_map_mmap wants VM_SHARED), so the map is frozen instead: then no
 * user space writes to it, ours included, and this does it. Not attached: run by
 * BPF_PROG_TEST_RUN, which raw tracepoints have from 5.10 on.
 */
#include "page.bpf.h"

SEC("raw_tp")
int page_command(struct bpf_raw_tracepoint_args *ctx)
{
	struct pymem_page *page = page_of((__u32)ctx->args[0]);

	if (!page)
		return 1;
	switch (ctx->args[1]) {
	case PYMEM_PAGE_DO_RESET:
		/* The RSS of now is part of either time: readers look at both. */
		*(volatile __s64 *)&page->peak_pages = 0;
		*(volatile __s64 *)&page->tree_peak_pages = 0;
		__sync_fetch_and_add(&page->resets, 1);
		return 0;
	case PYMEM_PAGE_DO_FROM_EXEC:
		page->flags |= PYMEM_PAGE_FROM_EXEC;
		return 0;
	case PYMEM_PAGE_DO_END:
		page->state = PYMEM_PAGE_ENDED;
		return 0;
	}
	return 1;
}
