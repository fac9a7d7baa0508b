/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much memory can be taken before the kernel kills a process for want of memory. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

#define MEMORY_UNKNOWN UINT64_MAX

/* The smaller of two numbers of bytes: what the host has to give (MemAvailable), and what the
 * control groups of this process may still take. A group's inactive file pages count as free, since
 * they can be dropped. MEMORY_UNKNOWN: neither can be read. */
uint64_t memory_available(void);

/* The same for a host whose /proc and /sys are below `root` (tests); "" is this host. */
uint64_t memory_available_at(const char *root);

#endif
