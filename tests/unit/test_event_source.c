/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* event_source.c: what follows from descriptors on kernels that are not at hand: what is loaded,
 * what `check` asks, why a kernel is refused, and what reports say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/event_source.h"

static const struct session_options none, all = {.faults = true, .syscalls = true, .lines = true},
					  no_lines = {.faults = true, .syscalls = true};

/* A kernel that has all that sources ask for, except `lacking` (NULL: nothing). */
static struct kernel_features kernel(bool batched, const char *lacking)
{
	struct kernel_features k = {
		.btf = true,
		.batched_counters = batched,
		.huge_page_bytes = 2 << 20,
		.uprobes = true,
		.function_ends = true,
		.symbols = true,
	};
	bool asked = !lacking;

	event_sources_ask(&k);
	for (unsigned i = 0; i < k.type_count; i++) {
		struct kernel_btf_wanted *type = &k.types[i];
		bool lacks = lacking && (!strcmp(type->name, lacking) ||
					 (type->member && !strcmp(type->member, lacking)));

		type->found = !lacks;
		asked |= lacks;
	}
	if (!asked)
		fail_msg("no source asks about %s", lacking);
	return k;
}

/* The names of all that are loaded, in a static buffer. */
static const char *loaded(const struct session_options *options, const struct kernel_features *k)
{
	static char names[256];

	*names = '\0';
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		if (event_source_is_loaded(event_sources[i], options, k))
			strcat(strcat(names, *names ? " " : ""), event_sources[i]->name);
	return names;
}

/* All that reports say about the kernel, one line each. */
static const char *notes(const struct session_options *options, const struct kernel_features *k)
{
	static char text[2048];
	const char *note;

	*text = '\0';
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		note = event_source_note(event_sources[i], options, k);
		if (note)
			strcat(strcat(text, note), "\n");
	}
	return text;
}

static void refuses(const struct kernel_features *k, const struct session_options *options,
		    const char *named, const char *remedy)
{
	const char *why = event_sources_refusal(options, k);

	assert_non_null(why);
	if (!strstr(why, named) || !strstr(why, remedy))
		fail_msg("%s and %s are not in: %s", named, remedy, why);
}

static void test_kernel_with_all(void **state)
{
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL);

	(void)state;
	assert_null(event_sources_refusal(&all, &modern));
	assert_null(event_sources_refusal(&all, &legacy));
	assert_string_equal(notes(&all, &modern), "");
	assert_string_equal(notes(&all, &legacy), "");
	assert_string_equal(loaded(&all, &modern), "rss lifecycle fault copies vm_functions lines");
	assert_string_equal(loaded(&all, &legacy), "rss lifecycle fault copies vm_functions lines");
	assert_string_equal(loaded(&no_lines, &modern), "rss lifecycle fault copies vm_functions");
	/* With batched counters, changes are only seen at faults. */
	assert_string_equal(loaded(&none, &modern), "rss lifecycle");
	assert_string_equal(loaded(&none, &legacy), "rss lifecycle fault copies");
	/* It says so on no other kernel. */
	assert_true(source_rss.differs(&legacy));
	assert_false(source_rss.differs(&modern));
	assert_non_null(strstr(source_rss.difference, "batches its counters per task"));
}

/* Where the kernel passes over events while a program of theirs is preempted, forks, execs and
 * exits are seen once more. */
static void test_events_seen_again(void **state)
{
	struct kernel_features k = kernel(false, NULL);

	(void)state;
	k.preemptible = true;
	assert_string_equal(loaded(&none, &k), "rss lifecycle again");
	assert_string_equal(loaded(&no_lines, &k), "rss lifecycle again fault copies vm_functions");
	assert_string_equal(loaded(&all, &k),
			    "rss lifecycle again fault copies vm_functions lines lines_again");
	assert_string_equal(notes(&all, &k), "");
	assert_null(event_sources_refusal(&all, &k));
}

