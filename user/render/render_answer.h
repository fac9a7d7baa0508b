/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the answer share: the report that says first which programs changed memory, by
 * how much and how fast. Only render_*.c include this. */
#ifndef RENDER_ANSWER_H
#define RENDER_ANSWER_H

#include "model/programs.h"
#include "render/render_parts.h"

#define ANSWER_LEAST 52429 /* bytes: less is shown as 0.0 MiB */

/* What is shown of one program. Amounts are bytes. */
struct answer {
	FILE *out;
	const struct model *model;
	const struct render_options *options;
	const struct model_program *program;
	const struct model_process *process; /* the sum of its processes */
	double seconds;			     /* for which it was watched */
	int64_t change;			     /* of RSS */
	int64_t grown, freed; /* sums over lines that grew RSS, and over lines that shrank it; both
				 positive */
	/* 100 %: the largest of |change|, `grown`, `freed`, and the sums of all increases and of
	 * all decreases that are shown, unattributed amounts included. */
	int64_t whole;
	int64_t least; /* a line that changed less has no row */
	/* The lines that have a row, in their order. Their increment_bytes is without what is in
	 * `imports`. */
	struct model_line *rows;
	size_t row_count;
	int64_t imports;		   /* changed by imports, and in no other row */
	const struct model_line *importer; /* the line that started most of it; NULL: none */
	int64_t rest;			   /* changed by lines without a row */
	size_t rest_lines;
	size_t folder; /* length of the folder that all files of the program are in; it is not shown
			*/
	struct parts_changed changed;
};

/* The answers of a report, one for each program. */
struct answers {
	struct model_programs programs;
	struct answer *list; /* as many as programs.count */
};

/* render_words.c: chooses what is shown of each program. 0 or -ENOMEM; answers_free() in both
 * cases. */
int answers_make(struct answers *answers, FILE *out, struct model *model,
		 const struct render_options *options);
void answers_free(struct answers *answers);

/* How much of an answer is printed. */
struct answer_room {
	size_t rows;	  /* lines */
	bool paths;	  /* with their callers */
	size_t processes; /* listed, if a program has several */
};

/* render_rows.c. answer_prepare(): chooses what is shown of the program; the caller frees
 * answer->rows. answer_rows(): prints the rows. 0 or -ENOMEM. */
int answer_prepare(struct answer *answer);
int answer_rows(struct answer *answer, const struct answer_room *room);

/* render_calls.c: prints the functions that the exact engine counted, at most `most` of them, and
 * what belongs to none. Nothing if it counted none. */
void answer_functions(struct answer *answer, size_t most);

/* Text that is built before it is printed, since it is measured or wrapped. */
struct answer_text {
	FILE *out; /* to write to */
	char *data;
	size_t size;
};

/* render_sentences.c. answer_text_begin(): 0 or -ENOMEM. answer_text_end(): `data` has the text,
 * which the caller frees; 0, or -ENOMEM, then there is nothing to free. answer_text_print(): ends
 * it and prints it as a paragraph. answer_duration(): writes "60 s", "5 min 20 s". */
int answer_text_begin(struct answer_text *text);
int answer_text_end(struct answer_text *text);
int answer_text_print(struct answer_text *text, struct answer *answer);
void answer_duration(FILE *out, double seconds);
/* Prints the sentences on the program. 0 or -ENOMEM. */
int answer_sentences(struct answer *answer);

/* render_answer.c: prints all that is shown of the program. 0 or -ENOMEM. Its parts: the head, 0 or
 * -ENOMEM; the processes of a program of several, at most `most`. */
int answer_print(struct answer *answer, const struct answer_room *room);
int answer_head(struct answer *answer);
void answer_members(struct answer *answer, size_t most);
/* True if nothing changed the program's memory. */
bool answer_is_still(const struct answer *answer);
/* True if the program has nothing to show and is only counted. `still`: how many are still. */
bool answer_is_counted_only(const struct answer *answer, size_t still);

/* render_words.c: calls fn(text, arg) with the answer in words: for each program that a report
 * shows, its head, its sentences and its processes, one on a line; last what else was profiled.
 * Without rows, notes and skipped processes. 0, what `fn` returned, or -ENOMEM. */
typedef int answer_words_fn(const char *text, void *arg);
int answer_words(struct model *model, const struct render_options *options, answer_words_fn *fn,
		 void *arg);

/* render_paths.c: prints the callers of a line into at most `columns` (0: no limit). answer_tree():
 * all stacks as a tree, instead of rows; 0 or -ENOMEM. */
void answer_path(struct answer *answer, const struct model_line *line, unsigned columns);
int answer_tree(struct answer *answer, const struct answer_room *room);

/* Writes the place as parts_place() does, without the folder that all files of the program share,
 * and returns its columns. answer_place_columns(): those of the whole place. */
unsigned answer_place(FILE *out, const struct answer *answer, const struct model_location *location,
		      unsigned columns);
unsigned answer_place_columns(const struct answer *answer, const struct model_location *location);

/* Writes " 95 %" or " <1 %", the part of `whole` that `bytes` are; blanks if one of them is 0. */
void answer_share(char *text, size_t size, const struct answer *answer, int64_t bytes);
/* The style of an amount: by its share, and whether it was freed. "" : none. */
const char *answer_style(const struct answer *answer, int64_t bytes);

/* render_fit.c: puts programs and rows into an order that stays from one drawing to the next.
 * answer_fit() finds out how much of each fits into options->height rows; `*programs` becomes the
 * number of programs that are printed. 0 or -ENOMEM. */
void answer_keep_order(struct answer *answers, size_t count, struct render_memory *memory);
int answer_fit(struct answer *answers, size_t count, struct answer_room *room, size_t *programs);

/* render_answer.c: prints at most `programs` of the `count` programs, and says how many others
 * there are. 0 or -ENOMEM. */
int answer_all(FILE *out, struct answer *answers, size_t count, size_t programs,
	       const struct answer_room *room);

/* The whole report of a model. Returns what renderer.emit() does. */
int render_answer(FILE *out, struct model *model, const struct render_options *options);

#endif
