/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads one source file of a target as the target could read it. */
#ifndef SOURCE_READ_H
#define SOURCE_READ_H

#include "os/rights.h"
#include "os/source.h"

/* Reads the file `name` inside a root with `rights`, converted to UTF-8 (source_encoding.h).
 * `text->state` becomes SOURCE_OK, _MISSING or _UNREADABLE; the last also if this process may not
 * take on these rights. The caller frees text->data. */
void source_read_file(int root_fd, int cwd_fd, const struct rights *rights, const char *name,
		      struct source_text *text);

#endif
