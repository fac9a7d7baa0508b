/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a code object's fingerprint is made of: the kernel side computes it at each identification
 * (bpf/python/pycode.bpf.h), user space before and after it reads from the process
 * (user/python/py_fingerprint.c). Both must come to the same number.
 */
#ifndef PYMEM_FINGERPRINT_H
#define PYMEM_FINGERPRINT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define PYMEM_TEXT_ROOM 192 /* read of a str: its head and what fits behind that */
#define PYMEM_TEXT_TAIL 32  /* and of a longer one its end */

#define PYMEM_TABLE_WHOLE                                                      \
	2048 /* hashed of a line table; of a longer one the halves at its ends \
	      */

/* And, where CPython has no number for each code object (py_layout.code_version), pieces in between
 * at equal distances. */
#define PYMEM_SAMPLES	   8
#define PYMEM_SAMPLE_BYTES 64

#define PYMEM_GROUP_BYTES 32 /* hashed side by side in four hashes */

#define MIX1 0x9e3779b97f4a7c15ULL
#define MIX2 0xc2b2ae3d27d4eb4fULL

static inline __attribute__((always_inline)) __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * MIX1;
	return hash ^ (hash >> 29);
}

/* Where the sample `i` of a table of `size` bytes begins, which is more than PYMEM_TABLE_WHOLE. */
static inline __attribute__((always_inline)) __u64 sample_offset(__u64 size, __u32 i)
{
	__u64 between = size - PYMEM_TABLE_WHOLE;

	/* In the middle of each of as many parts; a short rest is hashed more than once. */
	return PYMEM_TABLE_WHOLE / 2 + between * (2 * i + 1) / (2 * PYMEM_SAMPLES);
}

#endif
