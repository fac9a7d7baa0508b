/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gives a source per-CPU memory of its own; to be included before all else.
 *
 * Some programs can be preempted by another thread's event on the same CPU: at the ends of
 * functions from 5.11 on, with CONFIG_PREEMPT; of tracepoints from 7.0 on, unless the kernel holds
 * a spinlock there, or interrupts are off, as they are where RSS changes, where a page fault begins
 * on x86, and where signals are sent. With the same memory that event would find it taken, and be
 * counted as `recursion`.
 *
 * The linker keeps one of all SEPARATE functions of a name. So those that use this memory have
 * other names here. */
#ifndef OWN_SCRATCH_BPF_H
#define OWN_SCRATCH_BPF_H

#define SCRATCHES	    call_scratches
#define CODE_MESSAGES	    call_messages
#define announce_code	    call_announce_code
#define announce_once	    call_announce_once
#define announce_stack	    call_announce_stack
#define bytes_hash	    call_bytes_hash
#define code_fingerprint    call_code_fingerprint
#define identify_frame	    call_identify_frame
#define search_interpreters call_search_interpreters
#define search_threads	    call_search_threads
#define stack_identify	    call_stack_identify
#define touched_first	    call_touched_first
#define walk_batch	    call_walk_batch
#define walk_frames	    call_walk_frames

#endif
