/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What must be known of an ELF file that may contain a Python interpreter. The file is hostile
 * input; it may shrink or change while it is read. */
#ifndef ELF_IMAGE_H
#define ELF_IMAGE_H

#include <stdint.h>
#include <stdbool.h>

struct elf_image {
	bool is_python;		 /* defines _PyRuntime or _PyThreadState_Current */
	bool is_python2;	 /* defines a Python 2 interpreter */
	bool fixed_address;	 /* ET_EXEC: symbol values are addresses in memory */
	bool debug_build;	 /* has a function that only Py_DEBUG builds have */
	bool traces_refs;	 /* built with Py_TRACE_REFS (3.13 and later: unknown) */
	bool has_line_probe;	 /* has the USDT probe python:line, and it can be used */
	bool line_probe_aborts;	 /* has that probe, but it must not be used: elf_probes.h */
	bool has_function_probe; /* has the USDT probe python:function__entry, and it can be used */
	/* 3.11: that one is silent unless the line probe's semaphore is up. */
	bool entry_wants_line;
	uint64_t runtime_vaddr; /* value of the symbol _PyRuntime (3.6: _PyThreadState_Current) */
	uint64_t interp_head_vaddr; /* 3.6 with .symtab: value of interp_head; else 0 */
	/* Page-aligned p_vaddr of the PT_LOAD that maps file offset 0. A symbol's address in memory
	 * is value + (start of the mapping of offset 0 - load_vaddr). */
	uint64_t load_vaddr;
	unsigned major, minor, micro; /* 0.0.0 if unknown */
	char version[32];	      /* "3.11.2", "3.15.0a3"; "3.9": micro unknown; "": unknown */
};

/* Reads the ELF file behind `fd`, which stays open. The version comes from Py_Version (3.11 and
 * later) or from the strings in .rodata, never from file names. 0; -ENOEXEC: not an ELF program or
 * library of this machine's class, byte order and processor, or malformed; -EFBIG, -EDQUOT: the
 * budget (budget.h) is exceeded; -errno. */
int elf_image_read(int fd, struct elf_image *image);

/* Finds where the file has the probes that --lines and --functions need. 0; -ENOENT: one other than
 * the line probe is missing; -errno as of
 * elf_image_read() and elf_probe_sites_read(). */
struct elf_probe_sites;
int elf_image_probe_sites(int fd, struct elf_probe_sites *sites);

#endif