/* Who touches pages first: only where each fault is told by itself, and only if asked for. */
static void test_touched(void **state)
{
	static const struct session_options touched = {
		.faults = true, .syscalls = true, .touched = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&touched, &modern),
			    "rss lifecycle fault copies vm_functions touched");
	assert_string_equal(notes(&touched, &modern), "");
	assert_string_equal(loaded(&touched, &legacy), "rss lifecycle fault copies vm_functions");
	assert_non_null(strstr(notes(&touched, &legacy), "Linux 6.2 or newer"));
	k = kernel(false, "btf_trace_page_fault_user");
	assert_string_equal(loaded(&touched, &k), "rss lifecycle vm_functions");
	assert_non_null(strstr(notes(&touched, &k), "which line touched what is resident"));
	assert_null(event_sources_refusal(&touched, &legacy));
}

/* If only some figures need it, these are missing, and reports say so. */
static void test_kernel_that_lacks_figures(void **state)
{
	struct kernel_features k = kernel(false, "btf_trace_page_fault_user");

	(void)state;
	/* As on arm64. Copies are found in faults, so they are useless alone and share their note.
	 */
	assert_null(event_sources_refusal(&all, &k));
	assert_string_equal(loaded(&no_lines, &k), "rss lifecycle vm_functions");
	assert_string_equal(notes(&no_lines, &k),
			    "this kernel has no page fault tracepoints: faults and copies on write "
			    "are not counted\n");
	assert_string_equal(notes(&none, &k), "");
	k = kernel(false, "btf_trace_mm_page_alloc");
	assert_null(event_sources_refusal(&all, &k));
	assert_string_equal(loaded(&no_lines, &k), "rss lifecycle fault vm_functions");
	assert_string_equal(notes(&no_lines, &k),
			    "this kernel has no mm_page_alloc tracepoint: copies on write are not "
			    "counted\n");
}

/* Memory system calls: by functions if programs can be attached to them, else by the lock; at the
 * exit of all system calls only if that was asked for, and functions don't do. */
static void test_syscalls(void **state)
{
	static const struct session_options plain = {.syscalls = true},
					    exits = {.syscalls = true, .sys_exit = true},
					    only_exits = {.sys_exit = true};
	struct kernel_features k = kernel(false, NULL);

	(void)state;
	assert_string_equal(loaded(&plain, &k), "rss lifecycle vm_functions");
	assert_string_equal(loaded(&exits, &k), "rss lifecycle vm_functions");
	k = kernel(false, "__x64_sys_madvise");
	assert_string_equal(loaded(&plain, &k), "rss lifecycle vm_locks");
	k = kernel(false, NULL);
	k.function_ends = false;
	assert_string_equal(loaded(&plain, &k), "rss lifecycle vm_locks");
	assert_string_equal(notes(&plain, &k), "");
	assert_string_equal(loaded(&exits, &k), "rss lifecycle syscall");
	assert_string_equal(notes(&exits, &k), "");
	assert_string_equal(loaded(&only_exits, &k), "rss lifecycle");
	assert_string_equal(notes(&only_exits, &k), "");
}

/* A kernel that has only the dear way. It is told by name, and not taken unasked. */
static void test_syscalls_at_exits_only(void **state)
{
	static const struct session_options plain = {.syscalls = true},
					    exits = {.syscalls = true, .sys_exit = true};
	static const char *const lacks[] = {"btf_trace_mmap_lock_acquire_returned",
					    "btf_trace_mmap_lock_released",
					    "btf_trace_vm_unmapped_area", "memcg_id"};
	struct kernel_features k;

	(void)state;
	for (unsigned i = 0; i < sizeof(lacks) / sizeof(*lacks); i++) {
		k = kernel(false, lacks[i]);
		k.function_ends = false;
		assert_string_equal(loaded(&plain, &k), "rss lifecycle");
		assert_string_equal(
			notes(&plain, &k),
			"this kernel has no cheap way to count memory system calls: they "
			"are not counted; --sys-exit counts them, and makes each system "
			"call of the host dearer\n");
		assert_string_equal(notes(&none, &k), "");
		assert_string_equal(loaded(&exits, &k), "rss lifecycle syscall");
		assert_string_equal(notes(&exits, &k), "");
		/* That they lack is nothing to a kernel that has functions. */
		k.function_ends = true;
		assert_string_equal(loaded(&plain, &k), "rss lifecycle vm_functions");
		assert_string_equal(notes(&plain, &k), "");
	}
	/* Batched counters: 6.1's events of the lock are dear. */
	k = kernel(true, NULL);
	k.function_ends = false;
	assert_string_equal(loaded(&plain, &k), "rss lifecycle fault copies");
	assert_non_null(strstr(notes(&plain, &k), "--sys-exit counts them"));
	k = kernel(false, "btf_trace_sys_exit");
	k.function_ends = false;
	assert_string_equal(loaded(&exits, &k), "rss lifecycle vm_locks");
	assert_non_null(strstr(notes(&exits, &k), "--sys-exit does nothing"));
}

