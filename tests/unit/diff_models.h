/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Models for tests of diffs, and the source texts of both sides. To be included after cmocka.h. */
#ifndef DIFF_MODELS_H
#define DIFF_MODELS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_diff.h"

#define PAGE 4096
#define MIB  (1024 * 1024)

/* The text of lines of a file, as one side has it: line 1 first, separated by line feeds. */
struct diff_file {
	int side;
	const char *name, *text;
};

struct diff_case {
	struct model *model[MODEL_DIFF_SIDES];
	const struct diff_file *files; /* ends with a name that is NULL; NULL: none */
	struct diff_texts_arg {
		struct diff_case *owner;
		int side;
	} arg[MODEL_DIFF_SIDES];
	char *kept[4096]; /* texts that were handed out */
	size_t kept_count;
	struct model_diff *diff;
};

static inline void diff_case_init(struct diff_case *c, const struct diff_file *files)
{
	*c = (struct diff_case){.files = files};
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		c->model[side] = model_new(PAGE);
		assert_non_null(c->model[side]);
		c->model[side]->start = 1767225600;
		c->model[side]->end = 1767225660;
		c->model[side]->host = strdup("build-7");
		c->model[side]->kernel = strdup("6.12.9");
		c->model[side]->version = strdup("0.1.0");
		c->arg[side] = (struct diff_texts_arg){c, side};
	}
}

static inline struct model_process *diff_process(struct diff_case *c, int side, int pid,
						 char *const *command)
{
	struct model_process *p = model_add_process(c->model[side], pid, 1, "python3", command,
						    "/user.slice", "3.11.2", "walk");

	assert_non_null(p);
	p->id = (uint32_t)pid;
	p->root = (struct source_root){.root_fd = -1, .cwd_fd = -1};
	p->rss_start_bytes = p->rss_end_bytes = 20 * MIB;
	return p;
}

/* Adds what a line changed, to the RSS of the process, too. */
static inline void diff_add(struct diff_case *c, int side, struct model_process *p,
			    const char *file, const char *function, int line, int first_line,
			    int64_t pages)
{
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = pages},
					  .grown_pages = pages > 0 ? (uint64_t)pages : 0,
					  .minor_faults = pages > 0 ? (uint64_t)pages : 0};
	const struct model_location *at =
		model_location(c->model[side], file, function, line, first_line);

	assert_int_equal(model_add_stack(c->model[side], p, &at, 1, false, &counters, NULL), 0);
	p->rss_end_bytes += pages * PAGE;
}

static inline void diff_lose(struct model_process *p, int cause, int64_t pages)
{
	p->lost_bytes[cause] += pages * PAGE;
	p->rss_end_bytes += pages * PAGE;
}

static const char *diff_text(void *arg, const struct model_process *process, const char *file,
			     int line)
{
	const struct diff_texts_arg *texts = arg;
	const struct diff_file *at;
	const char *text;

	(void)process;
	for (at = texts->owner->files; at && at->name; at++)
		if (at->side == texts->side && !strcmp(at->name, file))
			break;
	if (!at || !at->name || line < 1)
		return NULL;
	for (text = at->text; --line; text++)
		if (!(text = strchr(text, '\n')))
			return NULL;
	assert_true(texts->owner->kept_count < 4096);
	return texts->owner->kept[texts->owner->kept_count++] = strndup(text, strcspn(text, "\n"));
}

static inline const struct model_diff *diff_make(struct diff_case *c)
{
	struct model_diff_texts texts = {diff_text, {&c->arg[0], &c->arg[1]}};

	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		assert_int_equal(model_compute(c->model[side]), 0);
	c->diff = model_diff_new(c->model[0], c->model[1], &texts);
	assert_non_null(c->diff);
	return c->diff;
}

static inline void diff_case_fini(struct diff_case *c)
{
	model_diff_free(c->diff);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		model_free(c->model[side]);
	while (c->kept_count)
		free(c->kept[--c->kept_count]);
}

#endif
