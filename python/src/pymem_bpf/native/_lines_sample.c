/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of a sample that comes from /proc: PSS and USS, and without a helper RSS.
 *
 * A figure that can't be read keeps its former value, which is noted for the recorders that want
 * it.
 */
#include "_lines.h"

/* Of whichever thread read it last. */
static struct smaps smaps_before;
static int64_t resident_before, descendants_before;

/* Notes that a figure could not be read: RSS (`is_rss`), or PSS and USS. */
static void note_unread(bool is_rss)
{
	struct recorder *r;

	for (r = lines_recorders(); r; r = r->next)
		if ((r->metric == METRIC_RSS) == is_rss)
			__atomic_fetch_add(&r->unread, 1, __ATOMIC_RELAXED);
}

void lines_sample_smaps(struct sample *now)
{
	if (!lines_smaps(&now->smaps)) {
		lines_set(smaps_before.pss_bytes, now->smaps.pss_bytes);
		lines_set(smaps_before.uss_bytes, now->smaps.uss_bytes);
		return;
	}
	note_unread(false);
	now->smaps.pss_bytes = lines_get(smaps_before.pss_bytes);
	now->smaps.uss_bytes = lines_get(smaps_before.uss_bytes);
}

void lines_sample_estimate(struct sample *now, bool with_descendants)
{
	int64_t resident = lines_resident();
	int64_t descendants = with_descendants ? lines_descendants() : 0;

	if (resident < 0 || descendants < 0)
		note_unread(true);
	if (resident < 0)
		resident = lines_get(resident_before);
	if (descendants < 0)
		descendants = lines_get(descendants_before);
	lines_set(resident_before, resident);
	lines_set(descendants_before, descendants);
	now->net = now->rss = resident;
	now->other = descendants;
}
