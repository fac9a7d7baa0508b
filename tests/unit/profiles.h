/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Profiles for the tests of renderers. They are built through model.h. Source files lie in a
 * temporary folder, which is the target's root. Amounts are in pages, and times are fixed. */
#ifndef PROFILES_H
#define PROFILES_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/model.h"
#include "os/rights.h"

#define PAGE	   4096
#define MIB(n)	   ((int64_t)((n)*256)) /* in pages */
#define START_WALL 2000.0
/* The file system sets the real time of a change, so the profile is dated in the future. */
#define AHEAD	    2100000000L
#define DEMO_FILE   "/srv/app/mprun_demo.py"
#define NUMPY_FILE  "/opt/venv/lib/python3.11/site-packages/numpy/core/numeric.py"
#define WORKER_FILE "/srv/app/worker.py"

static const char demo_source[] = "def sum_of_lists(N):\n"
				  "    total = 0\n"
				  "    for i in range(5):\n"
				  "        L = [j ^ (j >> i) for j in range(N)]\n"
				  "        total += sum(L)\n"
				  "        del L # remove reference to L\n"
				  "    return total\n"
				  "\n"
				  "# not part of it\n"
				  "\n"
				  "class Store:\n"
				  "    @cached(\n"
				  "        size=3)\n"
				  "    def load(self,\n"
				  "             name):\n"
				  "        \"\"\"Text\n"
				  "at the margin, with (brackets\"\"\"\n"
				  "\tself.data = read(name)\n"
				  "# a comment at the margin\n"
				  "        return self.data\n"
				  "\n"
				  "    def one(self): return 1\n"
				  "    key = lambda x: x\n"
				  "for n in range(3):\n"
				  "    sum_of_lists(1000000)\n";

struct profile {
	char folder[64];
	struct model *model;
};

static void profile_write(const struct profile *profile, const char *path, const char *text,
			  long mtime)
{
	struct timespec times[2] = {{.tv_sec = AHEAD + mtime}, {.tv_sec = AHEAD + mtime}};
	char name[512], *slash;
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", profile->folder, path);
	for (slash = name + strlen(profile->folder) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(name, 0755);
		*slash = '/';
	}
	file = fopen(name, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0 ||
	    utimensat(AT_FDCWD, name, times, 0) != 0)
		abort();
}

