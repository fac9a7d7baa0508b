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
	struct image *image;	       /* NULL: folded */
	struct model_process *process; /* NULL: in the model's rest */
	uint64_t gone_ms;	       /* since when */
	uint64_t start_ticks;
	int64_t pages;		 /* charged */
	int64_t unsettled_bytes; /* folded: among the losses until the next report */
	UT_hash_handle hh;
};

struct report {
	struct tracker *tracker;
	struct model *model;
	struct tallies folded;
	struct entry *ended; /* those folded, by id: for what comes too late */
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
	unsigned user_count;
};

struct build {
	struct report *report;
	struct tracker *tracker;
	struct model *model;
	uint64_t page;
	struct entry *entries; /* one per image in the report */
	struct tallies tallies;
	bool final;
};

/* report.c */
struct build report_build_of(struct report *report);
/* The image `id` in the report that is built; NULL: it is not in it. */
struct entry *report_entry(struct build *b, uint32_t id);
/* Frees the entries and leaves none; not what they point to. */
void report_entries_free(struct entry **entries);
/* The RSS, in pages, of counters by enum pymem_member. */
int64_t report_rss_pages(const int64_t *pages);

/* Adds an image with its process record, unless it is none of the report's. 0 or -ENOMEM. */
int report_add_image(struct build *b, struct image *image, const struct pymem_proc *record);

/* report_charge.c: what the kernel counted for one stack, thread or line; `arg` is the struct
 * build. 0 or -errno. */
int report_add_counters(struct build *b, const struct pymem_stack_key *key,
			const struct pymem_counters *counters, const struct pymem_vmcalls *vmcalls);
int report_add_stack(const struct pymem_stack_key *key, const struct pymem_stack *stack, void *arg);
int report_add_thread(const struct pymem_collected *thread, void *arg);
int report_add_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg);

/* report_notes.c: all that the report can't say in figures. */
/* Notes which quotas the image met. */
void report_note_quotas(struct build *b, struct image *image, const struct pymem_proc *record);
void report_add_notes(struct build *b);

#endif