/* Touches need to know which mappings change, in whichever way. */
static void test_touched_by(void **state)
{
	static const struct session_options plain = {.faults = true,
						     .syscalls = true,
						     .touched = true},
					    exits = {.faults = true,
						     .syscalls = true,
						     .sys_exit = true,
						     .touched = true};
	struct kernel_features k = kernel(false, NULL);

	(void)state;
	k.function_ends = false;
	assert_string_equal(loaded(&plain, &k),
			    "rss lifecycle fault copies vm_locks vm_moves touched");
	assert_string_equal(loaded(&exits, &k), "rss lifecycle fault copies syscall touched");
	k = kernel(false, "btf_trace_mmap_lock_start_locking");
	k.function_ends = false;
	assert_string_equal(loaded(&plain, &k), "rss lifecycle fault copies vm_locks touched");
	assert_non_null(strstr(notes(&plain, &k), "what mremap has moved is not always known"));
	assert_string_equal(notes(&exits, &k), "");
	k = kernel(false, "memcg_id");
	k.function_ends = false;
	assert_string_equal(loaded(&plain, &k), "rss lifecycle fault copies");
	assert_non_null(strstr(notes(&plain, &k), "no cheap way to tell which mappings change"));
	assert_string_equal(loaded(&exits, &k), "rss lifecycle fault copies syscall touched");
	assert_string_equal(notes(&exits, &k), "");
}

/* Stalls: only if they are asked for, and each kind for itself. */
static void test_stalls(void **state)
{
	static const struct session_options stalls = {.stalls = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&stalls, &modern),
			    "rss lifecycle reclaim memcg compaction throttled high");
	assert_string_equal(loaded(&stalls, &legacy),
			    "rss lifecycle fault copies reclaim memcg compaction throttled high");
	k = kernel(false, "btf_trace_mm_vmscan_memcg_reclaim_end");
	assert_string_equal(loaded(&stalls, &k), "rss lifecycle reclaim compaction throttled high");
	assert_string_equal(notes(&stalls, &k),
			    "this kernel has no mm_vmscan_memcg_reclaim tracepoints: waits for "
			    "reclaim in a control group are not counted\n");
	assert_string_equal(notes(&none, &k), "");
	k = kernel(false, "btf_trace_mm_compaction_begin");
	assert_string_equal(loaded(&stalls, &k), "rss lifecycle reclaim memcg throttled high");
	assert_non_null(strstr(notes(&stalls, &k), "mm_compaction"));
	k = kernel(false, "btf_trace_mm_vmscan_direct_reclaim_begin");
	assert_string_equal(loaded(&stalls, &k), "rss lifecycle memcg compaction throttled high");
	assert_non_null(strstr(notes(&stalls, &k), "mm_vmscan_direct_reclaim"));
	assert_null(event_sources_refusal(&stalls, &k));
	k = kernel(false, "btf_trace_mm_vmscan_throttled");
	assert_string_equal(loaded(&stalls, &k), "rss lifecycle reclaim memcg compaction high");
	assert_string_equal(notes(&stalls, &k),
			    "this kernel has no mm_vmscan_throttled tracepoint: waits until others "
			    "have freed memory count as reclaim\n");
}

/* The sleep beyond memory.high: at a function that has one of two names, where programs may be
 * attached to functions. */
