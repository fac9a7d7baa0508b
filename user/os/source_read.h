/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One source file of a target, as the target could read it. */
#ifndef SOURCE_READ_H
#define SOURCE_READ_H

#include "os/rights.h"
#include "os/source.h"

/* Reads `name` inside a root, as UTF-8 (source_encoding.h), opened with `rights`. `text->state`
 * is SOURCE_OK, _MISSING or _UNREADABLE, the last also where this process may not take on these
 * rights. The caller frees text->data. */
void source_read_file(int root_fd, int cwd_fd, const struct rights *rights, const char *name,
		      struct source_text *text);

#endif
