/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the report share: the images in it while it is built, and what is kept of
 * images that have ended. */
#ifndef REPORT_PARTS_H
#define REPORT_PARTS_H

#include "base/hash.h"
#include "report/report.h"

#define QUOTAS_TOLD 16

struct tallies {
	uint64_t unwatched;
	unsigned probeless, unprobed; /* profiled by the walk engine: no line probe; not attached */
	unsigned short_lived;	      /* the same, because they ended before probes were attached */
	unsigned unready;	      /* the same, because the profile ended before */
	unsigned late;		      /* ran for a moment before probes were attached */
	uint64_t unnamed_runs;	      /* runs of lines whose code object never arrived */
	uint64_t unplaced, refused;   /* pages: counts_resident.unplaced_pages, refused_pages */
	uint64_t threads_untold;      /* threads of `crowds` images: counts_image.record->threads */
	unsigned crowds;	      /* images with more threads than are told apart */
	unsigned unread, forked_often; /* images: counts_resident.error, cut */
	bool cut[PYMEM_LACK_COUNT];    /* by reason: callers' code objects never arrived */
};

struct entry { /* an image in this report */
	uint32_t id;
	pid_t pid;
	uint64_t start_boottime_ns;
	bool ended;
	bool lines, functions;	       /* the exact engine is attached; it counts functions */
	struct model_process *process; /* NULL: it was gathered, and is part of model.gathered */
	uint64_t folded_in;	       /* then: model_process.folded_in */
	uint64_t gone_ms;	       /* when it was gathered: clock_ms(CLOCK_MONOTONIC) */
	struct pymem_counters brief;   /* of all its stacks: report_build_brief() */
	int64_t unsettled_bytes;       /* of a finished image: "unsettled" until the next report */
	UT_hash_handle hh;
};

struct report {
	struct counts counts;
	struct model *model;
	report_killed_fn *killed; /* NULL: nobody asks */
	void *killed_arg;
	struct tallies finished;
	struct entry *ended;  /* finished images, by id: for amounts that come too late */
	bool balanced;	      /* some of `ended` have "unsettled" amounts of a live report */
	report_gone_fn *gone; /* NULL: nobody is told */
	void *gone_arg;
	struct model_ended_limits limits; /* what is kept of `ended` */
	struct quota_met {		  /* ended images that reached a quota */
		uint32_t id, held;
		pid_t pid;
		int table;
	} quotas[QUOTAS_TOLD];
	unsigned quota_count,
		quota_more; /* number of `quotas`; number of processes that found no room there */
	struct user_met {   /* users whose processes reached a quota together */
		uint32_t user;
		int table;
	} users[QUOTAS_TOLD];
	unsigned user_count; /* number of `users` */
	bool user_more;	     /* other users found no room there */
};

struct build {
	struct report *report;
	struct model *model;
	uint64_t page;
	struct entry *entries; /* one for each image in the report */
	struct tallies tallies;
	bool final;
	struct counts brief; /* where to read sums; ops NULL: all is read from report->counts */
	bool finishing;	     /* these images have ended and are finished */
};

/* report.c */
struct build report_build_of(struct report *report);
/* The entry of image `id` in the report being built. NULL: it is not in the report. */
struct entry *report_entry(struct build *b, uint32_t id);
/* Frees the entries and sets `*entries` to NULL; what they point to stays. */
void report_entries_free(struct entry **entries);

/* A counts_reader.image: adds the image with its record, unless it is in the report already. `arg`
 * is the struct build. 0 or -ENOMEM. */
int report_add_image(const struct counts_image *image, void *arg);

/* report_brief.c: reads the images and the sums of their stacks. 0 or -errno. */
int report_read_brief(struct build *b);

/* report_charge.c: the other functions of a counts_reader. `arg` is the struct build. */
int report_add_stack(const struct counts_stack *stack, void *arg);
int report_add_thread(const struct counts_stack *stack, void *arg);
int report_add_line(const struct counts_line *line, void *arg);
/* report_cache.c: the same. */
int report_add_cached(const struct counts_cached *cached, void *arg);
int report_add_kernel(const struct counts_kernel *kernel, void *arg);
/* The location of a frame, which belongs to the model. NULL: out of memory. */
const struct model_location *report_locate(struct build *b, const struct counts_frame *frame);

/* The thread of a stack, likewise, in `*thread`; NULL: it is unknown. 0 or -ENOMEM. */
int report_thread(struct build *b, const struct counts_stack *stack,
		  const struct model_location **thread);

/* report_resident.c: adds which lines touched the resident pages first. 0 or -errno. */
int report_add_resident(struct build *b);
/* Adds notes on these. To be called once lines are computed. 0 or -errno. */
int report_add_resident_notes(struct build *b);

/* report_notes.c: what the report can't say in figures. */
/* Notes, or remembers for later reports, which quotas the image reached. */
void report_note_quotas(struct build *b, const struct counts_image *image);
int report_add_notes(struct build *b, const struct counts_facts *facts);

#endif
