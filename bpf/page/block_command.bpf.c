/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space has the BPF side do to a block (include/pymem_block.h).
 *
 * A client that gets a block must not be able to write to it. A BPF map can't be mapped through a
 * read-only descriptor (bpf_map_mmap() wants VM_SHARED), so the map is frozen instead. Then no
 * process can write to it, not even ours: this program writes for us. It is not attached, but run
 * by BPF_PROG_TEST_RUN, which raw tracepoints have from 5.10 on.
 */
#include "page/block.bpf.h"

/* The peaks become 0. Until the next change, readers take the present RSS for the peak. */
static __always_inline int reset(struct pymem_block_record *record, struct pymem_block *block,
				 __u64 slot)
{
	struct pymem_block_peaks *own, *shown;

	if (slot >= PYMEM_BLOCK_WATCHERS)
		return 1;
	own = &record->peaks[slot];
	shown = &block->peaks[slot];
	if (slot >= record->slots)
		block->slots = record->slots = slot + 1;
	*(volatile __s64 *)&own->peak_pages = 0;
	*(volatile __s64 *)&own->tree_peak_pages = 0;
	*(volatile __s64 *)&shown->peak_pages = 0;
	*(volatile __s64 *)&shown->tree_peak_pages = 0;
	*(volatile __u64 *)&shown->resets = ++own->resets;
	return 0;
}

/* The image on `mm` leaves the block, which is closing. What it has is in the sums around
 * it already. */
static __always_inline int leave(struct pymem_block_record *record, __u64 mm, __u32 id)
{
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);

	if (!p || p->id != id)
		return 1;
	if (p->tree == record->serial)
		p->tree = block_open(record->outer);
	if (p->block == record->serial)
		p->block = 0;
	return 0;
}

SEC("raw_tp")
int block_command(struct bpf_raw_tracepoint_args *ctx)
{
	struct pymem_block_record *record = block_of((__u32)ctx->args[0]);
	struct pymem_block *block = record ? block_shown(record) : NULL;

	if (!block)
		return 1;
	switch (ctx->args[1]) {
	case PYMEM_BLOCK_DO_RESET:
		return reset(record, block, ctx->args[2]);
	case PYMEM_BLOCK_DO_FROM_EXEC:
		record->from_exec = 1;
		return 0;
	case PYMEM_BLOCK_DO_END:
		record->closing = 1;
		block->state = PYMEM_BLOCK_ENDED;
		return 0;
	case PYMEM_BLOCK_DO_LEAVE:
		return leave(record, ctx->args[2], ctx->args[3]);
	case PYMEM_BLOCK_DO_CLIMB:
		block_link(record, block_open(record->outer));
		return 0;
	}
	return 1;
}
