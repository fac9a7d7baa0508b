/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The encoding that a Python source declares (PEP 263). */
#ifndef SOURCE_ENCODING_H
#define SOURCE_ENCODING_H

#include <stddef.h>

/* Converts `*text` (from malloc(), `*size` bytes) to UTF-8 if its first two lines declare another
 * encoding. `*text` and `*size` may change. If the encoding is unknown, the text stays as it is; so
 * does a part that is not valid in it. That is harmless: all text is escaped when it is shown. A
 * byte order mark is removed. The result has at most three times the bytes. 0 or -ENOMEM. */
int source_to_utf8(char **text, size_t *size);

/* Writes the declared encoding into `name`, in lower case and with "-" for "_"; "" if none is
 * declared, or UTF-8. */
void source_declared_encoding(const char *text, size_t len, char *name, size_t size);

#endif