static void test_high(void **state)
{
	static const struct session_options stalls = {.stalls = true};
	static const char *const names[] = {"mem_cgroup_handle_over_high",
					    "__mem_cgroup_handle_over_high"};
	static const char lacks[] =
		"this kernel lets no BPF program be attached to mem_cgroup_handle_over_high: the "
		"sleep of a group beyond its memory.high is not counted\n";
	struct kernel_features k;

	(void)state;
	for (int i = 0; i < 2; i++) {
		k = kernel(false, names[i]);
		assert_true(event_source_is_loaded(&source_high, &stalls, &k));
		assert_string_equal(notes(&stalls, &k), "");
		assert_false(event_source_is_loaded(&source_high, &none, &k));
	}
	for (unsigned i = 0; i < k.type_count; i++)
		if (!strcmp(k.types[i].name, names[0]))
			k.types[i].found = false;
	assert_false(event_source_is_loaded(&source_high, &stalls, &k));
	assert_string_equal(notes(&stalls, &k), lacks);
	assert_string_equal(notes(&none, &k), "");
	k = kernel(false, NULL);
	k.function_ends = false;
	assert_string_equal(loaded(&stalls, &k),
			    "rss lifecycle reclaim memcg compaction throttled");
	assert_string_equal(notes(&stalls, &k), lacks);
	assert_null(event_sources_refusal(&stalls, &k));
}

/* The page cache: only if it is asked for. */
static void test_cache(void **state)
{
	static const struct session_options cache = {.cache = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&cache, &modern), "rss lifecycle cache");
	assert_string_equal(loaded(&cache, &legacy), "rss lifecycle fault copies cache");
	k = kernel(false, "btf_trace_mm_filemap_delete_from_page_cache");
	assert_string_equal(loaded(&cache, &k), "rss lifecycle");
	assert_string_equal(notes(&cache, &k),
			    "this kernel has no mm_filemap_add_to_page_cache tracepoints: what is "
			    "brought into the page cache is not counted\n");
	assert_string_equal(notes(&none, &k), "");
	assert_null(event_sources_refusal(&cache, &k));
}

/* Huge pages: only if they are asked for; a kernel without any says so once. */
static void test_huge(void **state)
{
	static const struct session_options huge = {.huge = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&huge, &modern), "rss lifecycle huge collapse");
	assert_string_equal(loaded(&huge, &legacy), "rss lifecycle fault copies huge collapse");
	k = kernel(false, "btf_trace_mm_collapse_huge_page");
	assert_string_equal(loaded(&huge, &k), "rss lifecycle huge");
	assert_string_equal(
		notes(&huge, &k),
		"this kernel has no mm_collapse_huge_page tracepoints: small pages that "
		"become huge ones are not counted\n");
	k.huge_page_bytes = 0;
	assert_string_equal(loaded(&huge, &k), "rss lifecycle");
	assert_string_equal(notes(&huge, &k),
			    "this kernel has no transparent huge pages: there are none to count\n");
	assert_string_equal(notes(&none, &k), "");
	assert_null(event_sources_refusal(&huge, &k));
}

/* Swap: what comes back needs faults told one by one. What others take needs nothing more. */
static void test_swap(void **state)
{
	static const struct session_options swap = {.faults = true, .swap = true},
					    external = {.external = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&swap, &modern), "rss lifecycle fault copies swap swap_in");
	assert_string_equal(notes(&swap, &modern), "");
	assert_string_equal(loaded(&swap, &legacy), "rss lifecycle fault copies swap");
	assert_non_null(strstr(notes(&swap, &legacy), "which lines bring pages back from swap"));
	k = kernel(false, "btf_trace_page_fault_user");
	assert_string_equal(loaded(&swap, &k), "rss lifecycle swap");
	assert_non_null(strstr(notes(&swap, &k), "(arm64 has none)"));
	assert_string_equal(loaded(&external, &modern), "rss lifecycle external");
	assert_string_equal(notes(&external, &legacy), "");
}

