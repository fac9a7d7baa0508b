/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two profiles, A and B, side by side: which programs and which lines changed memory in another way
 * in B than in A. Pure, as the models are.
 *
 * Programs are matched by what they run, not by PID. Lines are matched by file, function and text:
 * a line that moved is the same line. What is in one profile only is there, with zeros for the
 * other one.
 *
 * Invariant, for each side, to the byte: the increments of all lines + what is unattributed of all
 * programs + what their lines and losses leave out (`unaccounted_bytes`, normally 0) + the change
 * of the gathered processes = the change of RSS of that side.
 *
 * All amounts are in bytes. */
#ifndef MODEL_DIFF_H
#define MODEL_DIFF_H

#include "model/programs.h"

#define MODEL_DIFF_SIDES 2
enum model_diff_side_index { MODEL_DIFF_A, MODEL_DIFF_B };

/* Figures of one line, or of several, in one side. */
struct model_diff_figures {
	int64_t increment_bytes;
	uint64_t grown_bytes, freed_bytes, copied_bytes;
	uint64_t faults;	/* minor and major */
	int64_t resident_bytes; /* -1: unknown */
};

enum model_diff_match {
	MODEL_DIFF_ONLY,   /* it is in one side only */
	MODEL_DIFF_TEXT,   /* same file, function and text */
	MODEL_DIFF_NUMBER, /* same file, function and number; the text is unknown in one side */
};

struct model_diff_line {
	/* In each side: where it is, and the process whose files have its text. NULL: it is not in
	 * that side. Of several places the one that changed most. */
	const struct model_location *at[MODEL_DIFF_SIDES];
	const struct model_process *process[MODEL_DIFF_SIDES];
	enum model_diff_match match;
	bool text_known; /* in each side that has the line */
	struct model_diff_figures side[MODEL_DIFF_SIDES];
};

/* A line of stacks, as a model_diff_line has it: a line that only called others is there, too. */
struct model_diff_frame {
	const struct model_location *at[MODEL_DIFF_SIDES]; /* NULL: it is not in that side */
	const struct model_process *process[MODEL_DIFF_SIDES];
};

/* The stacks of both sides as one tree of calls, outermost lines first. Node 0 is its root, which
 * is no line. */
#define MODEL_DIFF_CUT UINT32_MAX /* a node that stands for callers that are missing */
struct model_diff_node {
	uint32_t frame;			    /* in program->frames, or MODEL_DIFF_CUT */
	uint32_t parent, first, next, last; /* as of a model_node; the last line it called */
	uint32_t amounts;		    /* in program->amounts; 0: it has none of its own */
};

/* What a node has without what it called. resident_bytes is 0 if it is unknown. */
struct model_diff_amounts {
	struct model_diff_figures side[MODEL_DIFF_SIDES];
};

enum model_diff_program_match {
	MODEL_DIFF_PROGRAM_ONLY,      /* it is in one side only */
	MODEL_DIFF_PROGRAM_SAME,      /* same name and arguments, same container or service */
	MODEL_DIFF_PROGRAM_ELSEWHERE, /* same name and arguments, at another place */
	MODEL_DIFF_PROGRAM_NAME, /* the only ones of that name; their arguments or code differ */
};

struct model_diff_heap; /* model/model_diff_heap.h */

/* What a program is in one side. All zeros: it is not there. */
struct model_diff_program_side {
	const struct model_process *process; /* the one that changed most, or the sum of several
						equal ones; NULL: none */
	/* Each of its processes, and the sum of those that are folded. They belong to the model. */
	const struct model_process **all;
	size_t all_count;
	size_t processes, exited;		/* folded ones, too */
	int64_t rss_start_bytes, rss_end_bytes; /* sums */
	int64_t rss_peak_bytes;			/* the highest of any of its processes */
	bool rss_peak_at_least;			/* as in a model_process, of any of them */
	/* The sum of what its processes grew by: from the start to the end, or of one that has
	 * ended, to its highest RSS, since Python frees nearly all before it ends. */
	int64_t growth_bytes;
	int64_t charged_bytes; /* the increments of its lines */
	int64_t lost_bytes[PYMEM_LOSS_COUNT];
	int64_t unaccounted_bytes; /* of the change, what is in neither; not 0: a defect */
	uint64_t truncated_stacks, lost_faults;
};

