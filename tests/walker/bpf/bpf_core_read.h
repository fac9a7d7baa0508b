/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In place of libbpf's header: nothing is relocated, the types are those of vmlinux.h. */
#ifndef SHIM_BPF_CORE_READ_H
#define SHIM_BPF_CORE_READ_H

#define BPF_CORE_READ(object, ...) \
	SHIM_READ(__VA_ARGS__, SHIM_READ_2, SHIM_READ_1)(object, __VA_ARGS__)
#define SHIM_READ(first, second, name, ...)   name
#define SHIM_READ_1(object, field)	      ((object)->field)
#define SHIM_READ_2(object, field, next)      ((object)->field->next)
#define bpf_core_type_id_kernel(type)	      0
#define bpf_core_type_size(type)	      sizeof(type)
#define bpf_core_field_exists(type, field)    1
#define __builtin_preserve_access_index(part) (part)

#endif
