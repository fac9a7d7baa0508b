/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The compiled BPF programs: the build that suits the kernel, and handles of what is in it. */
#ifndef BPF_OBJECT_H
#define BPF_OBJECT_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/bpf_handles.h"

/* Opens the legacy build (for kernels before 6.2) or the modern one, and fills in its handles. The
 * caller closes it with bpf_object__close(). NULL with errno set. */
struct bpf_object *object_open(bool legacy, struct bpf_handles *handles);

/* To be called after bpf_object__load(): variables are those of the programs from now on, and knobs
 * can't be set any more. 0 or -errno. */
int object_map_variables(struct bpf_object *object, struct bpf_handles *handles);

/* The variable `name` of `size` bytes, for names that are not in the handles. It is valid as long
 * as the object. NULL: there is none of that name and size. */
volatile void *object_variable(const struct bpf_object *object, const char *name, size_t size);

#endif