/* The kernel's own memory: only if it is asked for. */
static void test_kernel_memory(void **state)
{
	static const struct session_options memory = {.kernel = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&memory, &modern),
			    "rss lifecycle tables table_faults kernel_slab "
			    "kernel_pages kernel_caches kernel_kinds");
	assert_string_equal(loaded(&memory, &legacy),
			    "rss lifecycle fault copies tables table_faults "
			    "kernel_slab kernel_pages kernel_caches kernel_kinds");
	k = kernel(false, "btf_trace_page_fault_kernel");
	assert_string_equal(loaded(&memory, &k), "rss lifecycle tables kernel_slab kernel_pages "
						 "kernel_caches kernel_kinds");
	assert_string_equal(notes(&memory, &k),
			    "this kernel has no page fault tracepoints: page tables that come "
			    "without a change of RSS are at a later line\n");
	assert_string_equal(notes(&none, &k), "");
	k = kernel(false, "btf_trace_task_newtask");
	assert_string_equal(loaded(&memory, &k), "rss lifecycle tables table_faults");
	assert_non_null(strstr(notes(&memory, &k), "no kmem tracepoints of objects"));
	k = kernel(false, "btf_trace_mm_page_free");
	assert_string_equal(loaded(&memory, &k), "rss lifecycle tables table_faults kernel_slab "
						 "kernel_caches kernel_kinds");
	assert_non_null(strstr(notes(&memory, &k), "data in pipes"));
	k = kernel(true, "trace_event_raw_kmem_cache_alloc");
	assert_non_null(strstr(notes(&memory, &k), "6.1 and newer"));
	k = kernel(false, NULL);
	k.symbols = false;
	assert_string_equal(loaded(&memory, &k), "rss lifecycle tables table_faults kernel_slab "
						 "kernel_pages kernel_caches");
	assert_non_null(strstr(notes(&memory, &k), "kptr_restrict"));
	assert_null(event_sources_refusal(&memory, &k));
}

/* Last words: without the OOM killer's tracepoint all but who it was is known. */
static void test_last_words(void **state)
{
	static const struct session_options words = {.last_words = true};
	struct kernel_features modern = kernel(false, NULL), legacy = kernel(true, NULL), k;

	(void)state;
	assert_string_equal(loaded(&words, &modern), "rss lifecycle lastwords victims");
	assert_string_equal(loaded(&words, &legacy),
			    "rss lifecycle fault copies lastwords victims");
	k = kernel(false, "btf_trace_mark_victim");
	assert_string_equal(loaded(&words, &k), "rss lifecycle lastwords");
	assert_string_equal(notes(&words, &k),
			    "this kernel has no mark_victim tracepoint: kills by the OOM killer "
			    "are not told from others\n");
	assert_string_equal(notes(&none, &k), "");
	k = kernel(false, "btf_trace_signal_deliver");
	assert_string_equal(loaded(&words, &k), "rss lifecycle");
	assert_non_null(strstr(notes(&words, &k), "signal_deliver"));
	assert_null(event_sources_refusal(&words, &k));
}

static void test_kernel_that_is_refused(void **state)
{
	struct kernel_features k = kernel(false, "btf_trace_rss_stat");

	(void)state;
	refuses(&k, &none, "rss_stat", "5.10");
	k = kernel(false, "BPF_MAP_TYPE_RINGBUF");
	refuses(&k, &none, "too old", "5.10");
	k = kernel(true, "bpf_iter__task");
	refuses(&k, &none, "task iterator", "5.10");
	k = kernel(false, "BPF_FUNC_map_lookup_percpu_elem");
	refuses(&k, &none, "bpf_map_lookup_percpu_elem", "newer");
	/* 5.10 to 6.1 don't need it. */
	k = kernel(true, "BPF_FUNC_map_lookup_percpu_elem");
	assert_null(event_sources_refusal(&all, &k));
	/* As on arm64 before 6.2: refused whatever is asked for. */
	k = kernel(true, "btf_trace_page_fault_user");
	refuses(&k, &none, "page fault tracepoints", "6.2 or newer");
	/* Needed only if it is asked for. */
	k = kernel(false, NULL);
	k.uprobes = false;
	refuses(&k, &all, "uprobes", "leave them out");
	assert_null(event_sources_refusal(&no_lines, &k));
	/* The first missing need is named; without it the others don't matter. */
	memset(&k, 0, sizeof(k));
	event_sources_ask(&k);
	refuses(&k, &all, "rss_stat", "5.10");
}

/* What `check` asks of a kernel, in its order. "!": each session needs it. */
static const char *asked(const struct kernel_features *k)
{
	static char text[4096];

	*text = '\0';
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		const struct event_source *source = event_sources[i];

		for (int j = 0; j < SOURCE_NEEDS_MAX && source->needs[j].what; j++) {
			const struct source_need *need = &source->needs[j];

			if (need->applies && !need->applies(k))
				continue;
			strcat(text, need->what);
			if (event_source_is_required(source, k) && need->refusal)
				strcat(text, "!");
			strcat(text, "\n");
		}
	}
	return text;
}

