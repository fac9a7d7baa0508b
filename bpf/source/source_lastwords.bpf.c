/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: last words. Where the threads of a process were when a signal ended it, who sent the
 * signal, and whether that was the OOM killer.
 *
 * A thread that is killed meets signal:signal_deliver on its way out, with all its memory still
 * there: so it walks its own stack. All threads do, also those that slept; each sends a message.
 * Who sends the signal is seen in signal:signal_generate, which comes before. The OOM killer says
 * whom it killed in oom:mark_victim, some time after it sent the signal: the message of that may
 * come when the process is gone already.
 *
 * An exit of a process with several threads, and an exec, deliver SIGKILL to all threads but one.
 * There is no signal in the process's exit code then.
 */
#include "account/vmcalls.bpf.h"

/* Signals that are no request to end: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV. A bit for
 * each. */
#define WATCHED	   0xbd0u
#define NR_SIGKILL 9
#define SI_KERNEL  0x80
#define SI_USER	   0
#define SI_QUEUE   -1
#define SI_TKILL   -6

/* In place of a pointer to a siginfo: the signal was sent by a process, or by the kernel itself. */
#define INFO_NONE   0
#define INFO_KERNEL 1

/* Results of signal:signal_generate: it is on its way, with or without its siginfo. */
#define SENT	  0
#define SENT_LESS 4

/* A mark that comes later than this is about another process with the same PID. */
#define MARK_LATE_NS 10000000000ULL

struct words { /* a signal that was sent to a process */
	__u32 proc, signal;
	__s32 code;
	__u32 sender, sender_thread, sender_uid;
	__u32 told; /* threads that have sent a message; several may count themselves as one */
	__u32 victim;
	__u32 sender_proc, sender_loss; /* 0: the sender is not tracked, or the process itself */
	__u64 sender_hash;
	__u64 time_ns;
	__s64 pages[PYMEM_MEMBERS];
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024); /* processes that are being killed at the same time */
	__type(key, __u32);	   /* tgid */
	__type(value, struct words);
} words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pymem_msg_words);
} words_messages SEC(".maps");

/* What is sent just now: the walk needs nearly all of the stack. Interrupts are off meanwhile. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} words_sent SEC(".maps");

__u64 dropped_words; /* messages that found the ring full */

static __always_inline bool is_watched(__u32 signal)
{
	return signal < 32 && (WATCHED >> signal) & 1;
}

static __always_inline void words_send(struct pymem_msg_words *m)
{
	if (bpf_ringbuf_output(&ring, m, sizeof(*m), BPF_RB_FORCE_WAKEUP))
		__sync_fetch_and_add(&dropped_words, 1);
}

static __always_inline void pages_now(__s64 *pages, const struct pymem_proc *p)
{
	pages[PYMEM_FILE] = p->now_pages[PYMEM_FILE];
	pages[PYMEM_ANON] = p->now_pages[PYMEM_ANON];
	pages[PYMEM_SWAP] = p->now_pages[PYMEM_SWAP];
	pages[PYMEM_SHMEM] = p->now_pages[PYMEM_SHMEM];
}

/* Is the current thread the one that sends it? Others (timers, I/O that is ready) may be sent by an
 * interrupt in any thread. The kernel's own are: a limit of CPU time also comes with an interrupt,
 * but to the thread's own process. */
static __always_inline bool is_by_current(__s32 code)
{
	return code == SI_USER || code == SI_QUEUE || code == SI_TKILL || code == SI_KERNEL;
}

/* Where the current thread is, which sends a signal to another process than its own. */
static __always_inline void walk_sender(struct words *sent)
{
	struct pymem_thread *th;
	struct pymem_proc *p;

	if (!is_by_current(sent->code))
		return;
	th = current_thread(&p);
	/* A child of vfork() runs on its parent's memory. */
	if (!th || p->id == sent->proc || p->tgid != sent->sender)
		return;
	th->confirm = 1;
	vmcalls_walk(p, th);
	sent->sender_proc = p->id;
	sent->sender_hash = key_now(th).hash;
	sent->sender_loss = th->loss;
}

/* The record of the signal, which the current thread or an interrupt in it sends to p; the rest of
 * it is 0. NULL: no memory for it. */
static __always_inline struct words *words_begin(const struct pymem_proc *p, __u32 signal,
						 __u64 info)
{
	__u64 ids = bpf_get_current_pid_tgid();
	struct words *sent;
	__u32 zero = 0;

	sent = bpf_map_lookup_elem(&words_sent, &zero);
	if (!sent)
		return NULL;
	__builtin_memset(sent, 0, sizeof(*sent));
	sent->proc = p->id;
	sent->signal = signal;
	if (info == INFO_KERNEL)
		sent->code = SI_KERNEL;
	else if (info != INFO_NONE)
		sent->code = BPF_CORE_READ((struct kernel_siginfo *)info, si_code);
	sent->sender = ids >> 32;
	sent->sender_thread = ids;
	sent->sender_uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(sent->comm, sizeof(sent->comm));
	sent->time_ns = bpf_ktime_get_ns();
	pages_now(sent->pages, p);
	return sent;
}

