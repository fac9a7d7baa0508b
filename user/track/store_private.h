/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What store.c and store_table.c share. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "track/store.h"

/* Adds `bytes` to what the image takes. 0, or -ENOSPC: the limit of one image, or of all, is
 * reached. */
int store_take_room(struct store *store, struct store_image *image, size_t bytes);

/* Adds a part of a code object's line table, the first or a later one. `message` has been checked
 * against its size. What there is no room for is left out. 0 or -ENOMEM. */
int store_add_table(struct store *store, struct store_code *code,
		    const struct pymem_msg_code *message);

/* True if the whole table is here, or no more of it can be had. */
bool store_is_whole(const struct store_code *code);

/* Reads the missing part of the table from process `pid`, which may not have it any more. */
void store_fetch_table(struct store *store, struct store_code *code, const struct py_layout *layout,
		       int pid);

/* Frees what store_complete() has put off. */
void store_free_fetches(struct store *store);

#endif
