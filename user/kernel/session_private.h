/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What session.c (opening, loading, attaching) and session_read.c (results) share. */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include <bpf/libbpf.h>

#include "kernel/bpf_names.h"
#include "kernel/bpf_object.h"
#include "kernel/kernel.h"
#include "kernel/session.h"

#define MAX_LINKS 16

struct session {
	struct bpf_object *object;
	struct object_globals *globals;
	struct kernel_features kernel;
	struct session_options options;
	struct bpf_link *links[MAX_LINKS];
	unsigned link_count;
	struct bpf_link *copies;
	struct probe_link {
		struct bpf_link *link;
		int number; /* of those attached at once */
	} * probes;
	int last_probes; /* number of the last ones */
	size_t probe_count, probe_room;
	struct probe_closer *closer; /* with `lines`, until all probes are detached */
	bool cookies;		     /* uprobes have them (5.15) */
	struct ring_buffer *ring;
	unsigned lacks;
	unsigned layout_count;
	struct py_layout layouts[64];
	size_t proc_size;
	struct page_slot {
		int number, fd; /* number 0: free */
		const struct pymem_page *page;
	} * pages; /* PYMEM_PAGES of them, once there is one */
	int last_page;
	uint64_t forgotten[PYMEM_TABLE_COUNT]; /* places given back, in all */
};

/* None of these is ever NULL: see bpf_names.h, where each name has to be. */
static inline struct bpf_map *session_map(const struct session *session, const char *name)
{
	return bpf_names_map(session->object, name);
}

static inline struct bpf_program *session_program(const struct session *session, const char *name)
{
	return bpf_names_program(session->object, name);
}

/* Once it is loaded. */
static inline void *session_variable(const struct session *session, const char *name)
{
	void *variable = object_global(session->globals, name);

	if (!variable)
		bpf_names_missing(BPF_NAME_VARIABLE, name);
	return variable;
}

static inline int session_map_fd(const struct session *session, const char *name)
{
	return bpf_map__fd(session_map(session, name));
}

/* Runs a task iterator program over all tasks; what it writes goes to `fn` in records of
 * `size` bytes (0: it writes nothing). 0, -errno, or what `fn` returned. */
int session_run_iterator(struct session *session, const char *name, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg);

/* Begins to detach the exact engine from all; the second waits until that is done. */
void session_release_probes(struct session *session);
void session_free_probes(struct session *session);

/* Frees all pages. */
void session_pages_free(struct session *session);

#endif
