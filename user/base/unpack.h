/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Data that the program has in it in packed form (zlib): the BPF side, tables of encodings. */
#ifndef UNPACK_H
#define UNPACK_H

#include <stddef.h>

/* Unpacks `packed_size` bytes to exactly `size`. Free the result with free(). NULL and errno:
 * ENOMEM, or EBADMSG if the data is not what was packed. */
void *unpack(const void *packed, size_t packed_size, size_t size);

#endif
