/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What we need to know of an ELF file that may contain a Python interpreter. The file is
 * hostile input, and may shrink or change while it is read. */
#ifndef ELF_IMAGE_H
#define ELF_IMAGE_H

#include <stdint.h>
#include <stdbool.h>

struct elf_image {
	bool is_python;		    /* defines _PyRuntime or _PyThreadState_Current */
	bool is_python2;	    /* defines a Python 2 interpreter */
	bool fixed_address;	    /* ET_EXEC: symbol values are addresses */
	bool debug_build;	    /* defines a function that only Py_DEBUG builds have */
	bool traces_refs;	    /* built with Py_TRACE_REFS (3.13+: unknown) */
	bool has_line_probe;	    /* USDT python:line, of use */
	bool line_probe_aborts;	    /* it has one that would end the process: elf_probes.h */
	bool has_function_probe;    /* USDT python:function__entry */
	uint64_t runtime_vaddr;	    /* value of _PyRuntime (3.6: _PyThreadState_Current) */
	uint64_t interp_head_vaddr; /* 3.6 with .symtab: interp_head; else 0 */
	/* Page-aligned p_vaddr of the PT_LOAD that maps file offset 0. Loaded, a symbol is at
	 * value + (start of the mapping of offset 0 - load_vaddr). */
	uint64_t load_vaddr;
	unsigned major, minor, micro; /* 0.0.0 when not found */
	char version[32]; /* e.g. "3.11.2", "3.15.0a3"; "3.9" if micro is unknown; "" if all is */
};

/* Examines the ELF file behind `fd` (not closed). 0; -ENOEXEC: not an ELF program or
 * library of this machine's class, byte order and processor, or a malformed one; -EFBIG, -EDQUOT:
 * it takes more than the budget (budget.h) allows; -errno. The version comes from Py_Version
 * (3.11+) or, before, from the strings in .rodata: never from file names. */
int elf_image_read(int fd, struct elf_image *image);

/* Finds where the file has the probes that --lines needs. 0, -ENOENT: it lacks one; -errno of
 * elf_image_read() and of elf_probe_sites_read(). */
struct elf_probe_sites;
int elf_image_probe_sites(int fd, struct elf_probe_sites *sites);

#endif
