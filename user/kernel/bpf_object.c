/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two builds of the BPF side are embedded (bpf/base/compat.bpf.h says why). bpftool makes a
 * skeleton of each, with C types of its own. Only this file tells the two apart: both fill in the
 * same handles (bpf_handles.h). */
#include "kernel/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "legacy.skel.h"
#include "modern.skel.h"

#define SET_MAP(id)	       handles->map.id = skeleton->maps.id;
#define SET_PROGRAM(id)	       handles->program.id = skeleton->progs.id;
#define SET_KNOB(id, type)     handles->knob.id = &skeleton->rodata->id;
#define SET_VARIABLE(id, type) handles->variable.id = &skeleton->bss->id;
#define SET_ARRAY(id, type, length)                                          \
	_Static_assert(sizeof(skeleton->bss->id) == (length) * sizeof(type), \
		       "the BPF side's array " #id " has another length");   \
	handles->variable.id = skeleton->bss->id;

static struct bpf_object *open_modern(struct bpf_handles *handles,
				      const struct bpf_object_open_opts *options)
{
	struct pymem_modern *skeleton = pymem_modern__open_opts(options);
	struct bpf_object *object;

	if (!skeleton)
		return NULL;
	BPF_OF_BOTH(SET_MAP, SET_PROGRAM, SET_KNOB, SET_VARIABLE, SET_ARRAY)
	BPF_OF_MODERN(SET_MAP, SET_PROGRAM, SET_KNOB, SET_VARIABLE, SET_ARRAY)
	/* The caller owns the object from now on; only the skeleton around it is freed. */
	object = skeleton->obj;
	skeleton->obj = NULL;
	pymem_modern__destroy(skeleton);
	return object;
}

static struct bpf_object *open_legacy(struct bpf_handles *handles,
				      const struct bpf_object_open_opts *options)
{
	struct pymem_legacy *skeleton = pymem_legacy__open_opts(options);
	struct bpf_object *object;

	if (!skeleton)
		return NULL;
	BPF_OF_BOTH(SET_MAP, SET_PROGRAM, SET_KNOB, SET_VARIABLE, SET_ARRAY)
	BPF_OF_LEGACY(SET_MAP, SET_PROGRAM, SET_KNOB, SET_VARIABLE, SET_ARRAY)
	object = skeleton->obj;
	skeleton->obj = NULL;
	pymem_legacy__destroy(skeleton);
	return object;
}

struct bpf_object *object_open(bool legacy, struct bpf_handles *handles)
{
	/* A type that programs ask for and this kernel does not have (folios before 5.16, flags of
	 * caches before 6.8) is looked for by libbpf in all modules. The kernel lists these for
	 * CAP_SYS_ADMIN only, and without it the load fails there. None of our types is a module's,
	 * and where a file of types is given, libbpf looks in no other one. It then reads the
	 * kernel's types once more: 3 to 11 ms of 150 to 340 ms of CPU time until all is attached
	 * (6.18). */
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = KERNEL_BTF);

	memset(handles, 0, sizeof(*handles));
	return legacy ? open_legacy(handles, &options) : open_modern(handles, &options);
}

static char *variables(const struct bpf_object *object, size_t *size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".bss");

	/* Older libbpf headers return a pointer to const. */
	return map ? (char *)(uintptr_t)bpf_map__initial_value(map, size) : NULL;
}

int object_map_variables(struct bpf_object *object, struct bpf_handles *handles)
{
	size_t size, page = sysconf(_SC_PAGESIZE);
	char *data = variables(object, &size);
	int fd;

	if (!data)
		return -ENOENT;
	fd = bpf_map__fd(bpf_object__find_map_by_name(object, ".bss"));
	/* libbpf has mapped memory of its own there, with the values before the load. The map
	 * replaces it at the same address, so that handles stay valid. libbpf unmaps it in either
	 * case. */
	if (mmap(data, (size + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	memset(&handles->knob, 0, sizeof(handles->knob));
	return 0;
}

/* The offset of the variable in its section, or -ENOENT. */
static int variable_offset(const struct bpf_object *object, const char *name, size_t size)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_var_secinfo *info;
	const struct btf_type *type, *var;
	int id = btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC), i;

	if (id < 0)
		return -ENOENT;
	type = btf__type_by_id(btf, id);
	info = btf_var_secinfos(type);
	for (i = 0; i < btf_vlen(type); i++, info++) {
		var = btf__type_by_id(btf, info->type);
		if (info->size == size && !strcmp(btf__name_by_offset(btf, var->name_off), name))
			return info->offset;
	}
	return -ENOENT;
}

volatile void *object_variable(const struct bpf_object *object, const char *name, size_t size)
{
	int offset = variable_offset(object, name, size);
	char *data = variables(object, &size);

	return data && offset >= 0 ? data + offset : NULL;
}
