/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two builds of the BPF side are embedded (bpf/base/compat.bpf.h says why). libbpf's
 * skeletons would give each its own C types; here they are one object whose maps,
 * programs and globals go by name.
 */
#include "kernel/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pymem.h" /* types of variables */

#include "legacy.skel.h"
#include "modern.skel.h"

struct bpf_object *object_open(bool legacy)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "pymem");
	size_t size;
	const void *bytes = legacy ? legacy__elf_bytes(&size) : modern__elf_bytes(&size);

	return bpf_object__open_mem(bytes, size, &opts);
}

/* Offset of `name` in the data section `section`, or -ENOENT. */
static int variable_offset(const struct bpf_object *object, const char *section, const char *name)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_var_secinfo *info;
	const struct btf_type *type;
	int id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC), i;

	if (id < 0)
		return -ENOENT;
	type = btf__type_by_id(btf, id);
	info = btf_var_secinfos(type);
	for (i = 0; i < btf_vlen(type); i++, info++) {
		const struct btf_type *var = btf__type_by_id(btf, info->type);

		if (!strcmp(btf__name_by_offset(btf, var->name_off), name))
			return info->offset;
	}
	return -ENOENT;
}

static struct bpf_map *section_map(const struct bpf_object *object, const char *section)
{
	return bpf_object__find_map_by_name(object, section);
}

bool object_has_knob(const struct bpf_object *object, const char *name)
{
	return section_map(object, ".rodata") && variable_offset(object, ".rodata", name) >= 0;
}

bool object_has_variable(const struct bpf_object *object, const char *name)
{
	return section_map(object, ".bss") && variable_offset(object, ".bss", name) >= 0;
}

int object_set_knob(struct bpf_object *object, const char *name, uint32_t value)
{
	struct bpf_map *map = section_map(object, ".rodata");
	int offset = variable_offset(object, ".rodata", name);
	size_t size;
	char *data;

	if (!map || offset < 0)
		return -ENOENT;
	/* const only in older libbpf headers: before load it is ours to fill. */
	data = (char *)(uintptr_t)bpf_map__initial_value(map, &size);
	if (!data || offset + sizeof(value) > size)
		return -ENOENT;
	memcpy(data + offset, &value, sizeof(value));
	return 0;
}

struct object_globals {
	const struct bpf_object *object;
	char *data;
	size_t size;
};

struct object_globals *object_map_globals(struct bpf_object *object)
{
	struct bpf_map *map = section_map(object, ".bss");
	struct object_globals *globals;
	size_t page = sysconf(_SC_PAGESIZE);

	if (!map) {
		errno = ENOENT;
		return NULL;
	}
	globals = calloc(1, sizeof(*globals));
	if (!globals)
		return NULL;
	globals->object = object;
	globals->size = (bpf_map__value_size(map) + page - 1) & ~(page - 1);
	globals->data =
		mmap(NULL, globals->size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (globals->data == MAP_FAILED) {
		free(globals);
		return NULL;
	}
	return globals;
}

void object_unmap_globals(struct object_globals *globals)
{
	if (!globals)
		return;
	munmap(globals->data, globals->size);
	free(globals);
}

void *object_global(struct object_globals *globals, const char *name)
{
	int offset = variable_offset(globals->object, ".bss", name);

	return offset < 0 ? NULL : globals->data + offset;
}
