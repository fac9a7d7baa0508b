/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which functions of the kernel allocate what: by their names in /proc/kallsyms. */
#ifndef KERNEL_SITES_H
#define KERNEL_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "pymem_objects.h"

/* Fills `sites` with the functions that are known, in the order of their addresses, from a file as
 * /proc/kallsyms is. Returns how many; 0 also if the file hides addresses. A function whose end is
 * not known, or for which there is no room, is left out. */
size_t kernel_sites_read(FILE *symbols, struct pymem_site sites[PYMEM_SITES]);

/* True if such a file tells this process the addresses of the kernel's functions. */
bool kernel_shows_symbols(const char *path);

#endif
