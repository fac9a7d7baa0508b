/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The compiled BPF programs: the right build for the kernel, and handles of what is in it. */
#ifndef BPF_OBJECT_H
#define BPF_OBJECT_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/bpf_handles.h"

/* Opens the build for kernels with per-CPU counters (`legacy` false) or the one for
 * older ones, and fills in its handles. NULL with errno set. The caller closes it with
 * bpf_object__close(). */
struct bpf_object *object_open(bool legacy, struct bpf_handles *handles);

/* After bpf_object__load(): variables are from now on those of the programs, and knobs can't be
 * set any more. 0 or -errno. */
int object_map_variables(struct bpf_object *object, struct bpf_handles *handles);

/* The variable `name` of `size` bytes, for names that are no handles; like a handle, it stays where
 * it is. NULL: there is none of that size. */
volatile void *object_variable(const struct bpf_object *object, const char *name, size_t size);

#endif
