/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What heaps kept, in a diff for people. Only diff_*.c of this folder include this. */
#ifndef DIFF_HEAP_H
#define DIFF_HEAP_H

#include "model/model_diff_heap.h"
#include "render/diff_parts.h"

/* Prints the holders and types of a program, after an empty line; nothing if it was not looked at.
 * 0 or -ENOMEM. */
int diff_heap_print(FILE *out, const struct diff_report *report,
		    const struct model_diff_program *program, const struct render_options *options);

/* A holder or a type in words. Amounts may be known to lie between two bounds only. */
struct diff_kept_words {
	char cell[3][32]; /* the difference, A, B */
	char *text;	  /* name, entries or objects, what is not known of it; escaped */
};
/* 0 or -ENOMEM. The caller frees words->text. */
int diff_kept_words(const struct model_diff *diff, const struct model_diff_program *program,
		    const struct model_diff_kept *kept, struct diff_kept_words *words);
/* "Kept at the last look: …", of a program that was looked at. The caller frees it; NULL: out of
 * memory. */
char *diff_heap_heading(const struct model_diff *diff, const struct model_diff_program *program);
/* The path of a holder as it may be shown: redacted, it ends before the first key. `text` is used
 * if it has to be cut. */
#define DIFF_PATH_TEXT (HEAP_TIMES_NAME + 8)
const char *diff_kept_path(const struct model_diff *diff, const struct model_diff_kept *kept,
			   char text[DIFF_PATH_TEXT]);

/* True if a holder or a type of the program differs by more than noise. */
bool diff_heap_differs(const struct model_diff *diff, const struct model_diff_program *program);

/* Writes a sentence, after a space, about the holder that grew most, if diff_heap_grew(): one grew
 * by more than a MiB and a twentieth. */
bool diff_heap_grew(const struct model_diff *diff);
void diff_heap_answer(FILE *out, const struct model_diff *diff);

#endif
