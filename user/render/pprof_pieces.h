/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes a profile of pprof.proto piece by piece, compressed: what readers join. Texts, places and
 * functions are written once each. */
#ifndef PPROF_PIECES_H
#define PPROF_PIECES_H

#include <stdint.h>
#include <stdio.h>

#include "render/gzip_stream.h"
#include "render/pprof.pb-c.h"
#include "render/stack_rows.h"

#define PPROF_TEXT 4096 /* bytes of an escaped text; what is longer is cut */

struct pprof_pieces { /* private */
	struct gzip_stream gzip;
	struct places texts, locations, functions; /* by number: those that were written */
	uint8_t *buffer;			   /* for one piece */
	size_t room;
	size_t bytes, most; /* written, and at most; 0: any number */
};

/* `most`: bytes before they are compressed; 0: any number. `out` must outlive it. 0 or -ENOMEM. */
int pprof_begin(struct pprof_pieces *pieces, FILE *out, size_t most);
/* Writes what is left. To be called once, whatever failed. 0, or -errno of the compression. */
int pprof_end(struct pprof_pieces *pieces);

/* 0; -EFBIG: there would be more than `most`; -ENOMEM; -errno of the compression. */
int pprof_put(struct pprof_pieces *pieces, const Pprof__Profile *piece);
/* The index of a text, which is written, escaped as in the table, if it is new. It is known by the
 * address of `owner`; 0 is the empty one. -errno as pprof_put(). */
int64_t pprof_text(struct pprof_pieces *pieces, const void *owner, const char *text);
/* The id of a place, or (`place` NULL) of a text that stands for one: a constant. Likewise. */
int64_t pprof_location(struct pprof_pieces *pieces, const struct model_location *place,
		       const char *text);

#endif
