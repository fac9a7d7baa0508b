/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which types does the kernel have? Its type information (BTF) is read once from end to end, in
 * pieces, for some names.
 *
 * libbpf has it all, at the price of loading the 5 MB and indexing 130,000 types, as it does once
 * more for the BPF programs: a fifth of the time that attaching takes.
 */
#ifndef KERNEL_BTF_H
#define KERNEL_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_btf_wanted {
	const char *name;
	unsigned kind;	    /* BTF_KIND_… (linux/btf.h) of the type of that name */
	const char *member; /* if not NULL: an enumerator that it must have (BTF_KIND_ENUM) */
	bool found;	    /* the answer */

	uint32_t name_offset, member_offset; /* where the names are; 0: nowhere */
};

/* Looks for each of the `count` in the BTF file at `path`. The format is the kernel's,
 * Documentation/bpf/btf.rst. 0; -errno if it can't be read, -EINVAL if it is malformed, -ENOTSUP
 * if it has a kind of type that did not exist in Linux 7.2. */
int kernel_btf_find(const char *path, struct kernel_btf_wanted *wanted, size_t count);

#endif
