/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an image of memory says about the stack of a thread, read in the simplest way: word by word,
 * without any cache, hash or limit of the walker. It shares with the product only struct py_layout
 * and the decoders of user/python/py_code.c, which tests/fuzz/fuzz_lines.c compares with others. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "python/py_process.h"

#define REFERENCE_FRAMES 300
#define REFERENCE_WORDS	 8192

struct reference_frame {
	char *file, *function; /* "?": unreadable */
	int line;
	uint64_t frame, code;
};

enum reference_kind {
	WORD_POINTER,
	WORD_INSTR,  /* a pointer into a code object */
	WORD_NUMBER, /* a length, a size, a thread's id */
};

/* A word that the stack depends on. */
struct reference_word {
	uint64_t addr, value;
	enum reference_kind kind;
};

enum reference_end {
	REFERENCE_WHOLE,
	REFERENCE_CUT,	 /* a caller, or its code, can't be read */
	REFERENCE_MANY,	 /* there may be more */
	REFERENCE_ABSENT /* there is no such thread, or it runs nothing */
};

struct reference {
	struct reference_frame frames[REFERENCE_FRAMES];
	unsigned count;
	enum reference_end end;
	uint64_t interp, tstate;
	struct reference_word *words; /* room for REFERENCE_WORDS of them; NULL: not wanted */
	unsigned word_count;
};

/* Fills `r` (but not r->words) for the thread `thread_id`, with at most `limit` frames. */
void reference_walk(struct reference *r, const struct py_process *process, uint64_t thread_id,
		    unsigned limit);
void reference_fini(struct reference *r);

#endif
