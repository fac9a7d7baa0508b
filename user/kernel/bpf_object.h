/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The compiled BPF programs: the right build for the kernel, its globals by name. */
#ifndef BPF_OBJECT_H
#define BPF_OBJECT_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens the build for kernels with per-CPU counters (`legacy` false) or the one for
 * older ones. NULL with errno set. The caller closes it with bpf_object__close(). */
struct bpf_object *object_open(bool legacy);

/* Is there such a constant, such a variable? */
bool object_has_knob(const struct bpf_object *object, const char *name);
bool object_has_variable(const struct bpf_object *object, const char *name);

/* Before load: sets the 32-bit constant `name`. 0 or -ENOENT. */
int object_set_knob(struct bpf_object *object, const char *name, uint32_t value);

/* After load: maps the object's variables. NULL with errno set; object_unmap_globals() ends
 * it. */
struct object_globals;
struct object_globals *object_map_globals(struct bpf_object *object);
void object_unmap_globals(struct object_globals *globals);

/* Address of the 64-bit or 32-bit variable `name`; NULL if there is none. */
void *object_global(struct object_globals *globals, const char *name);

#endif
