/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a signal ended a process, in words and as JSON. */
#ifndef LAST_WORDS_H
#define LAST_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "model/model.h"

struct answer;

/* Writes two sentences, without a line feed, on a process that has a death. `named`: they begin
 * with its PID. `a`: an answer that has the process, for shorter names of files; NULL: none. */
void last_words_write(FILE *out, const struct answer *a, const struct model_process *process,
		      bool named);

/* Prints them as a paragraph of so many columns (0: no limit). 0 or -ENOMEM. */
int last_words_print(FILE *to, const struct model_process *process, unsigned width);

/* Prints them of each process of the program that has some; of many, only of some. 0 or -ENOMEM.
 * answer_was_killed(): true if any has. */
int answer_last_words(struct answer *a);
bool answer_was_killed(const struct answer *a);

/* A table of such processes: its titles, a row of at most `width` columns (0: no limit). Of one:
 * the sentences and those on its control group, 0 or -ENOMEM; and the stacks of its threads. */
void last_words_titles(FILE *out);
void last_words_row(FILE *out, const struct model_process *process, unsigned width);
int last_words_show_answer(FILE *out, const struct model_process *process, unsigned width);
void last_words_show_threads(FILE *out, const struct model_process *process, unsigned width);

/* Writes a sentence, without a line feed, on its control group: what it had right after the end, or
 * why that is not known. */
void last_words_group(FILE *out, const struct cgroup_last *group);

/* The value of `last_words` of a process that has a death. `one`: of its threads only that which
 * says most. The caller owns it. NULL: out of memory. */
json_t *last_words_value(const struct model_process *process, bool one);

/* Writes a document on that process alone, of schema "pymem-bpf-oom/1", with the last look at its
 * heap (a borrowed object or null). `one`: as there, and of its lines only the first one. 0,
 * -ENOMEM, or -errno of the stream. */
int last_words_document(FILE *out, const struct model *model, const struct model_process *process,
			json_t *heap, bool one);

#endif
