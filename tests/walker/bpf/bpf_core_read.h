/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In place of libbpf's header: nothing is relocated, the types are those of vmlinux.h. */
#ifndef SHIM_BPF_CORE_READ_H
#define SHIM_BPF_CORE_READ_H

#define BPF_CORE_READ(object, field)	      ((object)->field)
#define bpf_core_type_size(type)	      sizeof(type)
#define __builtin_preserve_access_index(part) (part)

#endif
