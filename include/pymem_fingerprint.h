/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a code object's fingerprint is made of. The BPF side computes it when it confirms a stack
 * (bpf/python/pycode.bpf.h); user space computes it before and after it reads from the process
 * (user/python/py_fingerprint.c). Both must come to the same number.
 */
#ifndef PYMEM_FINGERPRINT_H
#define PYMEM_FINGERPRINT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define PYMEM_TEXT_ROOM 192 /* bytes read of a str: its head and the first characters */
#define PYMEM_TEXT_TAIL 32  /* bytes read of the end of a longer one */

#define PYMEM_TABLE_WHOLE 2048 /* bytes hashed of a line table; a longer one: half at each end */

/* Of a longer table, pieces in between are hashed too, at equal distances, where CPython has no
 * number for each code object (py_layout.code_version). */
#define PYMEM_SAMPLES	   8
#define PYMEM_SAMPLE_BYTES 64

#define PYMEM_GROUP_BYTES 32 /* hashed at a time, in four hashes side by side */

#define MIX1 0x9e3779b97f4a7c15ULL
#define MIX2 0xc2b2ae3d27d4eb4fULL

static inline __attribute__((always_inline)) __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * MIX1;
	return hash ^ (hash >> 29);
}

/* The offset at which sample `i` of a table begins. `size`: of the table, more than
 * PYMEM_TABLE_WHOLE. */
static inline __attribute__((always_inline)) __u64 sample_offset(__u64 size, __u32 i)
{
	__u64 between = size - PYMEM_TABLE_WHOLE;

	/* The bytes in between have as many parts as there are samples. Each sample begins in the
	 * middle of its part, and may overlap others if the parts are short. */
	return PYMEM_TABLE_WHOLE / 2 + between * (2 * i + 1) / (2 * PYMEM_SAMPLES);
}

#endif