static void test_check(void **state)
{
	struct kernel_features modern = kernel(false, NULL);

	(void)state;
	assert_string_equal(
		asked(&modern),
		"tracepoint kmem:rss_stat!\n"
		"BPF ring buffer, task iterator!\n"
		"RSS counters!\n"
		"page fault tracepoints\n"
		"tracepoint kmem:mm_page_alloc\n"
		"BPF programs at the end of functions (fexit)\n"
		"tracepoint raw_syscalls:sys_exit (for --sys-exit)\n"
		"tracepoints vmscan:mm_vmscan_direct_reclaim_* (for --events reclaim)\n"
		"tracepoints vmscan:mm_vmscan_memcg_reclaim_* (for --events reclaim)\n"
		"tracepoints compaction:mm_compaction_begin, _end (for --events reclaim)\n"
		"tracepoint vmscan:mm_vmscan_throttled (for --events reclaim)\n"
		"BPF programs at mem_cgroup_handle_over_high (for --events reclaim)\n"
		"tracepoints filemap:mm_filemap_add_to_page_cache, _delete_from_page_cache (for "
		"--events cache)\n"
		"transparent huge pages (for --events huge)\n"
		"tracepoints huge_memory:mm_collapse_huge_page, _isolate (for --events huge)\n"
		"page faults told one by one (for --events swap)\n"
		"sizes of page tables (for --events kernel)\n"
		"page fault tracepoints (for --events kernel)\n"
		"tracepoints kmem:kmem_cache_alloc, kmalloc, kmem_cache_free, kfree, "
		"task:task_newtask (for --events kernel)\n"
		"tracepoints kmem:mm_page_alloc, mm_page_free (for --events kernel)\n"
		"caches told with the kernel's objects (for --events kernel)\n"
		"addresses of the kernel's functions (for --events kernel)\n"
		"tracepoints signal:signal_generate, _deliver\n"
		"tracepoint oom:mark_victim\n"
		"page faults told one by one (for --touched)\n"
		"uprobes with reference counts (for --lines, --functions)\n"
		"privileges for --lines, --functions\n");
}

static void test_check_of_old_kernels(void **state)
{
	struct kernel_features legacy = kernel(true, NULL);

	(void)state;
	legacy.uprobes = false;
	assert_string_equal(
		asked(&legacy),
		"tracepoint kmem:rss_stat!\n"
		"BPF ring buffer, task iterator!\n"
		"RSS counters\n"
		"page fault tracepoints!\n"
		"tracepoint kmem:mm_page_alloc\n"
		"BPF programs at the end of functions (fexit)\n"
		"tracepoint raw_syscalls:sys_exit (for --sys-exit)\n"
		"tracepoints vmscan:mm_vmscan_direct_reclaim_* (for --events reclaim)\n"
		"tracepoints vmscan:mm_vmscan_memcg_reclaim_* (for --events reclaim)\n"
		"tracepoints compaction:mm_compaction_begin, _end (for --events reclaim)\n"
		"tracepoint vmscan:mm_vmscan_throttled (for --events reclaim)\n"
		"BPF programs at mem_cgroup_handle_over_high (for --events reclaim)\n"
		"tracepoints filemap:mm_filemap_add_to_page_cache, _delete_from_page_cache (for "
		"--events cache)\n"
		"transparent huge pages (for --events huge)\n"
		"tracepoints huge_memory:mm_collapse_huge_page, _isolate (for --events huge)\n"
		"page faults told one by one (for --events swap)\n"
		"sizes of page tables (for --events kernel)\n"
		"page fault tracepoints (for --events kernel)\n"
		"tracepoints kmem:kmem_cache_alloc, kmalloc, kmem_cache_free, kfree, "
		"task:task_newtask (for --events kernel)\n"
		"tracepoints kmem:mm_page_alloc, mm_page_free (for --events kernel)\n"
		"caches told with the kernel's objects (for --events kernel)\n"
		"addresses of the kernel's functions (for --events kernel)\n"
		"tracepoints signal:signal_generate, _deliver\n"
		"tracepoint oom:mark_victim\n"
		"page faults told one by one (for --touched)\n"
		"uprobes with reference counts (for --lines, --functions)\n");
}

