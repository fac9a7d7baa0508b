/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the web page share (page.c, page_*.c): the page's data as they are written.
 * What the data look like is in docs/VIEWS.md. */
#ifndef PAGE_PARTS_H
#define PAGE_PARTS_H

#include "render/diff_render.h"
#include "render/json_parts.h"
#include "render/stack_rows.h"

/* What a frame of the page stands for: one of these. If all are NULL: processes that were
 * gathered. */
struct page_place {
	const struct model_location *location;
	/* Of a diff: a line, where it is in each side; NULL: it is not there. */
	const struct model_location *at[MODEL_DIFF_SIDES];
	const char *text; /* a constant */
	const struct model_process *process;
	const struct model_diff_program *program;
};

/* Things with numbers in the order in which they were met. */
struct page_places {
	struct places numbers;
	struct page_place *list; /* by number */
	size_t count, room;
};

struct page_texts {
	struct places numbers;
	const char **list; /* by number; strings of the model */
	size_t count, room;
};

/* The frame of the tree in which a node of a process is. */
struct page_frame {
	const struct model_process *process;
	size_t node, frame;
};

struct page_frames {
	struct page_frame *list; /* after page_put_stacks(): by process and node */
	size_t count, room;
};

struct page_rows;

struct page {
	FILE *out;			  /* escapes for HTML: script_stream.h */
	struct model *model;		  /* NULL: it is the page of a diff */
	const struct diff_report *report; /* NULL: it is the page of a model */
	const struct page_rows *rows;
	const struct render_options *options;
	bool whole; /* --format html: lines with their figures, whole files of source */
	struct page_places places;
	struct page_texts texts;
	struct page_frames frames; /* only if there is a timeline */
};

/* A stack of the page, and what it is worth in each side. */
struct page_row {
	const void *of; /* what page_rows knows it by */
	const int64_t *amounts[MODEL_DIFF_SIDES];
};
/* Anything but 0 ends the walk, which returns it. */
typedef int page_row_fn(const struct page_row *row, void *arg);

/* process, "[callers not kept]", frames, or a text */
#define PAGE_DEPTH (PYMEM_MAX_FRAMES + 3)

/* Where the stacks of a page come from: a model, or a diff, which has two sides. */
struct page_rows {
	int sides;
	/* Calls fn(row, arg) for each row, in the order of a walk through the tree of calls, in
	 * each call the same. */
	int (*each)(struct page *page, page_row_fn *fn, void *arg);
	/* Puts the places of the row into `path`, outermost first. Their number, or -ENOMEM. */
	ssize_t (*path)(struct page *page, const void *row, size_t path[PAGE_DEPTH]);
	/* Is told of the frame of the tree that the row has. 0 or -ENOMEM. NULL: need not be. */
	int (*note)(struct page *page, const void *row, size_t frame);
	const struct model *(*model)(const struct page *page, int side);
};
extern const struct page_rows page_rows_of_model, page_rows_of_diff;

/* Writes a page, whose data put() writes as members of an object. Frees what `page` has got
 * meanwhile. 0; -errno of the stream; -ENOMEM; -ENOSYS: web_page_absent. */
int page_write(FILE *out, struct page *page, int (*put)(struct page *page));
/* Why this program was built without pages; NULL: it was not. */
extern const char *const web_page_absent;

/* The number of a process in the page's data; -1: ended ones that are in no
 * other. */
int64_t page_process(const struct page *page, const struct model_process *process);

/* JSON of a text that a target may have chosen: escaped as text_print() does. page_lines(): an
 * array of its lines, as they are. NULL: out of memory. */
json_t *page_harmless(const char *text);
json_t *page_lines(const char *text);
/* The bytes by cause of loss that are not 0. */
json_t *page_losses(const int64_t *lost_bytes);
/* The command line, cut. */
json_t *page_command(const struct model_process *process);

/* The number of a place, of a text; -ENOMEM. A text is known by its address. */
ssize_t page_place(struct page *page, const struct page_place *place);
ssize_t page_text(struct page *page, const char *text);

/* A time in microseconds since the epoch: numbers of json_put() are too short for one. 0: it is no
 * time. */
json_t *page_time(double seconds);

/* The number of the node's frame, after page_put_stacks(); -1: it has no figures in the whole. */
int64_t page_frame(const struct page *page, const struct model_process *process, size_t node);

/* Each writes a member of the page's data, with a comma before it. 0, -ENOMEM, or -EIO: the stream
 * has failed. page_put_stacks(): the tree of calls and its figures. page_put_places(): the places
 * and texts that were numbered till then. page_put_time() and page_put_heap() write nothing if that
 * is not known. */
int page_put_stacks(struct page *page);
int page_put_time(struct page *page);
int page_put_heap(struct page *page);
int page_put_causes(struct page *page);
int page_put_processes(struct page *page);
int page_put_lines(struct page *page);
int page_put_sources(struct page *page);
int page_put_places(struct page *page);

#endif
