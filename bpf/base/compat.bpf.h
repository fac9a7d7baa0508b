/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What differs between kernels and architectures, each beside the commit or release
 * that made the difference. Nothing else in bpf/ knows a kernel version.
 */
#ifndef COMPAT_BPF_H
#define COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Before 6.2 (f1a7941243c1 "mm: convert mm's rss stats into percpu_counter") the
 * counters were atomics, fed in batches from a cache in each task. */
struct mm_rss_stat___atomic {
	atomic_long_t count[4];
} __attribute__((preserve_access_index));

struct mm_struct___atomic {
	struct mm_rss_stat___atomic rss_stat;
} __attribute__((preserve_access_index));

struct mm_struct___tables {
	atomic_long_t pgtables_bytes;
} __attribute__((preserve_access_index));

struct task_rss_stat___atomic {
	int events;
	int count[4];
} __attribute__((preserve_access_index));

struct task_struct___atomic {
	struct task_rss_stat___atomic rss_stat;
} __attribute__((preserve_access_index));

/* The user-mode thread pointer: what pthread_self() is derived from. */
#if defined(__TARGET_ARCH_x86)
struct thread_struct___x86 {
	unsigned long fsbase;
} __attribute__((preserve_access_index));

struct task_struct___x86 {
	struct thread_struct___x86 thread;
} __attribute__((preserve_access_index));

#define THREAD_FLAVOR  task_struct___x86
#define THREAD_POINTER fsbase

/* Is `id` what pthread_self() returns in the thread with that thread pointer? */
static __always_inline bool is_thread_id(__u64 id, __u64 pointer)
{
	return id == pointer;
}

#define NR_MMAP	   9
#define NR_MUNMAP  11
#define NR_BRK	   12
#define NR_MREMAP  25
#define NR_MADVISE 28

/* `r` is a pt_regs in the kernel's memory. Only the field that is asked for is read. */
#define SYSCALL_NR(r)	((__s64)BPF_CORE_READ(r, orig_ax))
#define SYSCALL_ARG1(r) BPF_CORE_READ(r, di)
#define SYSCALL_ARG2(r) BPF_CORE_READ(r, si)
#define SYSCALL_ARG3(r) BPF_CORE_READ(r, dx)
#define SYSCALL_ARG4(r) BPF_CORE_READ(r, r10)
#define SYSCALL_ARG5(r) BPF_CORE_READ(r, r8)

/* The kernel's function for a system call, whose argument is a pt_regs (since 4.17). */
#define SYSCALL_FUNCTION(name) "__x64_sys_" name

/* Where an exception from user mode has -1 in the place of a system call's number. */
#define EXCEPTION_MARK(r) ((__s64)(r)->orig_ax)
#define IS_EXCEPTION(r)	  ((__s64)BPF_CORE_READ(r, orig_ax) == -1)

#elif defined(__TARGET_ARCH_arm64)
struct uw___arm64 {
	unsigned long tp_value;
} __attribute__((preserve_access_index));

struct thread_struct___arm64 {
	struct uw___arm64 uw;
} __attribute__((preserve_access_index));

struct task_struct___arm64 {
	struct thread_struct___arm64 thread;
} __attribute__((preserve_access_index));

#define THREAD_FLAVOR  task_struct___arm64
#define THREAD_POINTER uw.tp_value

/* While a task runs, its thread pointer is in a register, which user space may set. The kernel's
 * copy in the task is from when the thread was made or last switched from. Between an exec and the
 * next switch, the copy is the old image's (tls_thread_flush() clears only the register). */
#define THREAD_POINTER_LAGS

/* glibc and musl put a thread's descriptor right below its thread pointer. The descriptor's address
 * is the thread's id; its size depends on the library (1824 bytes in glibc 2.41). No other thread's
 * descriptor is as near: each lies at the end of a stack of its own. */
#define DESCRIPTOR_BYTES_MAX 4096

/* Is `id` what pthread_self() returns in the thread with that thread pointer? */
static __always_inline bool is_thread_id(__u64 id, __u64 pointer)
{
	return id && pointer - id < DESCRIPTOR_BYTES_MAX;
}

#define NR_MMAP	   222
#define NR_MUNMAP  215
#define NR_BRK	   214
#define NR_MREMAP  216
#define NR_MADVISE 233

#define SYSCALL_NR(r)	((__s64)BPF_CORE_READ(r, syscallno))
#define SYSCALL_ARG1(r) BPF_CORE_READ(r, orig_x0) /* its result takes the place of regs[0] */
#define SYSCALL_ARG2(r) BPF_CORE_READ(r, regs[1])
#define SYSCALL_ARG3(r) BPF_CORE_READ(r, regs[2])
#define SYSCALL_ARG4(r) BPF_CORE_READ(r, regs[3])
#define SYSCALL_ARG5(r) BPF_CORE_READ(r, regs[4])

#define SYSCALL_FUNCTION(name) "__arm64_sys_" name

