/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel allocates for lines (bpf/source/source_kernel.bpf.c). What kernels have or lack
 * apart is a source each; two of them have no programs, and say only what is not known. */
#include <errno.h>
#include <unistd.h>

#include "kernel/event_source.h"
#include "kernel/kernel_sites.h"
#include "kernel/session_private.h"

#define SYMBOLS "/proc/kallsyms"

static bool kernel_is_asked(const struct session_options *options)
{
	return options->kernel;
}

static void configure(struct session *session, bool loaded)
{
	bpf_map__set_autocreate(session->bpf.map.kernel_owners, loaded);
	bpf_map__set_autocreate(session->bpf.map.kernel_filter, loaded);
	*session->bpf.knob.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	*session->bpf.knob.kernel_allocs = session->kernel.kernel_allocs;
	if (!loaded)
		return;
	bpf_map__set_max_entries(session->bpf.map.kernel_owners, PYMEM_KERNEL_OWNERS);
	bpf_map__set_max_entries(session->bpf.map.kernel_filter, PYMEM_KERNEL_FILTER);
}

const struct event_source source_kernel_slab = {
	.name = "kernel_slab",
	.programs = {"cache_object_freed", "plain_object_freed", "cache_object", "plain_object",
		     "task_made"},
	.asked = kernel_is_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("kmem_cache_alloc"),
					  KERNEL_TRACEPOINT("kmalloc"),
					  KERNEL_TRACEPOINT("kmem_cache_free"),
					  KERNEL_TRACEPOINT("kfree"),
					  KERNEL_TRACEPOINT("task_newtask")},
				.what = "tracepoints kmem:kmem_cache_alloc, kmalloc, "
					"kmem_cache_free, kfree, task:task_newtask (for --events "
					"kernel)",
				.remedy = "the kernel's objects are not counted",
				.note = "this kernel has no kmem tracepoints of objects: of its "
					"own memory they are not counted",
			},
		},
	.passed_text = "objects of all processes were allocated or freed unseen: what is still "
		       "there of the kernel's own memory may be less or more",
	.configure = configure,
};

const struct event_source source_kernel_pages = {
	.name = "kernel_pages",
	.programs = {"pages_freed", "pages_made"},
	.part_of = &source_kernel_slab,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_page_alloc"),
					  KERNEL_TRACEPOINT("mm_page_free")},
				.what = "tracepoints kmem:mm_page_alloc, mm_page_free (for "
					"--events "
					"kernel)",
				.remedy = "data in pipes and large blocks of the kernel are not "
					  "counted",
				.note = "this kernel has no mm_page_free tracepoint: data in pipes "
					"and large blocks of the kernel are not counted",
			},
		},
};

const struct event_source source_kernel_caches = {
	.name = "kernel_caches",
	.part_of = &source_kernel_slab,
	.needs =
		{
			{
				.types = {KERNEL_STRUCT("trace_event_raw_kmem_cache_alloc")},
				.what = "caches told with the kernel's objects (for --events "
					"kernel)",
				.remedy = "sockets, files and threads are counted in part; 6.1 or "
					  "newer tells of all",
				.note = "this kernel tells only in part of the objects that it "
					"allocates (6.1 and newer: of all): less of its own memory "
					"is counted than there is",
			},
		},
};

static bool shows_symbols(const struct kernel_features *kernel)
{
	return kernel->symbols;
}

/* Which functions allocate what. */
static int prepare(struct session *session)
{
	struct pymem_site sites[PYMEM_SITES];
	FILE *symbols = fopen(SYMBOLS, "re");
	size_t count;

	if (!symbols)
		return -errno;
	count = kernel_sites_read(symbols, sites);
	fclose(symbols);
	for (size_t i = 0; i < count; i++)
		session->bpf.variable.kernel_sites[i] = sites[i];
	*session->bpf.variable.kernel_site_count = (uint32_t)count;
	return 0;
}

const struct event_source source_kernel_kinds = {
	.name = "kernel_kinds",
	.part_of = &source_kernel_slab,
	.needs =
		{
			{
				.met = shows_symbols,
				.what = "addresses of the kernel's functions (for --events kernel)",
				.remedy = "kinds of objects are not told apart: look at "
					  "kernel.kptr_restrict",
				.note = "the kernel hides the addresses of its functions "
					"(kernel.kptr_restrict): its objects are not told apart by "
					"kind",
			},
		},
	.prepare = prepare,
};
