/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, programs, constants and variables of the BPF side that user space uses, each with its
 * type. object_open() fills them in once, from the skeleton of the build that it opens
 * (bpf_object.c). If a build does not have a name, or has it with another type, this does not
 * compile, and the compiler names it.
 *
 * Not in here are the programs that an event source attaches; its descriptor names them
 * (event_source.h). */
#ifndef BPF_HANDLES_H
#define BPF_HANDLES_H

#include <bpf/libbpf.h>

#include "pymem.h"
#include "pymem_cache.h"
#include "pymem_line.h"
#include "pymem_objects.h"

/* What both builds have. MAP(name) PROGRAM(name) KNOB(name, type) VARIABLE(name, type) ARRAY(name,
 * type, length). A knob is a constant of BPF that is set before the load. A variable changes while
 * programs run; what it begins with may be set before the load, too. */
#define BPF_OF_MOST(MAP, PROGRAM, KNOB, VARIABLE, ARRAY)           \
	MAP(procs)                                                 \
	MAP(blank)                                                 \
	MAP(dead)                                                  \
	MAP(tgids)                                                 \
	MAP(wanted)                                                \
	MAP(threads)                                               \
	MAP(stacks)                                                \
	MAP(vmcalls)                                               \
	MAP(codes)                                                 \
	MAP(subids)                                                \
	MAP(layouts)                                               \
	MAP(blocks)                                                \
	MAP(block_records)                                         \
	MAP(ring)                                                  \
	MAP(changes)                                               \
	MAP(touched_dirs)                                          \
	MAP(touched_leaves)                                        \
	MAP(touched_free)                                          \
	MAP(touched_firsts)                                        \
	MAP(kernel_sums)                                           \
	MAP(kernel_owners)                                         \
	MAP(kernel_filter)                                         \
	MAP(cached_places)                                         \
	MAP(cached)                                                \
	MAP(cached_free)                                           \
	MAP(cache_file_numbers)                                    \
	MAP(cache_files)                                           \
	MAP(cache_files_free)                                      \
	MAP(cache_chunks)                                          \
	MAP(cpu_offsets)                                           \
	PROGRAM(attach_wanted)                                     \
	PROGRAM(settle)                                            \
	PROGRAM(collect)                                           \
	PROGRAM(block_command)                                     \
	KNOB(nr_cpus, __u32)                                       \
	KNOB(counter_batch, __u32)                                 \
	KNOB(follow_children, __u32)                               \
	KNOB(watch_host, __u32)                                    \
	KNOB(payer_images, __u32)                                  \
	KNOB(all_payers_images, __u32)                             \
	KNOB(quota_share, __u32)                                   \
	KNOB(quota_user_share, __u32)                              \
	KNOB(count_only, __u32)                                    \
	KNOB(count_faults, __u32)                                  \
	KNOB(own_tgid, __u32)                                      \
	KNOB(watch_touched, __u32)                                 \
	KNOB(watch_advice, __u32)                                  \
	KNOB(watch_kernel, __u32)                                  \
	KNOB(page_bytes, __u32)                                    \
	KNOB(kernel_allocs, __u32)                                 \
	KNOB(touched_room, __u32)                                  \
	KNOB(watch_huge, __u32)                                    \
	KNOB(watch_swap, __u32)                                    \
	KNOB(watch_waits, __u32)                                   \
	KNOB(watch_takers, __u32)                                  \
	KNOB(tell_changes, __u32)                                  \
	KNOB(limits_itself, __u32)                                 \
	KNOB(names_rate, __u32)                                    \
	KNOB(tell_threads, __u32)                                  \
	KNOB(ring_wakeup_bytes, __u32)                             \
	VARIABLE(copies_watched, __u32)                            \
	VARIABLE(touched_used, __u32)                              \
	VARIABLE(cached_next, __u32)                               \
	VARIABLE(cached_used, __u32)                               \
	VARIABLE(cache_files_next, __u32)                          \
	VARIABLE(reading, __u32)                                   \
	VARIABLE(walk_less, __u32)                                 \
	VARIABLE(shed_stacks, __u64)                               \
	VARIABLE(shortened_stacks, __u64)                          \
	VARIABLE(timed_walks, __u64)                               \
	VARIABLE(timed_ns, __u64)                                  \
	VARIABLE(dropped_changes, __u64)                           \
	VARIABLE(dropped_messages, __u64)                          \
	VARIABLE(dropped_images, __u64)                            \
	VARIABLE(cache_files_used, __u32)                          \
	VARIABLE(kernel_site_count, __u32)                         \
	VARIABLE(kernel_owners_used, __u32)                        \
	VARIABLE(cache_look, __u32)                                \
	VARIABLE(cache_emptied, __u32)                             \
	ARRAY(cache_filter, __u32, PYMEM_CACHE_FILTER_SLOTS)       \
	ARRAY(kernel_sites, struct pymem_site, PYMEM_SITES)        \
	ARRAY(kernel_held, __u32, PYMEM_ACCOUNTS)                  \
	ARRAY(payers, struct pymem_payer, PYMEM_PAYERS)            \
	ARRAY(places_used, __u32, PYMEM_TABLE_COUNT)               \
	ARRAY(table_rooms, __u32, PYMEM_TABLE_COUNT)               \
	ARRAY(accounts, struct pymem_account, PYMEM_ACCOUNTS)      \
	ARRAY(mm_filter, __u32, PYMEM_FILTER_SLOTS)                \
	ARRAY(cache_held, struct pymem_cache_held, PYMEM_ACCOUNTS) \
	ARRAY(tgid_filter, __u32, PYMEM_FILTER_SLOTS)

