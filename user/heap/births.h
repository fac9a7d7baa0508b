/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a census names the container that keeps the memory, but not the line that filled it.
 *
 * Two methods find that line while the process runs:
 *
 *   - watch: debug registers on the sizes of up to four containers. Each insertion is seen, with
 *     its stack.
 *   - burst: now and then, for some milliseconds, the returns of functions that make objects are
 *     probed. They show which line made which object. Objects that still exist at the second census
 *     are survivors, and the census knows their holders.
 *
 * A child process collects, because a target can hold up any process that reads its memory. In a
 * burst the child stops the target for some milliseconds and takes fingerprints of the objects. So
 * no object is freed and replaced in between.
 */
#ifndef HEAP_BIRTHS_H
#define HEAP_BIRTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "heap/graph.h"
#include "heap/holders.h"
#include "model/heap_look.h"
#include "py_heap_layout.h"
#include "pymem_birth.h"
#include "python/py_process.h"

/* AUTO: watch, if debug registers work and a known container grows; else bursts. */
enum births_method { BIRTHS_METHOD_AUTO, BIRTHS_METHOD_WATCH, BIRTHS_METHOD_BURST };

#define BIRTHS_CANDIDATES 512

/* What is sent to the child: plain data. */
struct births_request {
	pid_t pid;
	enum births_method method;
	struct py_process process;
	struct py_heap_layout heap;
	/* Containers that may grow. The first half second in which any of them grows decides: those
	 * that grow most are watched. */
	size_t candidate_count;
	struct birth_watch candidates[BIRTHS_CANDIDATES];
};

struct births_figures {
	bool watched;	     /* by debug registers; else by bursts */
	int32_t watch_error; /* -errno: why debug registers were not used; 0 */
	uint64_t replaced;   /* watched containers that were lost: others took their place, or may
				have */
	double watched_part; /* of the time, 0 to 1: traps are off while they cost too much */
	uint64_t bursts, missed; /* missed: of these, without samples, as the target could not be
				    stopped or events were lost */
	uint64_t seen, lost, unwalked; /* events */
	uint64_t unnamed;  /* of these: the code object of the innermost frame had gone */
	uint64_t died;	   /* objects that did not live until the end */
	double stopped_ms; /* all stops together */
	double longest_stop_ms;
	double probed_ms; /* while probes were attached */
};

#define BIRTH_NAMES 256 /* of one code object; of more, only the first ones are looked at */

struct birth_line {
	char *file, *function; /* raw bytes of the target */
	int line;	       /* 0: not known */
	/* births_name_hash() of the globals and attributes that the function's code names. */
	uint32_t *names;
	unsigned name_count;
};

struct birth_stack {
	struct birth_line lines[BIRTH_FRAMES]; /* innermost first */
	unsigned depth;
};

/* An object that was made in a burst and still lives, or a write to a container's size. */
struct birth_sample {
	uint64_t object;  /* address of the object; of a write: of the container, or of the place
			     that points to it */
	uint64_t type;	  /* of the object; 0 for a write */
	int64_t change;	  /* of the size; 1 for an object */
	uint32_t stack;	  /* index */
	uint32_t by_slot; /* 1: `object` is a place, the address of a pointer to the container */
};

struct births;

/* Starts the child, which waits for a request. To be called before this process gives up its
 * rights: the child needs them. The caller owns *births. 0 or -errno. */
int heap_births_prepare(struct births **births);

/* The request that heap_births_begin() will send: zeroed, for the caller to fill in. It is a part
 * of `births`, so it needs no memory later. */
struct births_request *heap_births_request(struct births *births);

/* Tells the child to collect. Errors are those of heap_births_finish(). */
void heap_births_begin(struct births *births);
/* In place of heap_births_begin(): nothing is collected, and heap_births_finish() returns `err`,
 * -errno. */
void heap_births_give_up(struct births *births, int err);

/* Fills in the request's candidates: those of `holders` that are containers whose size can be
 * watched. */
void heap_births_candidates(struct births_request *request, const struct heap_graph *graph,
			    const struct holder *holders, size_t holder_count);

/* Ends the collecting. To be called once the second snapshot has been taken. 0; -ETIME: the child
 * did not end in time, as the target held it up; -ENOTSUP: no debug registers, or (bursts) a kernel
 * before 6.6; -ENOENT: the interpreter exports none of the functions, or (watch) no known container
 * has grown; -ESRCH: the process has ended; -EPERM, -EACCES, -EBUSY; the error that
 * heap_births_give_up() was given; other -errno. */
int heap_births_finish(struct births *births);
void heap_births_free(struct births *births); /* ends it, too. NULL is allowed. */

const struct births_figures *heap_births_figures(const struct births *births);

/* Makes rows for a look: for each holder, the lines that made the objects that it holds, or that
 * inserted into it. A row has the number of its insertions, and its share of all those that were
 * seen for the holder; its `holder` is the holder's path. heap_birth_rows_free() frees *rows. 0 or
 * -ENOMEM. */
int heap_births_rows(const struct births *births, const struct heap_graph *graph,
		     const struct heap_blocks *blocks, const struct heap_types *types,
		     const struct holder *holders, size_t holder_count,
		     struct heap_birth_row **rows, size_t *count);

#endif
