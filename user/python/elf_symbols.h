/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where does an ELF file have functions and variables? */
#ifndef ELF_SYMBOLS_H
#define ELF_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct elf_symbol {
	uint64_t address; /* as the file has it; 0: it is not there */
	uint64_t offset;  /* of a function: where it begins in the file, as uprobes are placed; else
			     0 */
};

/* Looks for these `count` names among the file's dynamic symbols, which every interpreter that
 * takes extensions has. The file is hostile input, `fd` is not closed. 0; -ENOEXEC: no ELF file of
 * this machine, or a malformed one; -EFBIG: its symbols take more than any build's; -ENOMEM;
 * -errno. */
int elf_symbols_find(int fd, const char *const *names, size_t count, struct elf_symbol *found);

#endif
