/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where an ELF file has functions and variables. */
#ifndef ELF_SYMBOLS_H
#define ELF_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct elf_symbol {
	uint64_t address; /* the symbol's value; 0: it was not found */
	uint64_t offset; /* of a function: the file offset at which it begins, as a uprobe wants it;
			    else 0 */
};

/* Looks for these `count` names among the file's dynamic symbols, which every interpreter that
 * takes extensions has. `found` gets one result for each name. The file is hostile input. `fd`
 * stays the caller's. 0; -ENOEXEC: no ELF file of this machine, or a malformed one; -EFBIG: its
 * symbols take more than any build's; -ENOMEM; -errno. */
int elf_symbols_find(int fd, const char *const *names, size_t count, struct elf_symbol *found);

#endif