static void profile_open_root(const struct profile *profile, struct model_process *process)
{
	struct rights rights;

	process->root.root_fd = open(profile->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	process->root.start_wall = AHEAD + START_WALL;
	if (rights_of(getpid(), &rights))
		abort();
	source_root_set_rights(&process->root, &rights);
	if (process->root.root_fd < 0)
		abort();
}

static void profile_init(struct profile *profile)
{
	strcpy(profile->folder, "/tmp/pymem-profile-XXXXXX");
	profile->model = model_new(PAGE);
	if (!mkdtemp(profile->folder) || !profile->model)
		abort();
	profile->model->trees_kept = true;
	profile->model->host = strdup("build-7");
	profile->model->kernel = strdup("6.12.9");
	profile->model->version = strdup("0.1.0");
	profile->model->start = 1767225600.25;
	profile->model->end = 1767225660.5;
}

static void profile_fini(struct profile *profile)
{
	char command[128];

	model_free(profile->model);
	snprintf(command, sizeof(command), "rm -rf '%s'", profile->folder);
	if (system(command) != 0)
		abort();
}

/* One stack of up to three frames, innermost first. Amounts are in pages. */
struct sample {
	struct {
		const char *file, *function;
		int line, first_line;
	} frames[3];
	int64_t anon, file;
	uint64_t grown, freed, peak, minor, major, cow;
	struct pymem_vmcalls vmcalls;
};

static void profile_add(struct profile *profile, struct model_process *process,
			const struct sample *sample)
{
	const struct model_location *frames[3];
	struct pymem_counters counters = {
		.pages = {[PYMEM_ANON] = sample->anon, [PYMEM_FILE] = sample->file},
		.grown_pages = sample->grown,
		.freed_pages = sample->freed,
		.peak_pages = sample->peak,
		.minor_faults = sample->minor,
		.major_faults = sample->major,
		.cow_faults = sample->cow,
	};
	unsigned depth;

	for (depth = 0; depth < 3 && sample->frames[depth].file; depth++) {
		frames[depth] = model_location(
			profile->model, sample->frames[depth].file, sample->frames[depth].function,
			sample->frames[depth].line, sample->frames[depth].first_line);
		if (!frames[depth])
			abort();
	}
	if (model_add_stack(profile->model, process, frames, depth, false, &counters,
			    &sample->vmcalls) != 0)
		abort();
}

#define MODULE_FRAME                         \
	{                                    \
		DEMO_FILE, "<module>", 25, 1 \
	}
#define SUM_FRAME(line)                            \
	{                                          \
		DEMO_FILE, "sum_of_lists", line, 1 \
	}

static const struct sample demo_samples[] = {
	{.frames = {SUM_FRAME(4), MODULE_FRAME},
	 .anon = 6502 + 200,
	 .grown = 33000,
	 .freed = 33000 - 6702,
	 .peak = 19000,
	 .minor = 33000,
	 .vmcalls = {.calls = {[PYMEM_VMCALL_BRK] = 812, [PYMEM_VMCALL_MMAP] = 5},
		     .bytes = {[PYMEM_VMCALL_BRK] = 25 << 20, [PYMEM_VMCALL_MMAP] = 40 << 20}}},
	{.frames = {SUM_FRAME(6), MODULE_FRAME},
	 .anon = -6502,
	 .freed = 6502,
	 .peak = 18800,
	 .vmcalls = {.calls = {[PYMEM_VMCALL_MUNMAP] = 5},
		     .bytes = {[PYMEM_VMCALL_MUNMAP] = 40 << 20}}},
	{.frames = {SUM_FRAME(2), MODULE_FRAME}, .anon = 1, .grown = 1, .peak = 10000, .minor = 1},
	{.frames = {{NUMPY_FILE, "ones", 204, 170}, SUM_FRAME(5), MODULE_FRAME},
	 .anon = 8192,
	 .file = 20,
	 .grown = 8212,
	 .peak = 19250,
	 .minor = 8203,
	 .major = 9},
	{.frames = {{DEMO_FILE, "Store.load", 18, 12}, {DEMO_FILE, "<module>", 25, 1}},
	 .anon = 300,
	 .grown = 300,
	 .peak = 12000,
	 .minor = 300},
	{.frames = {{DEMO_FILE, "Store.load", 12, 12}}, .anon = 2, .grown = 2, .peak = 11000},
	{.frames = {{"<frozen importlib._bootstrap>", "_call_with_frames_removed", 488, 480}},
	 .file = 40,
	 .grown = 40,
	 .peak = 9990,
	 .minor = 40},
};

static const struct sample worker_samples[] = {
	{.frames = {{WORKER_FILE, "iterate", 3, 1}, {WORKER_FILE, "<module>", 9, 1}},
	 .cow = MIB(192),
	 .minor = MIB(192),
	 .peak = 60000},
};

static void profile_set_rss(struct model_process *process, int64_t start, int64_t end, int64_t peak)
{
	process->rss_start_bytes = start * PAGE;
	process->rss_end_bytes = end * PAGE;
	process->rss_peak_bytes = peak * PAGE;
}

static int64_t samples_pages(const struct sample *samples, size_t count)
{
	int64_t pages = 0;

	while (count--)
		pages += samples[count].anon + samples[count].file;
	return pages;
}

/* A program that runs, a child that has ended, one that did nothing, and one that was skipped. */
static inline void profile_fill(struct profile *profile)
{
	char *demo[] = {"/usr/bin/python3", "mprun_demo.py", "--size", "1000000", NULL};
	char *worker[] = {"gunicorn: worker [shop]", NULL}, *idle[] = {NULL};
	const size_t demo_count = sizeof(demo_samples) / sizeof(demo_samples[0]);
	struct model_process *p;
	size_t i;

	profile_write(profile, DEMO_FILE, demo_source, 1000);
	profile_write(profile, WORKER_FILE,
		      "def iterate(table):\n    for row in table:\n        hits = row.hits\n",
		      3000);
	p = model_add_process(profile->model, 4711, 1, "python3", demo,
			      "/system.slice/shop.service", "3.11.2", "walk");
	profile_open_root(profile, p);
	for (i = 0; i < demo_count; i++)
		profile_add(profile, p, &demo_samples[i]);
	p->lost_bytes[PYMEM_LOSS_NO_FRAME] = 230 * PAGE;
	p->lost_bytes[PYMEM_LOSS_OTHER_TASK] = -12 * PAGE;
	p->truncated_stacks = 3;
	p->lost_faults = 230;
	profile_set_rss(p, 9984, 9984 + samples_pages(demo_samples, demo_count) + 218, 19250);

	p = model_add_process(profile->model, 4720, 4711, "gunicorn", worker, "", "3.11.2", "walk");
	profile_open_root(profile, p);
	profile_add(profile, p, &worker_samples[0]);
	p->exited = true;
	p->lost_bytes[PYMEM_LOSS_EXIT] = -60000 * PAGE;
	profile_set_rss(p, 60000, 0, 60000);

	p = model_add_process(profile->model, 4800, 1, "idle", idle, NULL, "", "walk");
	profile_set_rss(p, 2500, 2501, 2501);
	p->lost_bytes[PYMEM_LOSS_UNIDENTIFIED] = PAGE;
	p->note = strdup("its interpreter could not be identified: no symbol _PyRuntime");

	if (model_add_skip(profile->model, 412, "gunicorn",
			   "Python 2.7 is not supported (3.6 or newer is)") != 0 ||
	    model_add_note(profile->model, "this kernel has no page fault tracepoints: faults are "
					   "not counted") != 0 ||
	    model_compute(profile->model) != 0)
		abort();
}

/* The same; of what its first process has resident, who touched it first is known: of each stack a
 * half of what it has added. */
static inline void profile_fill_touched(struct profile *profile)
{
	struct model_process *p;
	int64_t pages, known = 0;
	size_t i;

	profile_fill(profile);
	p = profile->model->processes[0];
	p->resident_known = true;
	for (i = 0; i < p->stack_count; i++) {
		pages = p->stacks[i].counters.pages[PYMEM_ANON] / 2;
		if (pages <= 0)
			continue;
		known += pages;
		if (model_add_resident(profile->model, p, p->stacks[i].frames, p->stacks[i].depth,
				       pages) != 0)
			abort();
	}
	p->resident_before_bytes = 3000 * PAGE;
	p->resident_unknown_bytes = p->rss_end_bytes - (3000 + known) * PAGE;
	if (model_compute(profile->model) != 0)
		abort();
}

/* The same; threads of its first process stalled. */
static inline void profile_fill_stalled(struct profile *profile)
{
	static const struct pymem_counters none;
	const struct pymem_vmcalls waits[] = {
		{.stalls = {[PYMEM_STALL_DIRECT] = 12, [PYMEM_STALL_MEMCG] = 1791},
		 .stall_ns = {[PYMEM_STALL_DIRECT] = 210000000, [PYMEM_STALL_MEMCG] = 3190000000},
		 .reclaimed_pages = 73918},
		{.stalls = {[PYMEM_STALL_COMPACTION] = 3,
			    [PYMEM_STALL_THROTTLED] = 2,
			    [PYMEM_STALL_HIGH] = 5},
		 .stall_ns = {[PYMEM_STALL_COMPACTION] = 1234567,
			      [PYMEM_STALL_THROTTLED] = 24000000,
			      [PYMEM_STALL_HIGH] = 1480000000}},
	};
	struct model_process *p;

	profile_fill(profile);
	profile->model->stalls_known = true;
	p = profile->model->processes[0];
	for (size_t i = 0; i < 2; i++)
		if (model_add_stack(profile->model, p, p->stacks[i].frames, p->stacks[i].depth,
				    false, &none, &waits[i]) != 0)
			abort();
	p->lost_stalls = 2;
	p->lost_stall_ns = 45678;
	if (model_compute(profile->model) != 0)
		abort();
}

/* The same; its first process had huge pages, was swapped out, and others took pages of it. */
static inline void profile_fill_extras(struct profile *profile)
{
	static const struct pymem_counters none;
	static const struct pymem_vmcalls extras[] = {
		{.extras = {[PYMEM_EXTRA_HUGE_PAGES] = 60,
			    [PYMEM_EXTRA_SWAPPED_IN] = 300,
			    [PYMEM_EXTRA_SWAPIN_NS] = 41000000}},
		{.extras = {[PYMEM_EXTRA_HUGE_PAGES] = 3,
			    [PYMEM_EXTRA_COLLAPSES] = 2,
			    [PYMEM_EXTRA_COLLAPSE_FILLED] = 700,
			    [PYMEM_EXTRA_SWAPPED_OUT] = 16}},
	};
	struct model_process *p;

	profile_fill(profile);
	profile->model->extras =
		PYMEM_EXTRA_HUGE | PYMEM_EXTRA_SWAP | PYMEM_EXTRA_WAITS | PYMEM_EXTRA_EXTERNAL;
	profile->model->huge_page_bytes = 2 << 20;
	p = profile->model->processes[0];
	for (size_t i = 0; i < 2; i++)
		if (model_add_stack(profile->model, p, p->stacks[i].frames, p->stacks[i].depth,
				    false, &none, &extras[i]) != 0)
			abort();
	p->lost_extras[PYMEM_EXTRA_COLLAPSES] = 1;
	p->lost_extras[PYMEM_EXTRA_COLLAPSE_FILLED] = 12 * PAGE;
	p->lost_extras[PYMEM_EXTRA_SWAPPED_OUT] = 9000 * PAGE;
	p->lost_extras[PYMEM_EXTRA_TAKEN] = 9100 * PAGE;
	model_add_taker(p, 57, "kswapd0", 9000 * PAGE);
	model_add_taker(p, 812, "\033[2Jx", 40 * PAGE);
	if (model_compute(profile->model) != 0)
		abort();
}

/* The same; of its first process it is known whose pages are in swap, and were taken at most. */
static inline void profile_fill_away(struct profile *profile)
{
	struct model_process *p;

	profile_fill_extras(profile);
	p = profile->model->processes[0];
	p->away_known = true;
	p->swapped_unknown_bytes = 200 * PAGE;
	for (size_t i = 0; i < 2; i++)
		if (model_add_away(profile->model, p, p->stacks[i].frames, p->stacks[i].depth,
				   7000 - 6000 * i, i ? 20000 : 30) != 0)
			abort();
	if (model_compute(profile->model) != 0)
		abort();
}

/* Adds what a stack of the process brought into the page cache, in pages. */
static inline void profile_add_cached(struct profile *profile, size_t stack, const char *path,
				      uint64_t added, uint64_t gone, uint64_t unknown)
{
	struct model_process *p = profile->model->processes[0];
	const struct model_cache_amounts amounts = {.bytes = added * PAGE,
						    .gone_bytes = gone * PAGE,
						    .unknown_bytes = unknown * PAGE,
						    .own_bytes = (added - unknown) * PAGE,
						    .other_bytes = unknown * PAGE};
	bool none = stack == SIZE_MAX;

	if (model_add_cached(profile->model, p, none ? NULL : p->stacks[stack].frames,
			     none ? 0 : p->stacks[stack].depth, PYMEM_LOSS_NO_FRAME, path,
			     path && strstr(path, "old"), &amounts) != 0)
		abort();
}

/* The same; for its first process the kernel took memory of its own. */
static inline void profile_fill_kernel(struct profile *profile)
{
	const struct pymem_kernel first = {.bytes = {64 << 20, 0, 3 << 20},
					   .gone = {0, 0, 1 << 20},
					   .objects = {0, 0, 4000},
					   .unknown = 4096},
				  second = {.bytes = {-(2 << 20)}}, lost = {.bytes = {8192}};
	struct model_process *p;

	profile_fill(profile);
	profile->model->kernel_known = true;
	p = profile->model->processes[0];
	if (model_add_kernel(profile->model, p, p->stacks[0].frames, p->stacks[0].depth,
			     PYMEM_LOSS_NO_FRAME, &first) ||
	    model_add_kernel(profile->model, p, p->stacks[1].frames, p->stacks[1].depth,
			     PYMEM_LOSS_NO_FRAME, &second) ||
	    model_add_kernel(profile->model, p, NULL, 0, PYMEM_LOSS_OTHER_TASK, &lost) ||
	    model_compute(profile->model))
		abort();
}

/* The same; its first process brought files into the page cache. */
static inline void profile_fill_cached(struct profile *profile)
{
	profile_fill(profile);
	profile->model->cache_known = true;
	profile_add_cached(profile, 0, "/srv/data.bin", 16384, 998, 0);
	profile_add_cached(profile, 1, "/srv/data.bin", 256, 0, 0);
	profile_add_cached(profile, 1, "/srv/old.log", 700, 700, 0);
	profile_add_cached(profile, SIZE_MAX, "/usr/lib/libm.so.6", 12, 0, 0);
	profile_add_cached(profile, 1, NULL, 3, 0, 3);
	model_lose_cached(profile->model->processes[0], PYMEM_LOSS_MAP_FULL, 2 * PAGE);
	if (model_compute(profile->model) != 0)
		abort();
}

/* The same, of the kernel's own memory; and what three control groups use: one of v2, one of v1,
 * and the root. The figures of the first are what its process has, and some more. */
static inline void profile_fill_memory(struct profile *profile)
{
	struct model_memory_group shop = {.path = "/system.slice/shop.service"},
				  old = {.path = "memory:/docker/x"}, top = {.path = "/"};
	struct model *model = profile->model;

	profile_fill_kernel(profile);
	for (int i = 0; i < CGROUP_PART_COUNT; i++) {
		old.start.bytes[i] = old.end.bytes[i] = -1;
		top.start.bytes[i] = top.end.bytes[i] = -1;
		shop.start.bytes[i] = MIB(1 + i) * PAGE;
		shop.end.bytes[i] = shop.start.bytes[i] + (int64_t)MIB(i) * PAGE / 2;
	}
	shop.end.bytes[CGROUP_TOTAL] = MIB(200) * PAGE;
	shop.end.bytes[CGROUP_ANON] = MIB(60) * PAGE;
	shop.end.bytes[CGROUP_KERNEL] = MIB(71) * PAGE;
	shop.end.bytes[CGROUP_PAGETABLES] = MIB(67) * PAGE;
	shop.start.bytes[CGROUP_VMALLOC] = shop.start.bytes[CGROUP_SEC_PAGETABLES] = -1;
	shop.end.processes = 3;
	shop.end.has_children = true;
	old.start.bytes[CGROUP_TOTAL] = old.end.bytes[CGROUP_TOTAL] = MIB(9) * PAGE;
	old.start.bytes[CGROUP_ANON] = MIB(5) * PAGE;
	old.end.bytes[CGROUP_ANON] = MIB(6) * PAGE;
	old.start.bytes[CGROUP_FILE] = old.end.bytes[CGROUP_FILE] = MIB(1) * PAGE;
	old.start.bytes[CGROUP_KERNEL] = MIB(2) * PAGE;
	old.end.bytes[CGROUP_KERNEL] = MIB(1) * PAGE;
	old.start.v1 = old.end.v1 = true;
	old.end.processes = 1;
	top.start.root = top.end.root = true;
	top.end.processes = -1;
	if (model_add_memory_group(model, &shop) || model_add_memory_group(model, &old) ||
	    model_add_memory_group(model, &top))
		abort();
	model->memory_batch = 512 << 10;
	for (size_t i = 0; i < 3; i++) {
		struct model_process *p = model->processes[i];

		p->memory_group = (unsigned)i + 1;
		p->anon_start_bytes = p->rss_start_bytes;
		p->anon_end_bytes = p->rss_end_bytes;
		p->tables_start_bytes = 20 * PAGE;
	}
}

#define HOSTILE_NAME                          \
	"\033]0;owned\007\033[2J\xe2\x80\xae" \
	"evil\n\xff\xc3(\xc2\x9b"             \
	"1m\xed\xa0\x80\x7f</script>"

/* All strings that a target controls are attacks, or very long. */
static inline void profile_fill_hostile(struct profile *profile)
{
	static char long_name[10241], marks[4097];
	char *command[] = {HOSTILE_NAME, long_name, "\r\n-c", NULL};
	struct model_process *p;
	struct sample sample = {.anon = 100, .grown = 100, .peak = 100, .minor = 100};
	size_t i;

	memset(long_name, 'A', sizeof(long_name) - 1);
	for (i = 0; i + 2 < sizeof(marks); i += 2)
		memcpy(marks + i, "\xcc\x81", 2);
	p = model_add_process(profile->model, 7, 1, HOSTILE_NAME, command, HOSTILE_NAME,
			      HOSTILE_NAME, "walk");
	profile_open_root(profile, p);
	profile_write(profile, "/x.py",
		      "\tx = '\033[31m\xe2\x80\xae\xff' \t# \xe6\xbc\xa2\xe5\xad\x97\n", 1);
	sample.frames[0].file = "/x.py";
	sample.frames[0].function = HOSTILE_NAME;
	sample.frames[0].line = 1;
	profile_add(profile, p, &sample);
	sample.frames[0].file = HOSTILE_NAME;
	sample.frames[0].line = 2147483647;
	sample.frames[0].first_line = 2147483647;
	profile_add(profile, p, &sample);
	sample.frames[0].file = long_name;
	sample.frames[0].function = long_name;
	sample.frames[0].first_line = -2147483647 - 1;
	profile_add(profile, p, &sample);
	sample.frames[0].file = marks;
	sample.frames[0].function = "";
	sample.frames[0].line = 1;
	profile_add(profile, p, &sample);
	profile_set_rss(p, 0, 400, 400);
	p->note = strdup(HOSTILE_NAME);
	if (model_add_skip(profile->model, 8, HOSTILE_NAME, HOSTILE_NAME) != 0 ||
	    model_add_note(profile->model, HOSTILE_NAME) != 0 || model_compute(profile->model) != 0)
		abort();
}

#endif
