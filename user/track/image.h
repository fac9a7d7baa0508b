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

struct image { /* one process image: pymem_proc's user-space half */
	uint32_t id;
	pid_t pid, ppid;
	char comm[64];
	char **argv; /* NULL-terminated, never NULL once read */
	char *cgroup;
	char python[32]; /* "" until identified */
	struct py_layout layout;
	bool identified;
	bool examined;	  /* looked at while it lived: no interpreter so far */
	bool undescribed; /* it was asked for, and not to be had at that time */
	bool dead;
	bool dropped;	  /* its record found no room: not in the report */
	bool lines;	  /* the exact engine is attached */
	int lines_error;  /* -errno where it was wanted and is not; -ENOTSUP: no probe */
	bool started;	  /* it was seen to begin */
	bool held;	  /* it could not run until it was identified */
	bool lines_late;  /* it was seen to begin, and the exact engine was attached after that */
	bool hidden;	  /* our own child before it became the command */
	bool asked;	  /* named on the command line, or CMD */
	char reason[128]; /* why it can't be profiled; "" */
	struct pymem_proc record; /* once dead */
	uint64_t ended_ms;	  /* when that was known; CLOCK_MONOTONIC */
	bool finished;		  /* it ended, and what it did was handed over */
	bool taking;		  /* that is being done */
	int64_t handed_pages;	  /* of its stacks, meanwhile */
	bool needless;		  /* in tracker.ended */
	struct source_root root;
	uint32_t sweep;		  /* in which it was last seen alive */
	struct image *next_ended; /* in tracker.ended */
	UT_hash_handle hh;
};

/* Takes what /proc says of the process, as long as it is there. */
void image_describe(struct image *image);

/* Describes a child by its parent, as far as it is not described yet; `identified`: its stacks are
 * walked as its parent's were at the fork. */
void image_inherit(struct image *image, const struct image *parent, bool identified);

/* The process has run code as this user. If it had more rights when it was described, it has them
 * no more: whatever its code names is read with those it has left. */
void image_note_user(struct image *image, const struct pymem_msg_code *code);

void image_free(struct image *image);

#endif
