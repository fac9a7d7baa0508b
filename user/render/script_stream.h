/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON inside an HTML page. */
#ifndef SCRIPT_STREAM_H
#define SCRIPT_STREAM_H

#include <stdio.h>

/* A stream through which JSON is written to `out` such that no text in it can end the element that
 * it stands in: <, > and & become \u003c, \u003e and \u0026. In JSON they occur in strings only.
 * fclose() ends it, flushes what is left into `out` and leaves that open. NULL: out of memory. */
FILE *script_stream_open(FILE *out);

#endif
