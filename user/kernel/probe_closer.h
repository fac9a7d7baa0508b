/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Detaches probes in a thread of its own: the kernel takes 50 to 100 ms for each, and nobody is to
 * wait for that. */
#ifndef PROBE_CLOSER_H
#define PROBE_CLOSER_H

#include <stddef.h>

struct bpf_link;
struct probe_closer;

/* Its thread starts with the first link. NULL: no memory. */
struct probe_closer *probe_closer_new(void);

/* Detaches what is left, and ends the thread. NULL is fine. */
void probe_closer_free(struct probe_closer *closer);

/* Takes over the link. If there is no memory or no thread for it, it is detached at once. */
void probe_closer_add(struct probe_closer *closer, struct bpf_link *link);

/* Links that are not detached yet. */
size_t probe_closer_waiting(struct probe_closer *closer);

/* Attaching and detaching exclude each other in the kernel: between these two no further link is
 * detached, and for a moment after, more being likely to come. */
void probe_closer_pause(struct probe_closer *closer);
void probe_closer_resume(struct probe_closer *closer);

#endif
