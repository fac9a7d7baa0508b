/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What could not be seen, kept or measured, packed for a recording: struct counts_facts and the
 * notes of a source. docs/RECORDING.md describes the format. */
#ifndef RECORD_FACTS_H
#define RECORD_FACTS_H

#include "model/counts.h"
#include "record/amounts.h"

#define FACTS_NOTES 3 /* enum counts_note */

/* Appends the source's facts and notes, without facts.end. */
void facts_pack(struct amounts_buffer *buffer, const struct counts *counts,
		const struct counts_facts *facts);

struct facts {			   /* unpacked */
	struct counts_facts facts; /* points into what follows */
	struct fact_note {
		struct fact_note *next;
		char text[];
	} * notes[FACTS_NOTES];
	uint64_t gaps[COUNTS_GAP_COUNT];
	char comms[COUNTS_COMMS_MAX][16];
	struct counts_skip *skips;
	struct counts_unwatched *unwatched;
};

/* Unpacks what facts_pack() wrote. The caller frees it with facts_free(), also after an error. 0,
 * -ENOMEM, or -EINVAL: it is something else. */
int facts_unpack(struct facts *facts, const void *bytes, size_t size);
void facts_free(struct facts *facts);

#endif
