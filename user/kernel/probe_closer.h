/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Detaches probes in a thread of its own. The kernel takes 50 to 100 ms for each, and nothing
 * should wait for that. */
#ifndef PROBE_CLOSER_H
#define PROBE_CLOSER_H

#include <stddef.h>

struct bpf_link;
struct probe_closer;

/* A new closer. Its thread starts with the first link. NULL: out of memory. */
struct probe_closer *probe_closer_new(void);

/* Detaches the links that are left, ends the thread, and frees the closer. NULL is allowed. */
void probe_closer_free(struct probe_closer *closer);

/* Takes over the link. If memory or a thread can't be had, the link is detached at once. */
void probe_closer_add(struct probe_closer *closer, struct bpf_link *link);

/* The number of links that are not detached yet. */
size_t probe_closer_waiting(struct probe_closer *closer);

/* Attaching and detaching exclude each other in the kernel. From probe_closer_pause() to
 * probe_closer_resume() no further link is detached, nor for QUIET_MS after, since more is likely
 * to be attached. */
void probe_closer_pause(struct probe_closer *closer);
void probe_closer_resume(struct probe_closer *closer);

#endif
