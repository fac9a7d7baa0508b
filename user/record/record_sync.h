/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Brings a file to the disk in a thread of its own, so that a slow disk holds up nobody. */
#ifndef RECORD_SYNC_H
#define RECORD_SYNC_H

struct record_sync;

/* For the file of the descriptor, of which it keeps a copy. The caller frees it with
 * record_sync_end(). NULL with errno set. */
struct record_sync *record_sync_new(int fd);
/* Syncs what is in the file now, soon. The first call starts the thread. Several calls while a sync
 * goes on are one. Returns the -errno of a sync that failed earlier, or 0. */
int record_sync_soon(struct record_sync *sync);
/* Waits for the sync that goes on. NULL is allowed. */
void record_sync_end(struct record_sync *sync);

#endif
