/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Python's version from the bytes of an interpreter. Pure. */
#ifndef ELF_VERSION_H
#define ELF_VERSION_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct elf_version {
	unsigned major, minor, micro;
	char text[24]; /* "3.9.2", "3.15.0a3", "3.10.13+"; "3.9" if micro is unknown */
};

/* The version from the value of Py_Version (0x030b02f0 is 3.11.2). False: it is no version of
 * Python. */
bool elf_version_from_hex(uint64_t hex, struct elf_version *version);

#define ELF_VERSION_TAIL       48 /* bytes kept of the end of each string */
#define ELF_VERSION_CANDIDATES 32

/* A pass over .rodata, which is fed in pieces of any size. Set to zero before the first, but for
 * `major`. */
struct elf_version_scan {
	unsigned major; /* the one looked for: 2 or 3 */
	char tail[ELF_VERSION_TAIL + 1];
	size_t tail_len;    /* bytes in tail */
	bool cut;	    /* the string is longer than `tail`, its beginning is lost */
	unsigned tag_minor; /* from the cache tag or the library folder */
	unsigned tag_rank;  /* 0: none; 1: "lib/python3.9"; 2: "cpython-39" */
	bool tag_conflict;
	struct {
		struct elf_version version;
		bool whole; /* a string of its own, not the tail of another one */
	} candidates[ELF_VERSION_CANDIDATES];
	unsigned candidate_count;
};

/* Feeds the next `len` bytes of the section. */
void elf_version_scan_bytes(struct elf_version_scan *scan, const unsigned char *bytes, size_t len);

/* 1: `version` is filled in. 0: the minor version was not found, or two differ. */
int elf_version_scan_result(const struct elf_version_scan *scan, struct elf_version *version);

#endif
