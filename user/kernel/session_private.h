/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What session.c (opening, loading), session_sources.c (attaching), session_read.c (results) and
 * the event sources share. */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include <bpf/libbpf.h>

#include "kernel/bpf_handles.h"
#include "kernel/event_source.h"
#include "kernel/kernel.h"
#include "kernel/session.h"

/* What an event source is in a session. */
struct session_source {
	bool loaded;
	/* Of its descriptor, by the same index; NULL: it names no more. */
	struct bpf_program *programs[SOURCE_PROGRAMS_MAX];
	struct bpf_program *others[SOURCE_PROGRAMS_MAX];
	struct bpf_link *links[SOURCE_PROGRAMS_MAX]; /* of `programs`, while they are attached */
	volatile uint64_t *dropped;		     /* NULL: it counts none */
};

struct session {
	struct bpf_object *object;
	struct bpf_handles bpf; /* of `object` */
	bool running;		/* it is loaded, and its variables are the programs' */
	struct kernel_features kernel;
	struct session_options options;
	struct session_source sources[EVENT_SOURCE_COUNT];
	struct probe_link {
		struct bpf_link *link;
		int number; /* of those attached at once */
	} * probes;
	int last_probes; /* number of the last ones */
	size_t probe_count, probe_room;
	struct probe_closer *closer; /* with `lines`, until all probes are detached */
	bool cookies;		     /* uprobes have them (5.15) */
	struct ring_buffer *ring;
	unsigned layout_count;
	struct py_layout layouts[64];
	size_t proc_size;
	struct block_slot {
		int number, fd; /* number 0: free */
		const struct pymem_block *block;
	} * blocks; /* PYMEM_BLOCKS of them, once there is one */
	int last_block;
	uint64_t forgotten[PYMEM_TABLE_COUNT]; /* places given back, in all */
};

/* Before the load: sizes a map that allocates its entries as they are used, where the kernel can.
 */
void session_set_size(struct session *session, struct bpf_map *map, unsigned entries);

/* Finds what the descriptor names in the object. 0, or -ENOENT, and `why` (of `size` bytes) names
 * what is not there. */
int session_source_find(struct session_source *found, const struct event_source *source,
			const struct bpf_object *object, char *why, size_t size);

/* The same for all; then, before the load, says which are loaded, and has them set up what they
 * have. */
int session_find_sources(struct session *session, char *why, size_t size);
void session_select_sources(struct session *session);

/* Runs a task iterator program over all tasks; what it writes goes to `fn` in records of
 * `size` bytes (0: it writes nothing). 0, -errno, or what `fn` returned. */
int session_run_iterator(struct bpf_program *program, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg);

/* Begins to detach the exact engine from all; the second waits until that is done. */
void session_release_probes(struct session *session);
void session_free_probes(struct session *session);

/* Frees all blocks. */
void session_blocks_free(struct session *session);

#endif
