/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Features are read from the kernel's own type information. If it has a type btf_trace_NAME, it has
 * the tracepoint; a structure is as its type says. Version numbers are not used, since
 * distributions change kernels without changing them. */
#include "kernel/kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/event_source.h"
#include "kernel/kernel_sites.h"

/* Loads a program for the end of the kernel's function with that number. It returns 0; with
 * `tails`, an array of programs, it would go on with the first of these. Its descriptor, or -errno.
 */
static int load_trial(uint32_t function, int tails)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = tails},
		{.code = 0}, /* its second half */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	const size_t count = sizeof(insns) / sizeof(*insns), first = tails < 0 ? count - 2 : 0;
	LIBBPF_OPTS(bpf_prog_load_opts, how, .expected_attach_type = BPF_TRACE_FEXIT,
		    .attach_btf_id = function);

	return bpf_prog_load(BPF_PROG_TYPE_TRACING, "pymem_trial", "GPL", insns + first,
			     count - first, &how);
}

/* Can programs be loaded for the ends of these functions, and is one attached? With `tails` (-1:
 * none), those of the first FUNCTIONS_THAT_SHARE_A_TAIL go on with a program of that array. */
static bool trial_succeeds(const struct kernel_features *f,
			   const struct kernel_btf_wanted *functions, unsigned count, int tails)
{
	int program, link = -1;
	bool loaded = true;

	for (unsigned i = 0; i < count && loaded; i++) {
		program = load_trial(kernel_type_id(f, &functions[i]),
				     i < FUNCTIONS_THAT_SHARE_A_TAIL ? tails : -1);
		loaded = program >= 0;
		if (loaded && !i)
			link = bpf_raw_tracepoint_open(NULL, program);
		if (loaded)
			close(program);
	}
	if (link < 0)
		return false;
	close(link);
	return loaded;
}

/* True if the programs of source_vm_functions can be attached. It is tried out: types tell only
 * that there are such functions. It takes a kernel with CONFIG_FUNCTION_TRACER and a JIT compiler
 * that makes trampolines (arm64: 6.0; for functions of the kernel 6.4), and nobody who forbids it.
 */
static bool attaches_to_ends(const struct kernel_features *f)
{
	const struct kernel_btf_wanted *functions = source_vm_functions.needs[0].types;
	unsigned count = 0;
	bool succeeds;
	int tails;

	for (; count < NEED_TYPES_MAX && functions[count].name; count++)
		if (!kernel_has(f, &functions[count]))
			return false;
	if (!f->batched_counters)
		return trial_succeeds(f, functions, count, -1);
	tails = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "pymem_trial", sizeof(uint32_t),
			       sizeof(uint32_t), 1, NULL);
	if (tails < 0)
		return false;
	/* Some kernels want all programs of such an array to be of functions of one type. */
	succeeds = trial_succeeds(f, functions, count, tails);
	close(tails);
	return succeeds;
}

/* 0: this kernel has none. */
static size_t huge_page_bytes(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	unsigned long long bytes = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%llu", &bytes) != 1)
		bytes = 0;
	fclose(file);
	return bytes;
}

