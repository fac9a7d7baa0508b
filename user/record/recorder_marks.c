/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Marks: events that have a time and no amount. */
#include <string.h>

#include "record/recorder_private.h"

void recorder_mark(struct recorder *r, double time, const char *kind, uint32_t image)
{
	record_db_real(&r->db, RECORD_MARK, 1, time);
	record_db_text(&r->db, RECORD_MARK, 2, kind);
	record_db_int(&r->db, RECORD_MARK, 3, image);
	record_db_step(&r->db, RECORD_MARK);
}

void recorder_mark_text(struct recorder *r, double time, const char *kind, uint32_t image,
			const char *text)
{
	record_db_real(&r->db, RECORD_MARK, 1, time);
	record_db_text(&r->db, RECORD_MARK, 2, kind);
	if (image)
		record_db_int(&r->db, RECORD_MARK, 3, image);
	record_db_string(&r->db, RECORD_MARK, 4, text);
	record_db_step(&r->db, RECORD_MARK);
}

void recorder_mark_counts(struct recorder *r, double time, const struct rec_counted *counted)
{
	record_db_real(&r->db, RECORD_MARK, 1, time);
	record_db_text(&r->db, RECORD_MARK, 2, counted->kind);
	if (counted->image)
		record_db_int(&r->db, RECORD_MARK, 3, counted->image);
	if (counted->text)
		record_db_bytes(&r->db, RECORD_MARK, 4, counted->text, counted->length);
	record_db_int(&r->db, RECORD_MARK, 5, (int64_t)counted->count);
	record_db_int(&r->db, RECORD_MARK, 6, (int64_t)counted->more);
	record_db_step(&r->db, RECORD_MARK);
}
