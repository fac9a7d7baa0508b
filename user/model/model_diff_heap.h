/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What heaps kept at the end of each side of a diff: of each program the last look at each of its
 * processes, added up by holder and by type.
 *
 * A look has its largest rows only (HEAP_TIMES_ROWS). What is not among them may still be there,
 * with as many bytes as the least of them at most. So the bytes of a row are known to lie between
 * two figures, which are the same if no list was cut.
 *
 * Text that comes from targets is raw: renderers escape it. */
#ifndef MODEL_DIFF_HEAP_H
#define MODEL_DIFF_HEAP_H

#include "model/heap_times.h"
#include "model/model_diff.h"

/* A holder or a type in one side. */
struct model_diff_kept_side {
	size_t looks;  /* that have it among their rows */
	size_t unsure; /* looks that have not, but whose list was cut */
	int64_t least_bytes, most_bytes;
	int64_t number; /* of its entries, of objects; -1: unknown, or it has none */
};

struct model_diff_kept {
	const char *path; /* of a holder; NULL: it is a type */
	const char *type;
	struct model_diff_kept_side side[MODEL_DIFF_SIDES];
	int64_t least_bytes, most_bytes; /* how much more B has */
	int64_t sure_bytes; /* the one of both that is nearer to 0; 0 if they lie around it */
};

struct model_diff_heap_side {
	size_t looks; /* processes that were looked at */
	size_t types_only;
	double first, last; /* when the first and the last of these looks began; since the epoch */
};

struct model_diff_heap {
	struct model_diff_heap_side side[MODEL_DIFF_SIDES];
	/* Rows are comparable if each side has looks or is not there at all, and if the looks are
	 * of one kind: without holders, types have no buffers. */
	bool has_holders, has_types;
	struct model_diff_kept *holders, *types; /* largest sure_bytes first, of either sign */
	size_t holder_count, type_count;
};

/* Fills program->heap of those programs that were looked at in either side. `a` and `b` are looks
 * at processes of the two models; their names must stay until model_diff_free(). If one has none,
 * nothing can be compared, and nothing is done. To be called once. 0 or -ENOMEM. */
int model_diff_take_heaps(struct model_diff *diff, const struct heap_times *a,
			  const struct heap_times *b);

/* For model_diff_free(). NULL is allowed. */
void model_diff_heap_free(struct model_diff_heap *heap);

#endif
