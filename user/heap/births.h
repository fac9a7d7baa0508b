/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a census names the container that keeps the memory, not the line that filled it.
 *
 * Two ways to see that line, for a process that runs on:
 *
 *   - watch: debug registers on the sizes of up to four containers: each insertion is seen, with
 * its stack;
 *   - burst: for some milliseconds now and then, the return of functions that make objects: which
 * line made which object. Those that are still the same objects when the second census is made are
 * survivors, and the census knows who holds them.
 *
 * A child process collects, because a target can hold up whoever reads its memory. In a burst it
 * stops the target for some milliseconds, to take fingerprints of the objects before any of them
 * can be freed and another take its place.
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

/* AUTO: debug registers where they work, and where something that is known grows; else bursts. */
enum births_method { BIRTHS_METHOD_AUTO, BIRTHS_METHOD_WATCH, BIRTHS_METHOD_BURST };

#define BIRTHS_CANDIDATES 512

/* What is sent to the child: plain data. */
struct births_request {
	pid_t pid;
	enum births_method method;
	struct py_process process;
	struct py_heap_layout heap;
	/* Containers that may grow. Those that grow most within the first second are watched. */
	size_t candidate_count;
	struct birth_watch candidates[BIRTHS_CANDIDATES];
};

struct births_figures {
	bool watched;		       /* by debug registers; else by bursts */
	int32_t watch_error;	       /* -errno of what kept debug registers from being used */
	uint64_t replaced;	       /* watched containers that others took the place of */
	double watched_part;	       /* of the time: traps are not let take too much of it */
	uint64_t bursts, missed;       /* missed: the target could not be stopped for it */
	uint64_t seen, lost, unwalked; /* events */
	uint64_t unnamed;	       /* of these: the code of the innermost frame had gone */
	uint64_t died;		       /* objects that did not live until the end */
	double stopped_ms;	       /* all stops together */
	double longest_stop_ms;
	double probed_ms; /* while probes were attached */
};

struct birth_line {
	char *file, *function; /* raw bytes of the target */
	int line;	       /* 0: not known */
};

struct birth_stack {
	struct birth_line lines[BIRTH_FRAMES]; /* innermost first */
	unsigned depth;
};

/* An object that was made in a burst and still lives, or a write to a container's size. */
struct birth_sample {
	uint64_t object; /* its address, or the container's, or of the place that it was put into */
	uint64_t type;	 /* of the object; 0 for a write */
	int64_t change;	 /* of the size; 1 for an object */
	uint32_t stack;	 /* index */
	uint32_t by_slot; /* `object` is a place: the container is what is in it */
};

struct births;

/* Starts the child, which waits: before this process gives up its rights, as the child needs them.
 * The caller owns *births. 0 or -errno. */
int heap_births_prepare(struct births **births);

/* What heap_births_begin() will send: zeroed, to be filled in. It belongs to `births`, so that
 * there is memory for it when it is needed. */
struct births_request *heap_births_request(struct births *births);

/* Makes it collect. heap_births_finish() says what kept it from that. */
void heap_births_begin(struct births *births);
/* In place of heap_births_begin(): nothing is collected, and heap_births_finish() returns `err`,
 * -errno. */
void heap_births_give_up(struct births *births, int err);

/* Fills the request's candidates from a census: its containers with a size, of these holders. */
void heap_births_candidates(struct births_request *request, const struct heap_graph *graph,
			    const struct holder *holders, size_t holder_count);

/* Ends the collecting: to be called once the second snapshot is there. 0; -ETIME: the target held
 * it up; -ENOTSUP: no debug registers, or (bursts) a kernel before 6.6; -ENOENT: the interpreter
 * exports none of the functions, or (watch) nothing that is known has grown; -ESRCH: the process
 * has ended; -EPERM, -EACCES, -EBUSY; what heap_births_give_up() was told; other -errno. */
int heap_births_finish(struct births *births);
void heap_births_free(struct births *births); /* ends it, too. NULL is allowed. */

const struct births_figures *heap_births_figures(const struct births *births);

/* Rows for a look: of each of the holders the lines that made what it holds, or inserted into it;
 * each with how many of the insertions seen for that holder were its. A row's strings are the
 * caller's; holder is the holder's path. 0 or -ENOMEM. */
int heap_births_rows(const struct births *births, const struct heap_graph *graph,
		     const struct heap_blocks *blocks, const struct heap_types *types,
		     const struct holder *holders, size_t holder_count,
		     struct heap_birth_row **rows, size_t *count);

#endif
