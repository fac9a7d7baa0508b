/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is brought into the page cache (bpf/source/source_cache.bpf.c). */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool cache_is_asked(const struct session_options *options)
{
	return options->cache;
}

static void configure(struct session *session, bool loaded)
{
	const struct {
		struct bpf_map *map;
		unsigned entries;
		bool grows;
	} sizes[] = {
		{session->bpf.map.cached_places, PYMEM_CACHED_PLACES, true},
		{session->bpf.map.cached, PYMEM_CACHED_PLACES, false},
		{session->bpf.map.cached_free, PYMEM_CACHED_PLACES, false},
		{session->bpf.map.cache_file_numbers, PYMEM_CACHE_FILES, true},
		{session->bpf.map.cache_files, PYMEM_CACHE_FILES, false},
		{session->bpf.map.cache_files_free, PYMEM_CACHE_FILES, false},
		{session->bpf.map.cache_chunks,
		 session->kernel.run_time_alloc ? PYMEM_CACHE_CHUNKS : PYMEM_CACHE_CHUNKS_FEW,
		 true},
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bpf_map__set_autocreate(sizes[i].map, loaded);
		if (loaded && sizes[i].grows)
			session_set_size(session, sizes[i].map, sizes[i].entries);
		else if (loaded)
			bpf_map__set_max_entries(sizes[i].map, sizes[i].entries);
	}
}

const struct event_source source_cache = {
	.name = "cache",
	.programs = {"cache_deleted", "cache_added"},
	.asked = cache_is_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_filemap_add_to_page_cache"),
					  KERNEL_TRACEPOINT("mm_filemap_delete_from_page_cache")},
				.what = "tracepoints filemap:mm_filemap_add_to_page_cache, "
					"_delete_from_page_cache (for --events cache)",
				.remedy = "what is brought into the page cache is not counted",
				.note = "this kernel has no mm_filemap_add_to_page_cache "
					"tracepoints: what is brought into the page cache is not "
					"counted",
			},
		},
	.configure = configure,
};
