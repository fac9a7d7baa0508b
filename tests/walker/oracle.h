/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the walker may report for one event, compared with what it reports.
 *
 * A line is never guessed. After each event the result is one of these, or the test fails:
 * - right: all frames, each as the reference (or Python) has it;
 * - cut: the innermost ones of these, marked as truncated;
 * - lost, by a cause that a report names; "never delivered" is one of them.
 *
 * A file, function or line of a frame that could not be read is "?". That is not wrong either.
 *
 * If memory was changed, an independent reading of the *changed* memory says what is right
 * (reference.c). If a pointer was changed to another living object, the stack is as good as any: no
 * reader can know that it is another one. So such cases are compared with the reference alone. Wild
 * values lead to nothing: there, each line must also be one that Python itself named. */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "python/py_process.h"
#include "reference.h"

/* What Python said of one of its threads, innermost frame first. */
struct truth {
	uint64_t thread_id;
	unsigned count;
	struct reference_frame frames[REFERENCE_FRAMES];
};

struct oracle {
	const struct reference_frame
		*frames; /* NULL: none; only lines that Python named are allowed */
	unsigned count;
	bool whole;		      /* these are all frames */
	bool genuine;		      /* only lines that Python named are allowed */
	bool exact;		      /* nothing was changed: no loss is allowed */
	const struct truth *or_truth; /* this is right, too; NULL: nothing else */
};

/* Events are from this process from now on. It must live as long. */
void oracle_init(const struct py_process *process);
void oracle_fini(void);

/* Reads the file that walker.c describes. Returns the number of threads. */
unsigned oracle_read_truth(const char *path);
const struct truth *oracle_truth(unsigned i);

/* All frames that Python named, and no other line. */
struct oracle oracle_of_truth(const struct truth *t);

/* Names the current case, for messages. */
void oracle_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Drops everything that was delivered. */
void oracle_forget(void);

/* Ends the program unless what walker_event() returned and delivered is allowed. */
void oracle_judge(int err, const struct oracle *o);

/* Ends the program: frame `i` is wrong. */
void oracle_complain(unsigned i, const char *file, const char *function, int line,
		     const struct oracle *o) __attribute__((noreturn));

/* Prints the counts of all events, the reads and words of one walk, and what hostile state cost. */
struct hostile_costs;
void oracle_report(long reads, unsigned word_count, const struct hostile_costs *costs);

#endif
