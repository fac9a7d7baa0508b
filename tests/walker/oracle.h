/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the walker may say of one event, held against what it said.
 *
 * A line is never a guess. After each event the result is one of these, or the test fails:
 *  - right: all frames, each as the reference (or Python) has it;
 *  - cut: the innermost ones of them, and marked as truncated;
 *  - lost, by a cause that a report names; or never delivered, which is one of them.
 * A frame's file, function or line that could not be read is "?", which is no wrong line either.
 *
 * What is right where the memory was changed: what an independent reading of the *changed*
 * memory gives (reference.c). A pointer made to lead to another living object is a stack as
 * good as any, and no reader can tell that it is not the one that was; so such cases are
 * held against the reference alone. Wild values lead to nothing: there each line must also be
 * one that Python itself named.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "python/py_process.h"
#include "reference.h"

/* What Python itself said of one of its threads, innermost frame first. */
struct truth {
	uint64_t thread_id;
	unsigned count;
	struct reference_frame frames[REFERENCE_FRAMES];
};

struct oracle {
	const struct reference_frame *frames; /* NULL: none; only what is genuine may be said */
	unsigned count;
	bool whole;		      /* these are all frames that there are */
	bool genuine;		      /* no line that Python did not name */
	bool exact;		      /* nothing was disturbed: no loss at all */
	const struct truth *or_truth; /* may be right by this instead; NULL */
};

/* Events of this process; it must live as long. */
void oracle_init(const struct py_process *process);
void oracle_fini(void);

/* Reads the file that walker.c describes. Returns how many threads there are. */
unsigned oracle_read_truth(const char *path);
const struct truth *oracle_truth(unsigned i);

/* All frames that Python said, and no line that it did not. */
struct oracle oracle_of_truth(const struct truth *t);

/* Names the case that runs, for messages. */
void oracle_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Drops all that was delivered. */
void oracle_forget(void);

/* Ends the program unless what walker_event() returned and delivered is as it may be. */
void oracle_judge(int err, const struct oracle *o);

/* Ends the program: frame `i` is wrong. */
void oracle_complain(unsigned i, const char *file, const char *function, int line,
		     const struct oracle *o) __attribute__((noreturn));

/* Prints the counts of all events; reads and words of one walk. */
void oracle_report(long reads, unsigned word_count);

#endif
