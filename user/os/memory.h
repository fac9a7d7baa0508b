/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much memory may be taken before somebody is killed for want of it. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

#define MEMORY_UNKNOWN UINT64_MAX

/* Bytes that the host has to give (MemAvailable), or the least that a control group of this process
 * may still take, files' pages that can be dropped not counted. MEMORY_UNKNOWN: neither can be
 * read. */
uint64_t memory_available(void);

/* The same of a host whose files are below `root`, "" for this one (tests). */
uint64_t memory_available_at(const char *root);

#endif