#define EXCEPTION_MARK(r) ((r)->syscallno)
#define IS_EXCEPTION(r)	  (BPF_CORE_READ(r, syscallno) == -1)
#endif

/* A kernel pointer as a number. The verifier does not let pointers be hashed or subtracted. */
static __always_inline __u64 as_number(const void *pointer)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return number;
}

static __always_inline __u64 task_mm(struct task_struct *task)
{
	return (__u64)BPF_CORE_READ(task, mm);
}

/* Bytes of the mm's page tables but the uppermost ones: VmPTE of /proc/PID/status. */
static __always_inline __s64 tables_of(__u64 mm)
{
	struct mm_struct___tables *m = (struct mm_struct___tables *)mm;

	return BPF_CORE_READ(m, pgtables_bytes.counter);
}

#define KERNEL_STACK_BYTES 16384

/* The current task. From 5.11 on the verifier knows its type, and its fields are plain
 * loads; before, each is a helper call. */
#ifdef PYMEM_LEGACY
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}
#define TASK_READ(task, field)	BPF_CORE_READ(task, field)
#define TASK_FLAVOR(task, type) ((struct type *)(task))
#else
static __always_inline struct task_struct *current_task(void)
{
	return bpf_get_current_task_btf();
}
#define TASK_READ(task, field)	((task)->field)
#define TASK_FLAVOR(task, type) ((struct type *)(task))
#endif

/* The current task's registers at its last entry into the kernel: plain loads. From 5.15 on. */
static __always_inline const struct pt_regs *current_regs(void)
{
	return (const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

/* Has the current task come into the kernel by an exception, a page fault that is? */
static __always_inline bool in_exception(void)
{
	return EXCEPTION_MARK(current_regs()) == -1;
}

/* The number of the system call that the current task is in; -1: it is in an exception. A kernel
 * thread has none: what this says of it means nothing. */
static __always_inline __s64 current_call(void)
{
	return EXCEPTION_MARK(current_regs());
}

/* The current task's registers at its last entry into the kernel, on each kernel.
 * bpf_task_pt_regs() is of 5.15. Before, they are taken from the end of a kernel stack of 16 KiB.
 * Where that is larger (KASAN, pages of 64 KiB), what is there has the number of no system call, or
 * a wrong one: the caller compares it. */
static __always_inline const struct pt_regs *any_regs(void)
{
#ifdef PYMEM_LEGACY
	return (const void *)(BPF_CORE_READ(current_task(), stack) + KERNEL_STACK_BYTES -
			      bpf_core_type_size(struct pt_regs));
#else
	return current_regs();
#endif
}

/* Is the current task in a munmap(2) of what begins at `address`? */
static __always_inline bool unmaps(__u64 address)
{
	const struct pt_regs *regs = any_regs();

	return SYSCALL_NR(regs) == NR_MUNMAP && SYSCALL_ARG1(regs) == address;
}

/* Numbers the faults of a task: that of the one being handled, or else of the next one. The
 * kernel counts a fault when it is over (mm_account_fault()). Never 0. */
static __always_inline __u64 fault_number(struct task_struct *task)
{
	return (__u64)TASK_READ(task, min_flt) + TASK_READ(task, maj_flt) + 1;
}

/* Does the current task run on `mm`? Kernel threads and exiting tasks run on none. */
static __always_inline bool current_runs_on(__u64 mm)
{
	return (__u64)TASK_READ(current_task(), mm) == mm;
}

static __always_inline __u64 current_thread_pointer(void)
{
	struct task_struct *task = current_task();

	return TASK_READ(TASK_FLAVOR(task, THREAD_FLAVOR), thread.THREAD_POINTER);
}

static __always_inline __s32 kernel_s32(__u64 address)
{
	__s32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (const void *)address);
	return value;
}

/* A function that the verifier checks once, by itself, instead of at each call: it takes
 * numbers only (5.10 knows no other arguments) and finds the rest in the scratch area.
 * Weak, since each source has a copy and the linker is to keep one. */
#define SEPARATE __weak __noinline

/* A bounded loop: calls fn(index, ctx) until it returns non-zero. bpf_loop() (5.17) lets
 * the verifier look at the body once; before, it has to follow every iteration. The two
 * don't fit one object: old kernels refuse even dead code that takes a function's
 * address. So the sources are built twice, and PYMEM_LEGACY is for 6.1 and older. */
#ifdef PYMEM_LEGACY
#define LOOP(count, fn, ctx)                                             \
	do {                                                             \
		__u32 loop_index;                                        \
		for (loop_index = 0; loop_index < (count); loop_index++) \
			if (fn(loop_index, ctx))                         \
				break;                                   \
	} while (0)
#define LOOP_BODY static __always_inline long
#else
#define LOOP(count, fn, ctx) bpf_loop(count, fn, ctx, 0)
#define LOOP_BODY	     static long
#endif

/* The loop that follows has no jumps back. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

/* For what only one CPU is to do. Atomics that return a value came with 5.12. Before, two CPUs may
 * both find themselves the first, and a store may undo that of another CPU. */
#ifdef PYMEM_LEGACY
static __always_inline bool first_to_set(__u32 *flag)
{
	bool first = !*flag;

	*flag = 1;
	return first;
}

static __always_inline bool first_to_claim(__u32 *at, __u32 value)
{
	bool first = !*at;

	if (first)
		*at = value;
	return first;
}

static __always_inline bool swap_if(__s64 *at, __s64 before, __s64 value)
{
	(void)before;
	*(volatile __s64 *)at = value;
	return true;
}

static __always_inline __u32 next_number(__u32 *counter)
{
	return (*counter)++;
}
#else
/* The counter, before it becomes one more. */
static __always_inline __u32 next_number(__u32 *counter)
{
	return __sync_fetch_and_add(counter, 1);
}

/* Sets the flag. True: it was not set. */
static __always_inline bool first_to_set(__u32 *flag)
{
	return !__sync_val_compare_and_swap(flag, 0, 1);
}

/* Stores `value` if 0 is there. True: it was. */
static __always_inline bool first_to_claim(__u32 *at, __u32 value)
{
	return !__sync_val_compare_and_swap(at, 0, value);
}

/* Stores `value` if `before` is there. */
static __always_inline bool swap_if(__s64 *at, __s64 before, __s64 value)
{
	return __sync_val_compare_and_swap(at, before, value) == before;
}
#endif

/* Adds `change` to what was `before`. False: it is not that any more. In the legacy build it is
 * added anyway. */
#ifdef PYMEM_LEGACY
static __always_inline bool add_if(__s64 *at, __s64 before, __s64 change)
{
	(void)before;
	__sync_fetch_and_add(at, change);
	return true;
}
#else
static __always_inline bool add_if(__s64 *at, __s64 before, __s64 change)
{
	return __sync_val_compare_and_swap(at, before, before + change) == before;
}
#endif

/* A map of what belongs to a task. From 5.11 on it is the task's own storage, which is found in a
 * third of the time and goes with the task; before, a table by thread ID. The key is the task's ID
 * when the entry was made; only a table uses it. BLANK_MAP() has a zeroed value for
 * task_value_make() of a table, since that would be too large for the stack. */
#ifdef PYMEM_LEGACY
#define TASKS_IN_TABLE 1
#define TASK_MAP(type_of_value)                       \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_HASH);      \
		__uint(max_entries, 1);               \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, __u32);                   \
		__type(value, type_of_value);         \
	}
