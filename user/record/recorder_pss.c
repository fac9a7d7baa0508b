/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The PSS of what is recorded, as somebody else reads it: cli/profile_pss.c. It comes between two
 * intervals, and by then its process may have ended, and its PID be another's. So it is kept until
 * the figures of the next interval tell what has ended. */
#include "record/recorder_private.h"

void recorder_add_pss(struct recorder *r, uint32_t id, int64_t pss, int64_t swap_pss)
{
	struct rec_image *image = recorder_image(r, id);

	if (image)
		image->pss = (struct rec_pss){pss, swap_pss};
}

static void bind(struct recorder *r, int at, int64_t bytes)
{
	if (bytes >= 0)
		record_db_int(&r->db, RECORD_SHARE, at, bytes);
}

bool recorder_write_pss(struct recorder *r)
{
	struct rec_image *image;
	bool written = false;

	for (image = r->images; image; image = image->hh.next) {
		if (image->ended || image->taken ||
		    (image->pss.bytes == image->pss_recorded.bytes &&
		     image->pss.swap_bytes == image->pss_recorded.swap_bytes))
			continue;
		record_db_int(&r->db, RECORD_SHARE, 1, image->id);
		record_db_int(&r->db, RECORD_SHARE, 2, r->interval);
		bind(r, 3, image->pss.bytes);
		bind(r, 4, image->pss.swap_bytes);
		record_db_step(&r->db, RECORD_SHARE);
		image->pss_recorded = image->pss;
		written = true;
	}
	return written;
}