/* Of the exact engine. */
#define BPF_OF_PROBES(MAP, PROGRAM, KNOB, VARIABLE, ARRAY) \
	MAP(lines)                                         \
	MAP(line_stacks)                                   \
	PROGRAM(line)                                      \
	PROGRAM(function_entry)                            \
	PROGRAM(function_return)                           \
	PROGRAM(gc_start)                                  \
	PROGRAM(gc_done)                                   \
	PROGRAM(lines_settle)                              \
	KNOB(by_function, __u32)                           \
	VARIABLE(lines_off, __u32)                         \
	ARRAY(line_misses, __u64, PYMEM_LINE_MISS_COUNT)

#define BPF_OF_BOTH(...) BPF_OF_MOST(__VA_ARGS__) BPF_OF_PROBES(__VA_ARGS__)

#define BPF_OF_MODERN(MAP, PROGRAM, KNOB, VARIABLE, ARRAY) \
	PROGRAM(find_cpu_offsets)                          \
	KNOB(preemptible, __u32)                           \
	VARIABLE(cpu_offsets_found, __u32)

#define BPF_OF_LEGACY(MAP, PROGRAM, KNOB, VARIABLE, ARRAY) \
	MAP(line_blank)                                    \
	MAP(places)                                        \
	MAP(call_tails)                                    \
	PROGRAM(call_tail)                                 \
	KNOB(probe_cookies, __u32)

#define BPF_OF_EITHER(...) \
	BPF_OF_BOTH(__VA_ARGS__) BPF_OF_MODERN(__VA_ARGS__) BPF_OF_LEGACY(__VA_ARGS__)

#define BPF_SKIP(...)
#define BPF_MAP_FIELD(name)		    struct bpf_map *name;
#define BPF_PROGRAM_FIELD(name)		    struct bpf_program *name;
#define BPF_KNOB_FIELD(name, type)	    type *name;
#define BPF_VARIABLE_FIELD(name, type)	    volatile type *name;
#define BPF_ARRAY_FIELD(name, type, length) volatile type *name;

/* The handles belong to the object and are valid as long as it. NULL: only the other build has
 * it. */
struct bpf_handles {
	struct {
		BPF_OF_EITHER(BPF_MAP_FIELD, BPF_SKIP, BPF_SKIP, BPF_SKIP, BPF_SKIP)
	} map;
	struct {
		BPF_OF_EITHER(BPF_SKIP, BPF_PROGRAM_FIELD, BPF_SKIP, BPF_SKIP, BPF_SKIP)
	} program;
	struct { /* valid until the load; NULL after it */
		BPF_OF_EITHER(BPF_SKIP, BPF_SKIP, BPF_KNOB_FIELD, BPF_SKIP, BPF_SKIP)
	} knob;
	struct { /* before the load: what they begin with; after it: those of the programs */
		BPF_OF_EITHER(BPF_SKIP, BPF_SKIP, BPF_SKIP, BPF_VARIABLE_FIELD, BPF_ARRAY_FIELD)
	} variable;
};

#endif
