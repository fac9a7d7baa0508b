/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space has done to a page (include/pymem_page.h).
 *
 * Whoever gets a page must not be able to write to it. BPF maps can't be mapped through a
 * read-only descriptor (bpf_map_mmap wants VM_SHARED), so the map is frozen instead: then no
 * user space writes to it, ours included, and this does it. Not attached: run by
 * BPF_PROG_TEST_RUN, which raw tracepoints have from 5.10 on.
 */
#include "page.bpf.h"

/* The RSS of now is part of either time: readers look at both. */
static __always_inline int reset(struct pymem_page *page, __u64 slot)
{
	struct pymem_page_peaks *peaks;

	if (slot >= PYMEM_PAGE_WATCHERS)
		return 1;
	peaks = &page->peaks[slot];
	if (slot >= page->slots)
		page->slots = slot + 1;
	*(volatile __s64 *)&peaks->peak_pages = 0;
	*(volatile __s64 *)&peaks->tree_peak_pages = 0;
	__sync_fetch_and_add(&peaks->resets, 1);
	return 0;
}

/* The image on `mm` leaves the page, which is closing. What it has is in the sums around
 * it already. */
static __always_inline int leave(struct pymem_page *page, __u64 mm, __u32 id)
{
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);

	if (!p || p->id != id)
		return 1;
	if (p->tree == page->serial)
		p->tree = page_open(page->outer);
	if (p->page == page->serial)
		p->page = 0;
	return 0;
}

SEC("raw_tp")
int page_command(struct bpf_raw_tracepoint_args *ctx)
{
	struct pymem_page *page = page_of((__u32)ctx->args[0]);

	if (!page)
		return 1;
	switch (ctx->args[1]) {
	case PYMEM_PAGE_DO_RESET:
		return reset(page, ctx->args[2]);
	case PYMEM_PAGE_DO_FROM_EXEC:
		page->from_exec = 1;
		return 0;
	case PYMEM_PAGE_DO_END:
		page->closing = 1;
		page->state = PYMEM_PAGE_ENDED;
		return 0;
	case PYMEM_PAGE_DO_LEAVE:
		return leave(page, ctx->args[2], ctx->args[3]);
	case PYMEM_PAGE_DO_CLIMB:
		page->outer = page_open(page->outer);
		return 0;
	}
	return 1;
}
