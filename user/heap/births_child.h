/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the births' child share. The child attaches to a target, stops it and reads it,
 * so the target may hold it up. It writes its results to a memory file. Its parent reads that when
 * the child has ended. */
#ifndef BIRTHS_CHILD_H
#define BIRTHS_CHILD_H

#include <stdio.h>

#include "base/hash.h"
#include "heap/births_results.h"
#include "kernel/birth_probes.h"
#include "python/py_code.h"

/* Reads `size` bytes at `addr` of the process, without the examiner: the child is a helper itself.
 * True: all of them were read. */
bool births_read(pid_t pid, uint64_t addr, void *buf, size_t size);

/* --- code objects --- */

struct code_name; /* of one code object */

struct code_names {
	pid_t pid;
	const struct py_layout *py;
	const struct py_heap_layout *heap;
	struct code_name *known;
	size_t count;
};

/* Fills in the line of a frame. It reads the code object that is there now, which must have the
 * stamp of the event. The file, the function and the names in *line belong to `names`. False:
 * another code object is there, or it can't be read. */
bool code_names_line(struct code_names *names, const struct birth_frame *frame,
		     struct birth_line *line);
void code_names_free(struct code_names *names);

/* --- fingerprints --- */

struct fingerprint_type; /* a type that was met, with its sizes */

struct fingerprints {
	pid_t pid;
	const struct py_heap_layout *l;
	const struct py_layout *py;
	struct fingerprint_type *types;
};

/* A hash of the object at `addr`: of its type, its body, the text of a str or bytes, the words
 * before it, and the heads of what it refers to. *type becomes its ob_type. 0: no living object is
 * there, or it has nothing that tells it from another. */
uint64_t fingerprint(struct fingerprints *prints, uint64_t addr, uint64_t *type);
/* Can the object at `addr` be the one that had `head` when it was made? Its type must be the same,
 * and its length if objects of that type keep theirs. `type`: its type now. A string that was cut
 * after it was made does not fit: realloc() may have moved it unseen, and another object may lie
 * there. */
bool fingerprint_fits(struct fingerprints *prints, uint64_t addr, uint64_t type,
		      const uint64_t head[BIRTH_HEAD_WORDS]);
void fingerprints_free(struct fingerprints *prints);

/* --- the child --- */

/* Collects until `socket` is closed or has something to read, then writes the results. */
void births_child_serve(const struct births_request *request, FILE *results, int socket);

#endif
