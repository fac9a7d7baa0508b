/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which stack touches a page first (bpf/account/touched.bpf.h). It has no programs of its own:
 * those of other sources do it, if the knob says so. */
#include <sys/sysinfo.h>

#include "kernel/event_source.h"
#include "kernel/session_private.h"

#define LEAF_BYTES (PYMEM_TOUCHED_PAGES * 4096ull) /* of memory for which a leaf has ids */
#define LEAVES_FEW 4096 /* beyond that, for memory that is scattered: a process has at least 30 */
#define LEAVES_MAX (128 * 1024) /* 256 MiB, all allocated at the load */

static bool touches_are_asked(const struct session_options *options)
{
	return options->touched && options->faults && options->syscalls;
}

/* Leaves for all memory that the host has. */
static unsigned leaves(void)
{
	struct sysinfo info;
	unsigned long long count = LEAVES_FEW;

	if (!sysinfo(&info))
		count += info.totalram * info.mem_unit / LEAF_BYTES;
	return count > LEAVES_MAX ? LEAVES_MAX : (unsigned)count;
}

static void configure(struct session *session, bool loaded)
{
	struct bpf_map *const maps[] = {session->bpf.map.touched_dirs,
					session->bpf.map.touched_leaves,
					session->bpf.map.touched_free};
	unsigned count = loaded ? leaves() : 1;

	*session->bpf.knob.watch_touched = loaded;
	*session->bpf.knob.touched_room = loaded ? count : 0;
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		bpf_map__set_autocreate(maps[i], loaded);
		if (loaded)
			bpf_map__set_max_entries(maps[i], count);
	}
	bpf_map__set_autocreate(session->bpf.map.touched_firsts, loaded);
}

const struct event_source source_touched = {
	.name = "touched",
	.asked = touches_are_asked,
	.told_by = &source_vm_locks,
	.untold =
		"which line touched what is resident is not known: this kernel has no cheap way to "
		"tell which mappings change; --sys-exit tells it, and makes each system call of "
		"the "
		"host dearer",
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("page_fault_user"),
					  KERNEL_TRACEPOINT("page_fault_kernel")},
				.met = kernel_is_per_cpu,
				.what = "page faults told one by one (for --touched)",
				.remedy =
					"--touched shows nothing: it needs 6.2 or newer, and page "
					"fault tracepoints (arm64 has none)",
				.note = "which line touched what is resident is not known: that "
					"needs "
					"Linux 6.2 or newer, and page fault tracepoints (arm64 has "
					"none)",
			},
		},
	.configure = configure,
};
