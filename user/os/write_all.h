/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef WRITE_ALL_H
#define WRITE_ALL_H

#include <stddef.h>

/* Writes `size` bytes to a descriptor, in as many steps as it takes. 0 or -errno: then some of them
 * may be written. */
int write_all(int fd, const void *data, size_t size);

#endif