void kernel_probe(struct kernel_features *f)
{
	/* The type of mm_struct.rss_stat until 6.2 (f1a7941243c1 made it an array of
	 * percpu_counter). */
	static const struct kernel_btf_wanted batched = KERNEL_STRUCT("mm_rss_stat");
	static const struct kernel_btf_wanted run_time = KERNEL_STRUCT("bpf_mem_alloc");
	/* From 7.0 on (a46023d5616e "tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with
	 * SRCU-fast") who takes a program off a tracepoint waits for SRCU. Up to 6.12 that was so
	 * for some tracepoints, but preemption was off. */
	static const struct kernel_btf_wanted waits = KERNEL_MEMBER("tp_transition_snapshot",
								    "srcu_gp"),
					      later = KERNEL_FUNCTION(
						      "bpf_local_irq_save"), /* 6.14 */
		holds = KERNEL_FUNCTION("bpf_preempt_disable");
	/* 6.1 has one tracepoint for all caches; before it, 5.19 had begun to hand over the cache
	 * and to say what is accounted. BPF programs can't ask: what they look for and is not there
	 * is looked for in modules, which takes CAP_SYS_ADMIN. */
	static const struct kernel_btf_wanted now = KERNEL_STRUCT(
						      "trace_event_raw_kmem_cache_alloc"),
					      caches = KERNEL_MEMBER("trace_event_raw_kmem_alloc",
								     "accounted");

	memset(f, 0, sizeof(*f));
	kernel_ask(f, &batched);
	kernel_ask(f, &run_time);
	kernel_ask(f, &waits);
	kernel_ask(f, &later);
	kernel_ask(f, &holds);
	kernel_ask(f, &now);
	kernel_ask(f, &caches);
	event_sources_ask(f);
	f->btf_error = -kernel_btf_find(KERNEL_BTF, f->types, f->type_count);
	if (f->btf_error)
		return;
	f->btf = true;
	f->batched_counters = kernel_has(f, &batched);
	f->run_time_alloc = kernel_has(f, &run_time);
	f->preemptible = kernel_has(f, &waits) && kernel_has(f, &later) && kernel_has(f, &holds);
	f->kernel_allocs = kernel_has(f, &now)	    ? KERNEL_ALLOCS_NOW
			   : kernel_has(f, &caches) ? KERNEL_ALLOCS_CACHES
						    : KERNEL_ALLOCS_PLAIN;
	f->huge_page_bytes = huge_page_bytes();
	f->function_ends = attaches_to_ends(f);
	f->symbols = kernel_shows_symbols("/proc/kallsyms");
	f->uprobes = !access("/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset", F_OK);
}

/* PROC_PID_INIT_INO, PROC_USER_INIT_INO in include/linux/proc_ns.h */
#define INITIAL_PID_NAMESPACE  0xeffffffcU
#define INITIAL_USER_NAMESPACE 0xeffffffdU

/* A kernel without such namespaces has only that one. */
static bool is_initial(const char *namespace, ino_t initial)
{
	struct stat st;

	return stat(namespace, &st) || st.st_ino == initial;
}

bool kernel_host_pids(void)
{
	return is_initial("/proc/self/ns/pid", INITIAL_PID_NAMESPACE);
}

bool kernel_host_users(void)
{
	return is_initial("/proc/self/ns/user", INITIAL_USER_NAMESPACE);
}

static uint64_t effective_capabilities(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(file);
	return caps;
}

void kernel_missing_capabilities(char *names, size_t size)
{
	uint64_t caps = effective_capabilities();
	bool admin = caps >> CAP_SYS_ADMIN & 1;

	names[0] = '\0';
	if (!admin && !(caps >> 39 & 1))
		strncat(names, "CAP_BPF, ", size - strlen(names) - 1);
	if (!admin && !(caps >> 38 & 1))
		strncat(names, "CAP_PERFMON, ", size - strlen(names) - 1);
	if (!(caps >> CAP_SYS_PTRACE & 1))
		strncat(names, "CAP_SYS_PTRACE, ", size - strlen(names) - 1);
	/* CAP_CHECKPOINT_RESTORE, for /proc/PID/map_files. */
	if (!admin && !(caps >> 40 & 1))
		strncat(names, "CAP_CHECKPOINT_RESTORE, ", size - strlen(names) - 1);
	if (*names)
		names[strlen(names) - 2] = '\0';
}

bool kernel_allows_uprobes(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int fd;

	if (!file)
		return true;
	if (fscanf(file, "%u", &attr.type) != 1)
		attr.type = 0;
	fclose(file);
	/* A user who is allowed gets an error about the missing path, not -EACCES. */
	fd = attr.type ? (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) : -1;
	if (fd >= 0)
		close(fd);
	return !attr.type || fd >= 0 || (errno != EACCES && errno != EPERM);
}
