/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process image as user space knows it: what /proc said while it lived. */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hash.h"
#include "py_layout.h"
#include "pymem.h"
#include "os/source.h"

struct image { /* the user-space half of struct pymem_proc */
	uint32_t id;
	pid_t pid, ppid;
	pid_t ns_pid; /* in its own PID namespace; 0: the same, or not known */
	char comm[64];
	char **argv; /* ends with NULL; NULL: not known */
	char *cgroup;
	char *memory_cgroup;   /* as cgroup_memory_name() gave it last; NULL: it never did */
	unsigned memory_group; /* as cgroup_book_see() gives it */
	bool memory_moved;     /* it was in another group at the end */
	char python[32];       /* "": not identified */
	struct py_layout layout;
	uint64_t runtime, interp_head; /* session_target's, of an identified one */
	bool identified;
	bool shed;	     /* its stacks are not walked: tracker_shed.c */
	int64_t shed_pages;  /* its RSS at the last choice, */
	uint64_t shed_moved; /* and by how much it had changed since the one before */
	uint32_t touched_turn, touched_call; /* tracker_touched.c: when it was joined last */
	bool examined;	  /* was examined while it lived: no interpreter so far */
	bool undescribed; /* should be described, but could not be at that time */
	bool dead;
	bool dropped;		  /* there was no room for its record: it is not in the report */
	bool lines;		  /* the exact engine is attached */
	int lines_error;	  /* why it is not attached, -errno; -ENOTSUP: no probe */
	bool started;		  /* we saw it begin */
	bool held;		  /* could not run until it was identified */
	bool lines_late;	  /* we saw it begin, but attached the exact engine later */
	bool hidden;		  /* our own child, before it executed the command */
	bool asked;		  /* was named by -p, or is the command */
	char reason[128];	  /* why it can't be profiled; "": it can */
	struct pymem_proc record; /* set when it has ended */
	uint64_t ended_ms;	  /* when that was noticed; CLOCK_MONOTONIC */
	bool finished;		  /* its figures were handed over after its end */
	bool taking;		  /* its figures are being handed over now */
	int64_t handed_pages;	  /* pages of its stacks that were handed over so far */
	bool needless;		  /* is in the list tracker.ended */
	struct source_root root;
	bool ancestor;		   /* finished, but its children have pages that it touched */
	struct resident *before;   /* what was resident at attach; NULL: nothing, or unknown */
	uint32_t sweep;		   /* the last sweep that saw it alive */
	struct image_words *words; /* of threads that a signal has ended; NULL: none */
	struct image *next_ended;  /* in the list tracker.ended */
	UT_hash_handle hh;
};

/* Fills in what /proc says of the process, as long as it exists. */
void image_describe(struct image *image);

/* Fills in what is not known of a child yet, from its parent. `identified`: its stacks have been
 * walked as its parent's since the fork. 0; -ENOMEM: its command line or its cgroup is not known.
 */
int image_inherit(struct image *image, const struct image *parent, bool identified);

/* The process has run code as the user in `code`. If it had more rights when it was described, it
 * does not have them any more: files that its code names are read with the rights it has left. */
void image_note_user(struct image *image, const struct pymem_msg_code *code);

/* tracker_touched.c: one more user, and one less, of what was resident. NULL is allowed. */
struct resident *resident_share(struct resident *before);
void resident_release(struct resident *before);

/* tracker_words.c. NULL is allowed. */
void image_words_free(struct image_words *words);

/* Frees the image and all that it owns. */
void image_free(struct image *image);

#endif
