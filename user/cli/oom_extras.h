/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a document of last words has beside these: the lines of the process, and the last look at
 * its heap. */
#ifndef OOM_EXTRAS_H
#define OOM_EXTRAS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* True if they are as an agent writes them, or not there, as in what an earlier one wrote. */
bool oom_extras_are_good(const json_t *document);

/* Prints them in lines of at most `width` columns (0: no limit), each kind below an empty line;
 * nothing if they are not there. The document must be good. */
void oom_extras_print(FILE *out, const json_t *document, unsigned width);

#endif
