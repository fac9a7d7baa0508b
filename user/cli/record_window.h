/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which part of a recording a user means: FILE@SINCE,UNTIL of `diff`, --since and --until.
 *
 * A time is one of
 *   90, 90s, 5m, 2h      since the start of the recording
 *   -90, -90s, -5m, -2h  before its end
 *   14:30, 14:30:05      local time: the first one in the recording; of the end of a window, the
 *                        first one after its beginning
 *   2026-02-28, 2026-02-28T14:30, 2026-02-28T14:30:05    local time
 *
 * A window is cut to what the recording has. It is refused if nothing is left of it. */
#ifndef RECORD_WINDOW_H
#define RECORD_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

#include "record/recording.h"

/* What a user named. Empty strings: the start and the end of the recording. */
struct record_window {
	char *file, *since, *until;
};

/* Reads FILE or FILE@SINCE,UNTIL. If there is a file of that whole name, it is meant. 0 and
 * `window`, which record_window_fini() frees; -ENOMEM; or -EINVAL: `why` (`size` bytes) has what is
 * wrong and what to do. The file may still be missing, and the times wrong. */
int record_window_read(struct record_window *window, const char *operand, char *why, size_t size);
void record_window_fini(struct record_window *window);

/* Sets view->since and view->until from the texts (NULL or "": not given, so 0). 0, or -EINVAL:
 * `why` has what is wrong and what to do. */
int record_window_set(struct recording_view *view, const struct recording_about *about,
		      const char *since, const char *until, char *why, size_t size);

#endif
