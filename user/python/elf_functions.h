/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where in an ELF file do functions begin? */
#ifndef ELF_FUNCTIONS_H
#define ELF_FUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

/* Looks for the functions of these `count` names among the file's dynamic symbols, which every
 * interpreter that takes extensions has. `offsets` gets for each where it begins in the file, as
 * uprobes are placed; 0: it is not there. The file is hostile input, `fd` is not closed. 0;
 * -ENOEXEC: no ELF file of this machine, or a malformed one; -EFBIG: its symbols take more than any
 * build's; -ENOMEM; -errno. */
int elf_functions_find(int fd, const char *const *names, size_t count, uint64_t *offsets);

#endif
