/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the report share: the images in it while it is built, and what is kept of
 * those that have ended.
 */
#ifndef REPORT_PARTS_H
#define REPORT_PARTS_H

#include "base/hash.h"
#include "report/report.h"

#define QUOTAS_TOLD 16

struct tallies {
	uint64_t unwatched;
	unsigned probeless, unprobed; /* left to the walk engine */
	unsigned short_lived;	      /* likewise: they ended before probes were attached */
	unsigned unready;	      /* likewise: the profile ended before */
	unsigned late;		      /* ran for a moment before they were */
	uint64_t unnamed_runs;	      /* of lines whose code object never arrived */
	bool cut[PYMEM_LACK_COUNT];   /* stacks end before a caller whose code object did not */
};

struct entry { /* an image in the report */
	uint32_t id;
	pid_t pid;
	uint64_t start_boottime_ns;
	bool ended;
	bool lines;		       /* the exact engine is attached */
	struct model_process *process; /* NULL: it is among model.gathered */
	uint64_t gone_ms;	       /* since when */
	int64_t unsettled_bytes;       /* finished: among the losses until the next report */
	bool late;		       /* finished: more was lost since the sink was told of it */
	UT_hash_handle hh;
};

struct report {
	struct counts counts;
	const struct stack_sink *sink; /* NULL: none */
	struct model *model;
	struct tallies finished;
	struct entry *ended; /* those finished, by id: for what comes too late */
	size_t ended_bytes;  /* that their lines may take */
	struct quota_met {   /* images that have ended; the first ones are told by name */
		uint32_t id, held;
		pid_t pid;
		int table;
	} quotas[QUOTAS_TOLD];
	unsigned quota_count, quota_more; /* those in it; processes that are not */
	struct user_met {		  /* users whose processes met one together; likewise */
		uint32_t user;
		int table;
	} users[QUOTAS_TOLD];
	unsigned user_count; /* those in it */
	bool user_more;	     /* there are others */
};

struct build {
	struct report *report;
	struct model *model;
	uint64_t page;
	struct entry *entries; /* one per image in the report */
	struct tallies tallies;
	bool final;
	bool finishing; /* for good: images that have ended */
};

/* report.c */
struct build report_build_of(struct report *report);
/* The image `id` in the report that is built; NULL: it is not in it. */
struct entry *report_entry(struct build *b, uint32_t id);
/* Frees the entries and leaves none; not what they point to. */
void report_entries_free(struct entry **entries);
/* Tells the sink, if there is one, that all of the entries has come. 0 or -errno. */
int report_tell_done(struct build *b, bool final);
/* Tells it of processes that have ended and of which more has been lost since. 0 or -errno. */
int report_tell_late(struct report *report);

/* Adds an image with its process record, unless it is in the report. `arg` is the struct build. 0
 * or -ENOMEM. */
int report_add_image(const struct counts_image *image, void *arg);

/* report_charge.c: what was counted for one stack, thread or line; `arg` is the struct build. As
 * struct counts_reader has it. */
int report_add_stack(const struct counts_stack *stack, void *arg);
int report_add_thread(const struct counts_stack *stack, void *arg);
int report_add_line(const struct counts_line *line, void *arg);

/* report_notes.c: all that the report can't say in figures. */
/* Notes which quotas the image met. */
void report_note_quotas(struct build *b, const struct counts_image *image);
void report_add_notes(struct build *b, const struct counts_facts *facts);

#endif
