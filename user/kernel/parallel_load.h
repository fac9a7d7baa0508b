/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Has the kernel verify BPF programs at the same time, on several CPUs.
 *
 * libbpf loads the programs of an object one after the other, and most of the time before an attach
 * is that of the verifier. Programs of raw tracepoints depend on nothing but maps and type
 * information, which are there before the first program is loaded. So in place of each, libbpf gets
 * an empty program, and threads load the real one meanwhile. At the end, the real program takes the
 * descriptor of the empty one: bpf_program__fd() is that of the real program from then on.
 *
 * All other programs, and those whose verifier's log is asked for (bpf_program__set_log_level()),
 * are loaded by libbpf as ever; so are all programs of an object that calls functions of kernel
 * modules, since libbpf frees their table (fd_array) before the threads are done. An array of
 * programs must hold none of a raw tracepoint: libbpf fills it with empty ones. */
#ifndef PARALLEL_LOAD_H
#define PARALLEL_LOAD_H

#include <bpf/libbpf.h>

/* To be called before an object is opened whose programs are to be loaded so. It may be called more
 * than once. 0 or -errno. */
int parallel_load_prepare(void);

/* The most of a verifier's log that is told: its end, in bytes. */
#define PARALLEL_LOAD_LOG_BYTES (64u << 10)

/* In place of bpf_object__load(). 0 or -errno: that of libbpf, or of the first program that could
 * not be loaded. Of each of these, `failed` (may be NULL) gets the name and the end of the
 * verifier's log, "" if there was no memory for one; both are valid during the call. If it is
 * libbpf that fails, it tells why itself, and `failed` is not called. Only one thread may call this
 * at a time. */
int parallel_load(struct bpf_object *object, void (*failed)(const char *program, const char *log));

/* How many threads verify beside the caller's, on so many CPUs: at most three, since the verifier's
 * memory may count against a control group. */
unsigned parallel_load_threads(long cpus);

#endif
