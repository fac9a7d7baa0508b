/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the births' child share: it attaches, stops and reads a target, and may be held
 * up by it. What it finds goes into a memory file, which its parent reads when it has ended. */
#ifndef BIRTHS_CHILD_H
#define BIRTHS_CHILD_H

#include <stdio.h>

#include "base/hash.h"
#include "heap/births_results.h"
#include "kernel/birth_probes.h"
#include "python/py_code.h"

/* Bytes at `addr` of the process, through no helper: the child is one. True: all of them. */
bool births_read(pid_t pid, uint64_t addr, void *buf, size_t size);

/* --- code objects --- */

struct code_name; /* of one code object */

struct code_names {
	pid_t pid;
	const struct py_layout *py;
	struct code_name *known;
	size_t count;
};

/* The line of a frame, from the code object that is there now if it is still the one of the event.
 * File and function belong to `names`. False: it is another, or can't be read. */
bool code_names_line(struct code_names *names, const struct birth_frame *frame,
		     struct birth_line *line);
void code_names_free(struct code_names *names);

/* --- fingerprints --- */

struct fingerprint_type; /* what is remembered of a type */

struct fingerprints {
	pid_t pid;
	const struct py_heap_layout *l;
	const struct py_layout *py;
	struct fingerprint_type *types;
};

/* Of the object at `addr`: its type, body, the text of a str or bytes, what lies before it, and the
 * heads of what it refers to. 0: there is no object, or it is dead. *type: its ob_type. */
uint64_t fingerprint(struct fingerprints *prints, uint64_t addr, uint64_t *type);
/* Can it be the object that had that head when it was made? Its type is the same, and the length of
 * what keeps its length. `type`: its type now. A string that was made longer and then cut is none:
 * what has been moved by realloc() is not seen, and another may lie where it was. */
bool fingerprint_fits(struct fingerprints *prints, uint64_t addr, uint64_t type,
		      const uint64_t head[BIRTH_HEAD_WORDS]);
void fingerprints_free(struct fingerprints *prints);

/* --- the child --- */

/* Collects until `socket` is closed or has something to read, then writes the results. */
void births_child_serve(const struct births_request *request, FILE *results, int socket);

#endif
