/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recording has maxima since its beginning, and a report of a window wants those of the
 * window. A maximum that is higher at the window's end than it was at its start was reached in
 * between, and is exact. Of another one it is only known that nothing in the window was higher.
 *
 * Of an image there are samples, too: its peak is at least the highest of these. Of a line there is
 * nothing else, so its peak is unknown (model_lines.c). */
#include "record/recording_private.h"

#define PAGES_MOST (1ll << 38) /* of a sample, as the timeline takes it */

static void keep_larger(int64_t *most, int64_t more)
{
	if (*most < more)
		*most = more;
}

void recording_row_before(struct played_row *row, const struct amounts *amounts)
{
	bool runs = row->key.kind == AMOUNTS_RUNS;

	keep_larger(&row->peak_before, amounts->at[runs ? (int)RUN_PEAK : (int)STACK_PEAK]);
	if (runs)
		keep_larger(&row->usage_before, amounts->at[RUN_USAGE]);
}

/* Anonymous, of files, shared: what is swapped out is no part of RSS. What no machine has is left
 * out; whoever adds it up refuses it. */
static int64_t rss_of(int64_t anon, int64_t file, int64_t shmem)
{
	const int64_t pages[] = {anon, file, shmem};
	int64_t rss = 0;

	for (int i = 0; i < 3; i++)
		if (pages[i] > 0 && pages[i] <= PAGES_MOST)
			rss += pages[i];
	return rss;
}

void recording_peak_sample(struct played_image *image, const int64_t *pages, int64_t peak,
			   bool before)
{
	if (before)
		keep_larger(&image->peak_before, peak);
	else
		keep_larger(&image->most, rss_of(pages[0], pages[1], pages[2]));
}

void recording_settle_peak(struct played_image *image)
{
	struct pymem_proc *record = &image->record;
	int64_t peak = (int64_t)record->peak_pages;

	if (!image->peak_before || peak > image->peak_before)
		return;
	peak = rss_of(record->start_pages[PYMEM_ANON], record->start_pages[PYMEM_FILE],
		      record->start_pages[PYMEM_SHMEM]);
	keep_larger(&peak, image->most);
	record->peak_pages = (uint64_t)peak;
	image->image.peak_at_least = peak < image->peak_before;
}
