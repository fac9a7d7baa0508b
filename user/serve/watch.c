/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: watching a process takes a counter block and a tracked image, and the block is written
 * while it is read.
 *
 * Invariants: a counter block belongs to one watch. Each word of it is read once. Left out: who may
 * watch, who shares it, and noticing that the process has ended. */
#include "serve/watch.h"

#include <errno.h>
#include <string.h>

#define READ(field) (*(const volatile __typeof__(field) *)&(field))

static int result_error(enum pymem_wanted_result result)
{
	switch (result) {
	case PYMEM_WANTED_OK:
		return 0;
	case PYMEM_WANTED_MAP_FULL:
		return -ENOSPC;
	case PYMEM_WANTED_BUSY:
		return -EBUSY;
	case PYMEM_WANTED_QUOTA:
		return -EDQUOT;
	default:
		return -ESRCH;
	}
}

int watch_begin(struct watch *w, struct session *session, pid_t pid, uint64_t start_ticks,
		unsigned payer)
{
	struct session_target target = {.pid = pid, .start_ticks = start_ticks, .payer = payer};
	int err;

	memset(w, 0, sizeof(*w));
	w->number = session_block_new(session);
	if (w->number < 0)
		return w->number;
	target.block = w->number;
	err = session_track(session, &target, 1);
	if (!err)
		err = result_error(target.result);
	if (err) {
		session_block_free(session, w->number);
		return err;
	}
	w->session = session;
	w->block = session_block(session, w->number);
	w->images = READ(w->block->images);
	w->start_pages = READ(w->block->start_pages);
	w->start_tree_pages = READ(w->block->tree_pages);
	return 0;
}

bool watch_execed(struct watch *w)
{
	uint32_t images = READ(w->block->images);
	bool execed = images != w->images;

	w->images = images;
	return execed;
}

int watch_reset(struct watch *w, unsigned slot)
{
	return session_block_do(w->session, w->number, PYMEM_BLOCK_DO_RESET, slot);
}

int watch_from_exec(struct watch *w)
{
	return session_block_do(w->session, w->number, PYMEM_BLOCK_DO_FROM_EXEC, 0);
}

struct watch_figures watch_read(const struct watch *w)
{
	struct watch_figures f = {
		.start = w->start_pages,
		.start_tree = w->start_tree_pages,
		.image_start = READ(w->block->start_pages),
		.rss = READ(w->block->rss_pages),
		.peak = READ(w->block->peaks[0].peak_pages),
		.tree = READ(w->block->tree_pages),
		.tree_peak = READ(w->block->peaks[0].tree_peak_pages),
		.partial = READ(w->block->flags) & PYMEM_BLOCK_PARTIAL,
	};

	if (f.peak < f.rss)
		f.peak = f.rss;
	if (f.tree_peak < f.tree)
		f.tree_peak = f.tree;
	return f;
}

void watch_close(struct watch *w)
{
	session_block_do(w->session, w->number, PYMEM_BLOCK_DO_END, 0);
}

void watch_end(struct watch *w)
{
	if (w->block)
		session_block_free(w->session, w->number);
	w->block = NULL;
}
