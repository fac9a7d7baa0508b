/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of birth_probes.h share. */
#ifndef BIRTH_PRIVATE_H
#define BIRTH_PRIVATE_H

#include <bpf/libbpf.h>
#include <pthread.h>

#include "kernel/birth_probes.h"
#include "pymem.h"

struct pymem_births_modern;
struct pymem_births_legacy;

/* A link to functions, and the thread that closes it: to be closed, it waits for all processors. */
struct birth_link {
	int fd; /* -1: none */
	bool closing;
	pthread_t closer;
};

struct birth_probes {
	struct pymem_births_modern *modern; /* one of the two; the other is NULL */
	struct pymem_births_legacy *legacy;
	bool many;
	pid_t pid;
	size_t wanted_watches; /* birth_target.watches */

	/* Variables of the BPF programs, in memory that is shared with them. */
	struct pymem_proc *target;
	struct birth_watch *watches;
	__u32 *enabled;
	__u64 *most, *seen, *lost, *unwalked, *ends;
	__u32 *spoilt;

	struct bpf_program *on_return, *on_death, *on_write;
	struct bpf_map *layouts, *events;
	struct ring_buffer *ring;
	birth_event_fn *fn; /* of the birth_probes_read() that runs now */
	void *fn_arg;

	struct birth_link returns, entries;
	struct bpf_link **watch_links; /* of debug registers: one for each container and thread */
	int *watch_fds;		       /* descriptors of the same links, which close them */
	size_t watch_count, watch_room, watch_fd_room;
};

#endif
