/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the reader share. */
#ifndef RECORDING_PRIVATE_H
#define RECORDING_PRIVATE_H

#include <sqlite3.h>

#include "base/hash.h"
#include "record/amounts.h"
#include "record/facts.h"
#include "record/record_db.h"
#include "record/recording.h"
#include "report/report.h"

struct played_frame {
	const char *file, *function;
	int line, first_line;
	bool prologue;
	bool thread; /* FRAME_THREAD */
};

struct played_node {
	uint32_t parent, frame; /* numbers; the parent's is smaller */
};

struct played_thread {
	struct played_thread_key {
		uint64_t id; /* PYMEM_THREAD() */
		uint64_t image;
	} key;
	char name[PYMEM_THREAD_NAME];
	UT_hash_handle hh;
};

struct played_row { /* a stack or a run in the window */
	struct played_key {
		uint32_t image, id;
		uint32_t flags, kind;
	} key;
	struct amounts amounts;
	/* Pages: STACK_PEAK or RUN_PEAK, and RUN_USAGE, before the window; 0: none */
	int64_t peak_before, usage_before;
	UT_hash_handle hh;
};

struct played_image {
	struct counts_image image;
	struct pymem_proc record;
	struct source_root root;
	char *comm, *cgroup, *python, *reason, *arguments, **argv;
	struct counts_death *death;
	double began, ended; /* 0: it has not ended */
	int64_t pss;	     /* bytes; -1: unknown */
	int64_t late;	     /* pages that were lost after its end */
	int64_t start[PYMEM_MEMBERS];
	int64_t peak_before; /* pages; 0: it was not there before the window */
	int64_t most;	     /* the highest RSS of a sample in the window, in pages */
	bool sampled;
	struct gone_key { /* if it no longer ran when its last figures were read */
		uint64_t pid, start_boottime_ns;
	} gone;
	UT_hash_handle hh_gone; /* in recording.gone */
	bool asked;		/* the view wants it */
	bool inside;		/* something of it is in the window */
	bool wanted;		/* both */
	struct amounts amounts; /* AMOUNTS_RECORD */
	UT_hash_handle hh;
};

struct recording {
	sqlite3 *sqlite;
	struct recording_about about;
	char *host, *kernel, *version;
	/* Names: number N is at N - 1. */
	char **texts;
	struct played_frame *frames;
	struct played_node *nodes;
	size_t text_count, text_room, frame_count, frame_room, node_count, node_room;
	/* The window that is played. */
	const struct recording_view *view;
	int64_t first, last; /* intervals */
	bool all;	     /* it has all intervals of this file */
	bool whole;	     /* ... and none came before, in another file */
	bool ended;	     /* ... and the end of the recording */
	double since, until;
	struct played_image *images, *gone;
	struct played_row *rows;
	struct played_thread *threads; /* names of all threads, those of the end */
	struct facts facts;
	bool taken;
	size_t ended_bytes;	/* --ended-memory of the recorder; 0: unknown */
	size_t ended_processes; /* --ended-processes of it; 0: unknown */
	bool names_full;	/* the recorder had no room for more */
	unsigned sources_refused;
	uint64_t steps;	   /* STEP_CODES each, of all queries */
	int64_t rows_most; /* of one query: no more fit into the file; 0: not known yet */
	double figures;	   /* sum of their sizes: what a machine can have */
	struct report *report;
	struct model *model; /* of the window; NULL: none */
	struct source_cache *sources;
	uint32_t first_view, view_count; /* numbers of source_root.recorded */
	struct recording *next;		 /* all that are open */
	char *why;
	size_t why_size;
};

/* Says what is wrong, if that has not been said. Returns `err`. */
int recording_fail(struct recording *recording, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Calls fn(statement, arg) for each row of the query, with `numbers` bound to its parameters. 0,
 * -errno of `fn`, or -EIO after saying what SQLite says. */
int recording_query(struct recording *recording, const char *sql, const int64_t *numbers, int count,
		    int (*fn)(sqlite3_stmt *row, void *arg), void *arg);
/* Copies of a column: up to its first NUL; `*copy` NULL if it is NULL. 0 or -ENOMEM. */
int recording_text(sqlite3_stmt *row, int column, char **copy);

/* The bytes of a column; none if it is NULL. */
struct amounts_reader recording_packed(sqlite3_stmt *row, int column);

/* recording_cgroups.c: adds to recording->model what its containers' control groups used last. 0 or
 * -errno. */
int recording_add_cgroups(struct recording *recording);

/* Says that the file has something that no recorder writes. Returns -EINVAL. */
int recording_refuse(struct recording *recording, const char *what);
/* The number in the column, from 1 to `count`; 0: it is something else. */
uint32_t recording_number(sqlite3_stmt *row, int column, size_t count);

/* True for a time at which there were computers, or will be for some thousand years: whoever shows
 * it can convert it. */
bool recording_is_time(double seconds);

/* recording_names.c */
/* Reads texts, frames and nodes that are not read yet. 0 or -errno. */
int recording_load_names(struct recording *recording);

/* True if the frame is a line; if the node is that of a stack, whose innermost frame is one; or 0.
 */
bool recording_is_line(const struct recording *recording, uint64_t frame);
bool recording_is_stack(const struct recording *recording, uint64_t node);

/* recording_threads.c */
/* Reads the names of threads, if there are any. 0 or -errno. */
int recording_load_threads(struct recording *recording);
void recording_unload_threads(struct recording *recording);
/* The thread of a frame that is one. `thread->name` belongs to the recording. */
void recording_thread(const struct recording *recording, uint32_t image,
		      const struct played_frame *frame, struct counts_thread *thread);

/* recording_death.c */
/* Reads how signals ended images of the window. 0 or -errno. */
int recording_load_deaths(struct recording *recording);

/* recording_load.c */
/* Reads the window. 0 or -errno. recording_unload() frees it. */
int recording_load(struct recording *recording, const struct recording_view *view);
void recording_unload(struct recording *recording);

/* recording_peaks.c: maxima of a window */
/* What a row had before the window. */
void recording_row_before(struct played_row *row, const struct amounts *amounts);
/* A sample of an image, before the window or in it. */
void recording_peak_sample(struct played_image *image, const int64_t *pages, int64_t peak,
			   bool before);
/* Sets the peak of the image to that of the window, once start_pages are known. */
void recording_settle_peak(struct played_image *image);

/* recording_pss.c */
/* Sets the PSS of images of the window to what was read last until its end: in a window that has
 * the recording's end it is known anyway. 0 or -errno. */
int recording_load_pss(struct recording *recording);
/* The bytes in a column of PSS; -1: unknown, or no machine has as many. */
int64_t recording_pss(sqlite3_stmt *row, int column);

/* recording_counts.c: the window as a source of counts. */
/* The frames of a node, innermost first, at most `most`. Returns how many there are. */
unsigned recording_frames(const struct recording *recording, uint32_t node,
			  struct counts_frame *frames, unsigned most);
struct counts recording_counts(struct recording *recording);

/* recording_sources.c */
/* Unpacks `size` bytes, at most `most`. The caller frees them. NULL with errno set: out of memory,
 * or they are something else (EINVAL). */
char *recording_unpack(const void *packed, size_t packed_size, int64_t size, size_t most,
		       size_t *unpacked);
source_read_fn recording_read_source;
/* Gives numbers to the recording's views. */
int recording_open_sources(struct recording *recording);
void recording_close_sources(struct recording *recording);

#endif
