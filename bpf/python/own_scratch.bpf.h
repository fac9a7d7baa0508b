/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gives a source per-CPU memory of its own; to be included before all else.
 *
 * Some programs can be preempted by another thread's event on the same CPU: at the ends of
 * functions from 5.11 on, with CONFIG_PREEMPT; of tracepoints from 7.0 on (`preemptible`), unless
 * the kernel holds a spinlock there, or interrupts are off, as they are where RSS changes, where a
 * page fault begins on x86, and where signals are sent. With the same memory that event would find
 * it taken, and be counted as `recursion`.
 *
 * OWN_SCRATCH: `call` is that memory; `stall` is that memory where tracepoints can be preempted,
 * and else the common one, where others than RSS events find it free, too.
 *
 * The linker keeps one of all SEPARATE functions of a name. So those that use this memory have
 * other names here. */
#ifndef OWN_SCRATCH_BPF_H
#define OWN_SCRATCH_BPF_H

#define call_memory(name)  ((void *)&call_##name)
#define stall_memory(name) (preemptible ? (void *)&call_##name : (void *)&name)

#define OWN_NAME_(prefix, name) prefix##_##name
#define OWN_NAME(prefix, name)	OWN_NAME_(prefix, name)
#define OWN(name)		OWN_NAME(OWN_SCRATCH, name)

#define SCRATCH_CONTENDED   preemptible
#define SCRATCHES	    OWN(memory)(scratches)
#define CODE_MESSAGES	    OWN(memory)(messages)
#define announce_code	    OWN(announce_code)
#define announce_once	    OWN(announce_once)
#define announce_stack	    OWN(announce_stack)
#define bytes_hash	    OWN(bytes_hash)
#define code_fingerprint    OWN(code_fingerprint)
#define identify_frame	    OWN(identify_frame)
#define interpreter_look    OWN(interpreter_look)
#define search_batch	    OWN(search_batch)
#define search_interpreters OWN(search_interpreters)
#define search_threads	    OWN(search_threads)
#define stack_identify	    OWN(stack_identify)
#define touched_first	    OWN(touched_first)
#define walk_batch	    OWN(walk_batch)
#define walk_frames	    OWN(walk_frames)

#endif
