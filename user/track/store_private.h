/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What store.c and store_table.c share. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "track/store.h"

/* Counts `bytes` that an image takes. 0; -ENOSPC: it has had its share, or there is no more for
 * anybody. */
int store_take_room(struct store *store, struct store_image *image, size_t bytes);

/* Takes a part of a code object's line table, which may be the first or a later one; `message` has
 * been checked against its size. 0 or -ENOMEM; what there is no room for is left out. */
int store_add_table(struct store *store, struct store_code *code,
		    const struct pymem_msg_code *message);

/* Is there nothing more of its table to be had? */
bool store_is_whole(const struct store_code *code);

/* Asks process `pid` for the part of the table that is not here; it may have none any more. */
void store_fetch_table(struct store *store, struct store_code *code, const struct py_layout *layout,
		       int pid);

/* Forgets what store_complete() has put off. */
void store_free_fetches(struct store *store);

#endif