/* True if another source is loaded where this one can't be. */
static bool has_substitute(const struct event_source *source)
{
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		if (event_sources[i]->rather == source)
			return true;
	return false;
}

/* For each need that can be missing, something is said: a note in reports, or a refusal. */
static void test_nothing_is_silent(void **state)
{
	(void)state;
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		const struct event_source *source = event_sources[i];

		assert_non_null(source->name);
		/* One without programs changes what those of others do, or says what of it is
		 * missing. */
		assert_true(source->programs[0] || source->others[0] || source->configure ||
			    (source->part_of && source->needs[0].note));
		assert_true(!source->differs == !source->difference);
		assert_true(!source->dropped == !source->dropped_text);
		for (int j = 0; j < SOURCE_NEEDS_MAX && source->needs[j].what; j++) {
			const struct source_need *need = &source->needs[j];

			if (!need->types[0].name && !need->met && !need->allowed)
				continue;
			assert_non_null(need->remedy);
			/* What another one does instead says what that leaves out. */
			assert_true(need->allowed || need->refusal || need->note ||
				    has_substitute(source));
		}
	}
}

static bool toy_is_asked(const struct session_options *options)
{
	return options->many;
}

static bool forbidden(void)
{
	return false;
}

/* A source as a later change may add it. */
static const struct event_source toy = {
	.name = "toy",
	.programs = {"toy_begin", "toy_end"},
	.asked = toy_is_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("toy_begin"),
					  KERNEL_TRACEPOINT("toy_end")},
				.what = "tracepoints of toys",
				.remedy = "toys are not counted",
				.note = "this kernel has no toys",
			},
			{
				.allowed = forbidden,
				.what = "privileges for toys",
				.remedy = "be root",
			},
		},
};

static const struct event_source part = {
	.name = "part",
	.programs = {"part"},
	.part_of = &toy,
};

static void test_toy(void **state)
{
	static const struct session_options with = {.many = true};
	struct kernel_features k = kernel(false, NULL);

	(void)state;
	/* One of two types is not enough. */
	kernel_ask(&k, &toy.needs[0].types[0]);
	k.types[k.type_count - 1].found = true;
	assert_false(source_need_is_met(&toy.needs[0], &k));
	assert_false(event_source_is_loaded(&toy, &with, &k));
	assert_false(event_source_is_loaded(&part, &with, &k));
	assert_string_equal(event_source_note(&toy, &with, &k), "this kernel has no toys");
	assert_null(event_source_note(&toy, &none, &k));
	assert_null(event_source_note(&part, &with, &k));
	assert_null(event_source_refusal(&toy, &with, &k));
	kernel_ask(&k, &toy.needs[0].types[1]);
	k.types[k.type_count - 1].found = true;
	assert_true(source_need_is_met(&toy.needs[0], &k));
	/* A user who is not allowed learns that when it is attached; the kernel lacks nothing. */
	assert_false(source_need_is_met(&toy.needs[1], &k));
	assert_true(event_source_is_loaded(&toy, &with, &k));
	assert_true(event_source_is_loaded(&part, &with, &k));
	assert_false(event_source_is_loaded(&toy, &none, &k));
	assert_false(event_source_is_loaded(&part, &none, &k));
	assert_false(event_source_is_required(&toy, &k));
	assert_null(event_source_note(&toy, &with, &k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_with_all),
		cmocka_unit_test(test_events_seen_again),
		cmocka_unit_test(test_touched),
		cmocka_unit_test(test_kernel_that_lacks_figures),
		cmocka_unit_test(test_stalls),
		cmocka_unit_test(test_high),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_swap),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_kernel_memory),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_kernel_that_is_refused),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_of_old_kernels),
		cmocka_unit_test(test_syscalls),
		cmocka_unit_test(test_syscalls_at_exits_only),
		cmocka_unit_test(test_touched_by),
		cmocka_unit_test(test_nothing_is_silent),
		cmocka_unit_test(test_toy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
