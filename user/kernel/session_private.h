/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What session.c (open, load), session_sources.c (attach), session_read.c (results) and the event
 * sources share. */
#ifndef SESSION_PRIVATE_H
#define SESSION_PRIVATE_H

#include <bpf/libbpf.h>

#include "kernel/bpf_handles.h"
#include "kernel/event_source.h"
#include "kernel/kernel.h"
#include "kernel/session.h"

/* An event source as part of a session. */
struct session_source {
	bool loaded;
	/* The programs of its descriptor, by the same index. NULL: the end. */
	struct bpf_program *programs[SOURCE_PROGRAMS_MAX];
	struct bpf_program *others[SOURCE_PROGRAMS_MAX];
	struct bpf_link *links[SOURCE_PROGRAMS_MAX]; /* of `programs`; NULL: not attached */
	volatile uint64_t *dropped;		     /* NULL: it does not count them */
};

struct session {
	struct bpf_object *object;
	struct bpf_handles bpf; /* of `object` */
	bool events_shed;	/* session_shed_events() */
	/* session_cpu_ns(): page faults of the host when it was called last, 0: not known; and what
	 * programs took at them. */
	uint64_t host_faults, fault_ns;
	bool copies_wanted; /* session_watch_copies() was called */
	bool running;	    /* loaded; variables are those of the programs */
	struct kernel_features kernel;
	struct session_options options;
	struct session_source sources[EVENT_SOURCE_COUNT];
	struct probe_link {
		struct bpf_link *link;
		int number; /* of the probes that were attached together */
	} * probes;
	int last_probes; /* the number given out last */
	size_t probe_count, probe_room;
	struct probe_closer *closer; /* with `lines`: detaches probes */
	bool cookies;		     /* uprobes have cookies (5.15) */
	bool takes_at_once;	     /* an entry of a map can be read and deleted at once (5.14) */
	struct ring_buffer *ring;
	struct session_changes *changes;   /* NULL: options.changes is not set */
	struct pymem_touched_leaf *leaves; /* the map `touched_leaves`; NULL: not loaded */
	size_t leaf_count;
	struct session_cache *cache; /* session_cache.c; NULL: not loaded */
	uint32_t *kernel_filter;     /* the map of that name; NULL: not loaded */
	unsigned layout_count;
	struct py_layout layouts[64];
	size_t proc_size;
	struct block_slot {
		int number, fd; /* number 0: free */
		const struct pymem_block *block;
	} * blocks; /* PYMEM_BLOCKS of them, once there is one */
	int last_block;
	uint64_t forgotten[PYMEM_TABLE_COUNT]; /* number of places given back, by table */
};

/* Fills in what is known of the kernel, and opens the object for it. 0, or -errno of the object;
 * what is known of the kernel is there in either case. */
int session_open(struct session *session);

/* To be called before the load: sets the size of a map. If the kernel can, the map allocates its
 * entries as they are needed. */
void session_set_size(struct session *session, struct bpf_map *map, unsigned entries);

/* Finds the programs and the counter that the descriptor names. 0, or -ENOENT: `why` (`size` bytes)
 * names what is missing. */
int session_source_find(struct session_source *found, const struct event_source *source,
			const struct bpf_object *object, char *why, size_t size);

/* session_find_sources() does that for all sources. session_select_sources(), before the load,
 * decides which are loaded, and calls configure() of each. */
int session_find_sources(struct session *session, char *why, size_t size);
void session_select_sources(struct session *session);

/* Attaches the programs of a source that is loaded, and detaches them. session_attach_source(): 0
 * or -errno, with none attached. */
int session_attach_source(struct session_source *source);
void session_detach_source(struct session_source *source);

/* Attaches the source that tells copies, if it is loaded and not attached, and says so to programs.
 * 0 or -errno. */
int session_attach_copies(struct session *session);

/* True if the source is one that is detached while events are shed, in this session. */
bool session_can_shed(const struct session *session, int i);

/* Runs an iterator program over all tasks. It writes records of `size` bytes (0: nothing), and `fn`
 * is called for each until it returns something other than 0. 0, -errno, or what `fn` returned. */
int session_run_iterator(struct bpf_program *program, size_t size,
			 int (*fn)(const void *record, void *arg), void *arg);

/* session_release_probes() begins to detach the exact engine everywhere; session_free_probes()
 * waits until that is done. */
void session_release_probes(struct session *session);
void session_free_probes(struct session *session);

/* After the load: makes session_each_changed_stack() ready. 0, or -errno; session_close_changes()
 * is to be called in any case. */
int session_open_changes(struct session *session);
void session_close_changes(struct session *session);

/* After the load: fills the map `subids` from /etc/subuid. 0, also without such a file; -errno. */
int session_add_subids(struct session *session);

/* After the load: maps the leaves, if the source is loaded. 0 or -errno. session_unmap_touched()
 * undoes that. */
int session_map_touched(struct session *session);
void session_unmap_touched(struct session *session);

/* The same for what is counted of the page cache. */
int session_map_cache(struct session *session);
void session_unmap_cache(struct session *session);

/* The same for the filter of the kernel's objects. */
int session_map_kernel(struct session *session);
void session_unmap_kernel(struct session *session);

/* Removes objects of the kernel whose images is_gone() names, if there are many objects. 0 or
 * -errno. */
int session_forget_owners(struct session *session, bool (*is_gone)(uint32_t proc, void *arg),
			  void *arg);

/* Frees all counter blocks. */
void session_blocks_free(struct session *session);

#endif
