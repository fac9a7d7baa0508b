/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What gather.c and gather_marks.c share. */
#ifndef GATHER_PRIVATE_H
#define GATHER_PRIVATE_H

#include "record/record_db.h"

/* A statement, which the caller finalizes; NULL after noting the error. */
sqlite3_stmt *gather_prepare(struct record_db *db, const char *sql);

/* Puts marks of before `before` (seconds since the epoch) together, to one of each kind, image and
 * control group in each span of `length` seconds. `level`: that of gathering. At `end_ms`
 * (CLOCK_MONOTONIC) it stops; the next call goes on. True: all of it was done. */
bool gather_marks(struct record_db *db, unsigned level, double before, double length,
		  uint64_t end_ms);

#endif