#define BLANK_MAP(linkage, name, type_of_value)   \
	linkage struct {                          \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, type_of_value);     \
	} name SEC(".maps")
#define BLANK_VALUE(name) blank_value(&(name))

static __always_inline void *blank_value(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

static __always_inline __u32 task_key(struct task_struct *task)
{
	return BPF_CORE_READ(task, pid);
}

static __always_inline void *task_value(void *map, struct task_struct *task, __u32 key)
{
	(void)task;
	return bpf_map_lookup_elem(map, &key);
}

static __always_inline void *task_value_make(void *map, struct task_struct *task, __u32 key,
					     const void *blank)
{
	(void)task;
	if (blank)
		bpf_map_update_elem(map, &key, blank, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, &key);
}

static __always_inline long task_value_delete(void *map, struct task_struct *task, __u32 key)
{
	(void)task;
	return bpf_map_delete_elem(map, &key);
}
#else
#define TASKS_IN_TABLE 0
#define TASK_MAP(type_of_value)                          \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_TASK_STORAGE); \
		__uint(map_flags, BPF_F_NO_PREALLOC);    \
		__type(key, int);                        \
		__type(value, type_of_value);            \
	}
#define BLANK_MAP(linkage, name, type_of_value) struct name##_unused
#define BLANK_VALUE(name)			NULL

static __always_inline __u32 task_key(struct task_struct *task)
{
	(void)task;
	return 0;
}

/* The task's value; NULL: it has none. */
static __always_inline void *task_value(void *map, struct task_struct *task, __u32 key)
{
	(void)key;
	return bpf_task_storage_get(map, task, 0, 0);
}

/* The same; a new one, zeroed, if it has none. NULL: no room. */
static __always_inline void *task_value_make(void *map, struct task_struct *task, __u32 key,
					     const void *blank)
{
	(void)key;
	(void)blank;
	return bpf_task_storage_get(map, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* Deletes the task's value. Not 0: there was none. */
static __always_inline long task_value_delete(void *map, struct task_struct *task, __u32 key)
{
	(void)key;
	return bpf_task_storage_delete(map, task);
}
#endif

/* A number that depends on which of the two builds this is. */
#ifdef PYMEM_LEGACY
#define BY_BUILD(modern, legacy) (legacy)
#else
#define BY_BUILD(modern, legacy) (modern)
#endif

#endif