SEC("raw_tp/signal_generate")
int signal_sent(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[2];
	__u32 signal = ctx->args[0], result = ctx->args[4], tgid;
	struct words *before, *sent;
	struct tgid_entry *entry;
	struct pymem_proc *p;

	if (!is_watched(signal) || (result != SENT && result != SENT_LESS))
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	if (!tgid_filter[tgid_slot(tgid)])
		return 0;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	p = entry && !entry->borrowed ? proc_of(entry) : NULL;
	if (!p)
		return 0;
	before = bpf_map_lookup_elem(&words, &tgid);
	/* Nothing that comes after SIGKILL counts. */
	if (before && before->proc == p->id && before->signal == NR_SIGKILL)
		return 0;
	sent = words_begin(p, signal, ctx->args[1]);
	if (!sent)
		return 0;
	walk_sender(sent);
	bpf_map_update_elem(&words, &tgid, sent, BPF_ANY);
	return 0;
}

/* What is known of the signal that ends the process; made if it was not seen to be sent. NULL: no
 * room. */
static __noinline struct words *words_of(struct pymem_proc *p, __u32 signal)
{
	struct words unsent = {.signal = signal}, *w;
	__u32 tgid;

	if (!p)
		return NULL;
	tgid = p->tgid;
	w = bpf_map_lookup_elem(&words, &tgid);
	if (w && w->proc == p->id && w->signal == signal)
		return w;
	unsent.proc = p->id;
	bpf_map_update_elem(&words, &tgid, &unsent, BPF_ANY);
	return bpf_map_lookup_elem(&words, &tgid);
}

static __always_inline void say_sent(struct pymem_msg_words *m, const struct words *w)
{
	m->sent = w->time_ns != 0;
	m->victim = w->victim;
	m->code = w->code;
	m->sender = w->sender;
	m->sender_thread = w->sender_thread;
	m->sender_uid = w->sender_uid;
	m->sender_proc = w->sender_proc;
	m->sender_loss = w->sender_loss;
	m->sender_hash = w->sender_hash;
	__builtin_memcpy(m->sender_comm, w->comm, sizeof(m->sender_comm));
	if (!w->time_ns)
		return;
	m->time_ns = w->time_ns;
	__builtin_memcpy(m->pages, w->pages, sizeof(m->pages));
}

/* The signal that ends the process of the current thread; 0: none that is watched. */
static __always_inline __u32 ending_signal(__u32 signal, struct k_sigaction *action)
{
	struct task_struct *task = current_task();

	if (signal != NR_SIGKILL)
		return BPF_CORE_READ(action, sa.sa_handler) ? 0 : signal;
	signal = BPF_CORE_READ(task, signal, group_exit_code) & 0x7f;
	return is_watched(signal) ? signal : 0;
}

SEC("raw_tp/signal_deliver")
int signal_delivered(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 delivered = ctx->args[0], signal, zero = 0;
	struct pymem_stack_key key;
	struct pymem_msg_words *m;
	struct pymem_thread *th;
	struct pymem_proc *p;
	struct words *w;

	if (!is_watched(delivered))
		return 0;
	th = current_thread(&p);
	/* A child of vfork() runs on its parent's memory. */
	if (!th || p->tgid != bpf_get_current_pid_tgid() >> 32)
		return 0;
	signal = ending_signal(delivered, (struct k_sigaction *)ctx->args[2]);
	m = bpf_map_lookup_elem(&words_messages, &zero);
	w = signal ? words_of(p, signal) : NULL;
	if (!m || !w || w->told >= PYMEM_WORDS_THREADS)
		return 0;
	__sync_fetch_and_add(&w->told, 1);
	th->confirm = 1;
	vmcalls_walk(p, th);
	key = key_now(th);
	m->type = PYMEM_MSG_WORDS;
	m->proc = p->id;
	m->tgid = p->tgid;
	m->tid = bpf_get_current_pid_tgid();
	m->hash = key.hash;
	m->loss = th->loss;
	m->signal = signal;
	m->raised = delivered != NR_SIGKILL;
	m->threads = BPF_CORE_READ(current_task(), signal, nr_threads);
	m->time_ns = bpf_ktime_get_ns();
	pages_now(m->pages, p);
	say_sent(m, w);
	bpf_get_current_comm(m->comm, sizeof(m->comm));
	words_send(m);
	return 0;
}

/* 6.8 (72ba14deb40a "mm: update mark_victim tracepoints fields") gave oom:mark_victim the task in
 * place of its PID; some distributions have that in older kernels. The fields of the record that
 * perf gets changed at the same time. */
struct trace_event_raw_mark_victim {
	unsigned long total_vm;
} __attribute__((preserve_access_index));

/* The process that an argument of oom:mark_victim names. Of a PID it is that of a thread: of the
 * first one that still has memory, which is nearly always the leader. */
static __always_inline __u32 victim_tgid(__u64 argument)
{
	if (bpf_core_field_exists(struct trace_event_raw_mark_victim, total_vm))
		return BPF_CORE_READ((struct task_struct *)argument, tgid);
	return (__u32)argument;
}

SEC("raw_tp/mark_victim")
int victim_marked(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = victim_tgid(ctx->args[0]), zero = 0;
	struct pymem_msg_words *m;
	struct words *w;

	w = bpf_map_lookup_elem(&words, &tgid);
	/* Its memory, and with it what is known of the image, may be gone by now. The kernel marks
	 * also who is dying anyway, by a signal that the OOM killer did not send. */
	if (!w || !w->time_ns || w->victim || bpf_ktime_get_ns() - w->time_ns > MARK_LATE_NS ||
	    w->signal != NR_SIGKILL || w->code != SI_KERNEL)
		return 0;
	w->victim = 1;
	m = bpf_map_lookup_elem(&words_messages, &zero);
	if (!m)
		return 0;
	m->type = PYMEM_MSG_VICTIM;
	m->proc = w->proc;
	m->tgid = tgid;
	m->signal = w->signal;
	say_sent(m, w);
	words_send(m);
	return 0;
}
