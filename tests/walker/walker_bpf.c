/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf/account/account.bpf.h in user space: maps are plain variables, helpers plain functions. */
#define PYMEM_DEFINE_MAPS
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "vmlinux.h"
/* Has a meaning only for BPF. */
#define preserve_access_index
#define KNOB_CONST
#include "account/account.bpf.h"

#include "walker.h"

#define EFAULT 14
#define ENOSPC 28
#define STACKS 1024
#define CODES  4096

struct pymem_proc walker_proc;
struct pymem_thread walker_thread;

static struct scratch the_scratch;
static struct pymem_msg_code the_message;
static struct pymem_layout the_layout;
static union {
	struct THREAD_FLAVOR flavor;
	struct task_struct task;
} the_task;

/* The kernel keeps the task's registers at its end; they are of no system call. */
static struct {
	__u8 rest[KERNEL_STACK_BYTES - sizeof(struct pt_regs)];
	struct pt_regs regs;
} the_stack;

static struct {
	struct pymem_stack_key key;
	struct pymem_stack value;
} the_stacks[STACKS];

static struct {
	struct code_key key;
	struct pymem_code value;
} the_codes[CODES];

static __u32 stack_count, code_count;
static __u64 clock_now = 1;

#ifdef PYMEM_LEGACY
static struct pymem_thread the_record; /* in the table of threads */
static __u32 record_tid;	       /* 0: there is none */
#endif

static void *stacks_find(const struct pymem_stack_key *key)
{
	for (__u32 i = 0; i < stack_count; i++)
		if (the_stacks[i].key.proc == key->proc && the_stacks[i].key.hash == key->hash)
			return &the_stacks[i].value;
	return NULL;
}

static void *codes_find(const struct code_key *key)
{
	for (__u32 i = 0; i < code_count; i++)
		if (the_codes[i].key.code == key->code && the_codes[i].key.proc == key->proc &&
		    the_codes[i].key.fingerprint == key->fingerprint)
			return &the_codes[i].value;
	return NULL;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (map == (void *)&stacks)
		return stacks_find(key);
	if (map == (void *)&codes)
		return codes_find(key);
	if (map == (void *)&procs && *(const __u64 *)key == walker_proc.mm)
		return &walker_proc;
	if (map == (void *)&layouts && *(const __u32 *)key == 0)
		return &the_layout;
	if (map == (void *)&scratches && *(const __u32 *)key == 0)
		return &the_scratch;
	if (map == (void *)&messages && *(const __u32 *)key == 0)
		return &the_message;
#ifdef PYMEM_LEGACY
	if (map == (void *)&threads)
		return *(const __u32 *)key == record_tid ? &the_record : NULL;
#endif
	walker_broken("a map that a walk has no business with, or an index beyond it");
}

long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	if (map == (void *)&stacks && flags == BPF_NOEXIST) {
		if (stacks_find(key) || stack_count == STACKS || step_fails(WALKER_STACKS))
			return -ENOSPC;
		the_stacks[stack_count].key = *(const struct pymem_stack_key *)key;
		the_stacks[stack_count++].value = *(const struct pymem_stack *)value;
		return 0;
	}
	if (map == (void *)&codes && flags == BPF_NOEXIST) {
		if (code_count == CODES || step_fails(WALKER_CODES))
			return -ENOSPC;
		the_codes[code_count].key = *(const struct code_key *)key;
		the_codes[code_count++].value = *(const struct pymem_code *)value;
		return 0;
	}
#ifdef PYMEM_LEGACY
	if (map == (void *)&threads && flags == BPF_NOEXIST) {
		if (record_tid)
			return -ENOSPC;
		record_tid = *(const __u32 *)key;
		the_record = *(const struct pymem_thread *)value;
		return 0;
	}
#endif
	walker_broken("an update of a map that a walk has no business with");
}

long bpf_map_pop_elem(void *map __attribute__((unused)), void *value __attribute__((unused)))
{
	walker_broken("a walk takes no leaf: --touched is off");
}

long bpf_map_push_elem(void *map __attribute__((unused)), const void *value __attribute__((unused)),
		       __u64 flags __attribute__((unused)))
{
	walker_broken("a walk gives no leaf back: --touched is off");
}

long bpf_map_delete_elem(void *map __attribute__((unused)), const void *key __attribute__((unused)))
{
#ifdef PYMEM_LEGACY
	if (map == (void *)&threads && *(const __u32 *)key == record_tid) {
		record_tid = 0;
		return 0;
	}
#endif
	walker_broken("a walk deletes nothing");
}

void *bpf_task_storage_get(void *map __attribute__((unused)),
			   struct task_struct *task __attribute__((unused)),
			   void *value __attribute__((unused)), __u64 flags __attribute__((unused)))
{
	walker_broken("a walk is given its thread's record");
}

long bpf_task_storage_delete(void *map __attribute__((unused)),
			     struct task_struct *task __attribute__((unused)))
{
	walker_broken("a walk deletes nothing");
}

long bpf_ringbuf_output(void *map, void *data, __u64 size, __u64 flags __attribute__((unused)))
{
	if (map != (void *)&ring)
		walker_broken("another ring");
	if (step_fails(WALKER_RING))
		return -ENOSPC;
	ring_take(data, size);
	return 0;
}

