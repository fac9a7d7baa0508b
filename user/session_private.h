/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What session.c (opening, loading, attaching) and session_read.c (results) share. */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include <bpf/libbpf.h>

#include "bpf_object.h"
#include "kernel.h"
#include "session.h"

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
		pid_t pid;
	} * probes;
	size_t probe_count, probe_room;
	struct ring_buffer *ring;
	unsigned lacks;
	unsigned layout_count;
	struct py_layout layouts[64];
	size_t proc_size;
	struct page_slot {
		int number, fd; /* number 0: free */
		struct pymem_page *page;
	} * pages; /* PYMEM_PAGES of them, once there is one */
	int last_page;
};

static inline struct bpf_map *session_map(const struct session *session, const char *name)
{
	return bpf_object__find_map_by_name(session->object, name);
}

static inline int session_map_fd(const struct session *session, const char *name)
{
	return bpf_map__fd(session_map(session, name));
}

/* Runs a task iterator program over all tasks; what it writes goes to `fn` in records of
 * `size` bytes (0: it writes nothing). 0, -errno, or what `fn` returned. */
int session_run_iterator(struct session *session, const char *name, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg);

/* Detaches the exact engine from all. */
void session_detach_all_probes(struct session *session);

/* Frees all pages. */
void session_pages_free(struct session *session);

#endif
