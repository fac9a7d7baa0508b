/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds types in the kernel's type information (BTF), which is read once, from the beginning to the
 * end, in pieces.
 *
 * libbpf could do it, but loads all of the 5 MB and indexes 130,000 types. It does that once more
 * for the BPF programs. It would take a fifth of the time that attaching takes. */
#ifndef KERNEL_BTF_H
#define KERNEL_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_btf_wanted {
	const char *name;
	unsigned kind; /* BTF_KIND_… (linux/btf.h) that the type must have */
	/* NULL, or an enumerator (BTF_KIND_ENUM) or member (BTF_KIND_STRUCT) that it must have */
	const char *member;
	bool found;  /* the result */
	uint32_t id; /* if found: the type's number, as the kernel has it */

	/* Private: offsets of the names in the section of strings; 0: not there. */
	uint32_t name_offset, member_offset;
};

/* Looks for `count` types in the BTF file at `path` and sets `found` of each. The format is
 * described in the kernel's Documentation/bpf/btf.rst. 0, -errno if the file can't be read, -EINVAL
 * if it is malformed, -ENOTSUP if it has a kind of type that is newer than Linux 7.2. */
int kernel_btf_find(const char *path, struct kernel_btf_wanted *wanted, size_t count);

#endif