__u64 bpf_ringbuf_query(void *map __attribute__((unused)), __u64 flags __attribute__((unused)))
{
	return 0;
}

__u64 bpf_ktime_get_ns(void)
{
	return clock_now; /* stands still: no walk is slow here */
}

__u64 bpf_jiffies64(void)
{
	return 1;
}

__u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

struct task_struct *bpf_get_current_task_btf(void)
{
	return &the_task.task;
}

long bpf_task_pt_regs(struct task_struct *task __attribute__((unused)))
{
	return (long)&the_stack.regs;
}

long bpf_get_current_comm(void *buffer __attribute__((unused)), __u32 size __attribute__((unused)))
{
	walker_broken("threads are not told apart");
}

__u64 bpf_get_current_pid_tgid(void)
{
	walker_broken("a walk is given its image");
}

__u64 bpf_get_current_uid_gid(void)
{
	return 0;
}

__u64 bpf_get_current_task(void)
{
	return (__u64)(unsigned long)&the_task;
}

long shim_loop(__u32 count, long (*body)(__u32 i, void *context), void *context)
{
	__u32 i;

	for (i = 0; i < count; i++)
		if (body(i, context))
			return i + 1;
	return i;
}

/* Like the kernel: all or nothing; what can't be read becomes zero. */
long shim_read_user(void *to, __u32 size, const void *from, __u64 room)
{
	if (size > room)
		walker_broken("a read larger than what it goes into");
	if (!image_read(to, size, (__u64)(unsigned long)from))
		return 0;
	__builtin_memset(to, 0, size);
	return -EFAULT;
}

long shim_read_kernel(void *to, __u32 size, const void *from, __u64 room)
{
	if (size > room)
		walker_broken("a read larger than what it goes into");
	__builtin_memcpy(to, from, size);
	return 0;
}

/* As the loader does. */
static void give_room(void)
{
	for (int table = 0; table < PYMEM_TABLE_COUNT; table++)
		table_rooms[table] = 65536;
}

void walker_reset(const struct pymem_layout *layout, __u64 runtime, __u64 interp_head)
{
	stack_count = 0;
	code_count = 0;
	__builtin_memset(places_used, 0, sizeof(places_used));
	give_room();
	the_layout = *layout;
	__builtin_memset(&the_scratch, 0, sizeof(the_scratch));
	__builtin_memset(&the_message, 0, sizeof(the_message));
	__builtin_memset(&walker_proc, 0, sizeof(walker_proc));
	walker_proc.id = 1;
	walker_proc.identified = 1;
	walker_proc.runtime = runtime;
	walker_proc.interp_head = interp_head;
	__builtin_memset(&walker_thread, 0, sizeof(walker_thread));
	walker_thread.current = PYMEM_RECENT;
}

void walker_limit_names(__u32 rate, __s32 left)
{
	names_rate = rate;
	walker_proc.names_at = clock_now >> NAMES_TICK;
	walker_proc.names_left = left;
}

void walker_clock_on(__u64 ticks)
{
	clock_now += ticks << NAMES_TICK;
}

int walker_event(__u64 thread_pointer)
{
	the_task.flavor.thread.THREAD_POINTER = thread_pointer;
	the_task.task.stack = &the_stack;
	return stack_now(&walker_proc, &walker_thread);
}

__u64 walker_stack_hash(void)
{
	return recent_current(&walker_thread) ? recent_current(&walker_thread)->hash : 0;
}

#ifdef PYMEM_LEGACY
/* The image that the walk is of becomes one that holds nothing, with that number. */
static void begin_image(__u64 id)
{
	walker_proc.id = id;
	__builtin_memset(walker_proc.places, 0, sizeof(walker_proc.places));
}

/* True if the image holds `of_image` places of the table of threads, and all images together
 * `in_all`. */
static bool holds(__u32 of_image, __u32 in_all)
{
	return walker_proc.places[PYMEM_TABLE_THREADS].held == of_image &&
	       places_used[PYMEM_TABLE_THREADS] == in_all;
}

bool walker_thread_places(void)
{
	static const struct cred root;
	const struct pymem_proc before = walker_proc;
	const __u32 tid = 7;
	bool good;

	give_room();
	the_task.task.pid = tid;
	the_task.task.cred = &root;
	begin_image(1);
	thread_get(&walker_proc);
	good = holds(1, 1);
	thread_get(&walker_proc);
	good = good && holds(1, 1);
	/* The first image is gone, and the record of its thread is still there. */
	begin_image(2);
	thread_get(&walker_proc);
	good = good && holds(1, 1);
	thread_forget(&the_task.task, tid, &the_record, &walker_proc);
	good = good && holds(0, 0);
	walker_proc = before;
	return good;
}
#else
bool walker_thread_places(void)
{
	return true;
}
#endif

const char *walker_build(void)
{
#ifdef PYMEM_LEGACY
	return "legacy";
#else
	return "modern";
#endif
}

__u32 walker_search_steps(void)
{
	return SEARCH_STEPS;
}

__u32 walker_search_limit(void)
{
	return MAX_THREAD_SEARCH;
}

__u32 walker_interpreters(void)
{
	return MAX_INTERPRETERS;
}