struct model_diff_program {
	enum model_diff_program_match match;
	struct model_diff_program_side side[MODEL_DIFF_SIDES];
	/* The folders of A and B whose files are taken for one another, as their paths differ: the
	 * first `folder_length` bytes of a file's path. NULL: there are none. */
	const char *folder[MODEL_DIFF_SIDES];
	size_t folder_length[MODEL_DIFF_SIDES];
	struct model_diff_line *lines; /* those with figures: model_diff_sort() */
	size_t line_count;
	/* NULL unless both models keep trees. */
	struct model_diff_frame *frames;
	struct model_diff_node *nodes;
	struct model_diff_amounts *amounts;
	size_t frame_count, node_count, amount_count;
	struct model_diff_heap *heap; /* NULL: model_diff_take_heaps() found nothing of it */
};

struct model_diff_side {
	const struct model *model;
	double seconds;	      /* its length; 0 if the clock went backwards */
	int64_t change_bytes; /* of RSS, of all processes, gathered ones too */
	int64_t growth_bytes; /* of all programs, and the change of processes that are in none */
};

struct model_diff {
	struct model_diff_side side[MODEL_DIFF_SIDES];
	struct model_diff_program *programs;
	size_t program_count;
	/* By amounts: what B changed less what A changed. By rates: the same, per second of each.
	 * model_diff_sort() sets it. */
	bool by_rates;
	/* Lines that are matched by number though their text may be known, because reading and
	 * comparing the functions that they are in had taken too long already. */
	size_t hurried;
	bool redacted; /* model_diff_redact() */
};

/* The text of a line of a process of one side, or NULL: it is unknown. It must stay as it is until
 * the diff is freed. `arg` is that of the side. */
typedef const char *model_diff_text_fn(void *arg, const struct model_process *process,
				       const char *file, int line);
struct model_diff_texts {
	model_diff_text_fn *text; /* NULL: no text is known */
	void *arg[MODEL_DIFF_SIDES];
};

/* Compares two computed models, which must not change until model_diff_free(). NULL: out of
 * memory. The programs and lines are sorted by amounts. */
struct model_diff *model_diff_new(const struct model *a, const struct model *b,
				  const struct model_diff_texts *texts);
void model_diff_free(struct model_diff *diff);

/* Takes out of the diff and of its two models, `a` and `b`, what is not for others, as
 * model_redact() does with the source texts of each side (NULL: none are known). What belongs
 * together has been found before, by whole paths and texts. To be called once, after
 * model_diff_take_heaps(). 0, or -ENOMEM: the diff must not be shown. */
int model_diff_redact(struct model_diff *diff, struct model *a, struct model *b,
		      struct source_cache *const sources[MODEL_DIFF_SIDES]);

/* Sorts programs by what they grew by, and the lines of each by their increments, by the size of
 * the difference: by amounts, or by rates if both sides have a length. */
void model_diff_sort(struct model_diff *diff, bool by_rates);

/* How many bytes more `b` is than `a`. By rates: in as much time as the shorter side has, so that
 * figures of both kinds can be compared with the same limits. */
double model_diff_difference(const struct model_diff *diff, int64_t a, int64_t b);

int64_t model_diff_change(const struct model_diff_program_side *side);
/* Of all causes. */
int64_t model_diff_lost(const struct model_diff_program_side *side);

/* True if there are processes, and all of both sides have ended: those of commands that were
 * recorded as a whole. What they grew by then tells more than the change of RSS. */
bool model_diff_has_ended(const struct model_diff *diff);

/* True if the lengths of the two are so different that amounts say little: by more than a tenth,
 * unless all has ended. */
bool model_diff_prefers_rates(const struct model_diff *diff);

/* How much more B grew than A, by growth_bytes. Programs that are in A only don't count, since what
 * did not run in B can't make up for what grew there. By rates: in the time of B. */
double model_diff_growth(const struct model_diff *diff, bool by_rates);

#endif
