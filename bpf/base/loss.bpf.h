/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a change of RSS is lost: by a cause, in the record of its image. Nothing else adds to what is
 * lost. A function that finds out why there is no stack returns LOST(cause), a negative number, or
 * 0; its caller, who has the amount, gives that to lose(). */
#ifndef LOSS_BPF_H
#define LOSS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "pymem.h"

#define LOST(cause)   (-(PYMEM_LOSS_##cause + 1))
#define LOSS_OF(lost) ((__u32)(-(lost)-1)) /* the cause that LOST() was made of */

/* `pages` of p's change of RSS are lost. */
static __always_inline void lose_pages(struct pymem_proc *p, __u32 cause, __s64 pages)
{
	if (cause < PYMEM_LOSS_COUNT)
		__sync_fetch_and_add(&p->lost_pages[cause], pages);
}

/* A change of one of p's counters is lost; of swap entries it is no part of RSS. */
static __always_inline void lose(struct pymem_proc *p, __u32 cause, __u32 member, __s64 pages)
{
	if (member != PYMEM_SWAP)
		lose_pages(p, cause, pages);
}

/* Counts so many of p's page faults as lost: they belong to no stack. */
static __always_inline void lose_faults(struct pymem_proc *p, __u64 faults)
{
	__sync_fetch_and_add(&p->lost_faults, faults);
}

/* What was collected can be charged to no line. */
static __always_inline void acc_lose(struct pymem_proc *p, struct pymem_counters *acc, __u32 cause)
{
	lose_pages(p, cause,
		   acc->pages[PYMEM_FILE] + acc->pages[PYMEM_ANON] + acc->pages[PYMEM_SHMEM]);
	lose_faults(p, acc->minor_faults + acc->major_faults);
	__builtin_memset(acc, 0, sizeof(*acc));
}

#endif
