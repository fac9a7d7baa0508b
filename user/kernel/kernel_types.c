/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a kernel's types. Pure: unit tests describe kernels that are not at hand. */
#include "kernel/kernel.h"

#include <errno.h>
#include <string.h>

static const struct kernel_btf_wanted *find(const struct kernel_features *f,
					    const struct kernel_btf_wanted *type)
{
	for (unsigned i = 0; i < f->type_count; i++) {
		const struct kernel_btf_wanted *asked = &f->types[i];

		if (asked->kind == type->kind && !strcmp(asked->name, type->name) &&
		    !strcmp(asked->member ?: "", type->member ?: ""))
			return asked;
	}
	return NULL;
}

void kernel_ask(struct kernel_features *f, const struct kernel_btf_wanted *type)
{
	/* There is always room: event_source.c asserts it. */
	if (!find(f, type))
		f->types[f->type_count++] = *type;
}

bool kernel_has(const struct kernel_features *f, const struct kernel_btf_wanted *type)
{
	const struct kernel_btf_wanted *asked = find(f, type);

	return asked && asked->found;
}

uint32_t kernel_type_id(const struct kernel_features *f, const struct kernel_btf_wanted *type)
{
	return find(f, type)->id;
}

bool kernel_is_batched(const struct kernel_features *f)
{
	return f->batched_counters;
}

bool kernel_is_per_cpu(const struct kernel_features *f)
{
	return !f->batched_counters;
}

bool kernel_has_huge_pages(const struct kernel_features *f)
{
	return f->huge_page_bytes > 0;
}

bool kernel_is_preemptible(const struct kernel_features *f)
{
	return f->preemptible;
}

bool kernel_has_function_ends(const struct kernel_features *f)
{
	return f->function_ends;
}

const char *kernel_refusal(const struct kernel_features *k)
{
	if (k->btf_error == EACCES || k->btf_error == EPERM)
		return "the kernel's type information (/sys/kernel/btf/vmlinux) may not be read: "
		       "run as root";
	if (k->btf_error == EINVAL || k->btf_error == ENOTSUP)
		return "the kernel's type information (/sys/kernel/btf/vmlinux) can't be "
		       "understood: a newer pymem-bpf or another kernel is needed";
	if (k->btf_error && k->btf_error != ENOENT)
		return "the kernel's type information (/sys/kernel/btf/vmlinux) can't be read just "
		       "now: try again; memory or file descriptors may have run out";
	if (!k->btf)
		return "the kernel has no type information (/sys/kernel/btf/vmlinux): it needs "
		       "CONFIG_DEBUG_INFO_BTF=y, which distribution kernels from 5.10 on have";
	return NULL;
}
